import { expect, test } from 'vitest';
import { bucketOf, bucketValue } from '../../../pipelines/histogram.ts';
import { MergedHistogram } from '../../../services/query/merged-histogram.ts';
import { createRandom } from '../../../services/simulator/random.ts';

/** One row a value: the hardest to merge. */
function histogramOf(valuesUs: readonly number[]): MergedHistogram {
  const histogram = new MergedHistogram();
  for (const us of valuesUs) histogram.add([[bucketOf(us)], [1]]);
  return histogram;
}

test('percentiles are the nearest ranks of all values, each as the middle of its bucket', () => {
  const random = createRandom(3);
  const values = Array.from({ length: 997 }, () => Math.round(random.logNormal(2_000_000, 1))).sort((a, b) => a - b);
  const histogram = histogramOf(values);
  expect(histogram.n).toBe(values.length);
  for (const percent of [0, 0.01, 50, 90, 95, 99, 99.9, 100]) {
    const exact = values[Math.max(1, Math.ceil((percent / 100) * values.length)) - 1] as number;
    expect(histogram.percentile(percent), `p${percent}`).toBeCloseTo(bucketValue(bucketOf(exact)) / 1000, 6);
  }
});

test('a share that floating point takes for more than it is does not move the rank', () => {
  // 0.07 * 100 is 7.000000000000001.
  const histogram = new MergedHistogram();
  histogram.add([
    [100, 200],
    [7, 9_993],
  ]);
  expect(histogram.percentile(0.07)).toBeCloseTo(bucketValue(100) / 1000, 9);
});

test('what a revision took out is in no percentile, and nothing has none', () => {
  const histogram = new MergedHistogram();
  histogram.add([
    [100, 500],
    [1, 1],
  ]);
  histogram.add([[500], [-1]]);
  expect(histogram.n).toBe(1);
  expect(histogram.percentile(100)).toBeCloseTo(bucketValue(100) / 1000, 9);
  histogram.add([[100], [-1]]);
  expect(histogram.percentile(50)).toBeNull();
});

test('what took no time at all is zero', () => {
  expect(histogramOf([0]).percentile(50)).toBe(0);
});
