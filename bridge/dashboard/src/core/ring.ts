/**
 * The newest samples of one stream: a ring of typed arrays, one for time and one per field.
 *
 * A *row* is one sample. Rows are numbered from 0 and never renumbered; the ring holds rows `begin` to `end - 1`.
 * A row whose values are all NaN is a *break*: the curve stops there.
 *
 *     row      begin                        end
 *              |  oldest kept … newest      |  next to be written
 *     slot = row & (capacity - 1)
 */
export class SampleRing {
  readonly capacity: number;
  readonly time: Float64Array;
  readonly values: readonly Float32Array[];
  readonly #mask: number;
  #end = 0;
  #begin = 0;
  #broken = true;

  /** `capacity` is rounded up to a power of two. */
  constructor(fields: number, capacity: number) {
    this.capacity = 2 ** Math.ceil(Math.log2(Math.max(2, capacity)));
    this.#mask = this.capacity - 1;
    this.time = new Float64Array(this.capacity);
    this.values = Array.from({ length: fields }, () => new Float32Array(this.capacity));
  }

  get fields(): number {
    return this.values.length;
  }

  get begin(): number {
    return this.#begin;
  }

  get end(): number {
    return this.#end;
  }

  slot(row: number): number {
    return row & this.#mask;
  }

  /** Time of the newest row in seconds, NaN where there is none. */
  get newest(): number {
    return this.#end > this.#begin ? this.#at(this.#end - 1) : Number.NaN;
  }

  /**
   * Appends samples `from` … of a batch: first sample at `time` seconds, then one each `period`.
   * A time that falls a little behind the newest row is pulled up to it.
   */
  append(time: number, period: number, columns: readonly Float32Array[], samples: number, from = 0): void {
    let floor = this.#end > this.#begin ? this.#at(this.#end - 1) : -Infinity;
    for (let sample = from; sample < samples; sample++) {
      const slot = this.#end & this.#mask;
      floor = Math.max(floor, time + sample * period);
      this.time[slot] = floor;
      for (let field = 0; field < this.values.length; field++) {
        this.values[field]![slot] = columns[field]![sample]!;
      }
      this.#advance();
    }
    if (samples > from) this.#broken = false;
  }

  /** Ends the curve here. Breaks in a row count once. */
  breakCurve(): void {
    if (this.#broken) return;
    const slot = this.#end & this.#mask;
    this.time[slot] = this.newest;
    for (const column of this.values) column[slot] = Number.NaN;
    this.#advance();
    this.#broken = true;
  }

  clear(): void {
    this.#begin = this.#end;
    this.#broken = true;
  }

  /** First row whose time is not below `time`; `end` where there is none. */
  lowerBound(time: number): number {
    let low = this.#begin;
    let high = this.#end;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (this.#at(middle) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A copy that later appends do not touch, by default of the same capacity; a smaller one keeps the newest rows. */
  copy(capacity = this.capacity): SampleRing {
    const copy = new SampleRing(this.fields, capacity);
    copy.#begin = Math.max(this.#begin, this.#end - copy.capacity);
    copy.#end = this.#end;
    copy.#broken = this.#broken;
    for (let row = copy.#begin; row < copy.#end; row++) {
      const from = this.slot(row);
      const to = copy.slot(row);
      copy.time[to] = this.time[from]!;
      for (let field = 0; field < this.fields; field++) {
        copy.values[field]![to] = this.values[field]![from]!;
      }
    }
    return copy;
  }

  #at(row: number): number {
    return this.time[row & this.#mask]!;
  }

  #advance(): void {
    this.#end += 1;
    if (this.#end - this.#begin > this.capacity) this.#begin = this.#end - this.capacity;
  }
}
