/**
 * Buckets on a logarithmic scale (the mapping of DDSketch with 1 % relative error): bucket k holds the values whose
 * ceil(ln(v) / g) is k, and stands for 0.99 * exp(k * g). Counts of buckets add up, so histograms of chunks,
 * minutes and hours merge exactly and in any order.
 */
const bucketGrowth = Math.log(1.01 / 0.99);
/** Values of zero or less. */
export const zeroBucket = -32768;

export function bucketOf(value: number): number {
  return value <= 0 ? zeroBucket : Math.ceil(Math.log(value) / bucketGrowth);
}

export function bucketValue(bucket: number): number {
  return bucket === zeroBucket ? 0 : 0.99 * Math.exp(bucket * bucketGrowth);
}

/** The value at a share of all counts, by nearest rank; null for an empty histogram. */
export function quantile(histogram: ReadonlyMap<number, number>, share: number): number | null {
  const buckets = [...histogram].filter(([, count]) => count !== 0).sort(([left], [right]) => left - right);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  if (total <= 0) return null;
  const rank = Math.max(1, Math.ceil(share * total));
  let reached = 0;
  for (const [bucket, count] of buckets) {
    reached += count;
    if (reached >= rank) return bucketValue(bucket);
  }
  return null;
}
