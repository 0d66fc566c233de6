import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Decimator, type Trace } from '../src/core/columns.ts';
import { SampleRing } from '../src/core/ring.ts';

const RATE = 1000;

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

function fill(ring: SampleRing, from: number, count: number, value: (sample: number) => number): void {
  for (let i = 0; i < count; i += 20) {
    const n = Math.min(20, count - i);
    ring.append((from + i) / RATE, 1 / RATE, [Float32Array.from({ length: n }, (_, k) => value(from + i + k))], n);
  }
}

function segments(trace: Trace): readonly (readonly [number, number])[] {
  const all: [number, number][] = [];
  const [x, y] = [trace.x, trace.y(0)];
  for (let i = 1; i < trace.length; i++) {
    if (!Number.isNaN(y[i - 1]!) && !Number.isNaN(y[i]!)) all.push([x[i - 1]!, x[i]!]);
  }
  return all;
}

test('a single spike among 60 000 samples is drawn at its full height', () => {
  const ring = new SampleRing(1, 65536);
  fill(ring, 0, 60_000, (i) => (i === 31_415 ? 100 : i === 27_182 ? -50 : 0));
  const trace = new Decimator([0]).run(ring, 0, 60, 1000);
  assert.ok(trace.length <= 2100, `${trace.length} points`);
  assert.equal(Math.max(...trace.y(0)), 100);
  assert.equal(Math.min(...trace.y(0)), -50);
});

test('minimum, maximum and RMS are those of the samples in view', () => {
  const noise = random(1);
  const ring = new SampleRing(1, 32768);
  const samples: number[] = [];
  fill(ring, 0, 20_000, () => {
    const value = Math.fround(noise());
    samples.push(value);
    return value;
  });
  const statistics = new Decimator([0]).run(ring, 5, 15, 500).statistics[0]!;
  const inView = samples.slice(5000, 15_000);
  assert.equal(statistics.min, Math.min(...inView));
  assert.equal(statistics.max, Math.max(...inView));
  const rms = Math.sqrt(inView.reduce((sum, value) => sum + value * value, 0) / inView.length);
  // the column at the right edge is whole
  assert.ok(Math.abs(statistics.rms / rms - 1) < 0.005);
});

test('drawing while samples arrive gives what drawing once at the end gives', () => {
  const noise = random(2);
  const values = Array.from({ length: 12_000 }, noise);
  const [live, late] = [new SampleRing(1, 8192), new SampleRing(1, 8192)];
  const decimator = new Decimator([0]);
  for (let i = 0; i < values.length; i += 200) {
    fill(live, i, 200, (k) => values[k]!);
    const edge = (i + 200) / RATE;
    decimator.run(live, edge - 4, edge, 300);
  }
  fill(late, 0, values.length, (k) => values[k]!);
  const [a, b] = [decimator.trace, new Decimator([0]).run(late, 8, 12, 300)];
  assert.deepEqual(a.x, b.x);
  assert.deepEqual(a.y(0), b.y(0));
});

test('columns do not move while the window slides by less than a column', () => {
  const noise = random(3);
  const ring = new SampleRing(1, 16384);
  fill(ring, 0, 10_000, noise);
  const decimator = new Decimator([0]);
  const first = decimator.run(ring, 1, 9, 400);
  const before = new Set(first.x);
  const second = decimator.run(ring, 1.004, 9.004, 400);
  const shared = Array.from(second.x).filter((x) => before.has(x)).length;
  assert.ok(shared >= second.length - 2);
});

for (const [name, pixels] of [['sample by sample', 100_000], ['in columns', 200]] as const) {
  test(`nothing is drawn across a gap (${name})`, () => {
    const ring = new SampleRing(1, 16384);
    fill(ring, 0, 4000, () => 1);
    ring.breakCurve();
    fill(ring, 6000, 4000, () => 2);
    const trace = new Decimator([0]).run(ring, 0, 10, pixels);
    for (const [from, to] of segments(trace)) assert.ok(to <= 4.05 || from >= 5.95, `${from} to ${to}`);
    assert.ok(segments(trace).some(([, to]) => to < 4) && segments(trace).some(([from]) => from > 6));
  });
}

test('a field that is not there lifts its own pen only', () => {
  const ring = new SampleRing(2, 1024);
  for (let i = 0; i < 10; i++) ring.append(i, 0, [Float32Array.of(i), Float32Array.of(i === 5 ? Number.NaN : i)], 1);
  const trace = new Decimator([0, 1]).run(ring, 0, 10, 100);
  assert.equal(Array.from(trace.y(0)).filter(Number.isNaN).length, 0);
  assert.equal(Array.from(trace.y(1)).filter(Number.isNaN).length, 1);
});

test('a sparse stream is drawn sample by sample, with the one before the window', () => {
  const ring = new SampleRing(1, 64);
  for (let i = 0; i < 30; i++) ring.append(i, 0, [Float32Array.of(i)], 1);
  const trace = new Decimator([0]).run(ring, 10.5, 20.5, 500);
  assert.deepEqual(Array.from(trace.x), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
  assert.deepEqual([trace.statistics[0]!.min, trace.statistics[0]!.max, trace.statistics[0]!.count], [11, 20, 10]);
});

test('another ring is looked at anew', () => {
  const [one, other] = [new SampleRing(1, 8192), new SampleRing(1, 8192)];
  fill(one, 0, 8000, () => 1);
  fill(other, 0, 8000, () => 2);
  const decimator = new Decimator([0]);
  decimator.run(one, 0, 8, 100);
  assert.equal(decimator.run(other, 0, 8, 100).statistics[0]!.min, 2);
});

test('a view into the past is drawn, also after a later one', () => {
  const ring = new SampleRing(1, 65536);
  fill(ring, 0, 60_000, (i) => i);
  const decimator = new Decimator([0]);
  assert.equal(decimator.run(ring, 50, 60, 100).statistics[0]!.min, 50_000);
  assert.equal(decimator.run(ring, 10, 20, 100).statistics[0]!.min, 10_000);
  assert.equal(decimator.trace.length, 204);
});
