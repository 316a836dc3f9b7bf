import type { ExecutionTold, TaskTold } from '../clickhouse/queries/entity-sources.ts';
import type {
  ExecutionRow,
  LastEnd,
  Ranked,
  Standing,
  TaskAttemptRow,
  TaskStanding,
  Words,
  WorkflowNaming,
} from '../clickhouse/tables/entities.ts';
import type { TaskDependency, TaskState } from '../schemas/events.ts';
import { isEnd } from './fold.ts';

/**
 * What the records of one flush say of one execution or of one attempt of a task, in one row. ClickHouse merges the rows of
 * all flushes by the same rules, so where a flush begins and ends makes no difference: texts are compared byte by
 * byte, as the server does, and of two values that differ the greater stays, whichever came first.
 */

/** A record's event and where it stands in the log. */
export interface Said<Event> {
  partition: number;
  offset: number;
  event: Event;
  /** Bits of the details that it does not tell; 0 where that is not known. */
  untold: number;
}

const wordSize = 2 ** 32;
const endBit = 2 ** 11;
const nothing: Words = { high: 0, low: 0 };
/** The greatest instant, in ms, that a rank has room for: the year 2248, and decoding refuses what lies after 2200. */
const lastInstantMs = 2 ** 43 - 1;
/** Which of two states entered in the same millisecond comes later. */
const stateOrder: Partial<Record<TaskState, number>> = { queued: 1, running: 2, suspended: 3, retrying: 4 };
const endOrder = 5;

/** Attempt, then end or not, then event time. */
const rankOf = (attempt: number, ended: boolean, timeMs: number): Words => ({
  high: attempt * 4096 + (ended ? endBit : 0) + Math.floor(timeMs / wordSize),
  low: timeMs % wordSize,
});

const placeOf = (order: number, partition: number, offset: number): Words => ({
  high: order * 2 ** 28 + partition * 4096 + Math.floor(offset / wordSize),
  low: offset % wordSize,
});

/** The greater, the later the attempt and the earlier the instant within it; 0 stands for unknown. */
function earliestOf(attempt: number, instantMs: number | null): Words {
  if (instantMs === null) return nothing;
  const leftMs = lastInstantMs - instantMs;
  return { high: attempt * 2 ** 11 + Math.floor(leftMs / wordSize), low: leftMs % wordSize };
}

const compareWords = (left: Words, right: Words): number => left.high - right.high || left.low - right.low;
const greaterWords = (left: Words, right: Words): Words => (compareWords(left, right) >= 0 ? left : right);

/** Two records of the same log never have the same rank and place. */
const supersedes = (later: Ranked, earlier: Ranked): boolean =>
  (compareWords(later.rank, earlier.rank) || compareWords(later.place, earlier.place)) > 0;

/** JavaScript compares UTF-16, which puts some characters in another order than their bytes. */
const compareTexts = (left: string, right: string): number =>
  left === right ? 0 : Buffer.compare(Buffer.from(left), Buffer.from(right));

const compareDependencies = (left: TaskDependency, right: TaskDependency): number =>
  compareTexts(left.taskId, right.taskId) ||
  compareTexts(left.type, right.type) ||
  Number(left.optional) - Number(right.optional) ||
  compareTexts(left.condition, right.condition);

/** The greater of two lists, as the server compares them: entry by entry, then by length. */
function greaterList<Entry>(
  left: readonly Entry[],
  right: readonly Entry[],
  compare: (left: Entry, right: Entry) => number,
): readonly Entry[] {
  if (right.length === 0) return left;
  const both = Math.min(left.length, right.length);
  for (let index = 0; index < both; index++) {
    const order = compare(left[index] as Entry, right[index] as Entry);
    if (order !== 0) return order > 0 ? left : right;
  }
  return right.length > left.length ? right : left;
}

type FieldsOf<Row, Event, Value> = {
  [Field in keyof Row & keyof Event]: Row[Field] extends Value ? (Event[Field] extends Value ? Field : never) : never;
}[keyof Row & keyof Event];
type TextFields<Row, Event> = readonly FieldsOf<Row, Event, string>[];
type NumberFields<Row, Event> = readonly FieldsOf<Row, Event, number | null>[];

