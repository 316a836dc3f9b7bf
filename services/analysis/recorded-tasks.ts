import type { Activity, Stretch } from './wall-clock.ts';

/**
 * From what was said of the tasks of one execution, in whatever order, to each task with its attempts. A task counts
 * with its latest end by attempt and time; while none has come, with the latest that was said of its newest attempt.
 */
export interface TaskReport {
  task_id: string;
  map_index: number;
  attempt: number;
  state: string;
  event_time_ms: number;
  partition: number;
  offset: number;
  ready_at_ms: number | null;
  queued_at_ms: number | null;
  dispatched_at_ms: number | null;
  started_at_ms: number | null;
  duration_us: number | null;
  dependency_ids: readonly string[];
  dependents: readonly string[];
  step_order: number | null;
}

export interface RecordedAttempt<Report extends TaskReport> {
  attempt: number;
  state: string;
  readyMs: number | null;
  queuedMs: number | null;
  dispatchedMs: number | null;
  startedMs: number | null;
  endedMs: number | null;
  durationMs: number | null;
  /** Another attempt has been promised after this one. */
  willRetry: boolean;
  /** The report that gave the state. */
  report: Report;
}

export interface RecordedTask<Report extends TaskReport> {
  taskId: string;
  mapIndex: number;
  stepOrder: number | null;
  attempts: RecordedAttempt<Report>[];
  /** The newest attempt, which counts. */
  counted: RecordedAttempt<Report>;
  /** State of that attempt, or `retrying` where the next one has been promised and not been heard of. */
  state: string;
  /** When it was first ready to run, and when the attempt that counts ended. */
  readyMs: number | null;
  startedMs: number | null;
  endedMs: number | null;
  dependencyIds: string[];
  dependentIds: string[];
}

const endStates = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped']);
export const isEndState = (state: string): boolean => endStates.has(state);

/** Order of what was said: by time, then by place in the log, where one partition holds one execution. */
export const inOrder = (
  one: Pick<TaskReport, 'event_time_ms' | 'partition' | 'offset'>,
  other: Pick<TaskReport, 'event_time_ms' | 'partition' | 'offset'>,
): number => one.event_time_ms - other.event_time_ms || one.partition - other.partition || one.offset - other.offset;

export function recordTasks<Report extends TaskReport>(reports: readonly Report[]): RecordedTask<Report>[] {
  const things = new Map<string, Report[]>();
  for (const report of reports) {
    const key = `${report.map_index} ${report.task_id}`;
    const list = things.get(key);
    if (list === undefined) things.set(key, [report]);
    else list.push(report);
  }
  const tasks = [...things.values()].map((list) => recordTask(list.toSorted(inOrder)));
  return completeDependencies(tasks.toSorted(inSteps));
}

function inSteps<Report extends TaskReport>(one: RecordedTask<Report>, other: RecordedTask<Report>): number {
  const first = (task: RecordedTask<Report>) => task.startedMs ?? task.readyMs ?? task.attempts[0].report.event_time_ms;
  const steps = (one.stepOrder ?? Number.MAX_SAFE_INTEGER) - (other.stepOrder ?? Number.MAX_SAFE_INTEGER);
  return steps || first(one) - first(other) || (one.taskId < other.taskId ? -1 : 1);
}

function recordTask<Report extends TaskReport>(reports: readonly Report[]): RecordedTask<Report> {
  const numbers = [...new Set(reports.map(({ attempt }) => attempt))].sort((one, other) => one - other);
  const attempts = numbers.map((number) => recordAttempt(reports.filter(({ attempt }) => attempt === number)));
  const counted = attempts[attempts.length - 1];
  const readyTimes = attempts.map(({ readyMs }) => readyMs).filter((ms) => ms !== null);
  const startTimes = attempts.map(({ startedMs }) => startedMs).filter((ms) => ms !== null);
  return {
    taskId: reports[0].task_id,
    mapIndex: reports[0].map_index,
    stepOrder: reports.find(({ step_order }) => step_order !== null)?.step_order ?? null,
    attempts,
    counted,
    state: counted.willRetry ? 'retrying' : counted.state,
    readyMs: readyTimes.length === 0 ? null : Math.min(...readyTimes),
    startedMs: startTimes.length === 0 ? null : Math.min(...startTimes),
    endedMs: counted.endedMs,
    dependencyIds: unite(reports.map(({ dependency_ids }) => dependency_ids)),
    dependentIds: unite(reports.map(({ dependents }) => dependents)),
  };
}

const unite = (lists: readonly (readonly string[])[]): string[] => [...new Set(lists.flat())];

