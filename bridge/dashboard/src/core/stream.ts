import type { Batch, FieldInfo, StreamInfo } from './protocol.ts';
import { RateMeter } from './rate.ts';
import { SampleRing } from './ring.ts';

/** Seconds of samples that are kept: the longest window, and room to look back. */
const KEEP_S = 150;
const LEAST_ROWS = 2048;
const MOST_ROWS = 2 ** 20;
/** Time may fall back by this much (slewed clocks) before it counts as a jump to another time. */
const STEP_BACK_S = 0.5;
/** A pause in the time of consecutive samples that ends the curve: so many periods, but at least a second. */
const PAUSE_PERIODS = 5;
const MOST_MARKS = 512;
/** What is of the past comes in a rush that says nothing about the rate, until its lag has not shrunk for so many seconds. */
const CATCH_UP_S = 1;
const LAG_STEP_S = 0.05;

/** Where samples are missing on the time axis. `to` is NaN until data go on. */
export interface LossMark {
  readonly from: number;
  to: number;
  count: number;
  causes: string[];
}

/** One stream of one device: its samples, and what became of those that are not there. */
export class StreamModel {
  readonly device: string;
  info: StreamInfo;
  fields: readonly FieldInfo[];
  ring: SampleRing;
  epoch: number | null = null;
  /** Index that the next sample should have; null where any will do. */
  expected: number | null = null;
  received = 0;
  /** Samples lost, by cause, since the page was opened. */
  readonly lost = new Map<string, number>();
  unknownGaps = 0;
  /** Binary messages that did not fit the stream's fields. */
  misfits = 0;
  /** Why the bridge refused the subscription; empty where it did not. */
  refusal = '';
  /** What the newest message that says so, of the device or its health, says of the sensor; empty where none did. */
  state: string;
  readonly rate = new RateMeter();
  readonly marks: LossMark[] = [];
  #openMark: LossMark | null = null;
  #resuming = true;
  /** What comes next may be of the past, all at once. */
  #rushes = false;
  #settledAt = -Infinity;
  #leastLag = Infinity;
  /** Epoch and index from which on losses happened while the page was open. */
  #present: readonly [epoch: number, index: number] | null = null;

  constructor(device: string, info: StreamInfo) {
    this.device = device;
    this.info = info;
    this.state = info.state;
    this.fields = info.fields;
    this.ring = new SampleRing(info.fields.length, rowsFor(info.rateHz));
  }

  get lostTotal(): number {
    let total = 0;
    for (const count of this.lost.values()) total += count;
    return total;
  }

  /** Whether the bridge computes it from another stream: its losses are that one's. */
  get derived(): boolean {
    return this.info.derivedFrom !== null;
  }

  /** An optional sensor that was never found: there is nothing to draw. */
  get absent(): boolean {
    return this.state === 'absent';
  }

  /** Takes a new description. Returns whether what is drawn changed: the fields, the part, or that it is there at all. */
  describe(info: StreamInfo): boolean {
    const part = this.info.sensor !== info.sensor;
    // however short it is off: there was nothing between the samples before and after
    if (info.enabled === false && this.info.enabled !== false) this.ring.breakCurve();
    this.info = info;
    const found = info.state !== '' && this.enter(info.state);
    if (rowsFor(info.rateHz) > this.ring.capacity) this.ring = this.ring.copy(rowsFor(info.rateHz));
    return this.#setFields(info.fields) || part || found;
  }

  /** Takes a new state of the sensor. Returns whether it was found, or ceased to be. */
  enter(state: string): boolean {
    const { absent } = this;
    this.state = state;
    return this.absent !== absent;
  }

  /** What comes first is older than the page: its losses are drawn and not counted. */
  startInThePast(epoch: number, presentIndex: number): void {
    this.#present = [epoch, presentIndex];
    this.#rushes = true;
  }

  /** A subscription starts or goes on at `epoch`. Returns whether the fields changed. */
  subscribed(epoch: number, fields: readonly FieldInfo[]): boolean {
    this.refusal = '';
    if (epoch !== this.epoch) {
      this.expected = null;
      this.ring.breakCurve();
    }
    this.epoch = epoch;
    this.#resuming = true;
    return fields.length > 0 && this.#setFields(fields);
  }

