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

  constructor(most = 50_000) {
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

/** What nothing was counted in yet; a copy of it takes just the room it needs. How many reported a quantity stands behind the counts. */
const noCounts: readonly number[] = new Array<number>(counts.length + quantities.length).fill(0);
/** Sums, then greatest values, then least ones of distributions; a value that there is none of yet is no number. */
const [maxsFrom, minsFrom] = [sumsPerCell, 2 * sumsPerCell];
const noFigures: readonly number[] = Array.from({ length: minsFrom + distributions.length }, (_, at) =>
  at < maxsFrom ? 0 : Number.NaN,
);
const orNull = (figure: number): number | null => (Number.isNaN(figure) ? null : figure);

/**
 * Absolute values of one window and one set of dimensions, of one chunk of the log. Where there are very many workflows, or
 * a backlog of history, a cell holds one record or two; so it makes room for what it is told, when it is told.
 */
export class Cell {
  readonly dims: Dims;
  readonly windowStartMs: number;
  dirty = true;
  readonly counts: number[] = noCounts.slice();
  #figures: number[] | null = null;
  #carries: bigint[] | null = null;
  /** A number is the bucket of the only value. */
  #histograms: (Buckets | number | null)[] | null = null;

  constructor(dims: Dims, windowStartMs: number) {
    this.dims = dims;
    this.windowStartMs = windowStartMs;
  }

  /** Puts a value into a distribution (sign 1) or takes it out again (sign -1); least and greatest stay. */
  distribute(index: number, value: number, sign: 1 | -1): void {
    const figures = this.#add(index, sign * value);
    this.#distribute(index, bucketOf(value), sign);
    if (sign < 0) return;
    const least = figures[minsFrom + index] as number;
    if (!(least <= value)) figures[minsFrom + index] = value;
    raise(figures, index, value);
  }

  #distribute(index: number, bucket: number, sign: 1 | -1): void {
    this.#histograms ??= new Array<Buckets | number | null>(distributions.length).fill(null);
    const held = this.#histograms[index] as Buckets | number | null;
    if (held instanceof Buckets) held.add(bucket, sign);
    else if (held === null && sign > 0) this.#histograms[index] = bucket;
    else {
      const buckets = held === null ? new Buckets() : bucketsOf(held);
      buckets.add(bucket, sign);
      this.#histograms[index] = buckets;
    }
  }

  /** Adds a reported quantity, or takes it out again. */
  accumulate(position: number, value: number, sign: 1 | -1): void {
    const index = distributions.length + position;
    const figures = this.#add(index, sign * value);
    this.counts[counts.length + position] = this.reported(position) + sign;
    if (sign > 0) raise(figures, index, value);
  }

  #add(index: number, value: number): number[] {
    this.#figures ??= noFigures.slice();
    const figures = this.#figures;
    const sum = (figures[index] as number) + value;
    if (sum < exactBound && sum > -exactBound) {
      figures[index] = sum;
      return figures;
    }
    this.#carries ??= new Array<bigint>(sumsPerCell).fill(0n);
    this.#carries[index] = (this.#carries[index] as bigint) + BigInt(sum);
    figures[index] = 0;
    return figures;
  }

  sum(index: number): Whole {
    const sum = this.#figure(index, 0);
    return this.#carries === null ? sum : BigInt(sum) + (this.#carries[index] as bigint);
  }

  min(index: number): number | null {
    return orNull(this.#figure(minsFrom + index, Number.NaN));
  }

  max(index: number): number | null {
    return orNull(this.#figure(maxsFrom + index, Number.NaN));
  }

  #figure(at: number, otherwise: number): number {
    return this.#figures === null ? otherwise : (this.#figures[at] as number);
  }

  reported(position: number): number {
    return this.counts[counts.length + position] as number;
  }

  histogram(index: number): Histogram {
    const held = this.#histograms?.[index] ?? null;
    if (held === null) return emptyHistogram;
    return held instanceof Buckets ? held : bucketsOf(held);
  }

  row(place: CellPlace): CellRow {
    return new PlacedCell(this, place);
  }
}

function raise(figures: number[], index: number, value: number): void {
  if (!((figures[maxsFrom + index] as number) >= value)) figures[maxsFrom + index] = value;
}

function bucketsOf(onlyBucket: number): Buckets {
  const buckets = new Buckets();
  buckets.add(onlyBucket, 1);
  return buckets;
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

  /** How many have changed since they were last taken. */
  get changed(): number {
    return this.#dirty.length;
  }

  /** The chunk is durable. Dimensions may point here until they are met again, and must not hold its cells alive. */
  clear(): void {
    for (const windows of this.#byDims.values()) for (const { dims } of windows.values()) dims.lastCell = null;
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
