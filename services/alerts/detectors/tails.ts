import { gammaln } from 'simple-statistics';

/** Tails of distributions, on the scale of probabilities; exact enough down to 1e-300. */

const logBeta = (a: number, b: number): number => gammaln(a) + gammaln(b) - gammaln(a + b);

/** Terms that add less than this share no longer matter. */
const negligible = 1e-12;

/**
 * P(X >= failures) of `n` draws whose chance of failure itself varies around `mean`: beta-binomial, by its over-dispersion
 * `rho` between 0 and 1. For example 2 of 2 at a mean of 0.03 and rho of 0.02 have 0.0015, where a fixed chance would give 0.0009.
 */
export function betaBinomialTail(failures: number, n: number, mean: number, rho: number): number {
  if (failures <= 0) return 1;
  const a = mean * (1 / rho - 1);
  const b = (1 - mean) * (1 / rho - 1);
  let term = Math.exp(
    gammaln(n + 1) -
      gammaln(failures + 1) -
      gammaln(n - failures + 1) +
      logBeta(failures + a, n - failures + b) -
      logBeta(a, b),
  );
  let sum = 0;
  for (let k = failures; k <= n; k++) {
    sum += term;
    if (term < sum * negligible) break;
    term *= ((n - k) * (k + a)) / ((k + 1) * (n - k - 1 + b));
  }
  return Math.min(1, sum);
}

/** Both tails of a negative binomial with this mean and `size` (variance = mean + mean² / size), the smaller one counting. */
export function negativeBinomialTails(count: number, mean: number, size: number): { low: number; high: number } {
  const share = size / (size + mean);
  let term = share ** size;
  let below = 0;
  for (let k = 0; k < count; k++) {
    below += term;
    term *= ((k + size) / (k + 1)) * (1 - share);
  }
  const low = Math.min(1, below + term);
  return { low, high: below > 0.999_999 ? upperSum(count, term, size, share) : Math.max(0, 1 - below) };
}

/** Far out the difference from 1 would only be noise. */
function upperSum(from: number, first: number, size: number, share: number): number {
  let sum = 0;
  let term = first;
  for (let k = from; term > sum * negligible && k < from + 100_000; k++) {
    sum += term;
    term *= ((k + size) / (k + 1)) * (1 - share);
  }
  return sum;
}

/** P(Z >= z) of a normal distribution, by Abramowitz and Stegun 7.1.26 near the middle and the asymptotic series far out. */
export function normalTail(z: number): number {
  if (z < 0) return 1 - normalTail(-z);
  if (z > 5) {
    const square = z * z;
    return (Math.exp(-square / 2) / (z * Math.sqrt(2 * Math.PI))) * (1 - 1 / square + 3 / (square * square));
  }
  const x = z / Math.SQRT2;
  const t = 1 / (1 + 0.327_591_1 * x);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.max(1e-9, 0.5 * series * Math.exp(-x * x));
}
