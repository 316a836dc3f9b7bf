import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import type { Kind, OutgoingRecord } from '../support/pipeline-process.ts';

/**
 * Telemetry of a small fleet, told by hand so that answers can be worked out by hand: runs of three workflows, the
 * tasks of one, reports of two orchestrators and a little noise. Everything lies well inside its hour, minute and range.
 */

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

export const nowMs = Date.now();
/** A whole hour that is over; most of the story is in it. */
export const baseMs = Math.floor(nowMs / hourMs) * hourMs - 3 * hourMs;
export const at = (minutes: number, seconds = 0) => baseMs + minutes * minuteMs + seconds * 1000;
/** Reports that have to be new. */
export const lateMs = nowMs - 5 * minuteMs;

interface Place {
  workspace: string;
  workflow: string;
  version: string;
  id: string;
  startMs: number;
  attempt?: number;
  /** Still running where nothing is said. */
  seconds?: number;
  state?: string;
  errorType?: string;
}
type Run = Place & { cost?: number };
type Attempt = Place & { task: string; pool: string; worker: string; queueSeconds: number };

const count = (n: number) => Array.from({ length: n }, (_, index) => index + 1);
const etl = { workspace: 'default', workflow: 'orders_etl' };
const video = { workspace: 'media', workflow: 'encode_video', version: 'a' };

/** Two days ago, 1 to 24 seconds. */
const saga: Run[] = count(24).map((n) => ({
  workspace: 'default',
  workflow: 'order_saga',
  version: '7',
  id: `saga-${n}`,
  startMs: at(n) - 2 * dayMs,
  seconds: n,
  cost: 0.25,
}));
/** The same version a week and two days ago, 10 to 100 seconds. */
const oldEtl: Run[] = [
  ...count(4).map((n) => ({ id: `week-${n}`, startMs: at(n) - 7 * dayMs, seconds: 10 * n, cost: 0.5 })),
  ...count(10).map((n) => ({ id: `old-${n}`, startMs: at(n) - 2 * dayMs, seconds: 10 * n, cost: 0.5 })),
].map((run) => ({ ...etl, version: '1.4', ...run }));
/** The next version takes twice as long, and its last two runs fail. */
const newEtl: Run[] = count(10).map((n) => ({
  ...etl,
  version: '1.5',
  id: `new-${n}`,
  startMs: at(2 * n - 2),
  seconds: 20 * n,
  cost: 1,
  ...(n === 9 ? { state: 'failed', errorType: 'ValueError' } : {}),
  ...(n === 10 ? { state: 'failed', errorType: 'MemoryError' } : {}),
}));
export const runs: Run[] = [
  ...saga,
  ...oldEtl,
  ...newEtl,
  { ...etl, version: '1.5', id: 'stopped', startMs: at(40), seconds: 60, state: 'cancelled' },
  { ...etl, version: '1.5', id: 'open-etl', startMs: at(50) },
  ...count(4).map((n) => ({ ...video, id: `video-${n}`, startMs: at(10 + n), seconds: n, cost: 2 })),
  { ...video, id: 'video-5', startMs: at(15), seconds: 5, cost: 2, state: 'timeout' },
  { ...video, id: 'again', startMs: at(20), seconds: 3, cost: 2, state: 'failed', errorType: 'IOError' },
  { ...video, id: 'again', attempt: 2, startMs: at(22), seconds: 6, cost: 2 },
  { ...video, id: 'open-video', startMs: at(55) },
];

