import { normalTail } from './tails.ts';

/**
 * Whether a new version is slower than the one before it: all of its runs so far against what was usual when it came. A release is
 * looked at on purpose, so runs add up for as long as it is new, where windows by themselves say too little of one that is
 * twice as slow in forty runs. That it fails more often as well makes it likelier (Fisher 1932).
 */
const releaseTrialDefaults = {
  leastRuns: 6,
  /** With so many runs, or after so long, the version is an old one. */
  mostRuns: 200,
  mostMs: 86_400_000,
  clip: 3,
  /** A version that is slower is so from its first runs on: one that is not after so many is as good as the one before. */
  acquitRuns: 24,
  acquitBelow: 1.2,
  /** Of a median of m values, its variance in those of one value is this over m: what is usual is itself only estimated. */
  medianVariance: Math.PI / 2,
} as const;

/** What was usual when the version came. */
export interface UsualLevel {
  median: number;
  scaleUp: number;
  scaleDown: number;
  /** Values that it was learned from. */
  known: number;
  /** How much more sums of values vary than those of independent ones. */
  dispersion: number;
  failureRatio: number;
}

export interface TrialFinding {
  /** Of a version that is no worse looking as bad. */
  p: number;
  n: number;
  effect: number;
  /** What was usual, on the plain scale. */
  expected: number;
  score: number;
}

export class ReleaseTrial {
  readonly version: string;
  readonly beganMs: number;
  /** Whether it was found to be worse. */
  isFound = false;
  readonly #usual: UsualLevel;
  #n = 0;
  #clipped = 0;
  #excess = 0;
  #ends = 0;
  #failures = 0;
  #isAcquitted = false;

  constructor(version: string, beganMs: number, usual: UsualLevel) {
    this.version = version;
    this.beganMs = beganMs;
    this.#usual = usual;
  }

  isOver(endMs: number): boolean {
    return (
      this.#isAcquitted ||
      this.#n >= releaseTrialDefaults.mostRuns ||
      endMs - this.beganMs > releaseTrialDefaults.mostMs
    );
  }

  /** Takes a window of the new version; `failureTail` is the chance of so many failures at the usual ratio. */
  add(
    logs: readonly (readonly [log: number, n: number])[],
    ends: number,
    failures: number,
    failureTail: (failures: number, ends: number, usualRatio: number) => number,
  ): TrialFinding | null {
    const { median, scaleUp, scaleDown, known, dispersion, failureRatio } = this.#usual;
    const { clip, leastRuns, medianVariance, acquitRuns, acquitBelow } = releaseTrialDefaults;
    const before = this.#n;
    this.#ends += ends;
    this.#failures += failures;
    for (const [log, n] of logs) {
      const residual = (log - median) / (log > median ? scaleUp : scaleDown);
      this.#n += n;
      this.#clipped += n * Math.max(-clip, Math.min(clip, residual));
      this.#excess += n * (log - median);
    }
    if (this.#n < leastRuns) return null;
    const effect = Math.exp(this.#excess / this.#n);
    if (before < acquitRuns && this.#n >= acquitRuns) this.#isAcquitted = effect < acquitBelow;
    const variance = this.#n * (1 + (medianVariance * this.#n) / known);
    const score = this.#clipped / Math.sqrt(variance) / dispersion;
    const p = combine(normalTail(score), failureTail(this.#failures, this.#ends, failureRatio));
    return { p, n: this.#n, effect, expected: Math.exp(median), score };
  }
}

/** Fisher's method for two: the chance that the product of two uniform numbers is as small. */
function combine(one: number, other: number): number {
  const product = Math.max(one * other, Number.MIN_VALUE);
  return Math.min(1, product * (1 - Math.log(product)));
}
