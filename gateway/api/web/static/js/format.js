// Numbers as people read them: three digits and a prefix.

const prefixes = ["", "k", "M", "G", "T", "P"];

/** scaled returns a number as [digits, prefix]: [“12.3”, “k”]. */
export function scaled(n) {
  if (!Number.isFinite(n)) return ["–", ""];
  let i = 0;
  while (Math.abs(n) >= 999.5 && i < prefixes.length - 1) {
    n /= 1000;
    i++;
  }
  return [i === 0 ? digits(n) : n.toPrecision(3), prefixes[i]];
}

// Below a thousand what is whole has no fraction.
function digits(n) {
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  return n < 9.95 && n % 1 !== 0 ? n.toFixed(1) : n.toFixed(0);
}

const unit = (n, name) => {
  const [value, prefix] = scaled(n);
  return value === "–" ? ["–", ""] : [value, prefix + name];
};

/** bits is a rate of bits: ["1.24", "Gb/s"]. */
export const bits = (n) => unit(n, "b/s");

/** packets is a rate of packets: ["12.3", "kpps"]. */
export const packets = (n) => unit(n, "pps");

/** perSecond is a rate of anything else: ["3", "/s"]. */
export const perSecond = (n) => unit(n, "/s");

/** bytes is an amount: ["1.20", "GB"]. */
export const bytes = (n) => unit(n, "B");

/** words joins a number and its unit. */
export const words = ([value, name]) => (name ? `${value} ${name}` : value);

const grouped = new Intl.NumberFormat("en");

/** count is a whole number with its thousands apart. */
export const count = (n) => grouped.format(n);

/** plural is a number with what it counts. */
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

/** age is a time span in seconds in its two largest units: 5m 3s. */
export function age(seconds) {
  const t = Math.max(0, Math.floor(seconds));
  if (t < 60) return `${t}s`;
  if (t < 3600) return `${Math.floor(t / 60)}m ${t % 60}s`;
  if (t < 86400) return `${Math.floor(t / 3600)}h ${Math.floor(t / 60) % 60}m`;
  return `${Math.floor(t / 86400)}d ${Math.floor(t / 3600) % 24}h`;
}
