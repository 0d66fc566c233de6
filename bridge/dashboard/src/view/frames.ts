const SAMPLES = 240;
/** Share of the time that drawing may take; beyond it, frames are left out. */
const BUDGET = 0.5;

/** Decides when a frame is worth drawing, and measures what it costs. */
export class FrameClock {
  drawn = 0;
  readonly #costs = new Float64Array(SAMPLES);
  #last = -Infinity;

  /** Whether the curves have moved by half a device pixel (`pixelTime` seconds each) and the last frame is paid for. */
  due(now: number, pixelTime: number): boolean {
    const elapsed = now - this.#last;
    return elapsed >= pixelTime / 2 - 0.002 && elapsed >= this.#lastCost() / 1000 / BUDGET;
  }

  measure(now: number, draw: () => void): void {
    this.#last = now;
    const start = performance.now();
    draw();
    this.#costs[this.drawn % SAMPLES] = performance.now() - start;
    this.drawn += 1;
  }

  /** Milliseconds a frame took over the last few seconds. */
  statistics(): { readonly frames: number; readonly medianMs: number; readonly p95Ms: number } {
    const costs = this.#costs.slice(0, Math.min(this.drawn, SAMPLES)).sort();
    const at = (share: number): number => costs[Math.min(costs.length - 1, Math.floor(share * costs.length))] ?? 0;
    return { frames: this.drawn, medianMs: at(0.5), p95Ms: at(0.95) };
  }

  #lastCost(): number {
    return this.drawn === 0 ? 0 : this.#costs[(this.drawn - 1) % SAMPLES]!;
  }
}
