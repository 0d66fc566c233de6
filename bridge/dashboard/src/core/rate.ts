/** Counts a second over the last few seconds. Fed with what arrived when; batches closer than `MERGE` are one entry. */
const WINDOW = 4;
const MERGE = 0.02;

export class RateMeter {
  #times: number[] = [];
  #counts: number[] = [];

  /** `count` things arrived at `now` seconds. */
  add(count: number, now: number): void {
    const newest = this.#times.length - 1;
    if (newest >= 1 && now - this.#times[newest - 1]! < MERGE) {
      this.#counts[newest]! += count;
      this.#times[newest] = now;
    } else {
      this.#times.push(now);
      this.#counts.push(count);
    }
    this.#forget(now);
  }

  /** Counts a second at `now` seconds; 0 when nothing came lately. */
  read(now: number): number {
    this.#forget(now);
    const length = this.#times.length;
    if (length < 2) return 0;
    const newest = this.#times[length - 1]!;
    const span = newest - this.#times[0]!;
    // what came first opened the interval and does not count
    const total = this.#counts.reduce((sum, count) => sum + count, 0) - this.#counts[0]!;
    const spacing = span / (length - 1);
    // silence longer than two spacings is not jitter: the rate falls
    const silence = now - newest > 2 * spacing + 0.1 ? now - newest : 0;
    return span > 0 ? total / (span + silence) : 0;
  }

  clear(): void {
    this.#times = [];
    this.#counts = [];
  }

  #forget(now: number): void {
    let old = 0;
    while (old < this.#times.length && this.#times[old]! < now - WINDOW) old++;
    if (old > 0) {
      this.#times.splice(0, old);
      this.#counts.splice(0, old);
    }
  }
}
