import type { SampleRing } from '../core/ring.ts';
import type { StreamModel } from '../core/stream.ts';
import type { Theme } from './theme.ts';

/** What of the time axis is in view. */
export interface View {
  readonly from: number;
  readonly to: number;
  /** A copy of the samples while the view is frozen. */
  readonly frozen: SampleRing | undefined;
}

/** One picture of a stream on a board's page. */
export interface Tile {
  readonly element: HTMLElement;
  readonly stream: StreamModel;
  /** Whether it has a row of its own. */
  readonly wide: boolean;
  /** Whether it is on screen; a tile that is scrolled away is not drawn. */
  visible: boolean;
  /** Width in device pixels of what follows time; 0 where nothing does. */
  readonly pixels: number;
  draw(view: View, now: number): void;
  /** The slower part: numbers and words. */
  updateText(view: View, now: number): void;
  /** Looks at one time instead of the newest; NaN: the newest. */
  setHover(time: number): void;
  setTheme(theme: Theme): void;
  applyPreferences(): void;
  destroy(): void;
}

/** Row at or before `time` that is a sample, -1 where there is none. */
export function lastUpTo(ring: SampleRing, time: number): number {
  let row = Math.min(ring.end - 1, ring.lowerBound(time));
  while (row >= ring.begin && (ring.time[ring.slot(row)]! > time || isBreak(ring, row))) row--;
  return row >= ring.begin ? row : -1;
}

function isBreak(ring: SampleRing, row: number): boolean {
  return ring.values.every((column) => Number.isNaN(column[ring.slot(row)]));
}
