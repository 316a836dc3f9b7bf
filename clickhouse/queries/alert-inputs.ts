import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { RowReader } from '../question.ts';
import {
  type AlertChangeRow,
  type AlertRoundRow,
  alertChangesTable,
  alertRoundsTable,
  type JudgementRow,
  judgementsTable,
} from '../tables/alerts.ts';
import { bounded, type InWindow, inRange, inShard, paramsOf, windowOf } from './alert-range.ts';
import { readReports } from './report-windows.ts';

/**
 * What is judged: windows of time with everything that happened in them. Live it is asked of the rollups, a back-test asks
 * for history, and a bench folds a simulated fleet; the judge cannot tell them apart.
 */

/** Counts of values by log bucket of microseconds, as the rollups keep them. */
export type Buckets = Readonly<Record<string, number>>;

/** One workflow (no task) or one task of a workflow, with what ended in the window. */
export interface RunWindow {
  workspace: string;
  source: string;
  workflowId: string;
  taskId: string;
  /** compute, io, network, decision, human or wait; empty for workflows and where nobody tells. */
  taskType: string;
  /** Pool that most of it ran in; empty for workflows and where nobody tells. */
  pool: string;
  /** Newest version seen. */
  version: string;
  started: number;
  /** Ends by their latest outcome, for workflows; ends of attempts, for tasks. */
  finished: number;
  failures: number;
  durations: Buckets;
  queues: Buckets;
  /** Commonest error of the failures, numbers taken out: `ConnectionError ECONNREFUSED backend: connection refused`. */
  error: string;
  contributions: number;
}

export const reportKinds = ['orchestrator', 'worker_pool', 'queue', 'worker'] as const;
export type ReportKind = (typeof reportKinds)[number];

/** What was reported of an orchestrator, pool, queue or worker: gauges as their mean, counters as their growth. */
export interface ReportWindow {
  workspace: string;
  source: string;
  kind: ReportKind;
  id: string;
  orchestratorId: string;
  pool: string;
  measures: Readonly<Record<string, number>>;
  contributions: number;
}

/** An execution that runs at the end of the window. */
export interface OpenRun {
  workspace: string;
  source: string;
  workflowId: string;
  executionId: string;
  startedAtMs: number;
  /** When anything was last heard of it or its tasks. */
  lastEventAtMs: number;
  /** A task that has begun and not ended, with its type; empty where none is known. */
  taskId: string;
  taskType: string;
}

/** A workflow that runs by the clock, with when it was last seen to begin. */
export interface ScheduledWorkflow {
  workspace: string;
  source: string;
  workflowId: string;
  cron: string;
  /** IANA name of the zone that its clock shows; empty for UTC. */
  timeZone: string;
  lastStartMs: number;
}

export interface WindowInput {
  startMs: number;
  endMs: number;
  runs: readonly RunWindow[];
  reports: readonly ReportWindow[];
  open: readonly OpenRun[];
  scheduled: readonly ScheduledWorkflow[];
}

/** Windows of five minutes: short enough to wake somebody in time, long enough to hold something to judge. */
export const alertWindowMs = 300_000;

/** Windows that are read at once, and which of the series: those whose workspace and subject hash to the shard. */
export interface InputRange {
  fromMs: number;
  toMs: number;
  shard: number;
  shards: number;
}

/** Of versions within one minute nobody knows which is newer; windows that are judged again must find the same. */
const newestVersion = 'argMax(workflow_version, (window_start, workflow_version))';

/** How far the log is final: no partition that anybody reads is behind this instant; null where nothing of one is known yet. */
export async function readAlertWatermark(database: Database, streams: readonly string[]): Promise<number | null> {
  const [row] = await database.rows<{ watermarkMs: number | null }>(
    `SELECT nullIf(toUnixTimestamp64Milli(min(through)), 0) AS watermarkMs FROM (
       SELECT stream, partition, max(known) AS through FROM (
         SELECT stream, partition, watermark AS known FROM chunks WHERE stream IN {streams: Array(String)}
         UNION ALL SELECT stream, partition, idle_through FROM idle_partitions WHERE stream IN {streams: Array(String)})
       GROUP BY stream, partition)`,
    { streams },
  );
  return row?.watermarkMs ?? null;
}

/** The oldest window of which there is anything; null where there is nothing. */
export async function readOldestWindow(database: Database, sinceMs: number): Promise<number | null> {
  const [row] = await database.rows<{ oldestMs: number | null }>(
    `SELECT if(count() = 0, NULL, toUnixTimestamp(min(window_start)) * 1000) AS oldestMs
     FROM execution_cells WHERE window_start >= fromUnixTimestamp({since: UInt32})`,
    { since: Math.floor(sinceMs / 1000) },
  );
  return row?.oldestMs ?? null;
}

