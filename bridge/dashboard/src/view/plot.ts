import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Range } from '../core/autoscale.ts';
import type { Trace } from '../core/columns.ts';
import { clockTime, decimalsOfStep, fixed } from '../core/format.ts';
import type { LossMark } from '../core/stream.ts';
import type { Theme } from './theme.ts';

const Y_AXIS_WIDTH = 58;
const X_AXIS_HEIGHT = 26;
/** Half of the longest label, `18:06:30.125`, which may stand below the right edge. */
const X_LABEL_HALF = 36;
const STEPS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60];

export interface PlotEvents {
  /** The user dragged over `from` … `to` seconds. */
  zoom(from: number, to: number): void;
  reset(): void;
  /** The pointer is at `time` seconds, NaN where it left. */
  hover(time: number): void;
}

export interface Frame {
  readonly trace: Trace;
  readonly from: number;
  readonly to: number;
  readonly y: Range;
  /** Display units per SI unit. */
  readonly factor: number;
  readonly marks: readonly LossMark[];
}

/** Axes, grid, cursor and zoom are uPlot's; the curves are drawn here, from typed arrays with NaN as the lifted pen. */
export class Plot {
  readonly #chart: uPlot;
  readonly #colours: readonly number[];
  #theme: Theme;
  #marks: readonly LossMark[] = [];
  #y: readonly Float32Array[] = [];

