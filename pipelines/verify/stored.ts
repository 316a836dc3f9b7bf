import type { Database } from '../../clickhouse/client.ts';
import { executionDimensions, taskDimensions } from '../../clickhouse/tables/cells.ts';
import { orchestratorDimensions } from '../../clickhouse/tables/orchestrator-cells.ts';
import { reportIdentity } from '../../clickhouse/tables/orchestrator-events.ts';
import { type CellValues, cellKey } from './recompute.ts';

/** What ClickHouse holds of a stream, read back as plain values. */

/** A table as the verifier needs it: its name and the names and types of its columns. */
export interface StoredTable {
  name: string;
  columns: readonly { name: string; type: string }[];
}

/** One partition of a stream (`topic@epoch`). */
export interface StreamPartition {
  stream: string;
  partition: number;
}

export interface LedgerRow {
  partition: number;
  chunk: number;
  chunkRecords: number;
  foldVersion: number;
  lastOffset: number;
  complete: boolean;
  stored: number;
  dropped: number;
  dead: number;
  duplicate: number;
  lostRetention: number;
  ver: bigint;
}

export async function readLedger(database: Database, stream: string): Promise<LedgerRow[]> {
  const rows = await database.rows<Omit<LedgerRow, 'ver'> & { ver: string }>(
    `SELECT partition, chunk, chunk_records AS chunkRecords, fold_version AS foldVersion, last_offset AS lastOffset,
       complete, stored, dropped, dead, duplicate, lost_retention AS lostRetention, toString(ver) AS ver
     FROM chunks FINAL WHERE stream = {stream: String} ORDER BY partition, chunk`,
    { stream },
  );
  return rows.map((row) => ({ ...row, complete: Boolean(row.complete), ver: BigInt(row.ver) }));
}

/** What became of one offset besides a raw row. */
export interface Refused {
  offset: number;
  reason: string;
}

export async function readRefused(
  database: Database,
  table: 'drops' | 'dead_letters',
  of: StreamPartition,
  offsets: { first: number; last: number },
): Promise<Refused[]> {
  return await database.rows<Refused>(
    `SELECT offset, reason FROM ${table} FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32}
       AND offset BETWEEN {first: UInt64} AND {last: UInt64} ORDER BY offset`,
    { ...of, ...offsets },
  );
}

/** Raw rows of a range of offsets in offset order, each as its values in the order of the table's columns. */
export async function* readRawRows(
  database: Database,
  table: StoredTable,
  of: StreamPartition,
  offsets: { first: number; last: number },
): AsyncGenerator<unknown[]> {
  const columns = table.columns.map(({ name, type }) =>
    /^UInt(64|128)$/.test(type) && name.endsWith('_hash') ? `toString(${name})` : `\`${name}\``,
  );
  const answer = await database.stream(
    `SELECT ${columns.join(', ')} FROM ${table.name} FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32}
       AND offset BETWEEN {first: UInt64} AND {last: UInt64} ORDER BY offset
     FORMAT JSONCompactEachRow SETTINGS output_format_json_named_tuples_as_objects = 1`,
    { ...of, ...offsets },
  );
  yield* readJsonLines(answer);
}

export async function* readJsonLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<unknown[]> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as unknown[];
  }
  if (rest !== '') yield JSON.parse(rest) as unknown[];
}

/** A stored cell of one chunk; the position is the last offset that its values stand for. */
export interface StoredCell {
  values: CellValues;
  foldVersion: number;
  ver: bigint;
}

const cellCoordinates = new Set(['window_start', 'stream', 'partition', 'chunk', 'fold_version', 'ver']);

const dimensionsOf: Record<string, readonly string[]> = {
  execution_cells: executionDimensions,
  task_cells: taskDimensions,
  orchestrator_cells: orchestratorDimensions,
};

/** One value of a cell, or several by name, and the SQL that gives it as a whole number. */
export interface SelectedMeasure {
  field: string;
  sql: string;
}

const inMillionths = (column: string): string => `toString(toInt128(${column} * 1000000))`;

