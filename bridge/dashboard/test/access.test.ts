import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access } from '../src/core/access.ts';

/** A tab's storage. */
function storage(content: Record<string, string> = {}): Storage {
  const items = new Map(Object.entries(content));
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
    get length() {
      return items.size;
    },
  } as unknown as Storage;
}

/** A bridge that answers this, and what it was asked. */
function bridge(status: number, body = ''): { asked: [string, RequestInit][]; request: typeof fetch } {
  const asked: [string, RequestInit][] = [];
  const request = async (url: unknown, init: unknown): Promise<Response> => {
    asked.push([String(url), init as RequestInit]);
    return new Response(body, { status });
  };
  return { asked, request: request as typeof fetch };
}

const { signal } = new AbortController();

test('a token is exchanged for a ticket, in a header and nowhere else', async () => {
  const { asked, request } = bridge(200, '{"ticket":"ticket.abc","role":"viewer"}');
  const access = new Access(storage(), request);
  access.use('secret');
  assert.deepEqual(await access.enter(signal), { kind: 'granted', ticket: 'ticket.abc' });
  assert.equal(asked[0]![0], '/ticket');
  assert.deepEqual(asked[0]![1].headers, { Authorization: 'Bearer secret' });
});

test('a bridge that wants no token gives no ticket', async () => {
  const { asked, request } = bridge(200, '{"ticket":null,"role":"operator"}');
  assert.deepEqual(await new Access(storage(), request).enter(signal), { kind: 'granted', ticket: null });
  assert.deepEqual(asked[0]![1].headers, {});
});

test('a token is kept for the tab and forgotten when it is wrong', async () => {
  const tab = storage();
  new Access(tab).use('secret');
  const access = new Access(tab, bridge(401).request);
  assert.equal(access.hasToken, true);
  assert.deepEqual(await access.enter(signal), { kind: 'denied', reason: 'The bridge does not know this token (any more).' });
  assert.equal(access.hasToken, false);
  assert.equal(tab.length, 0);
  assert.deepEqual(await access.enter(signal), { kind: 'denied', reason: '' });
});

test('a token that may be wrong is not tried again and again, one that was right is', async () => {
  const unknown = new Access(storage(), bridge(429, 'Too many wrong tokens from your address: wait a minute.\n').request);
  unknown.use('guess');
  assert.equal((await unknown.enter(signal)).kind, 'denied');
  assert.equal(unknown.hasToken, false);

  let status = 200;
  const proven = new Access(storage(), (async () => new Response('{}', { status })) as typeof fetch);
  proven.use('right');
  await proven.enter(signal);
  status = 429;
  assert.equal((await proven.enter(signal)).kind, 'failed');
  assert.equal(proven.hasToken, true);
});

test('a bridge that is away or ill is worth another try', async () => {
  const away = new Access(storage(), (async () => Promise.reject(new TypeError('fetch failed'))) as typeof fetch);
  assert.equal((await away.enter(signal)).kind, 'failed');
  assert.equal((await new Access(storage(), bridge(503).request).enter(signal)).kind, 'failed');
});

test('a blocked storage does not stop anybody', async () => {
  const blocked = new Proxy({} as Storage, {
    get: () => () => {
      throw new DOMException('blocked', 'SecurityError');
    },
  });
  const { asked, request } = bridge(200, '{"ticket":"ticket.abc"}');
  const access = new Access(blocked, request);
  access.use('secret');
  assert.equal((await access.enter(signal)).kind, 'granted');
  assert.deepEqual(asked[0]![1].headers, { Authorization: 'Bearer secret' });
});
