import { h, badge } from "./dom.js";
import { age, count } from "./format.js";
import { table } from "./table.js";
import { chosen, rates } from "./traffic.js";

const key = (r) => `vtep/${r.address}`;

const QUIET = 120; // seconds without a frame

/** heard says of a VTEP when it was last heard, as [kind, words]. */
export function heard(vtep, now) {
  if (vtep.origin === "group") return ["note", "group, sent to"];
  if (!vtep.last_seen) return ["warn", "never heard"];
  const ago = Math.max(0, (now - Date.parse(vtep.last_seen)) / 1000);
  return [ago < QUIET ? "ok" : "quiet", `${age(ago)} ago`];
}

const seen = (store) => (td) => {
  let last = "";
  return (r) => {
    const [kind, word] = heard(r, Date.parse(store.now.time));
    if (kind + word === last) return;
    last = kind + word;
    td.replaceChildren(badge(kind, word));
  };
};

export function vteps(store) {
  const pick = chosen(store, { what: "VTEP", key, name: (r) => r.address });
  const list = table({
    caption: "Remote VTEPs. In is from the VTEP, out is to it.", key, selected: pick.selected,
    filter: { hint: "Filter by address or origin", text: (r) => `${r.address} ${r.origin}` },
    empty: () => "No remote VTEPs: none is configured (flood = [...] of a [[vni]]), and none was heard of yet.",
    columns: [
      pick.column("VTEP"),
      { head: "Heard", cls: "seen", make: seen(store), sort: (r) => (r.last_seen ? Date.parse(r.last_seen) : 0), },
      { head: "Origin", cls: "short", cell: (r) => r.origin, sort: (r) => r.origin },
      ...rates(store, key),
      { head: "VNIs", num: true, cell: (r) => count(r.vnis), sort: (r) => r.vnis },
      { head: "MTU", num: true, cell: (r) => (r.mtu ? String(r.mtu) : "–"), sort: (r) => r.mtu ?? 0 },
    ],
  });
  return {
    el: h("div", null, pick.el, list.el),
    update: () => {
      pick.update(store.now.vteps);
      list.update(store.now.vteps);
    },
  };
}
