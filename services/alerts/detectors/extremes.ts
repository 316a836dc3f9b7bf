import { normalTail } from './tails.ts';

/**
 * How likely extreme scores are in practice: the normal tail, or where a series has shown heavier ones, an exponential fitted
 * to its peaks over a threshold (the light end of SPOT, Siffer et al. 2017). Never lighter than normal.
 */
export const extremeDefaults = {
  threshold: 2,
  /** Peaks are cut there, so that one outage does not make all others look usual. */
  mostScore: 6,
  windows: 300,
} as const;

/** Share of a normal beyond 2, and the mean by which it is exceeded. */
const normalShare = 0.0228;
const normalExcess = 0.373;

export class Extremes {
  #share: number = normalShare;
  #excess: number = normalExcess;

  /** P(score >= given). */
  tail(score: number): number {
    const normal = normalTail(score);
    if (score <= extremeDefaults.threshold) return normal;
    const share = Math.max(normalShare, this.#share);
    const excess = Math.max(normalExcess, this.#excess);
    return Math.max(normal, share * Math.exp(-(score - extremeDefaults.threshold) / excess));
  }

  /** Strange windows count a fifth: some of them are only extremes, and the others are what is looked for. */
  learn(score: number, isStrange: boolean): void {
    const { threshold, mostScore, windows } = extremeDefaults;
    const weight = (isStrange ? 0.2 : 1) / windows;
    const isPeak = score > threshold;
    this.#share += weight * ((isPeak ? 1 : 0) - this.#share);
    if (!isPeak) return;
    // Peaks are few, so each of them moves their mean by more.
    const excess = Math.min(score, mostScore) - threshold;
    this.#excess += Math.min(0.2, (isStrange ? 0.2 : 1) / (windows * normalShare)) * (excess - this.#excess);
  }
}
