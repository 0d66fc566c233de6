import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage } from '../src/core/protocol.ts';
import { Store } from '../src/core/store.ts';
import { Subscriber } from '../src/core/subscriber.ts';

const FIELDS = [{ name: 'temperature', unit: 'degC' }];

class Page {
  readonly store = new Store(0n);
  readonly sent: Record<string, unknown>[] = [];
  /** What the bridge answers to `history`; null: it does not know it. */
  past: object | null = null;
  readonly subscriber = new Subscriber(this.store, (request) => this.#send(request));

  #send(request: Record<string, unknown>): void {
    this.sent.push(request);
    if (request['op'] !== 'history') return;
    const answer = this.past === null ? { op: 'error', code: 'unknown_op', message: 'no' } : { op: 'history', ...this.past };
    this.hear({ ...answer, id: request['id'] });
  }

  hear(message: object): void {
    const parsed = parseMessage(JSON.stringify(message));
    assert.ok(parsed);
    this.store.apply(parsed);
    this.subscriber.react(parsed);
  }

  device(changes: object = {}): void {
    const streams = [{ name: 't', sensor: 's', rate_hz: 10, fields: FIELDS }];
    this.hear({ op: 'device', device: { id: 'a', state: 'online', boot_id: 'b1', streams, ...changes } });
  }

  subscribed(id: unknown, sub: number, epoch = 3): void {
    this.hear({ op: 'subscribed', id, subscriptions: [{ sub, device: 'a', stream: 't', epoch, fields: FIELDS }] });
  }

  samples(sub: number, index: number, samples: number): void {
    const timeNs = BigInt(index) * 100_000_000n;
    const columns = [new Float32Array(samples)];
    this.store.applyBatch({ kind: 1, sub, seq: 0, index, timeNs, periodNs: 100_000_000, samples, columns }, 0);
  }

  asked(): Record<string, unknown>[] {
    return this.sent.filter((request) => request['op'] === 'subscribe' && request['stream'] === 't');
  }
}

test('every stream of a device is asked for once', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.device({ state: 'offline' });
  assert.equal(page.asked().length, 1);
  assert.equal(page.asked()[0]!['mode'], 'every');
  assert.equal('since' in page.asked()[0]!, false);
});

test('health, log and fault are asked for of every device', () => {
  const page = new Page();
  page.subscriber.opened();
  assert.deepEqual(page.sent.map((request) => [request['device'], request['stream']]), [['*', 'health'], ['*', 'log'], ['*', 'fault']]);
});

test('the first time a stream begins with the recent past, whose losses are not counted', () => {
  const page = new Page();
  page.past = { epoch: 3, index: 10, next_index: 40 };
  page.subscriber.opened();
  page.device();
  assert.deepEqual(page.asked()[0]!['since'], { epoch: 3, index: 10 });
  page.subscribed(page.asked()[0]!['id'], 5);
  page.samples(5, 10, 10);
  page.hear({ op: 'gap', sub: 5, index: 20, count: 10, cause: 'wire' });
  page.samples(5, 30, 10);
  const stream = page.store.stream('a', 't')!;
  assert.equal(stream.lostTotal, 0);
  assert.equal(stream.marks.length, 1);
  page.hear({ op: 'gap', sub: 5, index: 40, count: 2, cause: 'wire' });
  assert.equal(stream.lostTotal, 2);
});

test('after a reconnect a stream goes on where it stopped', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.samples(5, 0, 4);
  page.store.disconnected();
  page.subscriber.opened();
  page.device();
  assert.deepEqual(page.asked()[1]!['since'], { epoch: 3, index: 4 });
});

test('a bridge that cannot resume is asked again without', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.samples(5, 0, 4);
  page.store.disconnected();
  page.subscriber.opened();
  page.device();
  page.hear({ op: 'error', id: page.asked()[1]!['id'], code: 'unsupported', message: 'no' });
  assert.equal(page.asked().length, 3);
  assert.equal('since' in page.asked()[2]!, false);
});

test('a board that was started again meanwhile is not resumed', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.samples(5, 0, 4);
  page.store.disconnected();
  page.subscriber.opened();
  page.device({ boot_id: 'b2' });
  assert.equal('since' in page.asked()[1]!, false);
});

test('a refused stream says why, and is asked for again when the device has changed', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.hear({ op: 'error', id: page.asked()[0]!['id'], code: 'too_many', message: 'too many subscriptions' });
  assert.equal(page.store.stream('a', 't')!.refusal, 'too many subscriptions');
  page.device();
  assert.equal(page.asked().length, 1);
  page.device({ boot_id: 'b2' });
  assert.equal(page.asked().length, 2);
  page.subscribed(page.asked()[1]!['id'], 5);
  assert.equal(page.store.stream('a', 't')!.refusal, '');
});

