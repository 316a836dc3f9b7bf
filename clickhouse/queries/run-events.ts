import type { GatheredQuestion } from '../question.ts';
import { bitsOfColumns, executionDetails, taskDetails } from '../tables/details.ts';
import { keepMsOf, type RunPlace } from './run-places.ts';

/** Everything that was ever said of one execution and its tasks: the sorting key begins with exactly that. */
export interface RunAsk {
  execution: string;
  place: RunPlace;
  limit: number;
}

/** What tells one record of a source from another; of one that was written again the greatest fold version stands. */
export interface RecordPlace {
  stream: string;
  partition: number;
  offset: number;
  fold_version: number;
}

/** What is needed to tell how something went, and what it was given and gave. */
interface CourseRow extends RecordPlace {
  execution_id: string;
  attempt: number;
  state: string;
  event_time_ms: number;
  queued_at_ms: number | null;
  started_at_ms: number | null;
  duration_us: number | null;
  error_message: string;
  input: string;
  output: string;
}

export interface ExecutionCourseRow extends CourseRow {
  workflow_id: string;
  execution_number: number | null;
  variables: string;
}

export interface TaskCourseRow extends CourseRow {
  task_id: string;
  task_name: string;
  task_type: string;
  map_index: number;
  step_order: number | null;
  ready_at_ms: number | null;
  dispatched_at_ms: number | null;
  worker_id: string;
  retry_reason: string;
  error_type: string;
  error_code: string;
  error_stack: string;
  dependency_ids: string[];
  dependents: string[];
}

interface DetailRow {
  queue_us: number | null;
  cost_micros: number | null;
  cpu_us: number | null;
  memory_peak_bytes: number | null;
  cpu_allocated_cores: number | null;
  memory_allocated_bytes: number | null;
  storage_bytes: number | null;
  network_bytes: number | null;
  workflow_name: string;
  workflow_version: string;
  project: string;
}

export interface ExecutionEventRow extends ExecutionCourseRow, DetailRow {
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
  environment: string;
  region: string;
  tenant: string;
  correlation_id: string;
  parent_execution_id: string;
  root_execution_id: string;
  child_execution_ids: string[];
  quota_usage: Record<string, number>;
  artifacts: { name: string; type: string; uri: string; bytes: number | null }[];
  error_type: string;
  error_code: string;
  error_stack: string;
  error_entries: { type: string; code: string; message: string; task_id: string; at_ms: number | null }[];
  retry_reason: string;
  tags: string[];
  labels: Record<string, string>;
}

export interface TaskEventRow extends TaskCourseRow, DetailRow {
  input_truncated: boolean;
  output_truncated: boolean;
  pool: string;
  queue: string;
  concurrency: number | null;
  cache_status: string;
  cpu_ratio_mean: number | null;
  io_wait_us: number | null;
  gc_pause_us: number | null;
}

/** Names of the columns of raw rows that are asked for; details only where they were told. */
const courseColumns = [
  ...['stream', 'partition', 'offset', 'fold_version', 'execution_id', 'attempt', 'state'],
  ...['event_time', 'queued_at', 'started_at', 'duration_us', 'error_message', 'input', 'output'],
];
const executionCourseColumns = [...courseColumns, 'workflow_id', 'execution_number', 'variables'];
const taskCourseColumns = [
  ...courseColumns,
  ...['task_id', 'task_name', 'task_type', 'map_index', 'step_order', 'ready_at', 'dispatched_at'],
  ...['worker_id', 'retry_reason', 'error_type', 'error_code', 'error_stack', 'dependencies', 'dependents'],
];

const detailColumns = [
  ...['queue_us', 'cost_micros', 'cpu_us', 'memory_peak_bytes', 'cpu_allocated_cores', 'memory_allocated_bytes'],
  ...['storage_bytes', 'network_bytes', 'workflow_name', 'workflow_version', 'project'],
];
const executionColumns = [
  ...executionCourseColumns,
  ...detailColumns,
  ...['progress_ratio', 'phase', 'substatus', 'last_checkpoint', 'health_indicators'],
  ...['trigger_type', 'trigger_source', 'triggered_by', 'trigger_time', 'trigger_parameters'],
  ...['schedule_cron', 'schedule_timezone', 'trigger_event_type', 'trigger_event_id'],
  ...['environment', 'region', 'tenant', 'correlation_id', 'parent_execution_id', 'root_execution_id'],
  ...['child_execution_ids', 'quota_usage', 'artifacts', 'error_type', 'error_code', 'error_stack', 'errors'],
  ...['retry_reason', 'tags', 'labels'],
];
const taskColumns = [
  ...taskCourseColumns,
  ...detailColumns,
  ...['input_truncated', 'output_truncated', 'pool', 'queue', 'concurrency', 'cache_status'],
  ...['cpu_ratio_mean', 'io_wait_us', 'gc_pause_us'],
];

