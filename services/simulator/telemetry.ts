import type { ErrorEntryRecord, ExecutionRecord, HealthIndicatorRecord, TaskRecord } from '../../schemas/records.ts';
import { placeId } from './fleet.ts';
import type { ExecutionChange, TaskChange, TaskError } from './play-changes.ts';

/**
 * From what happened in the world to what an orchestrator tells of it. Everything that such a system would know is
 * told; a field is null only where it has no meaning yet, such as a start before the start.
 */

/** What an orchestrator knows of a run from its beginning, beside what happens in it. */
export interface RunStory {
  workspace: string;
  project: string;
  workflowName: string;
  source: string;
  sourceVersion: string;
  environment: string;
  region: string;
  orchestratorId: string;
  tenant: string;
  executionNumber: number;
  correlationId: string;
  triggerType: string;
  triggerSource: string;
  triggeredBy: string;
  triggerTimeMs: number;
  triggerParameters: string;
  scheduleCron: string | null;
  triggerEventType: string | null;
  triggerEventId: string | null;
  tags: string[];
  labels: Record<string, string>;
  /** Runs of the project that are under way, of those that it may have. */
  quotaRatio: number;
}

/** How far the clock of a worker, or of the orchestrator where there is none, is ahead. */
export type ClockSkew = (worker: string | null) => number;

export function describeExecution(change: ExecutionChange, story: RunStory): ExecutionRecord {
  const startedAtMs = instant(change.startedAtMs);
  const eventTimeMs = Math.round(change.atMs);
  const isOver = change.endedAtMs !== null;
  const output = change.output === null ? null : JSON.stringify(change.output);
  return {
    workspace: story.workspace,
    project: story.project,
    source: story.source,
    source_version: story.sourceVersion,
    workflow_id: change.definition.id,
    workflow_name: change.definition.name,
    workflow_version: change.definition.version,
    execution_id: change.executionId,
    attempt: change.attempt,
    state: change.state,
    event_time: eventTimeMs,
    scheduled_at: instant(change.scheduledAtMs) ?? Math.round(story.triggerTimeMs),
    queued_at: instant(change.queuedAtMs),
    started_at: startedAtMs,
    duration_ms: isOver && startedAtMs !== null ? Math.max(0, eventTimeMs - startedAtMs) : null,
    queue_ms: startedAtMs === null ? null : Math.max(0, startedAtMs - Math.round(change.queuedAtMs)),
    cost: millionths(change.cost),
    cpu_ms: tenths(change.cpuMs),
    memory_peak_bytes: Math.round(change.memoryPeakBytes),
    cpu_allocated_cores: change.cpuAllocatedCores,
    memory_allocated_bytes: Math.round(change.memoryAllocatedBytes),
    storage_bytes: Math.round(change.storageBytes),
    network_bytes: Math.round(change.networkBytes),
    environment: story.environment,
    region: story.region,
    correlation_id: story.correlationId,
    ...describeError(change.error),
    cancel_reason: change.cancelReason || null,
    retry_reason: change.retryReason || null,
    input: story.triggerParameters,
    input_bytes: story.triggerParameters.length,
    input_truncated: false,
    output,
    output_bytes: output === null ? null : Buffer.byteLength(output),
    output_truncated: false,
    tags: story.tags,
    labels: story.labels,
    execution_number: story.executionNumber,
    progress_ratio: Math.round(change.progressRatio * 1000) / 1000,
    phase: change.phase,
    substatus: change.substatus || change.phase,
    last_checkpoint: change.lastCheckpoint || 'none',
    health_indicators: describeHealth(change),
    trigger_type: story.triggerType,
    trigger_source: story.triggerSource,
    triggered_by: story.triggeredBy,
    trigger_time: Math.round(story.triggerTimeMs),
    trigger_parameters: story.triggerParameters,
    schedule_cron: story.scheduleCron,
    schedule_timezone: story.scheduleCron === null ? null : 'UTC',
    trigger_event_type: story.triggerEventType,
    trigger_event_id: story.triggerEventId,
    tenant: story.tenant,
    parent_execution_id: change.parentExecutionId,
    parent_task_id: change.parentTaskId,
    root_execution_id: change.rootExecutionId,
    child_execution_ids: [...change.childExecutionIds],
    variables: JSON.stringify(change.variables),
    quota_usage: { concurrent_runs: story.quotaRatio },
    artifacts: output === null || change.state !== 'completed' ? [] : [describeResult(change, story, output)],
    errors: change.errors.length === 0 ? [] : change.errors.slice(-64).map(describeErrorEntry),
  };
}