const executionTexts: TextFields<ExecutionRow, ExecutionTold> = [
  'workflowName',
  'project',
  'sourceVersion',
  'triggerType',
  'triggerSource',
  'triggeredBy',
  'parentExecutionId',
  'parentTaskId',
  'rootExecutionId',
  'tenant',
  'environment',
  'region',
  'correlationId',
  'retryReason',
];
const executionGreatest: NumberFields<ExecutionRow, ExecutionTold> = ['executionNumber'];
const taskTexts: TextFields<TaskAttemptRow, TaskTold> = [
  'project',
  'workflowId',
  'workflowVersion',
  'taskName',
  'taskType',
  'orchestratorId',
  'pool',
  'queue',
  'workerId',
  'childExecutionId',
];
const taskGreatest: NumberFields<TaskAttemptRow, TaskTold> = [
  'readyAtMs',
  'queuedAtMs',
  'dispatchedAtMs',
  'queueUs',
  'stepOrder',
  'maxAttempts',
  'retryDelayUs',
  'nextRetryAtMs',
];

function takeTexts<Row, Event>(row: Row, event: Event, fields: TextFields<Row, Event>): void {
  const known = row as Record<PropertyKey, string>;
  const said = event as Record<PropertyKey, string>;
  for (const field of fields) {
    const text = said[field] as string;
    const before = known[field] as string;
    if (text === '' || text === before) continue;
    if (before === '' || compareTexts(text, before) > 0) known[field] = text;
  }
}

function takeNumbers<Row, Event>(row: Row, event: Event, fields: NumberFields<Row, Event>): void {
  const known = row as Record<PropertyKey, number | null>;
  const said = event as Record<PropertyKey, number | null>;
  for (const field of fields) {
    const value = said[field] as number | null;
    if (value === null) continue;
    const before = known[field] as number | null;
    if (before === null || value > before) known[field] = value;
  }
}

const seenMsOf = ({ startedAtMs, eventTimeMs }: ExecutionTold | TaskTold): number =>
  startedAtMs === null ? eventTimeMs : Math.min(startedAtMs, eventTimeMs);

/** What is the same for executions and tasks: when it was seen, what none of its records tells, and its tags. */
function takeShared(row: ExecutionRow | TaskAttemptRow, { event, untold }: Said<ExecutionTold | TaskTold>): void {
  row.untold &= untold;
  const seenMs = seenMsOf(event);
  if (seenMs < row.firstSeenMs) row.firstSeenMs = seenMs;
  if (event.eventTimeMs > row.lastEventMs) row.lastEventMs = event.eventTimeMs;
  row.tags = greaterList(row.tags, event.tags, compareTexts);
}

function standingOf({ event, partition, offset }: Said<ExecutionTold | TaskTold>): Standing {
  const { state, attempt, eventTimeMs } = event;
  const ended = isEnd(state);
  return {
    rank: rankOf(attempt, ended, eventTimeMs),
    place: placeOf(ended ? endOrder : (stateOrder[state] ?? 0), partition, offset),
    state,
  };
}

const taskStandingOf = (said: Said<ExecutionTold | TaskTold>): TaskStanding => {
  const { event } = said;
  return {
    ...standingOf(said),
    durationUs: event.durationUs,
    costMicros: event.costMicros,
    cpuUs: event.cpuUs,
    memoryPeakBytes: event.memoryPeakBytes,
    errorType: event.error.type,
    errorCode: event.error.code,
    errorMessage: event.error.message,
  };
};

const endOf = (said: Said<ExecutionTold>): LastEnd => {
  const { queueUs, cancelReason } = said.event;
  return { ...taskStandingOf(said), queueUs, cancelReason };
};

const noEnd: LastEnd = {
  rank: nothing,
  place: nothing,
  state: '',
  durationUs: null,
  costMicros: null,
  cpuUs: null,
  memoryPeakBytes: null,
  errorType: '',
  errorCode: '',
  errorMessage: '',
  queueUs: null,
  cancelReason: '',
};

