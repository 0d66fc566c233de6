import { AutoScale, type Range } from '../core/autoscale.ts';
import { Decimator } from '../core/columns.ts';
import type { Command } from '../core/commands.ts';
import { clockTime, decimalsFor, duration, rate } from '../core/format.ts';
import { colourIndexes, type FieldGroup } from '../core/groups.ts';
import type { SampleRing } from '../core/ring.ts';
import type { StreamModel } from '../core/stream.ts';
import { displayUnit, leastSpan } from '../core/units.ts';
import { el, setData, setHidden, setText } from './dom.ts';
import { Plot, type PlotEvents } from './plot.ts';
import type { Preferences } from './preferences.ts';
import { Readout } from './readout.ts';
import { disclosure } from './setting.ts';
import type { StreamSettings } from './streamsettings.ts';
import { PALETTE_SIZE, type Theme } from './theme.ts';
import { lastUpTo, type Tile, type View } from './tile.ts';
import { YLimits } from './ylimits.ts';

/** Seconds without data before the panel says so: so many sample periods, but at least this long. */
const SILENT_PERIODS = 20;
const SILENT_S = 1.5;

export interface PanelContext {
  readonly preferences: Preferences;
  readonly originS: number;
  readonly theme: Theme;
  readonly events: Pick<PlotEvents, 'zoom' | 'reset'> & { hover(device: string, time: number): void; readonly command: Command };
}

/** One plot with its title, its numbers and what there is to say about its sensor. */
export class Panel implements Tile {
  readonly element: HTMLElement;
  readonly stream: StreamModel;
  readonly group: FieldGroup;
  readonly wide: boolean;
  visible = true;
  #hover = Number.NaN;
  readonly #context: PanelContext;
  readonly #plot: Plot;
  readonly #host: HTMLElement;
  readonly #decimator: Decimator;
  readonly #autoScale: AutoScale;
  readonly #limits: YLimits;
  readonly #readout: Readout;
  readonly #unit = el('span', { class: 'unit' });
  readonly #rate = el('span', { class: 'rate' });
  readonly #calibrated = el('span', { class: 'calibrated' }, 'calibrated');
  readonly #words = el('span');
  readonly #message = el('p', { class: 'plot-message' }, this.#words);
  readonly #resize: ResizeObserver;
  #y: Range = { min: -1, max: 1 };

