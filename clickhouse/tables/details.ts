import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import type { Column, Table } from '../columns.ts';
import type { RawRow } from './coordinates.ts';
import { executionEventsTable, taskEventsTable } from './runs.ts';

/**
 * Columns of raw rows that most records leave empty, in groups with a bit each: `untold` of an execution or an attempt has those that
 * none of its records fills. Each column takes as long to plan and to open as what stands in all of it, so that whoever
 * looks at an execution asks for those alone that were told. A group may get more columns only with a bit that is new.
 */
interface Detail {
  bit: number;
  columns: readonly string[];
}

const spent = [
  ...['cost_micros', 'cpu_us', 'memory_peak_bytes', 'cpu_allocated_cores', 'memory_allocated_bytes'],
  ...['storage_bytes', 'network_bytes'],
];

export const executionDetails: readonly Detail[] = [
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

export const taskDetails: readonly Detail[] = [
  {
    bit: 8,
    columns: [...spent, 'cpu_ratio_mean', 'io_wait_us', 'gc_pause_us', 'concurrency', 'cache_status'],
  },
  { bit: 16, columns: ['error_code', 'error_stack', 'retry_reason'] },
  { bit: 32, columns: ['input', 'input_truncated', 'output', 'output_truncated'] },
  { bit: 64, columns: ['step_order', 'dependencies', 'dependents', 'ready_at', 'dispatched_at'] },
];

/** By the very values that are stored, whatever fields of an event they come from. */
function findUntold<Event>({ columns }: Table<RawRow<Event>>, details: readonly Detail[]) {
  const groups = details.map((detail) => ({
    bit: detail.bit,
    columns: detail.columns.map((name) => columns.find((column) => column.name === name) as Column<RawRow<Event>>),
  }));
  return (row: RawRow<Event>): number => {
    let untold = 0;
    for (const group of groups) {
      if (group.columns.every(({ codec, value }) => codec.isDefault(value(row)))) untold += group.bit;
    }
    return untold;
  };
}

export const untoldOfExecution = findUntold<ExecutionEvent>(executionEventsTable, executionDetails);
export const untoldOfTask = findUntold<TaskEvent>(taskEventsTable, taskDetails);
