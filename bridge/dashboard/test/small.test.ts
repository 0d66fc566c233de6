import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AutoScale, niceRange, niceStep } from '../src/core/autoscale.ts';
import { Backoff } from '../src/core/backoff.ts';
import { clockTime, decimalsFor, decimalsOfStep, duration, fixed, rate, uncertainty, whole } from '../src/core/format.ts';
import { colourIndexes, groupByUnit } from '../src/core/groups.ts';
import { Playhead } from '../src/core/playhead.ts';
import { RateMeter } from '../src/core/rate.ts';
import { displayUnit, quantity } from '../src/core/units.ts';

test('fields are grouped by unit, in their order, and told apart by what differs in their names', () => {
  const imu = ['accel_x', 'accel_y', 'accel_z', 'gyro_x', 'gyro_y', 'gyro_z'];
  const groups = groupByUnit(imu.map((name) => ({ name, unit: name.startsWith('a') ? 'm/s^2' : 'rad/s' })));
  assert.deepEqual(groups.map((group) => group.title), ['Acceleration', 'Angular rate']);
  assert.deepEqual(groups[1]!.fields, [3, 4, 5]);
  assert.deepEqual(groups[1]!.labels, ['x', 'y', 'z']);
});

test('a unit and a sensor nobody has heard of get a plot', () => {
  const groups = groupByUnit([{ name: 'soil_moisture', unit: '%RH' }, { name: 'lux_a', unit: 'lx' }, { name: 'lux_b', unit: 'lx' }]);
  assert.deepEqual(groups.map(({ title, labels }) => [title, labels]), [
    ['Soil moisture', ['soil_moisture']],
    ['Lux', ['a', 'b']],
  ]);
});

test('names without a common beginning are shown whole, and a name that is the beginning of another too', () => {
  assert.deepEqual(groupByUnit([{ name: 'in', unit: 'V' }, { name: 'out', unit: 'V' }])[0]!.labels, ['in', 'out']);
  assert.deepEqual(groupByUnit([{ name: 'v_', unit: 'V' }, { name: 'v_b', unit: 'V' }])[0]!.labels, ['v_', 'b']);
  assert.deepEqual(groupByUnit([{ name: '', unit: '' }])[0]!.labels, ['']);
});

test('axes keep their colours, others take what is left, one alone is neutral', () => {
  assert.deepEqual(colourIndexes(['x', 'y', 'z'], 7), [0, 1, 2]);
  assert.deepEqual(colourIndexes(['z', 'a', 'b'], 7), [2, 0, 1]);
  assert.deepEqual(colourIndexes(['temperature'], 7), [6]);
  assert.equal(new Set(colourIndexes(['a', 'b', 'c', 'd', 'e', 'f', 'g'], 7)).size, 7);
  for (const index of colourIndexes(Array.from({ length: 30 }, (_, i) => `f${i}`), 7)) assert.ok(index >= 0 && index < 7);
});

test('g and degrees are an option, SI is what other units stay', () => {
  assert.equal(displayUnit('m/s^2', 'si').symbol, 'm/s²');
  assert.ok(Math.abs(9.80665 * displayUnit('m/s^2', 'practical').factor - 1) < 1e-12);
  assert.ok(Math.abs(Math.PI * displayUnit('rad/s', 'practical').factor - 180) < 1e-12);
  assert.deepEqual(displayUnit('degC', 'practical'), { symbol: '°C', factor: 1 });
  assert.deepEqual(displayUnit('constructor', 'practical'), { symbol: 'constructor', factor: 1 });
  assert.equal(quantity('toString'), '');
});

test('a scale grows at once and shrinks late', () => {
  const scale = new AutoScale();
  const small = scale.update(-1, 1, 0.1, 0);
  const grown = scale.update(-1, 10, 0.1, 0.1);
  assert.ok(grown.max >= 10 && grown.min <= small.min);
  assert.deepEqual(scale.update(-1, 1, 0.1, 0.2), grown);
  assert.deepEqual(scale.update(-1, 1, 0.1, 2.1), grown);
  assert.deepEqual(scale.update(-1, 1, 0.1, 2.3), small);
});

test('every range holds its data, has whole limits and some room', () => {
  for (const [min, max] of [[0, 0], [-1, 1], [9.79, 9.82], [1e6, 1e6], [-3e-5, 4e-5], [25, 25.001], [-9.9, 10.4]] as const) {
    const range = niceRange(min, max, 1e-3);
    assert.ok(range.min < min && range.max > max, `${min} … ${max}: ${range.min} … ${range.max}`);
    assert.ok(range.max - range.min < 2.5 * Math.max(max - min, 1e-3, 1e-6 * Math.abs(max)));
  }
});

