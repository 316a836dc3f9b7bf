import type { Question } from '../question.ts';
import { mergedExecutions, ofOpen, only } from './listed-executions.ts';
import { countKeepMs } from './workflow-executions.ts';

/** Executions that have not ended, or run again. */

interface OpenAsk {
  workflow: string;
  source: string;
}

/** How many of a workflow there are, by their state. */
export const openCountsQuestion: Question<OpenAsk, { state: string; executions: number }> = {
  name: 'open_counts',
  keepMs: countKeepMs,
  sql: () => `SELECT tupleElement(now, 'state') AS state, count() AS executions
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id')], ofOpen.named)}
WHERE ${ofOpen.standing} GROUP BY state SETTINGS final = 0`,
};

interface AgainCount {
  workflow_id: string;
  source: string;
  /** The end that rollups count of it. */
  last_end_state: string;
  executions: number;
}

/** How many run again after an end, by that end: few, so those of all workflows are asked for at once. */
export const againCountsQuestion: Question<OpenAsk, AgainCount> = {
  name: 'again_counts',
  keepMs: countKeepMs,
  sql: () => `SELECT tupleElement(workflow, 'workflow_id') AS workflow_id, source, tupleElement(last_end, 'state') AS last_end_state, count() AS executions
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), only('last_end', 'state')], ofOpen.namedAgain)}
WHERE ${ofOpen.standing} GROUP BY workflow_id, source, last_end_state SETTINGS final = 0`,
};
