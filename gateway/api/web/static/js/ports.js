import { h, badge } from "./dom.js";
import { count } from "./format.js";
import { portKey } from "./history.js";
import { table } from "./table.js";
import { chosen, rates } from "./traffic.js";

export const kinds = { up: "ok", down: "fail", absent: "warn", refused: "fail" };

/** state is a badge that follows a row. */
export const state = (td) => {
  let last = "";
  return (r) => {
    if (r.state === last) return;
    last = r.state;
    td.replaceChildren(badge(kinds[r.state] ?? "note", r.state));
  };
};

export function ports(store) {
  const pick = chosen(store, { what: "Port", key: portKey, name: (r) => r.interface });
  const list = table({
    caption: "Access ports", key: portKey, selected: pick.selected,
    filter: { hint: "Filter by name, VLAN, VNI or state", text: (r) => `${r.interface} ${r.vlan} ${r.vni} ${r.state}` },
    empty: () => "There are no access ports. Add a [[port]] to the configuration, then run vxgw reload.",
    columns: [
      pick.column("Port"),
      { head: "State", make: state, sort: (r) => r.state },
      { head: "VLAN", num: true, cell: (r) => (r.vlan ? String(r.vlan) : "–"), sort: (r) => r.vlan },
      { head: "VNI", num: true, cell: (r) => String(r.vni), sort: (r) => r.vni },
      ...rates(store, portKey),
      { head: "MACs", num: true, cell: (r) => count(r.macs), sort: (r) => r.macs },
      { head: "Why it is not up", cls: "text", cell: (r) => r.reason ?? "" },
    ],
  });
  return {
    el: h("div", null, pick.el, list.el),
    update: () => {
      pick.update(store.now.ports);
      list.update(store.now.ports);
    },
  };
}
