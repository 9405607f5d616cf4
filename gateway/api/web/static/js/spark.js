import { s, attr } from "./dom.js";

const WIDTH = 60; // moments
const HEIGHT = 20;

/**
 * spark is a small drawing of the last minute: what came in above the middle line, what
 * went out below it. Both have the same scale. The numbers are in the table beside it.
 */
export function spark() {
  const mid = HEIGHT / 2;
  const rx = s("path", { class: "rx" });
  const tx = s("path", { class: "tx" });
  const line = s("path", { class: "zero", d: `M0 ${mid}H${WIDTH}` });
  const el = s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, rx, tx, line);
  const update = (ins, outs) => {
    const top = Math.max(1, ...ins.filter(Number.isFinite), ...outs.filter(Number.isFinite));
    attr(rx, "d", area(ins, mid, -(mid - 1) / top));
    attr(tx, "d", area(outs, mid, (mid - 1) / top));
  };
  return { el, update };
}

/** one is a spark of one counter, from the bottom up. */
export function one() {
  const line = s("path", { class: "drop" });
  const el = s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  const update = (values) => {
    const top = Math.max(1, ...values.filter(Number.isFinite));
    attr(line, "d", area(values, HEIGHT, -(HEIGHT - 1) / top));
  };
  return { el, update };
}

function area(values, zero, scale) {
  let d = "";
  values.forEach((v, i) => {
    if (v > 0) d += `M${i} ${zero}V${(zero + v * scale).toFixed(1)}H${i + 1}V${zero}Z`;
  });
  return d;
}

/** MOMENTS is how many values a spark shows. */
export const MOMENTS = WIDTH;
