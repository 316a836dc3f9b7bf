import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import { stateEnding } from '../tables/orchestrator-measures.ts';
import { type CursorRow, type MeasureMerge, type Rollup, rollupCursorsTable } from '../tables/rollups.ts';

/** Rows of a finer table by the window that they belong to. */
export interface WindowCount {
  startSeconds: number;
  rows: number;
}

/** What one statement computes: some windows, of which it may take only one of several parts. */
export interface Slice {
  startsSeconds: readonly number[];
  part: number;
  parts: number;
}

/** Rows written after one instant and up to another. */
export interface Written {
  afterSeconds: number;
  throughSeconds: number;
}

/**
 * A statement ends long before the overlap that is read again, and keeps within memory whatever a window holds. Cells
 * and hours never leave the partition of their window, so versions need not be looked for in others.
 */
const boundedWork = {
  max_memory_usage: 2_000_000_000,
  max_bytes_before_external_group_by: 400_000_000,
  max_bytes_ratio_before_external_group_by: 0,
  do_not_merge_across_partitions_select_final: 1,
  max_threads: 2,
};

const versionBase = '79228162514264337593543950336'; // 2^96

const windowOf = ({ windowSeconds }: Rollup, column: string): string =>
  `${windowSeconds === 3600 ? 'toStartOfHour' : 'toStartOfDay'}(${column})`;

/** What a step from one reading to the next adds: all of a reading below the one before, which is a new beginning. */
const step = (earlier: string, later: string): string =>
  `if(endsWith(f.measure, '${stateEnding}'), toDecimal128(${earlier} != ${later}, 6), if(${later} >= ${earlier}, ${later} - ${earlier}, ${later}))`;

/** Sums a step over neighbours of a list. */
const overSteps = (list: string, earlier: string, later: string): string =>
  `arraySum((earlier, later) -> ${step(earlier, later)}, arrayPopBack(${list}), arrayPopFront(${list}))`;

const readings = 'arraySort(groupArrayArray(f.readings))';
/** Hours that have readings, in order: the first and the last of each. */
const spans = "arraySort(groupArrayIf((f.first, f.last), f.first.at > toDateTime64(0, 3, 'UTC')))";

const merges: Record<MeasureMerge['merge'], (column: string, fromCells: boolean) => string> = {
  sum: (column) => `sum(f.${column})`,
  min: (column) => `min(f.${column})`,
  max: (column) => `max(f.${column})`,
  histogram: (column) => `mapFilter((bucket, n) -> n != 0, sumMap(f.${column}))`,
  first: (column, fromCells) =>
    fromCells ? `arrayElement(${readings}, 1)` : `minIf(f.${column}, f.${column}.at > toDateTime64(0, 3, 'UTC'))`,
  increase: (column, fromCells) =>
    fromCells
      ? overSteps(readings, 'earlier.3', 'later.3')
      : `sum(f.${column}) + ${overSteps(spans, 'earlier.2.3', 'later.1.3')}`,
};

/**
 * Grows with everything that changes a row: for each cell the version of its fold, then the offsets of its chunk that
 * it stands for. No chunk has 2^32 offsets. A cell swept to zero stands for none, and so does a cell of a stream
 * that the ledger as it was read does not know yet: too low is harmless, for the window is computed again.
 */
function contentVersion({ fromCells }: Rollup): string {
  if (!fromCells) return `sum(f.ver % toUInt128('${versionBase}'))`;
  const chunkStart = 'toInt64(f.chunk) * toInt64(chunk_records[f.stream])';
  const folded = `if(mapContains(chunk_records, f.stream), greatest(0, toInt64(f.ver % ${2 ** 48}) - ${chunkStart}), 0)`;
  return `sum(toUInt128(intDiv(f.ver, ${2 ** 48})) * ${2 ** 32} + toUInt128(${folded}))`;
}

/** Conditions that choose the rows of a slice in the finer table, or in the coarser one. */
function sliceFilter(rollup: Rollup, table: string, { parts }: Slice, onlyDirty: boolean): string {
  const cut = rollup.cutBy.map((dimension) => `${table}.${dimension}`).join(', ');
  const window = windowOf(rollup, `${table}.window_start`);
  const conditions = [
    `${table}.window_start >= fromUnixTimestamp({from: UInt32}) AND ${table}.window_start < fromUnixTimestamp({below: UInt32})`,
    `${window} IN (SELECT fromUnixTimestamp(arrayJoin({starts: Array(UInt32)})))`,
  ];
  // Whole workflows, say, because the key leads there; a single one is never cut.
  if (parts > 1) conditions.push(`cityHash64(${cut}) % {parts: UInt32} = {part: UInt32}`);
  if (onlyDirty) {
    conditions.push(`(${cut}, ${window}) IN (
        SELECT ${rollup.cutBy.join(', ')}, ${windowOf(rollup, 'window_start')} FROM ${rollup.source}
        WHERE ${writtenFilter} AND window_start >= fromUnixTimestamp({from: UInt32}) AND window_start < fromUnixTimestamp({below: UInt32}))`);
  }
  return conditions.join('\n      AND ');
}

