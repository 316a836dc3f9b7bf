import { endStates } from '../../schemas/events.ts';
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
 * at most. A range that ends now is asked for by the hour in which it begins, so that the same answer serves until it is too old.
 */
export const recountKeepMs: KeepMs<unknown> = (_rows, _nowMs, tookMs) => Math.min(60_000, Math.max(5_000, 20 * tookMs));

interface CountAsk {
  kind: 'executions' | 'tasks';
  /** Where an hour begins. */
  fromMs: number;
  /** Null for all that there is. */
  toMs: number | null;
}

/** Counts of a minute in the first hour that is asked for and in the last hour before now, and of whole hours between them. */
interface CountRow {
  /** Epoch seconds. */
  at: number;
}

const hourMs = 3_600_000;

/** The question that rows of a range of whole minutes are found by. */
export const countAskOf = ({ fromMs, toMs }: { fromMs: number; toMs: number }, nowMs: number) => {
  return { fromMs: Math.floor(fromMs / hourMs) * hourMs, toMs: toMs >= nowMs ? null : toMs };
};

/** Of the rows that were found for it those of the range itself. */
export const rowsWithin = <Row extends CountRow>(
  rows: readonly Row[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
): Row[] => rows.filter(({ at }) => at * 1000 >= fromMs && at * 1000 < toMs);

const millis = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;
const within = (time: string, { toMs }: CountAsk): string =>
  `${time} >= ${millis('fromMs')}${toMs === null ? '' : ` AND ${time} < ${millis('toMs')}`}`;
const placeOfMinute = `toUnixTimestamp(if(
  minute < ${millis('fromMs')} + toIntervalHour(1) OR minute >= now('UTC') - toIntervalHour(1), minute, toStartOfHour(minute)))`;
const rawTables = { executions: 'execution_events', tasks: 'task_events' } as const;
/** What the views of minutes are made of; a view is planned with all of its columns. */
const cellTables = { executions: 'execution_cells', tasks: 'task_cells' } as const;

export interface HourAsk extends CountAsk {
  stream: string;
}

export interface HourRow extends CountRow {
  stored: number;
  dropped: number;
  dead: number;
}

/**
 * Records by when Kafka took them. Event times lie at most seven days before that and a few minutes
 * after it, which spares reading the days that cannot hold any; of those that may, only that time is looked at first.
 */
export const hoursQuestion: Question<HourAsk, HourRow> = {
  name: 'accounted_hours',
  keepMs: recountKeepMs,
  sql: (ask) => {
    const recorded = within('record_time', ask);
    const ours = 'workspace = {workspace: String} AND stream = {stream: String}';
    const untilMs = ask.toMs === null ? '' : ` AND event_time < ${millis('toMs')} + toIntervalHour(1)`;
    return `SELECT ${placeOfMinute} AS at, sum(s) AS stored, sum(d) AS dropped, sum(l) AS dead
FROM (
  SELECT toStartOfMinute(record_time) AS minute, count() AS s, 0 AS d, 0 AS l FROM ${rawTables[ask.kind]} FINAL
  PREWHERE ${recorded} WHERE ${ours} AND event_time >= ${millis('fromMs')} - toIntervalDay(8)${untilMs} GROUP BY minute
  UNION ALL SELECT toStartOfMinute(record_time), 0, 1, 0 FROM drops FINAL WHERE ${ours} AND ${recorded}
  UNION ALL SELECT toStartOfMinute(record_time), 0, 0, 1 FROM dead_letters FINAL WHERE ${ours} AND ${recorded}
)
GROUP BY at ORDER BY at`;
  },
};

export interface RecountRow extends CountRow {
  state: string;
  rows_say: number;
  rollups_say: number;
}

/** What rollups count; who was skipped ended too, but came to nothing. */
export const outcomes = endStates.filter((state) => state !== 'skipped').toSorted();
const ends = endStates.map((state) => `'${state}'`).join(', ');

/**
 * What decides which end is the latest, and at last which one it is, as one number: the greatest of numbers is found in half the time
 * that the latest of several values takes. Partitions and offsets only decide within one millisecond of an attempt.
 */
const packed = `bitOr(
      bitOr(bitShiftLeft(toUInt128(least(e.attempt, 16777215)), 104), bitShiftLeft(toUInt128(toUnixTimestamp64Milli(e.event_time)), 60)),
      bitOr(bitShiftLeft(toUInt128(e.partition % 65536), 44), bitShiftLeft(toUInt128(e.offset), 3) + indexOf([${ends}], e.state)))`;

/**
 * Things that ended in a range, counted anew from single records by their latest end, beside what the minutes say. A
 * thing that ended again later than the range counts there, so ends up to now are looked at.
 */
export const recountQuestion: Question<CountAsk, RecountRow> = {
  name: 'recount',
  keepMs: recountKeepMs,
  sql: (ask) => `SELECT ${placeOfMinute} AS at, end AS state, sum(counted) AS rows_say, sum(rolled) AS rollups_say
FROM (
  SELECT toStartOfMinute(fromUnixTimestamp64Milli(toInt64(ms), 'UTC')) AS minute, [${ends}][code] AS end,
    count() AS counted, 0 AS rolled
  FROM (
    SELECT max(${packed}) AS latest, bitAnd(bitShiftRight(latest, 60), ${2 ** 44 - 1}) AS ms, toUInt8(bitAnd(latest, 7)) AS code
    FROM ${rawTables[ask.kind]} AS e FINAL
    WHERE e.workspace = {workspace: String} AND e.event_time >= ${millis('fromMs')} AND e.state IN (${ends})
    GROUP BY e.source, e.execution_id${ask.kind === 'tasks' ? ', e.task_id, e.map_index' : ''}
  ) GROUP BY minute, code
  UNION ALL
  SELECT minute, tupleElement(outcome, 1), 0, tupleElement(outcome, 2) FROM (
    SELECT w.window_start AS minute, arrayJoin([${outcomes.map((state) => `('${state}', sum(w.${state}))`).join(', ')}]) AS outcome
    FROM ${cellTables[ask.kind]} AS w FINAL
    WHERE w.workspace = {workspace: String} AND w.window_start >= ${millis('fromMs')} GROUP BY minute
  )
)
WHERE end != 'skipped' AND ${within('minute', ask)}
GROUP BY at, state HAVING rows_say != 0 OR rollups_say != 0 ORDER BY at, state`,
};
