import { fixed } from '../core/format.ts';
import type { SelfTest } from '../core/selftest.ts';
import { el } from './dom.ts';

/** Limits reach from ±14 (percent) to 700 (degrees per second) and, in mg, beyond. */
function digits(value: number): string {
  return Math.abs(value) >= 1000 ? fixed(value, 0) : fixed(value, 1);
}

/** A line for each field: passed or failed, its response, and the datasheet's limits. */
export function selfTestTable(test: SelfTest): HTMLElement {
  const rows = test.fields.map((field) => {
    const verdict = el('td', { class: 'verdict' }, field.passed ? 'pass' : 'FAIL');
    verdict.dataset['tone'] = field.passed ? 'good' : 'bad';
    const limits = `${digits(field.low)} … ${digits(field.high)}`;
    return el('tr', {}, el('th', { scope: 'row' }, field.name), verdict, el('td', {}, digits(field.response)), el('td', {}, limits));
  });
  const heading = (text: string, title: string): HTMLElement => el('th', { scope: 'col', title }, text);
  const head = el(
    'tr',
    {},
    el('td'),
    el('td'),
    heading('response', 'In the unit in which the datasheet states the limits'),
    heading('limits', 'Of the datasheet'),
  );
  return el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows));
}
