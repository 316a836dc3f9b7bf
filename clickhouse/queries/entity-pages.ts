import { latestInstantMs } from '../../schemas/events.ts';
import { aMoment } from '../kept-answers.ts';
import type { RowReader, WorkspaceReader } from '../question.ts';
import { describeListed, type ListedExecution, type StandingRow, standingExecutions } from './listed-executions.ts';
import { openNamesQuestion } from './open-executions.ts';

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

export const placeOf = (source: string, executionId: string, atMs: number): PagePosition => ({
  ...{ atMs, source, executionId },
  ...{ taskId: '', mapIndex: -1, attempt: 1 },
});

export interface PageQuestion {
  workspace: string;
  /**
   * '' for all that were seen, by when they were first seen; an end that the list tells apart for what is in that state, by
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

interface List {
  /** The list, and what of its rows is asked for besides the workspace, the state and the time. */
  table: string;
  condition: string;
  keys: readonly string[];
  /** Ends that are listed by themselves; whatever else is asked for is looked for in the list of all. */
  ends: readonly string[];
}

const rareEnds: readonly string[] = ['failed', 'timeout', 'cancelled', 'partial', 'skipped'];
const executionList: List = {
  table: 'execution_list',
  condition: 'workflow_id = {subject: String}',
  keys: ['source', 'execution_id'],
  ends: ['completed', ...rareEnds],
};
/** Of attempts nearly all that end complete: a list of these would be the list of all once more. */
const taskList: List = {
  table: 'task_list',
  condition: "task_id = {subject: String} AND ({error_type: String} = '' OR error_type = {error_type: String})",
  keys: ['source', 'execution_id', 'listed_task', 'map_index', 'attempt'],
  ends: rareEnds,
};

const listOf = ({ ends }: List, state: string): string => (ends.includes(state) ? state : '');

/** Of those in a state that has not ended there are better pages. */
export async function readExecutionPage(
  reader: RowReader,
  question: ExecutionPageQuestion,
): Promise<EntityPage<ListedExecution>> {
  const subject = { subject: question.workflowId, error_type: '' };
  return readPage(reader, executionList, question, subject, (candidates) =>
    readExecutions(reader, question, candidates),
  );
}

/** What has not ended is little beside what has: no list is looked through for it. */
export async function readOpenPage(
  reader: WorkspaceReader,
  { workflowId: workflow, state, source = '', fromMs, toMs, after, limit }: ExecutionPageQuestion,
): Promise<EntityPage<ListedExecution>> {
  const ask = { workflow, source, state, fromMs, toMs, after: after ?? beforeAll, limit: limit + 1 };
  const found = await reader.askAbout(openNamesQuestion, ask);
  const positions = found.map((row) => placeOf(row.source, row.execution_id, row.at_ms));
  const names = positions.slice(0, limit);
  const { rows } = await reader.find('execution_page', { state, names }, aMoment, async (steps) => {
    return { rows: await readNamed(steps, { workspace: reader.workspace, state }, names) };
  });
  return { rows, next: positions.length > limit ? (names.at(-1) ?? null) : null };
}

/** Later than whatever is listed. */
const beforeAll = { atMs: latestInstantMs, source: '', executionId: '' };

/** Executions by their names, in the order of these; what is not there is left out. */
export async function readExecutionsNamed(
  reader: RowReader,
  { workspace, source, executionIds }: { workspace: string; source: string; executionIds: readonly string[] },
): Promise<ListedExecution[]> {
  const names = executionIds.map((executionId) => placeOf(source, executionId, 0));
  return await readNamed(reader, { workspace, state: '' }, names);
}

/** In the order of the names; whatever is in another state by now is left out. */
async function readNamed(reader: RowReader, ask: StateAsk, names: readonly PagePosition[]): Promise<ListedExecution[]> {
  const entities: Found<ListedExecution> = new Map();
  for (let from = 0; from < names.length; from += mostPerTurn) {
    const found = await readExecutions(reader, ask, names.slice(from, from + mostPerTurn));
    for (const [name, entity] of found) entities.set(name, entity);
  }
  return names.flatMap((name) => entities.get(nameOf(name))?.row ?? []);
}

export async function readAttemptPage(
  reader: RowReader,
  question: AttemptPageQuestion,
): Promise<EntityPage<EntityRow>> {
  const subject = { subject: question.taskId, error_type: question.errorType };
  return readPage(reader, taskList, question, subject, (candidates) => readAttempts(reader, question, candidates));
}

/** Rows of the list beyond those asked for, so that some may turn out not to hold without another turn. */
const spareRows = 5;
/** What is rarer than this among them is looked for in the largest turns at once. */
const leastShare = 0.05;
/** Rows of the list that are looked up for one page. Names travel in the address of a question, so a turn is bounded too. */
const mostCandidates = 900;
const mostPerTurn = 300;

/** What is found of candidates, by their names, with the time at which the list should show it. */
type Found<Row> = Map<string, { row: Row; atMs: number }>;

