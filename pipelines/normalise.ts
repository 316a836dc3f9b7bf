import {
  type Artifact,
  type ErrorInfo,
  type ExecutionErrorEntry,
  type ExecutionEvent,
  type ExecutionState,
  endStates,
  executionStates,
  type HealthIndicator,
  type Origin,
  type TaskDependency,
  type TaskEvent,
  type TaskState,
  taskStates,
} from '../schemas/events.ts';
import type {
  ArtifactRecord,
  ErrorEntryRecord,
  ExecutionRecord,
  HealthIndicatorRecord,
  TaskDependencyRecord,
  TaskRecord,
} from '../schemas/records.ts';
import {
  beginFindings,
  bounds,
  endFindings,
  readCostMicros,
  readCount,
  readCpuUs,
  readDurationUs,
  readId,
  readIdOr,
  readInstant,
  readJson,
  readLabels,
  readMeasure,
  readName,
  readNumbers,
  readRatio,
  readSignedCount,
  readText,
  readTexts,
  readType,
} from './bounded.ts';
import { Refusal } from './rejections.ts';

/**
 * From a decoded record (of any encoding, under its wire names) to a canonical event. Field by field and
 * without loops over names, because every record passes here. A record that breaks a rule is refused with
 * the reason; normalising what was already normalised changes nothing.
 */

/** What a record is judged against besides its own fields. */
export interface RecordContext {
  /** Record time; for a replayed record that of its origin, so that a replay is judged as the first time. */
  recordTimeMs: number;
  pastBoundMs: number;
  futureBoundMs: number;
  origin: Origin | null;
}

const earliestEventMs = Date.UTC(2015, 0);
const maxAttempt = 1_000_000;

/** The event time rules. They bound how far back history must be kept and how far ahead a clock may run. */
export function readEventTime(value: number | null | undefined, context: RecordContext): number {
  if (value === null || value === undefined) throw new Refusal('missing_time', 'event_time is absent');
  if (!(value >= earliestEventMs)) {
    if (Number.isNaN(value)) throw new Refusal('malformed_time', 'event_time is no number');
    throw new Refusal('too_old', `event_time ${formatInstant(value)} lies before 2015`);
  }
  if (value > context.recordTimeMs + context.futureBoundMs) {
    const aheadMs = value - context.recordTimeMs;
    throw new Refusal('future', `event_time ${formatInstant(value)} lies ${aheadMs} ms ahead of the record time`);
  }
  if (value < context.recordTimeMs - context.pastBoundMs) {
    const behindMs = context.recordTimeMs - value;
    throw new Refusal('too_late', `event_time ${formatInstant(value)} lies ${behindMs} ms behind the record time`);
  }
  return Math.round(value);
}

