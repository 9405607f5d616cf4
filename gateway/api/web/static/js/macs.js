import { h, put } from "./dom.js";
import { age, count } from "./format.js";
import { get } from "./poll.js";

const PAGE = 50;
const PAUSE = 250; // milliseconds after the last key

/** macs searches in the gateway: there may be a million of them. */
export function macs(store) {
  const words = h("input", { type: "search", id: "mac-words", autocomplete: "off", spellcheck: "false", placeholder: "00:01:02, 0200.0000.0102, eth1, 192.0.2.2, static" });
  const vni = h("input", { type: "text", id: "mac-vni", inputmode: "numeric", placeholder: "any", autocomplete: "off" });
  const total = h("p", { class: "info", id: "mac-total" });
  const said = h("p", { class: "info", role: "status" });
  const body = h("tbody");
  const back = h("button", { type: "button", onclick: () => ask(Math.max(0, offset - PAGE)) }, "Previous");
  const on = h("button", { type: "button", onclick: () => ask(offset + PAGE) }, "Next");
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "MACs found" },
    h("table", null, h("caption", { class: "unseen" }, "MACs found"),
      h("thead", null, h("tr", null, ["MAC", "VNI", "Behind", "Origin", "Age"].map((t) => h("th", { scope: "col", class: t === "VNI" || t === "Age" ? "num" : null }, t)))), body));
  const form = h("form", { class: "search", role: "search", onsubmit: (e) => { e.preventDefault(); ask(0); } },
    h("label", { for: "mac-words" }, "Find", words), h("label", { for: "mac-vni" }, "VNI", vni), h("button", { type: "submit" }, "Search"));
  let offset = 0;
  let turn = 0;
  let timer = 0;
  let shown = false;

  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask(0), PAUSE);
  });

  async function ask(from) {
    clearTimeout(timer);
    const mine = ++turn;
    const query = new URLSearchParams({ q: words.value, limit: PAGE, offset: from });
    if (vni.value.trim()) query.set("vni", vni.value.trim());
    try {
      const found = await get(`/v1/macs/search?${query}`);
      if (mine !== turn) return; // somebody has typed on
      show(found);
    } catch (err) {
      if (mine === turn) fail(err);
    }
  }

  function show(found) {
    offset = found.offset;
    body.replaceChildren(...found.rows.map(row));
    back.disabled = offset === 0;
    on.disabled = !found.more;
    scroll.hidden = found.rows.length === 0;
    said.classList.remove("wrong");
    put(said, sentence(found));
  }

  function sentence(found) {
    if (found.rows.length > 0) return `${count(offset + 1)}–${count(offset + found.rows.length)}${found.more ? ", and more" : ""}`;
    if (words.value.trim() || vni.value.trim()) return "No MAC matches. Type part of a MAC, a port, a VTEP or an origin; all words have to hold.";
    return "No MACs yet: they are learned from the first frame that a host sends.";
  }

  function fail(err) {
    said.classList.add("wrong");
    put(said, err.message);
  }

  const row = (m) => h("tr", null,
    h("th", { scope: "row", class: "mono" }, m.mac), h("td", { class: "num" }, String(m.vni)),
    h("td", null, m.port ? `port ${m.port}` : m.vtep ? `VTEP ${m.vtep}` : "this gateway"),
    h("td", null, m.origin), h("td", { class: "num" }, m.origin === "learned" ? age(m.age) : "–"));

  return {
    el: h("div", null, form, total, h("div", { class: "bar" }, said, h("div", { class: "pager" }, back, on)), scroll),
    update: () => {
      const sums = store.now.macs.filter((m) => m.count > 0).map((m) => `${count(m.count)} ${m.origin}`);
      put(total, `In the forwarding database: ${sums.join(", ") || "nothing"}.`);
      if (shown) return;
      shown = true;
      ask(0);
    },
  };
}