  /** `originS`: Unix time in seconds of the page's zero of time. `colours`: index into the theme's palette, a field each. */
  constructor(host: HTMLElement, colours: readonly number[], theme: Theme, originS: number, sync: string, events: PlotEvents) {
    this.#theme = theme;
    this.#colours = colours;
    const muted = (): string => this.#theme.text;
    const grid = { stroke: (): string => this.#theme.grid, width: 1 };
    const still = (_: uPlot, min: number, max: number): uPlot.Range.MinMax => [min, max];
    this.#chart = new uPlot(
      {
        width: Math.max(1, host.clientWidth),
        height: Math.max(1, host.clientHeight),
        padding: [8, X_LABEL_HALF, 0, 0],
        legend: { show: false },
        scales: { x: { time: false, auto: false, range: still }, y: { auto: false, range: still } },
        series: [
          {},
          // drawn below, in `#drawCurves`
          ...colours.map(() => ({ points: { show: false }, paths: () => null })),
        ],
        axes: [
          {
            font: theme.font,
            stroke: muted,
            grid,
            ticks: { show: false },
            size: X_AXIS_HEIGHT,
            gap: 6,
            space: 90,
            incrs: STEPS_S,
            values: (_, splits, __, ___, step) =>
              splits.map((time) => clockTime(originS + time, decimalsOfStep(Math.min(1, step)))),
          },
          {
            font: theme.font,
            stroke: muted,
            grid,
            ticks: { show: false },
            size: Y_AXIS_WIDTH,
            gap: 8,
            space: 28,
            values: (_, splits, __, ___, step) => splits.map((value) => fixed(value, decimalsOfStep(step))),
          },
        ],
        cursor: {
          y: false,
          points: { show: false },
          sync: { key: sync, setSeries: false },
          drag: { x: true, y: false, setScale: false },
          bind: {
            dblclick: () => () => {
              events.reset();
              return null;
            },
          },
        },
        hooks: {
          setSelect: [(chart) => this.#selected(chart, events)],
          setCursor: [
            (chart) => {
              const left = chart.cursor.left ?? -1;
              events.hover(left < 0 ? Number.NaN : chart.posToVal(left, 'x'));
            },
          ],
          drawAxes: [(chart) => this.#drawMarks(chart)],
          draw: [(chart) => this.#drawCurves(chart)],
        },
      },
      [new Float64Array(0), ...colours.map(() => new Float32Array(0))],
      host,
    );
  }

  /** Width of the plotting area in device pixels: the columns that are worth telling apart. */
  get pixels(): number {
    return Math.max(16, Math.round(this.#chart.bbox.width));
  }

  resize(width: number, height: number): void {
    if (width > 0 && height > 0) this.#chart.setSize({ width, height });
  }

  setTheme(theme: Theme): void {
    this.#theme = theme;
    this.#chart.redraw(false, true);
  }

  /** Draws at once, so that its cost is the caller's to measure. */
  draw(frame: Frame): void {
    this.#marks = frame.marks;
    this.#y = this.#colours.map((_, field) => frame.trace.y(field));
    if (frame.factor !== 1) {
      for (const y of this.#y) for (let i = 0; i < y.length; i++) y[i]! *= frame.factor;
    }
    this.#chart.batch(() => {
      this.#chart.setData([frame.trace.x, ...this.#y], false);
      this.#chart.setScale('x', { min: frame.from, max: frame.to });
      this.#chart.setScale('y', { min: frame.y.min, max: frame.y.max });
    });
  }

  destroy(): void {
    this.#chart.destroy();
  }

  #selected(chart: uPlot, events: PlotEvents): void {
    const { left, width } = chart.select;
    if (width < 4) return;
    const from = chart.posToVal(left, 'x');
    const to = chart.posToVal(left + width, 'x');
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    events.zoom(from, to);
  }

  /**
   * Lines are one device pixel wide, drawn twice on dense screens: without a graphics processor, wider strokes of a noisy signal
   * cost forty times as much (measured in Chromium: 44 ms against 1 ms for 3 x 2,000 points).
   */
  #drawCurves(chart: uPlot): void {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = 1;
    ctx.lineJoin = 'bevel';
    this.#colours.forEach((colour, field) => {
      const path = curve(chart, this.#y[field]!);
      ctx.strokeStyle = this.#theme.series[colour]!;
      if (uPlot.pxRatio < 1.5) {
        ctx.stroke(path);
        return;
      }
      ctx.translate(0, -0.5);
      ctx.stroke(path);
      ctx.translate(0, 1);
      ctx.stroke(path);
      ctx.translate(0, -0.5);
    });
    ctx.restore();
  }

  /** A band where samples are missing; at least two pixels wide, so that a single lost sample is seen. */
  #drawMarks(chart: uPlot): void {
    const { ctx, bbox } = chart;
    const { min, max } = chart.scales['x']!;
    if (this.#marks.length === 0 || min == null || max == null) return;
    const least = 2 * uPlot.pxRatio;
    ctx.save();
    ctx.fillStyle = this.#theme.loss;
    for (const mark of this.#marks) {
      const to = Number.isNaN(mark.to) ? max : mark.to;
      if (to < min || mark.from > max) continue;
      const start = Math.max(bbox.left, chart.valToPos(mark.from, 'x', true));
      const end = Math.min(bbox.left + bbox.width, chart.valToPos(to, 'x', true));
      ctx.fillRect(start, bbox.top, Math.max(least, end - start), bbox.height);
    }
    ctx.restore();
  }
}

/** A curve in canvas pixels; NaN lifts the pen. */
function curve(chart: uPlot, y: Float32Array): Path2D {
  const path = new Path2D();
  const x = chart.data[0] as Float64Array;
  const { left, top, width, height } = chart.bbox;
  const { min: fromX, max: toX } = chart.scales['x']!;
  const { min: fromY, max: toY } = chart.scales['y']!;
  const scaleX = width / (toX! - fromX!);
  const scaleY = height / (toY! - fromY!);
  let down = false;
  for (let i = 0; i < x.length; i++) {
    const value = y[i]!;
    if (value !== value) {
      down = false;
      continue;
    }
    const px = left + (x[i]! - fromX!) * scaleX;
    const py = top + (toY! - value) * scaleY;
    if (down) path.lineTo(px, py);
    else {
      path.moveTo(px, py);
      // a sample between two gaps is a dot
      if (!(y[i + 1]! === y[i + 1]!)) path.lineTo(px + uPlot.pxRatio, py);
    }
    down = true;
  }
  return path;
}
