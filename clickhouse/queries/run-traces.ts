import type { Question } from '../question.ts';
import { namesOfOpen } from './listed-executions.ts';
import { aboutRuns, type RunAsk, untoldOfAll } from './run-events.ts';

/**
 * What analyses need of executions and their tasks: which executions of a workflow are the newest, how much was told of
 * them, and then what was told, in slices. Values of a record come as a plain list, because the names of its columns
 * would be most of the answer.
 */

export interface WorkflowAsk {
  workflow: string;
}

export interface RecentRunsAsk extends WorkflowAsk {
  source: string;
  fromMs: number;
  /** Excluded. */
  toMs: number;
  /** Leaves out what has not ended, of which there may be more than what is asked for. */
  isOver: boolean;
  limit: number;
}

export interface RecentRunRow {
  execution_id: string;
  at_ms: number;
}

export const recentRunsQuestion: Question<RecentRunsAsk, RecentRunRow> = {
  name: 'recent_runs',
  sql: ({ isOver }) => `SELECT execution_id, toUnixTimestamp64Milli(at) AS at_ms FROM execution_list
WHERE workspace = {workspace: String} AND workflow_id = {workflow: String} AND state = '' AND source = {source: String}
  AND at >= fromUnixTimestamp64Milli({fromMs: Int64}) AND at < fromUnixTimestamp64Milli({toMs: Int64})
  ${isOver ? `AND (source, execution_id) NOT IN (${namesOfOpen})` : ''}
ORDER BY at DESC, source DESC, execution_id DESC
LIMIT {limit: UInt32}
SETTINGS final = 0`,
};

export interface RunsAsk {
  executions: readonly string[];
  /** '' asks for whichever source there is. */
  source: string;
  /** Nothing that is asked for happened before. */
  fromMs: number;
  /** Nor after this. */
  toMs: number;
}

const ofRuns = `workspace = {workspace: String} AND ({source: String} = '' OR source = {source: String})
  AND execution_id IN {executions: Array(String)}
  AND event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) AND event_time <= fromUnixTimestamp64Milli({toMs: Int64})`;

export interface RunSizeRow {
  execution_id: string;
  records: number;
}

export const runSizesQuestion: Question<RunsAsk, RunSizeRow> = {
  name: 'run_sizes',
  sql: () => `SELECT execution_id, count() AS records FROM task_events
WHERE ${ofRuns}
GROUP BY execution_id
SETTINGS final = 0`,
};

/** All that analyses know of records, or no more than what says when everything happened and what waited for what. */
export type Wanted = 'all' | 'times';

export interface RunSliceAsk extends RunsAsk {
  wanted: Wanted;
  /** Of an execution with very many tasks, those whose hash falls into this part. */
  part: number;
  parts: number;
  limit: number;
}

const ms = (column: string): string => `toUnixTimestamp64Milli(${column})`;

/** As the events name them, and as the tables do. */
const sharedValues = {
  workspace: 'workspace',
  source: 'source',
  executionId: 'execution_id',
  workflowId: 'workflow_id',
  workflowName: 'workflow_name',
  workflowVersion: 'workflow_version',
  attempt: 'attempt',
  state: 'state',
  eventTimeMs: ms('event_time'),
  queuedAtMs: ms('queued_at'),
  startedAtMs: ms('started_at'),
  durationUs: 'duration_us',
  costMicros: 'cost_micros',
  errorType: 'error_type',
};

const executionValues = {
  ...sharedValues,
  project: 'project',
  triggerType: 'trigger_type',
  parentExecutionId: 'parent_execution_id',
  parentTaskId: 'parent_task_id',
  input: 'input',
  inputBytes: 'input_bytes',
};

const taskValues = {
  ...sharedValues,
  errorMessage: 'error_message',
  taskId: 'task_id',
  taskName: 'task_name',
  taskType: 'task_type',
  operator: 'operator',
  mapIndex: 'map_index',
  loopIteration: 'loop_iteration',
  pool: 'pool',
  triggerRule: 'trigger_rule',
  compensates: 'compensates',
  childExecutionId: 'child_execution_id',
  dependencyIds: 'dependencies.task_id',
  dependencyTypes: 'dependencies.type',
  dependencyOptional: 'dependencies.optional',
  dependencyConditions: 'dependencies.condition',
  workerId: 'worker_id',
  readyAtMs: ms('ready_at'),
  dispatchedAtMs: ms('dispatched_at'),
  queueUs: 'queue_us',
  cpuUs: 'cpu_us',
  ioWaitUs: 'io_wait_us',
  cpuRatioMean: 'cpu_ratio_mean',
  memoryPeakBytes: 'memory_peak_bytes',
  memoryAllocatedBytes: 'memory_allocated_bytes',
};

type ExecutionValue = keyof typeof executionValues;
type TaskValue = keyof typeof taskValues;

