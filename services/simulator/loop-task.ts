import { drawDurationMs } from './durations.ts';
import { ExpressionError, evaluateText, holds } from './expressions.ts';
import { Stage, type StageEnd } from './stage.ts';
import type { TaskAttempt } from './task-attempt.ts';
import { expressionFailure } from './task-instance.ts';
import { VariableScope } from './variable-scope.ts';
import type { LoopTask } from './workflow-model.ts';

/** Plays the tasks of a loop once for each item, for each number, or while a condition holds. */
export function beginLoop(attempt: TaskAttempt, task: LoopTask): void {
  const { scope } = attempt.place;
  attempt.enterRunning();
  attempt.endAfter(Number.POSITIVE_INFINITY, () => ({ state: 'completed' }));
  const items = task.forEach === undefined ? null : readItems(evaluateText(task.forEach, scope.get));
  const times = task.times === undefined ? null : readCount(evaluateText(task.times, scope.get));
  const count = items?.length ?? times ?? Number.POSITIVE_INFINITY;
  new LoopRun(attempt, task, items, count).next(0);
}

function readItems(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new ExpressionError(`cannot go through ${JSON.stringify(value)}: it is no list`);
}

function readCount(value: unknown): number {
  if (typeof value === 'number' && value >= 0) return Math.floor(value);
  throw new ExpressionError(`cannot repeat ${JSON.stringify(value)} times`);
}

/** What a mapped task goes over: a list, or as many numbers. */
export function readMapped(value: unknown): unknown[] {
  return Array.isArray(value) ? value : Array.from({ length: readCount(value) }, (_, index) => index);
}

class LoopRun {
  readonly #attempt: TaskAttempt;
  readonly #task: LoopTask;
  readonly #items: unknown[] | null;
  readonly #count: number;
  #stage: Stage | null = null;

  constructor(attempt: TaskAttempt, task: LoopTask, items: unknown[] | null, count: number) {
    this.#attempt = attempt;
    this.#task = task;
    this.#items = items;
    this.#count = count;
    attempt.onAbort((reason) => this.#stage?.cancel(reason));
  }

  next(index: number): void {
    const { place, context } = this.#attempt;
    const locals = { iteration: index, [this.#task.as ?? 'item']: this.#items?.[index] ?? null };
    const scope = new VariableScope(place.scope, locals);
    if (index >= this.#count || !this.#goesOn(scope)) {
      this.#attempt.finish({ state: 'completed', output: { iterations: index } });
    } else if (index >= this.#task.maxIterations) {
      this.#failUnbound();
    } else {
      const iteration = context.countIteration(this.#task.id);
      this.#stage = new Stage(context, this.#task.tasks, scope, iteration, (end) => this.#iterated(index, end));
      this.#stage.start();
    }
  }

  #goesOn(scope: VariableScope): boolean {
    return this.#task.while === undefined || holds(this.#task.while, scope.get);
  }

  #iterated(index: number, end: StageEnd): void {
    const attempt = this.#attempt;
    this.#stage = null;
    if (attempt.isOver) return;
    if (end.state === 'failed') {
      attempt.finish({ state: 'failed', error: end.error });
      return;
    }
    // Through the engine even without a delay: iterations that take no time must not nest in each other.
    const delayMs = Math.round(drawDurationMs(this.#task.delayMs ?? 0, attempt.random));
    attempt.context.engine.after(delayMs, () => this.#nextOrFail(index + 1));
  }

  #nextOrFail(index: number): void {
    if (this.#attempt.isOver) return;
    try {
      this.next(index);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.#attempt.finish({ state: 'failed', error: expressionFailure(error) });
    }
  }

  #failUnbound(): void {
    const { maxIterations } = this.#task;
    const message = `is not done after ${maxIterations} iterations`;
    const error = { type: 'LoopBoundExceeded', code: '', message, stack: '', retryable: false };
    this.#attempt.finish({ state: 'failed', error });
  }
}
