import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { Question } from '../question.ts';
import { type PastExecutionsRow, pastExecutionsTable } from '../tables/past-executions.ts';

/** Executions that one of their workflow learns from, as they were last read. */

export interface PastExecutionsAsk {
  workflow: string;
  source: string;
  /** Not what was read before. */
  fromMs: number;
  /** Nor fewer executions. */
  least: number;
}

/** Whether merged or not, the newest row is the one. */
export const pastExecutionsQuestion: Question<PastExecutionsAsk, { told: string }> = {
  name: 'past_executions',
  sql: () => `SELECT told FROM past_executions
WHERE workspace = {workspace: String} AND workflow_id = {workflow: String} AND source = {source: String}
  AND executions >= {least: UInt32} AND computed_at >= fromUnixTimestamp64Milli({fromMs: Int64})
ORDER BY computed_at DESC
LIMIT 1
SETTINGS final = 0`,
};

export async function storePastExecutions(database: Database, row: PastExecutionsRow): Promise<void> {
  await database.insert(new Block(pastExecutionsTable, [row]));
}
