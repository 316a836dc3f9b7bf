import { cutExecution, estimateCompletion } from '../../services/analysis/completion-estimate.ts';
import { type ExecutionTrace, startOf } from '../../services/analysis/execution-trace.ts';
import { timeWorkflow } from '../../services/analysis/workflow-runs.ts';
import { median } from './report.ts';

/** What was said of a running execution after a share of its time, beside what was left of it. */
export interface Estimate {
  share: number;
  durationMs: number;
  remainingMs: number;
  estimatedMs: number;
  /** The usual duration less what has passed: what anybody could say without looking at tasks. */
  plainMs: number;
  isHeld: boolean;
}

const shares = [0.25, 0.5, 0.75];
const pastLength = 60;

/** Watches executions of a history while they run, as they were known then. */
export function replayEstimates(history: readonly ExecutionTrace[], from: number, count: number): Estimate[] {
  const completed = history.filter(({ state, tasks }) => state === 'completed' && tasks.length > 0);
  const step = Math.max(1, Math.floor((completed.length - from) / count));
  const estimates: Estimate[] = [];
  for (let place = from; place < completed.length; place += step) {
    const one = completed[place];
    const past = completed
      .slice(Math.max(0, place - pastLength), place)
      .filter(({ endedAtMs }) => (endedAtMs ?? 0) <= startOf(one));
    if (past.length < 10) continue;
    const workflow = timeWorkflow(past);
    for (const share of shares) estimates.push(...watch(one, past, workflow, share));
  }
  return estimates;
}

function watch(
  one: ExecutionTrace,
  past: readonly ExecutionTrace[],
  workflow: ReturnType<typeof timeWorkflow>,
  share: number,
): Estimate[] {
  const durationMs = durationOf(one);
  const nowMs = startOf(one) + Math.round(share * durationMs);
  const answer = estimateCompletion(cutExecution(one, nowMs), workflow, nowMs);
  if ('refused' in answer || durationMs === 0) return [];
  const remainingMs = startOf(one) + durationMs - nowMs;
  const [low, high] = answer.remaining_interval_ms;
  const isHeld = remainingMs >= low - 1 && remainingMs <= high + 1;
  const plainMs = Math.max(0, median(past.map(durationOf)) - (nowMs - startOf(one)));
  return [{ share, durationMs, remainingMs, estimatedMs: answer.remaining_ms, plainMs, isHeld }];
}

export const durationOf = (trace: ExecutionTrace): number => (trace.endedAtMs ?? 0) - startOf(trace);

/** Errors as shares of the whole duration, so that long workflows do not count for more. */
export function judgeEstimates(estimates: readonly Estimate[]): {
  error: number;
  toPlain: number;
  coverage: number;
} {
  const meanError = (of: (estimate: Estimate) => number) =>
    estimates.reduce((sum, own) => sum + Math.abs(of(own) - own.remainingMs) / own.durationMs, 0) / estimates.length;
  const error = meanError(({ estimatedMs }) => estimatedMs);
  return {
    error,
    toPlain: error / meanError(({ plainMs }) => plainMs),
    coverage: estimates.filter(({ isHeld }) => isHeld).length / estimates.length,
  };
}
