export interface Range {
  readonly min: number;
  readonly max: number;
}

const HEADROOM = 0.08;
/** Shrinks only when the data fill less than this share of the range … */
const SLACK = 0.55;
/** … and have done so for this long, in seconds. */
const PATIENCE = 2;

/**
 * A y range that grows at once, so that nothing is ever off the plot, and shrinks late, so that it does not
 * breathe with the signal. Its limits are whole steps of 1, 2 or 5 times a power of ten.
 */
export class AutoScale {
  #range: Range | null = null;
  #slackSince: number | null = null;
  get range(): Range | null {
    return this.#range;
  }

  reset(): void {
    this.#range = null;
    this.#slackSince = null;
  }

  /**
   * The range for data between `min` and `max` (NaN where there are none) at `now` seconds. `leastSpan`: a constant signal
   * still gets an axis, and noise far below it does not fill the plot.
   */
  update(min: number, max: number, leastSpan: number, now: number): Range {
    if (!Number.isFinite(min) || !Number.isFinite(max)) return this.#range ?? { min: -1, max: 1 };
    const wanted = niceRange(min, max, leastSpan);
    const current = this.#range;
    if (current === null) {
      this.#range = wanted;
    } else if (min < current.min || max > current.max) {
      this.#range = { min: Math.min(wanted.min, current.min), max: Math.max(wanted.max, current.max) };
      this.#slackSince = null;
    } else if (wanted.max - wanted.min < SLACK * (current.max - current.min)) {
      this.#slackSince ??= now;
      if (now - this.#slackSince >= PATIENCE) {
        this.#range = wanted;
        this.#slackSince = null;
      }
    } else {
      this.#slackSince = null;
    }
    return this.#range!;
  }
}

/** The smallest range with headroom around `min` … `max` whose limits are whole steps. */
export function niceRange(min: number, max: number, leastSpan: number): Range {
  // relative floor: float32 values carry about seven digits, a finer axis would show their rounding
  const span = Math.max(max - min, leastSpan, 1e-6 * Math.max(Math.abs(min), Math.abs(max)));
  const middle = (min + max) / 2;
  const low = middle - span * (0.5 + HEADROOM);
  const high = middle + span * (0.5 + HEADROOM);
  const step = niceStep((high - low) / 8);
  return { min: Math.floor(low / step + 1e-9) * step, max: Math.ceil(high / step - 1e-9) * step };
}

/** The smallest of 1, 2, 5 times a power of ten that is not below `least`. */
export function niceStep(least: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(least));
  const mantissa = least / magnitude;
  return magnitude * (mantissa <= 1 + 1e-9 ? 1 : mantissa <= 2 + 1e-9 ? 2 : mantissa <= 5 + 1e-9 ? 5 : 10);
}
