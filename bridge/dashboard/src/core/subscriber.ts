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
const NOTES = ['health', 'log', 'fault'];

/**
 * Keeps a subscription to every stream of every device, each sample once. Streams are asked for by name rather than
 * with `*`, so that a reconnect can resume each where it stopped (`since`); what was missed is then filled in.
 */
export class Subscriber {
  readonly #store: Store;
  readonly #send: (request: Request) => void;
  readonly #pending = new Map<number, Wanted>();
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
    this.#asked.clear();
    for (const stream of NOTES) {
      this.#send({ op: 'subscribe', id: this.#nextId(), device: '*', stream, mode: 'every', format: 'json' });
    }
  }

  /** Called after the store has taken the message. */
  react(message: ServerMessage): void {
    if (message.op === 'device') this.#want(message.device);
    else if (message.op === 'subscribed') this.#granted(message.id);
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
    const id = this.#nextId();
    const model = this.#store.stream(wanted.device, wanted.stream);
    const known = wanted.resumed && model !== undefined && model.epoch !== null && model.expected !== null;
    const since = known ? { since: { epoch: model.epoch, index: model.expected } } : {};
    this.#pending.set(id, { ...wanted, resumed: known });
    const { device, stream } = wanted;
    this.#send({ op: 'subscribe', id, device, stream, mode: 'every', format: 'binary', calibrated: true, ...since });
  }

  #granted(id: number): void {
    const wanted = this.#pending.get(id);
    if (wanted === undefined) return;
    this.#pending.delete(id);
    this.#asked.set(JSON.stringify([wanted.device, wanted.stream]), GRANTED);
  }

  #refused(id: number, code: string, message: string): void {
    const wanted = this.#pending.get(id);
    if (wanted === undefined) return;
    this.#pending.delete(id);
    if (wanted.resumed) {
      this.#ask({ ...wanted, resumed: false });
      return;
    }
    const stream = this.#store.stream(wanted.device, wanted.stream);
    if (stream !== undefined) stream.refusal = message || code;
  }
}
