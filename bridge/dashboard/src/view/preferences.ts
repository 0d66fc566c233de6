import type { UnitSystem } from '../core/units.ts';

export const WINDOWS_S = [5, 10, 30, 60] as const;

export interface Preferences {
  windowS: number;
  units: UnitSystem;
  /** Not remembered: fixed limits belong to what was on the screen. */
  yMode: 'auto' | 'fixed';
}

const KEY = 'telemetry-bridge.preferences';

/** What was chosen last time in this browser, or the defaults. */
export function loadPreferences(): Preferences {
  let stored: Partial<Preferences> = {};
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    if (typeof value === 'object' && value !== null) stored = value;
  } catch {
    // storage is blocked or holds something else: the defaults do
  }
  return {
    windowS: WINDOWS_S.find((seconds) => seconds === stored.windowS) ?? 10,
    units: stored.units === 'practical' ? 'practical' : 'si',
    yMode: 'auto',
  };
}

export function savePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // private windows may refuse; the choice then lasts as long as the page
  }
}
