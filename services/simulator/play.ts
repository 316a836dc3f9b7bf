import type { Engine, Scheduled } from './engine.ts';
import { ExpressionError } from './expressions.ts';
import { FailureFinale } from './failure-finale.ts';
import type { ExecutionChange, ExecutionOrigin, PlayObserver, ResourceUsage, TaskError } from './play-changes.ts';
import { PlayContext } from './play-context.ts';
import type { Random } from './random.ts';
import type { WorkerPool, WorkerSlot } from './resources.ts';
import { Stage, type StageEnd } from './stage.ts';
import { expressionFailure } from './task-instance.ts';
import { evaluateAll } from './task-kinds.ts';
import type { TaskDefinition, WorkflowDefinition } from './workflow-model.ts';

/** One attempt at the moment at which something about it is decided. */
export interface AttemptMoment {
  executionId: string;
  workflowId: string;
  workflowVersion: string;
  taskId: string;
  task: TaskDefinition;
  mapIndex: number;
  loopIteration: number | null;
  attempt: number;
  atMs: number;
  /** Null for tasks that take no slot. */
  worker: WorkerSlot | null;
}

/** How an incident shows in what an execution does; whatever is left out stays as the model draws it. */
export interface PlayEffects {
  /** Asked at the start; infinity is an attempt that never ends by itself. */
  durationMs?(moment: AttemptMoment, drawnMs: number): number;
  startupMs?(moment: AttemptMoment, drawnMs: number): number;
  /** An error fails the attempt, null makes it succeed, undefined leaves it to the model. */
  failure?(moment: AttemptMoment): TaskError | null | undefined;
  usage?(moment: AttemptMoment, usage: ResourceUsage): ResourceUsage;
  output?(moment: AttemptMoment, output: unknown): unknown;
}

/** Test mode: what a task comes to, without a slot and without chance. */
export interface MockedResult {
  /** Default `completed`. */
  state?: 'completed' | 'failed' | 'timeout';
  output?: unknown;
  error?: Partial<TaskError>;
  /** Default 0. */
  durationMs?: number;
}

/** Results that executions share, by key. */
export interface ResultCache {
  get(key: string, nowMs: number): { output: unknown; durationMs: number } | undefined;
  set(key: string, result: { output: unknown; durationMs: number }, expiresAtMs: number): void;
}

/** A sub-workflow that is to be started, for a world that starts executions itself. */
export interface ChildStart extends ExecutionOrigin {
  workflowId: string;
  executionId: string;
  variables: Record<string, unknown>;
  priority: number;
  /** To be called once, when the child is over. */
  over(end: ExecutionChange): void;
}

export interface ChildHandle {
  cancel(reason: string): boolean;
}

/** What attempts came to in an earlier play, by `attemptKey`; see recording.ts. */
export type Recording = ReadonlyMap<string, RecordedAttempt>;

export interface RecordedAttempt {
  /** Infinity for what was cancelled: whatever cancelled it then will do so again. */
  runMs: number;
  startupMs: number;
  state: 'completed' | 'failed' | 'timeout' | 'cancelled';
  output: unknown;
  error: TaskError | null;
  usage: ResourceUsage | null;
  cost: number | null;
  retryDelayMs: number | null;
}

export interface PlayOptions {
  engine: Engine;
  definition: WorkflowDefinition;
  executionId: string;
  /** One number is drawn from it: everything else follows from that and from the names of the tasks. */
  random: Random;
  variables?: Record<string, unknown>;
  priority?: number;
  /** Whose share its tasks count against in fair pools; the project, or the workflow where there is none. */
  fairKey?: string;
  /** When a schedule wanted it; null unless said. */
  scheduledAtMs?: number | null;
  /** Counts up from here where an execution is played again under its id. */
  attempt?: number;
  origin?: ExecutionOrigin;
  pools(name: string): WorkerPool;
  /** Definitions of sub-workflows; they are played here unless `startChild` is given. */
  childDefinition?(id: string): WorkflowDefinition | undefined;
  startChild?(child: ChildStart): ChildHandle;
  cache?: ResultCache;
  mocks?: Readonly<Record<string, MockedResult>>;
  recording?: Recording;
  effects?: PlayEffects;
  observer: PlayObserver;
  /** Called after the last change was told. */
  over?(end: ExecutionChange): void;
}

