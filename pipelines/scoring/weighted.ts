/** A value and how often it was seen. */
export type Weighted = readonly [value: number, weight: number];

const byValue = ([left]: Weighted, [right]: Weighted): number => left - right;

/** Values at several shares of all weight, by nearest rank; shares have to rise, and there has to be some weight. */
export function weightedQuantiles(values: readonly Weighted[], shares: readonly number[]): number[] {
  const sorted = values.toSorted(byValue);
  const total = sorted.reduce((sum, [, weight]) => sum + weight, 0);
  const found: number[] = [];
  let reached = 0;
  let at = -1;
  for (const share of shares) {
    const rank = Math.max(1, Math.ceil(share * total));
    while (reached < rank && at < sorted.length - 1) {
      at++;
      reached += (sorted[at] as Weighted)[1];
    }
    found.push((sorted[at] as Weighted)[0]);
  }
  return found;
}

export function weightedMedian(values: readonly Weighted[]): number {
  return weightedQuantiles(values, [0.5])[0] as number;
}

/** Median absolute deviation from a centre. */
export function weightedSpread(values: readonly Weighted[], center: number): number {
  return weightedMedian(values.map(([value, weight]) => [Math.abs(value - center), weight]));
}
