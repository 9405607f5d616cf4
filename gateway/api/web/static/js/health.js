import { h, badge, put } from "./dom.js";
import { count, perSecond, plural, words } from "./format.js";
import { dropKey } from "./drops.js";

/** risers are the reasons for which frames were dropped in the last moments. */
export function risers(store) {
  return store.now.drops.filter((d) => store.history.rising(dropKey(d))).sort((a, b) => rateOf(store, b) - rateOf(store, a));
}

/** rateOf is how many frames a second are dropped for a reason now. */
export const rateOf = (store, d) => store.history.rate(dropKey(d), "count") || 0;

// What is meant to be dropped has nothing that mends it.
const meant = (store, d) => (store.texts.get(d.reason)?.mend ?? "").startsWith("none");

/** checks are the gateway's own, and those that need rates. */
export const checks = (store) => [...store.now.checks, dropping(store), learning(store)];

function dropping(store) {
  const now = risers(store);
  const bad = now.filter((d) => !meant(store, d));
  if (now.length === 0) {
    const all = store.now.drops.reduce((n, d) => n + d.count, 0);
    return { name: "Drops", state: "ok", says: all ? `none now; ${plural(all, "frame")} since the start` : "none since the start" };
  }
  const names = now.slice(0, 3).map((d) => `${d.reason} ${words(perSecond(rateOf(store, d)))}`);
  return { name: "Drops", state: bad.length ? "warn" : "note", says: `rising: ${names.join(", ")}`, mend: bad.length ? "see “Dropped now”" : "these are meant to be dropped" };
}

function learning(store) {
  const rising = store.now.learn_refused.filter((r) => store.history.rising(`refused/${r.reason}`));
  if (rising.length > 0) {
    return { name: "Learning", state: "warn", says: `limits keep addresses from being learned: ${rising.map((r) => r.reason).join(", ")}`, mend: rising[0].mend };
  }
  const all = store.now.learn_refused.reduce((n, r) => n + r.count, 0);
  return { name: "Learning", state: "ok", says: all ? `within its limits now; ${count(all)} refused since the start` : "within its limits" };
}

/** health is the panel of all checks. */
export function health(store) {
  const list = h("ul", { class: "checks" });
  const rows = [];
  function row(i) {
    const mark = h("span", { class: "state" });
    const name = h("strong");
    const says = h("span", { class: "says" });
    const mend = h("span", { class: "mend" });
    const el = h("li", null, mark, h("span", { class: "what" }, name, " ", says, mend));
    list.append(el);
    return (rows[i] = { el, mark, name, says, mend, state: "" });
  }
  function update() {
    const all = checks(store);
    all.forEach((c, i) => {
      const r = rows[i] ?? row(i);
      if (r.state !== c.state) r.mark.replaceChildren(badge(c.state, c.state));
      r.state = c.state;
      put(r.name, c.name);
      put(r.says, c.says);
      put(r.mend, c.mend ? `→ ${c.mend}` : "");
    });
    for (const r of rows.splice(all.length)) r.el.remove();
  }
  return { el: h("section", { class: "panel health", "aria-label": "Health" }, h("h2", null, "Health"), list), update };
}
