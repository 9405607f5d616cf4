import { h, put, attr } from "./dom.js";
import { count } from "./format.js";

const PAGE = 50;

/**
 * table lists rows that change all the time. A column is {head, cell(row): text, [unit,
 * text] or an element's update, sort(row), num, cls, make(td): update(row)}. Rows stay in
 * place while their numbers change: they are sorted when somebody asks for it. Roles are
 * written out, because they are lost where a narrow page lays a table out as something else.
 */
export function table({ caption, columns, key, filter, empty, selected }) {
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map((c) => head(c));
  const el = h("table", { role: "table" }, h("caption", { class: "unseen" }, caption), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), body);
  const search = filter && h("input", { type: "search", placeholder: filter.hint, "aria-label": filter.hint, oninput: () => { page = 0; draw(); } });
  const info = h("span", { class: "info", "aria-live": "polite" });
  const back = h("button", { type: "button", onclick: () => { page--; draw(); } }, "Previous");
  const on = h("button", { type: "button", onclick: () => { page++; draw(); } }, "Next");
  const pager = h("div", { class: "pager" }, back, on);
  const none = h("p", { class: "empty" });
  const scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el);
  const bar = h("div", { class: "bar" }, search, info, pager);
  const trs = new Map();
  let rows = [];
  let page = 0;
  let order = null; // {column, down}
  let order0 = [];

  function head(c) {
    if (!c.sort) return h("th", { role: "columnheader", scope: "col", class: c.num ? "num" : c.cls }, c.head);
    return h("th", { role: "columnheader", scope: "col", class: c.num ? "num" : c.cls, "aria-sort": "none" },
      h("button", { type: "button", class: "sort", onclick: () => sortBy(c) }, c.head));
  }

  function sortBy(c) {
    if (order?.column !== c) order = { column: c, down: Boolean(c.num) };
    else if (order.down === Boolean(c.num)) order.down = !order.down;
    else order = null;
    columns.forEach((other, i) => {
      if (other.sort) attr(heads[i], "aria-sort", order?.column !== other ? "none" : order.down ? "descending" : "ascending");
    });
    page = 0;
    sort();
    draw();
  }

  // Sorted once, not with every answer: rows that jump about cannot be read.
  function sort() {
    order0 = [...rows];
    if (!order) return;
    const of = order.column.sort;
    order0.sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      const c = typeof x === "number" ? (x || 0) - (y || 0) : String(x).localeCompare(String(y), "en", { numeric: true });
      return order.down ? -c : c;
    });
  }

  function row(r) {
    const k = key(r);
    let tr = trs.get(k);
    if (!tr) {
      tr = { el: h("tr", { role: "row" }), cells: columns.map(() => null) };
      columns.forEach((c, i) => {
        const td = h(i === 0 ? "th" : "td", { role: i === 0 ? "rowheader" : "cell", class: c.num ? "num" : c.cls, scope: i === 0 ? "row" : null });
        tr.cells[i] = c.make ? c.make(td, r) : texts(td, c);
        tr.el.append(td);
      });
      trs.set(k, tr);
    }
    tr.cells.forEach((update) => update(r));
    if (selected) attr(tr.el, "class", selected(r) || null);
    return tr.el;
  }

  function draw() {
    const wanted = search?.value.trim().toLowerCase() ?? "";
    const found = wanted ? order0.filter((r) => filter.text(r).toLowerCase().includes(wanted)) : order0;
    page = Math.max(0, Math.min(page, Math.ceil(found.length / PAGE) - 1));
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    const els = shown.map(row);
    if (els.length !== body.children.length || els.some((e, i) => body.children[i] !== e)) body.replaceChildren(...els);
    scroll.hidden = shown.length === 0;
    none.hidden = shown.length > 0;
    put(none, rows.length === 0 ? empty() : `Nothing here matches “${wanted}”.`);
    const many = found.length > PAGE;
    put(info, many ? `${count(page * PAGE + 1)}–${count(page * PAGE + shown.length)} of ${count(found.length)}` : "");
    pager.hidden = !many;
    back.disabled = page === 0;
    on.disabled = (page + 1) * PAGE >= found.length;
    bar.hidden = !many && rows.length < 8;
  }

  function update(next) {
    const known = new Map(order0.map((r, i) => [key(r), i]));
    rows = next;
    const keys = new Set(rows.map(key));
    for (const k of trs.keys()) if (!keys.has(k)) trs.delete(k);
    if (order && rows.length === order0.length && rows.every((r) => known.has(key(r)))) {
      const sorted = new Array(rows.length);
      for (const r of rows) sorted[known.get(key(r))] = r;
      order0 = sorted;
    } else {
      sort();
    }
    draw();
  }

  return { el: h("div", { class: "list" }, bar, scroll, none), update };
}

// A number and its unit stand in two columns of their own, so that digits are aligned.
function texts(td, c) {
  if (!c.unit) return (r) => put(td, c.cell(r));
  const value = h("span", { class: "n" });
  const unit = h("span", { class: "u" });
  td.append(value, unit);
  return (r) => {
    const [n, u] = c.cell(r);
    put(value, n);
    put(unit, u);
  };
}
