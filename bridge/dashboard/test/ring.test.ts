import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SampleRing } from '../src/core/ring.ts';

function rows(ring: SampleRing): readonly (readonly [number, number])[] {
  const all: [number, number][] = [];
  for (let row = ring.begin; row < ring.end; row++) all.push([ring.time[ring.slot(row)]!, ring.values[0]![ring.slot(row)]!]);
  return all;
}

test('a ring keeps the newest rows', () => {
  const ring = new SampleRing(1, 4);
  for (let i = 0; i < 7; i++) ring.append(i, 0, [Float32Array.of(i)], 1);
  assert.deepEqual(rows(ring), [[3, 3], [4, 4], [5, 5], [6, 6]]);
  assert.equal(ring.newest, 6);
});

test('a batch longer than the ring leaves its end', () => {
  const ring = new SampleRing(1, 4);
  ring.append(0, 0.5, [Float32Array.from({ length: 9 }, (_, i) => i)], 9);
  assert.deepEqual(rows(ring), [[2.5, 5], [3, 6], [3.5, 7], [4, 8]]);
});

test('a batch may be taken from its middle on', () => {
  const ring = new SampleRing(1, 8);
  ring.append(10, 1, [Float32Array.of(1, 2, 3)], 3, 2);
  assert.deepEqual(rows(ring), [[12, 3]]);
});

test('breaks in a row are one break, and none at the start', () => {
  const ring = new SampleRing(1, 8);
  ring.breakCurve();
  assert.equal(ring.end, 0);
  ring.append(1, 1, [Float32Array.of(5)], 1);
  ring.breakCurve();
  ring.breakCurve();
  assert.deepEqual(rows(ring), [[1, 5], [1, Number.NaN]]);
});

test('time never falls within the ring', () => {
  const ring = new SampleRing(1, 8);
  ring.append(1, 1, [Float32Array.of(0, 0)], 2);
  ring.append(1.9, 1, [Float32Array.of(0, 0)], 2);
  assert.deepEqual(rows(ring).map(([time]) => time), [1, 2, 2, 2.9]);
});

test('the lower bound finds the first row not before a time, across the wrap', () => {
  const ring = new SampleRing(1, 8);
  for (let i = 0; i < 13; i++) ring.append(i, 0, [Float32Array.of(i)], 1);
  for (let time = 0; time <= 13.5; time += 0.5) {
    let expected = ring.begin;
    while (expected < ring.end && ring.time[ring.slot(expected)]! < time) expected++;
    assert.equal(ring.lowerBound(time), expected);
  }
});

test('a copy is not touched by what comes later, and keeps row numbers', () => {
  const ring = new SampleRing(1, 4);
  for (let i = 0; i < 6; i++) ring.append(i, 0, [Float32Array.of(i)], 1);
  const [same, larger] = [ring.copy(), ring.copy(16)];
  ring.append(6, 0, [Float32Array.of(6)], 1);
  for (const copy of [same, larger]) {
    assert.deepEqual(rows(copy), [[2, 2], [3, 3], [4, 4], [5, 5]]);
    assert.deepEqual([copy.begin, copy.end], [2, 6]);
  }
});
