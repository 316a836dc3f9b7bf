import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';
import { endBit, timeBits } from '../tables/entities.ts';

/** Workflows as telemetry shows them, for those that nobody has declared. */

export interface SeenWorkflow {
  workflow_id: string;
  source: string;
  project: string;
  finished_executions: number;
  last_window_s: number;
  versions: string[];
}

const seenColumns = `w.workflow_id AS workflow_id, w.source AS source, w.project AS project, w.workflow_version AS workflow_version,
    w.window_start AS window_start, w.completed + w.failed + w.timeout + w.cancelled + w.partial AS finished`;

/** Days, the hours that these do not hold yet, and the minutes that hours do not: a workflow has few rows of them. */
const seenTables: readonly { table: string; when: string }[] = [
  { table: 'execution_days', when: 'w.window_start < ends.1' },
  { table: 'execution_hours', when: 'w.window_start >= ends.1 AND w.window_start < ends.2' },
  { table: 'execution_cells', when: 'w.window_start >= ends.2' },
];

const seenSql = (named: string) => (): string => {
  const tables = seenTables.map(
    ({ table, when }) =>
      `SELECT ${seenColumns} FROM ${table} AS w FINAL WHERE w.workspace = {workspace: String} AND ${named} AND ${when}`,
  );
  return `WITH (SELECT (maxIf(boundary, target = 'execution_days'), maxIf(boundary, target = 'execution_hours')) FROM rollup_cursors) AS ends
SELECT workflow_id, source, anyLast(s.project) AS project, sum(s.finished) AS finished_executions,
  toUnixTimestamp(max(s.window_start)) AS last_window_s,
  arraySort(groupUniqArrayIf(100)(s.workflow_version, s.workflow_version != '')) AS versions
FROM (
  ${tables.join('\n  UNION ALL\n  ')}
) AS s
GROUP BY workflow_id, source ORDER BY workflow_id, source LIMIT {limit: UInt32}`;
};

/** Workflows behind one, in the order of their names; '' begins with the first. */
export const seenWorkflowsQuestion: Question<{ after: string; limit: number }, SeenWorkflow> = {
  name: 'seen_workflows',
  keepMs: aMoment,
  sql: seenSql('w.workflow_id > {after: String}'),
};

/** What a workflow is made of is learned from many executions, and hardly changes with the next one. */
const learnedKeepMs = 5000;

export const seenWorkflowQuestion: Question<{ workflow: string; limit: number }, SeenWorkflow> = {
  name: 'seen_workflow',
  keepMs: learnedKeepMs,
  sql: seenSql('w.workflow_id = {workflow: String}'),
};

export interface SeenTask {
  task_id: string;
  task_name: string;
  task_type: string;
  pool: string;
  step_order: number | null;
  after: { task_id: string; optional: boolean }[];
  attempts_most: number;
  max_attempts: number | null;
  runs: number;
  median_ms: number | null;
  failed: number;
}

/** The newest first; one that is listed at several times may be given as often. */
export const newestExecutionsQuestion: Question<
  { workflow: string; source: string; limit: number },
  { execution_id: string }
> = {
  name: 'newest_executions',
  keepMs: learnedKeepMs,
  sql: () => `SELECT execution_id FROM execution_list
WHERE workspace = {workspace: String} AND workflow_id = {workflow: String} AND state = '' AND source = {source: String}
ORDER BY at DESC, source DESC, execution_id DESC LIMIT {limit: UInt32} SETTINGS final = 0`,
};

export interface ExecutionHead {
  workflow_name: string;
  workflow_version: string;
}

export const executionHeadQuestion: Question<{ source: string; execution: string }, ExecutionHead> = {
  name: 'execution_head',
  keepMs: learnedKeepMs,
  sql: () => `SELECT workflow_name, tupleElement(workflow, 'workflow_version') AS workflow_version FROM executions FINAL
WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id = {execution: String}`,
};

/**
 * Tasks of some executions, each with what it waits for by its newest record. From the table rather than from the view of
 * tasks, all of whose columns would be planned; how its numbers are made is said where the table is.
 */
export const seenTasksQuestion: Question<{ source: string; executions: readonly string[] }, SeenTask> = {
  name: 'seen_tasks',
  keepMs: learnedKeepMs,
  sql: () => `SELECT task_id, argMax(told.1, told_at) AS task_name, argMax(told.2, told_at) AS task_type, argMax(told.3, told_at) AS pool,
  max(told.4) AS step_order,
  CAST(arrayMap(d -> (d.1, d.3), argMax(told.5, (length(told.5) > 0, told_at))), 'Array(Tuple(task_id String, optional Bool))') AS after,
  toUInt32(max(told.6)) AS attempts_most, max(told.7) AS max_attempts, uniqExact(execution_id) AS runs,
  medianExact(told.8) AS median_ms, countIf(told.9 IN ('failed', 'timeout')) AS failed
FROM (
  SELECT execution_id, task_id, map_index, min(t.first_seen_at) AS seen_at, max(t.last_event_at) AS told_at,
    argMax((t.task_name, t.task_type, t.pool, t.step_order, t.dependencies, t.attempt, t.max_attempts, t.took_ms, t.state), t.attempt) AS told
  FROM (
    SELECT execution_id, task_id, map_index, attempt, first_seen_at, last_event_at, task_name, task_type, pool, step_order,
      dependencies, max_attempts, tupleElement(now, 'state') AS state, tupleElement(now, 'rank') AS rank,
      toInt64(bitAnd(rank, ${timeBits})) - toInt64(bitAnd(bitNot(earliest_start), ${timeBits})) AS since_start_ms,
      multiIf(bitAnd(rank, ${endBit}) = 0, NULL, isNotNull(tupleElement(now, 'duration_us')), tupleElement(now, 'duration_us') / 1000,
        earliest_start = 0 OR since_start_ms < 0, NULL, toFloat64(since_start_ms)) AS took_ms
    FROM task_attempts FINAL
    WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id IN {executions: Array(String)}
  ) AS t
  GROUP BY execution_id, task_id, map_index
)
GROUP BY task_id ORDER BY step_order, min(seen_at), task_id LIMIT 2000`,
};
