import { type RunPlace, readRunPlaces } from '../../clickhouse/queries/run-places.ts';
import {
  executionTracesQuestion,
  oneExecutionTraceQuestion,
  oneTaskTraceQuestion,
  type RecentRunRow,
  type RunsAsk,
  recentRunsQuestion,
  runSizesQuestion,
  taskTracesQuestion,
  type ValuesRow,
  type Wanted,
} from '../../clickhouse/queries/run-traces.ts';
import { always, workflowSourcesQuestion } from '../../clickhouse/queries/workflow-executions.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { latestInstantMs } from '../../schemas/events.ts';
import type { ExecutionTrace } from '../analysis/execution-trace.ts';
import { AnalysisFailure } from './analysis-failure.ts';
import { gatherTold, ToldGatherer } from './told-records.ts';

/** Which executions of a workflow are looked at. */
export interface RunsWish {
  workflowId: string;
  /** '' for the only one. */
  source: string;
  fromMs: number;
  /** Excluded. */
  toMs: number;
  /** Only of those that have ended. */
  isOver?: boolean;
  /** Newest executions at most. */
  limit: number;
}

export interface RecentRuns {
  source: string;
  /** In order of their start. */
  executions: ExecutionTrace[];
  /** Executions of child workflows by their id. */
  children: Map<string, ExecutionTrace>;
  /** Newest executions that are not among them, because there is too much of them. */
  leftOut: number;
}

/** Bounds of what one analysis reads, so that no workflow can take all of memory or time. */
const runBounds = {
  /** Records of tasks altogether; the newest execution is taken even if it has more. */
  recordsMost: 250_000,
  /** An execution with more records than this is left out. */
  recordsOfOneMost: 700_000,
  sliceRecords: 40_000,
  idsOfQuestion: 100,
  /** Records of one execution that are read where many are served, and handed to a thread; of more the thread reads them itself. */
  recordsHandedMost: 1_000,
  childrenMost: 500,
};

/** A child may have been seen before its parent, where clocks differ. */
const dayMs = 86_400_000;

export async function loadRecentRuns(reader: WorkspaceReader, wish: RunsWish): Promise<RecentRuns> {
  const source = await findSource(reader, wish);
  const { executions, leftOut } = await loadRunsOfSource(reader, { ...wish, source }, 'all');
  return { source, executions, children: await loadChildren(reader, executions, 'all'), leftOut };
}

/** The same of a source that is known, without children; nothing where it has no executions of the workflow. */
export async function loadRunsOfSource(
  reader: WorkspaceReader,
  wish: RunsWish,
  wanted: Wanted,
): Promise<Pick<RecentRuns, 'executions' | 'leftOut'>> {
  const of = { source: wish.source, wanted };
  const listed = await listNewest(reader, wish);
  const few = await loadFew(reader, listed, of);
  if (few !== null) return { executions: few, leftOut: 0 };
  const { taken, leftOut } = await takeWithinBounds(reader, listed, wish.source);
  return { executions: await loadRuns(reader, taken, of), leftOut };
}

