// Elements, made without ever writing markup: names of ports and VNIs are somebody
// else's text.

const SVG = "http://www.w3.org/2000/svg";

function fill(el, attrs, children) {
  for (const [key, value] of Object.entries(attrs ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else el.setAttribute(key, value === true ? "" : value);
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== ""));
  return el;
}

/** h makes an HTML element. */
export const h = (name, attrs, ...children) => fill(document.createElement(name), attrs, children);

/** s makes an SVG element. */
export const s = (name, attrs, ...children) => fill(document.createElementNS(SVG, name), attrs, children);

/** put sets an element's text, and touches nothing when it is that already. */
export function put(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** attr sets an attribute, or takes it away for null. */
export function attr(el, name, value) {
  if (value === null) el.removeAttribute(name);
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
}

/** badge is a state as a word with a mark of its own: it is told by more than colour. */
export function badge(kind, word) {
  return h("span", { class: `badge ${kind}` }, h("span", { class: "mark", "aria-hidden": "true" }, marks[kind] ?? "•"), word);
}

const marks = { ok: "✓", note: "i", warn: "!", fail: "✕", quiet: "–" };