const writtenFilter =
  'written_at > fromUnixTimestamp({after: UInt32}) AND written_at <= fromUnixTimestamp({through: UInt32})';

/**
 * Computes the windows of a slice anew and writes those rows whose version moved on, in one statement inside ClickHouse.
 * A row is compared with the one that is stored: windows that are looked at in vain write nothing, and
 * new code of the job never replaces a row by one from fewer cells, some having expired.
 */
function renderRollup(rollup: Rollup, slice: Slice, onlyDirty: boolean): string {
  const { source, target, dimensions, fromCells } = rollup;
  const measures = rollup.measures.map(({ column }) => column);
  const key = [...dimensions, 'window_start'].join(', ');
  return `INSERT INTO ${target} (${key}, ver, ${measures.join(', ')})
WITH (SELECT mapFromArrays(groupArray(stream), groupArray(chunk_records))
      FROM (SELECT toString(stream) AS stream, max(chunk_records) AS chunk_records FROM chunks GROUP BY stream)) AS chunk_records
SELECT ${key}, bitShiftLeft(toUInt128({jobVersion: UInt32}), 96) + content AS fresh_ver, ${measures.join(', ')}
FROM
(
    SELECT ${dimensions.map((dimension) => `f.${dimension} AS ${dimension}`).join(', ')},
      ${windowOf(rollup, 'f.window_start')} AS window_start, ${contentVersion(rollup)} AS content,
      ${rollup.measures.map(({ column, merge }) => `${merges[merge](column, fromCells)} AS ${column}`).join(',\n      ')}
    FROM ${source} AS f FINAL
    WHERE ${sliceFilter(rollup, 'f', slice, onlyDirty)}
    GROUP BY ${dimensions.map((dimension) => `f.${dimension}`).join(', ')}, ${windowOf(rollup, 'f.window_start')}
) AS fresh
LEFT ANY JOIN
(
    SELECT ${dimensions.map((dimension) => `t.${dimension} AS ${dimension}`).join(', ')}, t.window_start AS window_start, t.ver AS stored_ver
    FROM ${target} AS t FINAL
    WHERE ${sliceFilter(rollup, 't', slice, onlyDirty)}
) AS stored USING (${key})
WHERE fresh_ver > stored_ver AND content >= stored_ver % toUInt128('${versionBase}')`;
}

/** Answers how many rows were written. */
export async function rollUpSlice(
  database: Database,
  rollup: Rollup,
  jobVersion: number,
  slice: Slice,
  written?: Written,
): Promise<number> {
  const from = Math.min(...slice.startsSeconds);
  const below = Math.max(...slice.startsSeconds) + rollup.windowSeconds;
  const params = { jobVersion, from, below, starts: slice.startsSeconds, part: slice.part, parts: slice.parts };
  const onlyDirty = written !== undefined;
  const times = onlyDirty ? { after: written.afterSeconds, through: written.throughSeconds } : {};
  const statement = renderRollup(rollup, slice, onlyDirty);
  return await database.insertSelect(statement, { ...params, ...times }, boundedWork);
}

/** What the finer table holds from one instant to another, by window. */
export async function countWindows(
  database: Database,
  rollup: Rollup,
  fromSeconds: number,
  belowSeconds: number,
): Promise<WindowCount[]> {
  return await database.rows<WindowCount>(
    `SELECT toUnixTimestamp(${windowOf(rollup, 'window_start')}) AS startSeconds, toFloat64(count()) AS rows FROM ${rollup.source}
     WHERE window_start >= fromUnixTimestamp({from: UInt32}) AND window_start < fromUnixTimestamp({below: UInt32})
     GROUP BY startSeconds ORDER BY startSeconds`,
    { from: fromSeconds, below: belowSeconds },
  );
}

/** What was written of one window in some seconds; the mark tells one set of rows from any other. */
export interface DirtyMark {
  startSeconds: number;
  writtenSlot: number;
  mark: string;
}

const slotSeconds = 10;

