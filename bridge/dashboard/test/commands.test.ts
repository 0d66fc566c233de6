import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Commands, counter } from '../src/core/commands.ts';
import { parseMessage } from '../src/core/protocol.ts';
import { rangeLabel, rangeSteps, sameRange } from '../src/core/ranges.ts';
import { readSelfTest } from '../src/core/selftest.ts';

function page(connected = true) {
  const sent: Record<string, unknown>[] = [];
  const commands = new Commands((request) => {
    sent.push(request as Record<string, unknown>);
    return connected;
  }, counter());
  const hear = (message: object): void => {
    const parsed = parseMessage(JSON.stringify(message));
    assert.ok(parsed);
    commands.react(parsed);
  };
  return { sent, commands, hear };
}

test('each command gets the answer with its number, in whatever order they come', async () => {
  const { sent, commands, hear } = page();
  const first = commands.run('a', 'set_rate', { stream: 't', rate_hz: 5 });
  const second = commands.run('a', 'self_test', { stream: 't' });
  assert.deepEqual(sent, [
    { op: 'command', id: 1, device: 'a', name: 'set_rate', args: { stream: 't', rate_hz: 5 } },
    { op: 'command', id: 2, device: 'a', name: 'self_test', args: { stream: 't' } },
  ]);
  hear({ op: 'result', id: 2, ok: false, code: 'unsupported', message: 't has no self-test', data: {} });
  hear({ op: 'result', id: 1, ok: true, data: { rate_hz: 4.9 } });
  assert.deepEqual(await first, { ok: true, data: { rate_hz: 4.9 } });
  assert.deepEqual(await second, { ok: false, message: 't has no self-test' });
});

test('what never reaches a board is refused in the words of the bridge, or with its code', async () => {
  const { commands, hear } = page();
  const first = commands.run('a', 'x', {});
  const second = commands.run('a', 'x', {});
  hear({ op: 'error', id: 1, code: 'offline', message: 'the board is away' });
  hear({ op: 'error', id: 2, code: 'too_many' });
  assert.deepEqual(await first, { ok: false, message: 'the board is away' });
  assert.deepEqual(await second, { ok: false, message: 'too_many' });
});

test('a connection that is lost, or is not there, ends every command', async () => {
  const { commands } = page();
  const waiting = commands.run('a', 'x', {});
  commands.disconnected();
  assert.match(((await waiting) as { message: string }).message, /lost before the answer/);
  assert.match(((await page(false).commands.run('a', 'x', {})) as { message: string }).message, /no connection/);
});

test('ranges are offered as people name them, and the one in force with them', () => {
  assert.deepEqual(rangeSteps('m/s^2').map((step) => step.label), ['±2 g', '±4 g', '±8 g', '±16 g']);
  assert.ok(Math.abs(rangeSteps('m/s^2')[1]!.fullScale - 4 * 9.80665) < 1e-9);
  assert.deepEqual(rangeSteps('rad/s').map((step) => step.label), ['±125 °/s', '±250 °/s', '±500 °/s', '±1000 °/s', '±2000 °/s']);
  const odd = rangeSteps('m/s^2', 9.80665 * 6);
  assert.deepEqual(odd.map((step) => step.label), ['±2 g', '±4 g', '±6 g', '±8 g', '±16 g']);
  assert.deepEqual(rangeSteps('degC', 85), []);
  assert.deepEqual(rangeSteps('constructor', 1), []);
});

test('the range of a part that is not quite round is the one of its datasheet', () => {
  const fullScale = ((32768 / 131) * Math.PI) / 180; // MPU-6050 at ±250 °/s: 131 LSB/(°/s)
  assert.equal(rangeSteps('rad/s', fullScale).length, 5);
  assert.equal(rangeLabel('rad/s', fullScale), '±250 °/s');
  assert.equal(sameRange(2, 4), false);
});

test('a self-test without the numbers it should have has failed', () => {
  const fields = [{ name: 'accel_x', response: -3.5, low: -14, high: 14, passed: true }, { name: 'accel_y' }, 'junk'];
  const read = readSelfTest({ passed: 1, fields });
  assert.equal(read.passed, false);
  assert.deepEqual(read.fields[0], { name: 'accel_x', response: -3.5, low: -14, high: 14, passed: true });
  assert.deepEqual(read.fields[1], { name: 'accel_y', response: Number.NaN, low: Number.NaN, high: Number.NaN, passed: false });
  assert.equal(read.fields.length, 2);
});
