import type { PlayContext, Undoable } from './play-context.ts';
import { Stage } from './stage.ts';
import { isFailure, TaskInstance } from './task-instance.ts';
import { placeOf } from './task-place.ts';

interface FinaleEvents {
  enter(phase: 'compensation' | 'failure_handling'): void;
  /** With the tasks whose effects were undone. */
  over(undone: ReadonlySet<string>): void;
}

/**
 * What follows when an execution did not complete: the effects of its tasks are undone one after the other, the
 * newest first, and then the tasks that handle a failure are played. One that cannot be undone does not keep others
 * from it.
 */
export class FailureFinale {
  readonly #context: PlayContext;
  readonly #handles: boolean;
  readonly #events: FinaleEvents;
  readonly #undoables: Undoable[];
  readonly #total: number;
  readonly #undone = new Set<string>();

  constructor(context: PlayContext, handles: boolean, events: FinaleEvents) {
    this.#context = context;
    this.#handles = handles;
    this.#events = events;
    this.#undoables = context.undoables;
    this.#total = context.undoables.length;
    context.undoables = [];
  }

  get substatus(): string {
    return this.#total === 0 ? '' : `undone ${this.#undone.size} of ${this.#total}`;
  }

  start(): void {
    if (this.#total > 0) this.#events.enter('compensation');
    this.#undoNext();
  }

  #undoNext(): void {
    const next = this.#undoables.pop();
    if (next === undefined) this.#handleFailure();
    else this.#undo(next);
  }

  #undo(next: Undoable): void {
    const { place } = next.instance;
    const undoing = placeOf({ ...place, task: next.compensation, compensates: place.task.id });
    const over = (instance: TaskInstance) => {
      const { end } = instance;
      if (end?.state === 'completed') this.#undone.add(place.task.id);
      if (end != null && isFailure(end) && end.error != null)
        this.#context.recordError(next.compensation.id, end.error);
      this.#undoNext();
    };
    new TaskInstance(undoing, { over }).start();
  }

  #handleFailure(): void {
    const { onFailure = [] } = this.#context.definition;
    if (!this.#handles || onFailure.length === 0) {
      this.#events.over(this.#undone);
      return;
    }
    this.#events.enter('failure_handling');
    new Stage(this.#context, onFailure, this.#context.variables, null, () => this.#events.over(this.#undone)).start();
  }
}
