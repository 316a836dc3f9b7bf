import {
  type ExecutionEventRow,
  executionEventsQuestion,
  type TaskEventRow,
  taskEventsQuestion,
} from '../../clickhouse/queries/run-events.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { inOrder, isEndState, type RecordedTask, recordTasks } from '../analysis/recorded-tasks.ts';
import { ApiError } from './errors.ts';

/** One execution as its records tell it, with its tasks. */
export interface RecordedRun {
  id: string;
  source: string;
  /** Records of the execution in the order of time; empty where only its tasks were heard of. */
  events: ExecutionEventRow[];
  /** The record that gave the state: the end of the newest attempt, or the latest that was said of it. */
  latest: ExecutionEventRow | null;
  state: string;
  workflowId: string;
  attempt: number;
  startedMs: number | null;
  endedMs: number | null;
  /** The first instant that anything is known of. */
  beganMs: number;
  durationMs: number | null;
  tasks: RecordedTask<TaskEventRow>[];
}

/** An execution with more records than this is beyond a page; lists of it are asked for in pages. */
const mostRecords = 50_000;

export async function loadRun(reader: WorkspaceReader, id: string, source = ''): Promise<RecordedRun> {
  const ask = { execution: id, source, limit: mostRecords + 1 };
  const [events, taskEvents] = await Promise.all([
    reader.ask(executionEventsQuestion, ask),
    reader.ask(taskEventsQuestion, ask),
  ]);
  if (Math.max(events.length, taskEvents.length) > mostRecords) {
    throw new ApiError('too_much_asked', `The execution has more than ${mostRecords} records.`, { mostRecords });
  }
  const sources = [...new Set([...events, ...taskEvents].map((event) => event.source))];
  const [only] = sources;
  if (only === undefined) throw new ApiError('not_found', 'There is no such execution in the workspace.');
  if (sources.length > 1) {
    throw new ApiError('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });
  }
  return describeRun(id, only, events, recordTasks(taskEvents));
}

function describeRun(
  id: string,
  source: string,
  unordered: readonly ExecutionEventRow[],
  tasks: RecordedTask<TaskEventRow>[],
): RecordedRun {
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
    workflowId: latest?.workflow_id ?? tasks[0]?.counted.report.workflow_id ?? '',
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
  current: readonly ExecutionEventRow[],
  end: ExecutionEventRow | undefined,
  tasks: readonly RecordedTask<TaskEventRow>[],
): number | null {
  const told = end?.started_at_ms ?? current.findLast(({ started_at_ms }) => started_at_ms !== null)?.started_at_ms;
  if (told !== null && told !== undefined) return told;
  const running = current.find(({ state }) => state === 'running');
  if (running !== undefined) return running.event_time_ms;
  const starts = tasks.map(({ startedMs }) => startedMs).filter((ms) => ms !== null);
  return starts.length === 0 ? null : Math.min(...starts);
}

const instantsOf = (tasks: readonly RecordedTask<TaskEventRow>[]): (number | null)[] =>
  tasks.flatMap(({ readyMs, startedMs, attempts }) => [
    readyMs,
    startedMs,
    ...attempts.map(({ report }) => report.event_time_ms),
  ]);