async function findSource(reader: WorkspaceReader, { workflowId, source }: RunsWish): Promise<string> {
  const found = await reader.ask(workflowSourcesQuestion, { workflow: workflowId, ...always });
  const sources = found.map((row) => row.source);
  if (source !== '' && sources.includes(source)) return source;
  if (source !== '' || sources.length === 0) {
    throw new AnalysisFailure('not_found', 'The workspace has no executions of this workflow.');
  }
  if (sources.length > 1) {
    throw new AnalysisFailure('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });
  }
  return sources[0];
}

/** An execution may stand in the list at several times, which later records corrected; so a few more are asked for. */
async function listNewest(reader: WorkspaceReader, wish: RunsWish): Promise<RecentRunRow[]> {
  const { workflowId: workflow, source, fromMs, toMs, isOver = false, limit } = wish;
  const rows = await reader.ask(recentRunsQuestion, { workflow, source, fromMs, toMs, isOver, limit: 2 * limit });
  const byId = new Map<string, RecentRunRow>();
  for (const row of rows) {
    const known = byId.get(row.execution_id);
    if (known === undefined) byId.set(row.execution_id, row);
    else known.at_ms = Math.min(known.at_ms, row.at_ms);
  }
  return [...byId.values()].slice(0, limit);
}

interface PlacedRun extends RecentRunRow {
  /** When the last of it happened, where that is known. */
  last_ms?: number;
}

interface SizedRun extends PlacedRun {
  records: number;
}

async function takeWithinBounds(
  reader: WorkspaceReader,
  listed: readonly PlacedRun[],
  source: string,
): Promise<{ taken: SizedRun[]; leftOut: number }> {
  const sizes = await readSizes(reader, listed, source);
  const taken: SizedRun[] = [];
  let records = 0;
  for (const run of listed) {
    const own = sizes.get(run.execution_id) ?? 0;
    if (own > runBounds.recordsOfOneMost || (taken.length > 0 && records + own > runBounds.recordsMost)) continue;
    taken.push({ ...run, records: own });
    records += own;
  }
  return { taken, leftOut: listed.length - taken.length };
}

async function readSizes(
  reader: WorkspaceReader,
  listed: readonly PlacedRun[],
  source: string,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const some of cut(listed, runBounds.idsOfQuestion)) {
    const rows = await reader.ask(runSizesQuestion, askFor(some, source));
    for (const { execution_id, records } of rows) sizes.set(execution_id, (sizes.get(execution_id) ?? 0) + records);
  }
  return sizes;
}

const askFor = (runs: readonly PlacedRun[], source: string): RunsAsk => ({
  executions: runs.map(({ execution_id }) => execution_id),
  source,
  fromMs: runs.reduce((least, { at_ms }) => Math.min(least, at_ms), Number.MAX_SAFE_INTEGER),
  toMs: runs.reduce((most, { last_ms = latestInstantMs }) => Math.max(most, last_ms), 0),
});

function* cut<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}

/** Groups of executions with about as many records as one answer should have. */
function* cutByRecords(runs: readonly SizedRun[]): Generator<{ some: SizedRun[]; parts: number }> {
  let some: SizedRun[] = [];
  let records = 0;
  for (const run of runs) {
    const isFull = records + run.records > runBounds.sliceRecords || some.length === runBounds.idsOfQuestion;
    if (some.length > 0 && isFull) {
      yield { some, parts: Math.ceil(records / runBounds.sliceRecords) || 1 };
      [some, records] = [[], 0];
    }
    some.push(run);
    records += run.records;
  }
  if (some.length > 0) yield { some, parts: Math.ceil(records / runBounds.sliceRecords) || 1 };
}

interface RecordsOf {
  source: string;
  wanted: Wanted;
}

async function loadRuns(
  reader: WorkspaceReader,
  runs: readonly SizedRun[],
  { source, wanted }: RecordsOf,
): Promise<ExecutionTrace[]> {
  const gatherer = new ToldGatherer(wanted);
  for (const { some, parts } of cutByRecords(runs)) {
    const ask = { ...askFor(some, source), wanted, limit: runBounds.recordsOfOneMost };
    const ofExecutions = reader.ask(executionTracesQuestion, { ...ask, part: 0, parts: 1 });
    // Waited for below; until then a failure of it is nobody's.
    ofExecutions.catch(() => undefined);
    for (let part = 0; part < parts; part++) {
      gatherer.addTasks(await reader.ask(taskTracesQuestion, { ...ask, part, parts }));
    }
    gatherer.addExecutions(await ofExecutions);
  }
  return gatherer.finish();
}

