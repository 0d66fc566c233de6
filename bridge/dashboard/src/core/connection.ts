import { Backoff } from './backoff.ts';
import type { Batch, ServerMessage } from './protocol.ts';
import { SUBPROTOCOL, decodeBatch, parseMessage } from './protocol.ts';

/** Seconds that the bridge has for its welcome. */
const WELCOME_TIMEOUT = 5;

export type ConnectionState =
  | { readonly kind: 'connecting'; readonly attempts: number }
  | { readonly kind: 'open'; readonly server: string; readonly version: string; readonly role: string }
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
  readonly #events: ConnectionEvents;
  readonly #backoff = new Backoff();
  #socket: WebSocket | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lostOnce = false;

  constructor(url: string, events: ConnectionEvents) {
    this.#url = url;
    this.#events = events;
  }

  open(): void {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#enter({ kind: 'connecting', attempts: this.#backoff.attempts });
    this.#timer = setTimeout(() => this.#give(socket, 'The bridge does not answer'), 1000 * WELCOME_TIMEOUT);
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#receive(event.data);
    socket.onclose = (event) => this.#give(socket, closeReason(event, this.#lostOnce));
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

  /** Gives a socket up, whether it closed by itself or is closed here. */
  #give(socket: WebSocket, reason: string): void {
    if (socket !== this.#socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    clearTimeout(this.#timer);
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
