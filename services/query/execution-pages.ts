import { aMoment } from '../../clickhouse/kept-answers.ts';
import {
  openStates,
  type PagePosition,
  placeOf,
  readExecutionPage,
  readExecutionsNamed,
  readOpenPage,
} from '../../clickhouse/queries/entity-pages.ts';
import type { ListedExecution } from '../../clickhouse/queries/listed-executions.ts';
import { againCountsQuestion, openCountsQuestion } from '../../clickhouse/queries/open-executions.ts';
import {
  everSourcesQuestion,
  executionCountQuestion,
  skippingQuestion,
  workflowSourcesQuestion,
} from '../../clickhouse/queries/workflow-executions.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { type ExecutionState, endStates, type executionStates, latestInstantMs } from '../../schemas/events.ts';
import { readCursor, writeCursor } from './cursors.ts';
import { ApiError } from './errors.ts';
import { wholeRange } from './time-range.ts';
import { readWindows } from './windows.ts';

export interface ExecutionsWish {
  workflow: string;
  source: string;
  status: (typeof executionStates)[number] | '';
  fromMs: number;
  toMs: number;
}

/** The one source that has executions of the workflow; null where the workspace knows it, but nothing ran in the range. */
export async function findSource(reader: WorkspaceReader, wish: ExecutionsWish): Promise<string | null> {
  if (wish.source !== '') return wish.source;
  const ever = await reader.ask(everSourcesQuestion, { workflow: wish.workflow });
  if (ever.length === 0) throw new ApiError('not_found', 'The workspace has no telemetry of this workflow.');
  if (ever.length === 1) return ever[0]?.source ?? null;
  const found = await reader.ask(workflowSourcesQuestion, rangeAsk(wish));
  if (found.length > 1) throw refuseAmbiguous(found.map(({ source }) => source));
  return found[0]?.source ?? null;
}

/** In whole seconds, so that those who ask within one ask the same. */
const rangeAsk = ({ workflow, fromMs, toMs }: ExecutionsWish) => ({
  workflow,
  fromMs: Math.floor(fromMs / 1000) * 1000,
  toMs: Math.ceil(toMs / 1000) * 1000,
});