  /** The index starts anew. Returns whether the fields changed. */
  startEpoch(epoch: number, fields: readonly FieldInfo[], nextIndex: number): boolean {
    this.epoch = epoch;
    this.expected = nextIndex;
    this.#resuming = true;
    this.ring.breakCurve();
    this.rate.clear();
    return fields.length > 0 && this.#setFields(fields);
  }

  /** The connection went: what follows joins on if the bridge can fill in what was missed. */
  interrupt(): void {
    this.#resuming = this.#rushes = true;
    this.rate.clear();
  }

  gap(index: number, count: number | null, cause: string): void {
    const [epoch, present] = this.#present ?? [null, 0];
    this.#lose(count, cause, epoch !== this.epoch || index >= present);
    this.expected = count === null ? null : index + count;
  }

  /**
   * Takes a batch. `originNs` is the page's zero of time. Returns the time of the batch's last sample in seconds, NaN
   * where nothing of it was new.
   */
  take(batch: Batch, originNs: bigint, now: number): number {
    if (batch.columns.length !== this.fields.length || batch.samples === 0) {
      this.misfits += 1;
      return Number.NaN;
    }
    if (this.#resuming && this.#rushes) {
      this.#settledAt = now + CATCH_UP_S;
      this.#leastLag = Infinity;
    }
    const skip = this.#place(batch);
    if (skip >= batch.samples) return Number.NaN;
    const time = Number(batch.timeNs - originNs) / 1e9;
    const period = batch.periodNs / 1e9;
    const first = time + skip * period;
    this.#breakWhereTimeDoes(first, period);
    if (this.#openMark !== null) {
      this.#openMark.to = first;
      this.#openMark = null;
    }
    this.ring.append(time, period, batch.columns, batch.samples, skip);
    this.received += batch.samples - skip;
    if (now >= this.#settledAt) {
      this.rate.add(batch.samples - skip, now);
    } else if (now - this.ring.newest < this.#leastLag - LAG_STEP_S) {
      this.#leastLag = now - this.ring.newest;
      this.#settledAt = now + CATCH_UP_S;
    }
    return this.ring.newest;
  }

  /** Compares the batch's index with what should come; returns how many of its samples are here already. */
  #place(batch: Batch): number {
    const expected = this.expected;
    let skip = 0;
    if (expected !== null && batch.index !== expected) {
      if (batch.index < expected) skip = Math.min(expected - batch.index, batch.samples);
      else if (this.#resuming) this.ring.breakCurve();
      else this.#lose(batch.index - expected, 'unannounced', true);
    }
    this.#resuming = false;
    this.expected = Math.max(expected ?? 0, batch.index + batch.samples);
    return skip;
  }

  #breakWhereTimeDoes(first: number, period: number): void {
    const newest = this.ring.newest;
    if (Number.isNaN(newest)) return;
    if (first < newest - STEP_BACK_S) {
      this.ring.clear();
      this.marks.length = 0;
      this.#openMark = null;
      return;
    }
    const usual = period > 0 ? period : 1 / (this.info.rateHz || 1);
    if (first - newest > Math.max(1, PAUSE_PERIODS * usual)) this.ring.breakCurve();
  }

  #lose(count: number | null, cause: string, counted: boolean): void {
    if (counted && count === null) this.unknownGaps += 1;
    if (counted && count !== null) this.lost.set(cause, (this.lost.get(cause) ?? 0) + count);
    this.ring.breakCurve();
    const from = this.ring.newest;
    if (Number.isNaN(from)) return;
    if (this.#openMark === null) {
      this.#openMark = { from, to: Number.NaN, count: 0, causes: [] };
      this.marks.push(this.#openMark);
      if (this.marks.length > MOST_MARKS) this.marks.shift();
    }
    this.#openMark.count += count ?? 0;
    if (!this.#openMark.causes.includes(cause)) this.#openMark.causes.push(cause);
  }

  #setFields(fields: readonly FieldInfo[]): boolean {
    if (sameFields(fields, this.fields)) return false;
    this.fields = fields;
    this.ring = new SampleRing(fields.length, rowsFor(this.info.rateHz));
    this.marks.length = 0;
    this.#openMark = null;
    return true;
  }
}

function rowsFor(rateHz: number): number {
  return Math.min(MOST_ROWS, Math.max(LEAST_ROWS, rateHz * KEEP_S));
}

export function sameFields(a: readonly FieldInfo[], b: readonly FieldInfo[]): boolean {
  return a.length === b.length && a.every((field, i) => field.name === b[i]!.name && field.unit === b[i]!.unit);
}