function describeHealth({ errors, tasksOver, tasksTotal, tasksActive }: ExecutionChange): HealthIndicatorRecord[] {
  return [
    { name: 'tasks_over', status: 'ok', value: tasksOver, message: `${tasksOver} of ${tasksTotal} tasks are over` },
    { name: 'tasks_active', status: 'ok', value: tasksActive, message: `${tasksActive} tasks are active` },
    {
      name: 'errors',
      status: errors.length === 0 ? 'ok' : 'degraded',
      value: errors.length,
      message: errors.length === 0 ? 'no errors' : errors[errors.length - 1].error.message,
    },
  ];
}

function describeErrorEntry({ taskId, error, atMs }: ExecutionChange['errors'][number]): ErrorEntryRecord {
  return { type: error.type, code: error.code, message: error.message, task_id: taskId, at: Math.round(atMs) };
}

function describeResult({ definition, executionId }: ExecutionChange, { workspace }: RunStory, output: string) {
  const name = `${definition.id}.json`;
  const uri = `s3://${workspace}-results/${definition.id}/${encodeURIComponent(executionId)}.json`;
  return { name, type: 'result', uri, bytes: Buffer.byteLength(output) };
}

const noError = { error_type: null, error_code: null, error_message: null, error_stack: null };

function describeError(error: TaskError | null): Pick<TaskRecord, keyof typeof noError> {
  if (error === null) return noError;
  return {
    error_type: error.type,
    error_code: error.code || null,
    error_message: error.message,
    error_stack: error.stack || null,
  };
}

export function describeTask(change: TaskChange, story: RunStory, skewOf: ClockSkew): TaskRecord {
  const { usage, worker } = change;
  // The orchestrator says what waits by its own clock; what happens on a worker is said by the worker's.
  const isByWorker = worker !== null && (change.startedAtMs !== null || change.endedAtMs !== null);
  const skewMs = isByWorker ? skewOf(worker) : 0;
  const eventTimeMs = Math.round(change.atMs + skewMs);
  const startedAtMs = change.startedAtMs === null ? null : Math.round(change.startedAtMs + skewMs);
  const isOver = change.endedAtMs !== null;
  const readyAtMs = instant(change.readyAtMs);
  const dispatchedAtMs = instant(change.dispatchedAtMs);
  const output = change.output == null ? null : JSON.stringify(change.output);
  const input = change.input == null ? null : JSON.stringify(change.input);
  return {
    workspace: story.workspace,
    project: story.project,
    source: story.source,
    source_version: story.sourceVersion,
    workflow_id: change.workflowId,
    workflow_name: story.workflowName,
    workflow_version: change.workflowVersion,
    execution_id: change.executionId,
    task_id: change.taskId,
    task_name: change.taskName,
    task_type: change.type,
    map_index: instanceOf(change),
    attempt: change.attempt,
    state: change.state,
    event_time: eventTimeMs,
    scheduled_at: instant(change.scheduledAtMs) ?? readyAtMs,
    queued_at: instant(change.queuedAtMs) ?? readyAtMs,
    ready_at: readyAtMs,
    dispatched_at: dispatchedAtMs,
    started_at: startedAtMs,
    duration_ms: isOver && startedAtMs !== null ? Math.max(0, eventTimeMs - startedAtMs) : null,
    queue_ms: waitOf(change),
    cost: change.cost === null ? null : millionths(change.cost),
    cpu_ms: usage === null ? null : tenths(usage.cpuMs),
    memory_peak_bytes: usage === null ? null : Math.round(usage.memoryPeakBytes),
    cpu_allocated_cores: change.cpuAllocatedCores,
    memory_allocated_bytes: instant(change.memoryAllocatedBytes),
    storage_bytes: usage === null ? null : Math.round(usage.storageBytes),
    network_bytes: usage === null ? null : Math.round(usage.networkBytes),
    environment: story.environment,
    region: story.region,
    correlation_id: story.correlationId,
    ...describeError(change.error),
    cancel_reason: change.cancelReason || change.skippedReason || null,
    retry_reason: change.retryReason || null,
    input,
    input_bytes: input === null ? null : Buffer.byteLength(input),
    input_truncated: false,
    output,
    output_bytes: output === null ? null : Buffer.byteLength(output),
    output_truncated: false,
    tags: story.tags,
    labels: story.labels,
    step_order: change.stepOrder,
    loop_iteration: change.loopIteration,
    operator: change.operator ?? change.kind,
    task_group: change.group ?? 'main',
    orchestrator_id: story.orchestratorId,
    pool: change.pool === null ? null : placeId(story.orchestratorId, change.pool),
    queue: change.queue === null ? null : placeId(story.orchestratorId, change.queue),
    worker_id: worker,
    host: worker === null ? null : hostOf(worker),
    priority: change.priority,
    trigger_rule: change.triggerRule,
    compensates: change.compensates || null,
    child_execution_id: change.childExecutionId,
    dependencies: change.dependencies.map(({ taskId, type, optional, condition }) => ({
      task_id: taskId,
      type: type || null,
      optional,
      condition: condition || null,
    })),
    dependents: change.dependents as string[],
    max_attempts: change.maxAttempts,
    retry_delay_ms: instant(change.retryDelayMs),
    next_retry_at: instant(change.nextRetryAtMs),
    error_retryable: change.error === null ? null : change.error.retryable,
    ...describeUsage(change),
    concurrency: change.concurrency,
    cache_status: change.cacheStatus || null,
    cache_saved_ms: change.cacheSavedMs === null ? null : tenths(change.cacheSavedMs),
  };
}

