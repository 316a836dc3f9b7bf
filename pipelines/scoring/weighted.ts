/** A value and how often it was seen. */
export type Weighted = readonly [value: number, weight: number];

/** The same of many values as two columns, which are joined, shifted and divided without an object for each value. */
export class WeightedColumns {
  readonly values: Float64Array;
  readonly weights: Float64Array;
  #total: number | undefined;

  constructor(values: Float64Array, weights: Float64Array) {
    this.values = values;
    this.weights = weights;
  }

  static of(pairs: readonly Weighted[]): WeightedColumns {
    const columns = WeightedColumns.withRoomFor(pairs.length);
    for (let at = 0; at < pairs.length; at++) {
      const [value, weight] = pairs[at] as Weighted;
      columns.values[at] = value;
      columns.weights[at] = weight;
    }
    return columns;
  }

  static withRoomFor(length: number): WeightedColumns {
    return new WeightedColumns(new Float64Array(length), new Float64Array(length));
  }

  /** All of some, in their order; what is given is left as it is. */
  static join(some: readonly WeightedColumns[]): WeightedColumns {
    const joined = WeightedColumns.withRoomFor(some.reduce((sum, { values }) => sum + values.length, 0));
    let at = 0;
    for (const { values, weights } of some) {
      joined.values.set(values, at);
      joined.weights.set(weights, at);
      at += values.length;
    }
    return joined;
  }

  /** How much all values weigh. */
  get total(): number {
    this.#total ??= this.weights.reduce((sum, weight) => sum + weight, 0);
    return this.#total;
  }

  /** Median absolute deviation from a centre. The weights are copied too, because each puts them in its own order. */
  spreadFrom(center: number): number {
    const deviations = this.values.map((value) => Math.abs(value - center));
    return new WeightedColumns(deviations, this.weights.slice()).median();
  }

  /**
   * By nearest rank; there has to be some weight. Values are put in order only as far as it takes to find this one, which is several
   * times faster than sorting: their order is another one afterwards.
   */
  quantile(share: number): number {
    const { values } = this;
    const rank = Math.max(1, Math.ceil(share * this.total));
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

  median(): number {
    return this.quantile(0.5);
  }

  /** Puts what is less than the pivot before what equals it and that before the rest; says what the first two weigh. */
  #divide(low: number, high: number, pivot: number) {
    const { values, weights } = this;
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
    const { values, weights } = this;
    const [value, weight] = [values[left], weights[left]];
    values[left] = values[right];
    weights[left] = weights[right];
    values[right] = value;
    weights[right] = weight;
  }
}

const middleOf = (a: number, b: number, c: number): number => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
