import type { Static } from 'typebox';
import type { ExecutionEventRow, TaskCourseRow, TaskEventRow } from '../../../clickhouse/queries/run-events.ts';
import { answers } from '../../../schemas/api/parts.ts';
import {
  ExecutionAnswer,
  ExecutionPath,
  SourceQuery,
  type TaskExecution,
  TasksAnswer,
  TimelineAnswer,
} from '../../../schemas/api/workflow-analytics.ts';
import {
  type RecordedAttempt,
  type RecordedTask,
  stretchesOf,
  traceCriticalPath,
} from '../../analysis/recorded-tasks.ts';
import { type Stretch, splitWallClock } from '../../analysis/wall-clock.ts';
import { orNull, readJson, toInstant, toMaybeInstant } from '../answer-values.ts';
import type { App, Family, Services } from '../families.ts';
import { loadCourse, loadRun, loadTasks, type RecordedRun } from '../recorded-run.ts';

/** One execution: its state, its tasks, and where its time went. */
export const workflowExecutions: Family = {
  prefix: '/api/v1/workflow-analytics',
  tag: 'workflow analytics',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/executions/:execution_id',
      {
        schema: {
          summary: 'State of one execution, with its tasks',
          params: ExecutionPath,
          querystring: SourceQuery,
          response: answers(ExecutionAnswer),
        },
      },
      async ({ params, query, reader }) => describeExecution(await loadRun(reader, params.execution_id, query.source)),
    );
    app.get(
      '/executions/:execution_id/tasks',
      {
        schema: {
          summary: 'Tasks of one execution, with their attempts',
          params: ExecutionPath,
          querystring: SourceQuery,
          response: answers(TasksAnswer),
        },
      },
      async ({ params, query, reader }) => {
        const run = await loadTasks(reader, params.execution_id, query.source);
        const { id: executionId, workflowId, source } = run;
        return { executionId, workflowId, source, tasks: run.tasks.map(describeTask) };
      },
    );
    app.get(
      '/executions/:execution_id/timeline',
      {
        schema: {
          summary: 'Where the time of one execution went',
          description:
            'The wall clock from the first instant that is known to the end, split so that the parts add up to the millisecond: ' +
            'running while any task runs, and otherwise starting up, backing off, queueing, waiting for the scheduler or for dependencies, or idle.',
          params: ExecutionPath,
          querystring: SourceQuery,
          response: answers(TimelineAnswer),
        },
      },
      async ({ params, query, reader }) =>
        describeTimeline(await loadCourse(reader, params.execution_id, query.source), nowMs()),
    );
  },
};

const secondsOf = (us: number | null | undefined): number | null => (us == null ? null : us / 1e6);
const megabytesOf = (bytes: number | null | undefined): number | null => (bytes == null ? null : bytes / 1e6);
const gigabytesOf = (bytes: number | null | undefined): number | null => (bytes == null ? null : bytes / 1e9);
const costOf = (micros: number | null | undefined): number | null => (micros == null ? null : micros / 1e6);
const millisecondsOf = (us: number | null | undefined): number | null => (us == null ? null : us / 1e3);

/** What nobody told: no error at all where none of its parts is there. */
function errorOf(row: Pick<TaskCourseRow, 'error_type' | 'error_code' | 'error_message' | 'error_stack'>) {
  const { error_type: type, error_code: code, error_message: message, error_stack: stack } = row;
  if (type === '' && code === '' && message === '') return null;
  return { type, code, message, stack: orNull(stack) };
}

function describeAttempt(attempt: RecordedAttempt<TaskCourseRow>) {
  return {
    attempt: attempt.attempt,
    state: attempt.state,
    readyTime: toMaybeInstant(attempt.readyMs),
    queuedTime: toMaybeInstant(attempt.queuedMs),
    dispatchedTime: toMaybeInstant(attempt.dispatchedMs),
    startTime: toMaybeInstant(attempt.startedMs),
    endTime: toMaybeInstant(attempt.endedMs),
    duration: attempt.durationMs,
    worker: orNull(attempt.report.worker_id),
    retryReason: orNull(attempt.report.retry_reason),
    error: errorOf(attempt.report),
  };
}

