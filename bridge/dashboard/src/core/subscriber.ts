import { counter } from './commands.ts';
import type { DeviceInfo, ServerMessage } from './protocol.ts';
import type { Store } from './store.ts';

type Request = Readonly<Record<string, unknown>>;

/** What may be resumed: the streams whose run of the index the page has followed so far. */
interface Wanted {
  readonly device: string;
  readonly stream: string;
  readonly signature: string;
  readonly resumed: boolean;
}

const GRANTED = 'granted';
/** Seconds of what was before the page was opened that it asks for: its plots begin full, at their usual width. */
const PAST_S = 10;
const NOTES = ['health', 'log', 'fault'];

/**
 * Keeps a subscription to every stream of every device, each sample once. Streams are asked for by name rather than
 * with `*`, so that a reconnect can resume each where it stopped (`since`); what was missed is then filled in. The first
 * time it starts with the recent past, if the bridge has kept it (`history`).
 */
export class Subscriber {
  readonly #store: Store;
  readonly #send: (request: Request) => void;
  readonly #pending = new Map<number, Wanted>();
  readonly #pasts = new Map<number, Wanted>();
  /** `GRANTED`, or for a stream that is pending or was refused the description under which it was asked for. */
  readonly #asked = new Map<string, string>();
  /** Boot under which each device's samples were last received. */
  readonly #boots = new Map<string, string>();
  readonly #nextId: () => number;

  /** `nextId`: shared with everyone who sends requests. */
  constructor(store: Store, send: (request: Request) => void, nextId: () => number = counter()) {
    this.#store = store;
    this.#send = send;
    this.#nextId = nextId;
  }

  opened(): void {
    this.#pending.clear();
    this.#pasts.clear();
    this.#asked.clear();
    for (const stream of NOTES) {
      this.#send({ op: 'subscribe', id: this.#nextId(), device: '*', stream, mode: 'every', format: 'json' });
    }
  }

  /** Called after the store has taken the message. */
  react(message: ServerMessage): void {
    if (message.op === 'device') this.#want(message.device);
    else if (message.op === 'subscribed') this.#granted(message.id);
    else if (message.op === 'history') this.#begin(message.id, message.epoch, message.index, message.nextIndex);
    else if (message.op === 'error' && message.id !== null) this.#refused(message.id, message.code, message.message);
  }

  #want(device: DeviceInfo): void {
    const sameBoot = this.#boots.get(device.id) === device.bootId;
    for (const stream of device.streams) {
      const key = JSON.stringify([device.id, stream.name]);
      const fields = stream.fields.map((field) => [field.name, field.unit]);
      const signature = JSON.stringify([device.state, device.bootId, fields]);
      const asked = this.#asked.get(key);
      // what was granted stays; what was refused is asked for again when the device has changed
      if (asked === GRANTED || asked === signature) continue;
      this.#asked.set(key, signature);
      this.#ask({ device: device.id, stream: stream.name, signature, resumed: sameBoot });
    }
    this.#boots.set(device.id, device.bootId);
  }

  #ask(wanted: Wanted): void {
    const model = this.#store.stream(wanted.device, wanted.stream);
    const { device, stream } = wanted;
    if (wanted.resumed && model !== undefined && model.epoch !== null && model.expected !== null) {
      this.#subscribe(wanted, { epoch: model.epoch, index: model.expected });
    } else if (model?.epoch === null) {
      const id = this.#nextId();
      this.#pasts.set(id, wanted);
      this.#send({ op: 'history', id, device, stream, seconds: PAST_S });
    } else {
      this.#subscribe(wanted, null);
    }
  }

  #begin(id: number, epoch: number, index: number, nextIndex: number): void {
    const wanted = this.#pasts.get(id);
    if (wanted === undefined) return;
    this.#pasts.delete(id);
    this.#store.stream(wanted.device, wanted.stream)?.startInThePast(epoch, nextIndex);
    this.#subscribe(wanted, { epoch, index });
  }

  #subscribe(wanted: Wanted, since: object | null): void {
    const id = this.#nextId();
    this.#pending.set(id, { ...wanted, resumed: since !== null });
    const { device, stream } = wanted;
    const start = since === null ? {} : { since };
    this.#send({ op: 'subscribe', id, device, stream, mode: 'every', format: 'binary', calibrated: true, ...start });
  }

  #granted(id: number): void {
    const wanted = this.#pending.get(id);
    if (wanted === undefined) return;
    this.#pending.delete(id);
    this.#asked.set(JSON.stringify([wanted.device, wanted.stream]), GRANTED);
  }

  #refused(id: number, code: string, message: string): void {
    const past = this.#pasts.get(id);
    if (past !== undefined) {
      this.#pasts.delete(id);
      this.#subscribe(past, null);
    }
    const wanted = this.#pending.get(id);
    if (wanted === undefined) return;
    this.#pending.delete(id);
    if (wanted.resumed) {
      this.#subscribe(wanted, null);
      return;
    }
    const stream = this.#store.stream(wanted.device, wanted.stream);
    if (stream !== undefined) stream.refusal = message || code;
  }
}
