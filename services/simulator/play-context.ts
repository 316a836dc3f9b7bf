import type { Engine } from './engine.ts';
import { Gate } from './gate.ts';
import type { ChildHandle, ChildStart, PlayOptions } from './play.ts';
import type { ExecutionOrigin, ResourceUsage, TaskError } from './play-changes.ts';
import { createRandom, type Random } from './random.ts';
import type { TaskInstance } from './task-instance.ts';
import { VariableScope } from './variable-scope.ts';
import type { WorkflowDefinition, WorkTask } from './workflow-model.ts';

/** A completed task whose effect can be undone. */
export interface Undoable {
  instance: TaskInstance;
  compensation: WorkTask;
}

/** What the tasks of one execution share. */
export class PlayContext {
  readonly options: PlayOptions;
  readonly engine: Engine;
  readonly definition: WorkflowDefinition;
  readonly origin: ExecutionOrigin;
  readonly priority: number;
  readonly fairKey: string;
  readonly gate: Gate;
  readonly variables: VariableScope;
  /** `tasks.ID` in expressions. */
  readonly tasks: Record<string, unknown> = Object.create(null);
  readonly startChild: (child: ChildStart) => ChildHandle | null;
  readonly totals = { cost: 0, cpuMs: 0, memoryPeakBytes: 0, networkBytes: 0, storageBytes: 0 };
  readonly allocated = { cpuCores: 0, memoryBytes: 0 };
  readonly activeByTask = new Map<string, number>();
  readonly childExecutionIds: string[] = [];
  errors: { taskId: string; error: TaskError; atMs: number }[] = [];
  /** In the order in which they completed. */
  undoables: Undoable[] = [];
  executionAttempt: number;
  lastCheckpoint = '';
  readonly #seed: number;
  readonly #attempts = new Map<string, number>();
  readonly #iterations = new Map<string, number>();

  constructor(options: PlayOptions, startChild: (child: ChildStart) => ChildHandle | null) {
    const { definition, executionId } = options;
    this.options = options;
    this.engine = options.engine;
    this.definition = definition;
    this.startChild = startChild;
    this.executionAttempt = options.attempt ?? 1;
    const alone = { parentExecutionId: null, parentTaskId: null, rootExecutionId: executionId };
    this.origin = options.origin ?? alone;
    this.priority = options.priority ?? definition.priority ?? 0;
    this.fairKey = options.fairKey ?? definition.project ?? definition.id;
    this.gate = new Gate(definition.maxParallelTasks ?? Number.POSITIVE_INFINITY);
    this.#seed = options.random.below(2 ** 32);
    const roots = new VariableScope(null, { tasks: this.tasks, execution: this.#describeExecution() });
    this.variables = new VariableScope(roots, { ...definition.variables, ...options.variables });
  }

  /**
   * Chance for one attempt of one task. It depends on nothing but their names, so that what happens to one task never
   * changes what another draws: plays with and without an incident differ by the incident alone.
   */
  randomOf(taskKey: string, attempt: number): Random {
    let hash = (0x811c9dc5 ^ this.#seed) >>> 0;
    for (let at = 0; at < taskKey.length; at++) hash = Math.imul(hash ^ taskKey.charCodeAt(at), 0x01000193);
    return createRandom(Math.imul(hash ^ attempt, 0x01000193) >>> 0);
  }

  attemptsOf(taskKey: string): number {
    return this.#attempts.get(taskKey) ?? 0;
  }

  countAttempt(taskKey: string): number {
    const attempt = this.attemptsOf(taskKey) + 1;
    this.#attempts.set(taskKey, attempt);
    return attempt;
  }

  /** Numbers of iterations never repeat within an execution, also where loops are nested. */
  countIteration(loopId: string): number {
    const iteration = this.#iterations.get(loopId) ?? 0;
    this.#iterations.set(loopId, iteration + 1);
    return iteration;
  }

  changeActive(taskId: string, by: 1 | -1): void {
    this.activeByTask.set(taskId, this.countActive(taskId) + by);
    if (this.countActive(taskId) === 0) this.activeByTask.delete(taskId);
  }

  countActive(taskId: string): number {
    return this.activeByTask.get(taskId) ?? 0;
  }

  addUsage(usage: ResourceUsage, cost: number): void {
    const { totals } = this;
    totals.cost += cost;
    totals.cpuMs += usage.cpuMs;
    totals.memoryPeakBytes = Math.max(totals.memoryPeakBytes, usage.memoryPeakBytes);
    totals.networkBytes += usage.networkBytes;
    totals.storageBytes += usage.storageBytes;
  }

  /** What it was given at most for one attempt. */
  noteAllocation(cpuCores: number, memoryBytes: number): void {
    this.allocated.cpuCores = Math.max(this.allocated.cpuCores, cpuCores);
    this.allocated.memoryBytes = Math.max(this.allocated.memoryBytes, memoryBytes);
  }

  recordError(taskId: string, error: TaskError): void {
    this.errors = [...this.errors, { taskId, error, atMs: this.engine.nowMs }];
  }

  /** `execution` in expressions. */
  #describeExecution(): object {
    const { definition, origin, priority } = this;
    const { executionId } = this.options;
    return { id: executionId, workflow: definition.id, version: definition.version, priority, ...origin };
  }
}
