import type { RowReader } from '../question.ts';

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
  /**
   * '' for all that were seen, by when they were first seen; an end other than `completed` for what is in that state, by
   * when it ended; any other state for what is in it, by when it was first seen.
   */
  state: string;
  /** Of this source only; '' for any. */
  source?: string;
  fromMs: number;
  /** Excluded. */
  toMs: number;
  after: PagePosition | null;
  limit: number;
  /** Columns of the view besides those that name a row; what is not given is all of them, which costs as much again. */
  columns?: readonly string[];
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

/**
 * Rows of a view, as it names its columns, and where they end; null when there are no more. A page may be shorter than
 * asked for although more follow, when what is asked for is rare and looking on would take too long for one answer.
 */
export interface EntityPage<Row> {
  rows: Row[];
  next: PagePosition | null;
}

/** What every row of a page has; the views have much more. */
export interface EntityRow extends Record<string, unknown> {
  source: string;
  execution_id: string;
}

type ColumnsAsk = Pick<PageQuestion, 'workspace' | 'columns'>;

const shownColumns = (keys: readonly string[], columns: readonly string[] | undefined): string =>
  columns === undefined ? '*' : [...new Set([...keys, ...columns])].join(', ');

interface List {
  /** The list, and what of its rows is asked for besides the workspace, the state and the time. */
  table: string;
  condition: string;
  keys: readonly string[];
  /** The view of the entities, in which the keys of a list may have other names. */
  view: string;
  viewKeys: readonly string[];
  endedAt: string;
}

const executionList: List = {
  table: 'execution_list',
  condition: 'workflow_id = {subject: String}',
  keys: ['source', 'execution_id'],
  view: 'executions_latest',
  viewKeys: ['source', 'execution_id'],
  endedAt: 'last_ended_at',
};
const taskList: List = {
  table: 'task_list',
  condition: "task_id = {subject: String} AND ({error_type: String} = '' OR error_type = {error_type: String})",
  keys: ['source', 'execution_id', 'listed_task', 'map_index', 'attempt'],
  view: 'task_attempts_latest',
  viewKeys: ['source', 'execution_id', 'task_id', 'map_index', 'attempt'],
  endedAt: 'ended_at',
};

export async function readExecutionPage(
  reader: RowReader,
  question: ExecutionPageQuestion,
): Promise<EntityPage<EntityRow>> {
  if (openStates.includes(question.state)) return readOpenExecutions(reader, question);
  return readPage(reader, executionList, question, { subject: question.workflowId, error_type: '' });
}

const openStates: readonly string[] = ['pending', 'running', 'suspended'];

/** What has not ended is found by an index of its own, and is little beside what has: no list is looked through for it. */
async function readOpenExecutions(
  reader: RowReader,
  { workspace, workflowId, state, source = '', fromMs, toMs, after, limit, columns }: ExecutionPageQuestion,
): Promise<EntityPage<EntityRow>> {
  const at = 'fromUnixTimestamp64Milli({after_ms: Int64})';
  const behind = `AND (first_seen_at, source, execution_id) < (${at}, {after_source: String}, {after_execution_id: String})`;
  const found = await reader.rows<EntityRow & { at_ms: number }>(
    `SELECT ${shownColumns(executionList.viewKeys, columns)}, toUnixTimestamp64Milli(first_seen_at) AS at_ms FROM executions_latest
     WHERE workspace = {workspace: String} AND is_open AND state = {state: String}
       AND ({workflow: String} = '' OR workflow_id = {workflow: String}) AND ({source: String} = '' OR source = {source: String})
       AND first_seen_at >= fromUnixTimestamp64Milli({from_ms: Int64}) AND first_seen_at < fromUnixTimestamp64Milli({to_ms: Int64})
       ${after === null ? '' : behind}
     ORDER BY first_seen_at DESC, source DESC, execution_id DESC LIMIT {limit: UInt32}`,
    {
      ...{ workspace, workflow: workflowId, state, source, from_ms: fromMs, to_ms: toMs, limit: limit + 1 },
      ...(after === null ? {} : afterParams(after)),
    },
  );
  const rows = found.slice(0, limit);
  const last = found.length > limit ? rows.at(-1) : undefined;
  const next = last === undefined ? null : { atMs: last.at_ms, ...keyOf(last, executionList.keys) };
  return { rows: rows.map(({ at_ms, ...row }) => row), next };
}

/** Executions by their names, in the order of these; what is not there is left out. */
export async function readExecutionsNamed(
  reader: RowReader,
  { source, executionIds, ...asked }: { source: string; executionIds: readonly string[] } & ColumnsAsk,
): Promise<EntityRow[]> {
  const names = executionIds.map((executionId) => {
    return { atMs: 0, source, executionId, taskId: '', mapIndex: -1, attempt: 1 };
  });
  const entities = await readEntities(reader, executionList, { ...asked, state: '' }, names);
  return names.flatMap((name) => {
    const { at_ms: _, ...row } = entities.get(nameOf(name)) ?? { at_ms: null };
    return 'execution_id' in row ? [row as EntityRow] : [];
  });
}

