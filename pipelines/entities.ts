import type {
  ExecutionRow,
  ExecutionStanding,
  LastEnd,
  Ranked,
  Standing,
  TaskAttemptRow,
  TaskEnd,
  Words,
} from '../clickhouse/tables/entities.ts';
import type { ExecutionEvent, RunEvent, TaskEvent, TaskState } from '../schemas/events.ts';
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

const compareFields = (left: object, right: object): number => {
  const others = Object.values(right) as unknown[];
  for (const [index, value] of Object.values(left).entries()) {
    const other = others[index];
    const order = typeof value === 'string' ? compareTexts(value, other as string) : Number(value) - Number(other);
    if (order !== 0) return order;
  }
  return 0;
};

/** The greater of two lists, as the server compares them: entry by entry, then by length. */
function greaterList<Entry extends string | object>(
  left: readonly Entry[],
  right: readonly Entry[],
  compare: (left: Entry, right: Entry) => number,
): readonly Entry[] {
  if (right.length === 0 || left === right) return left;
  for (const [index, entry] of left.entries()) {
    if (index === right.length) return left;
    const order = compare(entry, right[index] as Entry);
    if (order !== 0) return order > 0 ? left : right;
  }
  return right.length > left.length ? right : left;
}

type FieldsOf<Row, Event, Value> = {
  [Field in keyof Row & keyof Event]: Row[Field] extends Value ? (Event[Field] extends Value ? Field : never) : never;
}[keyof Row & keyof Event];
type TextFields<Row, Event> = readonly FieldsOf<Row, Event, string>[];
type NumberFields<Row, Event> = readonly FieldsOf<Row, Event, number | null>[];