/** The row of an execution of which this record is the first. */
export function beginExecution(said: Said<ExecutionTold>): ExecutionRow {
  const { event } = said;
  const { attempt, progressRatio, phase, substatus } = event;
  const standing = standingOf(said);
  return {
    workspace: event.workspace,
    source: event.source,
    executionId: event.executionId,
    firstSeenMs: seenMsOf(event),
    lastEventMs: event.eventTimeMs,
    untold: said.untold,
    now: { ...standing, progressRatio, phase, substatus },
    lastEnd: isEnd(event.state) ? endOf(said) : noEnd,
    workflow: namingOf(event, standing),
    earliestStart: earliestOf(attempt, event.startedAtMs),
    earliestQueueing: earliestOf(attempt, event.queuedAtMs),
    earliestSchedule: earliestOf(attempt, event.scheduledAtMs),
    workflowName: event.workflowName,
    project: event.project,
    sourceVersion: event.sourceVersion,
    executionNumber: event.executionNumber,
    triggerType: event.triggerType,
    triggerSource: event.triggerSource,
    triggeredBy: event.triggeredBy,
    parentExecutionId: event.parentExecutionId,
    parentTaskId: event.parentTaskId,
    rootExecutionId: event.rootExecutionId,
    tenant: event.tenant,
    environment: event.environment,
    region: event.region,
    correlationId: event.correlationId,
    retryReason: event.retryReason,
    tags: event.tags,
  };
}

export function takeExecution(row: ExecutionRow, said: Said<ExecutionTold>): void {
  const { event } = said;
  const { attempt, progressRatio, phase, substatus } = event;
  takeShared(row, said);
  takeTexts(row, event, executionTexts);
  takeNumbers(row, event, executionGreatest);
  row.earliestStart = greaterWords(row.earliestStart, earliestOf(attempt, event.startedAtMs));
  row.earliestQueueing = greaterWords(row.earliestQueueing, earliestOf(attempt, event.queuedAtMs));
  row.earliestSchedule = greaterWords(row.earliestSchedule, earliestOf(attempt, event.scheduledAtMs));
  const standing = standingOf(said);
  row.workflow = laterNaming(row.workflow, namingOf(event, standing));
  if (isEnd(event.state) && supersedes(standing, row.lastEnd)) row.lastEnd = endOf(said);
  if (supersedes(standing, row.now)) row.now = { ...standing, progressRatio, phase, substatus };
}

/** A record without a version says less than one with it, however late. */
function namingOf({ workflowId, workflowVersion }: ExecutionTold, { rank, place }: Ranked): WorkflowNaming {
  const isVersioned = workflowVersion !== '';
  return { rank: isVersioned ? rank : nothing, place: isVersioned ? place : nothing, workflowId, workflowVersion };
}

/** Between two that say no version the greater id stays. */
function laterNaming(left: WorkflowNaming, right: WorkflowNaming): WorkflowNaming {
  const isRanked = left.workflowVersion !== '' || right.workflowVersion !== '';
  if (isRanked) return supersedes(right, left) ? right : left;
  return compareTexts(right.workflowId, left.workflowId) > 0 ? right : left;
}

/** The row of an attempt of which this record is the first. */
export function beginAttempt(said: Said<TaskTold>): TaskAttemptRow {
  const { event } = said;
  return {
    workspace: event.workspace,
    source: event.source,
    executionId: event.executionId,
    taskId: event.taskId,
    mapIndex: event.mapIndex,
    attempt: event.attempt,
    firstSeenMs: seenMsOf(event),
    lastEventMs: event.eventTimeMs,
    untold: said.untold,
    now: taskStandingOf(said),
    readyAtMs: event.readyAtMs,
    queuedAtMs: event.queuedAtMs,
    dispatchedAtMs: event.dispatchedAtMs,
    earliestStart: earliestOf(event.attempt, event.startedAtMs),
    queueUs: event.queueUs,
    project: event.project,
    workflowId: event.workflowId,
    workflowVersion: event.workflowVersion,
    taskName: event.taskName,
    taskType: event.taskType,
    orchestratorId: event.orchestratorId,
    pool: event.pool,
    queue: event.queue,
    workerId: event.workerId,
    childExecutionId: event.childExecutionId,
    stepOrder: event.stepOrder,
    maxAttempts: event.maxAttempts,
    retryDelayUs: event.retryDelayUs,
    nextRetryAtMs: event.nextRetryAtMs,
    dependencies: event.dependencies,
    tags: event.tags,
  };
}

export function takeAttempt(row: TaskAttemptRow, said: Said<TaskTold>): void {
  const { event } = said;
  takeShared(row, said);
  takeTexts(row, event, taskTexts);
  takeNumbers(row, event, taskGreatest);
  row.dependencies = greaterList(row.dependencies, event.dependencies, compareDependencies);
  row.earliestStart = greaterWords(row.earliestStart, earliestOf(event.attempt, event.startedAtMs));
  const standing = taskStandingOf(said);
  if (supersedes(standing, row.now)) row.now = standing;
}
