import { displayUnit } from './units.ts';

/** A full-scale range as people name it, and in SI. */
export interface RangeStep {
  readonly label: string;
  readonly fullScale: number;
}

/** What the sensors of this kind usually offer, in g and degrees per second. */
const STEPS: Readonly<Record<string, readonly number[]>> = {
  'm/s^2': [2, 4, 8, 16],
  'rad/s': [125, 250, 500, 1000, 2000],
};

/** Ranges nearer than this are the same: 32768 steps of 1/131 °/s are the ±250 °/s of the datasheet. */
const SAME = 0.01;

function label(value: number, symbol: string): string {
  return `±${Number(value.toPrecision(4))} ${symbol}`;
}

/** In words, in the unit that people choose it in. */
export function rangeLabel(unit: string, fullScale: number): string {
  const { symbol, factor } = displayUnit(unit, 'practical');
  const usual = rangeSteps(unit).find((step) => sameRange(step.fullScale, fullScale));
  return usual?.label ?? label(fullScale * factor, symbol);
}

export function sameRange(a: number, b: number): boolean {
  return Math.abs(a - b) <= SAME * Math.max(a, b);
}

/** The usual ranges of a unit, and the one in force if it is none of them; empty where no range can be chosen. */
export function rangeSteps(unit: string, inForce?: number): readonly RangeStep[] {
  if (!Object.hasOwn(STEPS, unit)) return [];
  const { symbol, factor } = displayUnit(unit, 'practical');
  const steps = STEPS[unit]!.map((value) => ({ label: label(value, symbol), fullScale: value / factor }));
  if (inForce === undefined || steps.some((step) => sameRange(step.fullScale, inForce))) return steps;
  return [...steps, { label: label(inForce * factor, symbol), fullScale: inForce }].sort((a, b) => a.fullScale - b.fullScale);
}
