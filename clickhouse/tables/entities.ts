import type { TaskDependency } from '../../schemas/events.ts';
import {
  array,
  type Column,
  column,
  columnsOf,
  float64,
  instant,
  int32,
  int64,
  name,
  nullable,
  type Table,
  text,
  tuple,
  uint32,
  wordPair,
} from '../columns.ts';
import { dependencyCodec } from './runs.ts';

/** A 64-bit number as two words; what decides which of two values is the latest is made of such numbers. */
export interface Words {
  high: number;
  low: number;
}

/** Of a rank, and of a start in the same form: the time in ms, and of a rank the bit that says of an end. */
export const timeBits = 2 ** 43 - 1;
export const endBit = 2 ** 43;

/** What stands before values that change over time: the greatest wins. The migration of `executions` explains both. */
export interface Ranked {
  rank: Words;
  place: Words;
}

/** The state a thing is in, as one of its records says. */
export interface Standing extends Ranked {
  state: string;
}

/** The state of an execution, with what only executions report on their way. */
export interface ExecutionStanding extends Standing {
  progressRatio: number | null;
  phase: string;
  substatus: string;
}

/** A state with what its record says of the run; of an end, what the run came to. */
export interface TaskStanding extends Standing {
  durationUs: number | null;
  costMicros: number | null;
  cpuUs: number | null;
  memoryPeakBytes: number | null;
  errorType: string;
  errorCode: string;
  errorMessage: string;
}

/** An end of an execution; rank 0 where there was none. */
export interface LastEnd extends TaskStanding {
  queueUs: number | null;
  cancelReason: string;
}

/** Which workflow an execution is of, as a record says. */
export interface WorkflowNaming extends Ranked {
  workflowId: string;
  workflowVersion: string;
}

interface Entity {
  workspace: string;
  source: string;
  executionId: string;
  firstSeenMs: number;
  lastEventMs: number;
  /** Bits of the details that none of its records tells; 0 where that is not known. */
  untold: number;
  project: string;
  tags: readonly string[];
}

/** A row of `executions`: what the records of one flush say of one execution. */
export interface ExecutionRow extends Entity {
  now: ExecutionStanding;
  lastEnd: LastEnd;
  workflow: WorkflowNaming;
  workflowName: string;
  earliestStart: Words;
  earliestQueueing: Words;
  earliestSchedule: Words;
  sourceVersion: string;
  executionNumber: number | null;
  triggerType: string;
  triggerSource: string;
  triggeredBy: string;
  parentExecutionId: string;
  parentTaskId: string;
  rootExecutionId: string;
  tenant: string;
  environment: string;
  region: string;
  correlationId: string;
  retryReason: string;
}

/** A row of `task_attempts`: what the records of one flush say of one attempt of a task. */
export interface TaskAttemptRow extends Entity {
  taskId: string;
  mapIndex: number;
  attempt: number;
  now: TaskStanding;
  readyAtMs: number | null;
  queuedAtMs: number | null;
  dispatchedAtMs: number | null;
  earliestStart: Words;
  queueUs: number | null;
  workflowId: string;
  workflowVersion: string;
  taskName: string;
  taskType: string;
  orchestratorId: string;
  pool: string;
  queue: string;
  workerId: string;
  childExecutionId: string;
  stepOrder: number | null;
  maxAttempts: number | null;
  retryDelayUs: number | null;
  nextRetryAtMs: number | null;
  dependencies: readonly TaskDependency[];
}

/** A row of `execution_list`; the state is '' in the list of all. */
export interface ExecutionListRow {
  workspace: string;
  workflowId: string;
  state: string;
  atMs: number;
  source: string;
  executionId: string;
  errorType: string;
}

/** A row of `task_list`; the task is '' in the list of the workspace. */
export interface TaskListRow {
  workspace: string;
  taskId: string;
  state: string;
  atMs: number;
  attempt: TaskAttemptRow;
  errorType: string;
}

const optionalInt = nullable(int64);
const texts = array(text);

/**
 * A column that merging aggregates: its type says by which function. LowCardinality cannot stand inside a tuple or an
 * array there, which is why those hold plain text.
 */
