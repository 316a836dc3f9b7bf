import type { RecordedAttempt, Recording } from './play.ts';
import type { ExecutionChange, PlayObserver, TaskChange } from './play-changes.ts';
import { attemptKey } from './task-instance.ts';
import { placeKey } from './task-place.ts';

/**
 * Writes down what every attempt came to, so that the same execution can be played again for debugging: with the
 * recording, whatever the seed, every attempt takes as long, ends and uses as much as it did, while queues are played
 * anew. What came from outside, such as a cancellation, has to come again.
 */
export class Recorder implements PlayObserver {
  readonly #attempts = new Map<string, RecordedAttempt>();
  readonly #next: PlayObserver | null;

  /** What it is told it passes on. */
  constructor(next: PlayObserver | null = null) {
    this.#next = next;
  }

  get recording(): Recording {
    return this.#attempts;
  }

  execution(change: ExecutionChange): void {
    this.#next?.execution(change);
  }

  task(change: TaskChange): void {
    const { executionId, taskId, mapIndex, loopIteration, attempt, state, retryDelayMs } = change;
    const key = attemptKey(executionId, placeKey(taskId, mapIndex, loopIteration), attempt);
    const known = this.#attempts.get(key);
    if (state === 'retrying' && known !== undefined) this.#attempts.set(key, { ...known, retryDelayMs });
    if (state === 'completed' || state === 'failed' || state === 'timeout' || state === 'cancelled') {
      this.#attempts.set(key, recordEnd(change, state));
    }
    this.#next?.task(change);
  }
}

function recordEnd(change: TaskChange, state: RecordedAttempt['state']): RecordedAttempt {
  const { atMs, dispatchedAtMs, startedAtMs, output, error, usage, cost } = change;
  const never = Number.POSITIVE_INFINITY;
  const startupMs = startedAtMs === null ? never : startedAtMs - (dispatchedAtMs ?? startedAtMs);
  const runMs = startedAtMs === null || state === 'cancelled' ? never : atMs - startedAtMs;
  return { runMs, startupMs, state, output, error, usage, cost, retryDelayMs: null };
}
