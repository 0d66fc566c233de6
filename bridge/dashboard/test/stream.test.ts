import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch, StreamInfo } from '../src/core/protocol.ts';
import { StreamModel } from '../src/core/stream.ts';

const INFO: StreamInfo = {
  name: 'imu',
  sensor: 'x',
  rateHz: 100,
  measuredRateHz: null,
  fields: [{ name: 'v', unit: 'V', fullScale: null }],
  state: '',
  enabled: null,
  derivedFrom: null,
  calibration: null,
};
const PERIOD_NS = 10_000_000;

function batch(index: number, samples: number, timeNs = index * PERIOD_NS): Batch {
  const columns = [Float32Array.from({ length: samples }, (_, k) => index + k)];
  return { kind: 1, sub: 1, seq: 0, index, timeNs: BigInt(timeNs), periodNs: PERIOD_NS, samples, columns };
}

function started(): StreamModel {
  const stream = new StreamModel('d', INFO);
  stream.subscribed(7, INFO.fields);
  return stream;
}

function values(stream: StreamModel): readonly (number | null)[] {
  const { ring } = stream;
  return Array.from({ length: ring.end - ring.begin }, (_, k) => {
    const value = ring.values[0]![ring.slot(ring.begin + k)]!;
    return Number.isNaN(value) ? null : value;
  });
}

test('batches that follow one another are one curve', () => {
  const stream = started();
  for (const index of [40, 43, 46]) stream.take(batch(index, 3), 0n, 0);
  assert.deepEqual(values(stream), [40, 41, 42, 43, 44, 45, 46, 47, 48]);
  assert.equal(stream.lostTotal, 0);
  assert.equal(stream.received, 9);
});

test('an announced gap breaks the curve, is counted by cause and marked on the axis', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.gap(2, 5, 'wire');
  stream.gap(7, 1, 'device');
  stream.take(batch(8, 1), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 8]);
  assert.deepEqual(Object.fromEntries(stream.lost), { wire: 5, device: 1 });
  assert.deepEqual(stream.marks, [{ from: 0.01, to: 0.08, count: 6, causes: ['wire', 'device'] }]);
});

test('a hole that nobody announced is counted as such', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.take(batch(5, 1), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 5]);
  assert.deepEqual(Object.fromEntries(stream.lost), { unannounced: 3 });
});

test('a gap of unknown length is counted apart', () => {
  const stream = started();
  stream.take(batch(0, 1), 0n, 0);
  stream.gap(1, null, 'host');
  stream.take(batch(900, 1), 0n, 0);
  assert.equal(stream.lostTotal, 0);
  assert.equal(stream.unknownGaps, 1);
  assert.deepEqual(values(stream), [0, null, 900]);
});

test('samples that are here already are not taken twice', () => {
  const stream = started();
  stream.take(batch(0, 4), 0n, 0);
  assert.ok(Number.isNaN(stream.take(batch(1, 2), 0n, 0)));
  stream.take(batch(2, 4), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, 2, 3, 4, 5]);
  assert.equal(stream.received, 6);
});

test('what was missed while the page was not connected is a break, no loss', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.interrupt();
  stream.subscribed(7, INFO.fields);
  stream.take(batch(50, 1), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 50]);
  assert.equal(stream.lostTotal, 0);
});

test('what is filled in after a reconnect joins on', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.interrupt();
  stream.subscribed(7, INFO.fields);
  stream.take(batch(2, 2), 0n, 0);
  assert.equal(stream.lostTotal, 0);
  assert.equal(stream.expected, 4);
  assert.deepEqual(values(stream), [0, 1, 2, 3]);
});

test('what the bridge no longer has after a reconnect is a loss, and a hole in the curve', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.interrupt();
  stream.subscribed(7, INFO.fields);
  stream.gap(2, 3, 'subscriber');
  stream.take(batch(5, 1), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 5]);
  assert.deepEqual(Object.fromEntries(stream.lost), { subscriber: 3 });
});

test('a reconnect into another epoch joins nothing on', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.interrupt();
  stream.subscribed(8, INFO.fields);
  stream.take(batch(2, 1), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 2]);
});

test('the rush after a reconnect is no rate, however long it takes', () => {
  const stream = started();
  const at = (k: number, now: number): void => void stream.take(batch(k, 1, 100_000_000 * k), 0n, now);
  for (let k = 0; k < 10; k++) at(k, 0.1 * k); // ten a second, none of them late
  stream.interrupt();
  stream.subscribed(7, INFO.fields);
  for (let k = 10; k < 100; k++) at(k, 7 + 0.033 * k); // thirty a second: caught up at 10 s
  for (let k = 100; k < 125; k++) at(k, 0.35 + 0.1 * k);
  assert.ok(Math.abs(stream.rate.read(12.8) - 10) < 0.5);
});

test('a new epoch starts its index anew without counting a loss', () => {
  const stream = started();
  stream.take(batch(1000, 2), 0n, 0);
  assert.equal(stream.startEpoch(8, INFO.fields, 0), false);
  stream.take(batch(0, 2, 1_100 * PERIOD_NS), 0n, 0);
  assert.deepEqual(values(stream), [1000, 1001, null, 0, 1]);
  assert.equal(stream.lostTotal, 0);
});

test('an epoch with other fields starts an empty curve', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  assert.equal(stream.startEpoch(8, [{ name: 'a', unit: 'V', fullScale: null }, { name: 'b', unit: 'V', fullScale: null }], 0), true);
  assert.equal(stream.ring.fields, 2);
  assert.equal(stream.take(batch(0, 1), 0n, 0), Number.NaN);
  assert.equal(stream.misfits, 1);
});

test('a long pause in time without a hole in the index is not bridged', () => {
  const stream = started();
  stream.take(batch(0, 1), 0n, 0);
  stream.take(batch(1, 1, 3_000_000_000), 0n, 0);
  assert.deepEqual(values(stream), [0, null, 1]);
});

test('time that jumps back (a replay that seeks) clears the curve', () => {
  const stream = started();
  stream.take(batch(0, 1, 9_000_000_000), 0n, 0);
  stream.take(batch(1, 1, 1_000_000_000), 0n, 0);
  assert.deepEqual(values(stream), [1]);
});

test('a higher rate makes room and keeps what there is', () => {
  const stream = started();
  stream.take(batch(0, 3), 0n, 0);
  const before = stream.ring.capacity;
  stream.describe({ ...INFO, rateHz: 6660 });
  assert.ok(stream.ring.capacity > before);
  assert.deepEqual(values(stream), [0, 1, 2]);
});

test('a sensor that is found, and a part that is another, are drawn anew; the rest is not', () => {
  const stream = new StreamModel('a', { ...INFO, sensor: '', state: 'absent' });
  assert.equal(stream.absent, true);
  assert.equal(stream.describe({ ...INFO, sensor: 'tmp117', state: 'streaming' }), true);
  assert.equal(stream.describe({ ...INFO, sensor: 'tmp117', state: 'missing', rateHz: 50 }), false);
  assert.equal(stream.describe({ ...INFO, sensor: 'lm75', state: 'missing' }), true);
  assert.equal(stream.enter('streaming'), false);
  assert.equal(stream.enter('absent'), true);
});

test('a curve ends where the stream was switched off, also for less than a second', () => {
  const stream = started();
  stream.take(batch(0, 2), 0n, 0);
  stream.describe({ ...INFO, enabled: false });
  stream.describe({ ...INFO, enabled: true });
  stream.take(batch(2, 2), 0n, 0);
  assert.deepEqual(values(stream), [0, 1, null, 2, 3]);
});
