import { isOrientation } from '../core/attitude.ts';
import type { ConnectionState } from '../core/connection.ts';
import { duration, fixed, rate, uncertainty, whole } from '../core/format.ts';
import { groupByUnit } from '../core/groups.ts';
import type { SampleRing } from '../core/ring.ts';
import { numbers as numbersOf } from '../core/protocol.ts';
import type { DeviceModel } from '../core/store.ts';
import type { StreamModel } from '../core/stream.ts';
import { Attitude } from './attitude.ts';
import { BoardSettings } from './boardsettings.ts';
import { el, setData, setHidden, setText } from './dom.ts';
import { FaultNotice } from './fault.ts';
import { Panel, type PanelContext } from './panel.ts';
import { disclosure } from './setting.ts';
import { StreamSettings } from './streamsettings.ts';
import type { Theme } from './theme.ts';
import type { Tile, View } from './tile.ts';

const STATES: Readonly<Record<string, string>> = { online: 'Online', offline: 'Offline', released: 'Released', replay: 'Replay' };
const CLOCKS: Readonly<Record<string, string>> = { locked: 'locked', converging: 'converging', unsynced: 'not synchronised' };

/** Damage on the line, by the counters of the bridge's decoder. */
const DAMAGE = ['damaged_cobs', 'damaged_crc', 'damaged_short', 'damaged_long'];

const FACTS = ['Samples', 'Lost', 'Clock', 'Line', 'Baud fall-backs', 'Bus errors', 'Bus recoveries', 'Flash stall', 'CPU', 'Supply', 'Uptime'];

/** What a view that stands still looks at. */
export interface Frozen {
  readonly edge: number;
  readonly rings: ReadonlyMap<string, SampleRing>;
}

/** A copy of all samples, so that a view that stands still keeps them for as long as it stands. */
export function freeze(device: DeviceModel, edge: number): Frozen {
  return { edge, rings: new Map([...device.streams].map(([name, stream]) => [name, stream.ring.copy()])) };
}

/** Streams whose sensor is there or should be: an optional one that was never found is not worth a plot. */
function fitted(device: DeviceModel): readonly StreamModel[] {
  return [...device.streams.values()].filter((stream) => !stream.absent);
}

/** One device: who it is, how it does, and a plot for each unit of each of its streams. */
export class Board {
  readonly element: HTMLElement;
  readonly device: DeviceModel;
  readonly panels: readonly Tile[];
  readonly #state = el('span', { class: 'badge' });
  readonly #name = el('h2');
  readonly #identity = el('span', { class: 'identity' });
  readonly #settings: BoardSettings;
  readonly #streamSettings: readonly StreamSettings[];
  readonly #fault: FaultNotice;
  readonly #notice = el('p', { class: 'notice', role: 'status' });
  readonly #facts = new Map<string, readonly [HTMLElement, HTMLElement]>();
  readonly #factList = el('dl', { class: 'facts' });
  readonly #structure: string;
  readonly #streams: readonly StreamModel[];
  readonly #seen: IntersectionObserver;

  constructor(device: DeviceModel, context: PanelContext) {
    this.device = device;
    this.#structure = structure(device);
    const streams = fitted(device);
    this.#streams = streams;
    const { command } = context.events;
    this.#settings = new BoardSettings(device.info.id, command);
    const settingsOf = new Map(streams.filter((stream) => !stream.derived).map((stream) => [stream, new StreamSettings(stream, command)]));
    this.#streamSettings = [...settingsOf.values()];
    this.#fault = new FaultNotice(device, command);
    this.panels = streams.flatMap((stream): readonly Tile[] => {
      if (isOrientation(stream.fields)) return [new Attitude(stream)];
      return groupByUnit(stream.fields).map((group, i) => new Panel(stream, group, context, i === 0 ? (settingsOf.get(stream) ?? null) : null));
    });
    const wide = this.panels.filter((panel) => panel.wide);
    const narrow = this.panels.filter((panel) => !panel.wide);
    for (const label of FACTS) this.#addFact(label);
    this.#facts.get('Lost')![0].title = 'Samples lost since this page was opened, by cause';
    this.#facts.get('Flash stall')![0].title = 'Longest time that writing the settings stopped the board';
    const settings = disclosure('Settings', 'Settings of the board', this.#settings.element, () => undefined);
    this.element = el(
      'article',
      { class: 'board' },
      el('header', { class: 'board-head' }, el('div', { class: 'who' }, this.#name, this.#state, settings, this.#identity), this.#factList),
      this.#settings.element,
      this.#fault.element,
      this.#notice,
      ...wide.map((panel) => panel.element),
      el('div', { class: 'narrow-row' }, ...narrow.map((panel) => panel.element)),
    );
    this.element.dataset['device'] = device.info.id;
    this.#seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const panel = this.panels.find((one) => one.element === entry.target);
        if (panel) panel.visible = entry.isIntersecting;
      }
    });
    for (const panel of this.panels) this.#seen.observe(panel.element);
  }

  /** Whether this is the board of `device` and all its streams are drawn with the fields they have now. */
  shows(device: DeviceModel): boolean {
    const streams = fitted(device);
    const same = streams.length === this.#streams.length && streams.every((stream, i) => stream === this.#streams[i]);
    return this.device === device && same && this.#structure === structure(device);
  }

  view(panel: Tile, from: number, to: number, frozen: Frozen | undefined): View {
    return { from, to, frozen: frozen?.rings.get(panel.stream.info.name) };
  }

  setTheme(theme: Theme): void {
    for (const panel of this.panels) panel.setTheme(theme);
  }

