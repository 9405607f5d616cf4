// What ports, VNIs and VTEPs have in common: rates of both directions, a drawing of the
// last minute, and a chart of the one that is chosen.
import { h, put } from "./dom.js";
import { bits, packets } from "./format.js";
import { chart } from "./chart.js";
import { spark, MOMENTS } from "./spark.js";

/** rates are the columns of traffic; key names a row's lines. */
export function rates(store, key) {
  const rate = (name, write, head) => ({
    head, num: true, unit: true, cell: (r) => write(store.history.rate(key(r), name)), sort: (r) => store.history.rate(key(r), name),
  });
  return [
    rate("rxBits", bits, "Bits in"), rate("txBits", bits, "Bits out"),
    {
      head: "Last minute", cls: "sparks",
      make: (td) => {
        const drawing = spark();
        td.append(drawing.el);
        return (r) => drawing.update(store.history.recent(key(r), "rxBits", MOMENTS), store.history.recent(key(r), "txBits", MOMENTS));
      },
    },
    rate("rxPackets", packets, "Packets in"), rate("txPackets", packets, "Packets out"),
  ];
}

/** chosen is a panel with the charts of one row, and the first column that chooses it. */
export function chosen(store, { what, key, name }) {
  let at = null;
  const title = h("h3");
  const lines = [{ label: "In", color: "rx", fill: true }, { label: "Out", color: "tx" }];
  const throughput = chart("Throughput", lines, bits);
  const rate = chart("Packets", lines, packets);
  const el = h("section", { class: "chosen", "aria-label": `Traffic of one ${what}` }, title, h("div", { class: "charts" }, throughput.el, rate.el));

  const column = (head) => ({
    head, sort: name, cls: "name",
    make: (td, first) => {
      const button = h("button", { type: "button", class: "link", onclick: () => { at = key(first); store.refresh(); } });
      td.append(button);
      return (r) => {
        put(button, name(r));
        button.setAttribute("aria-pressed", String(key(r) === at));
      };
    },
  });

  function update(rows) {
    if (!rows.some((r) => key(r) === at)) at = rows.length > 0 ? key(rows[0]) : null;
    el.hidden = at === null;
    const row = rows.find((r) => key(r) === at);
    if (!row) return;
    put(title, `${what} ${name(row)}`);
    const line = (n) => store.history.column(at, n);
    const times = store.history.moments();
    throughput.set(times, line("rxBits"), line("txBits"));
    rate.set(times, line("rxPackets"), line("txPackets"));
  }

  return { el, column, update, selected: (r) => (key(r) === at ? "selected" : "") };
}
