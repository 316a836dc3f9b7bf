import type { Question } from '../question.ts';

/** Patterns as analyses last found them, one row for each workflow and source. */
export interface LivePatternsAsk {
  /** '' for every workflow. */
  workflow: string;
  /** Computed after this instant. */
  sinceMs: number;
  limit: number;
}

export interface LivePatternsRow {
  workflow_id: string;
  source: string;
  /** The answer as JSON, as the API gives it. */
  answer: string;
  computed_at_ms: number;
}

export const livePatternsQuestion: Question<LivePatternsAsk, LivePatternsRow> = {
  name: 'live_patterns',
  sql: () => `SELECT workflow_id, source, answer, toUnixTimestamp64Milli(computed_at) AS computed_at_ms
FROM workflow_analyses FINAL
WHERE workspace = {workspace: String} AND analysis = 'patterns' AND refused = ''
  AND ({workflow: String} = '' OR workflow_id = {workflow: String})
  AND computed_at > fromUnixTimestamp64Milli({sinceMs: Int64})
ORDER BY computed_at DESC LIMIT {limit: UInt32}`,
};