const instants: readonly string[] = [
  ...['event_time', 'queued_at', 'started_at', 'ready_at', 'dispatched_at', 'trigger_time'],
];
const toldDifferently: Record<string, string> = {
  ...Object.fromEntries(instants.map((column) => [column, `toUnixTimestamp64Milli(${column}) AS ${column}_ms`])),
  dependencies: 'dependencies.task_id AS dependency_ids',
  errors: `CAST(arrayMap(e -> (e.type, e.code, e.message, e.task_id, toUnixTimestamp64Milli(e.at)), errors),
    'Array(Tuple(type String, code String, message String, task_id String, at_ms Nullable(Int64)))') AS error_entries`,
};

/** As a record has them that does not tell them; whose columns may not have been asked for. */
const noDetailsOfBoth = {
  ...{ workflow_name: '', workflow_version: '', project: '', queued_at_ms: null, queue_us: null },
  ...{ input: '', output: '', error_type: '', error_code: '', error_message: '', error_stack: '', retry_reason: '' },
  ...{ cost_micros: null, cpu_us: null, memory_peak_bytes: null, cpu_allocated_cores: null },
  ...{ memory_allocated_bytes: null, storage_bytes: null, network_bytes: null },
};
const noExecutionDetails = {
  ...noDetailsOfBoth,
  ...{ execution_number: null, trigger_type: '', environment: '', region: '' },
  ...{ progress_ratio: null, phase: '', substatus: '', last_checkpoint: '', health_indicators: [] },
  ...{ trigger_source: '', triggered_by: '', trigger_time_ms: null, trigger_parameters: '', schedule_cron: '' },
  ...{ schedule_timezone: '', trigger_event_type: '', trigger_event_id: '', tenant: '', correlation_id: '' },
  ...{ parent_execution_id: '', root_execution_id: '', child_execution_ids: [], tags: [], labels: {} },
  ...{ quota_usage: {}, artifacts: [], error_entries: [], variables: '' },
} satisfies Partial<ExecutionEventRow>;
const noTaskDetails = {
  ...noDetailsOfBoth,
  ...{ task_name: '', task_type: '', pool: '', queue: '', worker_id: '' },
  ...{ cpu_ratio_mean: null, io_wait_us: null, gc_pause_us: null, concurrency: null, cache_status: '' },
  ...{ input_truncated: false, output_truncated: false, step_order: null, dependency_ids: [], dependents: [] },
  ...{ ready_at_ms: null, dispatched_at_ms: null },
} satisfies Partial<TaskEventRow>;

export const withExecutionDetails = <Row extends ExecutionCourseRow>(row: Row): Row => ({
  ...noExecutionDetails,
  ...row,
});
export const withTaskDetails = <Row extends TaskCourseRow>(row: Row): Row => ({ ...noTaskDetails, ...row });

type RawTableName = 'execution_events' | 'task_events';

interface RawTable {
  untoldOf: (place: RunPlace) => number;
  bitsOf: ReadonlyMap<string, number>;
}

const rawTables: Record<RawTableName, RawTable> = {
  execution_events: { untoldOf: (place) => place.execution_untold, bitsOf: bitsOfColumns(executionDetails) },
  task_events: { untoldOf: (place) => place.tasks_untold, bitsOf: bitsOfColumns(taskDetails) },
};

/** Says of a column whether none of several executions was told of it. */
export function untoldOfAll(table: RawTableName, asks: readonly RunAsk[]): (column: string) => boolean {
  const { bitsOf, untoldOf } = rawTables[table];
  const untold = asks.reduce((all, { place }) => all & untoldOf(place), -1);
  return (column) => (untold & (bitsOf.get(column) ?? 0)) !== 0;
}

