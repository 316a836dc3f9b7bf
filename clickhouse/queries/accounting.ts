import { aMoment, type KeepMs } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** What became of records: the ledger of the log, and counts for each hour of one workspace. */

export interface LedgerRow {
  stream: string;
  partition: number;
  chunks: number;
  first_offset: number;
  last_offset: number;
  offsets: number;
  stored: number;
  dropped: number;
  duplicate: number;
  dead: number;
  lost_retention: number;
  open_chunks: number;
  watermark_ms: number;
}

/** The ledger is about partitions of the log, which all workspaces share; `stream` may be '' for all. */
export const ledgerQuestion: Question<{ streams: readonly string[] }, LedgerRow> = {
  name: 'ledger',
  keepMs: aMoment,
  sql: () => `SELECT stream, partition, count() AS chunks, min(c.first_offset) AS first_offset, max(c.last_offset) AS last_offset,
  sum(c.last_offset + 1 - toInt64(c.first_offset)) AS offsets, sum(c.stored) AS stored, sum(c.dropped) AS dropped,
  sum(c.duplicate) AS duplicate, sum(c.dead) AS dead, sum(c.lost_retention) AS lost_retention,
  countIf(NOT c.complete) AS open_chunks, toUnixTimestamp64Milli(max(c.watermark)) AS watermark_ms
FROM chunks AS c FINAL
WHERE c.stream IN {streams: Array(String)}
GROUP BY stream, partition ORDER BY stream, partition LIMIT 10000`,
};

/**
 * Counting each single record anew takes ClickHouse as long as there are many: five seconds, or twenty times as long as it took, a minute
 * at most. Ranges are whole minutes, so that a new one begins with each.
 */
export const recountKeepMs: KeepMs<unknown> = (_rows, _nowMs, tookMs) => Math.min(60_000, Math.max(5_000, 20 * tookMs));

export interface HourAsk {
  kind: 'executions' | 'tasks';
  stream: string;
  fromMs: number;
  toMs: number;
}

export interface HourRow {
  /** Epoch seconds, of the record's Kafka timestamp. */
  hour: number;
  stored: number;
  dropped: number;
  dead: number;
}

const millis = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;
const recorded = `record_time >= ${millis('fromMs')} AND record_time < ${millis('toMs')}`;
const rawTables = { executions: 'execution_events', tasks: 'task_events' } as const;
/** What the views of minutes are made of; a view is planned with all of its columns. */
const cellTables = { executions: 'execution_cells', tasks: 'task_cells' } as const;

/**
 * Records by the hour in which Kafka took them. Event times lie at most seven days before that and a few minutes
 * after it, which spares reading the days that cannot hold any.
 */
export const hoursQuestion: Question<HourAsk, HourRow> = {
  name: 'accounted_hours',
  keepMs: recountKeepMs,
  sql: ({
    kind,
  }) => `SELECT toUnixTimestamp(toStartOfHour(at)) AS hour, sum(s) AS stored, sum(d) AS dropped, sum(l) AS dead
FROM (
  SELECT record_time AS at, 1 AS s, 0 AS d, 0 AS l FROM ${rawTables[kind]} FINAL
  WHERE workspace = {workspace: String} AND stream = {stream: String} AND ${recorded}
    AND event_time >= ${millis('fromMs')} - toIntervalDay(8) AND event_time < ${millis('toMs')} + toIntervalHour(1)
  UNION ALL
  SELECT record_time, 0, 1, 0 FROM drops FINAL
  WHERE workspace = {workspace: String} AND stream = {stream: String} AND ${recorded}
  UNION ALL
  SELECT record_time, 0, 0, 1 FROM dead_letters FINAL
  WHERE workspace = {workspace: String} AND stream = {stream: String} AND ${recorded}
)
GROUP BY hour ORDER BY hour`,
};

export interface RecountAsk {
  kind: 'executions' | 'tasks';
  fromMs: number;
  toMs: number;
}

export interface RecountRow {
  state: string;
  rows_say: number;
  rollups_say: number;
}

const outcomes = ['completed', 'failed', 'cancelled', 'timeout', 'partial'] as const;

/**
 * Things that ended in a range, counted anew from single records by their latest end, beside what the minutes say. A
 * thing that ended again later than the range counts there, so ends up to now are looked at.
 */
export const recountQuestion: Question<RecountAsk, RecountRow> = {
  name: 'recount',
  keepMs: recountKeepMs,
  sql: ({ kind }) => `WITH counted AS (
  SELECT latest.1 AS state, count() AS n FROM (
    SELECT argMax((e.state, e.event_time), (e.attempt, e.event_time, e.partition, e.offset)) AS latest
    FROM ${rawTables[kind]} AS e FINAL
    WHERE e.workspace = {workspace: String} AND e.event_time >= ${millis('fromMs')}
      AND e.state IN (${outcomes.map((state) => `'${state}'`).join(', ')}, 'skipped')
    GROUP BY e.source, e.execution_id${kind === 'tasks' ? ', e.task_id, e.map_index' : ''}
  ) WHERE latest.2 < ${millis('toMs')} GROUP BY state
), rolled AS (
  SELECT arrayJoin([${outcomes.map((state) => `('${state}', sum(w.${state}))`).join(', ')}]) AS pair
  FROM ${cellTables[kind]} AS w FINAL
  WHERE w.workspace = {workspace: String} AND w.window_start >= toDateTime(${millis('fromMs')}) AND w.window_start < toDateTime(${millis('toMs')})
)
SELECT rolled.pair.1 AS state, ifNull(counted.n, 0) AS rows_say, rolled.pair.2 AS rollups_say
FROM rolled LEFT JOIN counted ON counted.state = rolled.pair.1
ORDER BY state`,
};
