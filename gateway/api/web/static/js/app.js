import { h, put } from "./dom.js";
import { age } from "./format.js";
import { History } from "./history.js";
import { get, poll } from "./poll.js";
import { theme } from "./theme.js";
import { overview } from "./overview.js";
import { ports } from "./ports.js";
import { vnis } from "./vnis.js";
import { vteps } from "./vteps.js";
import { drops } from "./drops.js";
import { macs } from "./macs.js";
import { topology } from "./topology.js";
import { datapath } from "./datapath.js";

const views = [
  ["overview", "Overview", overview], ["ports", "Ports", ports], ["vnis", "VNIs", vnis], ["vteps", "VTEPs", vteps],
  ["drops", "Drops", drops], ["macs", "MACs", macs], ["topology", "Topology", topology], ["datapath", "Datapath", datapath],
];

const store = { now: null, history: new History(), texts: new Map(), refresh: () => update() };
const made = new Map(); // by name
const main = document.getElementById("main");
const links = new Map();
let open = "";
let lostSince = 0;

function menu() {
  const list = document.getElementById("views");
  for (const [id, name] of views) {
    const a = h("a", { href: `#${id}` }, name);
    links.set(id, a);
    list.append(h("li", null, a));
  }
}

// The address says which view is open, so that one can be linked to: #topology/10010.
function route() {
  if (!store.now) return;
  const [id, argument] = location.hash.slice(1).split("/", 2);
  const [name, title, make] = views.find((v) => v[0] === id) ?? views[0];
  let view = made.get(name);
  if (!view) {
    view = make(store);
    view.section = h("section", { class: "view", id: `view-${name}` }, name === "overview" ? null : h("h2", null, title), view.el);
    made.set(name, view);
  }
  if (open !== name) main.replaceChildren(view.section);
  open = name;
  for (const [other, a] of links) {
    if (other === name) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  document.title = `${title} · ${store.now.name} · vxgw`;
  view.update();
  view.open?.(argument && decodeURIComponent(argument));
}

function update() {
  made.get(open)?.update();
}

function facts() {
  const o = store.now;
  put(document.getElementById("name"), o.name);
  put(document.getElementById("facts"), `VTEP ${o.underlay.address} · up ${age(o.uptime)} · ${o.version || "devel"}`);
}

function live(state, err) {
  const el = document.getElementById("live");
  if (state === "lost") lostSince ||= Date.now();
  else lostSince = 0;
  const silent = lostSince ? Math.round((Date.now() - lostSince) / 1000) : 0;
  const says = { live: "Live", paused: "Paused", lost: `No answer for ${silent} s: trying again` }[state];
  el.dataset.state = state;
  if (err) el.title = err.message;
  else el.removeAttribute("title");
  put(document.getElementById("live-text"), says);
  document.body.classList.toggle("lost", state === "lost");
}

// What a reason means does not change while a gateway runs.
async function texts() {
  for (const d of await get("/v1/drops")) store.texts.set(d.reason, { meaning: d.meaning, mend: d.mend ?? "" });
}

async function take(overview) {
  const first = store.now === null;
  const again = overview.uptime < store.history.uptime;
  if (first || again) await texts();
  if (!store.history.add(overview)) return;
  store.now = overview;
  facts();
  if (first) route();
  else update();
}

menu();
theme(document.getElementById("theme"));
addEventListener("hashchange", route);
main.append(h("p", { class: "empty", id: "loading" }, "Asking the gateway…"));
poll("/v1/overview", take, live);
