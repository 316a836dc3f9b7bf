import {
  type ExecutionCourseRow,
  type ExecutionEventRow,
  executionCourseQuestion,
  executionEventsQuestion,
  type RecordPlace,
  type RunAsk,
  type TaskCourseRow,
  type TaskEventRow,
  taskCourseQuestion,
  taskEventsQuestion,
  withExecutionDetails,
  withTaskDetails,
} from '../../clickhouse/queries/run-events.ts';
import { type RunPlace, readRunPlaces } from '../../clickhouse/queries/run-places.ts';
import type { GatheredQuestion, WorkspaceReader } from '../../clickhouse/question.ts';
import { inOrder, isEndState, type RecordedTask, recordTasks } from '../analysis/recorded-tasks.ts';
import { ApiError } from './errors.ts';

/** One execution as its records tell it, with its tasks. */
export interface RecordedRun<
  Told extends ExecutionCourseRow = ExecutionCourseRow,
  TaskTold extends TaskCourseRow = TaskCourseRow,
> {
  id: string;
  source: string;
  /** Records of the execution in the order of time; empty where only its tasks were heard of. */
  events: Told[];
  /** The record that gave the state: the end of the newest attempt, or the latest that was said of it. */
  latest: Told | null;
  state: string;
  workflowId: string;
  attempt: number;
  startedMs: number | null;
  endedMs: number | null;
  /** The first instant that anything is known of. */
  beganMs: number;
  durationMs: number | null;
  tasks: RecordedTask<TaskTold>[];
}

/** An execution with more records than this is beyond a page; lists of it are asked for in pages. */
const mostRecords = 50_000;

/** How it went, without what only a page about all of it shows. */
export const loadCourse = async (reader: WorkspaceReader, id: string, source?: string): Promise<RecordedRun> =>
  loadRecords(reader, id, await findPlace(reader, { id, source }), [executionCourseQuestion, taskCourseQuestion]);

/** What was said of its tasks, without how the execution itself went. */
export async function loadTasks(
  reader: WorkspaceReader,
  id: string,
  source?: string,
): Promise<Pick<RecordedRun, 'id' | 'source' | 'workflowId'> & { tasks: RecordedTask<TaskEventRow>[] }> {
  const place = await findPlace(reader, { id, source });
  const told = await reader.askAbout(taskEventsQuestion, askFor(id, place));
  // What lists still know may be older than what records are kept for, and of an execution without tasks only its own tell that.
  if (told.length === 0) await loadRecords(reader, id, place, [executionCourseQuestion, taskCourseQuestion]);
  requireBounded(told.length);
  const tasks = recordTasks(leaveNewest(told).map(withTaskDetails));
  return { id, source: place.source, workflowId: place.workflow_id, tasks };
}

export const loadRun = async (
  reader: WorkspaceReader,
  id: string,
  source?: string,
): Promise<RecordedRun<ExecutionEventRow, TaskEventRow>> =>
  loadRecords(reader, id, await findPlace(reader, { id, source }), [executionEventsQuestion, taskEventsQuestion]);

/** Where its records lie; it is one of one source. */
async function findPlace(
  reader: WorkspaceReader,
  { id, source = '' }: { id: string; source: string | undefined },
): Promise<RunPlace> {
  const places = (await readRunPlaces(reader, id)).filter((place) => source === '' || place.source === source);
  const [place, ...others] = places;
  if (place === undefined) throw new ApiError('not_found', 'There is no such execution in the workspace.');
  if (others.length > 0) {
    const sources = places.map((each) => each.source);
    throw new ApiError('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });
  }
  return place;
}

const askFor = (execution: string, place: RunPlace): RunAsk => ({ execution, place, limit: mostRecords + 1 });

function requireBounded(records: number): void {
  if (records <= mostRecords) return;
  throw new ApiError('too_much_asked', `The execution has more than ${mostRecords} records.`, { mostRecords });
}

async function loadRecords<Told extends ExecutionCourseRow, TaskTold extends TaskCourseRow>(
  reader: WorkspaceReader,
  id: string,
  place: RunPlace,
  [ofExecution, ofTasks]: [GatheredQuestion<RunAsk, Told>, GatheredQuestion<RunAsk, TaskTold>],
): Promise<RecordedRun<Told, TaskTold>> {
  const ask = askFor(id, place);
  const [told, tasksTold] = await Promise.all([reader.askAbout(ofExecution, ask), reader.askAbout(ofTasks, ask)]);
  requireBounded(Math.max(told.length, tasksTold.length));
  if (told.length + tasksTold.length === 0) {
    throw new ApiError('not_found', 'The records of the execution are no longer kept.');
  }
  const events = leaveNewest(told).map(withExecutionDetails);
  return describeRun(id, place, events, recordTasks(leaveNewest(tasksTold).map(withTaskDetails)));
}

/** Of a record that was written again the newest row, as merging will leave it. */
function leaveNewest<Row extends RecordPlace>(rows: readonly Row[]): Row[] {
  const newest = new Map<string, Row>();
  for (const row of rows) {
    const key = JSON.stringify([row.stream, row.partition, row.offset]);
    if ((newest.get(key)?.fold_version ?? -1) < row.fold_version) newest.set(key, row);
  }
  return [...newest.values()];
}

function describeRun<Told extends ExecutionCourseRow, TaskTold extends TaskCourseRow>(
  id: string,
  { source, workflow_id }: RunPlace,
  unordered: readonly Told[],
  tasks: RecordedTask<TaskTold>[],
): RecordedRun<Told, TaskTold> {
  const events = unordered.toSorted(inOrder);
  const attempt = Math.max(1, ...events.map((event) => event.attempt));
  const current = events.filter((event) => event.attempt === attempt);
  const end = current.findLast(({ state }) => isEndState(state));
  const latest = end ?? current.at(-1) ?? null;
  const startedMs = startOf(current, end, tasks);
  const endedMs = end?.event_time_ms ?? null;
  const known = [
    ...events.map((event) => event.event_time_ms),
    ...instantsOf(tasks),
    startedMs,
    current[0]?.queued_at_ms,
  ];
  const reportedMs = end?.duration_us == null ? null : end.duration_us / 1000;
  return {
    id,
    source,
    events,
    latest,
    state: latest?.state ?? 'running',
    workflowId: latest?.workflow_id ?? workflow_id,
    attempt,
    startedMs,
    endedMs,
    beganMs: Math.min(...known.filter((ms) => ms !== null && ms !== undefined)),
    durationMs: reportedMs ?? (endedMs === null || startedMs === null ? null : Math.max(0, endedMs - startedMs)),
    tasks,
  };
}

/** As the end says; else as any record of the attempt says; else its first running record, or its first task. */
function startOf(
  current: readonly ExecutionCourseRow[],
  end: ExecutionCourseRow | undefined,
  tasks: readonly RecordedTask<TaskCourseRow>[],
): number | null {
  const told = end?.started_at_ms ?? current.findLast(({ started_at_ms }) => started_at_ms !== null)?.started_at_ms;
  if (told !== null && told !== undefined) return told;
  const running = current.find(({ state }) => state === 'running');
  if (running !== undefined) return running.event_time_ms;
  const starts = tasks.map(({ startedMs }) => startedMs).filter((ms) => ms !== null);
  return starts.length === 0 ? null : Math.min(...starts);
}

const instantsOf = (tasks: readonly RecordedTask<TaskCourseRow>[]): (number | null)[] =>
  tasks.flatMap(({ readyMs, startedMs, attempts }) => [
    readyMs,
    startedMs,
    ...attempts.map(({ report }) => report.event_time_ms),
  ]);