function describeTaskHead(task: RecordedTask<TaskCourseRow>) {
  const { report } = task.counted;
  return {
    id: task.taskId,
    taskName: report.task_name || task.taskId,
    taskType: report.task_type,
    mapIndex: task.mapIndex < 0 ? null : task.mapIndex,
    status: { state: task.state },
    startTime: toMaybeInstant(task.counted.startedMs),
    endTime: toMaybeInstant(task.endedMs),
    duration: task.counted.durationMs,
    attempts: task.counted.attempt,
    dependencies: task.dependencyIds,
    dependents: task.dependentIds,
    attemptHistory: task.attempts.map(describeAttempt),
  };
}

function describeTask(task: RecordedTask<TaskEventRow>): Static<typeof TaskExecution> {
  const { report } = task.counted;
  return {
    ...describeTaskHead(task),
    input: readJson(report.input),
    inputTruncated: report.input_truncated,
    output: readJson(report.output),
    outputTruncated: report.output_truncated,
    resources: {
      cpuSeconds: secondsOf(report.cpu_us),
      memoryMB: megabytesOf(report.memory_peak_bytes),
      storageGB: gigabytesOf(report.storage_bytes),
      networkGB: gigabytesOf(report.network_bytes),
      cost: costOf(report.cost_micros),
      cpuAllocatedCores: report.cpu_allocated_cores,
      memoryAllocatedMB: megabytesOf(report.memory_allocated_bytes),
    },
    performance: {
      queueTime: millisecondsOf(report.queue_us),
      concurrency: report.concurrency,
      cacheStatus: orNull(report.cache_status),
      cpuRatio: report.cpu_ratio_mean,
      ioWait: millisecondsOf(report.io_wait_us),
      gcPause: millisecondsOf(report.gc_pause_us),
    },
    errors: task.attempts.map(({ report: one }) => errorOf(one)).filter((error) => error !== null),
    pool: orNull(report.pool),
    queue: orNull(report.queue),
    worker: orNull(report.worker_id),
  };
}

type WholeRun = RecordedRun<ExecutionEventRow, TaskEventRow>;

/** The answer of one execution; of one whose tasks alone were heard of, what these tell. */
function describeExecution(run: WholeRun): Static<typeof ExecutionAnswer> {
  const told = run.latest ?? run.tasks[0]?.counted.report;
  return {
    id: run.id,
    workflowId: run.workflowId,
    workflowName: told?.workflow_name || run.workflowId,
    workflowVersion: told?.workflow_version ?? '',
    source: run.source,
    project: told?.project ?? '',
    executionNumber: run.latest?.execution_number ?? null,
    attempt: run.attempt,
    status: describeStatus(run),
    trigger: describeTrigger(run.latest),
    startTime: toMaybeInstant(run.startedMs),
    endTime: toMaybeInstant(run.endedMs),
    duration: run.durationMs,
    queueTime: millisecondsOf(run.latest?.queue_us),
    tasks: run.tasks.map(describeTask),
    context: describeContext(run.latest),
    resources: describeResources(run.latest),
    artifacts: run.latest?.artifacts ?? [],
    errors: describeErrors(run),
    retries: describeRetries(run),
    input: readJson(run.latest?.input ?? ''),
    output: readJson(run.latest?.output ?? ''),
    metadata: run.latest?.labels ?? {},
  };
}

function describeStatus({ latest, state }: WholeRun) {
  return {
    state,
    progress: latest?.progress_ratio ?? null,
    phase: latest?.phase ?? '',
    substatus: orNull(latest?.substatus ?? ''),
    healthIndicators: latest?.health_indicators ?? [],
    lastCheckpoint: orNull(latest?.last_checkpoint ?? ''),
  };
}

function describeTrigger(latest: ExecutionEventRow | null) {
  const cron = latest?.schedule_cron ?? '';
  const eventType = latest?.trigger_event_type ?? '';
  return {
    type: latest?.trigger_type ?? '',
    source: latest?.trigger_source ?? '',
    triggeredBy: orNull(latest?.triggered_by ?? ''),
    triggerTime: toMaybeInstant(latest?.trigger_time_ms),
    parameters: readJson(latest?.trigger_parameters ?? ''),
    schedule: cron === '' ? null : { cron, timezone: latest?.schedule_timezone || 'UTC' },
    event: eventType === '' ? null : { type: eventType, id: latest?.trigger_event_id ?? '' },
  };
}

