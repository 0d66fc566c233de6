/** Seconds that the right edge stays behind the newest sample, so that batches arrive before it gets there. */
const DISPLAY_LAG = 0.06;
/** Seconds that the edge goes on without data before it stands still. */
const HOLD = 1.5;
/** Data that come later than before by more than this many seconds have jumped back (replay), and are not merely late. */
const JUMP_BACK = 0.75;
/** Data that come earlier than before by more than this many seconds have jumped ahead (a backlog that is caught up). */
const JUMP_AHEAD = 0.15;

/**
 * Where a device's plots end: sample time that runs on smoothly between batches.
 *
 * Batches come in lumps; their sample time minus the page's clock (the *lead*) scatters below an upper envelope.
 * The playhead follows that envelope slowly, so that the plots glide.
 */
export class Playhead {
  #lead: number | null = null;
  #newest = -Infinity;
  #last = -Infinity;

  /** A batch ended at sample time `time`; the page's clock says `now`. Both in seconds. */
  observe(time: number, now: number): void {
    if (time < this.#newest - JUMP_BACK) this.#last = -Infinity;
    else if (time <= this.#newest) return;
    this.#newest = time;
    const lead = time - now;
    const change = this.#lead === null ? Infinity : lead - this.#lead;
    if (this.#lead === null || change > JUMP_AHEAD || change < -JUMP_BACK) {
      this.#lead = lead;
      this.#last = -Infinity;
    } else {
      this.#lead += (change > 0 ? 0.1 : 0.005) * change;
    }
  }

  /** Sample time at the right edge, in seconds; NaN before the first batch. Never goes back but for a jump. */
  at(now: number): number {
    if (this.#lead === null) return Number.NaN;
    const edge = Math.min(now + this.#lead - DISPLAY_LAG, this.#newest + HOLD);
    this.#last = Math.max(this.#last, edge);
    return this.#last;
  }

  /** Seconds since the newest sample, by the page's clock. */
  silence(now: number): number {
    return this.#lead === null ? Infinity : now + this.#lead - this.#newest;
  }
}
