import { h, put } from "./dom.js";
import { bits, count, packets, perSecond, words } from "./format.js";
import { chart } from "./chart.js";
import { health, rateOf, risers } from "./health.js";

function tile(name, hint) {
  const value = h("span", { class: "big" }, "–");
  const unit = h("span", { class: "u" });
  const more = h("span", { class: "more" });
  return {
    el: h("div", { class: "tile panel", title: hint }, h("span", { class: "label" }, name), h("span", { class: "line" }, value, unit), more),
    set([n, u], text) {
      put(value, n);
      put(unit, u);
      put(more, text);
    },
  };
}

export function overview(store) {
  const rate = (key, name) => store.history.rate(key, name);
  const tiles = {
    in: tile("From access ports", "what hosts send"), out: tile("To access ports", "what hosts get"),
    fromOverlay: tile("From the overlay", "what VTEPs send"), toOverlay: tile("To the overlay", "each copy of a flooded frame counts"),
    drops: tile("Dropped", "all reasons"), macs: tile("MACs", "in the forwarding database"), up: tile("Ports up", "of all access ports"), vteps: tile("VTEPs", "remote ones"),
  };
  const both = [{ label: "In", color: "rx", fill: true }, { label: "Out", color: "tx" }];
  const access = chart("Access ports", both, bits);
  const overlay = chart("Overlay", both, bits);
  const rates = chart("Packets, access ports", both, packets);
  const dropped = chart("Dropped", [{ label: "All reasons", color: "drop", fill: true }], perSecond);
  const state = health(store);
  const now = dropsNow(store);

  function update() {
    const traffic = (t, key, way) => t.set(bits(rate(key, `${way}Bits`)), words(packets(rate(key, `${way}Packets`))));
    traffic(tiles.in, "all/access", "rx");
    traffic(tiles.out, "all/access", "tx");
    traffic(tiles.fromOverlay, "all/overlay", "rx");
    traffic(tiles.toOverlay, "all/overlay", "tx");
    const o = store.now;
    tiles.drops.set(perSecond(rate("all/drops", "count")), `${count(o.drops.reduce((n, d) => n + d.count, 0))} in all`);
    tiles.macs.set([count(o.macs.reduce((n, m) => n + m.count, 0)), ""], pinned(o.macs));
    tiles.up.set([`${o.ports.filter((p) => p.state === "up").length}/${o.ports.length}`, ""], `${count(o.vnis.length)} ${o.vnis.length === 1 ? "VNI" : "VNIs"}`);
    tiles.vteps.set([count(o.vteps.length), ""], `${count(o.vteps.filter((v) => v.last_seen).length)} heard`);
    const times = store.history.moments();
    const line = (key, name) => store.history.column(key, name);
    access.set(times, line("all/access", "rxBits"), line("all/access", "txBits"));
    overlay.set(times, line("all/overlay", "rxBits"), line("all/overlay", "txBits"));
    rates.set(times, line("all/access", "rxPackets"), line("all/access", "txPackets"));
    dropped.set(times, line("all/drops", "count"));
    state.update();
    now.update();
  }
  const el = h("div", null,
    h("div", { class: "tiles" }, Object.values(tiles).map((t) => t.el)),
    h("div", { class: "pair" }, state.el, now.el),
    h("div", { class: "charts" }, access.el, overlay.el, rates.el, dropped.el));
  return { el, update };
}

// How many of the MACs do not age.
function pinned(macs) {
  const n = macs.filter((m) => m.origin !== "learned").reduce((all, m) => all + m.count, 0);
  return n ? `${count(n)} static` : "all learned";
}

// The reasons for which frames are being dropped, each with its mend.
function dropsNow(store) {
  const list = h("ul", { class: "risers" });
  const none = h("p", { class: "empty" }, "Nothing is being dropped at the moment.");
  function item(d) {
    const text = store.texts.get(d.reason);
    return h("li", { class: "rising" },
      h("span", { class: "reason" }, h("strong", null, d.reason), ` ${d.direction}`, h("span", { class: "rate" }, words(perSecond(rateOf(store, d))))),
      h("span", { class: "means" }, text?.meaning ?? ""), text?.mend ? h("span", { class: "mend" }, `→ ${text.mend}`) : null);
  }
  return {
    el: h("section", { class: "panel now", "aria-label": "Dropped now" }, h("h2", null, "Dropped now"), list, none),
    update() {
      const rising = risers(store);
      list.replaceChildren(...rising.slice(0, 4).map(item));
      if (rising.length > 4) list.append(h("li", null, h("a", { href: "#drops" }, `and ${rising.length - 4} more reasons`)));
      none.hidden = rising.length > 0;
      list.hidden = rising.length === 0;
    },
  };
}
