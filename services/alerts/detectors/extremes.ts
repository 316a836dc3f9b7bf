import { normalTail } from './tails.ts';

/**
 * How likely extreme scores are in practice: the normal tail, or where a series has shown heavier ones, an exponential fitted
 * to its peaks over a threshold (the light end of SPOT, Siffer et al. 2017). Never lighter than normal.
 */
const extremeDefaults = {
  threshold: 2,
  /** Peaks are cut there, so that one outage does not make all others look usual. */
  mostScore: 6,
  windows: 300,
  /** A peak is one when the windows before and after were as usual as this; what goes on is no peak, but what is looked for. */
  calm: 1,
  /** With fewer peaks their fit means nothing. */
  leastPeaks: 10,
} as const;

/** Share of a normal beyond 2, and the mean by which it is exceeded. */
const normalShare = 0.0228;
const normalExcess = 0.373;

export class Extremes {
  #share: number = normalShare;
  #excess: number = normalExcess;
  #peaks = 0;
  #before = 0;
  /** What will have been a peak if the next window is calm. */
  #candidate: number | null = null;

  /** P(score >= given). */
  tail(score: number): number {
    const { threshold, leastPeaks } = extremeDefaults;
    const normal = normalTail(score);
    if (score <= threshold || this.#peaks < leastPeaks) return normal;
    return Math.max(normal, this.#share * Math.exp(-(score - threshold) / this.#excess));
  }

  learn(score: number): void {
    const { threshold, windows, calm } = extremeDefaults;
    if (this.#candidate !== null && score <= calm) this.#learnPeak(this.#candidate);
    this.#candidate = score > threshold && this.#before <= calm ? score : null;
    this.#before = score;
    if (score <= threshold) this.#share -= this.#share / windows;
  }

  #learnPeak(score: number): void {
    const { threshold, mostScore, windows } = extremeDefaults;
    this.#share += (1 - this.#share) / windows;
    this.#peaks++;
    this.#excess += (Math.min(score, mostScore) - threshold - this.#excess) / Math.min(20, this.#peaks + 3);
  }
}
