import type { Question } from '../question.ts';

/** Durations of what ended in a range, one by one, of one workflow or one task: for ranges in which little did. */
export interface ExactAsk {
  subject: 'executions' | 'tasks';
  /** The workflow, or the task. */
  id: string;
  source: string;
  /** Narrows a task down to one workflow; '' for any. */
  workflow: string;
  fromMs: number;
  toMs: number;
  /** What was first seen earlier than this is not looked at. */
  seenFromMs: number;
  limit: number;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;
const seen = `state = '' AND at >= ${instant('seenFromMs')} AND at < ${instant('toMs')}
    AND ({source: String} = '' OR source = {source: String})`;

const ofExecutions = `SELECT last_end_duration_ms AS value FROM executions_latest
WHERE workspace = {workspace: String} AND workflow_id = {id: String} AND (source, execution_id) IN (
    SELECT source, execution_id FROM execution_list
    WHERE workspace = {workspace: String} AND workflow_id = {id: String} AND ${seen} SETTINGS final = 0)
  AND last_ended_at >= ${instant('fromMs')} AND last_ended_at < ${instant('toMs')} AND last_end_duration_ms IS NOT NULL
LIMIT {limit: UInt32}`;

const ofTasks = `SELECT duration_ms AS value FROM tasks_latest
WHERE workspace = {workspace: String} AND task_id = {id: String} AND ({workflow: String} = '' OR workflow_id = {workflow: String})
  AND (source, execution_id) IN (
    SELECT source, execution_id FROM task_list
    WHERE workspace = {workspace: String} AND task_id = {id: String} AND ${seen} SETTINGS final = 0)
  AND NOT is_open AND ended_at >= ${instant('fromMs')} AND ended_at < ${instant('toMs')} AND duration_ms IS NOT NULL
LIMIT {limit: UInt32}`;

export const exactDurationsQuestion: Question<ExactAsk, { value: number }> = {
  name: 'exact_durations',
  sql: ({ subject }) => (subject === 'executions' ? ofExecutions : ofTasks),
};
