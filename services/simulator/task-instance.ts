import type { Scheduled } from './engine.ts';
import { ExpressionError } from './expressions.ts';
import type { Gate, GatePass } from './gate.ts';
import type { TaskError } from './play-changes.ts';
import { planRetryMs } from './retry-delay.ts';
import { type AttemptEnd, TaskAttempt } from './task-attempt.ts';
import { beginTask } from './task-kinds.ts';
import type { TaskPlace } from './task-place.ts';

export interface InstanceOptions {
  /** Limits how many instances of a mapped task go at once. */
  mapGate?: Gate | null;
  /** Why it is played once more. */
  reason?: string;
  over(instance: TaskInstance): void;
}

/** One instance of a task with all its attempts. */
export class TaskInstance {
  readonly place: TaskPlace;
  end: AttemptEnd | null = null;
  readonly #options: InstanceOptions;
  readonly #firstAttempt: number;
  #attempt: TaskAttempt | null = null;
  #passes: GatePass[] = [];
  #retrying: Scheduled | null = null;
  #hasPassed = false;

  constructor(place: TaskPlace, options: InstanceOptions) {
    this.place = place;
    this.#options = options;
    this.#firstAttempt = place.context.attemptsOf(place.key) + 1;
  }

  /** The attempt under way; null while none is. */
  get attempt(): TaskAttempt | null {
    return this.#attempt;
  }

  start(): void {
    this.#begin(this.#options.reason ?? '');
  }

  /** Told to the observer, as the cancellation of the attempt under way or of the one that was to come. */
  cancel(reason: string): void {
    if (this.end !== null) return;
    if (this.#retrying !== null) this.place.context.engine.cancel(this.#retrying);
    this.#retrying = null;
    const attempt = this.#attempt ?? this.#makeAttempt('');
    attempt.finish({ state: 'cancelled', reason });
  }

  #begin(reason: string): void {
    const attempt = this.#makeAttempt(reason);
    this.#attempt = attempt;
    this.#enterGates(attempt);
    if (!attempt.isOver && !this.#hasPassed) attempt.tell('pending');
  }

  /** First that of the mapped task, then that of the execution. */
  #enterGates(attempt: TaskAttempt): void {
    const { task, context } = this.place;
    const weight = task.kind === 'work' ? 1 : 0;
    this.#hasPassed = false;
    const enter = (gate: Gate, weight: 0 | 1, go: () => void) => {
      gate.enter(weight, (pass) => {
        // Who was cancelled while it was held back only makes room again.
        if (attempt.isOver) return pass.leave();
        this.#passes.push(pass);
        go();
      });
    };
    const enterPlay = () => enter(context.gate, weight, () => this.#run(attempt));
    const { mapGate } = this.#options;
    if (mapGate == null) enterPlay();
    else enter(mapGate, 1, enterPlay);
  }

  #run(attempt: TaskAttempt): void {
    this.#hasPassed = true;
    runBody(attempt);
  }

  #leaveGates(): void {
    const passes = this.#passes;
    this.#passes = [];
    for (const pass of passes) pass.leave();
  }

  #makeAttempt(reason: string): TaskAttempt {
    const { context, key } = this.place;
    const attempt: TaskAttempt = new TaskAttempt(this.place, context.countAttempt(key), reason, (end) =>
      this.#attemptOver(attempt, end),
    );
    return attempt;
  }

  #attemptOver(attempt: TaskAttempt, end: AttemptEnd): void {
    this.#attempt = null;
    const delayMs = isFailure(end) ? this.#planRetry(attempt, end) : null;
    if (delayMs === null) this.end = end;
    else this.#retryAfter(attempt, delayMs, end.error ?? null);
    // Whoever is let in next must find this one's end already known.
    this.#leaveGates();
    if (delayMs === null) this.#options.over(this);
  }

  #planRetry(attempt: TaskAttempt, end: AttemptEnd): number | null {
    const { context, task, key } = this.place;
    const attemptInRow = attempt.number - this.#firstAttempt + 1;
    const planned = planRetryMs(task.retry, attemptInRow, end.error ?? null, attempt.random);
    const recorded = context.options.recording?.get(attemptKey(context.options.executionId, key, attempt.number));
    if (planned === null) return null;
    return Math.round(recorded?.retryDelayMs ?? planned);
  }

  #retryAfter(attempt: TaskAttempt, delayMs: number, error: TaskError | null): void {
    const { engine } = this.place.context;
    const atMs = engine.nowMs + delayMs;
    attempt.tell('retrying', null, { delayMs, atMs });
    this.#retrying = engine.at(atMs, () => {
      this.#retrying = null;
      this.#begin(error === null ? 'retry' : `${error.type}: ${error.message}`);
    });
  }
}

export const isFailure = (end: AttemptEnd): boolean => end.state === 'failed' || end.state === 'timeout';

/** Tells one attempt from all others of all executions. */
export function attemptKey(executionId: string, placeKey: string, attempt: number): string {
  return `${executionId}|${placeKey}|${attempt}`;
}

/** Expressions of a definition may not fit the data that they meet: that fails the task, and trying again is useless. */
function runBody(attempt: TaskAttempt): void {
  try {
    beginTask(attempt);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    attempt.finish({ state: 'failed', error: expressionFailure(error) });
  }
}

export function expressionFailure({ message }: ExpressionError): TaskError {
  return { type: 'ExpressionError', code: '', message, stack: '', retryable: false };
}
