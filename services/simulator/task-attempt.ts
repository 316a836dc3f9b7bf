import type { TaskState } from '../../schemas/events.ts';
import type { Scheduled } from './engine.ts';
import type { AttemptMoment } from './play.ts';
import type { ResourceUsage, TaskChange, TaskError } from './play-changes.ts';
import type { PlayContext } from './play-context.ts';
import type { Random } from './random.ts';
import type { WorkerSlot } from './resources.ts';
import { describePlace, type TaskPlace } from './task-place.ts';

/** What an attempt comes to. */
export interface AttemptEnd {
  state: 'completed' | 'failed' | 'timeout' | 'cancelled' | 'skipped';
  output?: unknown;
  error?: TaskError | null;
  /** Why it was cancelled or skipped. */
  reason?: string;
}

interface RetryPlan {
  delayMs: number;
  atMs: number;
}

/** Facts that the work of an attempt fills in as it goes. */
interface AttemptFacts {
  queuedAtMs: number | null;
  dispatchedAtMs: number | null;
  startedAtMs: number | null;
  worker: WorkerSlot | null;
  input: unknown;
  cacheStatus: TaskChange['cacheStatus'];
  cacheSavedMs: number | null;
  childExecutionId: string | null;
  cpuAllocatedCores: number | null;
  memoryAllocatedBytes: number | null;
}

/** One try at one instance of a task, from the moment at which nothing holds it back to its one and only end. */
export class TaskAttempt {
  readonly context: PlayContext;
  readonly place: TaskPlace;
  readonly number: number;
  readonly random: Random;
  readonly readyAtMs: number;
  readonly facts: AttemptFacts = {
    queuedAtMs: null,
    dispatchedAtMs: null,
    startedAtMs: null,
    worker: null,
    input: null,
    cacheStatus: '',
    cacheSavedMs: null,
    childExecutionId: null,
    cpuAllocatedCores: null,
    memoryAllocatedBytes: null,
  };
  /** Measures the attempt when it ends; only work that took a slot has one. */
  measure: ((ranMs: number, end: AttemptEnd) => { usage: ResourceUsage; cost: number }) | null = null;
  readonly #retryReason: string;
  readonly #over: (end: AttemptEnd) => void;
  #timer: Scheduled | null = null;
  #aborts: ((reason: string) => void)[] = [];
  #gives: (() => void)[] = [];
  #isOver = false;
  #usage: ResourceUsage | null = null;
  #cost: number | null = null;

  constructor(place: TaskPlace, number: number, retryReason: string, over: (end: AttemptEnd) => void) {
    this.place = place;
    this.context = place.context;
    this.number = number;
    this.random = this.context.randomOf(place.key, number);
    this.readyAtMs = this.context.engine.nowMs;
    this.#retryReason = retryReason;
    this.#over = over;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get moment(): AttemptMoment {
    const { context, place, number, facts } = this;
    const { definition, engine, options } = context;
    const { task, mapIndex, loopIteration } = place;
    const { id: workflowId, version: workflowVersion } = definition;
    const about = { executionId: options.executionId, workflowId, workflowVersion, taskId: task.id, task };
    return { ...about, mapIndex, loopIteration, attempt: number, atMs: engine.nowMs, worker: facts.worker };
  }

  enterQueue(): void {
    this.facts.queuedAtMs = this.context.engine.nowMs;
    this.tell('queued');
  }

  enterRunning(): void {
    this.facts.startedAtMs = this.context.engine.nowMs;
    this.context.changeActive(this.place.task.id, 1);
    this.tell('running');
  }

