/** What this page gets before it may open its WebSocket. */
export type Entry =
  /** `ticket`: to be offered as a subprotocol; null where the bridge wants none. */
  | { readonly kind: 'granted'; readonly ticket: string | null }
  /** Only a person can help: with a token, or another one. `reason` is empty where none has been shown yet. */
  | { readonly kind: 'denied'; readonly reason: string }
  /** Worth another try. */
  | { readonly kind: 'failed'; readonly reason: string };

const KEY = 'telemetry-bridge.token';

/**
 * The person's token, and what it is exchanged for: a ticket that is good for one connection. The token is kept as long
 * as the tab (sessionStorage), is sent in a header to this page's own server only, and is never part of an address.
 */
export class Access {
  #token: string | null = null;
  /** Whether the bridge has taken this token before. */
  #proven = false;
  readonly #storage: Storage;
  readonly #fetch: typeof fetch;

  constructor(storage: Storage, request: typeof fetch = (...args) => fetch(...args)) {
    this.#storage = storage;
    this.#fetch = request;
    try {
      this.#token = storage.getItem(KEY);
    } catch {
      // storage is blocked: the token then lasts as long as the page
    }
  }

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** Null forgets it. */
  use(token: string | null): void {
    this.#token = token;
    this.#proven = false;
    try {
      if (token === null) this.#storage.removeItem(KEY);
      else this.#storage.setItem(KEY, token);
    } catch {
      // as above
    }
  }

  /** Never throws. */
  async enter(signal: AbortSignal): Promise<Entry> {
    const token = this.#token;
    let status: number;
    let text: string;
    try {
      const headers: Record<string, string> = token === null ? {} : { Authorization: `Bearer ${token}` };
      const response = await this.#fetch('/ticket', { headers, signal, cache: 'no-store', credentials: 'omit' });
      status = response.status;
      text = await response.text();
    } catch {
      return { kind: 'failed', reason: 'The bridge cannot be reached' };
    }
    if (status === 200) {
      this.#proven = token !== null;
      return { kind: 'granted', ticket: readTicket(text) };
    }
    if (status === 401) {
      if (token === this.#token) this.use(null);
      return { kind: 'denied', reason: token === null ? '' : 'The bridge does not know this token (any more).' };
    }
    const reason = status === 429 ? text.trim() : `The bridge answers with status ${status}`;
    // a token that may be wrong is not tried again and again
    if (status === 429 && token !== null && !this.#proven) {
      this.use(null);
      return { kind: 'denied', reason };
    }
    return { kind: 'failed', reason };
  }
}

function readTicket(text: string): string | null {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'ticket' in body && typeof body.ticket === 'string') return body.ticket;
  } catch {
    // no ticket, then: the bridge will say what it misses
  }
  return null;
}
