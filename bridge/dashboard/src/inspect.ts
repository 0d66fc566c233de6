import type { App } from './app.ts';

export interface Inspection {
  readonly connection: string;
  readonly role: string | null;
  readonly paused: boolean;
  readonly frames: ReturnType<App['frames']['statistics']>;
  readonly streams: readonly {
    readonly device: string;
    readonly stream: string;
    readonly received: number;
    readonly kept: number;
    readonly lost: number;
    readonly lostByCause: Readonly<Record<string, number>>;
    readonly misfits: number;
    readonly epoch: number | null;
    readonly expected: number | null;
  }[];
}

/** The state of the page as plain values. */
export function inspect(app: App): Inspection {
  const streams = [...app.store.devices.values()].flatMap((device) => [...device.streams.values()]);
  return {
    connection: app.connection.kind,
    role: app.connection.kind === 'open' ? app.connection.role : null,
    paused: app.paused,
    frames: app.frames.statistics(),
    streams: streams.map((stream) => ({
      device: stream.device,
      stream: stream.info.name,
      received: stream.received,
      kept: stream.ring.end - stream.ring.begin,
      lost: stream.lostTotal,
      lostByCause: Object.fromEntries(stream.lost),
      misfits: stream.misfits,
      epoch: stream.epoch,
      expected: stream.expected,
    })),
  };
}
