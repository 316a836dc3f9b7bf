import {
  type ErrorInfo,
  type ExecutionEvent,
  endStates,
  type TaskDependency,
  type TaskEvent,
} from '../../schemas/events.ts';

/**
 * What analysis knows of executions: plain values, put together from canonical events in whatever order those come.
 * Absent instants and quantities are null; nothing is guessed here.
 */

export interface AttemptTrace {
  attempt: number;
  state: string;
  workerId: string;
  readyAtMs: number | null;
  queuedAtMs: number | null;
  dispatchedAtMs: number | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  queueMs: number | null;
  durationMs: number | null;
  /** Time of its first event, for attempts that never started. */
  firstSeenMs: number;
  costMicros: number | null;
  cpuUs: number | null;
  ioWaitUs: number | null;
  cpuRatioMean: number | null;
  memoryPeakBytes: number | null;
  memoryAllocatedBytes: number | null;
  errorType: string;
  errorMessage: string;
}

/** One task of an execution; each instance of a mapped task and each iteration of a loop is one of its own. */
export interface TaskTrace {
  taskId: string;
  taskName: string;
  taskType: string;
  operator: string;
  mapIndex: number;
  loopIteration: number | null;
  pool: string;
  triggerRule: string;
  compensates: string;
  childExecutionId: string;
  dependencies: TaskDependency[];
  /** Of its latest attempt. */
  state: string;
  /** In order of their numbers. */
  attempts: AttemptTrace[];
}

export interface ExecutionTrace {
  workspace: string;
  source: string;
  executionId: string;
  workflowId: string;
  workflowName: string;
  workflowVersion: string;
  attempt: number;
  /** '' where no event of the execution itself came. */
  state: string;
  triggerType: string;
  queuedAtMs: number | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  firstSeenMs: number;
  lastSeenMs: number;
  parentExecutionId: string;
  parentTaskId: string;
  input: string;
  inputBytes: number | null;
  costMicros: number | null;
  errorType: string;
  tasks: TaskTrace[];
}

type TracedRunField =
  | 'workspace'
  | 'source'
  | 'executionId'
  | 'workflowId'
  | 'workflowName'
  | 'workflowVersion'
  | 'attempt'
  | 'eventTimeMs'
  | 'queuedAtMs'
  | 'startedAtMs'
  | 'durationUs'
  | 'costMicros';
type ErrorClass = { error: Pick<ErrorInfo, 'type'> };

/** What is taken from an event of an execution; whoever knows no more than this may add it as well. */
export type TracedExecutionEvent = Pick<
  ExecutionEvent,
  'kind' | 'state' | 'triggerType' | 'parentExecutionId' | 'parentTaskId' | 'input' | 'inputBytes' | TracedRunField
> &
  ErrorClass;

/** What is taken from an event of a task. */
export type TracedTaskEvent = Pick<
  TaskEvent,
  | 'kind'
  | 'state'
  | 'taskId'
  | 'taskName'
  | 'taskType'
  | 'operator'
  | 'mapIndex'
  | 'loopIteration'
  | 'pool'
  | 'triggerRule'
  | 'compensates'
  | 'childExecutionId'
  | 'dependencies'
  | 'workerId'
  | 'readyAtMs'
  | 'dispatchedAtMs'
  | 'queueUs'
  | 'cpuUs'
  | 'ioWaitUs'
  | 'cpuRatioMean'
  | 'memoryPeakBytes'
  | 'memoryAllocatedBytes'
  | TracedRunField
> & { error: Pick<ErrorInfo, 'type' | 'message'> };

const ends: ReadonlySet<string> = new Set(endStates);

export const isEnd = (state: string): boolean => ends.has(state);

export const isFailure = (state: string): boolean => state === 'failed' || state === 'timeout';

interface Draft {
  trace: ExecutionTrace;
  tasks: Map<string, TaskDraft>;
}

interface TaskDraft {
  trace: TaskTrace;
  /** Attempts by number; mostly one. */
  attempts: AttemptTrace[];
}

/** Folds events into executions. The same events in any order give the same executions. */
export class TraceGatherer {
  readonly #drafts = new Map<string, Draft>();

  add(event: TracedExecutionEvent | TracedTaskEvent): void {
    const draft = this.#draftOf(event);
    const { trace } = draft;
    trace.firstSeenMs = Math.min(trace.firstSeenMs, event.eventTimeMs);
    trace.lastSeenMs = Math.max(trace.lastSeenMs, event.eventTimeMs);
    if (event.kind === 'execution') addExecution(trace, event);
    else addTask(draft, event);
  }

