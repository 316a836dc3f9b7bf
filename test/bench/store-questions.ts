import type { Database } from '../../clickhouse/client.ts';
import { readAttemptPage, readExecutionPage } from '../../clickhouse/queries/entity-pages.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { fleetShape, taskName } from './store-records.ts';

/** What dashboards and pages ask most. Each asking is about another workflow, task or execution. */
export interface StoreQuestion {
  name: string;
  ask(database: Database, subject: Subject): Promise<unknown[]>;
}

export interface Subject {
  workspace: string;
  workflow: string;
  task: string;
  execution: string;
  /** Start and end of the telemetry that is stored. */
  startSeconds: number;
  endSeconds: number;
}

const dayMs = 86_400_000;
const named = 'workspace = {workspace: String} AND workflow_id = {workflow: String}';
const lately = (seconds: number) => `window_start >= toDateTime({endSeconds: UInt32} - ${seconds}, 'UTC')`;
const sql = (name: string, question: string): StoreQuestion => ({
  name,
  ask: (database, subject) => database.rows(question, { ...subject }),
});

export const storeQuestions: readonly StoreQuestion[] = [
  sql(
    'failures by workflow, a day',
    `SELECT workflow_id, sum(finished) AS runs, sum(failed + timeout) AS failures, sum(cost_sum) AS cost FROM executions_1h
     WHERE workspace = {workspace: String} AND ${lately(86_400)} GROUP BY workflow_id ORDER BY failures DESC`,
  ),
  sql(
    'one workflow by minute, an hour',
    `SELECT window_start, finished, failure_pct, duration_ms_p95 FROM executions_1m WHERE ${named} AND ${lately(3_600)} ORDER BY window_start`,
  ),
  sql(
    'one workflow by hour, a week',
    `SELECT window_start, sum(finished) AS runs, max(duration_ms_p50) AS p50, max(duration_ms_p95) AS p95 FROM executions_1h
     WHERE ${named} AND ${lately(7 * 86_400)} GROUP BY window_start ORDER BY window_start`,
  ),
  sql(
    'cost by workflow and day',
    `SELECT window_start, workflow_id, sum(cost_sum) AS cost FROM executions_1d WHERE workspace = {workspace: String} GROUP BY window_start, workflow_id ORDER BY 1, 2`,
  ),
  sql(
    'slowest tasks of a workflow, a day',
    `SELECT task_id, sum(finished) AS ends, sum(retries) AS retried, max(duration_ms_p99) AS worst_hour_ms FROM tasks_1h
     WHERE ${named} AND ${lately(86_400)} GROUP BY task_id ORDER BY worst_hour_ms DESC`,
  ),
  sql(
    'one task by minute, an hour',
    `SELECT window_start, finished, failure_pct, queue_ms_p95, duration_ms_p95 FROM tasks_1m
     WHERE ${named} AND task_id = {task: String} AND ${lately(3_600)} ORDER BY window_start`,
  ),
  {
    name: 'newest executions of a workflow',
    ask: async (database, { workspace, workflow, startSeconds, endSeconds }) => {
      const times = { fromMs: startSeconds * 1000 - dayMs, toMs: endSeconds * 1000 + dayMs, after: null, limit: 50 };
      return (await readExecutionPage(database, { workspace, workflowId: workflow, state: '', ...times })).rows;
    },
  },
  {
    name: 'newest failures of a task',
    ask: async (database, { workspace, task, startSeconds, endSeconds }) => {
      const times = { fromMs: startSeconds * 1000 - dayMs, toMs: endSeconds * 1000 + dayMs, after: null, limit: 50 };
      return (await readAttemptPage(database, { workspace, taskId: task, errorType: '', state: 'failed', ...times }))
        .rows;
    },
  },
  sql(
    'all attempts of an execution',
    `SELECT task_id, attempt, state, started_at, duration_ms, worker_id FROM task_attempts_latest
     WHERE workspace = {workspace: String} AND source = 'airflow' AND execution_id = {execution: String} ORDER BY started_at`,
  ),
  sql(
    'records of an execution',
    `SELECT event_time, task_id, attempt, state, error_type FROM task_events FINAL
     WHERE workspace = {workspace: String} AND source = 'airflow' AND execution_id = {execution: String} ORDER BY event_time`,
  ),
];

/** Executions to ask about, spread over what is stored, and where it begins and ends. */
export async function readSubjects(database: Database, n: number): Promise<Subject[]> {
  const [times] = await database.rows<{ startSeconds: number; endSeconds: number }>(
    'SELECT toUnixTimestamp(min(window_start)) AS startSeconds, toUnixTimestamp(max(window_start)) + 60 AS endSeconds FROM execution_cells',
  );
  const executions = await database.rows<{ execution: string; workflow: string; workspace: string }>(
    `SELECT execution_id AS execution, workflow_id AS workflow, workspace FROM execution_events
     WHERE state = 'running' ORDER BY cityHash64(execution_id) LIMIT {n: UInt32}`,
    { n },
  );
  const random: Random = createRandom(5);
  return executions.map(({ execution, workflow, workspace }) => ({
    execution,
    workflow,
    workspace,
    task: taskName(random.below(fleetShape.tasksPerWorkflow)),
    startSeconds: times?.startSeconds ?? 0,
    endSeconds: times?.endSeconds ?? 0,
  }));
}
