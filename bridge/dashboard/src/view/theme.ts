/** The colours that are drawn on canvas, taken from the style sheet so that both themes have one source. */
export interface Theme {
  readonly series: readonly string[];
  readonly text: string;
  readonly grid: string;
  readonly loss: string;
  readonly font: string;
}

/** x, y, z, w, two more, and the neutral colour of a field that stands alone. */
const SERIES = ['--series-x', '--series-y', '--series-z', '--series-w', '--series-5', '--series-6', '--series-alone'];
export const PALETTE_SIZE = SERIES.length;

export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const variable = (name: string): string => style.getPropertyValue(name).trim();
  return {
    series: SERIES.map(variable),
    text: variable('--text-muted'),
    grid: variable('--grid'),
    loss: variable('--loss-band'),
    font: `11px ${variable('--font')}`,
  };
}
