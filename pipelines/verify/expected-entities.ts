import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';

/**
 * What the views of executions and attempts must show, computed the plain way from all records of one entity side by side. It
 * shares no code with the rows that the pipeline writes, nor with the numbers they are packed into.
 */

type Event = ExecutionEvent | TaskEvent;

/** What a record says that entities show: all else, such as inputs and outputs, would only fill memory. */
export type EntityRecord = Pick<Event, (typeof sharedFields)[number]> &
  Partial<Record<(typeof ownFields)[number], unknown>> & { offset: number };

const sharedFields = [
  'kind',
  'workspace',
  'project',
  'source',
  'workflowId',
  'workflowVersion',
  'executionId',
  'attempt',
  'state',
  'eventTimeMs',
  'scheduledAtMs',
  'queuedAtMs',
  'startedAtMs',
  'durationUs',
  'queueUs',
  'costMicros',
  'cpuUs',
  'memoryPeakBytes',
  'error',
  'cancelReason',
  'tags',
  'origin',
] as const;
const executionTexts = [
  'workflowName',
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
] as const;
const taskTexts = [
  'workflowId',
  'workflowVersion',
  'taskName',
  'taskType',
  'orchestratorId',
  'pool',
  'queue',
  'workerId',
  'childExecutionId',
] as const;
const taskInstants = ['readyAtMs', 'queuedAtMs', 'dispatchedAtMs', 'nextRetryAtMs'] as const;
const ownFields = [
  ...executionTexts,
  ...taskTexts,
  ...taskInstants,
  'executionNumber',
  'progressRatio',
  'phase',
  'substatus',
  'taskId',
  'mapIndex',
  'stepOrder',
  'maxAttempts',
  'retryDelayUs',
  'dependencies',
] as const;

export function entityRecord(event: Event, offset: number): EntityRecord {
  const fields = event as unknown as Record<string, unknown>;
  const record: Record<string, unknown> = { offset };
  for (const field of [...sharedFields, ...ownFields]) if (field in fields) record[field] = fields[field];
  record.error = { ...event.error, stack: '' };
  return record as EntityRecord;
}

/** What names the entity among those of its view, as text. */
export function entityName({ workspace, source, executionId, taskId, mapIndex, attempt, kind }: EntityRecord): string {
  const execution = [workspace, source, executionId];
  return JSON.stringify(kind === 'task' ? [...execution, taskId, mapIndex, attempt] : execution);
}

const ends = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped']);
const hasEnded = ({ state }: EntityRecord): boolean => ends.has(state);
const ranks = ['pending', 'queued', 'running', 'suspended', 'retrying'];

/** Which of two records speaks of the later state. */
function isLater(record: EntityRecord, than: EntityRecord): boolean {
  const order = (of: EntityRecord) => [
    of.attempt,
    hasEnded(of) ? 1 : 0,
    of.eventTimeMs,
    hasEnded(of) ? ranks.length : ranks.indexOf(of.state),
    of.offset,
  ];
  const left = order(record);
  const right = order(than);
  const at = left.findIndex((value, index) => value !== right[index]);
  return at >= 0 && (left[at] as number) > (right[at] as number);
}

const latestOf = (records: readonly EntityRecord[]): EntityRecord | undefined =>
  records.reduce<EntityRecord | undefined>(
    (latest, record) => (latest === undefined || isLater(record, latest) ? record : latest),
    undefined,
  );

const instant = (ms: number | null | undefined): string | null => (ms == null ? null : new Date(ms).toISOString());
const numbers = (records: readonly EntityRecord[], field: keyof EntityRecord): number[] =>
  records.map((record) => record[field]).filter((value): value is number => typeof value === 'number');
const least = (values: readonly number[]): number | null =>
  values.reduce<number | null>((found, value) => (found === null || value < found ? value : found), null);
const greatest = (values: readonly number[]): number | null =>
  values.reduce<number | null>((found, value) => (found === null || value > found ? value : found), null);

const greatestText = (records: readonly EntityRecord[], field: string): string =>
  records
    .map((record) => String((record as Record<string, unknown>)[field] ?? '').toWellFormed())
    .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
    .at(-1) ?? '';

/** Of lists the one that the server calls the greatest: by their first entry that differs, then by length. */
function greatestList(records: readonly EntityRecord[], field: 'tags' | 'dependencies'): unknown[] {
  const lists = records.map((record) => (record[field] ?? []) as (string | Record<string, unknown>)[]);
  const partsOf = (entry: string | Record<string, unknown>) =>
    typeof entry === 'string' ? [entry] : [entry.taskId, entry.type, entry.optional ? '1' : '0', entry.condition];
  const compare = (left: unknown[], right: unknown[]): number => {
    for (let at = 0; at < Math.min(left.length, right.length); at++) {
      const order = Buffer.compare(Buffer.from(String(left[at])), Buffer.from(String(right[at])));
      if (order !== 0) return order;
    }
    return left.length - right.length;
  };
  return lists.sort((left, right) => compare(left.flatMap(partsOf), right.flatMap(partsOf))).at(-1) ?? [];
}

const snakeCase = (field: string): string =>
  field.replace(/AtMs$/, '_at').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const named = (fields: readonly string[], records: readonly EntityRecord[]): Record<string, unknown> =>
  Object.fromEntries(fields.map((field) => [snakeCase(field), greatestText(records, field)]));

