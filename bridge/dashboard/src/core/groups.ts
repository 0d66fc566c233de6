import type { FieldInfo } from './protocol.ts';
import { quantity } from './units.ts';

/** The fields of one stream that share a unit: one plot. */
export interface FieldGroup {
  readonly unit: string;
  readonly title: string;
  /** Positions in the stream's field list. */
  readonly fields: readonly number[];
  /** What tells the fields of the group apart: `x`, `y`, `z`, or the whole name. */
  readonly labels: readonly string[];
}

export function groupByUnit(fields: readonly Pick<FieldInfo, 'name' | 'unit'>[]): readonly FieldGroup[] {
  const byUnit = new Map<string, number[]>();
  fields.forEach((field, position) => {
    const group = byUnit.get(field.unit);
    if (group) group.push(position);
    else byUnit.set(field.unit, [position]);
  });
  return [...byUnit].map(([unit, positions]) => {
    const names = positions.map((position) => fields[position]!.name);
    const prefix = commonPrefix(names);
    const labels = names.map((name) => name.slice(prefix.length) || name);
    return { unit, title: quantity(unit) || words(prefix || names.join(', ')), fields: positions, labels };
  });
}

/** What all names share up to and with their last common `_`; empty for a single name. */
function commonPrefix(names: readonly string[]): string {
  if (names.length < 2) return '';
  let length = 0;
  const first = names[0]!;
  while (length < first.length && names.every((name) => name[length] === first[length])) length++;
  return first.slice(0, first.lastIndexOf('_', length - 1) + 1);
}

function words(name: string): string {
  const spaced = name.replaceAll('_', ' ').trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

const AXES = ['x', 'y', 'z', 'w'];

/**
 * Which colour of the palette each field of a group has: axes keep theirs in every plot, the rest take what is left.
 * The palette's first four are for x, y, z and w.
 */
export function colourIndexes(labels: readonly string[], palette: number): readonly number[] {
  const taken = new Set<number>();
  const indexes = labels.map((label) => {
    const axis = AXES.indexOf(label.toLowerCase());
    if (axis >= 0) taken.add(axis);
    return axis;
  });
  // a lone field that is no axis gets the neutral colour, the last of the palette
  if (labels.length === 1 && indexes[0]! < 0) return [palette - 1];
  let next = 0;
  return indexes.map((index) => {
    if (index >= 0) return index % palette;
    while (taken.has(next) && next < palette) next++;
    taken.add(next);
    return next % palette;
  });
}
