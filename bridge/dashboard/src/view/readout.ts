import type { Statistics } from '../core/columns.ts';
import { fixed } from '../core/format.ts';
import { el, setText } from './dom.ts';

interface Row {
  readonly now: HTMLElement;
  readonly min: HTMLElement;
  readonly max: HTMLElement;
  readonly rms: HTMLElement;
}

/** The numbers beside a plot: newest value (or the value under the cursor), and min, max and RMS over the window. */
export class Readout {
  readonly element: HTMLTableElement;
  readonly #rows: readonly Row[];
  readonly #nowHeading: HTMLElement;

  constructor(names: readonly string[], labels: readonly string[], colours: readonly number[]) {
    this.#nowHeading = el('th', { scope: 'col', class: 'now' }, 'now');
    const body = el('tbody');
    this.#rows = names.map((name, field) => {
      const cell = (key: string): HTMLElement => el('td', { class: key, 'data-value': key });
      const row = { now: cell('now'), min: cell('min'), max: cell('max'), rms: cell('rms') };
      const key = el('span', { class: 'key', 'data-colour': String(colours[field]), 'aria-hidden': 'true' });
      const heading = el('th', { scope: 'row', title: name }, key, labels[field]!);
      const line = el('tr', {}, heading, row.now, row.min, row.max, row.rms);
      line.dataset['field'] = name;
      body.append(line);
      return row;
    });
    const heading = (text: string, title: string): HTMLElement => el('th', { scope: 'col', title }, text);
    const head = el(
      'tr',
      {},
      el('td'),
      this.#nowHeading,
      heading('min', 'Smallest value in view'),
      heading('max', 'Largest value in view'),
      heading('rms', 'Root mean square of the samples in view'),
    );
    this.element = el('table', { class: 'readout' }, el('thead', {}, head), body);
  }

  /** `at`: the time under the cursor as text, empty where there is no cursor. */
  update(values: readonly number[], statistics: readonly Statistics[], factor: number, decimals: number, at: string): void {
    setText(this.#nowHeading, at || 'now');
    this.#rows.forEach((row, field) => {
      const one = statistics[field]!;
      setText(row.now, fixed(values[field]! * factor, decimals));
      setText(row.min, fixed(one.min * factor, decimals));
      setText(row.max, fixed(one.max * factor, decimals));
      setText(row.rms, fixed(one.rms * factor, decimals));
    });
  }
}