function recordAttempt<Report extends TaskReport>(reports: readonly Report[]): RecordedAttempt<Report> {
  const end = reports.findLast(({ state }) => isEndState(state));
  const retry = reports.findLast(({ state }) => state === 'retrying');
  const report = end ?? reports[reports.length - 1];
  const told = (read: (report: Report) => number | null): number | null => {
    const last = reports.findLast((candidate) => read(candidate) !== null);
    return last === undefined ? null : read(last);
  };
  const running = reports.find(({ state }) => state === 'running');
  const startedMs = end?.started_at_ms ?? told(({ started_at_ms }) => started_at_ms) ?? running?.event_time_ms ?? null;
  // Some sources tell of the retry alone, and it is then that the attempt was over.
  const endedMs = (end ?? retry)?.event_time_ms ?? null;
  const reportedMs = end?.duration_us == null ? null : end.duration_us / 1000;
  return {
    attempt: report.attempt,
    state: report.state,
    readyMs: told(({ ready_at_ms }) => ready_at_ms),
    queuedMs: told(({ queued_at_ms }) => queued_at_ms) ?? timeOf(reports, 'queued'),
    dispatchedMs: told(({ dispatched_at_ms }) => dispatched_at_ms),
    startedMs: report.state === 'skipped' ? null : startedMs,
    endedMs,
    willRetry: retry !== undefined,
    durationMs: reportedMs ?? (endedMs === null || startedMs === null ? null : Math.max(0, endedMs - startedMs)),
    report,
  };
}

const timeOf = (reports: readonly TaskReport[], wanted: string): number | null =>
  reports.find(({ state }) => state === wanted)?.event_time_ms ?? null;

/** Sources tell of dependencies, of dependents or of both; each side follows from the other. */
function completeDependencies<Report extends TaskReport>(tasks: RecordedTask<Report>[]): RecordedTask<Report>[] {
  const dependents = new Map<string, Set<string>>();
  const dependencies = new Map<string, Set<string>>();
  const add = (map: Map<string, Set<string>>, key: string, value: string) =>
    map.set(key, (map.get(key) ?? new Set()).add(value));
  for (const { taskId, dependencyIds, dependentIds } of tasks) {
    for (const id of dependencyIds) {
      add(dependents, id, taskId);
      add(dependencies, taskId, id);
    }
    for (const id of dependentIds) {
      add(dependents, taskId, id);
      add(dependencies, id, taskId);
    }
  }
  return tasks.map((task) => ({
    ...task,
    dependencyIds: [...(dependencies.get(task.taskId) ?? [])],
    dependentIds: [...(dependents.get(task.taskId) ?? [])],
  }));
}

/** What a task waited for and did, from the beginning of its run to its end, or to `untilMs` where it goes on. */
export function stretchesOf<Report extends TaskReport>(
  task: RecordedTask<Report>,
  runStartMs: number,
  untilMs: number,
): Stretch[] {
  const stretches: Stretch[] = [];
  let beforeMs = runStartMs;
  for (const [index, attempt] of task.attempts.entries()) {
    const { queuedMs, dispatchedMs, startedMs } = attempt;
    const overMs = attempt.endedMs ?? untilMs;
    const add = (activity: Activity, fromMs: number | null, nextMs: readonly (number | null)[]) => {
      const toMs = nextMs.find((ms) => ms !== null) ?? overMs;
      if (fromMs !== null && toMs > fromMs) stretches.push({ activity, fromMs, toMs });
    };
    // Some sources repeat with each attempt when its task was first ready or queued; a wait begins anew nevertheless.
    const readyMs = attempt.readyMs !== null && index > 0 && attempt.readyMs < beforeMs ? null : attempt.readyMs;
    const waitedFromMs = queuedMs !== null && index > 0 ? Math.max(queuedMs, beforeMs) : queuedMs;
    // A task of which nobody says what it waits for was not waiting: nothing is known of it until it begins.
    const waits = task.dependencyIds.length > 0 || readyMs !== null;
    if (index > 0 || waits) {
      add(index === 0 ? 'dependencyWait' : 'retryBackoff', beforeMs, [readyMs, waitedFromMs, dispatchedMs, startedMs]);
    }
    add('schedulingDelay', readyMs, [waitedFromMs, dispatchedMs, startedMs]);
    add('queueWait', waitedFromMs, [dispatchedMs, startedMs]);
    add('startUp', dispatchedMs, [startedMs]);
    add('run', startedMs, []);
    beforeMs = overMs;
  }
  if (task.counted.willRetry) stretches.push({ activity: 'retryBackoff', fromMs: beforeMs, toMs: untilMs });
  return stretches;
}

/**
 * The tasks that held up the end of a run: the last to end, before it the last to end of those it waited for, and so on.
 * Where nobody tells of dependencies, that is the last task alone.
 */
export function traceCriticalPath<Report extends TaskReport>(
  tasks: readonly RecordedTask<Report>[],
): RecordedTask<Report>[] {
  const latest = (candidates: readonly RecordedTask<Report>[]) =>
    candidates
      .filter(({ endedMs, startedMs }) => endedMs !== null && startedMs !== null)
      .reduce<RecordedTask<Report> | undefined>(
        (best, task) => (best === undefined || (task.endedMs ?? 0) > (best.endedMs ?? 0) ? task : best),
        undefined,
      );
  const path: RecordedTask<Report>[] = [];
  for (let task = latest(tasks); task !== undefined; ) {
    const next: RecordedTask<Report> = task;
    path.unshift(next);
    task = latest(
      tasks.filter(
        (candidate) =>
          next.dependencyIds.includes(candidate.taskId) &&
          !path.includes(candidate) &&
          (candidate.endedMs ?? 0) <= (next.endedMs ?? 0),
      ),
    );
  }
  return path;
}
