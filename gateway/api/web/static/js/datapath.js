import { h, badge } from "./dom.js";
import { table } from "./table.js";

const attached = (td) => {
  let last = null;
  return (r) => {
    if (r.attached === last) return;
    last = r.attached;
    td.replaceChildren(badge(r.attached ? "ok" : "fail", r.attached ? "attached" : "not attached"));
  };
};

export function datapath(store) {
  const list = table({
    caption: "How the frames of each interface are moved", key: (r) => `${r.interface} ${r.at}`,
    filter: { hint: "Filter by interface, mode or reason", text: (r) => `${r.interface} ${r.mode} ${r.reason}` },
    empty: () => "No interface is configured.",
    columns: [
      { head: "Interface", cls: "name", cell: (r) => r.interface, sort: (r) => r.interface },
      { head: "Mode", cls: "short", cell: (r) => r.mode, sort: (r) => r.mode },
      { head: "State", make: attached, sort: (r) => String(r.attached) },
      { head: "Why", cls: "text wide", cell: (r) => r.reason },
    ],
  });
  return { el: h("div", null, list.el), update: () => list.update(store.now.datapath.map((r, at) => ({ ...r, at }))) };
}
