import type { AlertRecord } from '../../schemas/records.ts';
import type { Question } from '../question.ts';
import { endBit, timeBits } from '../tables/entities.ts';

/**
 * What is followed live, as it stands: rows under the names of canonical events, each with the place in the log of the
 * record that made it what it is. The newest come first; one row more than asked for says that there are more.
 */
export interface LiveAsk {
  id: string;
  /** '' for any. */
  source: string;
  limit: number;
}

interface Placed {
  partition: number;
  offset: number;
}

interface RunRow extends Placed {
  source: string;
  project: string;
  executionId: string;
  workflowId: string;
  attempt: number;
  state: string;
  eventTimeMs: number;
  startedAtMs: number | null;
  durationUs: number | null;
  queueUs: number | null;
  costMicros: number | null;
  cpuUs: number | null;
  memoryPeakBytes: number | null;
  error: { type: string; code: string; message: string };
}

export interface LiveExecutionRow extends RunRow {
  workflowName: string;
  workflowVersion: string;
  executionNumber: number | null;
  progressRatio: number | null;
  phase: string;
  substatus: string;
  triggerType: string;
  triggerSource: string;
  cancelReason: string;
  parentExecutionId: string;
}

export interface LiveTaskRow extends RunRow {
  taskId: string;
  taskName: string;
  taskType: string;
  mapIndex: number;
  readyAtMs: number | null;
  pool: string;
  queue: string;
  workerId: string;
}

const offsetBits = 2 ** 44 - 1;

/** How rank and place are made is said where their table is. */
const standing = `toUInt32(bitShiftRight(tupleElement(now, 'rank'), 44)) AS attempt,
  tupleElement(now, 'state') AS state,
  toInt64(bitAnd(tupleElement(now, 'rank'), ${timeBits})) AS eventTimeMs,
  bitAnd(tupleElement(now, 'rank'), ${endBit}) = 0 AS isOpen,
  toUInt32(bitAnd(bitShiftRight(tupleElement(now, 'place'), 44), 65535)) AS partition,
  toUInt64(bitAnd(tupleElement(now, 'place'), ${offsetBits})) AS offset`;

const startOf = (attempt: string) =>
  `if(bitShiftRight(earliest_start, 43) = ${attempt}, toInt64(bitAnd(bitNot(earliest_start), ${timeBits})), NULL) AS startedAtMs`;

const spentOf = (tuple: string, otherwise: string) => {
  const known = (field: string, absent: string) =>
    otherwise === ''
      ? `tupleElement(${tuple}, '${field}')`
      : `if(${otherwise}, ${absent}, tupleElement(${tuple}, '${field}'))`;
  const text = (field: string) => known(field, "''");
  return `${known('duration_us', 'NULL')} AS durationUs, ${known('cost_micros', 'NULL')} AS costMicros,
  ${known('cpu_us', 'NULL')} AS cpuUs, ${known('memory_peak_bytes', 'NULL')} AS memoryPeakBytes,
  CAST((${text('error_type')}, ${text('error_code')}, ${text('error_message')}), 'Tuple(type String, code String, message String)') AS error`;
};

const executionColumns = `source, project, execution_id AS executionId, ${standing},
  tupleElement(workflow, 'workflow_id') AS workflowId, tupleElement(workflow, 'workflow_version') AS workflowVersion,
  workflow_name AS workflowName, execution_number AS executionNumber, ${startOf('attempt')},
  ${spentOf('last_end', 'isOpen')}, if(isOpen, NULL, tupleElement(last_end, 'queue_us')) AS queueUs,
  tupleElement(now, 'progress_ratio') AS progressRatio, tupleElement(now, 'phase') AS phase,
  tupleElement(now, 'substatus') AS substatus, trigger_type AS triggerType, trigger_source AS triggerSource,
  if(isOpen, '', tupleElement(last_end, 'cancel_reason')) AS cancelReason, parent_execution_id AS parentExecutionId`;

const taskColumns = `source, project, execution_id AS executionId, workflow_id AS workflowId, ${standing.replace(/^.*? AS attempt,/s, 'attempt,')},
  task_id AS taskId, task_name AS taskName, task_type AS taskType, map_index AS mapIndex,
  if(ready_at = toDateTime64(0, 3, 'UTC'), NULL, toUnixTimestamp64Milli(ready_at)) AS readyAtMs, ${startOf('attempt')},
  ${spentOf('now', '')}, queue_us AS queueUs, pool, queue, worker_id AS workerId`;

const ofSource = "({source: String} = '' OR source = {source: String})";
const newest = 'ORDER BY eventTimeMs DESC, executionId LIMIT {limit: UInt32} + 1';

export const liveExecutionQuestion: Question<LiveAsk, LiveExecutionRow> = {
  name: 'live_execution',
  sql: () => `SELECT ${executionColumns} FROM executions FINAL
WHERE workspace = {workspace: String} AND execution_id = {id: String} AND ${ofSource} ${newest}`,
};

