import { aMoment } from '../kept-answers.ts';
import type { Question, WorkspaceReader } from '../question.ts';
import { mergedExecutions, ofOpen, only } from './listed-executions.ts';
import { countKeepMs } from './workflow-executions.ts';

/** Executions of a workflow that have not ended, or run again. */

interface OpenAsk {
  workflow: string;
  source: string;
}

interface OpenState {
  state: string;
  /** The end that rollups count of it; '' before its first. */
  last_end_state: string;
}

interface OpenExecution extends OpenState {
  source: string;
  execution_id: string;
}

const states = `tupleElement(now, 'state') AS state, tupleElement(last_end, 'state') AS last_end_state`;
const fromOpen = `FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), only('last_end', 'state')], ofOpen.named)}
WHERE ${ofOpen.standing}`;

const openExecutionsQuestion: Question<OpenAsk & { limit: number }, OpenExecution> = {
  name: 'open_executions',
  keepMs: aMoment,
  sql: () => `SELECT source, execution_id, ${states} ${fromOpen} LIMIT {limit: UInt32} SETTINGS final = 0`,
};

/** How many there are by their state and the end that is counted of them. */
export const openCountsQuestion: Question<OpenAsk, OpenState & { executions: number }> = {
  name: 'open_counts',
  keepMs: countKeepMs,
  sql: () => `SELECT ${states}, count() AS executions ${fromOpen} GROUP BY state, last_end_state SETTINGS final = 0`,
};

const mostOpen = 2_000;

/** Each of them, as it was a moment ago; null where that is too much to be told one by one. */
export async function readOpenExecutions(
  reader: WorkspaceReader,
  { workflow, source }: OpenAsk,
): Promise<OpenExecution[] | null> {
  const open = await reader.ask(openExecutionsQuestion, { workflow, source, limit: mostOpen + 1 });
  return open.length > mostOpen ? null : open;
}
