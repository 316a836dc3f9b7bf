import { type AttemptTrace, isEnd, type TaskTrace } from './execution-trace.ts';
import { groupBy, medianOf, spreadOf } from './robust-statistics.ts';

/**
 * Attempts of one execution on one clock. A worker's clock may be off: where the orchestrator says when an attempt was
 * queued and for how long it waited, the start follows on the orchestrator's clock, and the difference is the skew.
 */
export interface PlacedAttempt {
  attempt: AttemptTrace;
  startMs: number;
  endMs: number;
  /** It runs still, or nobody told its end. */
  isOpen: boolean;
}

/** Shifts of one worker that differ by more than this are no skew but another meaning of waiting. */
const skewSpreadMsMost = 100;

/** How far the clock of each worker is ahead. */
export function findClockSkews(tasks: readonly TaskTrace[]): Map<string, number> {
  const shifts: { workerId: string; shiftMs: number }[] = [];
  for (const { attempts } of tasks) {
    for (const { workerId, startedAtMs, queuedAtMs, readyAtMs, queueMs } of attempts) {
      const sinceMs = queuedAtMs ?? readyAtMs;
      if (workerId === '' || startedAtMs === null || sinceMs === null || queueMs === null) continue;
      shifts.push({ workerId, shiftMs: startedAtMs - sinceMs - queueMs });
    }
  }
  const skews = new Map<string, number>();
  for (const [workerId, own] of groupBy(shifts, (shift) => shift.workerId)) {
    const values = own.map(({ shiftMs }) => shiftMs);
    const skewMs = medianOf(values);
    if (Math.abs(skewMs) > 1 && spreadOf(values) <= skewSpreadMsMost) skews.set(workerId, skewMs);
  }
  return skews;
}

/** Attempts that ran, in order of their start; `openEndMs` is where those without an end are cut. */
export function placeAttempts(task: TaskTrace, skews: Map<string, number>, openEndMs: number): PlacedAttempt[] {
  const placed: PlacedAttempt[] = [];
  for (const attempt of task.attempts) {
    const own = placeAttempt(attempt, skews.get(attempt.workerId) ?? 0, openEndMs);
    if (own !== null) placed.push(own);
  }
  return placed.sort((left, right) => left.startMs - right.startMs || left.endMs - right.endMs);
}

function placeAttempt(attempt: AttemptTrace, skewMs: number, openEndMs: number): PlacedAttempt | null {
  const { startedAtMs, endedAtMs, durationMs, state } = attempt;
  if (state === 'skipped') return null;
  if (startedAtMs === null && (endedAtMs === null || state === 'cancelled')) return null;
  const endMs = endedAtMs === null ? null : endedAtMs - skewMs;
  const startMs = startedAtMs !== null ? startedAtMs - skewMs : guessStart(attempt, endMs as number);
  if (endMs === null) return { attempt, startMs, endMs: Math.max(startMs, openEndMs), isOpen: !isEnd(state) };
  const isShorter = durationMs !== null && startMs + durationMs < endMs;
  return { attempt, startMs, endMs: Math.max(startMs, isShorter ? startMs + durationMs : endMs), isOpen: false };
}

/** The latest instant that is known to lie before the start. */
function guessStart({ dispatchedAtMs, queuedAtMs, readyAtMs, durationMs }: AttemptTrace, endMs: number): number {
  if (durationMs !== null) return endMs - durationMs;
  return Math.min(endMs, dispatchedAtMs ?? queuedAtMs ?? readyAtMs ?? endMs);
}