function formatInstant(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`;
}

const spellings: Record<string, string> = {
  canceled: 'cancelled',
  timed_out: 'timeout',
  timedout: 'timeout',
};

function stateReader<State extends string>(states: readonly State[]): (value: unknown) => State {
  const known = new Map<unknown, State>(states.map((state) => [state, state]));
  return (value) => known.get(value) ?? readUnusualState(value, known);
}

/** Other cases, enum names with their class (`State.RUNNING`) and common spellings of the same word. */
function readUnusualState<State extends string>(value: unknown, known: Map<unknown, State>): State {
  if (value === null || value === undefined || value === '') throw new Refusal('missing_state', 'state is absent');
  if (typeof value !== 'string') throw new Refusal('wrong_type', 'state is no text');
  const plain = value
    .slice(value.lastIndexOf('.') + 1)
    .trim()
    .toLowerCase();
  const state = known.get(plain) ?? known.get(spellings[plain]);
  if (state === undefined) throw new Refusal('unknown_state', `state is "${readText(value, 'state', 64)}"`);
  return state;
}

const readExecutionState = stateReader<ExecutionState>(executionStates);
const readTaskState = stateReader<TaskState>(taskStates);
const ends: ReadonlySet<string> = new Set(endStates);

function readAttempt(value: number | null | undefined): number {
  if (value === null || value === undefined) return 1;
  if (!(value >= 1 && value <= maxAttempt && Number.isInteger(value))) {
    throw new Refusal('attempt_out_of_range', `attempt is ${value}`);
  }
  return value;
}

/** Start, duration and waiting of one attempt, with what follows from the others where it was not sent. */
interface Spans {
  startedAtMs: number | null;
  durationUs: number | null;
  queueUs: number | null;
}

function readSpans(
  record: ExecutionRecord | TaskRecord,
  state: TaskState,
  eventTimeMs: number,
  queuedAtMs: number | null,
  context: RecordContext,
): Spans {
  let startedAtMs = readInstant(record.started_at, 'started_at');
  let durationUs = readDurationUs(record.duration_ms, 'duration_ms');
  if (ends.has(state)) {
    if (startedAtMs !== null && startedAtMs > eventTimeMs) {
      const aheadMs = startedAtMs - eventTimeMs;
      throw new Refusal('finish_before_start', `started_at lies ${aheadMs} ms after the end`);
    }
    if (durationUs === null && startedAtMs !== null) {
      durationUs = readDurationUs(eventTimeMs - startedAtMs, 'event_time - started_at');
    } else if (durationUs !== null && startedAtMs === null) {
      startedAtMs = eventTimeMs - Math.round(durationUs / 1000);
    }
  } else if (startedAtMs !== null && startedAtMs > context.recordTimeMs + context.futureBoundMs) {
    throw new Refusal('future', `started_at ${formatInstant(startedAtMs)} lies ahead of the record time`);
  } else if (startedAtMs === null && state === 'running') {
    startedAtMs = eventTimeMs;
  }
  let queueUs = readDurationUs(record.queue_ms, 'queue_ms');
  if (queueUs === null && startedAtMs !== null && queuedAtMs !== null && startedAtMs >= queuedAtMs) {
    queueUs = readDurationUs(startedAtMs - queuedAtMs, 'started_at - queued_at');
  }
  return { startedAtMs, durationUs, queueUs };
}

const noError: ErrorInfo = Object.freeze({ type: '', code: '', message: '', stack: '' });
const isSaid = (text: string | null | undefined): boolean => text !== null && text !== undefined && text !== '';

function readError(record: ExecutionRecord | TaskRecord): ErrorInfo {
  const { error_type: type, error_code: code, error_message: message, error_stack: stack } = record;
  if (!isSaid(type) && !isSaid(code) && !isSaid(message) && !isSaid(stack)) return noError;
  return {
    type: readName(record.error_type, 'error_type'),
    code: readName(record.error_code, 'error_code'),
    message: readText(record.error_message, 'error_message', bounds.errorMessageCharacters),
    stack: readText(record.error_stack, 'error_stack', bounds.errorStackCharacters),
  };
}

function readHealthIndicator(record: HealthIndicatorRecord): HealthIndicator {
  return {
    name: readName(record.name, 'health_indicators'),
    status: readType(record.status, 'health_indicators'),
    value: readMeasure(record.value, 'health_indicators.value'),
    message: readText(record.message, 'health_indicators', bounds.errorMessageCharacters),
  };
}

function readArtifact(record: ArtifactRecord): Artifact {
  return {
    name: readName(record.name, 'artifacts'),
    type: readName(record.type, 'artifacts'),
    uri: readText(record.uri, 'artifacts', 2048),
    bytes: readCount(record.bytes, 'artifacts.bytes'),
  };
}

function readErrorEntry(record: ErrorEntryRecord): ExecutionErrorEntry {
  return {
    type: readName(record.type, 'errors'),
    code: readName(record.code, 'errors'),
    message: readText(record.message, 'errors', bounds.errorMessageCharacters),
    taskId: readName(record.task_id, 'errors'),
    atMs: readInstant(record.at, 'errors.at'),
  };
}

function readDependency(record: TaskDependencyRecord): TaskDependency {
  return {
    taskId: readName(record.task_id, 'dependencies'),
    type: readType(record.type, 'dependencies'),
    optional: record.optional === true,
    condition: readName(record.condition, 'dependencies'),
  };
}

const noEntries = Object.freeze<never[]>([]) as never[];

function readEntries<From, To>(records: From[] | null | undefined, maxItems: number, read: (record: From) => To): To[] {
  if (records === null || records === undefined || records.length === 0) return noEntries;
  return (records.length > maxItems ? records.slice(0, maxItems) : records).map(read);
}

export function normaliseExecution(record: ExecutionRecord, context: RecordContext): ExecutionEvent {
  beginFindings();
  const eventTimeMs = readEventTime(record.event_time, context);
  const state = readExecutionState(record.state);
  const queuedAtMs = readInstant(record.queued_at, 'queued_at');
  const spans = readSpans(record, state, eventTimeMs, queuedAtMs, context);
  const input = readJson(record.input, 'input');
  const output = readJson(record.output, 'output');
  return {
    kind: 'execution',
    workspace: readIdOr(record.workspace, 'workspace', 'default'),
    project: readName(record.project, 'project'),
    source: readIdOr(record.source, 'source', 'default'),
    sourceVersion: readName(record.source_version, 'source_version'),
    workflowId: readId(record.workflow_id, 'workflow_id'),
    workflowName: readName(record.workflow_name, 'workflow_name'),
    workflowVersion: readName(record.workflow_version, 'workflow_version'),
    executionId: readId(record.execution_id, 'execution_id'),
    attempt: readAttempt(record.attempt),
    eventTimeMs,
    scheduledAtMs: readInstant(record.scheduled_at, 'scheduled_at'),
    queuedAtMs,
    startedAtMs: spans.startedAtMs,
    durationUs: spans.durationUs,
    queueUs: spans.queueUs,
    costMicros: readCostMicros(record.cost, 'cost'),
    cpuUs: readCpuUs(record.cpu_ms, 'cpu_ms'),
    memoryPeakBytes: readCount(record.memory_peak_bytes, 'memory_peak_bytes'),
    cpuAllocatedCores: readMeasure(record.cpu_allocated_cores, 'cpu_allocated_cores'),
    memoryAllocatedBytes: readCount(record.memory_allocated_bytes, 'memory_allocated_bytes'),
    storageBytes: readCount(record.storage_bytes, 'storage_bytes'),
    networkBytes: readCount(record.network_bytes, 'network_bytes'),
    environment: readName(record.environment, 'environment'),
    region: readName(record.region, 'region'),
    correlationId: readName(record.correlation_id, 'correlation_id'),
    error: readError(record),
    cancelReason: readText(record.cancel_reason, 'cancel_reason', bounds.errorMessageCharacters),
    retryReason: readText(record.retry_reason, 'retry_reason', bounds.errorMessageCharacters),
    input: input.text,
    inputTruncated: input.truncated || record.input_truncated === true,
    inputBytes: readCount(record.input_bytes, 'input_bytes') ?? input.bytes,
    output: output.text,
    outputTruncated: output.truncated || record.output_truncated === true,
    outputBytes: readCount(record.output_bytes, 'output_bytes') ?? output.bytes,
    tags: readTexts(record.tags, 'tags', bounds.tags),
    labels: readLabels(record.labels, 'labels'),
    origin: context.origin,
    state,
    executionNumber: readCount(record.execution_number, 'execution_number'),
    progressRatio: readRatio(record.progress_ratio, 'progress_ratio'),
    phase: readName(record.phase, 'phase'),
    substatus: readName(record.substatus, 'substatus'),
    lastCheckpoint: readName(record.last_checkpoint, 'last_checkpoint'),
    healthIndicators: readEntries(record.health_indicators, bounds.entries, readHealthIndicator),
    triggerType: readType(record.trigger_type, 'trigger_type'),
    triggerSource: readName(record.trigger_source, 'trigger_source'),
    triggeredBy: readName(record.triggered_by, 'triggered_by'),
    triggerTimeMs: readInstant(record.trigger_time, 'trigger_time'),
    triggerParameters: readJson(record.trigger_parameters, 'trigger_parameters').text,
    scheduleCron: readName(record.schedule_cron, 'schedule_cron'),
    scheduleTimezone: readName(record.schedule_timezone, 'schedule_timezone'),
    triggerEventType: readName(record.trigger_event_type, 'trigger_event_type'),
    triggerEventId: readName(record.trigger_event_id, 'trigger_event_id'),
    tenant: readName(record.tenant, 'tenant'),
    parentExecutionId: readName(record.parent_execution_id, 'parent_execution_id'),
    parentTaskId: readName(record.parent_task_id, 'parent_task_id'),
    rootExecutionId: readName(record.root_execution_id, 'root_execution_id'),
    childExecutionIds: readTexts(record.child_execution_ids, 'child_execution_ids', bounds.dependencies),
    variables: readJson(record.variables, 'variables').text,
    quotaUsage: readNumbers(record.quota_usage, 'quota_usage', bounds.entries, false),
    artifacts: readEntries(record.artifacts, bounds.entries, readArtifact),
    errors: readEntries(record.errors, bounds.entries, readErrorEntry),
    // Last, because the fields above add to what was found.
    redactedFields: endFindings(record.redacted_fields),
  };
}

export function normaliseTask(record: TaskRecord, context: RecordContext): TaskEvent {
  beginFindings();
  const eventTimeMs = readEventTime(record.event_time, context);
  const state = readTaskState(record.state);
  const queuedAtMs = readInstant(record.queued_at, 'queued_at');
  const spans = readSpans(record, state, eventTimeMs, queuedAtMs, context);
  const input = readJson(record.input, 'input');
  const output = readJson(record.output, 'output');
  return {
    kind: 'task',
    workspace: readIdOr(record.workspace, 'workspace', 'default'),
    project: readName(record.project, 'project'),
    source: readIdOr(record.source, 'source', 'default'),
    sourceVersion: readName(record.source_version, 'source_version'),
    workflowId: readId(record.workflow_id, 'workflow_id'),
    workflowName: readName(record.workflow_name, 'workflow_name'),
    workflowVersion: readName(record.workflow_version, 'workflow_version'),
    executionId: readId(record.execution_id, 'execution_id'),
    attempt: readAttempt(record.attempt),
    eventTimeMs,
    scheduledAtMs: readInstant(record.scheduled_at, 'scheduled_at'),
    queuedAtMs,
    startedAtMs: spans.startedAtMs,
    durationUs: spans.durationUs,
    queueUs: spans.queueUs,
    costMicros: readCostMicros(record.cost, 'cost'),
    cpuUs: readCpuUs(record.cpu_ms, 'cpu_ms'),
    memoryPeakBytes: readCount(record.memory_peak_bytes, 'memory_peak_bytes'),
    cpuAllocatedCores: readMeasure(record.cpu_allocated_cores, 'cpu_allocated_cores'),
    memoryAllocatedBytes: readCount(record.memory_allocated_bytes, 'memory_allocated_bytes'),
    storageBytes: readCount(record.storage_bytes, 'storage_bytes'),
    networkBytes: readCount(record.network_bytes, 'network_bytes'),
    environment: readName(record.environment, 'environment'),
    region: readName(record.region, 'region'),
    correlationId: readName(record.correlation_id, 'correlation_id'),
    error: readError(record),
    cancelReason: readText(record.cancel_reason, 'cancel_reason', bounds.errorMessageCharacters),
    retryReason: readText(record.retry_reason, 'retry_reason', bounds.errorMessageCharacters),
    input: input.text,
    inputTruncated: input.truncated || record.input_truncated === true,
    inputBytes: readCount(record.input_bytes, 'input_bytes') ?? input.bytes,
    output: output.text,
    outputTruncated: output.truncated || record.output_truncated === true,
    outputBytes: readCount(record.output_bytes, 'output_bytes') ?? output.bytes,
    tags: readTexts(record.tags, 'tags', bounds.tags),
    labels: readLabels(record.labels, 'labels'),
    origin: context.origin,
    state,
    taskId: readId(record.task_id, 'task_id'),
    taskName: readName(record.task_name, 'task_name'),
    taskType: readType(record.task_type, 'task_type'),
    mapIndex: readMapIndex(record.map_index),
    stepOrder: readCount(record.step_order, 'step_order'),
    loopIteration: readCount(record.loop_iteration, 'loop_iteration'),
    operator: readName(record.operator, 'operator'),
    taskGroup: readName(record.task_group, 'task_group'),
    orchestratorId: readName(record.orchestrator_id, 'orchestrator_id'),
    pool: readName(record.pool, 'pool'),
    queue: readName(record.queue, 'queue'),
    workerId: readName(record.worker_id, 'worker_id'),
    host: readName(record.host, 'host'),
    priority: readSignedCount(record.priority, 'priority'),
    triggerRule: readName(record.trigger_rule, 'trigger_rule'),
    compensates: readName(record.compensates, 'compensates'),
    childExecutionId: readName(record.child_execution_id, 'child_execution_id'),
    dependencies: readEntries(record.dependencies, bounds.dependencies, readDependency),
    dependents: readTexts(record.dependents, 'dependents', bounds.dependencies),
    readyAtMs: readInstant(record.ready_at, 'ready_at'),
    dispatchedAtMs: readInstant(record.dispatched_at, 'dispatched_at'),
    maxAttempts: readCount(record.max_attempts, 'max_attempts'),
    retryDelayUs: readDurationUs(record.retry_delay_ms, 'retry_delay_ms'),
    nextRetryAtMs: readInstant(record.next_retry_at, 'next_retry_at'),
    errorRetryable: record.error_retryable ?? null,
    cpuRatioMean: readMeasure(record.cpu_ratio_mean, 'cpu_ratio_mean'),
    cpuRatioPeak: readMeasure(record.cpu_ratio_peak, 'cpu_ratio_peak'),
    memoryMeanBytes: readCount(record.memory_mean_bytes, 'memory_mean_bytes'),
    ioReadOps: readCount(record.io_read_ops, 'io_read_ops'),
    ioWriteOps: readCount(record.io_write_ops, 'io_write_ops'),
    ioReadBytes: readCount(record.io_read_bytes, 'io_read_bytes'),
    ioWriteBytes: readCount(record.io_write_bytes, 'io_write_bytes'),
    ioWaitUs: readDurationUs(record.io_wait_ms, 'io_wait_ms'),
    networkRequestsSent: readCount(record.network_requests_sent, 'network_requests_sent'),
    networkRequestsReceived: readCount(record.network_requests_received, 'network_requests_received'),
    networkLatencyUs: readDurationUs(record.network_latency_ms, 'network_latency_ms'),
    networkErrors: readCount(record.network_errors, 'network_errors'),
    gcPauseUs: readDurationUs(record.gc_pause_ms, 'gc_pause_ms'),
    concurrency: readCount(record.concurrency, 'concurrency'),
    cacheStatus: readType(record.cache_status, 'cache_status'),
    cacheSavedUs: readDurationUs(record.cache_saved_ms, 'cache_saved_ms'),
    // Last, because the fields above add to what was found.
    redactedFields: endFindings(record.redacted_fields),
  };
}

function readMapIndex(value: number | null | undefined): number {
  if (value === null || value === undefined) return -1;
  if (!(value >= -1 && value < 2 ** 31)) throw new Refusal('out_of_range', `map_index is ${value}`);
  return value;
}
