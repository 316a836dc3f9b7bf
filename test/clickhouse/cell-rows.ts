import { Block } from '../../clickhouse/block.ts';
import type { Database } from '../../clickhouse/client.ts';
import type { Table } from '../../clickhouse/columns.ts';
import type { CellRow } from '../../clickhouse/tables/cells.ts';
import {
  type Count,
  counts,
  type Distribution,
  distributions,
  type Quantity,
  quantities,
} from '../../clickhouse/tables/measures.ts';
import { bucketOf } from '../../pipelines/histogram.ts';

/** What goes into a cell: counts, durations added and taken out again in microseconds, quantities. */
export interface CellContent {
  counts?: Partial<Record<Count, number>>;
  added?: Partial<Record<Distribution, readonly number[]>>;
  removed?: Partial<Record<Distribution, readonly number[]>>;
  quantities?: Partial<Record<Quantity, readonly number[]>>;
}

export interface CellPlace {
  dims: readonly string[];
  windowStartMs: number;
  partition: number;
  chunk: number;
  ver: bigint;
  foldVersion?: number;
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + BigInt(value), 0n);

function bucketsOf(added: readonly number[], removed: readonly number[]): Map<number, number> {
  const buckets = new Map<number, number>();
  const count = (value: number, sign: number) =>
    buckets.set(bucketOf(value), (buckets.get(bucketOf(value)) ?? 0) + sign);
  for (const value of added) count(value, 1);
  for (const value of removed) count(value, -1);
  return buckets;
}

/** A cell built the plain way: no folding, only what a chunk of the log comes to. */
export function makeCell(place: CellPlace, content: CellContent): CellRow {
  const added = (index: number) => content.added?.[distributions[index]] ?? [];
  const removed = (index: number) => content.removed?.[distributions[index]] ?? [];
  const reported = (index: number) => content.quantities?.[quantities[index - distributions.length]] ?? [];
  const seen = (index: number) =>
    index < distributions.length ? [...added(index), ...removed(index)] : [...reported(index)];
  const extreme = (index: number, choose: (...values: number[]) => number) =>
    seen(index).length === 0 ? null : choose(...seen(index));
  const { dims, windowStartMs, foldVersion = 1, ...chunk } = place;
  return {
    place: { ...chunk, stream: 'views@1', foldVersion },
    dims,
    windowStartMs,
    count: (index) => content.counts?.[counts[index]] ?? 0,
    sum: (index) =>
      index < distributions.length ? sumOf(added(index)) - sumOf(removed(index)) : sumOf(reported(index)),
    min: (index) => extreme(index, Math.min),
    max: (index) => extreme(index, Math.max),
    reported: (position) => reported(distributions.length + position).length,
    histogram: (index) => bucketsOf(added(index), removed(index)),
  };
}

export async function insertCells(database: Database, table: Table<CellRow>, cells: readonly CellRow[]): Promise<void> {
  await database.insert(new Block(table, cells));
}