function greatest<Row>(columnOfRow: Column<Row>, by: 'max' | 'min' | 'groupBitAnd' = 'max'): Column<Row> {
  return { ...columnOfRow, type: `SimpleAggregateFunction(${by}, ${columnOfRow.type})` };
}

const rankedFields = <Value extends Ranked>(): Column<Value>[] => [
  column('rank', wordPair, (value) => value.rank),
  column('place', wordPair, (value) => value.place),
];
const standingFields = <Value extends Standing>(): Column<Value>[] => [
  ...rankedFields<Value>(),
  column('state', text, (value) => value.state),
];
const spentFields = <Value extends TaskStanding>(): Column<Value>[] => [
  ...standingFields<Value>(),
  column('duration_us', optionalInt, (said) => said.durationUs),
  column('cost_micros', optionalInt, (said) => said.costMicros),
  column('cpu_us', optionalInt, (said) => said.cpuUs),
  column('memory_peak_bytes', optionalInt, (said) => said.memoryPeakBytes),
  column('error_type', text, (said) => said.errorType),
  column('error_code', text, (said) => said.errorCode),
  column('error_message', text, (said) => said.errorMessage),
];

const ofStanding = columnsOf<ExecutionStanding>();
const executionStandingCodec = tuple([
  ...standingFields<ExecutionStanding>(),
  ofStanding('progress_ratio', nullable(float64), (now) => now.progressRatio),
  ofStanding('phase', text, (now) => now.phase),
  ofStanding('substatus', text, (now) => now.substatus),
]);
const ofEnd = columnsOf<LastEnd>();
const lastEndCodec = tuple([
  ...spentFields<LastEnd>(),
  ofEnd('queue_us', optionalInt, (end) => end.queueUs),
  ofEnd('cancel_reason', text, (end) => end.cancelReason),
]);
const ofNaming = columnsOf<WorkflowNaming>();
const workflowCodec = tuple([
  ...rankedFields<WorkflowNaming>(),
  ofNaming('workflow_id', text, (workflow) => workflow.workflowId),
  ofNaming('workflow_version', text, (workflow) => workflow.workflowVersion),
]);

const executionName = <Row extends Entity>(): Column<Row>[] => [
  column('workspace', name, (row) => row.workspace),
  column('source', name, (row) => row.source),
  column('execution_id', text, (row) => row.executionId),
];
const seenColumns = <Row extends Entity>(): Column<Row>[] => [
  greatest(
    column('first_seen_at', instant, (row: Row) => row.firstSeenMs),
    'min',
  ),
  greatest(column('last_event_at', instant, (row: Row) => row.lastEventMs)),
  greatest(
    column('untold', uint32, (row: Row) => row.untold),
    'groupBitAnd',
  ),
];

const ofExecution = columnsOf<ExecutionRow>();

export const executionsTable: Table<ExecutionRow> = {
  name: 'executions',
  columns: [
    ...executionName<ExecutionRow>(),
    ...seenColumns<ExecutionRow>(),
    ...[
      ofExecution('now', executionStandingCodec, (row) => row.now),
      ofExecution('last_end', lastEndCodec, (row) => row.lastEnd),
      ofExecution('workflow', workflowCodec, (row) => row.workflow),
      ofExecution('earliest_start', wordPair, (row) => row.earliestStart),
      ofExecution('earliest_queueing', wordPair, (row) => row.earliestQueueing),
      ofExecution('earliest_schedule', wordPair, (row) => row.earliestSchedule),
      ofExecution('workflow_name', name, (row) => row.workflowName),
      ofExecution('project', name, (row) => row.project),
      ofExecution('source_version', name, (row) => row.sourceVersion),
      ofExecution('execution_number', optionalInt, (row) => row.executionNumber),
      ofExecution('trigger_type', name, (row) => row.triggerType),
      ofExecution('trigger_source', name, (row) => row.triggerSource),
      ofExecution('triggered_by', text, (row) => row.triggeredBy),
      ofExecution('parent_execution_id', text, (row) => row.parentExecutionId),
      ofExecution('parent_task_id', text, (row) => row.parentTaskId),
      ofExecution('root_execution_id', text, (row) => row.rootExecutionId),
      ofExecution('tenant', name, (row) => row.tenant),
      ofExecution('environment', name, (row) => row.environment),
      ofExecution('region', name, (row) => row.region),
      ofExecution('correlation_id', text, (row) => row.correlationId),
      ofExecution('retry_reason', text, (row) => row.retryReason),
      ofExecution('tags', texts, (row) => row.tags),
    ].map((entry) => greatest(entry)),
  ],
};

