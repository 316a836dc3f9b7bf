import type { Database } from '../client.ts';

/**
 * Pages of executions and attempts by time, newest first. A list tells which come next, reading no further than it has to;
 * the entities themselves then tell which of them really stand there: a start may have been corrected by a later
 * record, and an end by a later one.
 */

/** Where a page ended; the next one begins behind it. Stays right while rows are added. */
export interface PagePosition {
  atMs: number;
  source: string;
  executionId: string;
  taskId: string;
  mapIndex: number;
  attempt: number;
}

export interface PageQuestion {
  workspace: string;
  /** '' for all that were seen, by when they were first seen; an end other than `completed` for those, by when they ended. */
  state: string;
  fromMs: number;
  /** Excluded. */
  toMs: number;
  after: PagePosition | null;
  limit: number;
}

export interface ExecutionPageQuestion extends PageQuestion {
  /** '' for the whole workspace. */
  workflowId: string;
}

export interface AttemptPageQuestion extends PageQuestion {
  /** '' for the whole workspace, which lists ends only. */
  taskId: string;
  /** Of ends with this class of error only; '' for any. */
  errorType: string;
}

/** Rows of a view, as it names its columns, and where they end; null when there are no more. */
export interface EntityPage<Row> {
  rows: Row[];
  next: PagePosition | null;
}

/** What every row of a page has; the views have much more. */
export interface EntityRow extends Record<string, unknown> {
  source: string;
  execution_id: string;
}

interface List {
  /** The list, and what of its rows is asked for besides the workspace, the state and the time. */
  table: string;
  condition: string;
  keys: readonly string[];
  /** The view of the entities, in which the keys of a list may have other names. */
  view: string;
  viewKeys: readonly string[];
  endedAt: string;
  endState: string;
}

const executionList: List = {
  table: 'execution_list',
  condition: 'workflow_id = {subject: String}',
  keys: ['source', 'execution_id'],
  view: 'executions_latest',
  viewKeys: ['source', 'execution_id'],
  endedAt: 'last_ended_at',
  endState: 'last_end_state',
};
const taskList: List = {
  table: 'task_list',
  condition: "task_id = {subject: String} AND ({error_type: String} = '' OR error_type = {error_type: String})",
  keys: ['source', 'execution_id', 'listed_task', 'map_index', 'attempt'],
  view: 'task_attempts_latest',
  viewKeys: ['source', 'execution_id', 'task_id', 'map_index', 'attempt'],
  endedAt: 'ended_at',
  endState: 'state',
};

export async function readExecutionPage(
  database: Database,
  question: ExecutionPageQuestion,
): Promise<EntityPage<EntityRow>> {
  return readPage(database, executionList, question, { subject: question.workflowId, error_type: '' });
}

export async function readAttemptPage(
  database: Database,
  question: AttemptPageQuestion,
): Promise<EntityPage<EntityRow>> {
  return readPage(database, taskList, question, { subject: question.taskId, error_type: question.errorType });
}

/** Rows of the list beyond those asked for, so that some may turn out not to hold without another turn. */
const spareRows = 20;

async function readPage(
  database: Database,
  list: List,
  question: PageQuestion,
  subject: Record<string, string>,
): Promise<EntityPage<EntityRow>> {
  const rows: EntityRow[] = [];
  const wanted = question.limit + spareRows;
  let after = question.after;
  for (;;) {
    const candidates = await readCandidates(database, list, { ...question, after, limit: wanted }, subject);
    const entities = await readEntities(database, list, question, candidates);
    for (const candidate of candidates) {
      after = candidate;
      const entity = entities.get(nameOf(candidate));
      if (entity?.at_ms !== candidate.atMs) continue;
      entities.delete(nameOf(candidate));
      const { at_ms, ...row } = entity;
      rows.push(row);
      if (rows.length === question.limit) return { rows, next: after };
    }
    if (candidates.length < wanted) return { rows, next: null };
  }
}

const nameOf = ({ source, executionId, taskId, mapIndex, attempt }: PagePosition): string =>
  JSON.stringify([source, executionId, taskId, mapIndex, attempt]);