function describeContext(latest: ExecutionEventRow | null) {
  return {
    environment: latest?.environment ?? '',
    region: latest?.region ?? '',
    tenant: orNull(latest?.tenant ?? ''),
    correlationId: latest?.correlation_id ?? '',
    parentExecutionId: orNull(latest?.parent_execution_id ?? ''),
    rootExecutionId: orNull(latest?.root_execution_id ?? ''),
    childExecutionIds: latest?.child_execution_ids ?? [],
    variables: readJson(latest?.variables ?? ''),
    tags: latest?.tags ?? [],
  };
}

function describeResources(latest: ExecutionEventRow | null) {
  return {
    cpuSeconds: secondsOf(latest?.cpu_us),
    memoryMB: megabytesOf(latest?.memory_peak_bytes),
    storageGB: gigabytesOf(latest?.storage_bytes),
    networkGB: gigabytesOf(latest?.network_bytes),
    cost: costOf(latest?.cost_micros),
    quotaUsage: latest?.quota_usage ?? {},
    resourceAllocation: {
      cpuCores: latest?.cpu_allocated_cores ?? null,
      memoryMB: megabytesOf(latest?.memory_allocated_bytes),
    },
  };
}

/** Those that the end lists; where it lists none, the one that it is itself. */
function describeErrors({ latest }: WholeRun) {
  if (latest === null) return [];
  const listed = latest.error_entries.map(({ type, code, message, task_id, at_ms }) => ({
    type,
    code,
    message,
    taskId: orNull(task_id),
    at: toMaybeInstant(at_ms),
  }));
  const own = errorOf(latest);
  if (listed.length > 0 || own === null) return listed;
  const { type, code, message } = own;
  return [{ type, code, message, taskId: null, at: toInstant(latest.event_time_ms) }];
}

/** Earlier attempts under the same id. */
function describeRetries({ events, attempt: newest }: WholeRun) {
  const attempts = [...new Set(events.map(({ attempt }) => attempt))].filter((attempt) => attempt < newest);
  return attempts.map((attempt) => {
    const last = events.findLast((event) => event.attempt === attempt);
    const next = events.find((event) => event.attempt === attempt + 1 && event.retry_reason !== '');
    const reason = orNull(next?.retry_reason ?? last?.retry_reason ?? '');
    return { attempt, state: last?.state ?? '', endTime: toMaybeInstant(last?.event_time_ms), reason };
  });
}

function describeTimeline(run: RecordedRun, nowMs: number): Static<typeof TimelineAnswer> {
  const isRunning = run.endedMs === null;
  const toMs = Math.max(run.beganMs, run.endedMs ?? nowMs);
  const path = new Set(traceCriticalPath(run.tasks));
  const stretches = run.tasks.map((task) => stretchesOf(task, run.beganMs, toMs));
  return {
    executionId: run.id,
    workflowId: run.workflowId,
    source: run.source,
    status: run.state,
    startTime: toInstant(run.beganMs),
    endTime: toInstant(toMs),
    isRunning,
    duration: toMs - run.beganMs,
    wallClock: splitWallClock([...stretches.flat(), ...stretchesOfRun(run, toMs)], run.beganMs, toMs),
    criticalPath: [...path].map(({ taskId }) => taskId),
    tasks: run.tasks.map((task, at) => ({
      ...describeTaskHead(task),
      onCriticalPath: path.has(task),
      wallClock: splitWallClock(stretches[at], run.beganMs, Math.min(task.endedMs ?? toMs, toMs)),
    })),
  };
}

/** What the execution itself waited for before it started: for its schedule to be acted on, and in the queue. */
function stretchesOfRun({ latest, events, startedMs, beganMs }: RecordedRun, toMs: number): Stretch[] {
  const queuedMs = latest?.queued_at_ms ?? events.find(({ state }) => state === 'pending')?.event_time_ms ?? null;
  const untilMs = startedMs ?? toMs;
  return [
    { activity: 'schedulingDelay', fromMs: beganMs, toMs: Math.min(queuedMs ?? untilMs, untilMs) },
    { activity: 'queueWait', fromMs: queuedMs ?? untilMs, toMs: untilMs },
  ];
}
