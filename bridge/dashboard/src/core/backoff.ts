/** Seconds to wait before each further attempt: doubling from `first` to `most`, spread by ±25 % so that many pages do not come at once. */
export class Backoff {
  #attempts = 0;
  readonly #first: number;
  readonly #most: number;
  readonly #random: () => number;

  constructor(first = 0.5, most = 10, random: () => number = Math.random) {
    this.#first = first;
    this.#most = most;
    this.#random = random;
  }

  get attempts(): number {
    return this.#attempts;
  }

  next(): number {
    const delay = Math.min(this.#most, this.#first * 2 ** this.#attempts);
    this.#attempts += 1;
    return delay * (0.75 + 0.5 * this.#random());
  }

  reset(): void {
    this.#attempts = 0;
  }
}