/** Cells of long ago that have just been written: history is being loaded, and what is usual is not known yet. */
export async function countBackfilledCells(
  database: Database,
  beforeMs: number,
  withinSeconds: number,
): Promise<number> {
  const [row] = await database.rows<{ cells: number }>(
    `SELECT toFloat64(count()) AS cells FROM execution_cells
     WHERE window_start < fromUnixTimestamp({before: UInt32}) AND written_at > now() - {within: UInt32}`,
    { before: Math.max(0, Math.floor(beforeMs / 1000)), within: withinSeconds },
  );
  return row?.cells ?? 0;
}

/** All windows of the range, in order, with those in which nothing happened. */
export async function readWindows(
  database: RowReader,
  range: InputRange,
  known: readonly ScheduledWorkflow[],
): Promise<WindowInput[]> {
  const [workflows, tasks, errors, reports, starts, open] = await Promise.all([
    readWorkflows(database, range),
    readTasks(database, range),
    readErrors(database, range),
    readReports(database, range),
    readScheduledStarts(database, range.fromMs, range.toMs, range),
    readOpenRuns(database, range),
  ]);
  const errorOf = new Map(errors.map((row) => [errorKey(row), row.error]));
  const runs = Map.groupBy(
    [...workflows, ...tasks.map((task) => ({ ...task, error: errorOf.get(errorKey(task)) ?? '' }))],
    ({ windowMs }) => windowMs,
  );
  const reportsByWindow = Map.groupBy(reports, ({ windowMs }) => windowMs);
  const lastStarts = new Map(known.map((one) => [scheduleKey(one), one]));
  const windows: WindowInput[] = [];
  let begun = 0;
  for (let startMs = range.fromMs; startMs < range.toMs; startMs += alertWindowMs) {
    const endMs = startMs + alertWindowMs;
    for (; (starts[begun]?.lastStartMs ?? endMs) < endMs; begun++) {
      const start = starts[begun] as ScheduledWorkflow;
      lastStarts.set(scheduleKey(start), start);
    }
    windows.push({
      startMs,
      endMs,
      runs: runs.get(startMs) ?? [],
      reports: reportsByWindow.get(startMs) ?? [],
      open: open.filter((run) => isOpenAt(run.span, endMs)).map((run) => describeOpen(run, endMs)),
      scheduled: [...lastStarts].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, start]) => start),
    });
  }
  return windows;
}

const scheduleKey = ({ workspace, source, workflowId }: ScheduledWorkflow) => `${workspace}\n${source}\n${workflowId}`;
const errorKey = (row: Pick<InWindow<RunWindow>, 'workspace' | 'source' | 'workflowId' | 'taskId' | 'windowMs'>) =>
  [row.workspace, row.source, row.workflowId, row.taskId, row.windowMs].join('\n');

async function readWorkflows(database: RowReader, range: InputRange): Promise<InWindow<RunWindow>[]> {
  return await database.rows(
    `SELECT workspace, source, workflow_id AS workflowId, '' AS taskId, '' AS taskType, '' AS pool, ${windowOf} AS windowMs,
       ${newestVersion} AS version, sum(e.started) AS started, sum(e.finished) AS finished,
       sum(e.failed) + sum(e.timeout) AS failures,
       mapFilter((bucket, n) -> n > 0, sumMap(completed_duration_histogram)) AS durations,
       mapFilter((bucket, n) -> n > 0, sumMap(queue_histogram)) AS queues, '' AS error,
       sum(e.contributions) AS contributions
     FROM executions_1m AS e WHERE ${inRange} AND ${inShard}
     GROUP BY workspace, source, workflow_id, windowMs ORDER BY workspace, source, workflow_id`,
    paramsOf(range),
    bounded,
  );
}

/** Of tasks every attempt counts: a failure that a retry mends still is one. */
async function readTasks(database: RowReader, range: InputRange): Promise<InWindow<RunWindow>[]> {
  return await database.rows(
    `SELECT workspace, source, workflow_id AS workflowId, task_id AS taskId, any(task_type) AS taskType,
       argMaxIf(e.pool, (e.attempt_completed, e.pool), e.pool != '') AS pool, ${windowOf} AS windowMs,
       ${newestVersion} AS version, sum(e.started) AS started,
       sum(attempt_completed) + sum(attempt_failed) + sum(attempt_timeout) AS finished,
       sum(attempt_failed) + sum(attempt_timeout) AS failures,
       mapFilter((bucket, n) -> n > 0, sumMap(completed_duration_histogram)) AS durations,
       mapFilter((bucket, n) -> n > 0, sumMap(queue_histogram)) AS queues,
       sum(e.contributions) AS contributions
     FROM tasks_1m AS e WHERE ${inRange} AND ${inShard}
     GROUP BY workspace, source, workflow_id, task_id, windowMs ORDER BY workspace, source, workflow_id, task_id`,
    paramsOf(range),
    bounded,
  );
}

