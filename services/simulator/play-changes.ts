import type { ExecutionState, TaskDependency, TaskState, taskTypes } from '../../schemas/events.ts';
import type { TaskKind, WorkflowDefinition } from './workflow-model.ts';

/** Told of every change of state, in the order of virtual time. Changes are never altered after they were told. */
export interface PlayObserver {
  execution(change: ExecutionChange): void;
  task(change: TaskChange): void;
}

export interface TaskError {
  type: string;
  code: string;
  message: string;
  stack: string;
  retryable: boolean;
}

/** What one attempt used. Ratios are shares of the cores that it was given. */
export interface ResourceUsage {
  cpuMs: number;
  cpuRatioMean: number;
  cpuRatioPeak: number;
  memoryPeakBytes: number;
  memoryMeanBytes: number;
  storageBytes: number;
  networkBytes: number;
  ioReadOps: number;
  ioWriteOps: number;
  ioReadBytes: number;
  ioWriteBytes: number;
  ioWaitMs: number;
  networkRequestsSent: number;
  networkRequestsReceived: number;
  networkLatencyMs: number;
  networkErrors: number;
  gcPauseMs: number;
}

/** Where an execution comes from; children name their parent. */
export interface ExecutionOrigin {
  parentExecutionId: string | null;
  parentTaskId: string | null;
  rootExecutionId: string;
}

export interface ExecutionChange extends ExecutionOrigin {
  executionId: string;
  definition: WorkflowDefinition;
  /** 1 for the first run; `retry` and a restart of what was over count up. */
  attempt: number;
  state: ExecutionState;
  atMs: number;
  scheduledAtMs: number | null;
  /** When it was created; between this and the start lie limits of concurrency and the scheduler. */
  queuedAtMs: number;
  startedAtMs: number | null;
  endedAtMs: number | null;
  priority: number;
  childExecutionIds: readonly string[];
  /** Share of its tasks that are over. */
  progressRatio: number;
  phase: 'waiting' | 'tasks' | 'compensation' | 'failure_handling' | 'over';
  /** For instance which tasks run, or how many were undone. */
  substatus: string;
  /** The task that completed last, '' where none has. */
  lastCheckpoint: string;
  variables: Readonly<Record<string, unknown>>;
  output: Readonly<Record<string, unknown>> | null;
  error: TaskError | null;
  /** Every failure so far, also those that did not end it. */
  errors: readonly { taskId: string; error: TaskError; atMs: number }[];
  cancelReason: string;
  retryReason: string;
  /** Sums over all attempts of its tasks so far. */
  cost: number;
  cpuMs: number;
  memoryPeakBytes: number;
  networkBytes: number;
  storageBytes: number;
  cpuAllocatedCores: number;
  memoryAllocatedBytes: number;
  tasksTotal: number;
  tasksOver: number;
  tasksActive: number;
}

export interface TaskChange {
  executionId: string;
  executionAttempt: number;
  workflowId: string;
  workflowVersion: string;
  taskId: string;
  taskName: string;
  kind: TaskKind;
  type: (typeof taskTypes)[number];
  /** -1 where the task is not mapped. */
  mapIndex: number;
  mapSize: number | null;
  /** Counts on over the whole execution, so that one task of nested loops never has the same number twice. */
  loopIteration: number | null;
  /** 1 for the first; restarts go on counting. */
  attempt: number;
  maxAttempts: number;
  state: TaskState;
  atMs: number;
  /** When it was expected to start: the end of what it waited for, or the next try. */
  scheduledAtMs: number | null;
  /** All that it waits for is met. */
  readyAtMs: number | null;
  queuedAtMs: number | null;
  dispatchedAtMs: number | null;
  startedAtMs: number | null;
  endedAtMs: number | null;
  /** What it takes on average, without load and incidents. */
  expectedMs: number;
  worker: string | null;
  pool: string | null;
  queue: string | null;
  operator: string | null;
  group: string | null;
  priority: number;
  /** Place in the order in which the definition lists the tasks, from 1. */
  stepOrder: number;
  /** For instance all_success or any_done. */
  triggerRule: string;
  dependencies: readonly TaskDependency[];
  dependents: readonly string[];
  /** Task whose effect this one undoes, '' for others. */
  compensates: string;
  error: TaskError | null;
  usage: ResourceUsage | null;
  cpuAllocatedCores: number | null;
  memoryAllocatedBytes: number | null;
  cost: number | null;
  input: unknown;
  output: unknown;
  cacheStatus: '' | 'hit' | 'miss' | 'bypass';
  cacheSavedMs: number | null;
  retryDelayMs: number | null;
  nextRetryAtMs: number | null;
  childExecutionId: string | null;
  skippedReason: string;
  cancelReason: string;
  retryReason: string;
  /** Instances of the same task that are active at this moment, this one included. */
  concurrency: number;
}