const extract = { task: 'extract', pool: 'database', worker: 'w-1' };
const load = { task: 'load', pool: 'default', worker: 'w-2', queueSeconds: 0.5 };
const failing = { worker: 'w-3', seconds: 1, state: 'failed' };
/** Tasks belong to the run of their id; the second attempt of one comes a few seconds after the first. */
export const attempts: Attempt[] = [
  ...oldEtl.map((run, index) => ({
    ...run,
    ...extract,
    queueSeconds: run.id.startsWith('week') ? 2 : 4 * (index - 3),
    seconds: run.id.startsWith('week') ? 1 : index - 3,
  })),
  ...newEtl.map(({ state, errorType, ...run }, index) => ({
    ...run,
    ...extract,
    queueSeconds: index + 1,
    seconds: 2 * (index + 1),
  })),
  ...newEtl.slice(0, 7).map((run, index) => ({ ...run, ...load, seconds: 5 * (index + 1) })),
  ...newEtl.slice(7, 8).map((run) => ({ ...run, ...load, ...failing, worker: 'w-2', errorType: 'ConnectionError' })),
  ...newEtl.slice(8, 9).map((run) => ({ ...run, ...load, ...failing })),
  ...newEtl.slice(7, 9).map((run) => ({ ...run, ...load, attempt: 2, startMs: run.startMs + 10_000, seconds: 40 })),
  ...newEtl.slice(9).map((run) => ({ ...run, ...load, ...failing, state: 'timeout' })),
  { ...etl, ...load, version: '1.5', id: 'stopped', startMs: at(40, 30) },
  { ...etl, ...load, version: '1.5', id: 'open-etl', startMs: at(51) },
];

const endMs = ({ startMs, seconds = 0 }: Place) => startMs + seconds * 1000;

function namesOf({ workspace, workflow, version, id, attempt = 1 }: Place) {
  return {
    workspace,
    source: 'airflow',
    workflow_id: workflow,
    workflow_version: version,
    execution_id: id,
    attempt,
  };
}

function endOf(place: Place) {
  const { startMs, seconds = 0, state = 'completed', errorType } = place;
  const error = errorType === undefined ? {} : { error_type: errorType, error_message: `${errorType} in ${place.id}` };
  return { state, event_time: endMs(place), started_at: startMs, duration_ms: seconds * 1000, ...error };
}

function toExecutions(run: Run): ExecutionRecord[] {
  const start = { ...namesOf(run), state: 'running', event_time: run.startMs };
  if (run.seconds === undefined) return [start];
  return [start, { ...namesOf(run), ...endOf(run), ...(run.cost === undefined ? {} : { cost: run.cost }) }];
}

function toTasks(attempt: Attempt): TaskRecord[] {
  const { task, pool, worker, queueSeconds } = attempt;
  const names = { ...namesOf(attempt), task_id: task, pool, worker_id: worker };
  const start = { ...names, state: 'running', event_time: attempt.startMs };
  if (attempt.seconds === undefined) return [start];
  return [start, { ...names, ...endOf(attempt), queue_ms: queueSeconds * 1000 }];
}

const report = (kind: string, eventTimeMs: number, body: object, orchestratorId = 'airflow-1') => ({
  workspace: 'default',
  orchestrator_id: orchestratorId,
  event_time: eventTimeMs,
  kind,
  ...body,
});

