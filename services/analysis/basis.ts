import { type ExecutionTrace, isEnd, startOf } from './execution-trace.ts';

/** What an answer stood on; it comes with every one. */
export interface Basis {
  executions: number;
  task_attempts: number;
  /** First and last start, ISO 8601 in UTC; null without executions. */
  from: string | null;
  to: string | null;
  /** Finished executions with a start, an end and at least one task. */
  usable_executions: number;
  /** Attempts whose start or end was never told, of all attempts that ran. */
  missing_ratio: number;
}

/** Instead of an answer, where there is too little to stand on. */
export interface Refusal {
  refused: string;
  needed: number;
  had: number;
  basis: Basis;
}

export function describeBasis(executions: readonly ExecutionTrace[]): Basis {
  let attempts = 0;
  let missing = 0;
  for (const { tasks, endedAtMs } of executions) {
    for (const task of tasks) {
      for (const attempt of task.attempts) {
        if (attempt.state === 'skipped' || attempt.state === 'cancelled') continue;
        attempts++;
        // What still runs in a running execution is not missing.
        const lacksEnd = attempt.endedAtMs === null && endedAtMs !== null;
        if (lacksEnd || (attempt.endedAtMs !== null && attempt.startedAtMs === null)) missing++;
      }
    }
  }
  const starts = executions.map(startOf);
  return {
    executions: executions.length,
    task_attempts: attempts,
    from: starts.length === 0 ? null : toInstant(starts.reduce((left, right) => Math.min(left, right))),
    to: starts.length === 0 ? null : toInstant(starts.reduce((left, right) => Math.max(left, right))),
    usable_executions: executions.filter(isUsable).length,
    missing_ratio: attempts === 0 ? 0 : roundRatio(missing / attempts),
  };
}

export const isUsable = ({ state, startedAtMs, endedAtMs, tasks }: ExecutionTrace): boolean =>
  isEnd(state) && startedAtMs !== null && endedAtMs !== null && endedAtMs >= startedAtMs && tasks.length > 0;

export function refuse(what: string, needed: number, had: number, executions: readonly ExecutionTrace[]): Refusal {
  const refused = `${what} needs at least ${needed} finished executions with tasks; there are ${had}`;
  return { refused, needed, had, basis: describeBasis(executions) };
}

export const isRefusal = (answer: object): answer is Refusal => 'refused' in answer;

const toInstant = (ms: number): string => new Date(ms).toISOString();

/** Four digits after the point: enough for a share, and the same on every machine. */
export const roundRatio = (ratio: number): number => (Number.isFinite(ratio) ? Math.round(ratio * 1e4) / 1e4 : 0);

export const roundMs = (ms: number): number => (Number.isFinite(ms) ? Math.round(ms * 1e3) / 1e3 : 0);
