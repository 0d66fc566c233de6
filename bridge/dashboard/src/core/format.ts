/** Numbers and times as text. A minus is U+2212, as wide as a plus and a digit; what is not a number is an en dash. */

const NOTHING = '–';

export function fixed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return NOTHING;
  const digits = value.toFixed(decimals);
  // no minus zero
  return Number(digits) === 0 ? digits.replace('-', '') : digits.replace('-', '−');
}

/** Decimals that show a value of up to `largest` with four significant digits. */
export function decimalsFor(largest: number): number {
  if (!(largest > 0) || !Number.isFinite(largest)) return 3;
  return Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(largest) + 1e-9)));
}

/** Decimals of an axis whose ticks are `step` apart: as many as it takes to tell the ticks exactly. */
export function decimalsOfStep(step: number): number {
  let decimals = 0;
  for (let scaled = step; decimals < 9 && Math.abs(scaled - Math.round(scaled)) > 1e-6 * scaled; decimals++) scaled *= 10;
  return decimals;
}

/** 12,345 with a narrow no-break space as separator: 12 345. */
export function whole(value: number): string {
  if (!Number.isFinite(value)) return NOTHING;
  return fixed(Math.round(value), 0).replaceAll(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A rate in Hz or samples/s: `998.4`, `1 003`, `10.0`. */
export function rate(value: number): string {
  if (!Number.isFinite(value)) return NOTHING;
  return value >= 1000 ? whole(value) : fixed(value, value >= 100 ? 1 : value >= 10 ? 1 : 2);
}

/** A span of time: `34 s`, `12 min 05 s`, `3 h 07 min`, `2 d 04 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return NOTHING;
  const s = Math.floor(seconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}

/** An uncertainty: `±850 ns`, `±12 µs`, `±3.4 ms`. */
export function uncertainty(ns: number): string {
  if (ns < 1000) return `±${fixed(ns, 0)} ns`;
  if (ns < 1e6) return `±${fixed(ns / 1e3, ns < 1e4 ? 1 : 0)} µs`;
  if (ns < 1e9) return `±${fixed(ns / 1e6, ns < 1e7 ? 1 : 0)} ms`;
  return `±${fixed(ns / 1e9, 1)} s`;
}

/** Local wall-clock time of a Unix time in seconds, with as many decimals as asked for. */
export function clockTime(unixSeconds: number, decimals: number): string {
  // rounded first: 59.9996 with three decimals is the next minute
  const scale = 10 ** decimals;
  const rounded = Math.round(unixSeconds * scale) / scale;
  const date = new Date(Math.floor(rounded) * 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const rest = Math.round((rounded - Math.floor(rounded)) * scale);
  return decimals > 0 ? `${text}.${String(rest).padStart(decimals, '0')}` : text;
}