async function readPage<Row extends EntityRow>(
  reader: RowReader,
  list: List,
  question: PageQuestion,
  subject: Record<string, string>,
  readEntities: (candidates: readonly PagePosition[]) => Promise<Found<Row>>,
): Promise<EntityPage<Row>> {
  const rows: Row[] = [];
  let { after } = question;
  let wanted = Math.min(question.limit + spareRows, mostPerTurn);
  for (let passed = 0; passed < mostCandidates; ) {
    const candidates = await readCandidates(reader, list, { ...question, after, limit: wanted }, subject);
    const found: Found<Row> = candidates.length === 0 ? new Map() : await readEntities(candidates);
    const before = rows.length;
    for (const candidate of candidates) {
      after = candidate;
      const entity = found.get(nameOf(candidate));
      if (entity?.atMs !== candidate.atMs) continue;
      found.delete(nameOf(candidate));
      rows.push(entity.row);
      if (rows.length === question.limit) return { rows, next: after };
    }
    if (candidates.length < wanted) return { rows, next: null };
    passed += candidates.length;
    const share = (rows.length - before) / candidates.length;
    const enough = Math.ceil((question.limit - rows.length) / share) + spareRows;
    wanted = share < leastShare ? mostPerTurn : Math.min(enough, mostPerTurn);
  }
  return { rows, next: after };
}

const nameOf = ({ source, executionId, taskId, mapIndex, attempt }: PagePosition): string =>
  JSON.stringify([source, executionId, taskId, mapIndex, attempt]);

/** The next rows of the list. FINAL would read all of it to leave out repeated rows, which are left out later anyway. */
async function readCandidates(
  reader: RowReader,
  list: List,
  { workspace, state, source = '', fromMs, toMs, after, limit }: PageQuestion,
  subject: Record<string, string>,
): Promise<PagePosition[]> {
  const { table, condition, keys } = list;
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
      state: listOf(list, state),
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
 * Those of the candidates that are named, by their keys. The names are a constant: a subquery would be known only when the
 * granules to be read are chosen already, and all of a part be read. Their ids are given once more as a plain list, which
 * is what the index of ids can be asked for.
 */
function namedCondition(keys: readonly string[], candidates: readonly PagePosition[]) {
  const names = candidates.map(({ source, executionId, taskId, mapIndex, attempt }) =>
    [source, executionId, taskId, mapIndex, attempt].slice(0, keys.length),
  );
  const arrays = keys.map((key) => `{${key}s: Array(${keyTypes[key] ?? 'String'})}`);
  return {
    condition: `execution_id IN {execution_ids: Array(String)}
       AND (${keys.join(', ')}) IN arrayZip(${arrays.join(', ')})`,
    params: Object.fromEntries(keys.map((key, index) => [`${key}s`, names.map((name) => name[index])])),
  };
}

/** In these an execution is found by what is open. */
export const openStates: readonly string[] = ['pending', 'running', 'suspended'];

type StateAsk = Pick<PageQuestion, 'workspace' | 'state'>;

/** What has ended is found again where it was looked up a moment ago; what goes on is asked for each time. */
async function readExecutions(
  reader: RowReader,
  { workspace, state }: StateAsk,
  candidates: readonly PagePosition[],
): Promise<Found<ListedExecution>> {
  // What has just been found to be open may have ended before.
  const memory = openStates.includes(state) ? undefined : reader.memory;
  const told = new Map<string, ListedExecution>();
  const unknown = new Map<string, PagePosition>();
  for (const candidate of candidates) {
    const name = nameOf(candidate);
    const row = memory?.find(name) as ListedExecution | undefined;
    // The list may know of an end that came after it.
    const isKnown = row !== undefined && candidate.atMs <= Date.parse(row.last_event_at) && !unknown.has(name);
    if (isKnown) told.set(name, row);
    else unknown.set(name, candidate);
  }
  for (const row of unknown.size === 0 ? [] : await askExecutions(reader, workspace, [...unknown.values()])) {
    const name = nameOf({ atMs: 0, ...keyOf(row, executionList.keys) });
    told.set(name, row);
    if (row.ended_at !== null) memory?.keep(name, row, Date.parse(row.last_event_at));
  }
  const atOf = (row: ListedExecution) =>
    listOf(executionList, state) === '' ? row.first_seen_at : (row.last_ended_at ?? '');
  return new Map(
    [...told]
      .filter(([, row]) => state === '' || row.state === state)
      .map(([name, row]) => [name, { row, atMs: Date.parse(atOf(row)) }]),
  );
}

async function askExecutions(
  reader: RowReader,
  workspace: string,
  named: readonly PagePosition[],
): Promise<ListedExecution[]> {
  const { condition, params } = namedCondition(executionList.keys, named);
  // Granules are small and chosen by name: looking for the names within them before the other columns are read takes longer than that.
  const where = `PREWHERE workspace = {workspace: String} WHERE ${condition}`;
  const rows = await reader.rows<StandingRow>(standingExecutions(where), { workspace, ...params }, { final: 0 });
  return rows.map(describeListed);
}

const attemptKeys = ['source', 'execution_id', 'task_id', 'map_index', 'attempt'];

async function readAttempts(
  reader: RowReader,
  { workspace, state }: StateAsk,
  candidates: readonly PagePosition[],
): Promise<Found<EntityRow>> {
  const { condition, params } = namedCondition(attemptKeys, candidates);
  const rows = await reader.rows<EntityRow & { at_ms: number }>(
    `SELECT *, toUnixTimestamp64Milli(${listOf(taskList, state) === '' ? 'first_seen_at' : 'assumeNotNull(ended_at)'}) AS at_ms
     FROM task_attempts_latest WHERE workspace = {workspace: String} AND ${condition} AND ({state: String} = '' OR state = {state: String})`,
    { workspace, state, ...params },
  );
  return new Map(
    rows.map(({ at_ms: atMs, ...row }) => [
      nameOf({ atMs: 0, ...keyOf(row as EntityRow, attemptKeys) }),
      { row: row as EntityRow, atMs },
    ]),
  );
}