export async function readAttemptPage(
  reader: RowReader,
  question: AttemptPageQuestion,
): Promise<EntityPage<EntityRow>> {
  return readPage(reader, taskList, question, { subject: question.taskId, error_type: question.errorType });
}

/** Rows of the list beyond those asked for, so that some may turn out not to hold without another turn. */
const spareRows = 20;
/** Rows of the list that are looked up for one page. Names travel in the address of a question, so a turn is bounded too. */
const mostCandidates = 660;
const mostPerTurn = 220;

/** Ends that have lists of their own; whatever else is asked for is looked for in the list of all. */
const listedEnds: readonly string[] = ['failed', 'timeout', 'cancelled', 'partial', 'skipped'];
const listOf = (state: string): string => (listedEnds.includes(state) ? state : '');

async function readPage(
  reader: RowReader,
  list: List,
  question: PageQuestion,
  subject: Record<string, string>,
): Promise<EntityPage<EntityRow>> {
  const rows: EntityRow[] = [];
  const isSifted = question.state !== '' && listOf(question.state) === '';
  const wanted = isSifted ? mostPerTurn : Math.min(question.limit + spareRows, mostPerTurn);
  let after = question.after;
  for (let looked = 0; looked < mostCandidates; looked += wanted) {
    const candidates = await readCandidates(reader, list, { ...question, after, limit: wanted }, subject);
    const entities = await readEntities(reader, list, question, candidates);
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
  return { rows, next: after };
}

const nameOf = ({ source, executionId, taskId, mapIndex, attempt }: PagePosition): string =>
  JSON.stringify([source, executionId, taskId, mapIndex, attempt]);

/** The next rows of the list. FINAL would read all of it to leave out repeated rows, which are left out later anyway. */
async function readCandidates(
  reader: RowReader,
  { table, condition, keys }: List,
  { workspace, state, source = '', fromMs, toMs, after, limit }: PageQuestion,
  subject: Record<string, string>,
): Promise<PagePosition[]> {
  const order = ['at', ...keys];
  const behind = `(${order.join(', ')}) < (fromUnixTimestamp64Milli({after_ms: Int64}), ${keyParams(keys)})`;
  const rows = await reader.rows<Record<string, unknown>>(
    `SELECT toUnixTimestamp64Milli(at) AS at_ms, ${keys.join(', ')} FROM ${table}
     WHERE workspace = {workspace: String} AND ${condition} AND state = {state: String}
       AND ({source: String} = '' OR source = {source: String})
       AND at >= fromUnixTimestamp64Milli({from_ms: Int64}) AND at < fromUnixTimestamp64Milli({to_ms: Int64})
       ${after === null ? '' : `AND at <= fromUnixTimestamp64Milli({after_ms: Int64}) AND ${behind}`}
     ORDER BY ${order.map((column) => `${column} DESC`).join(', ')} LIMIT {limit: UInt32}`,
    {
      workspace,
      state: listOf(state),
      source,
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

/**
 * Those of the candidates that are in the state asked for, by their names, with the time at which the list should show them. The
 * names are a constant: a subquery would be known only when the granules to be read are chosen already, and all of a part be read.
 * Their ids are given once more as a plain list, which is what the index of ids can be asked for.
 */
async function readEntities(
  reader: RowReader,
  { view, viewKeys, endedAt }: List,
  { workspace, state, columns }: Pick<PageQuestion, 'workspace' | 'state' | 'columns'>,
  candidates: readonly PagePosition[],
): Promise<Map<string, EntityRow & { at_ms: number }>> {
  if (candidates.length === 0) return new Map();
  const names = candidates.map(({ source, executionId, taskId, mapIndex, attempt }) =>
    [source, executionId, taskId, mapIndex, attempt].slice(0, viewKeys.length),
  );
  const arrays = viewKeys.map((key) => `{${key}s: Array(${keyTypes[key] ?? 'String'})}`);
  const params = Object.fromEntries(viewKeys.map((key, index) => [`${key}s`, names.map((name) => name[index])]));
  const rows = await reader.rows<EntityRow & { at_ms: number }>(
    `SELECT ${shownColumns(viewKeys, columns)}, toUnixTimestamp64Milli(${listOf(state) === '' ? 'first_seen_at' : `assumeNotNull(${endedAt})`}) AS at_ms
     FROM ${view} WHERE workspace = {workspace: String} AND execution_id IN {execution_ids: Array(String)}
       AND (${viewKeys.join(', ')}) IN arrayZip(${arrays.join(', ')})
       AND ({state: String} = '' OR state = {state: String})`,
    { workspace, state, ...params },
  );
  return new Map(rows.map((row) => [nameOf({ atMs: 0, ...keyOf(row, viewKeys) }), row]));
}