const noUsage = {
  cpu_ratio_mean: null,
  cpu_ratio_peak: null,
  memory_mean_bytes: null,
  io_read_ops: null,
  io_write_ops: null,
  io_read_bytes: null,
  io_write_bytes: null,
  io_wait_ms: null,
  network_requests_sent: null,
  network_requests_received: null,
  network_latency_ms: null,
  network_errors: null,
  gc_pause_ms: null,
};

function describeUsage({ usage }: TaskChange): Pick<TaskRecord, keyof typeof noUsage> {
  if (usage === null) return noUsage;
  return {
    cpu_ratio_mean: thousandths(usage.cpuRatioMean),
    cpu_ratio_peak: thousandths(usage.cpuRatioPeak),
    memory_mean_bytes: Math.round(usage.memoryMeanBytes),
    io_read_ops: Math.round(usage.ioReadOps),
    io_write_ops: Math.round(usage.ioWriteOps),
    io_read_bytes: Math.round(usage.ioReadBytes),
    io_write_bytes: Math.round(usage.ioWriteBytes),
    io_wait_ms: tenths(usage.ioWaitMs),
    network_requests_sent: Math.round(usage.networkRequestsSent),
    network_requests_received: Math.round(usage.networkRequestsReceived),
    network_latency_ms: tenths(usage.networkLatencyMs),
    network_errors: Math.round(usage.networkErrors),
    gc_pause_ms: tenths(usage.gcPauseMs),
  };
}

/** Measured by one clock, whatever those of the workers say. */
function waitOf({ startedAtMs, queuedAtMs, readyAtMs }: TaskChange): number | null {
  const sinceMs = queuedAtMs ?? readyAtMs;
  return startedAtMs === null || sinceMs === null ? null : Math.max(0, Math.round(startedAtMs - sinceMs));
}

/**
 * Which instance of its task this is. Iterations of a loop are told apart by it too: a task, an instance and an
 * attempt name one thing, and each iteration is a thing of its own that begins with attempt 1.
 */
function instanceOf({ mapIndex, loopIteration }: TaskChange): number {
  if (loopIteration === null) return mapIndex;
  return mapIndex < 0 ? loopIteration : loopIteration * instancesPerIteration + mapIndex;
}

const instancesPerIteration = 10_000;

/** Workers are named after the machine that they run on. */
export function hostOf(worker: string): string {
  return `${worker}.cluster.internal`;
}

const instant = (ms: number | null): number | null => (ms === null ? null : Math.round(ms));
const tenths = (value: number): number => Math.round(value * 10) / 10;
const thousandths = (value: number): number => Math.round(value * 1000) / 1000;
const millionths = (value: number): number => Math.round(value * 1e6) / 1e6;
