import type { Access, Entry } from './access.ts';
import { Backoff } from './backoff.ts';
import type { Batch, ServerMessage } from './protocol.ts';
import { SUBPROTOCOL, decodeBatch, parseMessage } from './protocol.ts';

/** Seconds that the bridge has for its welcome. */
const WELCOME_TIMEOUT = 5;

export type ConnectionState =
  | { readonly kind: 'connecting'; readonly attempts: number }
  | { readonly kind: 'open'; readonly server: string; readonly version: string; readonly role: string }
  /** The bridge wants a token, or another one; `reason` is empty where none has been shown. */
  | { readonly kind: 'denied'; readonly reason: string }
  /** `retryAt`: `performance.now()` in ms of the next attempt. */
  | { readonly kind: 'waiting'; readonly retryAt: number; readonly reason: string };

export interface ConnectionEvents {
  state(state: ConnectionState): void;
  message(message: ServerMessage): void;
  batch(batch: Batch): void;
}

/** A WebSocket that comes back by itself, with growing pauses, for as long as the page is open. */
export class Connection {
  state: ConnectionState = { kind: 'connecting', attempts: 0 };
  readonly #url: string;
  readonly #access: Access;
  readonly #events: ConnectionEvents;
  readonly #backoff = new Backoff();
  #socket: WebSocket | null = null;
  /** Ends what is under way: the exchange of the token, and whatever the socket still says. */
  #attempt = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lostOnce = false;

  constructor(url: string, access: Access, events: ConnectionEvents) {
    this.#url = url;
    this.#access = access;
    this.#events = events;
  }

  open(): void {
    this.#abandon();
    const attempt = (this.#attempt = new AbortController());
    this.#timer = setTimeout(() => this.#retryLater('The bridge does not answer'), 1000 * WELCOME_TIMEOUT);
    this.#enter({ kind: 'connecting', attempts: this.#backoff.attempts });
    void this.#access.enter(attempt.signal).then((entry) => {
      if (!attempt.signal.aborted) this.#entered(entry);
    });
  }

  /** Whether a token is in use. */
  get signedIn(): boolean {
    return this.#access.hasToken;
  }

  /** Goes on with this token; null: without any. */
  signIn(token: string | null): void {
    this.#access.use(token);
    this.open();
  }

  /** Tries at once where it would have waited. */
  retryNow(): void {
    if (this.state.kind === 'waiting') this.open();
  }

  /** Whether there is a connection that takes it. */
  send(message: object): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      const batch = decodeBatch(data);
      if (batch !== null) this.#events.batch(batch);
      return;
    }
    const message = parseMessage(data);
    if (message === null) return;
    if (message.op === 'welcome') {
      clearTimeout(this.#timer);
      this.#backoff.reset();
      this.#lostOnce = true;
      this.#enter({ kind: 'open', server: message.server, version: message.version, role: message.role });
    }
    this.#events.message(message);
  }

  #entered(entry: Entry): void {
    if (entry.kind === 'failed') return this.#retryLater(entry.reason);
    if (entry.kind === 'denied') {
      this.#abandon();
      return this.#enter({ kind: 'denied', reason: entry.reason });
    }
    const socket = new WebSocket(this.#url, entry.ticket === null ? [SUBPROTOCOL] : [SUBPROTOCOL, entry.ticket]);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#receive(event.data);
    socket.onclose = (event) => this.#retryLater(closeReason(event, this.#lostOnce));
  }

  /** Gives up what is under way, whether it ended by itself or is ended here. */
  #abandon(): void {
    this.#attempt.abort();
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #retryLater(reason: string): void {
    this.#abandon();
    const pause = 1000 * this.#backoff.next();
    this.#timer = setTimeout(() => this.open(), pause);
    this.#enter({ kind: 'waiting', retryAt: performance.now() + pause, reason });
  }

  #enter(state: ConnectionState): void {
    this.state = state;
    this.#events.state(state);
  }
}

/** RFC 6455, section 7.4.1, in words for the person at the page. */
function closeReason(event: CloseEvent, connectedBefore: boolean): string {
  if (event.reason !== '') return event.reason;
  if (event.code === 1001) return 'The bridge was stopped';
  if (event.code === 1013) return 'The bridge closed the connection: this page was too slow or there are too many';
  if (event.code === 1008) return 'The bridge refused this page';
  return connectedBefore ? 'Connection to the bridge lost' : 'The bridge cannot be reached';
}
