import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** Commands of one workspace, by the records of their topic. */

export interface CommandRecordRow {
  command_id: string;
  record: string;
  source: string;
  kind: string;
  orchestrator_id: string;
  workflow_id: string;
  execution_id: string;
  task_id: string;
  map_index: number;
  pool_id: string;
  queue_id: string;
  optimization_id: string;
  parameters: string;
  idempotency_key: string;
  requested_by: string;
  reason: string;
  requested_at_ms: number;
  expires_at_ms: number;
  approval_required: boolean;
  approved_by: string;
  approved_at_ms: number | null;
  dry_run: boolean;
  outcome: string;
  message: string;
  reported_by: string;
  at_ms: number;
  result: string;
}

const ms = (column: string): string => `toUnixTimestamp64Milli(${column}) AS ${column}_ms`;
const columns = `command_id, record, source, kind, orchestrator_id, workflow_id, execution_id, task_id, map_index, pool_id, queue_id,
  optimization_id, parameters, idempotency_key, requested_by, reason, ${ms('requested_at')}, ${ms('expires_at')},
  approval_required, approved_by, ${ms('approved_at')}, dry_run, outcome, message, reported_by, ${ms('at')}, result`;

/** Everything that was said of some commands, in the order in which it was said. */
export const commandRecordsQuestion: Question<{ ids: readonly string[]; limit: number }, CommandRecordRow> = {
  name: 'command_records',
  sql: () => `SELECT ${columns} FROM commands FINAL
WHERE workspace = {workspace: String} AND command_id IN {ids: Array(String)}
ORDER BY command_id, record_time, partition, offset LIMIT {limit: UInt32}`,
};

/** The same for a page of them, which others may be looking at too; whoever decides by a command asks anew. */
export const listedCommandsQuestion: typeof commandRecordsQuestion = {
  ...commandRecordsQuestion,
  name: 'listed_commands',
  keepMs: aMoment,
};

export interface CommandPageAsk {
  kind: string;
  execution: string;
  workflow: string;
  fromMs: number;
  toMs: number;
  /** The last command of the page before. */
  afterMs: number;
  afterId: string;
  limit: number;
}

export interface CommandPlace {
  command_id: string;
  first_ms: number;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;

/** Newest first by when they were asked for. What is asked for again, or approved, stays where it was. */
export const commandPageQuestion: Question<CommandPageAsk, CommandPlace> = {
  name: 'command_page',
  keepMs: aMoment,
  sql: () => `SELECT command_id, toUnixTimestamp64Milli(min(requested_at)) AS first_ms FROM commands FINAL
WHERE workspace = {workspace: String} AND record = 'request'
  AND ({kind: String} = '' OR kind = {kind: String})
  AND ({execution: String} = '' OR execution_id = {execution: String})
  AND ({workflow: String} = '' OR workflow_id = {workflow: String})
  AND requested_at >= ${instant('fromMs')} AND requested_at < ${instant('toMs')}
GROUP BY command_id
HAVING (first_ms, command_id) < ({afterMs: Int64}, {afterId: String})
ORDER BY first_ms DESC, command_id DESC LIMIT {limit: UInt32}`,
};

export interface ExecutionTarget {
  source: string;
  workflow_id: string;
  state: string;
}

/** Whether the workspace has an execution, and what it is in. */
export const executionTargetQuestion: Question<{ execution: string; source: string }, ExecutionTarget> = {
  name: 'execution_target',
  sql: () => `SELECT source, workflow_id, state FROM executions_latest
WHERE workspace = {workspace: String} AND execution_id = {execution: String} AND ({source: String} = '' OR source = {source: String})
ORDER BY source LIMIT 100`,
};

/** Whether the workspace has a worker pool; by the kind that leads the key of reports. */
export const poolTargetQuestion: Question<{ pool: string; source: string }, { source: string }> = {
  name: 'pool_target',
  sql: () => `SELECT DISTINCT source FROM orchestrator_events
WHERE workspace = {workspace: String} AND kind = 'worker_pool' AND pool_id = {pool: String} AND ({source: String} = '' OR source = {source: String})
ORDER BY source LIMIT 100 SETTINGS final = 0`,
};