  /** In order of their start. */
  finish(): ExecutionTrace[] {
    return [...this.#drafts.values()]
      .map(({ trace, tasks }) => ({ ...trace, tasks: [...tasks.values()].map(finishTask) }))
      .map(dropEarlierRuns)
      .sort((left, right) => startOf(left) - startOf(right) || (left.executionId < right.executionId ? -1 : 1));
  }

  #draftOf(event: TracedExecutionEvent | TracedTaskEvent): Draft {
    const key = `${event.workspace}\0${event.source}\0${event.executionId}`;
    const known = this.#drafts.get(key);
    if (known !== undefined) return known;
    const draft: Draft = { trace: beginTrace(event), tasks: new Map() };
    this.#drafts.set(key, draft);
    return draft;
  }
}

export function gatherExecutions(events: Iterable<TracedExecutionEvent | TracedTaskEvent>): ExecutionTrace[] {
  const gatherer = new TraceGatherer();
  for (const event of events) gatherer.add(event);
  return gatherer.finish();
}

export const startOf = ({ startedAtMs, firstSeenMs }: ExecutionTrace): number => startedAtMs ?? firstSeenMs;

/** Of an execution of which nothing but its names is known yet. */
export const unknownExecution: Omit<
  ExecutionTrace,
  'workspace' | 'source' | 'executionId' | 'workflowId' | 'firstSeenMs' | 'lastSeenMs' | 'tasks'
> = {
  workflowName: '',
  workflowVersion: '',
  attempt: 0,
  state: '',
  triggerType: '',
  queuedAtMs: null,
  startedAtMs: null,
  endedAtMs: null,
  parentExecutionId: '',
  parentTaskId: '',
  input: '',
  inputBytes: null,
  costMicros: null,
  errorType: '',
};

function beginTrace(event: TracedExecutionEvent | TracedTaskEvent): ExecutionTrace {
  const { workspace, source, executionId, workflowId, workflowName, workflowVersion, eventTimeMs } = event;
  const names = { workspace, source, executionId, workflowId, workflowName, workflowVersion };
  return { ...unknownExecution, ...names, firstSeenMs: eventTimeMs, lastSeenMs: eventTimeMs, tasks: [] };
}

function addExecution(trace: ExecutionTrace, event: TracedExecutionEvent): void {
  trace.triggerType ||= event.triggerType;
  trace.parentExecutionId ||= event.parentExecutionId;
  trace.parentTaskId ||= event.parentTaskId;
  trace.input ||= event.input;
  trace.inputBytes ??= event.inputBytes;
  if (event.attempt < trace.attempt) return;
  if (event.attempt > trace.attempt) {
    // A rerun replaces what the earlier one came to.
    Object.assign(trace, { attempt: event.attempt, state: '', startedAtMs: null, endedAtMs: null, queuedAtMs: null });
  }
  trace.workflowVersion = event.workflowVersion || trace.workflowVersion;
  trace.queuedAtMs ??= event.queuedAtMs;
  trace.startedAtMs = earlier(trace.startedAtMs, event.startedAtMs);
  if (isEnd(event.state)) endExecution(trace, event);
  else if (trace.endedAtMs === null) trace.state = laterState(trace.state, event.state);
}

function endExecution(trace: ExecutionTrace, event: TracedExecutionEvent): void {
  if (trace.endedAtMs !== null && trace.endedAtMs > event.eventTimeMs) return;
  trace.state = event.state;
  trace.endedAtMs = event.eventTimeMs;
  trace.costMicros = event.costMicros ?? trace.costMicros;
  trace.errorType = event.error.type;
  if (trace.startedAtMs === null && event.durationUs !== null) {
    trace.startedAtMs = event.eventTimeMs - Math.round(event.durationUs / 1000);
  }
}

const unfinishedOrder = ['', 'pending', 'queued', 'running', 'suspended', 'retrying'];
const laterState = (left: string, right: string): string =>
  unfinishedOrder.indexOf(right) > unfinishedOrder.indexOf(left) ? right : left;

const earlier = (left: number | null, right: number | null): number | null =>
  left === null ? right : right === null ? left : Math.min(left, right);

function addTask({ tasks }: Draft, event: TracedTaskEvent): void {
  const key = `${event.taskId}\0${event.mapIndex}\0${event.loopIteration}`;
  let task = tasks.get(key);
  if (task === undefined) {
    task = { trace: beginTask(event), attempts: [] };
    tasks.set(key, task);
  }
  const { trace } = task;
  trace.taskName ||= event.taskName;
  trace.taskType ||= event.taskType;
  trace.operator ||= event.operator;
  trace.pool ||= event.pool;
  trace.triggerRule ||= event.triggerRule;
  trace.compensates ||= event.compensates;
  trace.childExecutionId = event.childExecutionId || trace.childExecutionId;
  // Whoever tells more of them knows better: some events leave dependencies out.
  if (event.dependencies.length > trace.dependencies.length) trace.dependencies = event.dependencies;
  addAttempt(task, event);
}

