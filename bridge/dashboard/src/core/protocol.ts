/**
 * The push API as this page reads it: JSON control messages and binary sample batches. Pure; never throws on any input.
 *
 * Everything that comes in is checked here once, so that the rest of the page works with plain, complete values.
 */

export const SUBPROTOCOL = 'telemetry-bridge.v1';

export interface FieldInfo {
  readonly name: string;
  /** SI unit as the board states it: `m/s^2`, `rad/s`, `degC`, `V`, or anything else. */
  readonly unit: string;
  /** Largest magnitude of the range in force, in SI; null where it has none or the bridge does not say. */
  readonly fullScale: number | null;
}

export interface StreamInfo {
  readonly name: string;
  readonly sensor: string;
  readonly rateHz: number;
  readonly measuredRateHz: number | null;
  readonly fields: readonly FieldInfo[];
  /** `streaming`, `stopped`, `missing`, `failing`, `absent` (optional, never found), or empty where the server does not say. */
  readonly state: string;
  /** False where the host has switched it off; null where the bridge does not say. */
  readonly enabled: boolean | null;
  /** Name of the stream that the bridge computes it from; null for the board's own. */
  readonly derivedFrom: string | null;
  /** Id of the calibration that the values are made with; null: nominal. */
  readonly calibration: string | null;
}

export interface ClockInfo {
  readonly state: string;
  readonly driftPpm: number | null;
  readonly uncertaintyNs: number | null;
}

export interface DeviceInfo {
  readonly id: string;
  readonly state: string;
  readonly board: string;
  readonly firmware: string;
  readonly uid: string;
  readonly bootId: string;
  readonly link: string;
  readonly warning: string;
  /** Counters of the line since it was opened: `frames`, `damaged_crc`, `missing_frames`, … */
  readonly line: Readonly<Record<string, number>>;
  readonly clock: ClockInfo;
  readonly streams: readonly StreamInfo[];
}

export interface Subscription {
  readonly sub: number;
  readonly device: string;
  readonly stream: string;
  readonly epoch: number;
  readonly fields: readonly FieldInfo[];
}

export type Body = Readonly<Record<string, unknown>>;

export type ServerMessage =
  | { readonly op: 'welcome'; readonly server: string; readonly version: string; readonly role: string }
  | { readonly op: 'device'; readonly device: DeviceInfo }
  | { readonly op: 'subscribed'; readonly id: number; readonly subscriptions: readonly Subscription[] }
  | { readonly op: 'history'; readonly id: number; readonly epoch: number; readonly index: number; readonly nextIndex: number }
  | { readonly op: 'subscription_added'; readonly request: number; readonly subscription: Subscription }
  | {
      readonly op: 'epoch';
      readonly sub: number;
      readonly epoch: number;
      readonly bootId: string;
      readonly fields: readonly FieldInfo[];
      readonly nextIndex: number;
    }
  | {
      readonly op: 'gap';
      readonly sub: number;
      readonly index: number;
      readonly count: number | null;
      readonly estimated: boolean;
      readonly cause: string;
    }
  | {
      /** How a command ended. */
      readonly op: 'result';
      readonly id: number;
      readonly ok: boolean;
      readonly code: string;
      readonly message: string;
      readonly data: Body;
    }
  | { readonly op: 'error'; readonly id: number | null; readonly code: string; readonly message: string }
  | {
      /** One message of the streams `health`, `log` and `fault`. */
      readonly op: 'note';
      readonly sub: number | null;
      readonly stream: string;
      readonly device: string;
      readonly body: Body;
    };

const NOTES = new Set(['health', 'log', 'fault']);

function isObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : null;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function objects(value: unknown): readonly Body[] {
  return list(value).filter(isObject);
}

