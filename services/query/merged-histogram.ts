import type { HistogramColumn } from '../../clickhouse/queries/windows.ts';

/** Values by bucket, as the rollups keep them: a bucket is 1.01/0.99 as wide as the one before, and stands for its middle. */
export class MergedHistogram {
  readonly #counts = new Map<number, number>();
  #inOrder: [bucket: number, count: number][] | null = null;

  /** In any order: what comes of it is the same. */
  add([buckets, counts]: HistogramColumn): void {
    this.#inOrder = null;
    for (const [at, bucket] of buckets.entries()) {
      this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + (counts[at] ?? 0));
    }
  }

  get n(): number {
    let n = 0;
    for (const count of this.#counts.values()) n += count;
    return n;
  }

  /** Of the values, in square milliseconds. */
  get sumOfSquares(): number {
    let sum = 0;
    for (const [bucket, count] of this.#counts) sum += count * middleMs(bucket) ** 2;
    return sum;
  }

  /** Nearest rank, in milliseconds; null of nothing. Shares are in per cent, to the hundredth. */
  percentile(percent: number): number | null {
    // Whole numbers throughout: a share times a count in floating point may end a hair above its rank.
    const rank = Math.max(1, Math.ceil((Math.round(percent * 100) * this.n) / 10_000));
    this.#inOrder ??= [...this.#counts].sort(([one], [other]) => one - other);
    let reached = 0;
    for (const [bucket, count] of this.#inOrder) {
      reached += count;
      if (reached >= rank) return middleMs(bucket);
    }
    return null;
  }
}

const bucketOfZero = -32_768;
const growth = Math.log(1.01 / 0.99);

const middleMs = (bucket: number): number => (bucket === bucketOfZero ? 0 : (0.99 * Math.exp(bucket * growth)) / 1000);
