import type { Question } from '../question.ts';

/** Everything that was ever said of one execution and its tasks: the sorting key begins with exactly that. */
export interface RunAsk {
  execution: string;
  /** '' asks for whichever source there is. */
  source: string;
  limit: number;
}

interface SharedEventRow {
  source: string;
  project: string;
  workflow_id: string;
  workflow_name: string;
  workflow_version: string;
  attempt: number;
  state: string;
  event_time_ms: number;
  record_time_ms: number;
  queued_at_ms: number | null;
  started_at_ms: number | null;
  duration_us: number | null;
  queue_us: number | null;
  cost_micros: number | null;
  cpu_us: number | null;
  memory_peak_bytes: number | null;
  cpu_allocated_cores: number | null;
  memory_allocated_bytes: number | null;
  storage_bytes: number | null;
  network_bytes: number | null;
  error_type: string;
  error_code: string;
  error_message: string;
  error_stack: string;
  cancel_reason: string;
  retry_reason: string;
  input: string;
  input_truncated: boolean;
  output: string;
  output_truncated: boolean;
  partition: number;
  offset: number;
}

export interface ExecutionEventRow extends SharedEventRow {
  execution_number: number | null;
  progress_ratio: number | null;
  phase: string;
  substatus: string;
  last_checkpoint: string;
  health_indicators: { name: string; status: string; value: number | null; message: string }[];
  trigger_type: string;
  trigger_source: string;
  triggered_by: string;
  trigger_time_ms: number | null;
  trigger_parameters: string;
  schedule_cron: string;
  schedule_timezone: string;
  trigger_event_type: string;
  trigger_event_id: string;
  scheduled_at_ms: number | null;
  environment: string;
  region: string;
  tenant: string;
  correlation_id: string;
  parent_execution_id: string;
  root_execution_id: string;
  child_execution_ids: string[];
  variables: string;
  quota_usage: Record<string, number>;
  artifacts: { name: string; type: string; uri: string; bytes: number | null }[];
  error_entries: { type: string; code: string; message: string; task_id: string; at_ms: number | null }[];
  tags: string[];
  labels: Record<string, string>;
}

export interface TaskEventRow extends SharedEventRow {
  task_id: string;
  task_name: string;
  task_type: string;
  map_index: number;
  step_order: number | null;
  ready_at_ms: number | null;
  dispatched_at_ms: number | null;
  pool: string;
  queue: string;
  worker_id: string;
  dependency_ids: string[];
  dependents: string[];
  concurrency: number | null;
  cache_status: string;
  cpu_ratio_mean: number | null;
  io_wait_us: number | null;
  gc_pause_us: number | null;
}

const ms = (column: string): string => `toUnixTimestamp64Milli(${column}) AS ${column}_ms`;

const sharedColumns = [
  'source',
  'project',
  'workflow_id',
  'workflow_name',
  'workflow_version',
  'attempt',
  'state',
  ...['event_time', 'record_time', 'queued_at', 'started_at'].map(ms),
  'duration_us',
  'queue_us',
  'cost_micros',
  'cpu_us',
  'memory_peak_bytes',
  'cpu_allocated_cores',
  'memory_allocated_bytes',
  'storage_bytes',
  'network_bytes',
  'error_type',
  'error_code',
  'error_message',
  'error_stack',
  'cancel_reason',
  'retry_reason',
  'input',
  'input_truncated',
  'output',
  'output_truncated',
  'partition',
  'offset',
];

const executionColumns = [
  ...sharedColumns,
  'execution_number',
  'progress_ratio',
  'phase',
  'substatus',
  'last_checkpoint',
  'health_indicators',
  'trigger_type',
  'trigger_source',
  'triggered_by',
  ms('trigger_time'),
  'trigger_parameters',
  'schedule_cron',
  'schedule_timezone',
  'trigger_event_type',
  'trigger_event_id',
  ms('scheduled_at'),
  'environment',
  'region',
  'tenant',
  'correlation_id',
  'parent_execution_id',
  'root_execution_id',
  'child_execution_ids',
  'variables',
  'quota_usage',
  'artifacts',
  `CAST(arrayMap(e -> (e.type, e.code, e.message, e.task_id, toUnixTimestamp64Milli(e.at)), errors),
    'Array(Tuple(type String, code String, message String, task_id String, at_ms Nullable(Int64)))') AS error_entries`,
  'tags',
  'labels',
];

const taskColumns = [
  ...sharedColumns,
  'task_id',
  'task_name',
  'task_type',
  'map_index',
  'step_order',
  ms('ready_at'),
  ms('dispatched_at'),
  'pool',
  'queue',
  'worker_id',
  'dependencies.task_id AS dependency_ids',
  'dependents',
  'concurrency',
  'cache_status',
  'cpu_ratio_mean',
  'io_wait_us',
  'gc_pause_us',
];

/**
 * Of a record that was written again the newest row, as FINAL has it: for some rows of many columns FINAL takes longer than
 * all the rest, and more so with every day that has parts of its own.
 */
const aboutRun = (columns: readonly string[], table: string, names: string): string => `SELECT ${columns.join(', ')}
FROM ${table}
WHERE workspace = {workspace: String} AND execution_id = {execution: String} AND ({source: String} = '' OR source = {source: String})
ORDER BY fold_version DESC, source, event_time, partition, offset
LIMIT 1 BY source, ${names}stream, partition, offset
LIMIT {limit: UInt32} SETTINGS final = 0`;

export const executionEventsQuestion: Question<RunAsk, ExecutionEventRow> = {
  name: 'execution_events',
  sql: () => aboutRun(executionColumns, 'execution_events', ''),
};

export const taskEventsQuestion: Question<RunAsk, TaskEventRow> = {
  name: 'task_events',
  sql: () => aboutRun(taskColumns, 'task_events', 'task_id, map_index, '),
};