const ofAttempt = columnsOf<TaskAttemptRow>();

export const taskAttemptsTable: Table<TaskAttemptRow> = {
  name: 'task_attempts',
  columns: [
    ...executionName<TaskAttemptRow>(),
    ofAttempt('task_id', name, (row) => row.taskId),
    ofAttempt('map_index', int32, (row) => row.mapIndex),
    ofAttempt('attempt', uint32, (row) => row.attempt),
    ...seenColumns<TaskAttemptRow>(),
    ...[
      ofAttempt('now', tuple(spentFields<TaskStanding>()), (row) => row.now),
      ofAttempt('ready_at', instant, (row) => row.readyAtMs ?? 0),
      ofAttempt('queued_at', instant, (row) => row.queuedAtMs ?? 0),
      ofAttempt('dispatched_at', instant, (row) => row.dispatchedAtMs ?? 0),
      ofAttempt('earliest_start', wordPair, (row) => row.earliestStart),
      ofAttempt('queue_us', optionalInt, (row) => row.queueUs),
      ofAttempt('project', name, (row) => row.project),
      ofAttempt('workflow_id', name, (row) => row.workflowId),
      ofAttempt('workflow_version', name, (row) => row.workflowVersion),
      ofAttempt('task_name', name, (row) => row.taskName),
      ofAttempt('task_type', name, (row) => row.taskType),
      ofAttempt('orchestrator_id', name, (row) => row.orchestratorId),
      ofAttempt('pool', name, (row) => row.pool),
      ofAttempt('queue', name, (row) => row.queue),
      ofAttempt('worker_id', name, (row) => row.workerId),
      ofAttempt('child_execution_id', text, (row) => row.childExecutionId),
      ofAttempt('step_order', optionalInt, (row) => row.stepOrder),
      ofAttempt('max_attempts', optionalInt, (row) => row.maxAttempts),
      ofAttempt('retry_delay_us', optionalInt, (row) => row.retryDelayUs),
      ofAttempt('next_retry_at', instant, (row) => row.nextRetryAtMs ?? 0),
      ofAttempt('dependencies', array(dependencyCodec), (row) => row.dependencies),
      ofAttempt('tags', texts, (row) => row.tags),
    ].map((entry) => greatest(entry)),
  ],
};

const ofExecutionList = columnsOf<ExecutionListRow>();

export const executionListTable: Table<ExecutionListRow> = {
  name: 'execution_list',
  columns: [
    ofExecutionList('workspace', name, (row) => row.workspace),
    ofExecutionList('workflow_id', name, (row) => row.workflowId),
    ofExecutionList('state', name, (row) => row.state),
    ofExecutionList('at', instant, (row) => row.atMs),
    ofExecutionList('source', name, (row) => row.source),
    ofExecutionList('execution_id', text, (row) => row.executionId),
    ofExecutionList('error_type', name, (row) => row.errorType),
  ],
};

const ofTaskList = columnsOf<TaskListRow>();

export const taskListTable: Table<TaskListRow> = {
  name: 'task_list',
  columns: [
    ofTaskList('workspace', name, (row) => row.workspace),
    ofTaskList('task_id', name, (row) => row.taskId),
    ofTaskList('state', name, (row) => row.state),
    ofTaskList('at', instant, (row) => row.atMs),
    ofTaskList('source', name, ({ attempt }) => attempt.source),
    ofTaskList('execution_id', text, ({ attempt }) => attempt.executionId),
    ofTaskList('listed_task', name, ({ attempt }) => attempt.taskId),
    ofTaskList('map_index', int32, ({ attempt }) => attempt.mapIndex),
    ofTaskList('attempt', uint32, ({ attempt }) => attempt.attempt),
    ofTaskList('error_type', name, (row) => row.errorType),
  ],
};
