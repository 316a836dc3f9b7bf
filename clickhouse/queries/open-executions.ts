import { aMoment } from '../kept-answers.ts';
import type { GatheredQuestion, Question } from '../question.ts';
import { mergedExecutions, ofOpen, only } from './listed-executions.ts';
import { countKeepMs } from './workflow-executions.ts';

/**
 * Executions that have not ended, or run again. They are found among all that some row calls open, whichever workflow it is of; so those who
 * ask about different ones at once share a question.
 */

interface OpenAsk {
  workflow: string;
  source: string;
}

/** '' asks for all workflows, which is asked by itself. */
const byWorkflow = {
  params: (asks: readonly OpenAsk[]) => ({
    ...asks[0],
    workflows: asks.map(({ workflow }) => workflow).filter((workflow) => workflow !== ''),
  }),
  keyOfAsk: ({ workflow }: OpenAsk) => workflow,
  keyOfRow: ({ asked_workflow }: { asked_workflow: string }) => asked_workflow,
};
const workflowId = "tupleElement(workflow, 'workflow_id')";
const askedWorkflow = `if(empty({workflows: Array(String)}), '', ${workflowId}) AS asked_workflow`;

interface OpenCount {
  asked_workflow: string;
  state: string;
  executions: number;
}

/** How many of a workflow there are, by their state. */
export const openCountsQuestion: GatheredQuestion<OpenAsk, OpenCount> = {
  name: 'open_counts',
  keepMs: countKeepMs,
  sql: `SELECT ${askedWorkflow}, tupleElement(now, 'state') AS state, count() AS executions
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id')], ofOpen.named)}
WHERE ${ofOpen.standing} GROUP BY asked_workflow, state SETTINGS final = 0`,
  ...byWorkflow,
  alike: ({ workflow, source }) => [workflow === '', source],
};

interface AgainCount {
  workflow_id: string;
  source: string;
  /** The end that rollups count of it. */
  last_end_state: string;
  executions: number;
}

/** How many run again after an end, by that end: few, so those of all workflows are asked for at once. */
export const againCountsQuestion: Question<{ workflows: readonly string[]; source: string }, AgainCount> = {
  name: 'again_counts',
  keepMs: countKeepMs,
  sql: () => `SELECT ${workflowId} AS workflow_id, source, tupleElement(last_end, 'state') AS last_end_state, count() AS executions
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), only('last_end', 'state')], ofOpen.namedAgain)}
WHERE ${ofOpen.standing} GROUP BY workflow_id, source, last_end_state SETTINGS final = 0`,
};

interface OpenNamesAsk extends OpenAsk {
  state: string;
  fromMs: number;
  /** Excluded. */
  toMs: number;
  /** Behind this one. */
  after: { atMs: number; source: string; executionId: string };
  limit: number;
}

interface OpenName {
  asked_workflow: string;
  source: string;
  execution_id: string;
  at_ms: number;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64})`;

/** Which of a workflow are in a state, the newest first. */
export const openNamesQuestion: GatheredQuestion<OpenNamesAsk, OpenName> = {
  name: 'open_names',
  keepMs: (_ask, ...answered) => aMoment(...answered),
  sql: `SELECT ${askedWorkflow}, source, execution_id, toUnixTimestamp64Milli(first_seen_at) AS at_ms
FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id'), 'first_seen_at'], ofOpen.named)}
WHERE ${ofOpen.standing} AND tupleElement(now, 'state') = {state: String}
  AND first_seen_at >= ${instant('fromMs')} AND first_seen_at < ${instant('toMs')}
  AND (first_seen_at, source, execution_id) < (${instant('afterMs')}, {afterSource: String}, {afterExecutionId: String})
ORDER BY first_seen_at DESC, source DESC, execution_id DESC LIMIT {limit: UInt32} BY asked_workflow SETTINGS final = 0`,
  ...byWorkflow,
  params: (asks) => {
    const { atMs: afterMs = 0, source: afterSource, executionId: afterExecutionId } = asks[0]?.after ?? {};
    return { ...byWorkflow.params(asks), afterMs, afterSource, afterExecutionId };
  },
  alike: (ask) => ({ ...ask, workflow: ask.workflow === '' }),
};
