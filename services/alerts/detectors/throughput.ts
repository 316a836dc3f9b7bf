import { negativeBinomialTails } from './tails.ts';

/**
 * How much begins in a window, against what is usual at this hour of the week. Counts near zero are judged by the exact
 * tails of a negative binomial; a day that is busier as a whole moves what is expected of its hours.
 */
const throughputDefaults = {
  learnAbove: 1e-5,
  /** Windows of an hour of the week from which its own mean is trusted, rather than that of the hour of the day. */
  leastWindows: 12,
  /** Windows that are looked at together for what is missing, where one alone expects too little. */
  pooled: 12,
  warmUp: 576,
} as const;

const weekHours = 168;
const hourMs = 3_600_000;
const mondayMs = 4 * 24 * hourMs;

export interface ThroughputFinding {
  count: number;
  expected: number;
  pHigh: number;
  /** Of as few in the last hour, and of as many; one window of a rare workflow is mostly empty. */
  pLow: number;
  pPooledHigh: number;
  pooledCount: number;
  pooledExpected: number;
  /** The least that ought to have begun within the hour, by this hour of the week and of the day. */
  pooledLeast: number;
  /** The most that usually began in one window, and in an hour. */
  highest: number;
  pooledHighest: number;
}

export class Throughput {
  /** Means by hour of the week, then by hour of the day; then windows seen of each. */
  readonly #means = new Float32Array(weekHours + 24);
  readonly #seen = new Uint16Array(weekHours + 24);
  readonly #recent = new Float32Array(3 * throughputDefaults.pooled);
  #count = 0;
  #level = 1;
  /** Moments of how far counts vary beyond chance. */
  #excess = 0.3;
  #squares = 1;
  #highest = 0;
  #pooledHighest = 0;

  judge(count: number, endMs: number): ThroughputFinding | null {
    const hour = Math.floor((endMs - 1 - mondayMs) / hourMs);
    const slots = [hour % weekHours, weekHours + (hour % 24)] as const;
    const usual = this.#usual(slots);
    const expected = Math.max(0.01, usual * this.#level);
    const { pooled, warmUp, learnAbove } = throughputDefaults;
    // One busy hour may have made the mean of its hour of the week; what is missing has to be so on other days too.
    const least = Math.min(usual, this.#means[slots[1]] as number) * Math.min(1, this.#level);
    this.#recent.set([count, expected, Math.max(0.01, least)], 3 * (this.#count % pooled));
    this.#count++;
    const [pooledCount, pooledExpected, pooledLeast] = [this.#pool(0), this.#pool(1), this.#pool(2)];
    if (this.#count <= warmUp) {
      this.#learn(slots, count, usual);
      this.#pooledHighest = Math.max(this.#pooledHighest, pooledCount);
      return null;
    }
    const size = 1 / Math.min(2, Math.max(0.02, this.#excess / this.#squares));
    const { high: pHigh } = negativeBinomialTails(count, expected, size);
    const { low: pLow } = negativeBinomialTails(pooledCount, pooledLeast, size * 2);
    const { high: pPooledHigh } = negativeBinomialTails(pooledCount, pooledExpected, size * 2);
    const [highest, pooledHighest] = [this.#highest, this.#pooledHighest];
    if (pPooledHigh > learnAbove) this.#pooledHighest = Math.max(pooledHighest, pooledCount);
    if (pHigh > learnAbove && pLow > learnAbove) this.#learn(slots, count, usual);
    // Bursts are part of some workflows: they are learned unless they are far beyond all before.
    else if (count <= 2 * highest) this.#highest = Math.max(highest, count);
    return {
      ...{ count, expected, pHigh, pLow, pPooledHigh },
      ...{ pooledCount, pooledExpected, pooledLeast, highest, pooledHighest },
    };
  }

  /** Sum over the last hour of counts, of what was expected, or of the least of it. */
  #pool(which: number): number {
    let sum = 0;
    for (let at = which; at < this.#recent.length; at += 3) sum += this.#recent[at] as number;
    return sum;
  }

  #usual([ofWeek, ofDay]: readonly [number, number]): number {
    const known = (this.#seen[ofWeek] as number) >= throughputDefaults.leastWindows;
    return this.#means[known ? ofWeek : ofDay] as number;
  }

  #learn(slots: readonly [number, number], count: number, usual: number): void {
    this.#highest = Math.max(this.#highest, count);
    for (const slot of slots) {
      const seen = Math.min(60, (this.#seen[slot] as number) + 1);
      this.#seen[slot] = seen;
      const before = this.#means[slot] as number;
      this.#means[slot] = before + (count - before) / seen;
    }
    if (usual <= 0) return;
    const expected = usual * this.#level;
    this.#excess = 0.995 * this.#excess + 0.005 * Math.min((count - expected) ** 2 - expected, 9 * expected ** 2 + 9);
    this.#squares = 0.995 * this.#squares + 0.005 * expected ** 2;
    // A day has 288 windows; each moves the level a little, by no more than what was usual allows.
    this.#level += (Math.min(3, count / usual) - this.#level) * Math.min(0.02, usual / 50);
    this.#level = Math.min(3, Math.max(0.3, this.#level));
  }
}