export function numbers(value: unknown): Readonly<Record<string, number>> {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

function readFields(value: unknown): readonly FieldInfo[] {
  return objects(value).map((field) => ({
    name: text(field['name']),
    unit: text(field['unit']),
    fullScale: numberOrNull(field['full_scale']) || null,
  }));
}

function readStream(value: Body): StreamInfo {
  return {
    name: text(value['name']),
    sensor: text(value['sensor']),
    rateHz: numberOrNull(value['rate_hz']) ?? 0,
    measuredRateHz: numberOrNull(value['measured_rate_hz']),
    fields: readFields(value['fields']),
    state: text(value['state']),
    enabled: typeof value['enabled'] === 'boolean' ? value['enabled'] : null,
    derivedFrom: typeof value['derived_from'] === 'string' ? value['derived_from'] : null,
    calibration: (isObject(value['calibration']) && text(value['calibration']['id'])) || null,
  };
}

function readDevice(value: unknown): DeviceInfo | null {
  if (!isObject(value) || text(value['id']) === '') return null;
  const clock = isObject(value['clock']) ? value['clock'] : {};
  return {
    id: text(value['id']),
    state: text(value['state']),
    board: text(value['board']),
    firmware: text(value['firmware']),
    uid: text(value['uid']),
    bootId: text(value['boot_id']),
    link: text(value['link']),
    warning: text(value['warning']),
    line: numbers(value['line']),
    clock: {
      state: text(clock['state']),
      driftPpm: numberOrNull(clock['drift_ppm']),
      uncertaintyNs: numberOrNull(clock['uncertainty_ns']),
    },
    streams: objects(value['streams']).map(readStream),
  };
}

function readSubscription(value: unknown): Subscription | null {
  if (!isObject(value)) return null;
  const sub = count(value['sub']);
  if (sub === null) return null;
  return {
    sub,
    device: text(value['device']),
    stream: text(value['stream']),
    epoch: count(value['epoch']) ?? 0,
    fields: readFields(value['fields']),
  };
}

/** Reads a text message; null where it is no JSON object or one this page has no use for. */
export function parseMessage(data: string): ServerMessage | null {
  let message: unknown;
  try {
    message = JSON.parse(data);
  } catch {
    return null;
  }
  if (!isObject(message)) return null;
  const op = text(message['op']);
  switch (op) {
    case 'welcome': {
      const server = isObject(message['server']) ? message['server'] : {};
      return { op, server: text(server['name']), version: text(server['version']), role: text(message['role']) };
    }
    case 'device': {
      const device = readDevice(message['device']);
      return device && { op, device };
    }
    case 'subscribed': {
      const id = count(message['id']);
      if (id === null) return null;
      const subscriptions = list(message['subscriptions']).map(readSubscription).filter((one) => one !== null);
      return { op, id, subscriptions };
    }
    case 'history': {
      const [id, epoch, index] = [count(message['id']), count(message['epoch']), count(message['index'])];
      if (id === null || epoch === null || index === null) return null;
      return { op, id, epoch, index, nextIndex: count(message['next_index']) ?? index };
    }
    case 'subscription_added': {
      const subscription = readSubscription(message['subscription']);
      return subscription && { op, request: count(message['request']) ?? 0, subscription };
    }
    case 'epoch': {
      const sub = count(message['sub']);
      if (sub === null) return null;
      return {
        op,
        sub,
        epoch: count(message['epoch']) ?? 0,
        bootId: text(message['boot_id']),
        fields: readFields(message['fields']),
        nextIndex: count(message['next_index']) ?? 0,
      };
    }
    case 'gap': {
      const sub = count(message['sub']);
      if (sub === null) return null;
      return {
        op,
        sub,
        index: count(message['index']) ?? 0,
        count: count(message['count']),
        estimated: message['estimated'] === true,
        cause: text(message['cause']) || 'unknown',
      };
    }
    case 'result': {
      const id = count(message['id']);
      if (id === null) return null;
      const data = isObject(message['data']) ? message['data'] : {};
      return { op, id, ok: message['ok'] === true, code: text(message['code']), message: text(message['message']), data };
    }
    case 'error':
      return { op, id: count(message['id']), code: text(message['code']), message: text(message['message']) };
    default:
      return readNote(op, message);
  }
}

/** A health, log or fault message: named by `op` or by `stream`, its values under a key of that name, `body`, `data`, or flat. */
function readNote(op: string, message: Body): ServerMessage | null {
  const stream = NOTES.has(op) ? op : text(message['stream']);
  if (!NOTES.has(stream)) return null;
  const body = [message[stream], message['body'], message['data'], message].find(isObject) ?? {};
  return { op: 'note', sub: count(message['sub']), stream, device: text(message['device']), body };
}

export const BATCH_HEADER_BYTES = 32;
export const KIND_SAMPLES = 1;
export const KIND_ENVELOPE = 2;

/** A binary batch. `columns` has one Float32Array a field (three a field for an envelope), each `samples` long. */
export interface Batch {
  readonly kind: number;
  readonly sub: number;
  readonly seq: number;
  readonly index: number;
  /** Unix time of the first sample in ns. */
  readonly timeNs: bigint;
  readonly periodNs: number;
  readonly samples: number;
  readonly columns: readonly Float32Array[];
}

/**
 * Decodes a binary message. Null for a kind or version this page does not know, and for one whose length does not
 * match its header. The columns share the message's memory (the header is 32 bytes, so they are aligned).
 */
export function decodeBatch(buffer: ArrayBuffer): Batch | null {
  if (buffer.byteLength < BATCH_HEADER_BYTES) return null;
  const header = new DataView(buffer);
  const kind = header.getUint8(0);
  if ((kind !== KIND_SAMPLES && kind !== KIND_ENVELOPE) || header.getUint8(1) !== 1) return null;
  const samples = header.getUint16(28, true);
  const fields = header.getUint16(30, true);
  const width = kind === KIND_ENVELOPE ? 3 * fields : fields;
  if (buffer.byteLength !== BATCH_HEADER_BYTES + 4 * samples * width) return null;
  const columns: Float32Array[] = [];
  for (let column = 0; column < width; column++) {
    columns.push(readColumn(buffer, BATCH_HEADER_BYTES + 4 * samples * column, samples));
  }
  return {
    kind,
    sub: header.getUint16(2, true),
    seq: header.getUint32(4, true),
    index: Number(header.getBigUint64(8, true)),
    timeNs: header.getBigUint64(16, true),
    periodNs: header.getUint32(24, true),
    samples,
    columns,
  };
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function readColumn(buffer: ArrayBuffer, offset: number, samples: number): Float32Array {
  if (LITTLE_ENDIAN) return new Float32Array(buffer, offset, samples);
  const view = new DataView(buffer, offset);
  return Float32Array.from({ length: samples }, (_, sample) => view.getFloat32(4 * sample, true));
}
