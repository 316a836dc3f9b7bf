import { medianOf } from './robust-statistics.ts';

/** Whether values rise or fall, told from their order alone, so that a few wild ones change nothing. */

/** The median of the slopes between all pairs (Theil and Sen). */
export function findMedianSlope(places: readonly number[], values: readonly number[]): number {
  const slopes: number[] = [];
  for (let left = 0; left < places.length; left++) {
    for (let right = left + 1; right < places.length; right++) {
      slopes.push((values[right] - values[left]) / (places[right] - places[left]));
    }
  }
  return medianOf(slopes);
}

/** How probable as clear an order is by chance (Mann and Kendall). Two-sided; the normal approximation with continuity correction serves from four values on. */
export function findOrderProbability(values: readonly number[]): number {
  const n = values.length;
  let score = 0;
  for (let left = 0; left < n; left++) {
    for (let right = left + 1; right < n; right++) score += Math.sign(values[right] - values[left]);
  }
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const z = Math.max(0, Math.abs(score) - 1) / deviation;
  return 2 * (1 - normalShareBelow(z));
}

/** Abramowitz and Stegun 26.2.17, good to seven digits. */
export function normalShareBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  const tail =
    density * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z >= 0 ? 1 - tail : tail;
}
