import { Cusum } from './cusum.ts';
import { Extremes } from './extremes.ts';
import type { UsualLevel } from './release-trial.ts';

/**
 * The level of durations, or of anything that varies by factors: residuals of logarithms from the median of what was
 * usual, each by the spread on its own side, so that a long tail is no news. A window's statistic is their clipped sum over the
 * root of their number, so one outlier never makes an alarm; it is divided by how much that statistic varies in practice,
 * because runs of a window are alike.
 */
const levelDefaults = {
  memory: 200,
  /** With fewer values nothing is judged. */
  leastMemory: 20,
  leastScale: 0.15,
  /** Shares of what was usual that spreads are read from: one, and nearly two deviations from the median. */
  deviation: 0.1587,
  farDeviations: 0.025,
  clip: 3,
  /** Values that each look needs; where a window holds fewer, those before it help. Longer looks are for what is less plain and lasts. */
  looks: [3, 8, 24],
  /** What is older tells a longer look nothing of now. */
  lookMs: [6 * 3_600_000, 2 * 3_600_000, 1.5 * 3_600_000],
  startDispersion: 1.5,
  /** A window less likely than this is not learned from. */
  learnAbove: 5e-3,
  /** Values since a change after which they are the new usual. */
  recent: 32,
  /** Judged windows that a new level has to last before it is one. */
  confirmWindows: 36,
} as const;

const tailValues = Math.max(...levelDefaults.looks);
const at = {
  recent: levelDefaults.memory,
  tailLogs: levelDefaults.memory + levelDefaults.recent,
  tailWindows: levelDefaults.memory + levelDefaults.recent + tailValues,
  spreads: levelDefaults.memory + levelDefaults.recent + 2 * tailValues,
} as const;
const floats = at.spreads + levelDefaults.looks.length;
/** Windows are numbered, which 24 bits are enough for; instants would need more. */
const windowOf = (endMs: number): number => Math.round(endMs / windowMs);
const windowMs = 300_000;
/** Values are counted anew when so many have come. */
const refreshEvery = 8;

export interface LevelFinding {
  /** Of values as high as these; and as low. */
  pHigh: number;
  pLow: number;
  n: number;
  /** Times what was usual; and by the newest values alone, which the longer looks share with windows before. */
  effect: number;
  latest: number;
  /** What was usual, on the plain scale. */
  expected: number;
  /** Robust standard deviations. */
  score: number;
  /** End of the oldest window whose values were looked at. */
  sinceMs: number;
  /** The level changed for good and is the new usual from now on: from, to. */
  shift: { from: number; to: number } | null;
}

export class Level {
  /**
   * One array, because each has an overhead of its own: logarithms outside anomalies, those seen last whatever they are, those of the
   * windows before with the numbers of these, and by look the mean absolute statistic, whose expectation is 0.8 dispersions.
   */
  readonly #values = new Float32Array(floats).fill(levelDefaults.startDispersion * 0.8, at.spreads);
  #count = 0;
  #recentCount = 0;
  #fresh: number = refreshEvery;
  #median = 0;
  #scaleUp: number = levelDefaults.leastScale;
  #scaleDown: number = levelDefaults.leastScale;
  #strange = 0;
  readonly #cusum = new Cusum();
  #tailCount = 0;
  readonly #extremes = new Extremes();

  /** `logs` holds the logarithms of the window's values, season taken out. */
  judge(logs: readonly (readonly [log: number, n: number])[], endMs: number): LevelFinding | null {
    for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#remember(log);
    if (this.#count < levelDefaults.leastMemory) {
      for (const [log] of logs) this.#learn(log);
      return null;
    }
    this.#refresh();
    const samples = levelDefaults.looks.map((values, look) =>
      this.#sample(logs, endMs, levelDefaults.lookMs[look] as number, values),
    );
    this.#keep(logs, endMs);
    const [shortest] = samples as [Sample];
    if (shortest.n < levelDefaults.looks[0]) {
      for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#learn(log);
      return null;
    }
    return this.#judge(samples, logs);
  }