/** The commonest error of each task and window; numbers are taken out, so that errors of one kind are alike. */
async function readErrors(
  database: RowReader,
  range: InputRange,
): Promise<Pick<InWindow<RunWindow>, 'workspace' | 'source' | 'workflowId' | 'taskId' | 'windowMs' | 'error'>[]> {
  return await database.rows(
    `SELECT workspace, source, workflowId, taskId, windowMs, argMax(said, (n, said)) AS error FROM (
       SELECT workspace, source, workflow_id AS workflowId, task_id AS taskId,
         toUnixTimestamp(toStartOfInterval(event_time, toIntervalMinute(5))) * 1000 AS windowMs,
         substring(arrayStringConcat(arrayFilter(text -> text != '',
           [error_type, error_code, replaceRegexpAll(error_message, '[0-9]+', '#')]), ' '), 1, 200) AS said,
         count() AS n
       FROM task_events
       WHERE event_time >= fromUnixTimestamp({from: UInt32}) AND event_time < fromUnixTimestamp({to: UInt32})
         AND state IN ('failed', 'timeout') AND ${inShard}
       GROUP BY workspace, source, workflow_id, task_id, windowMs, said)
     GROUP BY workspace, source, workflowId, taskId, windowMs`,
    paramsOf(range),
    bounded,
  );
}

/** When workflows that run by the clock were last seen to begin, the oldest start first. Clocks are those of their time zones. */
export async function readScheduledStarts(
  database: RowReader,
  fromMs: number,
  toMs: number,
  { shard, shards }: Pick<InputRange, 'shard' | 'shards'>,
): Promise<ScheduledWorkflow[]> {
  return await database.rows<ScheduledWorkflow>(
    `SELECT workspace, source, workflow_id AS workflowId, argMax(schedule_cron, event_time) AS cron, argMax(schedule_timezone, event_time) AS timeZone,
       toUnixTimestamp64Milli(max(event_time)) AS lastStartMs
     FROM execution_events
     WHERE event_time >= fromUnixTimestamp64Milli({from: Int64}) AND event_time < fromUnixTimestamp64Milli({to: Int64})
       AND state = 'running' AND schedule_cron != '' AND ${inShard}
     GROUP BY workspace, source, workflow_id, toStartOfInterval(event_time, toIntervalMinute(5))
     ORDER BY lastStartMs, workspace, source, workflow_id`,
    { from: fromMs, to: toMs, shard, shards },
    bounded,
  );
}

/** Executions that have run for less say nothing yet, and are not looked up. */
const openFromMs = 600_000;
const mostOpen = 5_000;
/** Names travel in the address of the request, which servers bound. */
const namesPerQuestion = 100;

interface OpenSpan extends Omit<OpenRun, 'lastEventAtMs' | 'taskId' | 'taskType'> {
  endedAtMs: number | null;
}

interface TaskSpan {
  workspace: string;
  source: string;
  executionId: string;
  taskId: string;
  taskType: string;
  startedAtMs: number | null;
  endedAtMs: number | null;
}

/** An execution with its tasks, from which follows how it stood at any instant. */
interface OpenSpanWithTasks {
  span: OpenSpan;
  tasks: readonly TaskSpan[];
}

const isOpenAt = ({ startedAtMs, endedAtMs }: OpenSpan, atMs: number): boolean =>
  startedAtMs <= atMs - openFromMs && (endedAtMs === null || endedAtMs >= atMs);

async function readOpenRuns(database: RowReader, range: InputRange): Promise<OpenSpanWithTasks[]> {
  const spans = await database.rows<OpenSpan>(
    `SELECT workspace, source, workflow_id AS workflowId, execution_id AS executionId,
       toUnixTimestamp64Milli(started_at) AS startedAtMs, if(is_open, NULL, toUnixTimestamp64Milli(ended_at)) AS endedAtMs
     FROM executions_latest
     WHERE started_at <= fromUnixTimestamp64Milli({to: Int64} - ${openFromMs}) AND (is_open OR ended_at >= fromUnixTimestamp64Milli({from: Int64}))
       AND state != 'suspended' AND (is_open OR ended_at > started_at + toIntervalMillisecond(${openFromMs})) AND ${inShard}
     ORDER BY started_at DESC, workspace, source, execution_id LIMIT ${mostOpen}`,
    { from: range.fromMs, to: range.toMs, shard: range.shard, shards: range.shards },
    bounded,
  );
  const tasks: TaskSpan[] = [];
  for (let from = 0; from < spans.length; from += namesPerQuestion) {
    tasks.push(...(await readTaskSpans(database, spans.slice(from, from + namesPerQuestion))));
  }
  const byRun = Map.groupBy(tasks, runKey);
  return spans.map((span) => ({ span, tasks: byRun.get(runKey(span)) ?? [] }));
}

