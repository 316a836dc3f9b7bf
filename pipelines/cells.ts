import type { Whole } from '../clickhouse/columns.ts';
import type { CellPlace, CellRow, Histogram } from '../clickhouse/tables/cells.ts';
import { counts, distributions, quantities } from '../clickhouse/tables/measures.ts';
import { bucketOf } from './histogram.ts';

/** Dimensions of a rollup row as text, in the order of the cell table's columns. */
export interface Dims {
  readonly key: string;
  readonly values: readonly string[];
  /** Where the cells of these dimensions were last found: nearly every record asks for the same again. */
  lastTable: CellTable | null;
  lastMinute: number;
  lastCell: Cell | null;
}

const noneSimilar: readonly Dims[] = [];

/**
 * One Dims object for equal dimensions, so that records share them instead of carrying their texts about. It is found by
 * two of its texts (workflow, and task or trigger) and then compared, which is cheaper than joining eight of them for every record.
 */
export class DimsTable {
  #byFirst = new Map<string, Map<string, Dims[]>>();
  #size = 0;
  readonly #most: number;

  constructor(most = 100_000) {
    this.#most = most;
  }

  /** Those known whose two texts are these. */
  similar(first: string, second: string): readonly Dims[] {
    return this.#byFirst.get(first)?.get(second) ?? noneSimilar;
  }

  intern(values: readonly string[]): Dims {
    let bySecond = this.#byFirst.get(values[3] as string);
    if (bySecond === undefined) {
      bySecond = new Map();
      this.#byFirst.set(values[3] as string, bySecond);
    }
    const similar = bySecond.get(values[5] as string);
    const known = similar?.find((dims) => isEqual(dims.values, values));
    if (known !== undefined) return known;
    const dims: Dims = { key: values.join('\u0000'), values, lastTable: null, lastMinute: -1, lastCell: null };
    if (similar === undefined) bySecond.set(values[5] as string, [dims]);
    else similar.push(dims);
    // Forgetting is safe: cells are found by the key's text, the shared object only makes it quick.
    if (++this.#size > this.#most) {
      this.#size = 0;
      this.#byFirst = new Map();
    }
    return dims;
  }
}

function isEqual(left: readonly string[], right: readonly string[]): boolean {
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return left.length === right.length;
}

const sumsPerCell = distributions.length + quantities.length;
/** Beyond this a float would round, so the excess moves into a big integer; single values stay below 2^52. */
const exactBound = 2 ** 52;
const emptyHistogram: Histogram = new Map();
/** Most cells see a handful of values; beyond so many buckets a map is quicker than a search. */
const mostSearchedBuckets = 16;

/** Counts by bucket, small for the many cells that hold one or two values: a backlog of history makes little else. */
export class Buckets implements Histogram {
  #pairs: number[] = [];
  #map: Map<number, number> | null = null;

  get size(): number {
    return this.#map?.size ?? this.#pairs.length / 2;
  }

  add(bucket: number, by: number): void {
    if (this.#map !== null) {
      this.#map.set(bucket, (this.#map.get(bucket) ?? 0) + by);
      return;
    }
    const pairs = this.#pairs;
    for (let at = 0; at < pairs.length; at += 2) {
      if (pairs[at] !== bucket) continue;
      pairs[at + 1] = (pairs[at + 1] as number) + by;
      return;
    }
    // A literal takes just the room it needs, where pushing would reserve for sixteen more.
    if (pairs.length === 0) this.#pairs = [bucket, by];
    else pairs.push(bucket, by);
    if (this.size > mostSearchedBuckets) {
      this.#map = new Map(this);
      this.#pairs = [];
    }
  }

