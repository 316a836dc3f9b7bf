import { Type } from 'typebox';
import { executionStates } from '../events.ts';
import {
  AnyJson,
  Change,
  Count,
  closed,
  Id,
  Instant,
  maybeInstant,
  maybeNumber,
  maybeText,
  nullable,
  oneOf,
  PercentileMethod,
  Range,
  Reasons,
  rangeParameters,
  sourceParameter,
  stepParameter,
} from './parts.ts';

/** Workflow analytics, `/api/v1/workflow-analytics`: names and shapes of the interfaces that this family documents. */

export const ExecutionPath = Type.Object({ execution_id: Id }, closed);
export const WorkflowPath = Type.Object({ workflow_id: Id }, closed);
export const SourceQuery = Type.Object(sourceParameter, closed);

const ErrorInfo = Type.Object({ type: Type.String(), code: Type.String(), message: Type.String(), stack: maybeText });

/** Parts of the time between two instants; they add up to `totalMs` exactly. */
const WallClock = Type.Object({
  totalMs: Count,
  dependencyWaitMs: Count,
  schedulingDelayMs: Count,
  queueWaitMs: Count,
  startUpMs: Count,
  runMs: Count,
  retryBackoffMs: Count,
  idleMs: Count,
});

const Attempt = Type.Object({
  attempt: Type.Integer(),
  state: Type.String(),
  readyTime: maybeInstant,
  queuedTime: maybeInstant,
  dispatchedTime: maybeInstant,
  startTime: maybeInstant,
  endTime: maybeInstant,
  duration: maybeNumber,
  worker: maybeText,
  retryReason: maybeText,
  error: Type.Union([ErrorInfo, Type.Null()]),
});

const taskMembers = {
  id: Type.String(),
  taskName: Type.String(),
  taskType: Type.String(),
  mapIndex: nullable(
    Type.Integer({ description: 'instance of a mapped or looped task, null where there is only one' }),
  ),
  status: Type.Object({ state: Type.String() }),
  startTime: maybeInstant,
  endTime: maybeInstant,
  duration: nullable(Type.Number({ description: 'of the attempt that counts, milliseconds' })),
  attempts: Type.Integer(),
  dependencies: Type.Array(Type.String()),
  dependents: Type.Array(Type.String()),
};

export const TaskExecution = Type.Object({
  ...taskMembers,
  input: AnyJson,
  inputTruncated: Type.Boolean(),
  output: AnyJson,
  outputTruncated: Type.Boolean(),
  resources: Type.Object({
    cpuSeconds: maybeNumber,
    memoryMB: maybeNumber,
    storageGB: maybeNumber,
    networkGB: maybeNumber,
    cost: maybeNumber,
    cpuAllocatedCores: maybeNumber,
    memoryAllocatedMB: maybeNumber,
  }),
  performance: Type.Object({
    queueTime: maybeNumber,
    concurrency: maybeNumber,
    cacheStatus: maybeText,
    cpuRatio: maybeNumber,
    ioWait: maybeNumber,
    gcPause: maybeNumber,
  }),
  errors: Type.Array(ErrorInfo),
  attemptHistory: Type.Array(Attempt),
  pool: maybeText,
  queue: maybeText,
  worker: maybeText,
});

export const TasksAnswer = Type.Object({
  executionId: Type.String(),
  workflowId: Type.String(),
  source: Type.String(),
  tasks: Type.Array(TaskExecution),
});

export const ExecutionAnswer = Type.Object({
  id: Type.String(),
  workflowId: Type.String(),
  workflowName: Type.String(),
  workflowVersion: Type.String(),
  source: Type.String(),
  project: Type.String(),
  executionNumber: nullable(Type.Integer()),
  attempt: Type.Integer(),
  status: Type.Object({
    state: Type.String(),
    progress: maybeNumber,
    phase: Type.String(),
    substatus: maybeText,
    healthIndicators: Type.Array(
      Type.Object({ name: Type.String(), status: Type.String(), value: maybeNumber, message: Type.String() }),
    ),
    lastCheckpoint: maybeText,
  }),
  trigger: Type.Object({
    type: Type.String(),
    source: Type.String(),
    triggeredBy: maybeText,
    triggerTime: maybeInstant,
    parameters: AnyJson,
    schedule: Type.Union([Type.Object({ cron: Type.String(), timezone: Type.String() }), Type.Null()]),
    event: Type.Union([Type.Object({ type: Type.String(), id: Type.String() }), Type.Null()]),
  }),
  startTime: maybeInstant,
  endTime: maybeInstant,
  duration: nullable(Type.Number({ description: 'milliseconds' })),
  queueTime: maybeNumber,
  tasks: Type.Array(TaskExecution),
  context: Type.Object({
    environment: Type.String(),
    region: Type.String(),
    tenant: maybeText,
    correlationId: Type.String(),
    parentExecutionId: maybeText,
    rootExecutionId: maybeText,
    childExecutionIds: Type.Array(Type.String()),
    variables: AnyJson,
    tags: Type.Array(Type.String()),
  }),
  resources: Type.Object({
    cpuSeconds: maybeNumber,
    memoryMB: maybeNumber,
    storageGB: maybeNumber,
    networkGB: maybeNumber,
    cost: maybeNumber,
    quotaUsage: Type.Record(Type.String(), Type.Number()),
    resourceAllocation: Type.Object({ cpuCores: maybeNumber, memoryMB: maybeNumber }),
  }),
  artifacts: Type.Array(
    Type.Object({ name: Type.String(), type: Type.String(), uri: Type.String(), bytes: maybeNumber }),
  ),
  errors: Type.Array(
    Type.Object({
      type: Type.String(),
      code: Type.String(),
      message: Type.String(),
      taskId: maybeText,
      at: maybeInstant,
    }),
  ),
  retries: Type.Array(
    Type.Object({ attempt: Type.Integer(), state: Type.String(), endTime: maybeInstant, reason: maybeText }),
  ),
  input: AnyJson,
  output: AnyJson,
  metadata: Type.Record(Type.String(), Type.String()),
});

