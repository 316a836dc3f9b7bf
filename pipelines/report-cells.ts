import type { Whole } from '../clickhouse/columns.ts';
import type { CellPlace, Histogram } from '../clickhouse/tables/cells.ts';
import type { MeasureRow, Reading } from '../clickhouse/tables/orchestrator-cells.ts';
import { type MeasureType, orchestratorMeasures, reportsMeasure } from '../clickhouse/tables/orchestrator-measures.ts';
import type { OrchestratorKind } from '../schemas/orchestrator-events.ts';
import { Buckets } from './cells.ts';
import { bucketOf } from './histogram.ts';

const minuteMs = 60_000;
const noHistogram: Histogram = new Map();
const noReadings: readonly Reading[] = [];
const million = 1_000_000;

/** Whole numbers are taken as they are, because a product of floats beyond what is exact would lose their last digits. */
function toMillionths(value: number): Whole {
  const scaled = Math.round(value * million);
  if (Number.isSafeInteger(scaled)) return scaled;
  return Number.isInteger(value) ? BigInt(value) * 1_000_000n : BigInt(scaled);
}

function addWholes(left: Whole, right: Whole): Whole {
  if (typeof left === 'number' && typeof right === 'number') {
    const sum = left + right;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return BigInt(left) + BigInt(right);
}

/** One measure of one window of one chunk. Nothing in it depends on the order in which values come. */
class MeasureCell {
  n = 0;
  sum: Whole = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  lastAtMs = -1;
  lastOffset = -1;
  lastValue = 0;
  buckets: Buckets | null = null;
  /** Instant, offset and value of each reading, where all of them are kept. */
  readings: number[] | null = null;

  take(type: MeasureType, value: number, atMs: number, offset: number): void {
    this.see(value, atMs, offset);
    if (type === 'counter' || type === 'state') {
      this.readings ??= [];
      this.readings.push(atMs, offset, value);
      return;
    }
    this.sum = addWholes(this.sum, toMillionths(value));
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    if (type !== 'spread') return;
    this.buckets ??= new Buckets();
    this.buckets.add(bucketOf(value), 1);
  }

  /** Counts, and remembers what was latest. */
  see(value: number, atMs: number, offset: number): void {
    this.n++;
    if (atMs < this.lastAtMs || (atMs === this.lastAtMs && offset < this.lastOffset)) return;
    this.lastAtMs = atMs;
    this.lastOffset = offset;
    this.lastValue = value;
  }

  inOrder(): readonly Reading[] {
    const flat = this.readings;
    if (flat === null) return noReadings;
    const readings: Reading[] = [];
    for (let at = 0; at < flat.length; at += 3) {
      readings.push({
        atMs: flat[at] as number,
        offset: flat[at + 1] as number,
        value: toMillionths(flat[at + 2] as number),
      });
    }
    return readings.sort((left, right) => left.atMs - right.atMs || left.offset - right.offset);
  }
}

/** All measures of one minute of what one kind of report is about. */
export class ReportCell {
  readonly dims: readonly string[];
  readonly kind: OrchestratorKind;
  readonly windowStartMs: number;
  dirty = true;
  readonly #measures: (MeasureCell | undefined)[] = [];
  readonly #counts = new Map<string, { label: string; outcome: string; cell: MeasureCell }>();

  constructor(dims: readonly string[], kind: OrchestratorKind, windowStartMs: number) {
    this.dims = dims;
    this.kind = kind;
    this.windowStartMs = windowStartMs;
  }

  count(label: string, outcome: string, atMs: number, offset: number): void {
    const key = JSON.stringify([label, outcome]);
    let counted = this.#counts.get(key);
    if (counted === undefined) {
      counted = { label, outcome, cell: new MeasureCell() };
      this.#counts.set(key, counted);
    }
    counted.cell.see(0, atMs, offset);
  }

  measure(index: number, value: number, atMs: number, offset: number): void {
    let cell = this.#measures[index];
    if (cell === undefined) {
      cell = new MeasureCell();
      this.#measures[index] = cell;
    }
    cell.take((orchestratorMeasures[this.kind][index] as { type: MeasureType }).type, value, atMs, offset);
  }

  *rows(place: CellPlace): Generator<MeasureRow> {
    for (const { label, outcome, cell } of this.#counts.values())
      yield this.#row(place, reportsMeasure, label, outcome, cell);
    const measures = orchestratorMeasures[this.kind];
    for (let index = 0; index < measures.length; index++) {
      const cell = this.#measures[index];
      if (cell !== undefined) yield this.#row(place, (measures[index] as { name: string }).name, '', '', cell);
    }
  }

  #row(place: CellPlace, measure: string, label: string, outcome: string, cell: MeasureCell): MeasureRow {
    const isMeasured = cell.min <= cell.max;
    return {
      place,
      dims: this.dims,
      measure,
      label,
      outcome,
      windowStartMs: this.windowStartMs,
      n: cell.n,
      sum: cell.sum,
      min: isMeasured ? toMillionths(cell.min) : null,
      max: isMeasured ? toMillionths(cell.max) : null,
      histogram: cell.buckets ?? noHistogram,
      last: { atMs: cell.lastAtMs, offset: cell.lastOffset, value: toMillionths(cell.lastValue) },
      readings: cell.inOrder(),
    };
  }
}

/** The cells of the reports of one chunk. */
export class ReportCells {
  readonly #byDims = new Map<string, Map<number, ReportCell>>();
  #dirty: ReportCell[] = [];

  /** The cell of what the dimensions name and the minute an instant falls into, marked as changed. */
  at(dims: readonly string[], kind: OrchestratorKind, instantMs: number): ReportCell {
    const minute = Math.floor(instantMs / minuteMs);
    const key = JSON.stringify(dims);
    let windows = this.#byDims.get(key);
    if (windows === undefined) {
      windows = new Map();
      this.#byDims.set(key, windows);
    }
    let cell = windows.get(minute);
    if (cell === undefined) {
      cell = new ReportCell(dims, kind, minute * minuteMs);
      windows.set(minute, cell);
      this.#dirty.push(cell);
    } else if (!cell.dirty) {
      cell.dirty = true;
      this.#dirty.push(cell);
    }
    return cell;
  }

  takeDirty(): ReportCell[] {
    const taken = this.#dirty;
    for (const cell of taken) cell.dirty = false;
    this.#dirty = [];
    return taken;
  }

  clear(): void {
    this.#byDims.clear();
    this.#dirty = [];
  }
}