  *[Symbol.iterator](): Iterator<[number, number]> {
    if (this.#map !== null) yield* this.#map;
    else
      for (let at = 0; at < this.#pairs.length; at += 2)
        yield [this.#pairs[at] as number, this.#pairs[at + 1] as number];
  }
}
const minuteMs = 60_000;

/** Absolute values of one window and one set of dimensions, of one chunk of the log. */
export class Cell {
  readonly dims: Dims;
  readonly windowStartMs: number;
  dirty = true;
  readonly counts = new Array<number>(counts.length).fill(0);
  readonly #sums = new Array<number>(sumsPerCell).fill(0);
  #carries: bigint[] | null = null;
  readonly #mins = new Array<number | null>(distributions.length).fill(null);
  readonly #maxs = new Array<number | null>(sumsPerCell).fill(null);
  readonly #reported = new Array<number>(quantities.length).fill(0);
  readonly #histograms = new Array<Buckets | null>(distributions.length).fill(null);

  constructor(dims: Dims, windowStartMs: number) {
    this.dims = dims;
    this.windowStartMs = windowStartMs;
  }

  /** Puts a value into a distribution (sign 1) or takes it out again (sign -1); least and greatest stay. */
  distribute(index: number, value: number, sign: 1 | -1): void {
    this.#add(index, sign * value);
    let histogram = this.#histograms[index] as Buckets | null;
    if (histogram === null) {
      histogram = new Buckets();
      this.#histograms[index] = histogram;
    }
    histogram.add(bucketOf(value), sign);
    if (sign < 0) return;
    const least = this.#mins[index] as number | null;
    if (least === null || value < least) this.#mins[index] = value;
    this.#raise(index, value);
  }

  /** Adds a reported quantity, or takes it out again. */
  accumulate(position: number, value: number, sign: 1 | -1): void {
    const index = distributions.length + position;
    this.#add(index, sign * value);
    this.#reported[position] = (this.#reported[position] as number) + sign;
    if (sign > 0) this.#raise(index, value);
  }

  #raise(index: number, value: number): void {
    const greatest = this.#maxs[index] as number | null;
    if (greatest === null || value > greatest) this.#maxs[index] = value;
  }

  #add(index: number, value: number): void {
    const sum = (this.#sums[index] as number) + value;
    if (sum < exactBound && sum > -exactBound) {
      this.#sums[index] = sum;
      return;
    }
    this.#carries ??= new Array<bigint>(sumsPerCell).fill(0n);
    this.#carries[index] = (this.#carries[index] as bigint) + BigInt(sum);
    this.#sums[index] = 0;
  }

  sum(index: number): Whole {
    const sum = this.#sums[index] as number;
    return this.#carries === null ? sum : BigInt(sum) + (this.#carries[index] as bigint);
  }

  min(index: number): number | null {
    return this.#mins[index] as number | null;
  }

  max(index: number): number | null {
    return this.#maxs[index] as number | null;
  }

  reported(index: number): number {
    return this.#reported[index] as number;
  }

  histogram(index: number): Histogram {
    return (this.#histograms[index] as Buckets | null) ?? emptyHistogram;
  }

  row(place: CellPlace): CellRow {
    return new PlacedCell(this, place);
  }
}

/** A cell on its way to its table; a backlog of history makes as many of them as it has records. */
class PlacedCell implements CellRow {
  readonly place: CellPlace;
  readonly #cell: Cell;

  constructor(cell: Cell, place: CellPlace) {
    this.#cell = cell;
    this.place = place;
  }

  get dims(): readonly string[] {
    return this.#cell.dims.values;
  }

  get windowStartMs(): number {
    return this.#cell.windowStartMs;
  }

  count(index: number): number {
    return this.#cell.counts[index] as number;
  }

  sum(index: number): Whole {
    return this.#cell.sum(index);
  }

  min(index: number): number | null {
    return this.#cell.min(index);
  }

  max(index: number): number | null {
    return this.#cell.max(index);
  }

  reported(index: number): number {
    return this.#cell.reported(index);
  }

  histogram(index: number): Histogram {
    return this.#cell.histogram(index);
  }
}

/** The cells of one chunk. */
export class CellTable {
  readonly #byDims = new Map<string, Map<number, Cell>>();
  #dirty: Cell[] = [];

  /** The cell an instant falls into, marked as changed. */
  at(dims: Dims, instantMs: number): Cell {
    const minute = Math.floor(instantMs / minuteMs);
    let cell = dims.lastCell;
    if (cell === null || dims.lastTable !== this || dims.lastMinute !== minute) {
      cell = this.#find(dims, minute);
      dims.lastTable = this;
      dims.lastMinute = minute;
      dims.lastCell = cell;
    }
    if (!cell.dirty) {
      cell.dirty = true;
      this.#dirty.push(cell);
    }
    return cell;
  }

  #find(dims: Dims, minute: number): Cell {
    let windows = this.#byDims.get(dims.key);
    if (windows === undefined) {
      windows = new Map();
      this.#byDims.set(dims.key, windows);
    }
    let cell = windows.get(minute);
    if (cell === undefined) {
      cell = new Cell(dims, minute * minuteMs);
      windows.set(minute, cell);
      this.#dirty.push(cell);
    }
    return cell;
  }

  /** The chunk is durable. Dimensions may still point here until they are met again, and must not hold its cells alive. */
  clear(): void {
    this.#byDims.clear();
    this.#dirty = [];
  }

  /** Cells changed since they were last taken. */
  takeDirty(): Cell[] {
    const taken = this.#dirty;
    for (const cell of taken) cell.dirty = false;
    this.#dirty = [];
    return taken;
  }
}
