import { latestInstantMs } from '../../schemas/events.ts';
import { aMoment } from '../kept-answers.ts';
import type { Question, RowReader, WorkspaceReader } from '../question.ts';
import { bitsOfColumns, executionDetails } from '../tables/details.ts';
import type { ListedExecution } from './listed-executions.ts';

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

export interface SkippingRow {
  at_ms: number;
  execution_id: string;
  /** Of the whole range, which is gone through anyway. */
  executions: number;
}

/** Names of executions behind the newest ones: each stands where it was first seen, which is the least of its places. */
export const skippingQuestion: Question<SkippingAsk, SkippingRow> = {
  name: 'execution_page_behind',
  keepMs: aMoment,
  sql: () => `SELECT toUnixTimestamp64Milli(min(at)) AS at_ms, execution_id, count() OVER () AS executions FROM execution_list
WHERE ${ofWorkflow} AND ${inRange} AND source = {source: String}
GROUP BY execution_id ORDER BY at_ms DESC, execution_id DESC LIMIT {limit: UInt32} OFFSET {skip: UInt32} SETTINGS final = 0`,
};

export interface PayloadRow {
  execution_id: string;
  input: string;
  variables: string;
  output: string;
}

/** What the record that gave an execution its state says of its input and output; of one that was written again, the newest row. */
const payloadsSql = `SELECT execution_id, told.1 AS input, told.2 AS variables, told.3 AS output FROM (
  SELECT execution_id, argMax((e.input, e.variables, e.output), (e.attempt,
    e.state IN ('completed', 'failed', 'cancelled', 'timeout', 'partial'), e.event_time, e.partition, e.offset, e.fold_version)) AS told
  FROM execution_events AS e
  WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id IN {executions: Array(String)}
    AND event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) AND event_time <= fromUnixTimestamp64Milli({toMs: Int64})
  GROUP BY execution_id
)`;

/** Characters of what was given and what came of it, for all who look at pages of executions; longer ones are read anew. */
const mostKeptText = 2_000;

const detailBits = bitsOfColumns(executionDetails);
const payloadBits = ['input', 'output', 'variables'].map((column) => detailBits.get(column) ?? 0);
const tellsPayload = ({ untold }: ListedExecution): boolean => payloadBits.some((bits) => (untold & bits) === 0);

/**
 * What executions of a page were given and gave, of those that tell any of it. With the next event of one it is asked for again.
 */
export async function readPayloads(
  reader: WorkspaceReader,
  source: string,
  listed: readonly ListedExecution[],
): Promise<PayloadRow[]> {
  const executions = listed.filter(tellsPayload);
  if (executions.length === 0) return [];
  const about = { source, executions: executions.map((row) => nameOf(row)) };
  const { rows } = await reader.find('execution_payloads', about, payloadsKeepMs, async (steps) => {
    const known = executions.map((row) => steps.memory?.find(nameOf(row)) as PayloadRow | undefined);
    const unknown = executions.filter((_, at) => known[at] === undefined);
    const found =
      unknown.length === 0 ? [] : await askPayloads(steps, { workspace: reader.workspace, source }, unknown);
    const byId = new Map(unknown.map((row) => [row.execution_id, row]));
    for (const payload of found) {
      const row = byId.get(payload.execution_id);
      const length = payload.input.length + payload.variables.length + payload.output.length;
      if (row === undefined || row.ended_at === null || length > mostKeptText) continue;
      steps.memory?.keep(nameOf(row), payload, Date.parse(row.last_event_at));
    }
    return { rows: [...known.filter((payload) => payload !== undefined), ...found] };
  });
  return rows;
}

const payloadsKeepMs = 5_000;

const nameOf = ({ source, execution_id, last_event_at }: ListedExecution): string =>
  JSON.stringify(['payload', source, execution_id, last_event_at]);

/** Nothing that is asked for happened before the first was seen, nor after the last was heard of. */
const askPayloads = (
  reader: RowReader,
  about: { workspace: string; source: string },
  executions: readonly ListedExecution[],
): Promise<PayloadRow[]> =>
  reader.rows<PayloadRow>(
    payloadsSql,
    {
      ...about,
      executions: executions.map((row) => row.execution_id),
      fromMs: executions.reduce((least, row) => Math.min(least, Date.parse(row.first_seen_at)), latestInstantMs),
      toMs: executions.reduce((most, row) => Math.max(most, Date.parse(row.last_event_at)), 0),
    },
    { final: 0 },
  );