/** The next rows of the list. FINAL would read all of it to leave out repeated rows, which are left out later anyway. */
async function readCandidates(
  database: Database,
  { table, condition, keys }: List,
  { workspace, state, fromMs, toMs, after, limit }: PageQuestion,
  subject: Record<string, string>,
): Promise<PagePosition[]> {
  const order = ['at', ...keys];
  const behind = `(${order.join(', ')}) < (fromUnixTimestamp64Milli({after_ms: Int64}), ${keyParams(keys)})`;
  const rows = await database.rows<Record<string, unknown>>(
    `SELECT toUnixTimestamp64Milli(at) AS at_ms, ${keys.join(', ')} FROM ${table}
     WHERE workspace = {workspace: String} AND ${condition} AND state = {state: String}
       AND at >= fromUnixTimestamp64Milli({from_ms: Int64}) AND at < fromUnixTimestamp64Milli({to_ms: Int64})
       ${after === null ? '' : `AND at <= fromUnixTimestamp64Milli({after_ms: Int64}) AND ${behind}`}
     ORDER BY ${order.map((column) => `${column} DESC`).join(', ')} LIMIT {limit: UInt32}`,
    {
      workspace,
      state,
      from_ms: fromMs,
      to_ms: toMs,
      limit,
      ...subject,
      ...(after === null ? {} : afterParams(after)),
    },
    { final: 0 },
  );
  return rows.map((row) => ({ atMs: row.at_ms as number, ...keyOf(row, keys) }));
}

const keyTypes: Record<string, string> = { map_index: 'Int32', attempt: 'UInt32' };
const keyParams = (keys: readonly string[]): string =>
  keys.map((key) => `{after_${key}: ${keyTypes[key] ?? 'String'}}`).join(', ');

const afterParams = ({ atMs, source, executionId, taskId, mapIndex, attempt }: PagePosition) => ({
  after_ms: atMs,
  after_source: source,
  after_execution_id: executionId,
  after_listed_task: taskId,
  after_map_index: mapIndex,
  after_attempt: attempt,
});

/** The name of what a row speaks of; an execution has no task. */
const keyOf = (row: Record<string, unknown>, [, , task]: readonly string[]): Omit<PagePosition, 'atMs'> => ({
  source: row.source as string,
  executionId: row.execution_id as string,
  taskId: task === undefined ? '' : (row[task] as string),
  mapIndex: task === undefined ? -1 : (row.map_index as number),
  attempt: task === undefined ? 1 : (row.attempt as number),
});

/** Those of the candidates that are in the state asked for, by their names, with the time at which the list should show them. */
async function readEntities(
  database: Database,
  { view, viewKeys, endedAt, endState }: List,
  { workspace, state }: PageQuestion,
  candidates: readonly PagePosition[],
): Promise<Map<string, EntityRow & { at_ms: number }>> {
  if (candidates.length === 0) return new Map();
  const names = candidates.map(({ source, executionId, taskId, mapIndex, attempt }) =>
    [source, executionId, taskId, mapIndex, attempt].slice(0, viewKeys.length),
  );
  const arrays = viewKeys.map((key) => `{${key}s: Array(${keyTypes[key] ?? 'String'})}`);
  const params = Object.fromEntries(viewKeys.map((key, index) => [`${key}s`, names.map((name) => name[index])]));
  const rows = await database.rows<EntityRow & { at_ms: number }>(
    `SELECT *, toUnixTimestamp64Milli(${state === '' ? 'first_seen_at' : `assumeNotNull(${endedAt})`}) AS at_ms
     FROM ${view} WHERE workspace = {workspace: String}
       AND (${viewKeys.join(', ')}) IN (SELECT arrayJoin(arrayZip(${arrays.join(', ')})))
       AND ({state: String} = '' OR ${endState} = {state: String})`,
    { workspace, state, ...params },
  );
  return new Map(rows.map((row) => [nameOf({ atMs: 0, ...keyOf(row, viewKeys) }), row]));
}