/** What tasks started elsewhere: by the ids that they told, whatever orchestrator runs them. */
async function loadChildren(
  reader: WorkspaceReader,
  executions: readonly ExecutionTrace[],
  wanted: Wanted,
): Promise<Map<string, ExecutionTrace>> {
  const ids = executions.flatMap(({ tasks }) => tasks.map(({ childExecutionId }) => childExecutionId));
  const named = [...new Set(ids.filter((id) => id !== ''))].slice(-runBounds.childrenMost);
  if (named.length === 0) return new Map();
  const firstMs = executions.reduce((least, { firstSeenMs }) => Math.min(least, firstSeenMs), Number.MAX_SAFE_INTEGER);
  const listed = named.map((execution_id) => ({ execution_id, at_ms: firstMs - dayMs }));
  const { taken } = await takeWithinBounds(reader, listed, '');
  const children = await loadRuns(reader, taken, { source: '', wanted });
  return new Map(children.map((child) => [child.executionId, child]));
}

/** One execution as it is handed to a thread. */
export interface FoundRun {
  place: RunPlace;
  /** Null where that is too much to be handed over. */
  told: { ofExecution: ValuesRow[]; ofTasks: ValuesRow[] } | null;
}

/** One execution by its id, and when what was told of it happened. Those who ask about others at the same time are answered with it. */
export async function findOneRun(reader: WorkspaceReader, id: string, wanted: string): Promise<FoundRun> {
  const places = await readRunPlaces(reader, id);
  const own = wanted === '' ? places : places.filter(({ source }) => source === wanted);
  const [place, ...others] = own;
  if (place === undefined) throw new AnalysisFailure('not_found', 'There is no such execution in the workspace.');
  if (others.length > 0) {
    const sources = own.map(({ source }) => source);
    throw new AnalysisFailure('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });
  }
  const ask = { execution: id, place, limit: runBounds.recordsHandedMost + 1 };
  const [ofExecution, ofTasks] = await Promise.all([
    reader.askAbout(oneExecutionTraceQuestion, ask),
    reader.askAbout(oneTaskTraceQuestion, ask),
  ]);
  if (ofExecution.length + ofTasks.length === 0) {
    throw new AnalysisFailure('not_found', 'The records of the execution are no longer kept.');
  }
  const isSmall = Math.max(ofExecution.length, ofTasks.length) <= runBounds.recordsHandedMost;
  return { place, told: isSmall ? { ofExecution, ofTasks } : null };
}

/** With the executions that its tasks started. */
export async function loadOneRun(
  reader: WorkspaceReader,
  id: string,
  { place, told }: FoundRun,
): Promise<{ execution: ExecutionTrace; children: Map<string, ExecutionTrace> }> {
  const executions = told === null ? await loadLarge(reader, id, place) : gatherTold('times', told);
  const [execution] = executions;
  return { execution, children: await loadChildren(reader, executions, 'times') };
}

async function loadLarge(
  reader: WorkspaceReader,
  execution_id: string,
  { source, first_ms: at_ms, last_ms }: RunPlace,
): Promise<ExecutionTrace[]> {
  const run = await sizeRun(reader, { execution_id, at_ms, last_ms }, source);
  return await loadRuns(reader, [run], { source, wanted: 'times' });
}

/** At once, without asking first how much of them there is; null where that is more than one answer should have. */
async function loadFew(
  reader: WorkspaceReader,
  runs: readonly PlacedRun[],
  { source, wanted }: RecordsOf,
): Promise<ExecutionTrace[] | null> {
  if (runs.length > runBounds.idsOfQuestion) return null;
  if (runs.length === 0) return [];
  const limit = runBounds.sliceRecords;
  const ask = { ...askFor(runs, source), wanted, part: 0, parts: 1, limit };
  const [ofExecution, ofTasks] = await Promise.all([
    reader.ask(executionTracesQuestion, ask),
    reader.ask(taskTracesQuestion, ask),
  ]);
  if (Math.max(ofExecution.length, ofTasks.length) >= limit) return null;
  return gatherTold(wanted, { ofExecution, ofTasks });
}

async function sizeRun(reader: WorkspaceReader, run: PlacedRun, source: string): Promise<SizedRun> {
  const { taken } = await takeWithinBounds(reader, [run], source);
  const [sized] = taken;
  if (sized !== undefined) return sized;
  const { recordsOfOneMost } = runBounds;
  const message = `The execution has more than ${recordsOfOneMost} records of tasks.`;
  throw new AnalysisFailure('too_large', message, { recordsOfOneMost });
}
