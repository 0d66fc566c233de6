import { duration, fixed, rate, uncertainty, whole } from '../core/format.ts';
import { groupByUnit } from '../core/groups.ts';
import type { SampleRing } from '../core/ring.ts';
import type { DeviceModel } from '../core/store.ts';
import type { StreamModel } from '../core/stream.ts';
import { el, setData, setHidden, setText } from './dom.ts';
import { Panel, type PanelContext, type View } from './panel.ts';
import type { Theme } from './theme.ts';

const STATES: Readonly<Record<string, string>> = { online: 'Online', offline: 'Offline', released: 'Released', replay: 'Replay' };
const CLOCKS: Readonly<Record<string, string>> = { locked: 'locked', converging: 'converging', unsynced: 'not synchronised' };

/** Damage on the line, by the counters of the bridge's decoder. */
const DAMAGE = ['damaged_cobs', 'damaged_crc', 'damaged_short', 'damaged_long'];

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
  return [...device.streams.values()].filter((stream) => stream.state !== 'absent');
}

/** One device: who it is, how it does, and a plot for each unit of each of its streams. */
export class Board {
  readonly element: HTMLElement;
  readonly device: DeviceModel;
  readonly panels: readonly Panel[];
  readonly #state = el('span', { class: 'badge' });
  readonly #name = el('h2');
  readonly #identity = el('span', { class: 'identity' });
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
    this.panels = streams.flatMap((stream) => groupByUnit(stream.fields).map((group) => new Panel(stream, group, context)));
    const wide = this.panels.filter((panel) => panel.group.fields.length > 1);
    const narrow = this.panels.filter((panel) => panel.group.fields.length === 1);
    for (const label of ['Samples', 'Lost', 'Clock', 'Line', 'Bus errors', 'CPU', 'Supply', 'Uptime']) this.#addFact(label);
    this.#facts.get('Lost')![0].title = 'Samples lost since this page was opened, by cause';
    this.element = el(
      'article',
      { class: 'board' },
      el('header', { class: 'board-head' }, el('div', { class: 'who' }, this.#name, this.#state, this.#identity), this.#factList),
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

  view(panel: Panel, from: number, to: number, frozen: Frozen | undefined): View {
    return { from, to, frozen: frozen?.rings.get(panel.stream.info.name) };
  }

  setTheme(theme: Theme): void {
    for (const panel of this.panels) panel.setTheme(theme);
  }

  updateText(now: number, connected: boolean): void {
    const { info } = this.device;
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
    const streams = [...this.device.streams.values()];
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
    const busErrors = sumOfNumbers(health['bus']);
    this.#fact('Bus errors', busErrors > 0 ? whole(busErrors) : '', 'warn');
    const cpu = number('cpu');
    this.#fact('CPU', cpu === undefined ? '' : `${fixed(100 * cpu, 1)} %`, cpu !== undefined && cpu > 0.9 ? 'warn' : '');
    const supply = number('supply_v');
    this.#fact('Supply', supply === undefined || supply === 0 ? '' : `${fixed(supply, 2)} V`);
    const uptime = number('uptime_s');
    this.#fact('Uptime', uptime === undefined ? '' : duration(uptime));
  }

  #addFact(label: string): void {
    const value = el('dd');
    const entry = el('div', { class: 'fact' }, el('dt', {}, label), value);
    entry.dataset['fact'] = label.toLowerCase().replace(' ', '-');
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

/** The sensor bus's counters: not acknowledged, error, timeout. */
function sumOfNumbers(counters: unknown): number {
  if (typeof counters !== 'object' || counters === null) return 0;
  return Object.values(counters).reduce((sum: number, count: unknown) => sum + (typeof count === 'number' ? count : 0), 0);
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
  for (const device of devices) for (const stream of device.streams.values()) total += stream.rate.read(now);
  return rate(total);
}