test('without data a scale keeps its range', () => {
  const scale = new AutoScale();
  assert.deepEqual(scale.update(Number.NaN, Number.NaN, 1, 0), { min: -1, max: 1 });
  const range = scale.update(5, 6, 0.1, 0);
  assert.deepEqual(scale.update(Number.NaN, Number.NaN, 0.1, 9), range);
});

test('steps are 1, 2 or 5', () => {
  assert.deepEqual([0.9, 1, 1.1, 3, 7, 0.03].map(niceStep), [1, 1, 2, 5, 10, 0.05]);
});

test('numbers', () => {
  assert.equal(fixed(-1.25, 1), '−1.3');
  assert.equal(fixed(-0.001, 2), '0.00');
  assert.equal(fixed(Number.NaN, 2), '–');
  assert.equal(whole(1_234_567), '1\u202f234\u202f567');
  assert.equal(whole(-1234.4), '−1\u202f234');
  assert.deepEqual([3.217, 42.04, 998.44, 1003.2].map(rate), ['3.22', '42.0', '998.4', '1\u202f003']);
  assert.deepEqual([0.5, 1, 9.99, 10, 150, 1e5, 0].map(decimalsFor), [4, 3, 3, 2, 1, 0, 3]);
  assert.deepEqual([1, 10, 0.5, 0.05, 0.25, 2.5, 0.001, 25].map(decimalsOfStep), [0, 0, 1, 2, 2, 1, 3, 0]);
});

test('times', () => {
  assert.deepEqual([5, 65, 3725, 100_000].map(duration), ['5 s', '1 min 05 s', '1 h 02 min', '1 d 03 h']);
  assert.deepEqual([850, 1500, 84_000, 3.42e6, 2e9].map(uncertainty), ['±850 ns', '±1.5 µs', '±84 µs', '±3.4 ms', '±2.0 s']);
  const noon = new Date(2026, 5, 1, 12, 0, 59).getTime() / 1000;
  assert.equal(clockTime(noon, 0), '12:00:59');
  assert.equal(clockTime(noon + 0.25, 2), '12:00:59.25');
  assert.equal(clockTime(noon + 0.9996, 3), '12:01:00.000');
});

test('the back-off doubles up to its limit, spread by a quarter', () => {
  const middle = new Backoff(0.5, 10, () => 0.5);
  assert.deepEqual(Array.from({ length: 7 }, () => middle.next()), [0.5, 1, 2, 4, 8, 10, 10]);
  middle.reset();
  assert.equal(middle.next(), 0.5);
  assert.equal(new Backoff(1, 10, () => 0).next(), 0.75);
  assert.equal(new Backoff(1, 10, () => 1).next(), 1.25);
});

test('the rate is what came a second, falls in silence, and is 0 after it', () => {
  const meter = new RateMeter();
  assert.equal(meter.read(0), 0);
  for (let i = 0; i <= 200; i++) meter.add(20, i * 0.02);
  assert.ok(Math.abs(meter.read(4) - 1000) < 1);
  assert.ok(meter.read(6) < 600);
  assert.equal(meter.read(9), 0);
});

test('lumps and single samples give the same rate', () => {
  const [lumps, singles] = [new RateMeter(), new RateMeter()];
  for (let i = 0; i < 4000; i++) singles.add(1, i / 1000);
  for (let i = 0; i < 20; i++) lumps.add(200, i / 5);
  assert.ok(Math.abs(singles.read(4) - 1000) < 10);
  assert.ok(Math.abs(lumps.read(3.9) - 1000) < 10);
});

test('the playhead glides between batches, keeps behind the newest sample, and never goes back', () => {
  const playhead = new Playhead();
  assert.ok(Number.isNaN(playhead.at(0)));
  let last = -Infinity;
  for (let ms = 0; ms < 5000; ms++) {
    const now = ms / 1000;
    if (ms % 20 === 0) playhead.observe(100 + now, now + 0.004 * ((ms / 20) % 3));
    const edge = playhead.at(now);
    assert.ok(edge >= last);
    if (ms > 1000) {
      assert.ok(edge - last < 0.004, `step of ${edge - last} s`);
      assert.ok(edge <= 100 + now);
    }
    last = edge;
  }
});

test('the playhead stands still when data stop, and jumps when they go on elsewhere', () => {
  const playhead = new Playhead();
  playhead.observe(50, 0);
  assert.equal(playhead.at(100), 51.5);
  assert.equal(playhead.silence(3), 3);
  playhead.observe(150, 100);
  assert.ok(Math.abs(playhead.at(100) - 149.94) < 1e-9);
  playhead.observe(20, 101);
  assert.ok(Math.abs(playhead.at(101) - 19.94) < 1e-9);
});
