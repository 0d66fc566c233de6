import type { Range } from '../core/autoscale.ts';
import type { DisplayUnit } from '../core/units.ts';
import { el, setHidden } from './dom.ts';

/** Two numbers for a fixed y scale, in display units; hidden while the scale is automatic. */
export class YLimits {
  readonly element: HTMLElement;
  readonly #min: HTMLInputElement;
  readonly #max: HTMLInputElement;
  /** In SI; null while the scale is automatic, or has had nothing to start from. */
  #range: Range | null = null;
  #factor = 1;
  #fixed = false;

  constructor(title: string) {
    this.#min = this.#input(`${title}: lower limit`);
    this.#max = this.#input(`${title}: upper limit`);
    this.element = el('span', { class: 'limits' }, this.#min, '…', this.#max);
    this.element.hidden = true;
  }

  setMode(mode: 'auto' | 'fixed', unit: DisplayUnit): void {
    this.#fixed = mode === 'fixed';
    if (!this.#fixed) this.#range = null;
    this.#factor = unit.factor;
    setHidden(this.element, this.#range === null);
    this.#write();
  }

  /** Tells what the automatic scale shows, in SI: a scale that becomes fixed starts there. */
  shown(range: Range): void {
    if (!this.#fixed || this.#range !== null) return;
    this.#range = range;
    setHidden(this.element, false);
    this.#write();
  }

  /** In display units; null while the scale is automatic. */
  range(factor: number): Range | null {
    return this.#range && { min: this.#range.min * factor, max: this.#range.max * factor };
  }

  #input(label: string): HTMLInputElement {
    const input = el('input', { type: 'number', step: 'any', 'aria-label': label });
    input.addEventListener('change', () => this.#read());
    return input;
  }

  #read(): void {
    const [min, max] = [this.#min.valueAsNumber, this.#max.valueAsNumber];
    const good = min < max;
    this.#min.setAttribute('aria-invalid', String(!good));
    this.#max.setAttribute('aria-invalid', String(!good));
    if (good) this.#range = { min: min / this.#factor, max: max / this.#factor };
  }

  #write(): void {
    if (this.#range === null) return;
    const digits = (value: number): string => String(Number((value * this.#factor).toPrecision(6)));
    this.#min.value = digits(this.#range.min);
    this.#max.value = digits(this.#range.max);
  }
}