const runKey = ({ workspace, source, executionId }: Pick<OpenSpan, 'workspace' | 'source' | 'executionId'>): string =>
  [workspace, source, executionId].join('\n');

async function readTaskSpans(database: RowReader, spans: readonly OpenSpan[]): Promise<TaskSpan[]> {
  return await database.rows<TaskSpan>(
    `SELECT workspace, source, execution_id AS executionId, task_id AS taskId, task_type AS taskType,
       toUnixTimestamp64Milli(started_at) AS startedAtMs, if(is_open, NULL, toUnixTimestamp64Milli(ended_at)) AS endedAtMs
     FROM task_attempts_latest
     WHERE workspace IN {workspaces: Array(String)} AND source IN {sources: Array(String)} AND execution_id IN {executions: Array(String)}
     ORDER BY started_at, task_id, map_index, attempt`,
    {
      workspaces: [...new Set(spans.map(({ workspace }) => workspace))],
      sources: [...new Set(spans.map(({ source }) => source))],
      executions: spans.map(({ executionId }) => executionId),
    },
    bounded,
  );
}

/** As it stood at that instant: what came later is known where history is read, and says nothing of a window before it. */
function describeOpen({ span, tasks }: OpenSpanWithTasks, atMs: number): OpenRun {
  const { workspace, source, workflowId, executionId, startedAtMs } = span;
  const names = { workspace, source, workflowId, executionId };
  const isBefore = (instantMs: number | null): instantMs is number => instantMs !== null && instantMs < atMs;
  const heard = tasks.flatMap((task) => [task.startedAtMs, task.endedAtMs]).filter(isBefore);
  const running = tasks.find((task) => isBefore(task.startedAtMs) && !isBefore(task.endedAtMs));
  const { taskId = '', taskType = '' } = running ?? {};
  return { ...names, startedAtMs, lastEventAtMs: Math.max(startedAtMs, ...heard), taskId, taskType };
}

/** The newest window that these evaluators have judged; null where there is none. */
export async function readLastRound(database: Database, shards: number, shard: number): Promise<number | null> {
  const [row] = await database.rows<{ roundMs: number | null }>(
    `SELECT if(count() = 0, NULL, toUnixTimestamp(max(round)) * 1000) AS roundMs
     FROM alert_rounds WHERE shards = {shards: UInt32} AND shard = {shard: UInt32}`,
    { shards, shard },
  );
  return row?.roundMs ?? null;
}

/** Judgements in the order in which they were made: what alerts are computed from. */
export async function readJudgements(
  database: Database,
  { fromMs, toMs, shard, shards }: InputRange,
): Promise<JudgementRow[]> {
  return await database.rows<JudgementRow>(
    `SELECT workspace, rule_id AS ruleId, series, toUnixTimestamp(window_start) * 1000 AS windowStartMs,
       toUnixTimestamp(window_end) * 1000 AS windowEndMs, ver, toUnixTimestamp(round) * 1000 AS roundMs, rule_version AS ruleVersion,
       verdict, severity, for_ms AS forMs, source, subject_kind AS subjectKind, subject_id AS subjectId, workflow_id AS workflowId,
       execution_id AS executionId, task_id AS taskId, orchestrator_id AS orchestratorId, metric, value, threshold, expected, score,
       effect, baseline_id AS baselineId, cause, facts
     FROM alert_judgements FINAL
     WHERE round > fromUnixTimestamp({from: UInt32}) AND round <= fromUnixTimestamp({to: UInt32}) AND ${inShard}
     ORDER BY round, window_start, workspace, rule_id, series`,
    { from: fromMs / 1000, to: toMs / 1000, shard, shards },
  );
}

/** When the oldest alert that is not over began; null where all are over. */
export async function readOldestOpenAlert(database: Database): Promise<number | null> {
  const [row] = await database.rows<{ sinceMs: number | null }>(
    `SELECT if(count() = 0, NULL, toUnixTimestamp64Milli(min(first_pending_at))) AS sinceMs FROM alerts WHERE state != 'resolved'`,
  );
  return row?.sinceMs ?? null;
}

export async function storeJudgements(database: Database, rows: readonly JudgementRow[]): Promise<void> {
  await database.insert(new Block(judgementsTable, rows));
}

export async function storeChanges(database: Database, rows: readonly AlertChangeRow[]): Promise<void> {
  await database.insert(new Block(alertChangesTable, rows));
}

export async function storeRound(database: Database, row: AlertRoundRow): Promise<void> {
  await database.insert(new Block(alertRoundsTable, [row]));
}
