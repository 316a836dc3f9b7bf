import type { Question } from '../question.ts';
import { mergedExecutions, ofOpen, only } from './listed-executions.ts';
import { countKeepMs } from './workflow-executions.ts';

/** Executions of a workflow that have not ended, or run again. */

interface OpenAsk {
  workflow: string;
  source: string;
  /** Only those that had ended before, and run again. */
  isAgain: boolean;
}

interface OpenCount {
  state: string;
  /** The end that rollups count of it; '' before its first. */
  last_end_state: string;
  executions: number;
}

/** How many there are by their state and the end that is counted of them. */
export const openCountsQuestion: Question<OpenAsk, OpenCount> = {
  name: 'open_counts',
  keepMs: countKeepMs,
  sql: ({
    isAgain,
  }) => `SELECT tupleElement(now, 'state') AS state, tupleElement(last_end, 'state') AS last_end_state, count() AS executions
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), only('last_end', 'state')], isAgain ? ofOpen.namedAgain : ofOpen.named)}
WHERE ${ofOpen.standing} GROUP BY state, last_end_state SETTINGS final = 0`,
};