/** Windows before the boundary of which finer rows were written in this time, with marks of just these rows. */
export async function readDirtyMarks(
  database: Database,
  rollup: Rollup,
  boundarySeconds: number,
  written: Written,
): Promise<DirtyMark[]> {
  const place = rollup.fromCells ? 'window_start, stream, partition, chunk, ver' : 'window_start, ver';
  return await database.rows<DirtyMark>(
    `SELECT toUnixTimestamp(${windowOf(rollup, 'window_start')}) AS startSeconds,
       toUInt32(intDiv(toUnixTimestamp(written_at), ${slotSeconds})) AS writtenSlot,
       toString(sum(cityHash64(${rollup.dimensions.join(', ')}, ${place}))) AS mark
     FROM ${rollup.source}
     WHERE ${writtenFilter} AND window_start < fromUnixTimestamp({boundary: UInt32})
     GROUP BY startSeconds, writtenSlot ORDER BY startSeconds, writtenSlot`,
    { boundary: boundarySeconds, after: written.afterSeconds, through: written.throughSeconds },
  );
}

/** These windows with all the finer rows that they have. */
export async function countSomeWindows(
  database: Database,
  rollup: Rollup,
  startsSeconds: readonly number[],
): Promise<WindowCount[]> {
  if (startsSeconds.length === 0) return [];
  const starts = new Set(startsSeconds);
  const below = Math.max(...starts) + rollup.windowSeconds;
  const counted = await countWindows(database, rollup, Math.min(...starts), below);
  return counted.filter(({ startSeconds }) => starts.has(startSeconds));
}

export interface Frontier {
  /** ClickHouse's clock, which dates the rows. */
  nowSeconds: number;
  /** Start of the oldest finer row; null when there is none. */
  oldestSeconds: number | null;
  /** Start of the newest finer row among those written lately; null when none was. */
  newestSeconds: number | null;
}

/** What is lately: a log is being caught up with as long as rows of it keep coming. */
const latelySeconds = 300;

export async function readFrontier(database: Database, rollup: Rollup): Promise<Frontier> {
  const [frontier] = await database.rows<Frontier>(
    `SELECT toUnixTimestamp(now()) AS nowSeconds,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(min(window_start))) FROM ${rollup.source}) AS oldestSeconds,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(max(window_start))) FROM ${rollup.source}
        WHERE written_at > now() - {lately: UInt32}) AS newestSeconds`,
    { lately: latelySeconds },
  );
  return frontier as Frontier;
}

export async function readCursors(database: Database): Promise<CursorRow[]> {
  return await database.rows<CursorRow>(
    `SELECT target, job_version AS jobVersion, toUnixTimestamp(boundary) * 1000 AS boundaryMs,
       toUnixTimestamp(read_through) * 1000 AS readThroughMs, toUnixTimestamp(complete_at) * 1000 AS completeAtMs
     FROM rollup_cursors FINAL ORDER BY target, job_version`,
  );
}

export async function storeCursors(database: Database, cursors: readonly CursorRow[]): Promise<void> {
  await database.insert(new Block(rollupCursorsTable, cursors));
}

/**
 * After an upgrade of the fold a chunk is folded again, perhaps into other dimensions: cells that the old code left
 * and the new code does not write would count for ever. They are replaced by zero, with a version between the two,
 * so that the new code's cell wins whenever it comes and a late old writer loses. Answers how many were.
 */
export async function sweepCells(database: Database, rollup: Rollup, afterSeconds: number): Promise<number> {
  const { source: cells, dimensions } = rollup;
  const outdated = `fold_version < (SELECT max(fold_version) FROM chunks) AND (written_at > fromUnixTimestamp({after: UInt32})
      OR (stream, partition, chunk) IN (SELECT stream, partition, chunk FROM chunks WHERE fold_version > 1 AND written_at > fromUnixTimestamp({after: UInt32})))`;
  const params = { after: afterSeconds };
  const found = await database.rows(`SELECT 1 AS found FROM ${cells} WHERE ${outdated} LIMIT 1`, params);
  if (found.length === 0) return 0;
  const key = [...dimensions, 'window_start', 'stream', 'partition', 'chunk'].join(', ');
  return await database.insertSelect(
    `INSERT INTO ${cells} (${key}, fold_version, ver)
SELECT ${key}, ledger_version, toUInt64(ledger_version) * ${2 ** 48}
FROM (SELECT ${key}, fold_version FROM ${cells} FINAL WHERE ${outdated}) AS old
INNER JOIN (SELECT stream, partition, chunk, max(fold_version) AS ledger_version FROM chunks GROUP BY stream, partition, chunk) AS ledger
USING (stream, partition, chunk)
WHERE old.fold_version < ledger_version`,
    params,
    boundedWork,
  );
}