function beginTask(event: TracedTaskEvent): TaskTrace {
  const { taskId, taskName, taskType, operator, mapIndex, loopIteration, pool, triggerRule, compensates } = event;
  const { childExecutionId, dependencies } = event;
  const about = { taskId, taskName, taskType, operator, mapIndex, loopIteration, pool, triggerRule, compensates };
  return { ...about, childExecutionId, dependencies, state: '', attempts: [] };
}

function addAttempt({ attempts }: TaskDraft, event: TracedTaskEvent): void {
  let attempt = attempts.find((known) => known.attempt === event.attempt);
  if (attempt === undefined) {
    // That a task will be tried again is no attempt yet.
    if (event.state === 'retrying' && event.startedAtMs === null) return;
    attempt = beginAttempt(event);
    attempts.push(attempt);
  }
  attempt.firstSeenMs = Math.min(attempt.firstSeenMs, event.eventTimeMs);
  attempt.workerId ||= event.workerId;
  attempt.readyAtMs ??= event.readyAtMs;
  attempt.queuedAtMs ??= event.queuedAtMs;
  attempt.dispatchedAtMs ??= event.dispatchedAtMs;
  attempt.queueMs ??= event.queueUs === null ? null : event.queueUs / 1000;
  attempt.memoryAllocatedBytes ??= event.memoryAllocatedBytes;
  if (isEnd(event.state)) endAttempt(attempt, event);
  else if (attempt.endedAtMs === null || attempt.state === 'retrying') advanceAttempt(attempt, event);
  else attempt.startedAtMs ??= event.startedAtMs;
}

/** Of an attempt of which nothing but its number is known yet. */
export const unknownAttempt: Omit<AttemptTrace, 'attempt' | 'firstSeenMs'> = {
  state: '',
  workerId: '',
  readyAtMs: null,
  queuedAtMs: null,
  dispatchedAtMs: null,
  startedAtMs: null,
  endedAtMs: null,
  queueMs: null,
  durationMs: null,
  costMicros: null,
  cpuUs: null,
  ioWaitUs: null,
  cpuRatioMean: null,
  memoryPeakBytes: null,
  memoryAllocatedBytes: null,
  errorType: '',
  errorMessage: '',
};

const beginAttempt = ({ attempt, workerId, eventTimeMs }: TracedTaskEvent): AttemptTrace => ({
  ...unknownAttempt,
  attempt,
  workerId,
  firstSeenMs: eventTimeMs,
});

function advanceAttempt(attempt: AttemptTrace, event: TracedTaskEvent): void {
  attempt.startedAtMs ??= event.startedAtMs;
  if (event.state === 'running') attempt.startedAtMs ??= event.eventTimeMs;
  attempt.state = laterState(attempt.state, event.state);
  // Some sources say of a failed attempt only that there will be another; an end that is told itself counts more.
  if (event.state === 'retrying' && attempt.startedAtMs !== null) {
    attempt.endedAtMs = event.eventTimeMs;
    attempt.errorType ||= event.error.type;
    attempt.errorMessage ||= event.error.message;
  }
}

function endAttempt(attempt: AttemptTrace, event: TracedTaskEvent): void {
  if (isEnd(attempt.state) && attempt.endedAtMs !== null && attempt.endedAtMs > event.eventTimeMs) return;
  attempt.state = event.state;
  attempt.endedAtMs = event.eventTimeMs;
  // The end and its start come from one clock.
  attempt.startedAtMs = event.startedAtMs ?? attempt.startedAtMs;
  attempt.durationMs = event.durationUs === null ? null : event.durationUs / 1000;
  attempt.costMicros = event.costMicros;
  attempt.cpuUs = event.cpuUs;
  attempt.ioWaitUs = event.ioWaitUs;
  attempt.cpuRatioMean = event.cpuRatioMean;
  attempt.memoryPeakBytes = event.memoryPeakBytes;
  attempt.errorType = event.error.type;
  attempt.errorMessage = event.error.message;
}

function finishTask({ trace, attempts }: TaskDraft): TaskTrace {
  attempts.sort((left, right) => left.attempt - right.attempt);
  for (const attempt of attempts) if (attempt.state === 'retrying') attempt.state = 'failed';
  return { ...trace, attempts, state: attempts.at(-1)?.state ?? '' };
}

/** Of an execution that was run again, what an earlier run did is no part of this one. */
function dropEarlierRuns(trace: ExecutionTrace): ExecutionTrace {
  const { attempt, startedAtMs } = trace;
  if (attempt < 2 || startedAtMs === null) return trace;
  const isOwn = ({ endedAtMs, firstSeenMs }: AttemptTrace) => (endedAtMs ?? firstSeenMs) >= startedAtMs;
  const tasks = trace.tasks
    .map((task) => ({ ...task, attempts: task.attempts.filter(isOwn) }))
    .filter((task) => task.attempts.length > 0);
  return { ...trace, tasks };
}