const slots = [
  report('orchestrator_metrics', lateMs, { slots_total: 16, slots_used: 12 }),
  report('orchestrator_metrics', lateMs, { slots_total: 8, slots_used: 8 }, 'temporal-1'),
];
const backlogs = [
  report('orchestrator_metrics', at(5), { task_backlog: 10 }),
  report('orchestrator_metrics', at(35), { task_backlog: 30 }),
  report('orchestrator_metrics', at(65), { task_backlog: 60 }),
  report('orchestrator_metrics', at(95), { task_backlog: 50 }),
];
const queues = [
  report('queue_metrics', at(2), { queue_id: 'orders', size: 40, oldest_message_at: at(0) }),
  report('queue_metrics', at(92), { queue_id: 'orders', size: 5, oldest_message_at: at(91) }),
  report('queue_metrics', at(3), { queue_id: 'mail', size: 7, oldest_message_at: at(2, 30) }),
];
const workers = [
  // Readings are not as many in each hour, so that a mean of means is another one.
  report('worker', at(4), { worker_id: 'w-1', pool_id: 'default', status: 'busy', cpu_load: 0.1 }),
  report('worker', at(5), { worker_id: 'w-1', pool_id: 'default', status: 'busy', cpu_load: 0.2 }),
  report('worker', at(64), { worker_id: 'w-1', pool_id: 'default', status: 'busy', cpu_load: 0.6 }),
  report('worker', at(4), { worker_id: 'w-2', pool_id: 'default', status: 'busy', cpu_load: 0.9 }),
  report('worker', at(4), { worker_id: 'w-3', pool_id: 'default', status: 'idle', cpu_load: 0.3 }),
];
const pool = { pool_id: 'default', workers_from: 3 };
const scaling = [
  report('scaling_event', at(8), { ...pool, scaling_id: 's-1', action: 'scale_up', workers_to: 5, success: true }),
  report('scaling_event', at(9), {
    ...pool,
    scaling_id: 's-2',
    action: 'scale_up',
    workers_to: 9,
    success: false,
    reason: 'backlog',
  }),
  report('scaling_event', at(12), {
    ...pool,
    scaling_id: 's-3',
    action: 'scale_up',
    workers_to: 9,
    success: false,
    reason: 'queue age',
  }),
  report('scaling_event', at(14), { ...pool, scaling_id: 's-4', action: 'scale_down', workers_to: 2, success: true }),
];
const election = { event_type: 'leader_election', outcome: 'elected' };
const coordination = [
  report('coordination_event', at(7), { ...election, event_id: 'e-1', leader: 'n-1', consensus_ms: 900 }),
  report('coordination_event', at(27), { ...election, event_id: 'e-2', leader: 'n-2', consensus_ms: 1200 }),
  report('coordination_event', at(70), { ...election, event_id: 'e-6', leader: 'n-1', consensus_ms: 300 }),
  report('coordination_event', at(16), {
    event_id: 'e-3',
    event_type: 'lock_wait',
    outcome: 'acquired',
    lock_wait_ms: 50,
  }),
  report('coordination_event', at(77), {
    event_id: 'e-4',
    event_type: 'lock_wait',
    outcome: 'acquired',
    lock_wait_ms: 150,
  }),
  report('coordination_event', at(17), {
    event_id: 'e-5',
    event_type: 'lock_wait',
    outcome: 'timeout',
    lock_wait_ms: 400,
  }),
];
/** 10 to 100 ms, half of them an hour later. */
const decisions = count(10).map((n) =>
  report('scheduling_decision', at(n > 5 ? 60 + n : n), {
    decision_id: `d-${n}`,
    selected_pool: 'default',
    scheduling_latency_ms: 10 * n,
    outcome: 'placed',
  }),
);
const reports = [
  ...slots,
  ...backlogs,
  ...queues,
  ...workers,
  ...scaling,
  ...coordination,
  ...decisions,
  report(
    'scheduling_decision',
    at(6),
    { decision_id: 'd-0', scheduling_latency_ms: 5, outcome: 'placed' },
    'temporal-1',
  ),
];

/** As a producer sends it when it happens: JSON, with the key that keeps its order. */
function toOutgoing(key: string, record: { event_time: number }): OutgoingRecord {
  return { key, value: JSON.stringify(record), timestampMs: record.event_time };
}

const executionRecords = runs.flatMap(toExecutions).map((record) => toOutgoing(record.execution_id, record));
const noise = { key: 'noise', timestampMs: lateMs };

/** All that is sent, by topic: one record of runs twice, and three that nobody can read. */
export const outgoing: Record<Kind, OutgoingRecord[]> = {
  executions: [...executionRecords, ...executionRecords.slice(0, 1), { ...noise, value: '{' }],
  tasks: [
    ...attempts.flatMap(toTasks).map((record) => toOutgoing(record.execution_id, record)),
    { ...noise, value: 'noise' },
    { ...noise, value: 'more noise' },
  ],
  orchestrators: reports.map((record) => toOutgoing(record.orchestrator_id, record)),
};
