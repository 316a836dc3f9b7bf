import { Cusum } from './cusum.ts';
import { Extremes } from './extremes.ts';

/**
 * The level of durations, or of anything that varies by factors: residuals of logarithms from the median of what was
 * usual, by their robust spread. A window's statistic is their clipped sum over the root of their number, so one outlier
 * never makes an alarm; it is divided by how much that statistic varies in practice, because runs of a window are alike.
 */
const levelDefaults = {
  memory: 200,
  /** With fewer values nothing is judged. */
  leastMemory: 20,
  leastScale: 0.15,
  clip: 3,
  /** Values that a statistic needs; where a window holds fewer, those before it help. */
  leastValues: 3,
  /** A longer look, for what is less plain and lasts. */
  moreValues: 8,
  startDispersion: 1.5,
  /** A window less likely than this is not learned from. */
  learnAbove: 5e-3,
  /** Values since a change after which they are the new usual. */
  recent: 32,
  /** Judged windows that a new level has to last before it is one. */
  confirmWindows: 36,
} as const;

/** Values are counted anew when so many have come. */
const refreshEvery = 8;

export interface LevelFinding {
  /** Of values as high as these; and as low. */
  pHigh: number;
  pLow: number;
  n: number;
  /** Times what was usual. */
  effect: number;
  /** What was usual, on the plain scale. */
  expected: number;
  /** Robust standard deviations. */
  score: number;
  /** The level changed for good and is the new usual from now on: from, to. */
  shift: { from: number; to: number } | null;
}

export class Level {
  /** Logarithms outside anomalies, then those seen last whatever they are. */
  readonly #values = new Float32Array(levelDefaults.memory + levelDefaults.recent);
  #count = 0;
  #recentCount = 0;
  #fresh: number = refreshEvery;
  #median = 0;
  #scale: number = levelDefaults.leastScale;
  /** Mean absolute statistic, whose expectation is 0.8 dispersions. */
  #spread = levelDefaults.startDispersion * 0.8;
  #strange = 0;
  readonly #cusum = new Cusum();
  readonly #tail: TailValue[] = [];
  readonly #extremes = new Extremes();

  /** `logs` holds the logarithms of the window's values, season taken out. */
  judge(logs: readonly (readonly [log: number, n: number])[], endMs: number, mostAgeMs: number): LevelFinding | null {
    for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#remember(log);
    if (this.#count < levelDefaults.leastMemory) {
      for (const [log] of logs) this.#learn(log);
      return null;
    }
    this.#refresh();
    const { leastValues, moreValues } = levelDefaults;
    const samples = [leastValues, moreValues].map((n) => this.#sample(logs, endMs, mostAgeMs, n));
    this.#keep(logs, endMs);
    const [short, long] = samples as [Sample, Sample];
    if (short.n < leastValues) {
      for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#learn(log);
      return null;
    }
    return this.#judge(short, long, logs);
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

  #judge(short: Sample, long: Sample, logs: readonly (readonly [number, number])[]): LevelFinding {
    const dispersion = Math.max(1, this.#spread / 0.8);
    const scores = [short, long].map(({ clipped, n }) => clipped / Math.sqrt(n) / dispersion);
    const [own, pooled] = scores as [number, number];
    const isLong = long.n > short.n && Math.abs(pooled) > Math.abs(own);
    const [sample, score] = isLong ? [long, pooled] : [short, own];
    // The longer look sees the same values again in the windows to come; each of them is a look.
    const looks = isLong ? 2 * levelDefaults.moreValues : 2;
    const pHigh = Math.min(1, looks * this.#extremes.tail(score));
    const pLow = Math.min(1, looks * this.#extremes.tail(-score));
    const expected = Math.exp(this.#median);
    const effect = Math.exp(sample.excess / sample.n);
    this.#cusum.add(own);
    const isStrange = Math.min(pHigh, pLow) < levelDefaults.learnAbove;
    if (isStrange) this.#strange++;
    else {
      this.#strange = Math.max(0, this.#strange - 2);
      this.#spread += (Math.min(4, Math.abs(own) * dispersion) - this.#spread) / 50;
      for (const [log, n] of logs) for (let left = Math.min(n, 8); left > 0; left--) this.#learn(log);
    }
    this.#extremes.learn(own);
    return { pHigh, pLow, n: sample.n, effect, expected, score, shift: this.#confirmShift() };
  }

  /** The window's values, or with those before it as many as a statistic needs. */
  #sample(logs: readonly (readonly [number, number])[], endMs: number, mostAgeMs: number, values: number): Sample {
    const sample = { n: 0, clipped: 0, excess: 0 };
    const { clip } = levelDefaults;
    const take = (log: number, n: number) => {
      const residual = (log - this.#median) / this.#scale;
      sample.n += n;
      sample.clipped += n * Math.max(-clip, Math.min(clip, residual));
      sample.excess += n * (log - this.#median);
    };
    for (const [log, n] of logs) take(log, n);
    for (let at = this.#tail.length - 1; at >= 0 && sample.n < values; at--) {
      const before = this.#tail[at] as TailValue;
      if (endMs - before.endMs <= mostAgeMs) take(before.log, 1);
    }
    return sample;
  }

  #keep(logs: readonly (readonly [number, number])[], endMs: number): void {
    const { moreValues } = levelDefaults;
    this.#tail.push(...logs.slice(-moreValues).map(([log]) => ({ log, endMs })));
    if (this.#tail.length > moreValues) this.#tail.splice(0, this.#tail.length - moreValues);
  }

  #learn(log: number): void {
    this.#values[this.#count % levelDefaults.memory] = log;
    this.#count++;
    this.#fresh++;
  }

  #remember(log: number): void {
    this.#values[levelDefaults.memory + (this.#recentCount % levelDefaults.recent)] = log;
    this.#recentCount++;
  }

  #refresh(): void {
    if (this.#fresh < refreshEvery) return;
    this.#fresh = 0;
    const known = this.#values.slice(0, Math.min(this.#count, levelDefaults.memory)).sort();
    this.#median = medianOf(known);
    const distances = known.map((value) => Math.abs(value - this.#median)).sort();
    this.#scale = Math.max(1.4826 * medianOf(distances), levelDefaults.leastScale);
  }

  /** What has been strange for long, in one direction, is the new usual: told once, learned, and quiet from then on. */
  #confirmShift(): LevelFinding['shift'] {
    const { memory, recent, confirmWindows } = levelDefaults;
    const isLasting = this.#strange >= confirmWindows && this.#recentCount >= recent && this.#cusum.hasChanged;
    if (!isLasting) return null;
    const from = Math.exp(this.#median);
    const lately = this.#values.slice(memory);
    this.#values.set(lately);
    this.#count = recent;
    this.#fresh = refreshEvery;
    this.#strange = 0;
    this.#cusum.reset();
    this.#refresh();
    return { from, to: Math.exp(this.#median) };
  }
}

interface TailValue {
  log: number;
  endMs: number;
}

interface Sample {
  n: number;
  clipped: number;
  excess: number;
}

function medianOf(sorted: Float32Array): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
