import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cssMatrix, eulerDegrees, isOrientation, type Quaternion } from '../src/core/attitude.ts';

const about = (degrees: number, x: number, y: number, z: number): Quaternion => {
  const half = (degrees * Math.PI) / 360;
  return [Math.cos(half), x * Math.sin(half), y * Math.sin(half), z * Math.sin(half)];
};

/** Where a CSS `matrix3d` puts a point; the arguments of matrix3d go column by column. */
function put(matrix: string, point: readonly [number, number, number]): readonly number[] {
  const m = matrix.slice('matrix3d('.length, -1).split(',').map(Number);
  assert.equal(m.length, 16);
  return [0, 1, 2].map((row) => Math.round(1000 * (m[row]! * point[0] + m[4 + row]! * point[1] + m[8 + row]! * point[2])) / 1000);
}

test('a turn about one axis is that angle', () => {
  assert.deepEqual(eulerDegrees(about(30, 1, 0, 0)).map(Math.round), [30, 0, 0]);
  assert.deepEqual(eulerDegrees(about(-40, 0, 1, 0)).map(Math.round), [0, -40, 0]);
  assert.deepEqual(eulerDegrees(about(120, 0, 0, 1)).map(Math.round), [0, 0, 120]);
});

test('straight up is no NaN', () => {
  const [, pitch] = eulerDegrees([0.70710679, 0, 0.70710679, 0]);
  assert.ok(Math.abs(pitch - 90) < 0.1);
});

test('what is not turned stays', () => {
  assert.deepEqual(put(cssMatrix([1, 0, 0, 0]), [1, 2, 3]), [1, 2, 3]);
});

test('turned to the left, the front of the board points to the left of the screen', () => {
  const front = [0, 0, -1] as const; // the sensor's x, away from the viewer
  assert.deepEqual(put(cssMatrix(about(90, 0, 0, 1)), front), [-1, 0, 0]);
});

test('with its nose up, the front points up', () => {
  const front = [0, 0, -1] as const;
  // a positive turn about y takes x to -z: the nose goes down (REP-103)
  assert.deepEqual(put(cssMatrix(about(-90, 0, 1, 0)), front), [0, -1, 0]);
});

test('rolled to the right, the left side points up', () => {
  const left = [-1, 0, 0] as const;
  assert.deepEqual(put(cssMatrix(about(90, 1, 0, 0)), left), [0, -1, 0]);
});

test('an orientation is told by its fields', () => {
  assert.ok(isOrientation(['q_w', 'q_x', 'q_y', 'q_z'].map((name) => ({ name }))));
  assert.ok(!isOrientation([{ name: 'q_w' }]));
});
