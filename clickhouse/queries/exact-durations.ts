import type { Question } from '../question.ts';
import { timeBits } from '../tables/entities.ts';
import { mergedExecutions } from './listed-executions.ts';

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

const seenExecutions = `SELECT source, execution_id FROM execution_list
    WHERE workspace = {workspace: String} AND workflow_id = {id: String} AND ${seen}`;

/** As the view of executions has it, without what else it plans; how rank and start are made is said where the table is. */
const ofExecutions = `SELECT took_ms AS value FROM (
  SELECT tupleElement(last_end, 'rank') AS rank, toInt64(bitAnd(rank, ${timeBits})) AS ended_ms,
    ended_ms - toInt64(bitAnd(bitNot(earliest_start), ${timeBits})) AS since_start_ms,
    multiIf(isNotNull(tupleElement(last_end, 'duration_us')), tupleElement(last_end, 'duration_us') / 1000,
      bitShiftRight(earliest_start, 43) = bitShiftRight(rank, 44) AND since_start_ms >= 0, toFloat64(since_start_ms), NULL) AS took_ms
  FROM ${mergedExecutions(['last_end', 'workflow', 'earliest_start'], `WHERE workspace = {workspace: String} AND (source, execution_id) IN (${seenExecutions})`)}
  WHERE tupleElement(workflow, 'workflow_id') = {id: String}
) WHERE rank != 0 AND ended_ms >= {fromMs: Int64} AND ended_ms < {toMs: Int64} AND took_ms IS NOT NULL
LIMIT {limit: UInt32} SETTINGS final = 0`;

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
