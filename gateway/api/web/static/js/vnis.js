import { h } from "./dom.js";
import { count } from "./format.js";
import { table } from "./table.js";
import { chosen, rates } from "./traffic.js";

const key = (r) => `vni/${r.vni}`;

export function vnis(store) {
  const pick = chosen(store, { what: "VNI", key, name: (r) => String(r.vni) });
  const list = table({
    caption: "VNIs: bridge domains. In is from the overlay, out is into it.", key, selected: pick.selected,
    filter: { hint: "Filter by VNI, VLAN, name or VRF", text: (r) => `${r.vni} ${r.vlan} ${r.name} ${r.vrf}` },
    empty: () => "There are no VNIs. Add a [[vni]] to the configuration, then run vxgw reload.",
    columns: [
      pick.column("VNI"),
      { head: "VLAN", num: true, cell: (r) => (r.vlan ? String(r.vlan) : "–"), sort: (r) => r.vlan },
      { head: "Name", cls: "short", cell: (r) => r.name || "–", sort: (r) => r.name },
      { head: "VRF", cls: "short", cell: (r) => r.vrf || "–", sort: (r) => r.vrf },
      ...rates(store, key),
      { head: "MACs", num: true, cell: (r) => count(r.macs), sort: (r) => r.macs },
      { head: "Ports", num: true, cell: (r) => count(r.ports), sort: (r) => r.ports },
      { head: "VTEPs", num: true, cell: (r) => count(r.vteps), sort: (r) => r.vteps },
      { head: "Suppressed", num: true, cell: (r) => count(r.suppressed), sort: (r) => r.suppressed },
      { head: "Topology", cls: "short", make: (td, r) => { td.append(h("a", { href: `#topology/${r.vni}` }, "show")); return () => {}; } },
    ],
  });
  return {
    el: h("div", null, pick.el, list.el),
    update: () => {
      pick.update(store.now.vnis);
      list.update(store.now.vnis);
    },
  };
}
