import { h, s, put } from "./dom.js";
import { plural } from "./format.js";
import { get } from "./poll.js";
import { kinds } from "./ports.js";
import { heard } from "./vteps.js";

const EVERY = 5000; // milliseconds
const BOX = { width: 168, height: 36, gap: 12 };
const COLUMNS = [0, 244, 488, 732];
const TOP = 34;
const WIDTH = COLUMNS[3] + BOX.width;

/** topology draws access ports, VNIs, this VTEP and the remote ones. */
export function topology(store) {
  const select = h("input", { type: "text", id: "topology-vni", inputmode: "numeric", placeholder: "the first ones", autocomplete: "off", onchange: () => go(select.value.trim()) });
  const left = h("p", { class: "info", role: "status" });
  const drawing = h("div", { class: "drawing scroll panel", tabindex: "0", role: "region", "aria-label": "Topology" });
  const el = h("div", null, h("form", { class: "search", onsubmit: (e) => { e.preventDefault(); go(select.value.trim()); } },
    h("label", { for: "topology-vni" }, "VNI", select), h("button", { type: "submit" }, "Draw"), left), drawing, key());
  let graph = null;
  let vni = "";
  let asked = -Infinity;

  const go = (text) => { location.hash = text ? `#topology/${encodeURIComponent(text)}` : "#topology"; };

  async function ask() {
    asked = performance.now();
    const mine = vni;
    try {
      const answer = await get(`/v1/topology${vni ? `?vni=${encodeURIComponent(vni)}` : ""}`);
      if (mine !== vni) return;
      graph = answer;
      draw();
    } catch (err) {
      left.classList.add("wrong");
      put(left, err.message);
    }
  }

  function draw() {
    left.classList.remove("wrong");
    put(left, leftOut(graph));
    drawing.replaceChildren(graph.vnis.length ? picture(graph, store.now) : h("p", { class: "empty" }, vni ? `There is no VNI ${vni} here.` : "There is nothing to draw: add a [[vni]] and a [[port]] to the configuration."));
  }

  return {
    el,
    open(argument) {
      vni = argument ?? "";
      select.value = vni;
      ask();
    },
    update() {
      if (performance.now() - asked > EVERY) ask();
      else if (graph) draw();
    },
  };
}

function leftOut(graph) {
  const { vnis, ports, vteps } = graph.left_out;
  const parts = [vnis && plural(vnis, "VNI"), ports && plural(ports, "port"), vteps && plural(vteps, "VTEP")].filter(Boolean);
  return parts.length ? `Not drawn: ${parts.join(", ")}. Name a VNI to see all of it.` : "";
}

function key() {
  return h("p", { class: "info" }, "A solid line carries frames; a dashed one belongs to a port or VTEP that is down or was not heard yet.");
}

function picture(graph, now) {
  const ports = new Map(now.ports.map((p) => [p.interface, p]));
  const vteps = new Map(now.vteps.map((v) => [v.address, v]));
  const counts = [graph.ports.length, graph.vnis.length, 1, graph.vteps.length];
  const tall = Math.max(...counts) * (BOX.height + BOX.gap);
  const place = (column, i) => ({ x: COLUMNS[column], y: TOP + (tall - counts[column] * (BOX.height + BOX.gap)) / 2 + i * (BOX.height + BOX.gap) });
  const at = {
    port: new Map(graph.ports.map((p, i) => [p, place(0, i)])),
    vni: new Map(graph.vnis.map((v, i) => [v.vni, place(1, i)])),
    vtep: new Map(graph.vteps.map((v, i) => [v, place(3, i)])),
    self: place(2, 0),
  };
  const edges = s("g");
  const boxes = s("g");
  const self = now.underlay.up ? "ok" : "fail";
  for (const p of graph.ports) {
    const state = ports.get(p)?.state ?? "absent";
    boxes.append(box(at.port.get(p), p, state, kinds[state] ?? "warn"));
  }
  for (const v of graph.vnis) {
    const here = at.vni.get(v.vni);
    boxes.append(box(here, `VNI ${v.vni}`, [v.vlan && `VLAN ${v.vlan}`, v.name, v.vrf && `VRF ${v.vrf}`].filter(Boolean).join(" · "), "plain"));
    for (const p of v.ports) edges.append(edge(at.port.get(p), here, ports.get(p)?.state === "up"));
    edges.append(edge(here, at.self, now.underlay.up));
  }
  boxes.append(box(at.self, now.underlay.address, now.underlay.up ? `this VTEP · ${now.underlay.interface}` : "this VTEP · down", self));
  for (const a of graph.vteps) {
    const v = vteps.get(a) ?? { origin: "learned", last_seen: null };
    const [kind, word] = heard(v, Date.parse(now.time));
    boxes.append(box(at.vtep.get(a), a, word, kind));
    edges.append(edge(at.self, at.vtep.get(a), now.underlay.up && kind !== "warn"));
  }
  const heads = ["Access ports", "VNIs", "This VTEP", "Remote VTEPs"].map((t, i) => s("text", { x: COLUMNS[i], y: 16, class: "head" }, t));
  const words = `${plural(graph.ports.length, "access port")}, ${plural(graph.vnis.length, "VNI")}, ${plural(graph.vteps.length, "remote VTEP")}`;
  return s("svg", { viewBox: `0 0 ${WIDTH} ${TOP + tall}`, width: WIDTH, height: TOP + tall, role: "img", "aria-label": `Topology: ${words}` }, heads, edges, boxes);
}

const LONGEST = 22; // characters that fit

const clip = (text, n = LONGEST) => (text.length > n ? `${text.slice(0, n - 1)}…` : text);

function box({ x, y }, name, below, kind) {
  const mark = { ok: "✓ ", warn: "! ", fail: "✕ ", quiet: "– ", note: "" }[kind] ?? "";
  return s("g", { class: `node ${kind}`, transform: `translate(${x} ${y})` },
    s("title", null, `${name}: ${below}`),
    s("rect", { width: BOX.width, height: BOX.height, rx: 5, class: "body" }),
    s("rect", { width: 4, height: BOX.height, rx: 2, class: "side" }),
    s("text", { x: 13, y: 15, class: "title" }, clip(name)),
    s("text", { x: 13, y: 29, class: "below" }, clip(mark + below, 27)));
}

function edge(from, to, carries) {
  const [x1, y1, x2, y2] = [from.x + BOX.width, from.y + BOX.height / 2, to.x, to.y + BOX.height / 2];
  const bend = (x2 - x1) / 2;
  return s("path", { class: carries ? "edge" : "edge off", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}