const sharedTimes = [
  ...(['workspace', 'source', 'executionId', 'workflowId', 'attempt', 'state', 'eventTimeMs'] as const),
  ...(['queuedAtMs', 'startedAtMs', 'durationUs'] as const),
];

/** Names of the values of a record, in their order. */
export const namesOfExecution: Record<Wanted, readonly ExecutionValue[]> = {
  all: Object.keys(executionValues) as ExecutionValue[],
  times: sharedTimes,
};
export const namesOfTask: Record<Wanted, readonly TaskValue[]> = {
  all: Object.keys(taskValues) as TaskValue[],
  times: [
    ...sharedTimes,
    ...(['taskId', 'taskType', 'operator', 'mapIndex', 'loopIteration', 'pool', 'triggerRule'] as const),
    ...(['childExecutionId', 'dependencyIds', 'workerId', 'readyAtMs', 'dispatchedAtMs', 'queueUs'] as const),
  ],
};

export interface ValuesRow {
  /** In the order of their names. */
  told: unknown[];
}

function listValues<Name extends string>(names: readonly Name[], columns: Readonly<Record<Name, string>>): string {
  // A tuple whose parts have no names is a plain list in JSON.
  const parts = names.map((name, at) => `${columns[name]} AS v${at}`);
  return `tuple(${parts.join(', ')}) AS told`;
}

const tellExecution = (wanted: Wanted): string => listValues(namesOfExecution[wanted], executionValues);
const tellTask = (wanted: Wanted): string => listValues(namesOfTask[wanted], taskValues);

/** Repeated records change nothing, so they are not merged either. */
export const executionTracesQuestion: Question<RunSliceAsk, ValuesRow> = {
  name: 'execution_traces',
  sql: ({ wanted }) => `SELECT ${tellExecution(wanted)} FROM execution_events
WHERE ${ofRuns}
LIMIT {limit: UInt32}
SETTINGS final = 0`,
};

export const taskTracesQuestion: Question<RunSliceAsk, ValuesRow> = {
  name: 'task_traces',
  sql: ({ wanted }) => `SELECT ${tellTask(wanted)} FROM task_events
WHERE ${ofRuns} AND cityHash64(task_id, map_index) % {parts: UInt32} = {part: UInt32}
LIMIT {limit: UInt32}
SETTINGS final = 0`,
};

interface OneTraceRow extends ValuesRow {
  execution_id: string;
}

/** Values of columns that records may leave empty, and how they are told where none fills them. */
const emptyValues: Partial<Record<ExecutionValue | TaskValue, readonly [column: string, value: string]>> = {
  ...{ queuedAtMs: ['queued_at', 'NULL'], queueUs: ['queue_us', 'NULL'] },
  ...{ readyAtMs: ['ready_at', 'NULL'], dispatchedAtMs: ['dispatched_at', 'NULL'] },
  ...{ taskType: ['task_type', "''"], pool: ['pool', "''"], workerId: ['worker_id', "''"] },
  dependencyIds: ['dependencies', '[]'],
};

/** Each column of each day takes as long as what stands in it, so those that are known already are not asked for. */
const knownOfRun = { workspace: '{workspace: String}', source: '{source: String}' };

function tellTimes<Name extends ExecutionValue | TaskValue>(
  table: 'execution_events' | 'task_events',
  names: readonly Name[],
  columns: Readonly<Record<Name, string>>,
): (asks: readonly RunAsk[]) => string[] {
  return (asks) => {
    const isUntold = untoldOfAll(table, asks);
    const told = names.map((name) => {
      const [column, empty] = emptyValues[name] ?? [];
      return [name, column !== undefined && isUntold(column) ? empty : columns[name]];
    });
    return ['execution_id', listValues(names, { ...Object.fromEntries(told), ...knownOfRun })];
  };
}

/** When one execution and its tasks happened, for those who ask about different ones at once. */
export const oneExecutionTraceQuestion = aboutRuns<OneTraceRow>(
  'execution_trace',
  tellTimes('execution_events', namesOfExecution.times, executionValues),
  'execution_events',
);
export const oneTaskTraceQuestion = aboutRuns<OneTraceRow>(
  'task_trace',
  tellTimes('task_events', namesOfTask.times, taskValues),
  'task_events',
);

export interface PeersAsk {
  workflow: string;
  fromMs: number;
}

/** Different tasks of each other workflow of the workspace, as hours of the last weeks know them. */
export const peerTaskCountsQuestion: Question<PeersAsk, { tasks: number }> = {
  name: 'peer_task_counts',
  sql: () => `SELECT uniq(task_id) AS tasks FROM task_hours
WHERE workspace = {workspace: String} AND workflow_id != {workflow: String} AND window_start >= toDateTime(intDiv({fromMs: Int64}, 1000), 'UTC')
GROUP BY source, workflow_id
LIMIT 10000
SETTINGS final = 0`,
};