  /** `settings`: of the stream, on the first of its panels. */
  constructor(stream: StreamModel, group: FieldGroup, context: PanelContext, settings: StreamSettings | null) {
    this.stream = stream;
    this.group = group;
    this.#context = context;
    const names = group.fields.map((field) => stream.fields[field]!.name);
    const colours = colourIndexes(group.labels, PALETTE_SIZE);
    this.#decimator = new Decimator(group.fields);
    this.#autoScale = new AutoScale();
    this.#limits = new YLimits(group.title);
    this.#readout = new Readout(names, group.labels.length > 1 ? group.labels : [''], colours);
    this.#host = el('div', { class: 'plot', role: 'img', 'aria-label': `${group.title} of ${stream.info.name}, live curve` });
    const source = stream.info.sensor === '' ? stream.info.name : `${stream.info.name} · ${stream.info.sensor}`;
    const heading = el('h3', {}, group.title, ' ', this.#unit);
    const header = el('header', {}, heading, el('span', { class: 'source' }, source), this.#calibrated, this.#rate, this.#limits.element);
    this.wide = group.fields.length > 1;
    const shape = this.wide ? 'panel wide' : 'panel narrow';
    this.element = el('section', { class: shape }, header, el('div', { class: 'plot-frame' }, this.#host, this.#message), this.#readout.element);
    if (settings !== null) {
      header.append(disclosure('Settings', `Settings of ${stream.info.name}`, settings.element, (open) => setData(this.element, 'settings', open ? 'open' : '')));
      header.after(settings.element);
    }
    this.element.dataset['stream'] = stream.info.name;
    this.element.dataset['unit'] = group.unit;
    this.#plot = new Plot(this.#host, colours, context.theme, context.originS, stream.device, {
      ...context.events,
      hover: (time) => context.events.hover(stream.device, time),
    });
    this.#resize = new ResizeObserver(() => this.#plot.resize(this.#host.clientWidth, this.#host.clientHeight));
    this.#resize.observe(this.#host);
  }

  get pixels(): number {
    return this.#plot.pixels;
  }

  draw(view: View, now: number): void {
    const ring = view.frozen ?? this.stream.ring;
    const { factor } = displayUnit(this.group.unit, this.#context.preferences.units);
    const trace = this.#decimator.run(ring, view.from, view.to, this.#plot.pixels);
    this.#y = this.#range(factor, now);
    this.#plot.draw({ trace, from: view.from, to: view.to, y: this.#y, factor, marks: this.stream.marks });
  }

  /** The slower part: numbers and words. `silence`: seconds since the device's newest sample. */
  updateText(view: View, now: number): void {
    const { symbol, factor } = displayUnit(this.group.unit, this.#context.preferences.units);
    setText(this.#unit, symbol);
    setText(this.#rate, this.stream.info.enabled === false ? 'off' : `${rate(this.stream.rate.read(now))} Hz`);
    setHidden(this.#calibrated, this.stream.info.calibration === null);
    this.#calibrated.title = `Values are corrected by calibration ${this.stream.info.calibration ?? ''}`;
    this.#rate.title = `nominal ${rate(this.stream.info.rateHz)} Hz`;
    const ring = view.frozen ?? this.stream.ring;
    const decimals = decimalsFor(Math.max(Math.abs(this.#y.min), Math.abs(this.#y.max)));
    const hovering = !Number.isNaN(this.#hover);
    const row = hovering ? nearest(ring, this.#hover) : lastUpTo(ring, view.to);
    const values = this.group.fields.map((field) => (row < 0 ? Number.NaN : ring.values[field]![ring.slot(row)]!));
    const at = hovering ? clockTime(this.#context.originS + this.#hover, 3) : '';
    this.#readout.update(values, this.#decimator.trace.statistics, factor, decimals, at);
    this.#say(view);
  }

  setHover(time: number): void {
    this.#hover = time;
  }

  setTheme(theme: Theme): void {
    this.#plot.setTheme(theme);
  }

  /** Fixed limits start as what is shown now, and follow a change of units. */
  applyPreferences(): void {
    this.#limits.setMode(this.#context.preferences.yMode, displayUnit(this.group.unit, this.#context.preferences.units));
    this.#autoScale.reset();
  }

  destroy(): void {
    this.#resize.disconnect();
    this.#plot.destroy();
    this.element.remove();
  }

  /** In display units. */
  #range(factor: number, now: number): Range {
    const fixedLimits = this.#limits.range(factor);
    if (fixedLimits !== null) return fixedLimits;
    let min = Number.NaN;
    let max = Number.NaN;
    for (const one of this.#decimator.trace.statistics) {
      if (!(min <= one.min) && one.count > 0) min = one.min;
      if (!(max >= one.max) && one.count > 0) max = one.max;
    }
    const range = this.#autoScale.update(min * factor, max * factor, leastSpan(this.group.unit) * factor, now);
    if (Number.isFinite(min)) this.#limits.shown({ min: range.min / factor, max: range.max / factor });
    return range;
  }

  #say(view: View): void {
    const [kind, message] = view.frozen === undefined ? this.#trouble(view) : ['', ''];
    setText(this.#words, message);
    setHidden(this.#message, message === '');
    setData(this.element, 'trouble', kind);
  }

  #trouble(view: View): readonly [kind: string, message: string] {
    const { stream } = this;
    const sensor = stream.info.sensor || stream.info.name;
    if (stream.refusal !== '') return ['refused', `The bridge refused this stream: ${stream.refusal}`];
    if (stream.info.enabled === false) return ['off', `${stream.info.name} is switched off`];
    if (stream.state === 'missing') return ['missing', `${sensor} does not answer. Check its wiring and supply.`];
    if (stream.state === 'failing') return ['missing', `${sensor} answers with errors. Check its wiring.`];
    if (stream.state === 'stopped') return ['stopped', `${sensor} is stopped`];
    const { newest } = stream.ring;
    if (Number.isNaN(newest)) return ['waiting', 'Waiting for the first sample'];
    const silence = view.to - newest;
    const usual = Math.max(SILENT_S, SILENT_PERIODS / (stream.info.rateHz || 1));
    return silence > usual ? ['silent', `No data for ${duration(silence)}`] : ['', ''];
  }
}

function nearest(ring: SampleRing, time: number): number {
  const after = ring.lowerBound(time);
  const before = after - 1;
  if (after >= ring.end) return before >= ring.begin ? before : -1;
  if (before < ring.begin) return after;
  return time - ring.time[ring.slot(before)]! < ring.time[ring.slot(after)]! - time ? before : after;
}
