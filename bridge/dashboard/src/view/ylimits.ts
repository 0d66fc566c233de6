import type { Range } from '../core/autoscale.ts';
import type { DisplayUnit } from '../core/units.ts';
import { el, setHidden } from './dom.ts';

/** Two numbers for a fixed y scale, in display units; hidden while the scale is automatic. */
export class YLimits {
  readonly element: HTMLElement;
  readonly #min: HTMLInputElement;
  readonly #max: HTMLInputElement;
  /** In SI; null while the scale is automatic. */
  #range: Range | null = null;
  #factor = 1;

  constructor(title: string) {
    this.#min = this.#input(`${title}: lower limit`);
    this.#max = this.#input(`${title}: upper limit`);
    this.element = el('span', { class: 'limits' }, this.#min, '…', this.#max);
    this.element.hidden = true;
  }

  /** `shown`: the range in view, in display units; a scale that becomes fixed starts there. */
  setMode(mode: 'auto' | 'fixed', unit: DisplayUnit, shown: Range): void {
    if (mode === 'auto') this.#range = null;
    else this.#range ??= { min: shown.min / this.#factor, max: shown.max / this.#factor };
    this.#factor = unit.factor;
    setHidden(this.element, mode === 'auto');
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
