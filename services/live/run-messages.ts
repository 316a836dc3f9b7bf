import type { Static } from 'typebox';
import { type ExecutionEvent, endStates, type TaskEvent } from '../../schemas/events.ts';
import type { ExecutionUpdate, TaskFailure, TaskUpdate } from '../../schemas/live.ts';

/** What is told of executions and tasks, from one event or from the row that holds their latest state. */

type SharedFact =
  | 'source'
  | 'project'
  | 'executionId'
  | 'workflowId'
  | 'attempt'
  | 'eventTimeMs'
  | 'startedAtMs'
  | 'durationUs'
  | 'queueUs'
  | 'costMicros'
  | 'cpuUs'
  | 'memoryPeakBytes';
interface ToldError {
  error: { type: string; code: string; message: string };
}
export type ExecutionFacts = ToldError &
  Pick<
    ExecutionEvent,
    | SharedFact
    | 'workflowName'
    | 'workflowVersion'
    | 'executionNumber'
    | 'progressRatio'
    | 'phase'
    | 'substatus'
    | 'triggerType'
    | 'triggerSource'
    | 'cancelReason'
    | 'parentExecutionId'
  > & { state: string };
export type TaskFacts = ToldError &
  Pick<
    TaskEvent,
    SharedFact | 'taskId' | 'taskName' | 'taskType' | 'mapIndex' | 'readyAtMs' | 'pool' | 'queue' | 'workerId'
  > & { state: string };

const ends: ReadonlySet<string> = new Set(endStates);
export const isFailure = (state: string): boolean => state === 'failed' || state === 'timeout';

export const toInstant = (ms: number): string => new Date(ms).toISOString();
export const toMaybeInstant = (ms: number | null): string | null => (ms === null ? null : toInstant(ms));
export const orNull = (text: string): string | null => (text === '' ? null : text);
export const toMs = (us: number | null): number | null => (us === null ? null : us / 1000);

function errorOf({ error: { type, code, message } }: ToldError) {
  return type === '' && code === '' && message === '' ? null : { type, code, message };
}

function resourcesOf({ cpuUs, memoryPeakBytes, costMicros }: ExecutionFacts | TaskFacts) {
  return {
    cpuSeconds: cpuUs === null ? null : cpuUs / 1e6,
    memoryMB: memoryPeakBytes === null ? null : memoryPeakBytes / 1e6,
    cost: costMicros === null ? null : costMicros / 1e6,
  };
}

/** An end without a duration of its own has one where its start is known. */
export function durationMsOf({ state, durationUs, startedAtMs, eventTimeMs }: ExecutionFacts | TaskFacts) {
  if (!ends.has(state)) return null;
  if (durationUs !== null) return durationUs / 1000;
  return startedAtMs === null || startedAtMs > eventTimeMs ? null : eventTimeMs - startedAtMs;
}

const startOf = ({ state, startedAtMs, eventTimeMs }: ExecutionFacts | TaskFacts): number | null =>
  startedAtMs ?? (state === 'running' ? eventTimeMs : null);

export function describeExecution(facts: ExecutionFacts): Static<typeof ExecutionUpdate> {
  const { state, eventTimeMs, progressRatio: progress, phase, substatus } = facts;
  return {
    id: facts.executionId,
    workflowId: facts.workflowId,
    workflowName: facts.workflowName || facts.workflowId,
    workflowVersion: facts.workflowVersion,
    source: facts.source,
    project: facts.project,
    executionNumber: facts.executionNumber,
    attempt: facts.attempt,
    status: { state, progress, phase, substatus: orNull(substatus) },
    trigger: { type: facts.triggerType, source: facts.triggerSource },
    startTime: toMaybeInstant(startOf(facts)),
    endTime: ends.has(state) ? toInstant(eventTimeMs) : null,
    duration: durationMsOf(facts),
    queueTime: toMs(facts.queueUs),
    resources: resourcesOf(facts),
    error: errorOf(facts),
    cancelReason: orNull(facts.cancelReason),
    parentExecutionId: orNull(facts.parentExecutionId),
    timestamp: toInstant(eventTimeMs),
  };
}

export function describeTask(facts: TaskFacts): Static<typeof TaskUpdate> {
  const { state, eventTimeMs } = facts;
  return {
    id: facts.taskId,
    executionId: facts.executionId,
    workflowId: facts.workflowId,
    source: facts.source,
    project: facts.project,
    taskName: facts.taskName || facts.taskId,
    taskType: facts.taskType,
    mapIndex: facts.mapIndex < 0 ? null : facts.mapIndex,
    attempt: facts.attempt,
    status: { state },
    readyTime: toMaybeInstant(facts.readyAtMs),
    startTime: toMaybeInstant(startOf(facts)),
    endTime: ends.has(state) ? toInstant(eventTimeMs) : null,
    duration: durationMsOf(facts),
    queueTime: toMs(facts.queueUs),
    resources: resourcesOf(facts),
    pool: orNull(facts.pool),
    queue: orNull(facts.queue),
    worker: orNull(facts.workerId),
    error: errorOf(facts),
    timestamp: toInstant(eventTimeMs),
  };
}

export function describeFailure(facts: TaskFacts): Static<typeof TaskFailure> {
  const { type, code, message } = facts.error;
  return {
    taskId: facts.taskId,
    executionId: facts.executionId,
    workflowId: facts.workflowId,
    source: facts.source,
    mapIndex: facts.mapIndex < 0 ? null : facts.mapIndex,
    attempt: facts.attempt,
    state: facts.state,
    errorType: type,
    errorCode: code,
    errorMessage: message,
    worker: orNull(facts.workerId),
    timestamp: toInstant(facts.eventTimeMs),
  };
}