const refuseAmbiguous = (sources: readonly string[]): ApiError =>
  new ApiError('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });

export interface ExecutionPage {
  rows: ListedExecution[];
  nextCursor: string | null;
}

/** A page behind a cursor, which also holds where the range of the first page began: with the clock it would move on. */
export async function readPageBehind(
  reader: WorkspaceReader,
  wish: ExecutionsWish,
  { cursor, limit }: { cursor: string | undefined; limit: number },
): Promise<ExecutionPage> {
  const { after, fromMs } = readPosition(cursor, wish);
  const { workflow: workflowId, status: state, source, toMs } = wish;
  const question = { workspace: reader.workspace, workflowId, state, source, fromMs, toMs, after, limit };
  const { rows, next } = openStates.includes(state)
    ? await readOpenPage(reader, question)
    : await reader.find('execution_page', question, aMoment, (steps) => readExecutionPage(steps, question));
  const nextCursor = next === null ? null : writeCursor([next.atMs, next.source, next.executionId, fromMs]);
  return { rows, nextCursor };
}

function readPosition(
  cursor: string | undefined,
  wish: ExecutionsWish,
): { after: PagePosition | null; fromMs: number } {
  if (cursor === undefined) return { after: null, fromMs: wish.fromMs };
  const [atMs, source, executionId, fromMs] = readCursor(cursor, ['number', 'string', 'string', 'number']);
  if (atMs > latestInstantMs || fromMs > latestInstantMs) {
    throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  }
  return { after: placeOf(source, executionId, atMs), fromMs };
}

/** Executions of a state are told apart by looking at each, so only so many are passed over. */
const mostSkippedOfState = 5_000;
const pageWhileSkipping = 200;

/** The page behind so many executions, and how many there are. While executions come in, what stands there moves: cursors do not. */
export async function readPageSkipping(
  reader: WorkspaceReader,
  wish: ExecutionsWish & { source: string },
  { skip, limit }: { skip: number; limit: number },
): Promise<{ rows: ListedExecution[]; total: number }> {
  const { status } = wish;
  if (status !== '') {
    const sifted = readSifted(reader, wish, { skip, limit });
    const [rows, total] = await Promise.all([sifted, countOfState(reader, wish, status)]);
    return { rows, total: settleTotal(total, rows.length, { skip, limit }) };
  }
  const names = await reader.ask(skippingQuestion, { ...wish, skip, limit });
  // Behind the last one nothing says how many there are.
  const total = names[0]?.executions ?? (skip === 0 ? 0 : await countAll(reader, wish));
  const executionIds = names.map(({ execution_id }) => execution_id);
  const named = { workspace: reader.workspace, source: wish.source, executionIds };
  const { rows } = await reader.find('executions_named', named, aMoment, async (steps) => {
    return { rows: names.length === 0 ? [] : await readExecutionsNamed(steps, named) };
  });
  return { rows, total };
}

/** They were counted a moment before; a page with room left tells it by itself. */
function settleTotal(counted: number, found: number, { skip, limit }: { skip: number; limit: number }): number {
  if (found === 0 && skip > 0) return counted;
  return found < limit ? skip + found : Math.max(counted, skip + found);
}

async function countAll(reader: WorkspaceReader, wish: ExecutionsWish): Promise<number> {
  const [counted] = await reader.ask(executionCountQuestion, { ...rangeAsk(wish), source: wish.source });
  return counted?.executions ?? 0;
}

async function readSifted(
  reader: WorkspaceReader,
  wish: ExecutionsWish,
  { skip, limit }: { skip: number; limit: number },
): Promise<ListedExecution[]> {
  if (skip > mostSkippedOfState) {
    const message = `With a status, ${mostSkippedOfState} executions may be skipped at most; cursors of /api/v1/workflow-analytics go further.`;
    throw new ApiError('too_much_asked', message, { mostSkipped: mostSkippedOfState });
  }
  const rows: ListedExecution[] = [];
  let cursor: string | undefined;
  while (rows.length < skip + limit) {
    const wanted = Math.min(pageWhileSkipping, skip + limit - rows.length);
    const page = await readPageBehind(reader, wish, { cursor, limit: wanted });
    rows.push(...page.rows);
    if (page.nextCursor === null) break;
    cursor = page.nextCursor;
  }
  return rows.slice(skip, skip + limit);
}

type EndState = ExecutionState & (typeof endStates)[number];
const isEnd = (state: ExecutionState): state is EndState => (endStates as readonly string[]).includes(state);

/**
 * How many executions of a state there are to page through. Ends are those that rollups count, less what runs again; what is open is
 * found by an index of its own; neither looks at single executions.
 */
async function countOfState(
  reader: WorkspaceReader,
  wish: ExecutionsWish & { source: string },
  status: ExecutionState,
): Promise<number> {
  const { workflow, source } = wish;
  if (!isEnd(status)) {
    const open = await reader.askAbout(openCountsQuestion, { workflow, source });
    return open.find(({ state }) => state === status)?.executions ?? 0;
  }
  const [again, ended] = await Promise.all([
    reader.ask(againCountsQuestion, { workflows: [], source: '' }),
    countEnds(reader, wish, status),
  ]);
  const isCounted = (row: (typeof again)[number]) =>
    row.workflow_id === workflow && row.source === source && row.last_end_state === status;
  return Math.max(0, ended - (again.find(isCounted)?.executions ?? 0));
}

async function countEnds(
  reader: WorkspaceReader,
  wish: ExecutionsWish & { source: string },
  state: EndState,
): Promise<number> {
  const { workflow: workflow_id, source, fromMs, toMs } = wish;
  const [group] = await readWindows(reader, {
    subject: 'executions',
    steps: wholeRange({ fromMs, toMs, zone: 'UTC' }),
    filters: { workflow_id, source },
    counts: [state],
    distributions: [],
    isSize: true,
  });
  return group?.whole[state] ?? 0;
}
