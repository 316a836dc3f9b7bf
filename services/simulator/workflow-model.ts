import type { DurationSpec } from './durations.ts';

/**
 * A workflow as people write it: plain JSON that says which tasks there are, what each waits for and what happens
 * when one fails. workflow-schema.json is the same as a JSON Schema with the meaning of each field, and
 * `checkWorkflow` finds everything that is wrong with a value that claims to be one.
 */
export interface WorkflowDefinition {
  id: string;
  name: string;
  version: string;
  description: string;
  project?: string;
  owner?: string;
  tags?: string[];
  labels?: Record<string, string>;
  trigger: Trigger;
  /** Variables of every execution with the value that each begins with; what starts an execution may set others. */
  variables: Record<string, unknown>;
  /** Higher goes first in pools that go by priority. Default 0. */
  priority?: number;
  /** Executions that may run at once; further ones wait. */
  concurrencyLimit?: number;
  /** Task instances of one execution that may be queued or running at once. */
  maxParallelTasks?: number;
  /** An execution that takes longer ends as `timeout`. */
  timeoutMs?: number;
  /** A failure cancels what still runs, instead of letting independent branches end. */
  failFast?: boolean;
  tasks: TaskDefinition[];
  /** Run after the execution has failed or timed out, for instance to tell somebody. */
  onFailure?: TaskDefinition[];
  /** The result of an execution, each value an expression. */
  output?: Record<string, string>;
}

export type Trigger =
  | { type: 'manual' }
  | { type: 'api' }
  | { type: 'scheduled'; cron: string; timezone?: string }
  | { type: 'event'; event: string; when?: string }
  | { type: 'webhook'; path: string; when?: string }
  | { type: 'chain'; workflow: string; on?: 'completed' | 'failed' | 'any' };

/** How many of the tasks it waits for have to be met: all of them, any one, or that many. */
export type Join = 'all' | 'any' | number;

/** Which end of a task meets what waits for it. */
export type RunOn = 'success' | 'not_failed' | 'failure' | 'done';

/** A task to wait for; optional ones have to be over, but how they ended does not matter. */
export type After = string | { task: string; optional?: boolean; when?: string };

interface TaskCommon {
  id: string;
  name: string;
  after?: After[];
  /** Default `all`. */
  join?: Join;
  /** Default `success`. */
  runOn?: RunOn;
  /** Where enough of the tasks it waits for are met, the others are cancelled. */
  cancelRest?: boolean;
  /** An expression; the task is skipped where it is false. */
  when?: string;
  /** Name of the group that it is shown in. */
  group?: string;
  /** Higher goes first; without it that of the execution counts. */
  priority?: number;
  /** After its last attempt failed: the execution fails, or goes on as if it had not, or leaves it to tasks after it. */
  onError?: 'fail' | 'continue' | 'handle';
  /** For one attempt. */
  timeoutMs?: number;
  retry?: RetryPolicy;
  /** Undoes this task when the execution fails later; those of several tasks run in reverse order. */
  compensation?: WorkTask;
}

export interface RetryPolicy {
  /** Attempts altogether, the first included. */
  attempts: number;
  backoff: 'fixed' | 'exponential';
  delayMs: number;
  /** What each delay is multiplied by for the next; 2 unless said. */
  factor?: number;
  maxDelayMs?: number;
  /** Each delay is longer or shorter by at most this share of it. */
  jitterRatio?: number;
  /** Types of errors to try again after; without it all that are retryable. */
  errorTypes?: string[];
}

export interface ResourceNeeds {
  cpuCores?: number;
  memoryBytes?: number;
}

/** Something that an attempt may fail with; weights say how often compared with the others. */
export interface ErrorSpec {
  type: string;
  code?: string;
  message: string;
  retryable?: boolean;
  weight?: number;
}

/** One value that a task puts into its output: a constant, an expression, a number between two, or one of several. */
export interface Produced {
  value?: unknown;
  from?: string;
  between?: [least: number, most: number];
  oneOf?: unknown[];
}

export interface MapSpec {
  /** An expression that gives a list, or a number of instances. */
  over: string;
  /** Name of the item in expressions; `item` unless said. The place in the list is `index`. */
  as?: string;
  maxParallel?: number;
  /** Share of the instances that may fail before the task does; 0 unless said. */
  toleratedFailureRatio?: number;
}

export interface CacheSpec {
  /** An expression; attempts with an equal value share a result. */
  key: string;
  ttlMs: number;
}

/** Work that takes a slot of a worker. */
export interface WorkTask extends TaskCommon {
  kind: 'work';
  type: 'compute' | 'io' | 'network';
  operator: string;
  pool: string;
  queue?: string;
  durationMs: DurationSpec;
  /** Between the assignment of a worker and the start, for instance to fetch an image. */
  startupMs?: DurationSpec;
  resources?: ResourceNeeds;
  /** CPU time as a share of run time on all its cores; 0.6 unless said. */
  cpuRatio?: number;
  readBytes?: number;
  writtenBytes?: number;
  networkBytes?: number;
  costPerHour?: number;
  failureRatio?: number;
  errors?: ErrorSpec[];
  input?: Record<string, string>;
  produces?: Record<string, Produced>;
  map?: MapSpec;
  cache?: CacheSpec;
}

/** Sets variables; takes no slot and no time. */
export interface TransformTask extends TaskCommon {
  kind: 'transform';
  /** Variables and the expressions of their new values, in order. */
  set: Record<string, string>;
  /** `loop` keeps them to the present iteration. Default `execution`. */
  scope?: 'execution' | 'loop';
}

/** Takes the first branch whose condition holds; tasks that only other branches lead to are skipped. */
export interface SwitchTask extends TaskCommon {
  kind: 'switch';
  cases: { name: string; when: string; leadsTo: string[] }[];
  otherwise?: string[];
}

export interface WaitTask extends TaskCommon {
  kind: 'wait';
  durationMs: DurationSpec;
}

/** Waits for a person; takes no slot. */
export interface HumanTask extends TaskCommon {
  kind: 'human';
  assignees: string[];
  /** How long the person takes, where nobody answers through the product. */
  durationMs: DurationSpec;
  answers: { answer: string; weight?: number }[];
  /** The answer that counts when the timeout is reached; without it the task ends as `timeout`. */
  answerOnTimeout?: string;
}

/** Starts another workflow, and waits for it unless told not to. */
export interface WorkflowTask extends TaskCommon {
  kind: 'workflow';
  workflow: string;
  /** Default true. */
  wait?: boolean;
  input?: Record<string, string>;
  map?: MapSpec;
}

/** Plays its tasks over and over, one iteration after the other: exactly one of times, forEach and while. */
export interface LoopTask extends TaskCommon {
  kind: 'loop';
  tasks: TaskDefinition[];
  /** An expression that gives a number. */
  times?: string;
  /** An expression that gives a list. */
  forEach?: string;
  /** Name of the item in expressions; `item` unless said. The number of the iteration, from 0, is `iteration`. */
  as?: string;
  /** An expression that is asked before each iteration. */
  while?: string;
  /** More iterations than this fail the task. */
  maxIterations: number;
  /** Between two iterations. */
  delayMs?: DurationSpec;
}

export type TaskDefinition = WorkTask | TransformTask | SwitchTask | WaitTask | HumanTask | WorkflowTask | LoopTask;

export type TaskKind = TaskDefinition['kind'];
