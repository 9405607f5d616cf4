import { h, put } from "./dom.js";
import { count, perSecond } from "./format.js";
import { chart } from "./chart.js";
import { one, MOMENTS } from "./spark.js";
import { table } from "./table.js";

export const dropKey = (r) => `drop/${r.reason}/${r.direction}`;

const where = { access: "from an access port", overlay: "from the overlay", route: "while routing" };

/** explained writes what a reason means and what to do about it. */
export function explained(store) {
  return (td) => {
    const means = h("span", { class: "means" });
    const mend = h("span", { class: "mend" });
    td.append(means, mend);
    return (r) => {
      const text = store.texts.get(r.reason);
      put(means, text?.meaning ?? "");
      put(mend, text?.mend ? `→ ${text.mend}` : "");
    };
  };
}

// The reason, and below it where such frames came from.
function named(td) {
  const reason = h("span");
  const place = h("span", { class: "below" });
  td.append(reason, place);
  return (r) => {
    put(reason, r.reason);
    put(place, where[r.direction] ?? r.direction);
  };
}

export function drops(store) {
  let all = false;
  const total = chart("Frames dropped", [{ label: "All reasons", color: "drop", fill: true }], perSecond);
  const list = table({
    caption: "Dropped frames by reason", key: dropKey,
    selected: (r) => (store.history.rising(dropKey(r)) ? "rising" : ""),
    filter: { hint: "Filter by reason or meaning", text: (r) => `${r.reason} ${r.direction} ${store.texts.get(r.reason)?.meaning ?? ""}` },
    empty: () => "Nothing was dropped since the gateway started. Every reason that is counted can be listed with the box above.",
    columns: [
      { head: "Reason", cls: "name", make: named, sort: (r) => r.reason },
      { head: "Count", num: true, cell: (r) => count(r.count), sort: (r) => r.count },
      { head: "Now", num: true, unit: true, cell: (r) => perSecond(store.history.rate(dropKey(r), "count")), sort: (r) => store.history.rate(dropKey(r), "count") },
      {
        head: "Last minute", cls: "sparks",
        make: (td) => {
          const drawing = one();
          td.append(drawing.el);
          return (r) => drawing.update(store.history.recent(dropKey(r), "count", MOMENTS));
        },
      },
      { head: "What it means → what to do", cls: "text", make: explained(store) },
    ],
  });
  const box = h("input", { type: "checkbox", onchange: () => { all = box.checked; update(); } });
  const update = () => {
    total.set(store.history.moments(), store.history.column("all/drops", "count"));
    list.update(store.now.drops.filter((d) => all || d.count > 0));
  };
  return { el: h("div", null, total.el, h("label", { class: "choice" }, box, "List reasons that did not occur, too"), list.el), update };
}