/** Columns of the view, by name, that the records of one entity must show. */
export function expectEntity(records: readonly EntityRecord[]): Record<string, unknown> {
  const [first] = records;
  const shared = {
    workspace: first?.workspace,
    source: first?.source,
    execution_id: first?.executionId,
    project: greatestText(records, 'project'),
    first_seen_at: instant(least([...numbers(records, 'eventTimeMs'), ...numbers(records, 'startedAtMs')])),
    last_event_at: instant(greatest(numbers(records, 'eventTimeMs'))),
    tags: greatestList(records, 'tags'),
  };
  return first?.kind === 'task' ? { ...shared, ...expectAttempt(records) } : { ...shared, ...expectExecution(records) };
}

const perMille = (value: number | null | undefined): number | null => (value == null ? null : value / 1000);
const perMillion = (value: number | null | undefined): number | null => (value == null ? null : value / 1_000_000);

/** As the end says itself, or from the first start of the same attempt. */
function durationMs(end: EntityRecord | undefined, startMs: number | null): number | null {
  if (end === undefined) return null;
  if (end.durationUs !== null) return end.durationUs / 1000;
  return startMs !== null && startMs <= end.eventTimeMs ? end.eventTimeMs - startMs : null;
}

function expectExecution(records: readonly EntityRecord[]): Record<string, unknown> {
  const now = latestOf(records) as EntityRecord;
  const lastEnd = latestOf(records.filter(hasEnded));
  const ended = hasEnded(now) ? now : undefined;
  const ofAttempt = records.filter(({ attempt }) => attempt === now.attempt);
  const startMs = least(numbers(ofAttempt, 'startedAtMs'));
  const queuedMs = least(numbers(ofAttempt, 'queuedAtMs'));
  const waitedMs = queuedMs !== null && startMs !== null && queuedMs <= startMs ? startMs - queuedMs : null;
  const scheduled = records.filter(({ scheduledAtMs }) => scheduledAtMs !== null);
  const lastSchedule = greatest(numbers(scheduled, 'attempt'));
  // The start that is kept is that of the latest attempt that began.
  const startedAttempt = greatest(
    numbers(
      records.filter(({ startedAtMs }) => startedAtMs !== null),
      'attempt',
    ),
  );
  const lastEndStart = startedAttempt === lastEnd?.attempt ? startOf(records, lastEnd?.attempt) : null;
  const versioned = latestOf(records.filter(({ workflowVersion }) => workflowVersion !== ''));
  return {
    ...named(executionTexts, records),
    workflow_id: versioned?.workflowId ?? greatestText(records, 'workflowId'),
    workflow_version: versioned?.workflowVersion ?? '',
    execution_number: greatest(numbers(records, 'executionNumber')),
    attempts: now.attempt,
    state: now.state,
    is_open: ended === undefined ? 1 : 0,
    progress_ratio: now.progressRatio ?? null,
    phase: now.phase,
    substatus: now.substatus,
    scheduled_at: instant(
      least(
        numbers(
          scheduled.filter(({ attempt }) => attempt === lastSchedule),
          'scheduledAtMs',
        ),
      ),
    ),
    queued_at: instant(queuedMs),
    started_at: instant(startMs),
    ended_at: instant(ended?.eventTimeMs),
    last_end_duration_ms: durationMs(lastEnd, lastEndStart),
    duration_ms: durationMs(ended, startMs),
    queue_ms: perMille(ended?.queueUs) ?? waitedMs,
    cost: perMillion(ended?.costMicros),
    cpu_ms: perMille(ended?.cpuUs),
    memory_peak_bytes: ended?.memoryPeakBytes ?? null,
    error_type: ended?.error.type ?? '',
    error_code: ended?.error.code ?? '',
    error_message: ended?.error.message ?? '',
    cancel_reason: ended?.cancelReason ?? '',
    last_end_state: lastEnd?.state ?? '',
    last_ended_at: instant(lastEnd?.eventTimeMs),
    last_end_error_type: lastEnd?.error.type ?? '',
  };
}

const startOf = (records: readonly EntityRecord[], attempt: number | undefined): number | null =>
  least(
    numbers(
      records.filter((record) => record.attempt === attempt),
      'startedAtMs',
    ),
  );

function expectAttempt(records: readonly EntityRecord[]): Record<string, unknown> {
  const now = latestOf(records) as EntityRecord;
  const ended = hasEnded(now) ? now : undefined;
  const startMs = least(numbers(records, 'startedAtMs'));
  return {
    ...named(taskTexts, records),
    ...Object.fromEntries(taskInstants.map((field) => [snakeCase(field), instant(greatest(numbers(records, field)))])),
    task_id: now.taskId,
    map_index: now.mapIndex,
    attempt: now.attempt,
    step_order: greatest(numbers(records, 'stepOrder')),
    state: now.state,
    is_open: ended === undefined ? 1 : 0,
    started_at: instant(startMs),
    ended_at: instant(ended?.eventTimeMs),
    duration_ms: durationMs(ended, startMs),
    queue_ms: perMille(greatest(numbers(records, 'queueUs'))),
    cost: perMillion(now.costMicros),
    cpu_ms: perMille(now.cpuUs),
    memory_peak_bytes: now.memoryPeakBytes,
    error_type: now.error.type,
    error_code: now.error.code,
    error_message: now.error.message,
    max_attempts: greatest(numbers(records, 'maxAttempts')),
    retry_delay_ms: perMille(greatest(numbers(records, 'retryDelayUs'))),
    dependencies: (greatestList(records, 'dependencies') as Record<string, unknown>[]).map(
      ({ taskId, ...dependency }) => ({ task_id: taskId, ...dependency }),
    ),
  };
}
