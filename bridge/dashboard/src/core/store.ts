import { Playhead } from './playhead.ts';
import type { Batch, Body, DeviceInfo, ServerMessage, StreamInfo, Subscription } from './protocol.ts';
import { KIND_SAMPLES } from './protocol.ts';
import { StreamModel } from './stream.ts';

/** States of a sensor that it does not choose. */
const TROUBLES: ReadonlySet<string> = new Set(['missing', 'failing']);

/** A board: what it says of itself, its streams, and where its plots end. */
export class DeviceModel {
  info: DeviceInfo;
  readonly streams = new Map<string, StreamModel>();
  /**
   * Streams that the device described earlier and does not describe now. After a reset a board describes its streams one
   * by one while their subscriptions go on, so each keeps its model until the connection ends.
   */
  readonly away = new Map<string, StreamModel>();
  readonly playhead = new Playhead();
  health: Body | null = null;
  /** The newest log line of level warning or error, until the sensors are well again. */
  notice = '';
  /** The record of a crash that the board holds; it stays said until it is acknowledged. */
  fault: Body | null = null;

  constructor(info: DeviceInfo) {
    this.info = info;
  }

  /** Names of the streams whose sensor does not deliver though it should. */
  troubled(): ReadonlySet<string> {
    return new Set([...this.streams].filter(([, stream]) => TROUBLES.has(stream.state)).map(([name]) => name));
  }

  /**
   * Takes the notice away when what it warned of is over. A warning that starts with a stream's name, as in
   * `imu: no answer`, is over when that stream is well again; any other one when all are. `before`: who was troubled.
   */
  settle(before: ReadonlySet<string>): void {
    if (before.size === 0) return;
    const now = this.troubled();
    const about = [...this.streams.keys()].find((name) => this.notice.startsWith(`${name}:`));
    if (about === undefined ? now.size === 0 : before.has(about) && !now.has(about)) this.notice = '';
  }
}

/** Everything the page knows. It changes by what the bridge sends, and by nothing else. */
export class Store {
  readonly devices = new Map<string, DeviceModel>();
  /** Changes whenever a device, a stream or a field appears or goes: the page's structure is then built anew. */
  revision = 0;
  readonly originNs: bigint;
  readonly #bySub = new Map<number, StreamModel>();
  readonly #deviceBySub = new Map<number, string>();

  /** `originNs`: Unix time in ns that is zero on the page's time axis. Near now, so that seconds in float64 keep their ns. */
  constructor(originNs: bigint) {
    this.originNs = originNs;
  }

  apply(message: ServerMessage): void {
    switch (message.op) {
      case 'device':
        this.#describe(message.device);
        break;
      case 'subscribed':
        for (const subscription of message.subscriptions) this.#subscribe(subscription);
        break;
      case 'subscription_added':
        this.#subscribe(message.subscription);
        break;
      case 'epoch': {
        const stream = this.#bySub.get(message.sub);
        if (stream?.startEpoch(message.epoch, message.fields, message.nextIndex)) this.revision += 1;
        break;
      }
      case 'gap':
        this.#bySub.get(message.sub)?.gap(message.index, message.count, message.cause);
        break;
      case 'note':
        this.#note(message.stream, message.device || (this.#deviceBySub.get(message.sub ?? -1) ?? ''), message.body);
        break;
      default:
        break;
    }
  }

  /** `now`: the page's clock in seconds. */
  applyBatch(batch: Batch, now: number): void {
    const stream = this.#bySub.get(batch.sub);
    if (stream === undefined || batch.kind !== KIND_SAMPLES) return;
    const newest = stream.take(batch, this.originNs, now);
    if (!Number.isNaN(newest)) this.devices.get(stream.device)?.playhead.observe(newest, now);
  }

  /** The connection is gone, and with it every subscription. */
  disconnected(): void {
    for (const stream of this.#streams()) stream.interrupt();
    this.#bySub.clear();
    this.#deviceBySub.clear();
    for (const device of this.devices.values()) device.away.clear();
  }

  /** The model of a stream that the device describes, or has described on this connection. */
  stream(id: string, name: string): StreamModel | undefined {
    const device = this.devices.get(id);
    return device?.streams.get(name) ?? device?.away.get(name);
  }

  *#streams(): Iterable<StreamModel> {
    for (const device of this.devices.values()) {
      yield* device.streams.values();
      yield* device.away.values();
    }
  }

  #describe(info: DeviceInfo): void {
    let device = this.devices.get(info.id);
    if (device === undefined) {
      device = new DeviceModel(info);
      this.devices.set(info.id, device);
      this.revision += 1;
    }
    if (device.info.bootId !== info.bootId) {
      device.health = null;
      device.notice = '';
      device.fault = null;
    }
    device.info = info;
    const troubled = device.troubled();
    for (const description of info.streams) {
      const stream = device.streams.get(description.name);
      if (stream === undefined) {
        this.#addStream(device, description);
        this.revision += 1;
      } else if (stream.describe(description)) {
        this.revision += 1;
      }
    }
    // a board that is away describes no streams: its curves stay
    if (info.streams.length > 0) this.#putAway(device, new Set(info.streams.map((stream) => stream.name)));
    device.settle(troubled);
  }

  #addStream(device: DeviceModel, description: StreamInfo): void {
    const known = device.away.get(description.name);
    device.away.delete(description.name);
    known?.describe(description);
    device.streams.set(description.name, known ?? new StreamModel(device.info.id, description));
  }

  #putAway(device: DeviceModel, described: ReadonlySet<string>): void {
    for (const [name, stream] of [...device.streams]) {
      if (described.has(name)) continue;
      device.streams.delete(name);
      device.away.set(name, stream);
      this.revision += 1;
    }
  }

  #subscribe(subscription: Subscription): void {
    this.#deviceBySub.set(subscription.sub, subscription.device);
    const stream = this.stream(subscription.device, subscription.stream);
    if (stream === undefined) return;
    this.#bySub.set(subscription.sub, stream);
    if (stream.subscribed(subscription.epoch, subscription.fields)) this.revision += 1;
  }

  #note(stream: string, id: string, body: Body): void {
    const device = this.devices.get(id);
    if (device === undefined) return;
    if (stream === 'health') {
      device.health = body;
      this.#sensorStates(device, body['streams']);
    } else if (stream === 'fault') {
      device.fault = body;
    } else if (body['level'] === 'warning' || body['level'] === 'error') {
      device.notice = String(body['text'] ?? '');
    }
  }

  #sensorStates(device: DeviceModel, states: unknown): void {
    if (typeof states !== 'object' || states === null) return;
    const troubled = device.troubled();
    for (const [name, entry] of Object.entries(states)) {
      const stream = device.streams.get(name);
      if (stream === undefined || typeof entry !== 'object' || entry === null) continue;
      const state: unknown = (entry as Body)['state'];
      if (typeof state === 'string' && stream.enter(state)) this.revision += 1;
    }
    device.settle(troubled);
  }
}