export const liveExecutionTasksQuestion: Question<LiveAsk, LiveTaskRow> = {
  name: 'live_execution_tasks',
  sql: () => `SELECT ${taskColumns} FROM task_attempts FINAL
WHERE workspace = {workspace: String} AND execution_id = {id: String} AND ${ofSource} ${newest}`,
};

/**
 * Lists are read from their ends; FINAL would read all of them to leave out rows that are repeated. What stands at several
 * places of a list takes up one of those asked for, or it would push others out unnoticed.
 */
const listed = (columns: string, list: string, column: string) =>
  `(${columns}) IN (SELECT ${columns} FROM ${list}
    WHERE workspace = {workspace: String} AND ${column} = {id: String} AND state = '' AND ${ofSource}
    ORDER BY at DESC LIMIT 1 BY ${columns} LIMIT {limit: UInt32} + 1 SETTINGS final = 0)`;

export const liveWorkflowQuestion: Question<LiveAsk, LiveExecutionRow> = {
  name: 'live_workflow',
  sql: () => `SELECT ${executionColumns} FROM executions FINAL
WHERE workspace = {workspace: String} AND ${listed('source, execution_id', 'execution_list', 'workflow_id')} ${newest}`,
};

export const liveTaskQuestion: Question<LiveAsk, LiveTaskRow> = {
  name: 'live_task',
  sql: () => `SELECT ${taskColumns} FROM task_attempts FINAL
WHERE workspace = {workspace: String} AND task_id = {id: String}
  AND ${listed('source, execution_id', 'task_list', 'task_id')} ${newest}`,
};

/** A stored report; its columns are those of its table. */
export interface LiveReportRow extends Placed, Record<string, unknown> {
  kind: string;
}

const aDay = 'event_time >= now64(3) - INTERVAL 1 DAY';
const reportsWhere = (
  condition: string,
  order: string,
) => `SELECT * EXCEPT (thing_hash, identity_hash) FROM orchestrator_events FINAL
WHERE workspace = {workspace: String} AND ${condition} AND ${aDay} AND ${ofSource}
ORDER BY event_time DESC, partition, offset ${order} LIMIT {limit: UInt32} + 1`;
/** Of what is measured again and again, the latest. */
const latestOfEach = 'LIMIT 1 BY source, kind, orchestrator_id, pool_id, queue_id, worker_id';

export const liveOrchestratorQuestion: Question<LiveAsk, LiveReportRow> = {
  name: 'live_orchestrator',
  sql: () => reportsWhere('orchestrator_id = {id: String}', latestOfEach),
};

export const livePoolQuestion: Question<LiveAsk, LiveReportRow> = {
  name: 'live_pool',
  sql: () =>
    reportsWhere("kind IN ('worker_pool', 'worker', 'scaling_event') AND pool_id = {id: String}", latestOfEach),
};

export const liveCoordinationQuestion: Question<LiveAsk, LiveReportRow> = {
  name: 'live_coordination',
  sql: () => reportsWhere("kind = 'coordination_event' AND orchestrator_id = {id: String}", ''),
};

export const liveScalingQuestion: Question<LiveAsk, LiveReportRow> = {
  name: 'live_scaling',
  sql: () => reportsWhere("kind = 'scaling_event' AND {id: String} = ''", ''),
};

/** An alert as it stands, under the names of its record, instants as epoch milliseconds. */
export type LiveAlertRow = AlertRecord;

const alertInstants = [
  'window_start',
  'window_end',
  'event_time',
  'first_pending_at',
  'fired_at',
  'acknowledged_at',
  'resolved_at',
];

export const liveAlertsQuestion: Question<LiveAsk, LiveAlertRow> = {
  name: 'live_alerts',
  sql: () => `SELECT a.* EXCEPT (ver, ${alertInstants.join(', ')}),
  ${alertInstants.map((column) => `toUnixTimestamp64Milli(a.${column}) AS ${column}`).join(', ')}
FROM alerts AS a
WHERE a.workspace = {workspace: String} AND a.state != 'resolved' AND {id: String} = ''
  AND ({source: String} = '' OR a.source = {source: String})
ORDER BY a.event_time DESC LIMIT {limit: UInt32} + 1`,
};

interface DurableRow {
  stream: string;
  partition: number;
  last_offset: number;
}

/**
 * How far each partition is durable. The ledger only grows, so rows that were replaced change nothing. One that opens a
 * chunk ends before it, and is written before the end of the chunk before is durable.
 */
export const durableQuestion: Question<{ streams: readonly string[] }, DurableRow> = {
  name: 'live_durable',
  sql: () => `SELECT stream, partition, max(if(c.last_offset >= toInt64(c.first_offset), c.last_offset, -1)) AS last_offset
FROM chunks AS c WHERE c.stream IN {streams: Array(String)} GROUP BY stream, partition SETTINGS final = 0`,
};