/** What any of several executions was told of. */
function toldColumns(table: RawTableName, columns: readonly string[], asks: readonly RunAsk[]): string[] {
  const isUntold = untoldOfAll(table, asks);
  return columns.filter((column) => !isUntold(column)).map((column) => toldDifferently[column] ?? column);
}

/**
 * In no order, and with records that were written again: of many columns and few rows, merging and sorting take the engine
 * longer than finding them, and each column longer than what stands in it. Days are what the tables are cut into. What is left of a granule
 * after looking at the names is so little that no other condition is worth a step of its own.
 */
export const aboutRuns = <Row extends { execution_id: string }, Wider extends Row = Row>(
  name: string,
  select: (asks: readonly RunAsk[]) => readonly string[],
  table: RawTableName,
  within?: GatheredQuestion<RunAsk, Wider>,
): GatheredQuestion<RunAsk, Row> => ({
  name,
  ...(within === undefined ? {} : { within }),
  // A page asks for an execution, its tasks and its timeline at once.
  keepMs: ({ place }, _rows, nowMs) => keepMsOf(place, nowMs),
  sql: (asks) => `SELECT ${select(asks).join(', ')}
FROM ${table}
PREWHERE execution_id IN {executions: Array(String)}
WHERE workspace = {workspace: String} AND source = {source: String} AND ${daysOf(asks) === null ? inRange : onDays}
LIMIT {limit: UInt32} BY execution_id SETTINGS final = 0`,
  params: (asks) => ({
    source: asks[0]?.place.source,
    limit: asks[0]?.limit,
    executions: asks.map(({ execution }) => execution),
    fromMs: Math.min(...asks.map(({ place }) => place.first_ms)),
    toMs: Math.max(...asks.map(({ place }) => place.last_ms)),
    days: (daysOf(asks) ?? []).map((day) => new Date(day * dayMs).toISOString().slice(0, 10)),
  }),
  alike: ({ place, limit }) => [place.source, limit],
  keyOfAsk: ({ execution }) => execution,
  keyOfRow: (row) => row.execution_id,
});

/** Each condition takes a twentieth of the question. */
const onDays = 'toDate(event_time) IN {days: Array(Date)}';
const inRange =
  'event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) AND event_time <= fromUnixTimestamp64Milli({toMs: Int64})';

const dayMs = 86_400_000;
/** What lasts longer has its records looked for from its first day to its last. */
const mostDays = 200;

/** Null where they are too many to be named. */
function daysOf(asks: readonly RunAsk[]): number[] | null {
  const days = new Set(asks.flatMap(({ place }) => daysBetween(place.first_ms, place.last_ms)));
  return days.size > mostDays ? null : [...days];
}

function daysBetween(fromMs: number, toMs: number): number[] {
  const first = Math.floor(fromMs / dayMs);
  const days = Math.floor(toMs / dayMs) - first + 1;
  return Array.from({ length: Math.min(days, mostDays + 1) }, (_, at) => first + at);
}

const aboutDetails = <Row extends { execution_id: string }, Wider extends Row = Row>(
  name: string,
  columns: readonly string[],
  table: RawTableName,
  within?: GatheredQuestion<RunAsk, Wider>,
): GatheredQuestion<RunAsk, Row> =>
  aboutRuns<Row, Wider>(name, (asks) => toldColumns(table, columns, asks), table, within);

/** Rows lack details that none of those who were asked about together was told of. */
export const executionEventsQuestion = aboutDetails<ExecutionEventRow>(
  'execution_events',
  executionColumns,
  'execution_events',
);
export const taskEventsQuestion = aboutDetails<TaskEventRow>('task_events', taskColumns, 'task_events');

/** How it went, for those who ask for no more than that; whoever looks at an execution has mostly just asked for all of it. */
export const executionCourseQuestion = aboutDetails<ExecutionCourseRow, ExecutionEventRow>(
  'execution_course',
  executionCourseColumns,
  'execution_events',
  executionEventsQuestion,
);
export const taskCourseQuestion = aboutDetails<TaskCourseRow, TaskEventRow>(
  'task_course',
  taskCourseColumns,
  'task_events',
  taskEventsQuestion,
);
