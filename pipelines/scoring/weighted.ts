/** A value and how often it was seen. */
export type Weighted = readonly [value: number, weight: number];

/** The same as two columns, which are shifted and divided without an object for each value. */
class Columns {
  readonly #values: Float64Array;
  readonly #weights: Float64Array;
  readonly #total: number;

  constructor(values: readonly Weighted[]) {
    this.#values = new Float64Array(values.length);
    this.#weights = new Float64Array(values.length);
    let total = 0;
    for (let at = 0; at < values.length; at++) {
      const [value, weight] = values[at] as Weighted;
      this.#values[at] = value;
      this.#weights[at] = weight;
      total += weight;
    }
    this.#total = total;
  }

  /** By nearest rank. Values are put in order only as far as it takes to find this one, which is several times faster than sorting. */
  quantile(share: number): number {
    const values = this.#values;
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let low = 0;
    let high = values.length - 1;
    let before = 0;
    for (;;) {
      const pivot = middleOf(values[low], values[(low + high) >> 1], values[high]);
      const { less, same, firstSame, lastSame } = this.#divide(low, high, pivot);
      if (rank <= before + less) high = firstSame - 1;
      else if (rank <= before + less + same || lastSame === high) return pivot;
      else {
        before += less + same;
        low = lastSame + 1;
      }
    }
  }

  /** Puts what is less than the pivot before what equals it and that before the rest; says what the first two weigh. */
  #divide(low: number, high: number, pivot: number) {
    const values = this.#values;
    const weights = this.#weights;
    let firstSame = low;
    let lastSame = high;
    let less = 0;
    let same = 0;
    for (let at = low; at <= lastSame; ) {
      const value = values[at];
      const weight = weights[at];
      if (value < pivot) {
        less += weight;
        this.#swap(at++, firstSame++);
      } else if (value > pivot) this.#swap(at, lastSame--);
      else {
        same += weight;
        at++;
      }
    }
    return { less, same, firstSame, lastSame };
  }

  #swap(left: number, right: number): void {
    const values = this.#values;
    const weights = this.#weights;
    const [value, weight] = [values[left], weights[left]];
    values[left] = values[right];
    weights[left] = weights[right];
    values[right] = value;
    weights[right] = weight;
  }
}

const middleOf = (a: number, b: number, c: number): number => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));

/** Values at several shares of all weight, by nearest rank; there has to be some weight. */
export function weightedQuantiles(values: readonly Weighted[], shares: readonly number[]): number[] {
  const columns = new Columns(values);
  return shares.map((share) => columns.quantile(share));
}

export function weightedMedian(values: readonly Weighted[]): number {
  return weightedQuantiles(values, [0.5])[0] as number;
}

/** Median absolute deviation from a centre. */
export function weightedSpread(values: readonly Weighted[], center: number): number {
  return weightedMedian(values.map(([value, weight]) => [Math.abs(value - center), weight]));
}
