import type { Question } from '../question.ts';

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

/** Workflows from one on, in the order of their names; '' begins with the first. */
export const seenWorkflowsQuestion: Question<{ workflow: string; after: string; limit: number }, SeenWorkflow> = {
  name: 'seen_workflows',
  keepMs: 1000,
  sql: ({ workflow }) => {
    const named = workflow === '' ? ' AND w.workflow_id > {after: String}' : ' AND w.workflow_id = {workflow: String}';
    const tables = seenTables.map(
      ({ table, when }) =>
        `SELECT ${seenColumns} FROM ${table} AS w FINAL WHERE w.workspace = {workspace: String}${named} AND ${when}`,
    );
    return `WITH (SELECT (maxIf(boundary, target = 'execution_days'), maxIf(boundary, target = 'execution_hours')) FROM rollup_cursors) AS ends
SELECT workflow_id, source, anyLast(s.project) AS project, sum(s.finished) AS finished_executions,
  toUnixTimestamp(max(s.window_start)) AS last_window_s,
  arraySort(groupUniqArrayIf(100)(s.workflow_version, s.workflow_version != '')) AS versions
FROM (
  ${tables.join('\n  UNION ALL\n  ')}
) AS s
GROUP BY workflow_id, source ORDER BY workflow_id, source LIMIT {limit: UInt32}`;
  },
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

/** Tasks of some executions, each with what it waits for by its newest record. */
export const seenTasksQuestion: Question<{ source: string; executions: readonly string[] }, SeenTask> = {
  name: 'seen_tasks',
  sql: () => `SELECT t.task_id AS task_id, argMax(t.task_name, t.last_event_at) AS task_name, argMax(t.task_type, t.last_event_at) AS task_type,
  argMax(t.pool, t.last_event_at) AS pool, max(t.step_order) AS step_order,
  CAST(arrayMap(d -> (d.task_id, d.optional), argMax(t.dependencies, (length(t.dependencies) > 0, t.last_event_at))), 'Array(Tuple(task_id String, optional Bool))') AS after,
  toUInt32(max(t.attempt)) AS attempts_most, max(t.max_attempts) AS max_attempts, uniqExact(t.execution_id) AS runs,
  medianExact(t.duration_ms) AS median_ms, countIf(t.state IN ('failed', 'timeout')) AS failed
FROM tasks_latest AS t
WHERE t.workspace = {workspace: String} AND t.source = {source: String} AND t.execution_id IN {executions: Array(String)}
GROUP BY t.task_id ORDER BY step_order, min(t.first_seen_at), task_id LIMIT 2000`,
};
