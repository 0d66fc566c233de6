import type { SampleRing } from './ring.ts';

/**
 * Minimum, maximum and power of each pixel column of a scrolling plot.
 *
 * Time is cut into columns of `width` seconds, aligned to time itself and not to the window, so that a column stays
 * what it is while the plot scrolls. Each sample is looked at once, when it arrives; drawing costs the columns
 * only, however many samples they stand for. A ring over the column number holds the newest `capacity` columns.
 */
export class Columns {
  readonly width: number;
  readonly #capacity: number;
  readonly #fields: readonly number[];
  readonly #id: Float64Array;
  readonly #broken: Uint8Array;
  readonly #cells: readonly Cells[];
  #source: SampleRing | null = null;
  #next = 0;
  #since = Infinity;

  /** `fields`: which of the ring's fields, in the order of the output. */
  constructor(fields: readonly number[], width: number, capacity: number) {
    this.width = width;
    this.#fields = fields;
    this.#capacity = capacity;
    this.#id = new Float64Array(capacity).fill(Number.NaN);
    this.#broken = new Uint8Array(capacity);
    this.#cells = fields.map(() => new Cells(capacity));
  }

  /**
   * Takes in the ring's rows up to `until` seconds: those that came since the last call, or all from `since` seconds on where
   * it is another ring or an earlier time.
   */
  update(ring: SampleRing, since: number, until: number): void {
    if (ring !== this.#source || this.#next < ring.begin || this.#next > ring.end || since < this.#since) {
      this.#id.fill(Number.NaN);
      this.#source = ring;
      this.#next = ring.lowerBound(since);
      this.#since = since;
    }
    const { time } = ring;
    const end = ring.lowerBound(until);
    for (; this.#next < end; this.#next++) {
      const row = ring.slot(this.#next);
      const column = Math.floor(time[row]! / this.width);
      const slot = modulo(column, this.#capacity);
      if (this.#id[slot] !== column) this.#open(slot, column);
      let present = 0;
      for (let k = 0; k < this.#fields.length; k++) {
        const value = ring.values[this.#fields[k]!]![row]!;
        if (value === value) {
          this.#cells[k]!.add(slot, value);
          present++;
        }
      }
      if (present === 0) this.#broken[slot] = 1;
    }
  }

  /** Writes the columns that overlap `from` … `to` seconds into `out`. */
  trace(from: number, to: number, out: Trace): void {
    out.reset();
    const last = Math.floor(to / this.width);
    for (let column = Math.floor(from / this.width) - 1; column <= last; column++) {
      const slot = modulo(column, this.#capacity);
      if (this.#id[slot] !== column) continue;
      const start = column * this.width;
      const counts = (column + 1) * this.width > from;
      out.begin(start + 0.25 * this.width, start + 0.75 * this.width);
      for (let k = 0; k < this.#cells.length; k++) {
        const cell = this.#cells[k]!;
        if (cell.count[slot] === 0) continue;
        out.column(k, cell.min[slot]!, cell.max[slot]!, cell.minLast[slot] === 1);
        if (counts) out.statistics[k]!.merge(cell.min[slot]!, cell.max[slot]!, cell.power[slot]!, cell.count[slot]!);
      }
      if (this.#broken[slot] === 1) out.cut(start + this.width);
    }
  }

  #open(slot: number, column: number): void {
    this.#id[slot] = column;
    this.#broken[slot] = 0;
    for (const cell of this.#cells) cell.clear(slot);
  }
}

class Cells {
  readonly min: Float32Array;
  readonly max: Float32Array;
  readonly power: Float64Array;
  readonly count: Uint32Array;
  /** Whether the minimum came after the maximum. */
  readonly minLast: Uint8Array;

  constructor(capacity: number) {
    this.min = new Float32Array(capacity);
    this.max = new Float32Array(capacity);
    this.power = new Float64Array(capacity);
    this.count = new Uint32Array(capacity);
    this.minLast = new Uint8Array(capacity);
  }

  clear(slot: number): void {
    this.min[slot] = Infinity;
    this.max[slot] = -Infinity;
    this.power[slot] = 0;
    this.count[slot] = 0;
  }

  add(slot: number, value: number): void {
    if (value < this.min[slot]!) {
      this.min[slot] = value;
      this.minLast[slot] = 1;
    }
    if (value > this.max[slot]!) {
      this.max[slot] = value;
      this.minLast[slot] = 0;
    }
    this.power[slot]! += value * value;
    this.count[slot]! += 1;
  }
}

/** Smallest, largest and root mean square of the samples in view. NaN without samples. */
export class Statistics {
  min = Number.NaN;
  max = Number.NaN;
  count = 0;
  #power = 0;

  get rms(): number {
    return Math.sqrt(this.#power / this.count);
  }

  clear(): void {
    this.min = this.max = Number.NaN;
    this.count = this.#power = 0;
  }

  merge(min: number, max: number, power: number, count: number): void {
    if (!(this.min <= min)) this.min = min;
    if (!(this.max >= max)) this.max = max;
    this.#power += power;
    this.count += count;
  }
}

/** Points to draw: `x` and one `y` a field, NaN where the pen is lifted. Memory is reused from frame to frame. */
export class Trace {
  readonly statistics: readonly Statistics[];
  length = 0;
  #x: Float64Array;
  #y: Float32Array[];

  constructor(fields: number) {
    this.#x = new Float64Array(256);
    this.#y = Array.from({ length: fields }, () => new Float32Array(256));
    this.statistics = Array.from({ length: fields }, () => new Statistics());
  }

  get x(): Float64Array {
    return this.#x.subarray(0, this.length);
  }

  y(field: number): Float32Array {
    return this.#y[field]!.subarray(0, this.length);
  }

  reset(): void {
    this.length = 0;
    for (const one of this.statistics) one.clear();
  }

  /** Opens the two points of a pixel column. */
  begin(x0: number, x1: number): void {
    this.#point(x0);
    this.#point(x1);
  }

  column(field: number, min: number, max: number, minLast: boolean): void {
    const y = this.#y[field]!;
    y[this.length - 2] = minLast ? max : min;
    y[this.length - 1] = minLast ? min : max;
  }

  cut(x: number): void {
    this.#point(x);
  }

  /** One sample as it is. */
  sample(x: number, ring: SampleRing, fields: readonly number[], slot: number, counts: boolean): void {
    this.#point(x);
    for (let k = 0; k < fields.length; k++) {
      const value = ring.values[fields[k]!]![slot]!;
      this.#y[k]![this.length - 1] = value;
      if (counts && value === value) this.statistics[k]!.merge(value, value, value * value, 1);
    }
  }

  #point(x: number): void {
    if (this.length === this.#x.length) this.#grow();
    this.#x[this.length] = x;
    for (const y of this.#y) y[this.length] = Number.NaN;
    this.length += 1;
  }

  #grow(): void {
    const size = 2 * this.#x.length;
    const x = new Float64Array(size);
    x.set(this.#x);
    this.#x = x;
    this.#y = this.#y.map((old) => {
      const grown = new Float32Array(size);
      grown.set(old);
      return grown;
    });
  }
}

/**
 * What a plot draws of a ring: pixel columns where there are more samples than `pixels`, else the samples themselves.
 * Either way no spike is lost, and nothing is drawn across a break.
 */
export class Decimator {
  readonly trace: Trace;
  readonly #fields: readonly number[];
  #columns: Columns | null = null;

  constructor(fields: readonly number[]) {
    this.#fields = fields;
    this.trace = new Trace(fields.length);
  }

  run(ring: SampleRing, from: number, to: number, pixels: number): Trace {
    const first = ring.lowerBound(from);
    const last = ring.lowerBound(to);
    if (last - first <= 2 * pixels) this.#samples(ring, first, last, from);
    else this.#pixels(ring, from, to, pixels);
    return this.trace;
  }

  #samples(ring: SampleRing, first: number, last: number, from: number): void {
    this.trace.reset();
    const end = Math.min(ring.end, last + 1);
    for (let row = Math.max(ring.begin, first - 1); row < end; row++) {
      const slot = ring.slot(row);
      const time = ring.time[slot]!;
      this.trace.sample(time, ring, this.#fields, slot, time >= from && row < last);
    }
  }

  #pixels(ring: SampleRing, from: number, to: number, pixels: number): void {
    const width = (to - from) / pixels;
    if (this.#columns === null || Math.abs(this.#columns.width / width - 1) > 1e-6) {
      this.#columns = new Columns(this.#fields, width, 2 * Math.ceil(pixels) + 8);
    }
    this.#columns.update(ring, from - width, to + width);
    this.#columns.trace(from, to, this.trace);
  }
}

function modulo(value: number, divisor: number): number {
  const rest = value % divisor;
  return rest < 0 ? rest + divisor : rest;
}