/** How a column of any type is read without losing a digit: a JSON number holds 53 bits exactly. */
export function selectMeasure({ name, type }: { name: string; type: string }): SelectedMeasure[] {
  if (type.startsWith('Array(Tuple(at ')) {
    const places = `arrayMap(entry -> concat(toString(toUnixTimestamp64Milli(entry.1)), ' ', toString(entry.2)), ${name})`;
    const values = `arrayMap(entry -> ${inMillionths('entry.3')}, ${name})`;
    return [{ field: name, sql: `mapFromArrays(${places}, ${values})` }];
  }
  if (type.startsWith('Tuple(at ')) {
    return [
      { field: `${name}_at`, sql: `toUnixTimestamp64Milli(${name}.1)` },
      { field: `${name}_offset`, sql: `${name}.2` },
      { field: `${name}_value`, sql: inMillionths(`${name}.3`) },
    ];
  }
  if (type.includes('Decimal')) return [{ field: name, sql: inMillionths(name) }];
  return [{ field: name, sql: name.endsWith('_sum') ? `toString(${name})` : name }];
}

/** All cells of a partition by `cellKey`. */
export async function readCells(
  database: Database,
  table: StoredTable,
  { stream, partition }: StreamPartition,
): Promise<Map<string, StoredCell>> {
  const dimensions = dimensionsOf[table.name] as readonly string[];
  const measures = table.columns
    .filter(({ name }) => !cellCoordinates.has(name) && !dimensions.includes(name))
    .flatMap(selectMeasure);
  const fields = measures.map(({ field }) => field);
  const answer = await database.stream(
    `SELECT ${dimensions.join(', ')}, toUnixTimestamp(window_start), chunk, fold_version, toString(ver),
       ${measures.map(({ sql }) => sql).join(', ')}
     FROM ${table.name} FINAL WHERE stream = {stream: String} AND partition = {partition: UInt32}
     FORMAT JSONCompactEachRow`,
    { stream, partition },
  );
  const cells = new Map<string, StoredCell>();
  for await (const row of readJsonLines(answer)) {
    const dims = JSON.stringify(row.slice(0, dimensions.length));
    const [windowSeconds, chunk, foldVersion, ver, ...values] = row.slice(dimensions.length);
    cells.set(cellKey(dims, Number(windowSeconds) * 1000, Number(chunk)), {
      values: readValues(fields, values),
      foldVersion: Number(foldVersion),
      ver: BigInt(ver as string),
    });
  }
  return cells;
}

export function readValues(measures: readonly string[], values: readonly unknown[]): CellValues {
  const cell: CellValues = new Map();
  measures.forEach((measure, index) => {
    const value = values[index];
    if (value === null) return;
    if (typeof value !== 'object') cell.set(measure, BigInt(value as string));
    else {
      for (const [bucket, count] of Object.entries(value as object)) cell.set(`${measure}[${bucket}]`, BigInt(count));
    }
  });
  return cell;
}

/** Partitions under which a table holds rows of the stream. */
export async function readPartitions(database: Database, table: string, stream: string): Promise<number[]> {
  const rows = await database.rows<{ partition: number }>(
    `SELECT DISTINCT partition FROM ${table} WHERE stream = {stream: String} ORDER BY partition`,
    { stream },
  );
  return rows.map(({ partition }) => partition);
}

/** How many rows, things and hashes of each there are; equal numbers mean that hashes tell things apart. */
export interface HashCounts {
  rows: number;
  offsets: number;
  things: number;
  thingHashes: number;
  thingsWithHash: number;
}

/** What is one thing to the fold. */
const thingColumns: Record<string, string> = {
  execution_events: 'workspace, source, execution_id',
  task_events: 'workspace, source, execution_id, task_id, map_index',
  orchestrator_events: `${reportIdentity.join(', ')}, toStartOfMinute(event_time)`,
};

export async function readHashCounts(
  database: Database,
  table: StoredTable,
  of: StreamPartition,
  offsets: { first: number; last: number },
): Promise<HashCounts> {
  const thing = thingColumns[table.name];
  const [counts] = await database.rows<HashCounts>(
    `SELECT count() AS rows, uniqExact(offset) AS offsets,
       uniqExact(${thing}) AS things, uniqExact(thing_hash) AS thingHashes, uniqExact(${thing}, thing_hash) AS thingsWithHash
     FROM ${table.name} FINAL WHERE stream = {stream: String} AND partition = {partition: UInt32}
       AND offset BETWEEN {first: UInt64} AND {last: UInt64}`,
    { ...of, ...offsets },
  );
  return counts;
}
