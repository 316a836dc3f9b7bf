import type { CellValues } from './recompute.ts';

/**
 * Windows of reports about orchestrators as sums of their minute cells. Beside what adds up there is what was latest,
 * and readings of counters and states, which are collected from all cells of a window and put in order at the end: a day
 * is so made from its minutes without its hours.
 */

/** `last_at`, `last_offset` and `last_value` belong together; the later of two is taken as a whole. */
export function takeLater(sum: CellValues, values: CellValues): void {
  const parts = ['last_at', 'last_offset', 'last_value'];
  const [left, right] = [sum, values].map((side) => parts.map((part) => side.get(part) ?? 0n));
  const differs = parts.findIndex((_, index) => left[index] !== right[index]);
  if (differs < 0 || right[differs] < left[differs]) return;
  parts.forEach((part, index) => {
    sum.set(part, right[index]);
  });
}

export const isLatest = (field: string): boolean => field.startsWith('last_');

/** What stands in an hour or a day for the readings of its minutes. */
export function summariseReadings(dims: string, sum: CellValues): CellValues {
  const summary: CellValues = new Map();
  const readings: { atMs: number; offset: number; value: bigint }[] = [];
  for (const [field, value] of sum) {
    const place = /^readings\[(\d+) (\d+)\]$/.exec(field);
    if (place === null) summary.set(field, value);
    else readings.push({ atMs: Number(place[1]), offset: Number(place[2]), value });
  }
  readings.sort((left, right) => left.atMs - right.atMs || left.offset - right.offset);
  const [first] = readings;
  if (first === undefined) return summary;
  summary.set('first_at', BigInt(first.atMs));
  summary.set('first_offset', BigInt(first.offset));
  summary.set('first_value', first.value);
  const isState = (JSON.parse(dims) as string[])[measurePosition].endsWith('_state');
  let increase = 0n;
  for (let index = 1; index < readings.length; index++) {
    const [before, value] = [readings[index - 1].value, readings[index].value];
    if (isState) increase += before === value ? 0n : 1_000_000n;
    else increase += value < before ? value : value - before;
  }
  summary.set('increase', increase);
  return summary;
}

/** The measure among the dimensions. */
const measurePosition = 7;
