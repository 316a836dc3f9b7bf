import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import type { Table } from '../columns.ts';
import type { RawRow } from './coordinates.ts';
import { executionEventsTable, taskEventsTable } from './runs.ts';

/**
 * Columns of raw rows that many records leave empty, in groups with a bit each: `untold` of an execution or an attempt has those that
 * none of its records fills. Each column of each day takes as long to plan and to open as what stands in all of it, so that whoever
 * looks at an execution asks for those alone that were told. Rows of earlier releases have the bits of the larger groups alone, so a
 * column is left out where any of its bits says that it was not told. A group may get more columns only with a bit that is new.
 */
interface Detail {
  bit: number;
  columns: readonly string[];
}

const spent = [
  ...['cost_micros', 'cpu_us', 'memory_peak_bytes', 'cpu_allocated_cores', 'memory_allocated_bytes'],
  ...['storage_bytes', 'network_bytes'],
];

/** Each the next bit, from that of the first. */
const each = (first: number, groups: readonly (readonly string[])[]): Detail[] =>
  groups.map((columns, at) => ({ bit: 2 ** (first + at), columns }));

const fewOfExecution: readonly Detail[] = [
  { bit: 1, columns: ['progress_ratio', 'phase', 'substatus', 'last_checkpoint', 'health_indicators'] },
  {
    bit: 2,
    columns: [
      ...['trigger_source', 'triggered_by', 'trigger_time', 'trigger_parameters', 'schedule_cron'],
      ...['schedule_timezone', 'trigger_event_type', 'trigger_event_id'],
    ],
  },
  {
    bit: 4,
    columns: [
      ...['tenant', 'correlation_id', 'parent_execution_id', 'root_execution_id', 'child_execution_ids'],
      ...['tags', 'labels'],
    ],
  },
  { bit: 8, columns: [...spent, 'quota_usage'] },
  { bit: 16, columns: ['artifacts', 'errors', 'error_code', 'error_stack', 'retry_reason'] },
  { bit: 32, columns: ['input', 'output', 'variables'] },
];
export const executionDetails: readonly Detail[] = [
  ...fewOfExecution,
  ...each(6, [
    ...[['workflow_name'], ['workflow_version'], ['project'], ['execution_number'], ['trigger_type'], ['environment']],
    ...[['region'], ['queued_at'], ['queue_us'], ['error_type', 'error_message'], ['cost_micros'], ['cpu_us']],
    ...[['memory_peak_bytes'], ['cpu_allocated_cores', 'memory_allocated_bytes'], ['storage_bytes'], ['network_bytes']],
    ...[['quota_usage'], ['progress_ratio'], ['phase', 'substatus', 'last_checkpoint'], ['health_indicators']],
    ...[['trigger_source', 'triggered_by', 'trigger_time'], ['trigger_parameters'], ['tags', 'labels']],
    ...[['input', 'output'], ['variables']],
  ]),
];

const fewOfTask: readonly Detail[] = [
  {
    bit: 8,
    columns: [...spent, 'cpu_ratio_mean', 'io_wait_us', 'gc_pause_us', 'concurrency', 'cache_status'],
  },
  { bit: 16, columns: ['error_code', 'error_stack', 'retry_reason'] },
  { bit: 32, columns: ['input', 'input_truncated', 'output', 'output_truncated'] },
  { bit: 64, columns: ['step_order', 'dependencies', 'dependents', 'ready_at', 'dispatched_at'] },
];
export const taskDetails: readonly Detail[] = [
  ...each(0, [['workflow_name'], ['workflow_version'], ['project']]),
  ...fewOfTask,
  ...each(7, [
    ...[['task_name'], ['queued_at'], ['queue_us'], ['error_type', 'error_message'], ['cost_micros'], ['cpu_us']],
    ...[['memory_peak_bytes'], ['cpu_allocated_cores', 'memory_allocated_bytes'], ['storage_bytes'], ['network_bytes']],
    ...[['cpu_ratio_mean'], ['io_wait_us'], ['gc_pause_us'], ['concurrency'], ['cache_status'], ['step_order']],
    ...[['dependencies'], ['dependents'], ['ready_at'], ['dispatched_at'], ['pool'], ['queue'], ['worker_id']],
    ['task_type'],
  ]),
];

/** All bits of each column. */
export function bitsOfColumns(details: readonly Detail[]): Map<string, number> {
  const bits = new Map<string, number>();
  for (const { bit, columns } of details) for (const name of columns) bits.set(name, (bits.get(name) ?? 0) | bit);
  return bits;
}

/** By the very values that are stored, whatever fields of an event they come from. */
function findUntold<Event>({ columns }: Table<RawRow<Event>>, details: readonly Detail[]) {
  const bitsOf = bitsOfColumns(details);
  const told = columns.flatMap(({ name, codec, value }) => {
    const bits = bitsOf.get(name);
    return bits === undefined ? [] : [{ bits, codec, value }];
  });
  const all = details.reduce((sum, { bit }) => sum | bit, 0);
  return (row: RawRow<Event>): number => {
    let untold = all;
    for (const { bits, codec, value } of told) if (!codec.isDefault(value(row))) untold &= ~bits;
    return untold;
  };
}

export const untoldOfExecution = findUntold<ExecutionEvent>(executionEventsTable, executionDetails);
export const untoldOfTask = findUntold<TaskEvent>(taskEventsTable, taskDetails);
