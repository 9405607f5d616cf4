/* global uPlot */
import { h, put } from "./dom.js";
import { words } from "./format.js";

const HEIGHT = 170;
const charts = new Set();

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * chart draws lines over time. lines are {label, color: a CSS variable}; format writes a
 * value. Its legend has the newest values, or those under the pointer.
 */
export function chart(title, lines, format) {
  const values = lines.map(() => h("span", { class: "value" }, "–"));
  const legend = lines.map((l, i) => h("span", { class: "entry" }, h("span", { class: `swatch ${l.color}`, "aria-hidden": "true" }), l.label, " ", values[i]));
  const head = h("figcaption", null, h("span", { class: "title" }, title), h("span", { class: "legend" }, legend));
  const box = h("div", { class: "plot" });
  const el = h("figure", { class: "chart panel" }, head, box);
  let data = [[], ...lines.map(() => [])];
  let plot = null;

  function say(at) {
    const i = at ?? data[0].length - 1;
    lines.forEach((_, n) => {
      const v = data[n + 1][i];
      put(values[n], words(format(v ?? NaN)));
    });
  }

  function build() {
    plot?.destroy();
    plot = null;
    if (box.clientWidth === 0) return;
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    plot = new uPlot({
      width: box.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { x: { range: window5 }, y: { range: (_, low, high) => [0, Math.max(1, (high || 0) * 1.1)] } },
      axes: [{ ...axis, size: 26, space: box.clientWidth < 420 ? 46 : 84, values: clock }, { ...axis, size: 64, space: 34, values: (_, ticks) => ticks.map((v) => words(format(v))) }],
      series: [{}, ...lines.map((l) => ({ stroke: css(`--${l.color}`), fill: l.fill ? css(`--${l.color}-soft`) : undefined, width: 1.6, points: { show: false } }))],
      hooks: { setCursor: [(u) => say(u.cursor.idx)] },
    }, data, box);
  }

  new ResizeObserver(() => {
    if (plot && box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    else build();
  }).observe(box);
  charts.add(build);

  return {
    el,
    head,
    set(times, ...columns) {
      data = [times, ...columns];
      if (!plot) build();
      plot?.setData(data);
      say(plot?.cursor.idx);
    },
  };
}

// Five minutes are shown from the start: a scale that grows would move all the time.
function window5(_, low, high) {
  const end = high ?? Date.now() / 1000;
  return [end - 300, end];
}

function clock(_, ticks) {
  const whole = ticks.every((t) => t % 60 === 0);
  return ticks.map((t) => {
    const d = new Date(t * 1000);
    const parts = [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, "0"));
    return parts.slice(0, whole ? 2 : 3).join(":");
  });
}

/** redraw has all charts take the colours of the theme. */
export function redraw() {
  for (const build of charts) build();
}
