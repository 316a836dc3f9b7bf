import { aMoment } from '../kept-answers.ts';
import type { Question, WorkspaceReader } from '../question.ts';
import { mergedExecutions, ofOpen, only } from './listed-executions.ts';
import { openCountsQuestion } from './workflow-executions.ts';

interface OpenAsk {
  workflow: string;
  source: string;
}

/** An execution that has not ended, or runs again. */
export interface OpenExecution {
  source: string;
  execution_id: string;
  state: string;
  /** The end that rollups count of it; '' before its first. */
  last_end_state: string;
}

const mostOpen = 2_000;

/** Asked for by a page that leaves them out and by the count beside it. */
const openExecutionsQuestion: Question<OpenAsk & { limit: number }, OpenExecution> = {
  name: 'open_executions',
  keepMs: aMoment,
  sql: () => `SELECT source, execution_id, tupleElement(now, 'state') AS state, tupleElement(last_end, 'state') AS last_end_state
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), only('last_end', 'state')], ofOpen.named)}
WHERE ${ofOpen.standing} LIMIT {limit: UInt32} SETTINGS final = 0`,
};

/** What is open of a workflow, as it was a moment ago; null where that is too much to be told one by one. */
export async function readOpenExecutions(
  reader: WorkspaceReader,
  { workflow, source }: OpenAsk,
): Promise<OpenExecution[] | null> {
  const open = await reader.ask(openExecutionsQuestion, { workflow, source, limit: mostOpen + 1 });
  return open.length > mostOpen ? null : open;
}

/** How many are open by their state and by the end that is counted of them. */
export async function countOpenExecutions(
  reader: WorkspaceReader,
  { workflow, source }: OpenAsk,
): Promise<(Pick<OpenExecution, 'state' | 'last_end_state'> & { executions: number })[]> {
  const open = await readOpenExecutions(reader, { workflow, source });
  if (open === null) return await reader.ask(openCountsQuestion, { workflow, source });
  return open.map(({ state, last_end_state }) => ({ state, last_end_state, executions: 1 }));
}
