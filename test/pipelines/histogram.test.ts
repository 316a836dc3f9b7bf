import { describe, expect, it } from 'vitest';
import { bucketOf, bucketValue, quantile, zeroBucket } from '../../pipelines/histogram.ts';
import { createRandom } from '../../services/simulator/random.ts';

function histogramOf(values: readonly number[]): Map<number, number> {
  const histogram = new Map<number, number>();
  for (const value of values) histogram.set(bucketOf(value), (histogram.get(bucketOf(value)) ?? 0) + 1);
  return histogram;
}

const merge = (...parts: Map<number, number>[]): Map<number, number> => {
  const merged = new Map<number, number>();
  for (const part of parts) for (const [bucket, n] of part) merged.set(bucket, (merged.get(bucket) ?? 0) + n);
  return merged;
};

const exact = (values: readonly number[], share: number): number =>
  [...values].sort((left, right) => left - right)[Math.max(0, Math.ceil(share * values.length) - 1)] as number;

describe('histograms', () => {
  it('stand for every value within 1 %', () => {
    const random = createRandom(1);
    for (let index = 0; index < 20_000; index++) {
      const value = Math.exp(random.between(0, 40));
      expect(Math.abs(bucketValue(bucketOf(value)) - value) / value).toBeLessThanOrEqual(0.010_000_1);
    }
  });

  it('give percentiles within 1 % of the exact ones by nearest rank', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const random = createRandom(seed);
      const values = Array.from({ length: 5000 }, () => Math.round(random.logNormal(2_000_000, 1.5)));
      for (const share of [0.01, 0.5, 0.9, 0.95, 0.99, 1]) {
        const estimate = quantile(histogramOf(values), share) as number;
        const truth = exact(values, share);
        expect(Math.abs(estimate - truth) / truth, `seed ${seed}, share ${share}`).toBeLessThanOrEqual(0.0101);
      }
    }
  });

  it('merge to the histogram of the union, in any order and grouping', () => {
    const random = createRandom(7);
    const parts = Array.from({ length: 6 }, () => Array.from({ length: 300 }, () => random.below(1_000_000)));
    const union = [...histogramOf(parts.flat())].sort();
    const histograms = parts.map(histogramOf);
    expect([...merge(...histograms)].sort()).toEqual(union);
    expect([...merge(...histograms.toReversed())].sort()).toEqual(union);
    const [first, second, ...others] = histograms as [Map<number, number>, Map<number, number>];
    expect([...merge(merge(first, ...others), second)].sort()).toEqual(union);
  });

  it('keep zero and less in a bucket of their own, and know no percentile of nothing', () => {
    expect(bucketOf(0)).toBe(zeroBucket);
    expect(bucketOf(-5)).toBe(zeroBucket);
    expect(quantile(histogramOf([0, 0, 0, 10]), 0.5)).toBe(0);
    expect(quantile(new Map(), 0.5)).toBeNull();
    expect(quantile(new Map([[10, 0]]), 0.5)).toBeNull();
  });
});
