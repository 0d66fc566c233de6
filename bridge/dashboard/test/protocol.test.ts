import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BATCH_HEADER_BYTES, decodeBatch, parseMessage } from '../src/core/protocol.ts';

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly batch: null | {
    readonly kind: number;
    readonly sub: number;
    readonly seq: number;
    readonly index: number;
    readonly time_ns: string;
    readonly period_ns: number;
    readonly columns: readonly (readonly (number | null)[])[];
  };
}

// the same file is asserted against the bridge's encoder by tests/page/test_batch_vectors.py
const file = new URL('../../test/batch-vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as readonly Vector[];

function bytes(hex: string): ArrayBuffer {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)).buffer;
}

for (const vector of vectors) {
  test(`batch vector: ${vector.name}`, () => {
    const batch = decodeBatch(bytes(vector.hex));
    if (vector.batch === null) {
      assert.equal(batch, null);
      return;
    }
    assert.ok(batch);
    assert.equal(batch.kind, vector.batch.kind);
    assert.equal(batch.sub, vector.batch.sub);
    assert.equal(batch.seq, vector.batch.seq);
    assert.equal(batch.index, vector.batch.index);
    assert.equal(batch.timeNs, BigInt(vector.batch.time_ns));
    assert.equal(batch.periodNs, vector.batch.period_ns);
    const columns = batch.columns.map((column) => Array.from(column, (value) => (Number.isNaN(value) ? null : value)));
    assert.deepEqual(columns, vector.batch.columns);
  });
}

test('there are vectors, good and bad', () => {
  assert.ok(vectors.some((vector) => vector.batch !== null));
  assert.ok(vectors.some((vector) => vector.batch === null));
});

test('no truncation of a batch is taken for one', () => {
  const whole = bytes(vectors.find((vector) => vector.batch !== null)!.hex);
  for (let length = 0; length < whole.byteLength; length++) assert.equal(decodeBatch(whole.slice(0, length)), null);
});

test('an empty batch of no fields has no columns', () => {
  const header = new ArrayBuffer(BATCH_HEADER_BYTES);
  new Uint8Array(header).set([1, 1]);
  assert.deepEqual(decodeBatch(header)?.columns, []);
});

test('what is not a JSON object with an op is no message', () => {
  for (const text of ['', 'x', '1', 'null', '[]', '"op"', '{}', '{"op":1}', '{"op":"result","ok":true}', '{'.repeat(10_000)]) {
    assert.equal(parseMessage(text), null);
  }
});

test('a device message keeps what it has and fills in what is missing or of the wrong type', () => {
  const message = parseMessage(
    JSON.stringify({
      op: 'device',
      device: { id: 'a', board: 7, clock: null, streams: [{ name: 's', fields: [{ name: 'v' }, 3] }, 'x'], line: { frames: 2, x: '' } },
    }),
  );
  assert.equal(message?.op, 'device');
  assert.ok(message?.op === 'device');
  assert.equal(message.device.board, '');
  assert.deepEqual(message.device.clock, { state: '', driftPpm: null, uncertaintyNs: null });
  assert.deepEqual(message.device.streams[0]!.fields, [{ name: 'v', unit: '', fullScale: null }]);
  assert.equal(message.device.streams.length, 1);
  assert.deepEqual(message.device.line, { frames: 2 });
});

test('a device without an id is none', () => {
  assert.equal(parseMessage('{"op":"device","device":{"id":""}}'), null);
  assert.equal(parseMessage('{"op":"device","device":[]}'), null);
});

test('a gap of unknown length has a count of null', () => {
  const gap = parseMessage('{"op":"gap","sub":3,"index":40,"count":null,"cause":"wire"}');
  assert.deepEqual(gap, { op: 'gap', sub: 3, index: 40, count: null, estimated: false, cause: 'wire' });
});

test('health is found by its op', () => {
  const note = parseMessage('{"op":"health","sub":2,"device":"a","time_ns":null,"data":{"uptime_s":3}}');
  assert.ok(note?.op === 'note');
  assert.deepEqual([note.stream, note.device, note.body], ['health', 'a', { uptime_s: 3 }]);
});
