import { medianSorted, quantileSorted, sampleRankCorrelation } from 'simple-statistics';

/** Statistics that a few wild values do not move, and that answer for no values at all too. */

export const sortAscending = (values: readonly number[]): number[] => [...values].sort((left, right) => left - right);

export function medianOf(values: readonly number[], otherwise = 0): number {
  if (values.length <= 1) return values[0] ?? otherwise;
  return medianSorted(sortAscending(values));
}

export function quantileOf(values: readonly number[], share: number, otherwise = 0): number {
  return values.length === 0 ? otherwise : quantileSorted(sortAscending(values), share);
}

export function meanOf(values: readonly number[], otherwise = 0): number {
  return values.length === 0 ? otherwise : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Half the values lie this far from the median; as wide as a standard deviation where they are normal. */
export function spreadOf(values: readonly number[]): number {
  const middle = medianOf(values);
  return 1.4826 * medianOf(values.map((value) => Math.abs(value - middle)));
}

/** Between -1 and 1; 0 where one side does not vary or there are too few. */
export function rankCorrelationOf(left: readonly number[], right: readonly number[]): number {
  if (left.length < 3 || isConstant(left) || isConstant(right)) return 0;
  const correlation = sampleRankCorrelation([...left], [...right]);
  return Number.isFinite(correlation) ? correlation : 0;
}

const isConstant = (values: readonly number[]): boolean => values.every((value) => value === values[0]);

/** By name, in order of the first of each. */
export function groupBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}

/** How often each, the most frequent first. */
export function countBy(keys: Iterable<string>): { key: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts]
    .map(([key, count]) => ({ key, count }))
    .sort((left, right) => right.count - left.count || (left.key < right.key ? -1 : 1));
}

/** How many of the ascending values are at most `bound`. */
export function countUpTo(sorted: readonly number[], bound: number): number {
  let least = 0;
  let most = sorted.length;
  while (least < most) {
    const middle = (least + most) >> 1;
    if (sorted[middle] <= bound) least = middle + 1;
    else most = middle;
  }
  return least;
}