  updateText(now: number, connection: ConnectionState): void {
    const { info } = this.device;
    const connected = connection.kind === 'open';
    const commandable = connected && connection.role !== 'viewer' && info.state === 'online';
    for (const settings of [this.#settings, ...this.#streamSettings, this.#fault]) settings.update(commandable);
    setText(this.#name, info.board || 'Board');
    setText(this.#state, connected ? (STATES[info.state] ?? info.state) : 'Not known');
    setData(this.#state, 'state', connected ? info.state : 'unknown');
    setData(this.element, 'state', info.state);
    setText(this.#identity, [info.id, info.firmware && `firmware ${info.firmware}`, info.link].filter(Boolean).join(' · '));
    const absent: Readonly<Record<string, string>> = {
      offline: `The board is gone from ${info.link}. Waiting for it to come back.`,
      released: `Another program has ${info.link} now, to flash the board perhaps. \`telemetry-bridge resume\` takes it back.`,
    };
    const notice = absent[info.state] ?? (info.warning || this.device.notice);
    setText(this.#notice, notice);
    setHidden(this.#notice, notice === '');
    this.#updateFlow(now);
    this.#updateHealth();
  }

  destroy(): void {
    this.#seen.disconnect();
    for (const panel of this.panels) panel.destroy();
    this.element.remove();
  }

  #updateFlow(now: number): void {
    const streams = [...this.device.streams.values()].filter((stream) => !stream.derived); // their losses are their sources'
    const perSecond = streams.reduce((sum, stream) => sum + stream.rate.read(now), 0);
    this.#fact('Samples', `${whole(perSecond)} /s`);
    const causes = new Map<string, number>();
    let unknown = 0;
    let received = 0;
    for (const stream of streams) {
      for (const [cause, count] of stream.lost) causes.set(cause, (causes.get(cause) ?? 0) + count);
      unknown += stream.unknownGaps;
      received += stream.received;
    }
    const total = [...causes.values()].reduce((sum, count) => sum + count, 0);
    const detail = [...causes].map(([cause, count]) => `${cause} ${whole(count)}`);
    if (unknown > 0) detail.push(`${unknown} of unknown length`);
    const share = total > 0 ? ` (${percent(total / (total + received))})` : '';
    this.#fact('Lost', `${whole(total)}${share}${detail.length > 0 ? ` · ${detail.join(' · ')}` : ''}`, detail.length > 0 ? 'warn' : 'good');
  }

  #updateHealth(): void {
    const { clock, line } = this.device.info;
    const bound = clock.uncertaintyNs === null ? '' : ` ${uncertainty(clock.uncertaintyNs)}`;
    this.#fact('Clock', `${CLOCKS[clock.state] ?? clock.state}${bound}`, clock.state === 'locked' ? '' : 'warn');
    const damaged = DAMAGE.reduce((sum, key) => sum + (line[key] ?? 0), 0);
    const frames = line['frames'];
    this.#fact('Line', frames === undefined ? '' : damaged === 0 ? 'no damage' : `${whole(damaged)} damaged frames`, damaged > 0 ? 'warn' : '');
    const health = this.device.health ?? {};
    const number = (key: string): number | undefined => (typeof health[key] === 'number' ? health[key] : undefined);
    const bus = numbersOf(health['bus']);
    this.#count('Bus errors', (bus['nack'] ?? 0) + (bus['error'] ?? 0) + (bus['timeout'] ?? 0));
    this.#count('Bus recoveries', bus['recoveries']);
    this.#count('Baud fall-backs', numbersOf(health['uart'])['baud_fallbacks']);
    const stall = number('flash_stall_ms');
    this.#fact('Flash stall', stall === undefined || stall === 0 ? '' : `${whole(stall)} ms`);
    const cpu = number('cpu');
    this.#fact('CPU', cpu === undefined ? '' : `${fixed(100 * cpu, 1)} %`, cpu !== undefined && cpu > 0.9 ? 'warn' : '');
    const supply = number('supply_v');
    this.#fact('Supply', supply === undefined || supply === 0 ? '' : `${fixed(supply, 2)} V`);
    const uptime = number('uptime_s');
    this.#fact('Uptime', uptime === undefined ? '' : duration(uptime));
  }

  /** A counter of what should not happen: shown where it did. */
  #count(label: string, count: number | undefined): void {
    this.#fact(label, count === undefined || count === 0 ? '' : whole(count), 'warn');
  }

  #addFact(label: string): void {
    const value = el('dd');
    const entry = el('div', { class: 'fact' }, el('dt', {}, label), value);
    entry.dataset['fact'] = label.toLowerCase().replaceAll(' ', '-');
    this.#facts.set(label, [entry, value]);
    this.#factList.append(entry);
  }

  /** An empty value hides the fact: a board that does not state its supply has no such line. */
  #fact(label: string, value: string, tone: '' | 'good' | 'warn' = ''): void {
    const [entry, cell] = this.#facts.get(label)!;
    setHidden(entry, value === '');
    setText(cell, value);
    setData(entry, 'tone', tone);
  }
}

function structure(device: DeviceModel): string {
  const streams = [...device.streams.values()];
  return JSON.stringify(streams.map(({ info, fields }) => [info.name, info.sensor, fields.map((one) => [one.name, one.unit])]));
}

function percent(share: number): string {
  return share < 0.0001 ? '< 0.01 %' : `${fixed(100 * share, share < 0.1 ? 2 : 1)} %`;
}

/** For the page's title: samples a second over all devices. */
export function totalRate(devices: Iterable<DeviceModel>, now: number): string {
  let total = 0;
  for (const device of devices) for (const stream of device.streams.values()) if (!stream.derived) total += stream.rate.read(now);
  return rate(total);
}
