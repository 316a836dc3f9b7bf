import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { encodeExecutionEvent, encodeTaskEvent } from '../../schemas/wire.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';

/**
 * Telemetry of a fleet in the order in which it is sent: whole executions with all their tasks, one transition a record. Every
 * number is drawn by itself, because a store is measured here and equal values would take no room in it.
 */
export interface FleetRecord {
  topic: 'executions' | 'tasks';
  key: string;
  value: Buffer;
  timestampMs: number;
}

export interface FleetOptions {
  taskRecords: number;
  startMs: number;
  spanMs: number;
  seed: number;
}

export const fleetShape = { workflows: 20, tasksPerWorkflow: 8, workersPerWorkflow: 12 } as const;
const recordsPerExecution = 2 * fleetShape.tasksPerWorkflow;
const failureRatio = 0.03;
const errors = ['TimeoutError', 'ConnectionError', 'OutOfMemoryError', 'ValueError'] as const;
/** Records leave in the order of their time within as much; what runs longer is sent a little out of order. */
const sortedMs = 60_000;

export function* createFleetRecords(options: FleetOptions): Generator<FleetRecord, void, void> {
  const random = createRandom(options.seed);
  let waiting: FleetRecord[] = [];
  const msBetweenExecutions = (options.spanMs * recordsPerExecution) / options.taskRecords;
  let made = 0;
  let sortedUpToMs = options.startMs;
  for (let run = 0; made < options.taskRecords; run++) {
    const beginMs = Math.floor(options.startMs + run * msBetweenExecutions);
    if (beginMs >= sortedUpToMs + sortedMs) {
      sortedUpToMs = beginMs;
      const due = waiting.filter(({ timestampMs }) => timestampMs < beginMs);
      waiting = waiting.filter(({ timestampMs }) => timestampMs >= beginMs);
      yield* inOrder(due);
    }
    for (const record of playExecution(random, run, beginMs)) {
      if (record.topic === 'tasks' && ++made > options.taskRecords) break;
      waiting.push(record);
    }
  }
  yield* inOrder(waiting);
}

const inOrder = (records: FleetRecord[]) =>
  records.sort((left, right) => left.timestampMs - right.timestampMs || (left.topic === 'executions' ? -1 : 1));

/** Tasks run one after the other; a failed one is tried again once, and fails for good in one case of ten. */
function* playExecution(random: Random, run: number, beginMs: number): Generator<FleetRecord> {
  const workflow = random.below(fleetShape.workflows);
  const id = `run-${random
    .below(2 ** 32)
    .toString(16)
    .padStart(8, '0')}-${String(run).padStart(9, '0')}`;
  const common = {
    workspace: `team-${workflow % 4}`,
    project: `project-${workflow % 7}`,
    source: 'airflow',
    source_version: '2.10.3',
    workflow_id: `workflow-${workflow}`,
    workflow_version: run % 50 === 0 ? '8' : '7',
    execution_id: id,
    environment: 'production',
    region: ['eu-central', 'us-east'][workflow % 2],
  };
  yield execution({ ...common, state: 'running', event_time: beginMs, trigger_type: 'scheduled' });
  let nowMs = beginMs + random.below(200);
  let isFailed = false;
  for (let task = 0; task < fleetShape.tasksPerWorkflow && !isFailed; task++) {
    for (let attempt = 1; attempt <= 2; attempt++) {
      const failed = random.chance(failureRatio);
      const lasting = Math.max(1, Math.round(random.logNormal(900 * (1 + task), 0.6)));
      const queueMs = Math.round(random.exponential(150));
      yield* playAttempt(random, common, {
        workflow,
        task,
        attempt,
        failed,
        startedMs: nowMs + queueMs,
        lasting,
        queueMs,
      });
      nowMs += queueMs + lasting;
      isFailed = failed && attempt === 2;
      if (!failed) break;
    }
  }
  yield execution({
    ...common,
    state: isFailed ? 'failed' : 'completed',
    event_time: nowMs,
    started_at: beginMs,
    trigger_type: 'scheduled',
    cost: Math.round(random.exponential(0.02) * 1e6) / 1e6,
    cpu_ms: Math.round(random.exponential(9_000)),
    ...(isFailed ? { error_type: random.pick(errors), error_message: `${id} ended with a failed task` } : {}),
  });
}

interface Attempt {
  workflow: number;
  task: number;
  attempt: number;
  failed: boolean;
  startedMs: number;
  lasting: number;
  queueMs: number;
}

function* playAttempt(
  random: Random,
  common: Pick<TaskRecord, 'workflow_id' | 'execution_id'>,
  { workflow, task, attempt, failed, startedMs, lasting, queueMs }: Attempt,
): Generator<FleetRecord> {
  const worker = `worker-${workflow}-${random.below(fleetShape.workersPerWorkflow)}`;
  const base = {
    ...common,
    task_id: taskName(task),
    task_type: ['compute', 'io', 'network'][task % 3],
    attempt,
    max_attempts: 2,
    step_order: task,
    operator: 'ContainerOperator',
    orchestrator_id: `airflow-${workflow % 4}`,
    pool: `pool-${workflow % 5}`,
    queue: 'default',
    worker_id: worker,
    host: `${worker}.internal`,
    queue_ms: queueMs,
  };
  yield taskEvent({ ...base, state: 'running', event_time: startedMs });
  yield taskEvent({
    ...base,
    state: failed ? 'failed' : 'completed',
    event_time: startedMs + lasting,
    started_at: startedMs,
    cost: Math.round(random.exponential(0.002) * 1e6) / 1e6,
    cpu_ms: Math.round(lasting * random.between(0.2, 0.95)),
    memory_peak_bytes: Math.round(random.logNormal(2.5e8, 0.5)),
    cpu_ratio_mean: Math.round(random.next() * 1000) / 1000,
    network_bytes: Math.round(random.exponential(2e6)),
    ...(failed ? describeError(random, worker) : {}),
  });
}

function describeError(random: Random, worker: string) {
  const type = random.pick(errors);
  const message = `${worker} gave up after ${random.below(30_000)} ms`;
  return {
    error_type: type,
    error_message: message,
    error_stack: `${type}: ${message}\n  at run (worker.py:${random.below(900)})`,
  };
}

const execution = (record: ExecutionRecord): FleetRecord => ({
  topic: 'executions',
  key: record.execution_id,
  value: encodeExecutionEvent(record),
  timestampMs: record.event_time,
});

const taskEvent = (record: TaskRecord): FleetRecord => ({
  topic: 'tasks',
  key: record.execution_id,
  value: encodeTaskEvent(record),
  timestampMs: record.event_time,
});

export const taskName = (task: number): string => `task-${task}`;