  /** Calls back after the delay, unless the attempt is over by then. There is one such timer at a time. */
  later(delayMs: number, action: () => void): void {
    if (this.#isOver || delayMs === Number.POSITIVE_INFINITY) return;
    this.#timer = this.context.engine.after(delayMs, action);
  }

  /** Ends after `runMs`, or by the timeout of the task where that comes first; never, where both are infinite. */
  endAfter(runMs: number, makeEnd: () => AttemptEnd, onTimeout = makeTimeout): void {
    const { timeoutMs = Number.POSITIVE_INFINITY } = this.place.task;
    if (Math.min(runMs, timeoutMs) === Number.POSITIVE_INFINITY) return;
    if (timeoutMs < runMs) this.later(timeoutMs, () => this.finish(onTimeout(timeoutMs)));
    else this.later(runMs, () => this.finish(makeEnd()));
  }

  /** Called before the end is told, with the reason: stops what the attempt has going. */
  onAbort(abort: (reason: string) => void): void {
    this.#aborts.push(abort);
  }

  /** Called after the end was told: gives back what the attempt holds. */
  onEnd(give: () => void): void {
    this.#gives.push(give);
  }

  /** True for the first end only: whatever is reported after that is too late and changes nothing. */
  finish(end: AttemptEnd): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    if (this.#timer !== null) this.context.engine.cancel(this.#timer);
    for (const abort of this.#aborts) abort(end.reason ?? `the task ended as ${end.state}`);
    this.#measureEnd(end);
    this.tell(end.state, end);
    if (this.facts.startedAtMs !== null) this.context.changeActive(this.place.task.id, -1);
    for (const give of this.#gives) give();
    this.#over(end);
    return true;
  }

  /** Tells the observer of a state with everything known by now. */
  tell(state: TaskState, end: AttemptEnd | null = null, retry: RetryPlan | null = null): void {
    this.context.options.observer.task(this.#describe(state, end, retry));
  }

  /** Field by field, because this is what a simulation does most and copying whole objects takes several times as long. */
  #describe(state: TaskState, end: AttemptEnd | null, retry: RetryPlan | null): TaskChange {
    const { context, place, facts } = this;
    const nowMs = context.engine.nowMs;
    const about = describePlace(place);
    return {
      executionId: about.executionId,
      executionAttempt: context.executionAttempt,
      workflowId: about.workflowId,
      workflowVersion: about.workflowVersion,
      taskId: about.taskId,
      taskName: about.taskName,
      kind: about.kind,
      type: about.type,
      mapIndex: about.mapIndex,
      mapSize: about.mapSize,
      loopIteration: about.loopIteration,
      attempt: this.number,
      maxAttempts: about.maxAttempts,
      state,
      atMs: nowMs,
      scheduledAtMs: this.readyAtMs,
      readyAtMs: state === 'skipped' ? null : this.readyAtMs,
      queuedAtMs: facts.queuedAtMs,
      dispatchedAtMs: facts.dispatchedAtMs,
      startedAtMs: facts.startedAtMs,
      endedAtMs: end === null ? null : nowMs,
      expectedMs: about.expectedMs,
      worker: facts.worker === null ? null : facts.worker.workerId,
      pool: about.pool,
      queue: about.queue,
      operator: about.operator,
      group: about.group,
      priority: about.priority,
      stepOrder: about.stepOrder,
      triggerRule: about.triggerRule,
      dependencies: about.dependencies,
      dependents: about.dependents,
      compensates: about.compensates,
      error: end?.error ?? null,
      // Told once, with the end, so that whoever sums what was used counts it once.
      usage: end === null ? null : this.#usage,
      cpuAllocatedCores: facts.cpuAllocatedCores,
      memoryAllocatedBytes: facts.memoryAllocatedBytes,
      cost: end === null ? null : this.#cost,
      input: facts.input,
      output: end?.output ?? null,
      cacheStatus: facts.cacheStatus,
      cacheSavedMs: facts.cacheSavedMs,
      retryDelayMs: retry?.delayMs ?? null,
      nextRetryAtMs: retry?.atMs ?? null,
      childExecutionId: facts.childExecutionId,
      skippedReason: state === 'skipped' ? (end?.reason ?? '') : '',
      cancelReason: state === 'cancelled' ? (end?.reason ?? '') : '',
      retryReason: this.#retryReason,
      concurrency: context.countActive(about.taskId),
    };
  }

  #measureEnd(end: AttemptEnd): void {
    const { startedAtMs } = this.facts;
    if (startedAtMs === null || this.measure === null) return;
    const { usage, cost } = this.measure(this.context.engine.nowMs - startedAtMs, end);
    this.#usage = usage;
    this.#cost = cost;
    this.context.addUsage(usage, cost);
  }
}

function makeTimeout(timeoutMs: number): AttemptEnd {
  const message = `no end within ${timeoutMs} ms`;
  return { state: 'timeout', error: { type: 'TaskTimeout', code: 'ETIMEDOUT', message, stack: '', retryable: true } };
}
