import { betaBinomialTail } from './tails.ts';

/**
 * Failures among ends, judged by their exact tail. What is usual is a decayed count of failures and successes; how much more
 * it varies between windows than chance alone makes it comes from the windows themselves. Windows that are themselves
 * unusual are not learned from, or an outage would become the usual.
 */
const failureRateDefaults = {
  /** Before anything is known, one failure in 31 ends. */
  priorFailures: 1,
  priorSuccesses: 30,
  decay: 0.999,
  leastDispersion: 0.002,
  mostDispersion: 0.2,
  startDispersion: 0.02,
  leastFailures: 2,
  /** A window less likely than this is not learned from. */
  learnAbove: 1e-4,
} as const;

/** Windows with ends that are looked at together, because one alone may say little: this one, with two and with seven before it. */
const pools = [1, 3, 8] as const;
const mostPooled = 8;

export interface FailureFinding {
  p: number;
  failures: number;
  n: number;
  expected: number;
  /** Times the usual rate. */
  effect: number;
  /** End of the oldest window with failures that was looked at. */
  sinceMs: number;
}

export class FailureRate {
  #failures: number = failureRateDefaults.priorFailures;
  #successes: number = failureRateDefaults.priorSuccesses;
  /** Sums of how far windows went beyond chance, and of what a dispersion of 1 would have made of that. */
  #excess: number = failureRateDefaults.startDispersion * 50;
  #freedom = 50;
  /** Windows of late: when each ended, its ends and its failures, one after the other; objects would take four times as much. */
  #recent: number[] = [];

  get expected(): number {
    return this.#failures / (this.#failures + this.#successes);
  }

  get #dispersion(): number {
    const { leastDispersion, mostDispersion } = failureRateDefaults;
    return Math.min(mostDispersion, Math.max(leastDispersion, this.#excess / this.#freedom));
  }

  /** Judges the window by itself, and with the ones before where it holds little; then learns from it. */
  judge(n: number, failures: number, endMs: number, mostAgeMs: number): FailureFinding {
    const { expected } = this;
    const recent = this.#keep(n, failures, endMs, mostAgeMs);
    const found = pools
      .filter((_, at) => at === 0 || recent.length / 3 > (pools[at - 1] as number))
      .map((windows) => {
        const sum = { n: 0, failures: 0, sinceMs: endMs };
        for (let at = Math.max(0, recent.length - 3 * windows); at < recent.length; at += 3) {
          const [endedMs, ends, failed] = recent.slice(at, at + 3) as [number, number, number];
          sum.n += ends;
          sum.failures += failed;
          if (failed > 0) sum.sinceMs = Math.min(sum.sinceMs, endedMs);
        }
        return { ...this.#find(sum.n, sum.failures, expected), sinceMs: sum.sinceMs };
      });
    if (found.every(({ p }) => p >= failureRateDefaults.learnAbove)) this.#learn(n, failures, expected);
    // Several looks at the same data: the best one has to pay for the others.
    const [best] = found.toSorted((one, other) => one.p - other.p) as [FailureFinding];
    return { ...best, p: Math.min(1, found.length * best.p) };
  }

  #keep(n: number, failures: number, endMs: number, mostAgeMs: number): number[] {
    const kept = this.#recent;
    let from = Math.max(0, kept.length - 3 * (mostPooled - 1));
    while (from < kept.length && endMs - (kept[from] as number) > mostAgeMs) from += 3;
    this.#recent = [...kept.slice(from), endMs, n, failures];
    return this.#recent;
  }

  /** Chance of as many failures where the usual ratio is another one than now. */
  tail(failures: number, n: number, usualRatio: number): number {
    return failures < failureRateDefaults.leastFailures
      ? 1
      : betaBinomialTail(failures, n, usualRatio, this.#dispersion);
  }

  #find(n: number, failures: number, expected: number): Omit<FailureFinding, 'sinceMs'> {
    const p = this.tail(failures, n, expected);
    return { p, failures, n, expected, effect: failures / n / expected };
  }

  #learn(n: number, failures: number, expected: number): void {
    const { decay } = failureRateDefaults;
    this.#failures = this.#failures * decay + failures;
    this.#successes = this.#successes * decay + n - failures;
    if (n < 2) return;
    const excess = (failures - n * expected) ** 2 / (n * expected * (1 - expected)) - 1;
    this.#excess = this.#excess * decay + Math.min(excess, 20 * (n - 1));
    this.#freedom = this.#freedom * decay + n - 1;
  }
}
