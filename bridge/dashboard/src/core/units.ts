/** SI units as boards state them, and how people like to read them. The page knows units; it knows no sensor. */

export type UnitSystem = 'si' | 'practical';

/** How a value in SI is shown: `value * factor`, followed by `symbol`. */
export interface DisplayUnit {
  readonly symbol: string;
  readonly factor: number;
}

/** Standard gravity in m/s^2 (CGPM 1901). */
export const STANDARD_GRAVITY = 9.80665;

const SI: Readonly<Record<string, string>> = {
  'm/s^2': 'm/s²',
  'rad/s': 'rad/s',
  degC: '°C',
  '1': '',
};

const PRACTICAL: Readonly<Record<string, DisplayUnit>> = {
  'm/s^2': { symbol: 'g', factor: 1 / STANDARD_GRAVITY },
  'rad/s': { symbol: '°/s', factor: 180 / Math.PI },
};

const QUANTITIES: Readonly<Record<string, string>> = {
  'm/s^2': 'Acceleration',
  'rad/s': 'Angular rate',
  degC: 'Temperature',
  V: 'Voltage',
  A: 'Current',
  Pa: 'Pressure',
  T: 'Magnetic field',
  m: 'Distance',
};

/** The least span of an automatic y axis, in SI: below it there is only noise that nobody wants to see fill a plot. */
const LEAST_SPANS: Readonly<Record<string, number>> = { 'm/s^2': 0.2, 'rad/s': 0.02, degC: 0.5, V: 0.01 };

export function leastSpan(unit: string): number {
  return lookUp(LEAST_SPANS, unit) ?? 1e-6;
}

export function displayUnit(unit: string, system: UnitSystem): DisplayUnit {
  const practical = system === 'practical' ? lookUp(PRACTICAL, unit) : undefined;
  return practical ?? { symbol: lookUp(SI, unit) ?? unit, factor: 1 };
}

/** What a unit measures, or an empty string for a unit this page has never heard of. */
export function quantity(unit: string): string {
  return lookUp(QUANTITIES, unit) ?? '';
}

function lookUp<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
