// What the counters were over the last five minutes, as rates. They are computed here,
// so that a page more that is open costs the gateway nothing.

/** SLOTS is how many moments are kept. */
export const SLOTS = 300;

/** RISING is for how many moments a counter that has grown counts as growing. */
const RISING = 10;

const GAP = 60; // seconds without an answer, after which a line is broken; a slow one is an average

class Line {
  constructor() {
    this.values = new Float32Array(SLOTS).fill(NaN);
  }
}

/** History keeps lines of rates by key, such as "port/eth1", and name, such as "rxBits". */
export class History {
  times = new Float64Array(SLOTS).fill(NaN);
  head = -1; // the newest moment
  lines = new Map(); // key -> {name: Line}
  last = new Map(); // key -> counters
  uptime = NaN;
  origin = NaN; // the time of day, in seconds, at uptime 0

  /** add takes an overview in. It returns false when that is one it knows. */
  add(overview) {
    const t = overview.uptime;
    if (t === this.uptime) return false;
    if (!(t > this.uptime)) this.restart(overview); // the first, or the gateway was restarted
    const dt = t - this.uptime;
    if (dt > GAP) this.step(this.origin + t - dt / 2, new Map(), NaN);
    this.step(this.origin + t, counters(overview), dt > GAP ? NaN : dt);
    this.uptime = t;
    return true;
  }

  restart(overview) {
    this.last.clear();
    this.uptime = NaN;
    const at = Date.parse(overview.time) / 1000 - overview.uptime;
    const newest = this.head < 0 ? -Infinity : this.times[this.head % SLOTS];
    this.origin = Math.max(at, newest + 1 - overview.uptime);
  }

  step(time, now, dt) {
    const slot = ++this.head % SLOTS;
    this.times[slot] = time;
    for (const lines of this.lines.values()) for (const line of Object.values(lines)) line.values[slot] = NaN;
    for (const [key, c] of now) {
      const before = this.last.get(key);
      let lines = this.lines.get(key);
      if (!lines) this.lines.set(key, (lines = {}));
      for (const [name, n] of Object.entries(c)) {
        lines[name] ??= new Line();
        const rate = before && dt > 0 ? (n - before[name]) / dt : NaN;
        lines[name].values[slot] = rate >= 0 ? rate : NaN;
      }
    }
    if (now.size === 0) return;
    for (const key of this.lines.keys()) if (!now.has(key)) this.lines.delete(key);
    this.last = now;
  }

  /** rate is the newest value of a line; NaN where there is none. */
  rate(key, name) {
    return this.lines.get(key)?.[name]?.values[this.head % SLOTS] ?? NaN;
  }

  /** recent returns the newest n values, oldest first. */
  recent(key, name, n) {
    const values = this.lines.get(key)?.[name]?.values;
    const out = new Array(n).fill(NaN);
    if (!values) return out;
    const have = Math.min(n, this.head + 1, SLOTS);
    for (let i = 0; i < have; i++) out[n - 1 - i] = values[(this.head - i) % SLOTS];
    return out;
  }

  /** rising tells whether a counter has grown in the last moments. */
  rising(key, name = "count") {
    return this.recent(key, name, RISING).some((v) => v > 0);
  }

  /** moments are the times of all that is kept, oldest first. */
  moments() {
    const n = Math.min(this.head + 1, SLOTS);
    const out = new Array(n);
    for (let i = 0; i < n; i++) out[n - 1 - i] = this.times[(this.head - i) % SLOTS];
    return out;
  }

  /** column is a line for a chart, with null for what is not known. */
  column(key, name) {
    return this.recent(key, name, Math.min(this.head + 1, SLOTS)).map((v) => (Number.isNaN(v) ? null : v));
  }
}

const traffic = (r) => ({ rxBits: r.rx_bytes * 8, txBits: r.tx_bytes * 8, rxPackets: r.rx_packets, txPackets: r.tx_packets });

function sum(rows) {
  const all = { rxBits: 0, txBits: 0, rxPackets: 0, txPackets: 0 };
  for (const r of rows) for (const [name, n] of Object.entries(traffic(r))) all[name] += n;
  return all;
}

/** counters lists all counters of an overview by key. */
function counters(o) {
  const all = new Map();
  for (const p of o.ports) all.set(`port/${p.interface}/${p.vlan}/${p.vni}`, traffic(p));
  for (const v of o.vnis) all.set(`vni/${v.vni}`, traffic(v));
  for (const v of o.vteps) all.set(`vtep/${v.address}`, traffic(v));
  for (const d of o.drops) all.set(`drop/${d.reason}/${d.direction}`, { count: d.count });
  for (const r of o.learn_refused) all.set(`refused/${r.reason}`, { count: r.count });
  all.set("all/access", sum(o.ports));
  all.set("all/overlay", sum(o.vnis));
  all.set("all/drops", { count: o.drops.reduce((n, d) => n + d.count, 0) });
  return all;
}

/** portKey is the key of a port's lines. */
export const portKey = (p) => `port/${p.interface}/${p.vlan}/${p.vni}`;
