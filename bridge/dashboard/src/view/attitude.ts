import { cssMatrix, eulerDegrees, type Quaternion } from '../core/attitude.ts';
import { fixed, rate } from '../core/format.ts';
import type { StreamModel } from '../core/stream.ts';
import { el, setData, setText } from './dom.ts';
import { lastUpTo, type Tile, type View } from './tile.ts';

const FACES = ['top', 'bottom', 'front', 'back', 'left', 'right'];
const ANGLES = ['Roll', 'Pitch', 'Yaw'];

/** An orientation, as a board that turns the way the real one does. */
export class Attitude implements Tile {
  readonly element: HTMLElement;
  readonly stream: StreamModel;
  readonly wide = false;
  readonly pixels = 0;
  visible = true;
  #hover = Number.NaN;
  readonly #body = el('div', { class: 'body' }, ...FACES.map((face) => el('i', { class: face })));
  readonly #rate = el('span', { class: 'rate' });
  readonly #cells = ANGLES.map(() => el('td', { class: 'now' }));

  constructor(stream: StreamModel) {
    this.stream = stream;
    const source = stream.info.derivedFrom === null ? stream.info.sensor : `${stream.info.derivedFrom} · ${stream.info.sensor}`;
    const rows = ANGLES.map((name, i) => el('tr', {}, el('th', { scope: 'row' }, name), this.#cells[i]!));
    rows[2]!.title = 'From where the board pointed when the bridge met it; without a magnetometer it drifts';
    this.element = el(
      'section',
      { class: 'panel attitude' },
      el('header', {}, el('h3', {}, 'Orientation'), el('span', { class: 'source' }, source), this.#rate),
      el('div', { class: 'scene', role: 'img', 'aria-label': 'The board as it is turned now' }, el('div', { class: 'stage' }, this.#body)),
      el('table', { class: 'readout' }, el('tbody', {}, ...rows)),
    );
    this.element.dataset['stream'] = stream.info.name;
  }

  draw(view: View): void {
    const quaternion = this.#at(view);
    setData(this.element, 'known', String(quaternion !== null));
    if (quaternion !== null) this.#body.style.transform = cssMatrix(quaternion);
  }

  updateText(view: View, now: number): void {
    this.draw(view);
    const quaternion = this.#at(view);
    const angles = quaternion === null ? null : eulerDegrees(quaternion);
    for (const [i, cell] of this.#cells.entries()) setText(cell, angles === null ? '–' : `${fixed(angles[i]!, 1)}°`);
    setText(this.#rate, `${rate(this.stream.rate.read(now))} Hz`);
  }

  setHover(time: number): void {
    this.#hover = time;
  }

  setTheme(): void {
    // the style sheet does it
  }

  applyPreferences(): void {
    // an orientation has neither units nor limits to choose
  }

  destroy(): void {
    this.element.remove();
  }

  #at(view: View): Quaternion | null {
    const ring = view.frozen ?? this.stream.ring;
    const row = lastUpTo(ring, Number.isNaN(this.#hover) ? view.to : this.#hover);
    if (row < 0) return null;
    const slot = ring.slot(row);
    const [w, x, y, z] = ring.values.map((column) => column[slot]!);
    return Number.isFinite(w! + x! + y! + z!) ? [w!, x!, y!, z!] : null;
  }
}
