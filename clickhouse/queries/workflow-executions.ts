import { latestInstantMs } from '../../schemas/events.ts';
import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** Executions of one workflow: how many there are, which come after many others, and what they were given and gave. */

interface WorkflowRange {
  workflow: string;
  fromMs: number;
  toMs: number;
}

/** As far as instants of telemetry reach. */
export const always = { fromMs: 0, toMs: latestInstantMs };

const inRange = `at >= fromUnixTimestamp64Milli({fromMs: Int64}) AND at < fromUnixTimestamp64Milli({toMs: Int64})`;
const ofWorkflow = `workspace = {workspace: String} AND workflow_id = {workflow: String} AND state = ''`;

/** Beside a page, how many there are is no more than a size. */
export const countKeepMs = 5_000;

/** How many were first seen in a range. An execution may be listed at several times; it counts once. */
export const executionCountQuestion: Question<WorkflowRange & { source: string }, { executions: number }> = {
  name: 'execution_count',
  keepMs: countKeepMs,
  sql: () =>
    `SELECT uniqExact(execution_id) AS executions FROM execution_list WHERE ${ofWorkflow} AND ${inRange} AND source = {source: String} SETTINGS final = 0`,
};

const sourcesWhere = (condition: string): string =>
  `SELECT source FROM execution_list WHERE ${condition} GROUP BY source ORDER BY source LIMIT 1000 SETTINGS final = 0`;

/** The sources of a workflow in a range. */
export const workflowSourcesQuestion: Question<WorkflowRange, { source: string }> = {
  name: 'workflow_sources',
  keepMs: aMoment,
  sql: () => sourcesWhere(`${ofWorkflow} AND ${inRange}`),
};

/** All of them, which hardly ever become more: whoever looks at executions need not ask anew each time. */
export const everSourcesQuestion: Question<{ workflow: string }, { source: string }> = {
  name: 'ever_sources',
  keepMs: 60_000,
  sql: () => sourcesWhere(ofWorkflow),
};

export interface SkippingAsk extends WorkflowRange {
  source: string;
  skip: number;
  limit: number;
}

/** Names of executions behind the newest ones: each stands where it was first seen, which is the least of its places. */
export const skippingQuestion: Question<SkippingAsk, { at_ms: number; execution_id: string }> = {
  name: 'execution_page_behind',
  keepMs: aMoment,
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

/** Nothing that is asked for happened outside of these times. */
export interface PayloadsAsk {
  source: string;
  executions: readonly string[];
  fromMs: number;
  toMs: number;
}

/** What the record that gave an execution its state says of its input and output; of one that was written again, the newest row. */
export const payloadsQuestion: Question<PayloadsAsk, PayloadRow> = {
  name: 'execution_payloads',
  // With the next event of any of them the range is another one.
  keepMs: 5_000,
  sql: () => `SELECT execution_id, told.1 AS input, told.2 AS variables, told.3 AS output FROM (
  SELECT execution_id, argMax((e.input, e.variables, e.output), (e.attempt,
    e.state IN ('completed', 'failed', 'cancelled', 'timeout', 'partial'), e.event_time, e.partition, e.offset, e.fold_version)) AS told
  FROM execution_events AS e
  WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id IN {executions: Array(String)}
    AND event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) AND event_time <= fromUnixTimestamp64Milli({toMs: Int64})
  GROUP BY execution_id
) SETTINGS final = 0`,
};