const executionTexts: TextFields<ExecutionRow, ExecutionEvent> = [
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
const executionGreatest: NumberFields<ExecutionRow, ExecutionEvent> = ['executionNumber'];
const taskTexts: TextFields<TaskAttemptRow, TaskEvent> = [
  'project',
  'workflowId',
  'workflowName',
  'workflowVersion',
  'taskName',
  'taskType',
  'operator',
  'taskGroup',
  'orchestratorId',
  'pool',
  'queue',
  'workerId',
  'host',
  'triggerRule',
  'compensates',
  'cacheStatus',
  'childExecutionId',
  'retryReason',
];
const taskGreatest: NumberFields<TaskAttemptRow, TaskEvent> = [
  'queueUs',
  'stepOrder',
  'loopIteration',
  'priority',
  'maxAttempts',
  'retryDelayUs',
  'nextRetryAtMs',
];
const taskLeast: NumberFields<TaskAttemptRow, TaskEvent> = [
  'scheduledAtMs',
  'readyAtMs',
  'queuedAtMs',
  'dispatchedAtMs',
  'startedAtMs',
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

function takeNumbers<Row, Event>(row: Row, event: Event, fields: NumberFields<Row, Event>, sign: 1 | -1): void {
  const known = row as Record<PropertyKey, number | null>;
  const said = event as Record<PropertyKey, number | null>;
  for (const field of fields) {
    const value = said[field] as number | null;
    const before = known[field] as number | null;
    if (value !== null && (before === null || (value - before) * sign > 0)) known[field] = value;
  }
}

/** What is the same for executions and tasks: when it was seen, its tags, and whether the record's end is the latest. */
function takeShared(row: ExecutionRow | TaskAttemptRow, event: RunEvent): void {
  const seenMs = event.startedAtMs === null ? event.eventTimeMs : Math.min(event.startedAtMs, event.eventTimeMs);
  if (seenMs < row.firstSeenMs) row.firstSeenMs = seenMs;
  if (event.eventTimeMs > row.lastEventMs) row.lastEventMs = event.eventTimeMs;
  row.tags = greaterList(row.tags, event.tags, compareTexts);
}

function standingOf({ event, partition, offset }: Said<ExecutionEvent | TaskEvent>): Standing {
  const { state, attempt, eventTimeMs } = event;
  const ended = isEnd(state);
  return {
    rank: rankOf(attempt, ended, eventTimeMs),
    place: placeOf(ended ? endOrder : (stateOrder[state] ?? 0), partition, offset),
    state,
  };
}

const endOf = ({ rank, place, state }: Standing, event: RunEvent): LastEnd => ({
  rank,
  place,
  state,
  durationUs: event.durationUs,
  queueUs: event.queueUs,
  costMicros: event.costMicros,
  cpuUs: event.cpuUs,
  memoryPeakBytes: event.memoryPeakBytes,
  errorType: event.error.type,
  errorCode: event.error.code,
  errorMessage: event.error.message,
  cancelReason: event.cancelReason,
});

const noStanding: ExecutionStanding = {
  rank: nothing,
  place: nothing,
  state: '',
  progressRatio: null,
  phase: '',
  substatus: '',
};
const noEnd: TaskEnd = {
  rank: nothing,
  place: nothing,
  state: '',
  durationUs: null,
  queueUs: null,
  costMicros: null,
  cpuUs: null,
  memoryPeakBytes: null,
  errorType: '',
  errorCode: '',
  errorMessage: '',
  errorRetryable: null,
  cancelReason: '',
};

/** A row that says nothing yet, of the execution that the event speaks of. */
export const beginExecution = ({ workspace, source, executionId }: ExecutionEvent): ExecutionRow => ({
  workspace,
  source,
  executionId,
  firstSeenMs: Number.POSITIVE_INFINITY,
  lastEventMs: 0,
  now: noStanding,
  lastEnd: noEnd,
  workflow: { rank: nothing, place: nothing, workflowId: '', workflowVersion: '' },
  earliestStart: nothing,
  earliestQueueing: nothing,
  earliestSchedule: nothing,
  workflowName: '',
  project: '',
  sourceVersion: '',
  executionNumber: null,
  triggerType: '',
  triggerSource: '',
  triggeredBy: '',
  parentExecutionId: '',
  parentTaskId: '',
  rootExecutionId: '',
  tenant: '',
  environment: '',
  region: '',
  correlationId: '',
  retryReason: '',
  tags: [],
});

export function takeExecution(row: ExecutionRow, said: Said<ExecutionEvent>): void {
  const { event } = said;
  const { attempt, progressRatio, phase, substatus } = event;
  takeShared(row, event);
  takeTexts(row, event, executionTexts);
  takeNumbers(row, event, executionGreatest, 1);
  row.earliestStart = greaterWords(row.earliestStart, earliestOf(attempt, event.startedAtMs));
  row.earliestQueueing = greaterWords(row.earliestQueueing, earliestOf(attempt, event.queuedAtMs));
  row.earliestSchedule = greaterWords(row.earliestSchedule, earliestOf(attempt, event.scheduledAtMs));
  const standing = standingOf(said);
  takeWorkflow(row, event, standing);
  if (isEnd(event.state) && supersedes(standing, row.lastEnd)) row.lastEnd = endOf(standing, event);
  if (supersedes(standing, row.now)) row.now = { ...standing, progressRatio, phase, substatus };
}

/** A record without a version says less than one with it, however late; between such the greatest id stays. */
function takeWorkflow(row: ExecutionRow, event: ExecutionEvent, { rank, place }: Ranked): void {
  const { workflowId, workflowVersion } = event;
  const isVersioned = workflowVersion !== '';
  const said = { rank: isVersioned ? rank : nothing, place: isVersioned ? place : nothing };
  const naming = { ...said, workflowId, workflowVersion };
  const { workflow: known } = row;
  const isLater =
    isVersioned || known.workflowVersion !== ''
      ? supersedes(naming, known)
      : compareTexts(workflowId, known.workflowId) > 0;
  if (isLater) row.workflow = naming;
}

/** A row that says nothing yet, of the attempt that the event speaks of. */
export const beginAttempt = (event: TaskEvent): TaskAttemptRow => ({
  workspace: event.workspace,
  source: event.source,
  executionId: event.executionId,
  taskId: event.taskId,
  mapIndex: event.mapIndex,
  attempt: event.attempt,
  firstSeenMs: Number.POSITIVE_INFINITY,
  lastEventMs: 0,
  now: noStanding,
  lastEnd: noEnd,
  scheduledAtMs: null,
  readyAtMs: null,
  queuedAtMs: null,
  dispatchedAtMs: null,
  startedAtMs: null,
  queueUs: null,
  project: '',
  workflowId: '',
  workflowName: '',
  workflowVersion: '',
  taskName: '',
  taskType: '',
  operator: '',
  taskGroup: '',
  orchestratorId: '',
  pool: '',
  queue: '',
  workerId: '',
  host: '',
  triggerRule: '',
  compensates: '',
  cacheStatus: '',
  childExecutionId: '',
  retryReason: '',
  stepOrder: null,
  loopIteration: null,
  priority: null,
  maxAttempts: null,
  retryDelayUs: null,
  nextRetryAtMs: null,
  dependencies: [],
  dependents: [],
  tags: [],
});

export function takeAttempt(row: TaskAttemptRow, said: Said<TaskEvent>): void {
  const { event } = said;
  takeShared(row, event);
  takeTexts(row, event, taskTexts);
  takeNumbers(row, event, taskGreatest, 1);
  takeNumbers(row, event, taskLeast, -1);
  row.dependencies = greaterList(row.dependencies, event.dependencies, compareFields);
  row.dependents = greaterList(row.dependents, event.dependents, compareTexts);
  const standing = standingOf(said);
  if (isEnd(event.state) && supersedes(standing, row.lastEnd)) {
    row.lastEnd = { ...endOf(standing, event), errorRetryable: event.errorRetryable };
  }
  if (supersedes(standing, row.now)) row.now = standing;
}
