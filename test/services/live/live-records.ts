import type { ExecutionRecord, TaskRecord } from '../../../schemas/records.ts';
import { encodeAlert, encodeExecutionEvent, encodeTaskEvent } from '../../../schemas/wire.ts';
import type { QueryStand } from '../../support/query-stand.ts';

/** Telemetry of one workspace in which every name bears the mark of its owner, and everything that can be followed has something to tell. */
interface Owner {
  workspace: string;
  mark: string;
}

/** Records of one round; `at` tells rounds apart, whose records would repeat each other otherwise. */
export async function reportEverything(stand: QueryStand, { workspace, mark }: Owner, at: number): Promise<void> {
  const about = { workspace, workflow_id: `${mark}-orders`, execution_id: `${mark}-run` };
  const task = { ...about, task_id: `${mark}-load`, pool: `${mark}-pool`, task_name: `${mark} load` };
  const error = { error_type: 'LoadError', error_code: 'E7', error_message: `${mark} broke` };
  const executions: ExecutionRecord[] = [
    { ...about, state: 'running', event_time: at, started_at: at },
    { ...about, state: 'failed', event_time: at + 3, started_at: at, ...error },
    { ...about, attempt: 2, state: 'completed', event_time: at + 9, started_at: at + 4 },
  ];
  const tasks: TaskRecord[] = [
    { ...task, state: 'running', event_time: at + 1, started_at: at + 1 },
    { ...task, state: 'failed', event_time: at + 2, started_at: at + 1, ...error },
    { ...task, attempt: 2, state: 'completed', event_time: at + 8, started_at: at + 5, output: '{"rows":1}' },
  ];
  const orchestrator = { workspace, orchestrator_id: `${mark}-airflow`, event_time: at };
  const reports = [
    {
      ...orchestrator,
      kind: 'orchestrator_metrics',
      body: { health_status: 'healthy', health_score: 0.9, slots_total: 4 },
    },
    { ...orchestrator, kind: 'worker_pool', body: { pool_id: `${mark}-pool`, workers_total: 3 } },
    { ...orchestrator, kind: 'worker', body: { pool_id: `${mark}-pool`, worker_id: `${mark}-worker`, status: 'busy' } },
    { ...orchestrator, kind: 'queue_metrics', body: { queue_id: `${mark}-queue`, size: 5 } },
    { ...orchestrator, kind: 'scheduling_decision', body: { decision_id: `${mark}-decision`, outcome: 'placed' } },
    { ...orchestrator, kind: 'load_balancing', body: { algorithm: 'random', pool_id: `${mark}-pool` } },
    {
      ...orchestrator,
      kind: 'coordination_event',
      body: { event_id: `${mark}-election`, event_type: 'leader_election', leader: `${mark}-1`, outcome: 'elected' },
    },
    {
      ...orchestrator,
      kind: 'scaling_event',
      body: {
        scaling_id: `${mark}-scaling`,
        pool_id: `${mark}-pool`,
        action: 'scale_up',
        workers_from: 3,
        workers_to: 4,
      },
    },
  ];
  const { telemetry } = stand;
  const key = `${mark}-run`;
  await telemetry.send(
    'executions',
    executions.map((record) => ({ key, value: encodeExecutionEvent(record) })),
  );
  await telemetry.send(
    'tasks',
    tasks.map((record) => ({ key, value: encodeTaskEvent(record) })),
  );
  await telemetry.send(
    'orchestrators',
    reports.map((record) => ({ key: mark, value: JSON.stringify(record) })),
  );
  await reportAlert(stand, { workspace, mark }, at);
  await reportPatterns(stand, { workspace, mark }, at);
}

/** As the job of analyses keeps them; each round finds one pattern more. */
async function reportPatterns({ telemetry }: QueryStand, { workspace, mark }: Owner, at: number): Promise<void> {
  const pattern = {
    id: `${mark}-${at}`,
    patternType: 'sequential',
    tasks: [`${mark}-load`, String(at)],
    split: null,
    join: null,
  };
  const answer = JSON.stringify({ patterns: [pattern] });
  await telemetry.database.query(
    `INSERT INTO workflow_analyses (workspace, workflow_id, source, analysis, answer, computed_at)
     VALUES ('${workspace}', '${mark}-orders', 'airflow', 'patterns', '${answer}', now64(3))`,
  );
}

async function reportAlert({ telemetry }: QueryStand, { workspace, mark }: Owner, at: number): Promise<void> {
  const value = encodeAlert({
    workspace,
    alert_id: `${mark}-alert`,
    notification_id: `${mark}-${at}`,
    rule_id: 'EXECUTION_STUCK',
    severity: 'warning',
    state: 'firing',
    series: `${mark}-series`,
    subject_kind: 'execution',
    subject_id: `${mark}-run`,
    title: `${mark}-run stands still`,
    event_time: at,
  });
  const messages = [{ key: `${mark}-alert`, value }];
  await telemetry.producer.send({ topic: telemetry.topics.alerts, acks: -1, messages });
}
