import type { Question } from '../question.ts';

/** Executions of one workflow: how many there are, which come after many others, and what they were given and gave. */

interface WorkflowRange {
  workflow: string;
  fromMs: number;
  toMs: number;
}

const inRange = `at >= fromUnixTimestamp64Milli({fromMs: Int64}) AND at < fromUnixTimestamp64Milli({toMs: Int64})`;
const ofWorkflow = `workspace = {workspace: String} AND workflow_id = {workflow: String} AND state = ''`;

export interface SourceCount {
  source: string;
  executions: number;
}

/** By source, those that were first seen in a range. An execution may be listed at several times; it counts once. */
export const executionCountsQuestion: Question<WorkflowRange, SourceCount> = {
  name: 'execution_counts',
  keepMs: 1000,
  sql: () => `SELECT source, uniqExact(execution_id) AS executions FROM execution_list
WHERE ${ofWorkflow} AND ${inRange}
GROUP BY source ORDER BY source LIMIT 1000 SETTINGS final = 0`,
};

/** The sources of a workflow, whenever it ran. */
export const workflowSourcesQuestion: Question<{ workflow: string }, { source: string }> = {
  name: 'workflow_sources',
  sql: () =>
    `SELECT DISTINCT source FROM execution_list WHERE ${ofWorkflow} ORDER BY source LIMIT 1000 SETTINGS final = 0`,
};

export interface OpenCount {
  state: string;
  last_end_state: string;
  executions: number;
}

/** What has not ended, or runs again, by its state now and the end that rollups count of it. */
export const openCountsQuestion: Question<{ workflow: string; source: string }, OpenCount> = {
  name: 'open_counts',
  keepMs: 1000,
  sql: () => `SELECT state, last_end_state, count() AS executions FROM executions_latest
WHERE workspace = {workspace: String} AND source = {source: String} AND is_open AND workflow_id = {workflow: String}
GROUP BY state, last_end_state`,
};

export interface SkippingAsk extends WorkflowRange {
  source: string;
  skip: number;
  limit: number;
}

/** Names of executions behind the newest ones: each stands where it was first seen, which is the least of its places. */
export const skippingQuestion: Question<SkippingAsk, { at_ms: number; execution_id: string }> = {
  name: 'execution_page_behind',
  sql: () => `SELECT toUnixTimestamp64Milli(min(at)) AS at_ms, execution_id FROM execution_list
WHERE ${ofWorkflow} AND ${inRange} AND source = {source: String}
GROUP BY execution_id ORDER BY at_ms DESC, execution_id DESC LIMIT {limit: UInt32} OFFSET {skip: UInt32} SETTINGS final = 0`,
};

export interface PayloadRow {
  execution_id: string;
  input: string;
  variables: string;
  output: string;
}

/** What the record that gave an execution its state says of its input and output. */
export const payloadsQuestion: Question<{ source: string; executions: readonly string[] }, PayloadRow> = {
  name: 'execution_payloads',
  sql: () => `SELECT execution_id, told.1 AS input, told.2 AS variables, told.3 AS output FROM (
  SELECT execution_id, argMax((e.input, e.variables, e.output),
    (e.attempt, e.state IN ('completed', 'failed', 'cancelled', 'timeout', 'partial'), e.event_time, e.partition, e.offset)) AS told
  FROM execution_events AS e FINAL
  WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id IN {executions: Array(String)}
  GROUP BY execution_id
)`,
};