export const TimelineAnswer = Type.Object({
  executionId: Type.String(),
  workflowId: Type.String(),
  source: Type.String(),
  status: Type.String(),
  startTime: Instant,
  endTime: Instant,
  isRunning: Type.Boolean({ description: 'true: the end is the time of the question' }),
  duration: Count,
  wallClock: WallClock,
  criticalPath: Type.Array(Type.String(), {
    description: 'tasks that held up the end, each the last to finish of what the next one waited for',
  }),
  tasks: Type.Array(
    Type.Object({
      ...taskMembers,
      onCriticalPath: Type.Boolean(),
      wallClock: WallClock,
      attemptHistory: Type.Array(Attempt),
    }),
  ),
});

export const PerformanceQuery = Type.Object({ ...rangeParameters, ...stepParameter, ...sourceParameter }, closed);

/** The states that executions are listed by. */
export const ExecutionStatus = oneOf(executionStates, { description: 'only what is in this state now' });

export const ExecutionsQuery = Type.Object(
  {
    ...rangeParameters,
    ...sourceParameter,
    status: Type.Optional(ExecutionStatus),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 4000, description: 'next_cursor of the page before, as it was given' }),
    ),
  },
  closed,
);

export const ExecutionsAnswer = Type.Object({
  workflowId: Type.String({ examples: ['orders_etl'] }),
  source: maybeText,
  range: Type.Object({ from: Instant, to: Instant }),
  items: Type.Array(
    Type.Object({
      id: Type.String(),
      workflowId: Type.String(),
      workflowName: Type.String(),
      workflowVersion: Type.String(),
      source: Type.String(),
      project: Type.String(),
      executionNumber: nullable(Type.Integer()),
      attempt: Type.Integer(),
      status: Type.Object({
        state: Type.String({ examples: ['completed'] }),
        progress: maybeNumber,
        phase: Type.String(),
        substatus: maybeText,
      }),
      trigger: Type.Object({ type: Type.String(), source: Type.String(), triggeredBy: maybeText }),
      scheduledTime: maybeInstant,
      startTime: maybeInstant,
      endTime: maybeInstant,
      duration: nullable(Type.Number({ description: 'milliseconds' })),
      queueTime: nullable(Type.Number({ description: 'milliseconds' })),
      cost: maybeNumber,
      error: Type.Union([
        Type.Object({ type: Type.String(), code: Type.String(), message: Type.String() }),
        Type.Null(),
      ]),
      cancelReason: maybeText,
      firstSeenTime: Instant,
      lastEventTime: Instant,
    }),
  ),
  nextCursor: nullable(
    Type.String({ description: 'null: there are no more. A page of what is rare may be short although more follow' }),
  ),
});

const metricMembers = {
  avgDuration: maybeNumber,
  p50Duration: maybeNumber,
  p95Duration: maybeNumber,
  p99Duration: maybeNumber,
  successRate: maybeNumber,
  avgCost: maybeNumber,
  resourceEfficiency: maybeNumber,
  throughput: nullable(Type.Number({ description: 'finished executions an hour' })),
};

export const PerformanceAnswer = Type.Object({
  workflowId: Type.String(),
  range: Range,
  metrics: Type.Object(metricMembers),
  executions: Type.Object({
    started: Type.Integer(),
    finished: Type.Integer(),
    completed: Type.Integer(),
    failed: Type.Integer(),
    timeout: Type.Integer(),
    cancelled: Type.Integer(),
    partial: Type.Integer(),
    retries: Type.Integer(),
  }),
  queueTime: Type.Object({ avg: maybeNumber, p50: maybeNumber, p95: maybeNumber, p99: maybeNumber }),
  reasons: Reasons,
  percentiles: PercentileMethod,
  trend: Type.Object({ avgDuration: Change, failureRate: Change, throughput: Change }),
  series: Type.Array(
    Type.Object({
      time: Instant,
      executions: nullable(Type.Integer({ description: 'finished in the step; null: no telemetry, a gap' })),
      successRate: maybeNumber,
      avgDuration: maybeNumber,
      p50Duration: maybeNumber,
      p95Duration: maybeNumber,
      p99Duration: maybeNumber,
      cost: maybeNumber,
    }),
  ),
});