/** One execution of a definition in virtual time. */
export class Play {
  readonly executionId: string;
  readonly #options: PlayOptions;
  readonly #context: PlayContext;
  readonly #createdAtMs: number;
  #state: ExecutionChange['state'] = 'pending';
  #phase: ExecutionChange['phase'] = 'waiting';
  #stage: Stage | null = null;
  #finale: FailureFinale | null = null;
  #startedAtMs: number | null = null;
  #endedAtMs: number | null = null;
  #deadline: Scheduled | null = null;
  /** Decided before the tasks are over: by a cancellation or the timeout. */
  #endState: 'cancelled' | 'timeout' | null = null;
  #error: TaskError | null = null;
  #output: Record<string, unknown> | null = null;
  #cancelReason = '';
  #retryReason = '';
  #undone: ReadonlySet<string> = new Set();

  constructor(options: PlayOptions) {
    this.executionId = options.executionId;
    this.#options = options;
    this.#createdAtMs = options.engine.nowMs;
    this.#context = new PlayContext(options, (child) => this.#startChild(child));
  }

  get state(): ExecutionChange['state'] {
    return this.#state;
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  /** Says that it is waiting to be started, for instance for a limit of concurrency. */
  announce(): void {
    if (this.#phase === 'waiting') this.#tell();
  }

  start(): void {
    if (this.#phase !== 'waiting') throw new Error(`execution ${this.executionId} was started before`);
    this.#begin(() => {
      const { tasks } = this.#options.definition;
      this.#stage = new Stage(this.#context, tasks, this.#context.variables, null, (end) => this.#stageOver(end));
      this.#stage.start();
    });
  }

  /** The methods below answer false, and do nothing, where the present state does not allow it. */
  cancel(reason: string): boolean {
    if (this.#phase !== 'waiting' && this.#phase !== 'tasks') return false;
    this.#cancelReason = reason;
    this.#endState = 'cancelled';
    if (this.#stage === null || this.#phase === 'waiting') this.#conclude('cancelled');
    else this.#stage.cancel(reason);
    return true;
  }

  /** After a failure, a timeout or a cancellation: plays again what did not complete, as a further attempt. */
  retry(reason = 'retried'): boolean {
    if (!this.isOver || this.#state === 'completed') return false;
    const stage = this.#stage;
    this.#beginAgain(reason);
    if (stage === null) this.start();
    else this.#begin(() => stage.resume(this.#undone, reason));
    return true;
  }

  /** Plays a task and all that comes after it once more, whether or not the execution is over. */
  restartTask(taskId: string, reason = 'restarted'): boolean {
    const stage = this.#stage;
    const state = stage?.stateOf(taskId) ?? 'waiting';
    if (stage === null || state === 'waiting' || (this.#phase !== 'tasks' && !this.isOver)) return false;
    if (!this.isOver) {
      stage.restart(taskId, reason);
      return true;
    }
    this.#beginAgain(reason);
    this.#begin(() => stage.restart(taskId, reason));
    return true;
  }

  /** Nothing new begins; what runs, runs on. */
  pause(): boolean {
    if (this.#phase !== 'tasks' || this.#context.gate.isClosed) return false;
    this.#context.gate.close();
    this.#state = 'suspended';
    this.#tell();
    return true;
  }

  resume(): boolean {
    if (this.#phase !== 'tasks' || !this.#context.gate.isClosed) return false;
    this.#state = 'running';
    this.#tell();
    this.#context.gate.open();
    return true;
  }

  /** Answers a human step; only the first answer counts. */
  answer(taskId: string, answer: string, by: string): boolean {
    const attempt = this.#stage?.attemptsOf(taskId).find(({ place }) => place.task.kind === 'human');
    if (attempt === undefined || attempt.facts.startedAtMs === null) return false;
    return attempt.finish({ state: 'completed', output: { answer, by } });
  }

  /** Everything known about it now, for reports of progress; it is not told to the observer. */
  snapshot(): ExecutionChange {
    const { definition, engine, scheduledAtMs } = this.#options;
    const { origin, priority, errors, executionAttempt, lastCheckpoint, totals, allocated } = this.#context;
    const tasksTotal = this.#stage?.tasksTotal ?? definition.tasks.length;
    const tasksOver = this.#stage?.tasksOver ?? 0;
    const activeIds = this.#stage?.activeIds ?? [];
    return {
      ...origin,
      ...totals,
      executionId: this.executionId,
      definition,
      attempt: executionAttempt,
      state: this.#state,
      atMs: engine.nowMs,
      scheduledAtMs: scheduledAtMs ?? null,
      queuedAtMs: this.#createdAtMs,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      priority,
      childExecutionIds: [...this.#context.childExecutionIds],
      progressRatio: tasksOver / tasksTotal,
      phase: this.#phase,
      substatus: this.#finale?.substatus ?? activeIds.join(', '),
      lastCheckpoint,
      variables: this.#context.variables.snapshot(),
      output: this.#output,
      error: this.#error,
      errors,
      cancelReason: this.#cancelReason,
      retryReason: this.#retryReason,
      cpuAllocatedCores: allocated.cpuCores,
      memoryAllocatedBytes: allocated.memoryBytes,
      tasksTotal,
      tasksOver,
      tasksActive: activeIds.length,
    };
  }

  #begin(play: () => void): void {
    const { engine, definition } = this.#options;
    this.#phase = 'tasks';
    this.#state = 'running';
    this.#startedAtMs = engine.nowMs;
    const { timeoutMs } = definition;
    if (timeoutMs !== undefined) this.#deadline = engine.after(timeoutMs, () => this.#timeOut(timeoutMs));
    this.#tell();
    play();
  }

  #beginAgain(reason: string): void {
    this.#context.executionAttempt++;
    this.#context.errors = [];
    this.#phase = 'waiting';
    this.#endState = null;
    this.#endedAtMs = null;
    this.#finale = null;
    this.#error = null;
    this.#output = null;
    this.#cancelReason = '';
    this.#retryReason = reason;
  }

  #timeOut(timeoutMs: number): void {
    const message = `no end within ${timeoutMs} ms`;
    this.#error = { type: 'ExecutionTimeout', code: 'ETIMEDOUT', message, stack: '', retryable: true };
    this.#endState = 'timeout';
    this.#stage?.cancel(message);
  }

  #stageOver(end: StageEnd): void {
    if (this.#deadline !== null) this.#options.engine.cancel(this.#deadline);
    this.#deadline = null;
    this.#context.gate.open();
    const state = this.#endState ?? this.#computeOutput(end);
    this.#error ??= end.error;
    this.#state = 'running';
    if (state === 'completed' || state === 'partial') this.#conclude(state);
    else this.#windUp(state);
  }

  #windUp(state: 'failed' | 'cancelled' | 'timeout'): void {
    this.#finale = new FailureFinale(this.#context, state !== 'cancelled', {
      enter: (phase) => {
        this.#phase = phase;
        this.#tell();
      },
      over: (undone) => {
        this.#undone = undone;
        this.#conclude(state);
      },
    });
    this.#finale.start();
  }

  /** An output that cannot be computed fails an execution whose tasks have all completed. */
  #computeOutput(end: StageEnd): StageEnd['state'] {
    const { output } = this.#options.definition;
    if (output === undefined || end.state === 'failed' || end.state === 'cancelled') return end.state;
    try {
      this.#output = evaluateAll(output, this.#context.variables.get);
      return end.state;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.#error = expressionFailure(error);
      return 'failed';
    }
  }

  #conclude(state: ExecutionChange['state']): void {
    this.#state = state;
    this.#phase = 'over';
    this.#endedAtMs = this.#options.engine.nowMs;
    this.#tell();
    this.#options.over?.(this.snapshot());
  }

  #tell(): void {
    this.#options.observer.execution(this.snapshot());
  }

  #startChild(child: ChildStart): ChildHandle | null {
    const { startChild, childDefinition } = this.#options;
    if (startChild !== undefined) return startChild(child);
    const definition = childDefinition?.(child.workflowId);
    if (definition === undefined) return null;
    const { parentExecutionId, parentTaskId, rootExecutionId, executionId, variables, priority, over } = child;
    const play = new Play({
      ...this.#options,
      definition,
      executionId,
      variables,
      priority,
      // A child draws by its own name, so that when it starts makes no difference to anything else.
      random: this.#context.randomOf(executionId, 1),
      // Named by the tasks of the parent, which may have namesakes in the child.
      mocks: {},
      scheduledAtMs: null,
      attempt: 1,
      origin: { parentExecutionId, parentTaskId, rootExecutionId },
      over,
    });
    play.start();
    return play;
  }
}
