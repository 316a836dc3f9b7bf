/**
 * Whether something changed between two periods, and how sure that is. Means are compared by Welch's test and ratios by
 * the two-proportion test; with many observations both follow the normal distribution, which is used here throughout.
 * A change is called one when it is both sure and large enough to matter.
 */
const changeDefaults = { leastConfidence: 0.95, leastRatio: 0.05 } as const;

export interface Sample {
  n: number;
  mean: number;
  /** Mean of the squared deviations from the mean. */
  variance: number;
}

export interface Change {
  before: number | null;
  now: number | null;
  change_ratio: number | null;
  direction: 'improving' | 'degrading' | 'stable';
  confidence: number | null;
}

/** Which way is good; where neither is, a change has no direction and stays `stable`. */
export type Good = 'less' | 'more' | 'neither';

/** Below this many observations on either side nothing is said about confidence. */
const leastObservations = 5;

export function compareMeans(before: Sample, now: Sample, good: Good): Change {
  if (before.n === 0 || now.n === 0) return describe(meanOf(before), meanOf(now), null, good);
  const error = Math.sqrt(before.variance / before.n + now.variance / now.n);
  const enough = Math.min(before.n, now.n) >= leastObservations;
  return describe(before.mean, now.mean, enough ? confidenceOf(now.mean - before.mean, error) : null, good);
}

const meanOf = ({ n, mean }: Sample): number | null => (n === 0 ? null : mean);

export interface Share {
  hits: number;
  of: number;
}

export function compareShares(before: Share, now: Share, good: Good): Change {
  const ratio = ({ hits, of }: Share) => (of === 0 ? null : hits / of);
  const [was, is] = [ratio(before), ratio(now)];
  if (was === null || is === null || Math.min(before.of, now.of) < leastObservations)
    return describe(was, is, null, good);
  const pooled = (before.hits + now.hits) / (before.of + now.of);
  const error = Math.sqrt(pooled * (1 - pooled) * (1 / before.of + 1 / now.of));
  return describe(was, is, confidenceOf(is - was, error), good);
}

/** Two counts over stretches of the same length, taken as Poisson. */
export function compareCounts(before: number, now: number, good: Good): Change {
  const enough = before + now >= leastObservations;
  return describe(before, now, enough ? confidenceOf(now - before, Math.sqrt(before + now)) : null, good);
}

/** Two-sided: how unlikely so large a difference would be if nothing had changed. */
function confidenceOf(difference: number, error: number): number {
  if (error === 0) return difference === 0 ? 0 : 1;
  return 1 - 2 * (1 - normalCdf(Math.abs(difference) / error));
}

function describe(before: number | null, now: number | null, confidence: number | null, good: Good): Change {
  const ratio = before === null || now === null || before === 0 ? null : (now - before) / Math.abs(before);
  const rounded = confidence === null ? null : Math.min(1, Math.max(0, Math.round(confidence * 1e4) / 1e4));
  const isSure = rounded !== null && rounded >= changeDefaults.leastConfidence;
  const difference = (now ?? 0) - (before ?? 0);
  const isLarge = ratio === null ? difference !== 0 : Math.abs(ratio) >= changeDefaults.leastRatio;
  const isBetter = good === 'less' ? difference < 0 : difference > 0;
  const direction = !isSure || !isLarge || good === 'neither' ? 'stable' : isBetter ? 'improving' : 'degrading';
  return { before, now, change_ratio: ratio, direction, confidence: rounded };
}

/** Abramowitz and Stegun 26.2.17; the error is below 7.5e-8. */
function normalCdf(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const coefficients = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const tail = coefficients.reduceRight((sum, coefficient) => (sum + coefficient) * t, 0);
  return 1 - (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}
