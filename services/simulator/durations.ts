import type { Random } from './random.ts';

/** How long something takes: a number of milliseconds, or a distribution that each attempt draws from. */
export type DurationSpec =
  | number
  | { distribution: 'uniform'; leastMs: number; mostMs: number }
  | { distribution: 'exponential'; meanMs: number }
  /** Half of the values lie below the median; sigma is the spread of the logarithm. */
  | { distribution: 'log_normal'; medianMs: number; sigma: number }
  /** Heavy-tailed: the chance of more than x falls as (leastMs / x) ^ alpha; no value is above `mostMs`. */
  | { distribution: 'pareto'; leastMs: number; alpha: number; mostMs: number };

export function drawDurationMs(spec: DurationSpec, random: Random): number {
  if (typeof spec === 'number') return spec;
  switch (spec.distribution) {
    case 'uniform':
      return random.between(spec.leastMs, spec.mostMs);
    case 'exponential':
      return random.exponential(spec.meanMs);
    case 'log_normal':
      return random.logNormal(spec.medianMs, spec.sigma);
    case 'pareto':
      return Math.min(spec.mostMs, spec.leastMs * (1 - random.next()) ** (-1 / spec.alpha));
  }
}

/** What it takes on average, which a scheduler that runs the shortest first goes by. */
export function meanDurationMs(spec: DurationSpec): number {
  if (typeof spec === 'number') return spec;
  switch (spec.distribution) {
    case 'uniform':
      return (spec.leastMs + spec.mostMs) / 2;
    case 'exponential':
      return spec.meanMs;
    case 'log_normal':
      return spec.medianMs * Math.exp((spec.sigma * spec.sigma) / 2);
    case 'pareto':
      return meanCappedPareto(spec.leastMs, spec.alpha, spec.mostMs);
  }
}

/** The integral of the chance to exceed x, from 0 to the cap. */
function meanCappedPareto(leastMs: number, alpha: number, mostMs: number): number {
  if (alpha === 1) return leastMs * (1 + Math.log(mostMs / leastMs));
  return leastMs + (leastMs / (alpha - 1)) * (1 - (leastMs / mostMs) ** (alpha - 1));
}