test('streams that appear and go change the structure; what else changes does not', () => {
  const page = new Page();
  page.device();
  const before = page.store.revision;
  page.device({ firmware: '2', state: 'offline', streams: [] });
  assert.equal(page.store.revision, before);
  assert.ok(page.store.stream('a', 't'));
  page.device({ streams: [{ name: 'u', fields: FIELDS }] });
  assert.ok(page.store.revision > before);
  assert.deepEqual([...page.store.devices.get('a')!.streams.keys()], ['u']);
});

test('a stream that a board describes again after a reset goes on with the subscription it had', () => {
  const page = new Page();
  const t = { name: 't', sensor: 's', rate_hz: 10, fields: FIELDS };
  page.subscriber.opened();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.samples(5, 0, 4);
  page.device({ boot_id: 'b2', streams: [] });
  page.device({ boot_id: 'b2', streams: [{ ...t, name: 'u' }] });
  page.device({ boot_id: 'b2', streams: [{ ...t, name: 'u' }, t] });
  page.hear({ op: 'epoch', sub: 5, epoch: 4, fields: FIELDS, next_index: 0 });
  page.samples(5, 0, 3);
  assert.equal(page.store.devices.get('a')!.streams.get('t')!.received, 7);
  assert.equal(page.asked().length, 1);
});

test('a subscription that is granted while its stream is not described feeds it when it is', () => {
  const page = new Page();
  const t = { name: 't', sensor: 's', rate_hz: 10, fields: FIELDS };
  page.subscriber.opened();
  page.device();
  page.device({ streams: [{ ...t, name: 'u' }] });
  page.subscribed(page.asked()[0]!['id'], 5);
  page.device({ streams: [t] });
  page.samples(5, 0, 3);
  assert.equal(page.store.devices.get('a')!.streams.get('t')!.received, 3);
});

test('a stream that is not described is forgotten with the connection, and asked for when it comes back', () => {
  const page = new Page();
  page.subscriber.opened();
  page.device();
  page.subscribed(page.asked()[0]!['id'], 5);
  page.device({ streams: [{ name: 'u', fields: FIELDS }] });
  page.store.disconnected();
  assert.equal(page.store.stream('a', 't'), undefined);
  page.subscriber.opened();
  page.device();
  assert.equal(page.asked().length, 2);
  assert.equal('since' in page.asked()[1]!, false);
});

test('health tells the state of each sensor', () => {
  const page = new Page();
  page.device();
  page.hear({ op: 'health', sub: 1, device: 'a', data: { uptime_s: 1, streams: { t: { state: 'missing' }, gone: 3 } } });
  assert.equal(page.store.stream('a', 't')!.state, 'missing');
});

const log = (text: string) => ({ op: 'log', sub: 1, device: 'a', data: { level: 'warning', text } });
const states = (state: string) => ({ op: 'health', sub: 1, device: 'a', data: { streams: { t: { state } } } });

test('a warning goes when the sensor that it names streams again', () => {
  const page = new Page();
  page.device();
  const device = page.store.devices.get('a')!;
  page.hear(log('t: no answer'));
  page.hear(states('streaming'));
  page.hear(states('missing'));
  assert.equal(device.notice, 't: no answer');
  page.hear(states('failing'));
  assert.equal(device.notice, 't: no answer');
  page.hear(states('streaming'));
  assert.equal(device.notice, '');
});

test('a warning goes also when it is the description of the device that says so', () => {
  const page = new Page();
  const stream = { name: 't', sensor: 's', rate_hz: 10, fields: FIELDS };
  page.device({ streams: [{ ...stream, state: 'missing' }] });
  page.hear(log('something'));
  page.device({ streams: [{ ...stream, state: 'streaming' }] });
  assert.equal(page.store.devices.get('a')!.notice, '');
});

test('a warning of another stream and a crash stay when a sensor streams again', () => {
  const page = new Page();
  const stream = { name: 't', sensor: 's', rate_hz: 10, fields: FIELDS };
  page.device({ streams: [stream, { ...stream, name: 'u' }] });
  const device = page.store.devices.get('a')!;
  page.hear(log('u: no factory calibration'));
  page.hear(states('missing'));
  page.hear(states('streaming'));
  assert.equal(device.notice, 'u: no factory calibration');
  page.hear({ op: 'fault', sub: 1, device: 'a', data: { cause: 'watchdog' } });
  page.hear(states('missing'));
  page.hear(states('streaming'));
  assert.equal(device.fault?.['cause'], 'watchdog');
});

test('messages for subscriptions and devices that there are not do nothing', () => {
  const page = new Page();
  page.samples(9, 0, 4);
  page.hear({ op: 'gap', sub: 9, index: 0, count: 1, cause: 'wire' });
  page.hear({ op: 'epoch', sub: 9, epoch: 1, fields: FIELDS, next_index: 0 });
  page.hear({ op: 'health', sub: 9, device: 'nobody', data: {} });
  page.hear({ op: 'error', id: 99, code: 'x', message: '' });
  assert.equal(page.store.devices.size, 0);
});