  /** What is usual, on the plain scale; null before anything is. */
  usual() {
    const n = Math.min(this.#count, levelDefaults.memory);
    if (n === 0) return null;
    const known = this.#values.slice(0, n).sort();
    return {
      n,
      medianMs: Math.exp(medianOf(known)),
      longestMs: Math.exp(known[n - 1] as number),
      shareBeyond: (ms: number) => known.filter((value) => value > Math.log(ms)).length / n,
    };
  }

  /** What is usual, for whoever compares with it as it is now; null before enough is known. */
  describe(): Omit<UsualLevel, 'failureRatio'> | null {
    if (this.#count < levelDefaults.leastMemory) return null;
    this.#refresh();
    const longest = this.#values[at.spreads + levelDefaults.looks.length - 1] as number;
    return {
      median: this.#median,
      scaleUp: this.#scaleUp,
      scaleDown: this.#scaleDown,
      known: Math.min(this.#count, levelDefaults.memory),
      dispersion: Math.max(1, longest / 0.8),
    };
  }

  #judge(samples: readonly Sample[], logs: readonly (readonly [number, number])[]): LevelFinding {
    const statistics = samples.map(({ clipped, n }) => clipped / Math.sqrt(n));
    const scores = statistics.map(
      (statistic, look) => statistic / Math.max(1, (this.#values[at.spreads + look] as number) / 0.8),
    );
    const own = scores[0] as number;
    let best = 0;
    for (let look = 1; look < scores.length; look++) {
      const isLonger = (samples[look] as Sample).n > (samples[best] as Sample).n;
      if (isLonger && Math.abs(scores[look] as number) > Math.abs(scores[best] as number)) best = look;
    }
    const sample = samples[best] as Sample;
    const score = scores[best] as number;
    // A longer look sees the same values again in the windows to come; each of them is a look.
    const looks = best === 0 ? samples.length : samples.length * (levelDefaults.looks[best] as number);
    const pHigh = Math.min(1, looks * this.#extremes.tail(score));
    const pLow = Math.min(1, looks * this.#extremes.tail(-score));
    const expected = Math.exp(this.#median);
    const effect = Math.exp(sample.excess / sample.n);
    const [{ excess, n: newest }] = samples as [Sample];
    const latest = Math.exp(excess / newest);
    this.#cusum.add(own);
    const isStrange = Math.min(pHigh, pLow) < levelDefaults.learnAbove;
    if (isStrange) this.#strange++;
    else {
      this.#strange = Math.max(0, this.#strange - 2);
      for (const [look, statistic] of statistics.entries()) {
        const spread = this.#values[at.spreads + look] as number;
        this.#values[at.spreads + look] = spread + (Math.min(4, Math.abs(statistic)) - spread) / 100;
      }
      for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#learn(log);
    }
    this.#extremes.learn(own);
    const { n, sinceMs } = sample;
    return { pHigh, pLow, n, effect, latest, expected, score, sinceMs, shift: this.#confirmShift() };
  }

  /** The window's values, or with those before it as many as a statistic needs. */
  #sample(logs: readonly (readonly [number, number])[], endMs: number, mostAgeMs: number, values: number): Sample {
    const sample = { n: 0, clipped: 0, excess: 0, sinceMs: endMs };
    const { clip } = levelDefaults;
    const take = (log: number, n: number) => {
      const residual = (log - this.#median) / (log > this.#median ? this.#scaleUp : this.#scaleDown);
      sample.n += n;
      sample.clipped += n * Math.max(-clip, Math.min(clip, residual));
      sample.excess += n * (log - this.#median);
    };
    for (const [log, n] of logs) take(log, n);
    for (let back = 1; back <= Math.min(this.#tailCount, tailValues) && sample.n < values; back++) {
      const place = (this.#tailCount - back) % tailValues;
      const age = windowOf(endMs) - (this.#values[at.tailWindows + place] as number);
      if (age * windowMs > mostAgeMs) continue;
      take(this.#values[at.tailLogs + place] as number, 1);
      sample.sinceMs = Math.min(sample.sinceMs, endMs - age * windowMs);
    }
    return sample;
  }

  #keep(logs: readonly (readonly [number, number])[], endMs: number): void {
    for (const [log, n] of logs) {
      for (let left = Math.min(n, 8); left > 0; left--) {
        const place = this.#tailCount % tailValues;
        this.#values[at.tailLogs + place] = log;
        this.#values[at.tailWindows + place] = windowOf(endMs);
        this.#tailCount++;
      }
    }
  }

  #learn(log: number): void {
    this.#values[this.#count % levelDefaults.memory] = log;
    this.#count++;
    this.#fresh++;
  }

  #remember(log: number): void {
    this.#values[at.recent + (this.#recentCount % levelDefaults.recent)] = log;
    this.#recentCount++;
  }

  #refresh(): void {
    if (this.#fresh < refreshEvery) return;
    this.#fresh = 0;
    const known = this.#values.slice(0, Math.min(this.#count, levelDefaults.memory)).sort();
    this.#median = medianOf(known);
    const { deviation, farDeviations } = levelDefaults;
    this.#scaleUp = this.#spreadTo(known, 1 - deviation, 1 - farDeviations);
    this.#scaleDown = this.#spreadTo(known, deviation, farDeviations);
  }

  /** The deviation that a normal would have there, and the one that it would have far out where that is greater. */
  #spreadTo(known: Float32Array, near: number, far: number): number {
    const distance = (share: number) => Math.abs(quantileOf(known, share) - this.#median);
    return Math.max(levelDefaults.leastScale, distance(near), distance(far) / 1.96);
  }

  /** What has been strange for long, in one direction, is the new usual: told once, learned, and quiet from then on. */
  #confirmShift(): LevelFinding['shift'] {
    const { recent, confirmWindows } = levelDefaults;
    const isLasting = this.#strange >= confirmWindows && this.#recentCount >= recent && this.#cusum.hasChanged;
    if (!isLasting) return null;
    const from = Math.exp(this.#median);
    const lately = this.#values.slice(at.recent, at.recent + recent);
    this.#values.set(lately);
    this.#count = recent;
    this.#fresh = refreshEvery;
    this.#strange = 0;
    this.#cusum.reset();
    this.#refresh();
    return { from, to: Math.exp(this.#median) };
  }
}

interface Sample {
  n: number;
  clipped: number;
  excess: number;
  sinceMs: number;
}

const quantileOf = (sorted: Float32Array, share: number): number =>
  sorted[Math.round(share * (sorted.length - 1))] as number;

function medianOf(sorted: Float32Array): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
