import type { OrchestratorEvent } from './orchestrator-events.ts';

/**
 * Canonical telemetry events: what every record of a `telemetry.*` topic means once it has been
 * decoded, validated and cleaned of secrets. The pipeline, the live sockets and the verifier all
 * speak of these and of nothing looser.
 *
 * Quantities that are summed are whole numbers (durations and CPU time in microseconds, cost in
 * millionths of the producer's currency unit), because sums of floats depend on their order.
 */

/** Nothing that is accepted happens at this instant or later, so it also stands for the end of all time. */
export const latestInstantMs = Date.UTC(2200, 0);

export const executionStates = [
  'pending',
  'running',
  'completed',
  'failed',
  'cancelled',
  'suspended',
  'timeout',
  'partial',
] as const;
export type ExecutionState = (typeof executionStates)[number];

export const taskStates = [...executionStates, 'skipped', 'queued', 'retrying'] as const;
export type TaskState = (typeof taskStates)[number];

/** States in which an attempt is over. `skipped` ends a task that never ran. */
export const endStates = ['completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped'] as const;
export type EndState = (typeof endStates)[number];

/**
 * The values that analysis knows how to read; others are kept as the source sent them.
 * @public
 */
export const triggerTypes = ['manual', 'scheduled', 'event', 'api', 'webhook', 'chain'] as const;
/** @public */
export const taskTypes = ['compute', 'io', 'network', 'decision', 'human', 'wait'] as const;

/** Where a record that was republished (by an adapter or by a dead-letter replay) first came from. */
export interface Origin {
  topic: string;
  partition: number;
  offset: number;
  /** Position within the original record, where one foreign record became several events. */
  item: number;
}

export interface ErrorInfo {
  type: string;
  code: string;
  message: string;
  stack: string;
}

/** Fields that executions and tasks share; absent text is '' and absent quantities are null. */
export interface RunEvent {
  workspace: string;
  project: string;
  source: string;
  sourceVersion: string;
  workflowId: string;
  workflowName: string;
  workflowVersion: string;
  executionId: string;
  /** 1 for the first run under this id; a rerun or retry counts up. */
  attempt: number;
  eventTimeMs: number;
  scheduledAtMs: number | null;
  queuedAtMs: number | null;
  startedAtMs: number | null;
  /** Reported by the producer, or end minus start where the end carries its start. */
  durationUs: number | null;
  /** Reported by the producer, or start minus queueing where both are known. */
  queueUs: number | null;
  costMicros: number | null;
  cpuUs: number | null;
  memoryPeakBytes: number | null;
  cpuAllocatedCores: number | null;
  memoryAllocatedBytes: number | null;
  storageBytes: number | null;
  networkBytes: number | null;
  environment: string;
  region: string;
  correlationId: string;
  error: ErrorInfo;
  cancelReason: string;
  retryReason: string;
  /** JSON text, at most a bounded size; the flag says that it was cut. */
  input: string;
  inputTruncated: boolean;
  inputBytes: number | null;
  output: string;
  outputTruncated: boolean;
  outputBytes: number | null;
  tags: string[];
  labels: Record<string, string>;
  /** What the event is not known by but was sent: names of fields whose values were removed as secrets. */
  redactedFields: string[];
  origin: Origin | null;
}

export interface HealthIndicator {
  name: string;
  status: string;
  value: number | null;
  message: string;
}
export interface Artifact {
  name: string;
  type: string;
  uri: string;
  bytes: number | null;
}
export interface ExecutionErrorEntry {
  type: string;
  code: string;
  message: string;
  taskId: string;
  atMs: number | null;
}

export interface ExecutionEvent extends RunEvent {
  kind: 'execution';
  state: ExecutionState;
  executionNumber: number | null;
  progressRatio: number | null;
  phase: string;
  substatus: string;
  lastCheckpoint: string;
  healthIndicators: HealthIndicator[];
  triggerType: string;
  triggerSource: string;
  triggeredBy: string;
  triggerTimeMs: number | null;
  triggerParameters: string;
  scheduleCron: string;
  scheduleTimezone: string;
  triggerEventType: string;
  triggerEventId: string;
  tenant: string;
  parentExecutionId: string;
  parentTaskId: string;
  rootExecutionId: string;
  childExecutionIds: string[];
  variables: string;
  quotaUsage: Record<string, number>;
  artifacts: Artifact[];
  errors: ExecutionErrorEntry[];
}

export interface TaskDependency {
  taskId: string;
  type: string;
  optional: boolean;
  condition: string;
}

export interface TaskEvent extends RunEvent {
  kind: 'task';
  state: TaskState;
  taskId: string;
  taskName: string;
  taskType: string;
  /** Index of one instance of a mapped task, -1 where the task is not mapped. */
  mapIndex: number;
  stepOrder: number | null;
  loopIteration: number | null;
  operator: string;
  taskGroup: string;
  orchestratorId: string;
  pool: string;
  queue: string;
  workerId: string;
  host: string;
  priority: number | null;
  triggerRule: string;
  compensates: string;
  childExecutionId: string;
  dependencies: TaskDependency[];
  dependents: string[];
  /** All dependencies met. */
  readyAtMs: number | null;
  /** A slot was assigned; what lies between this and the start is start-up. */
  dispatchedAtMs: number | null;
  maxAttempts: number | null;
  retryDelayUs: number | null;
  nextRetryAtMs: number | null;
  errorRetryable: boolean | null;
  cpuRatioMean: number | null;
  cpuRatioPeak: number | null;
  memoryMeanBytes: number | null;
  ioReadOps: number | null;
  ioWriteOps: number | null;
  ioReadBytes: number | null;
  ioWriteBytes: number | null;
  ioWaitUs: number | null;
  networkRequestsSent: number | null;
  networkRequestsReceived: number | null;
  networkLatencyUs: number | null;
  networkErrors: number | null;
  gcPauseUs: number | null;
  concurrency: number | null;
  /** hit, miss, bypass or '' where the task is not cached. */
  cacheStatus: string;
  cacheSavedUs: number | null;
}

export type TelemetryEvent = ExecutionEvent | TaskEvent | OrchestratorEvent;
