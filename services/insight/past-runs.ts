import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { ExecutionTrace } from '../analysis/execution-trace.ts';
import { timeWorkflow, type WorkflowRuns } from '../analysis/workflow-runs.ts';
import { loadRunsOfSource, type RecentRuns } from './recent-runs.ts';

/** What earlier executions of a workflow teach about one of them. */
export interface PastAsk {
  workflowId: string;
  source: string;
  /** Newest executions at most. */
  limit: number;
  nowMs: number;
}

interface Kept {
  loadedAtMs: number;
  runs: RecentRuns;
  attempts: number;
  timed: WorkflowRuns;
}

export const pastDefaults = {
  /** A few executions more hardly change what many teach; loading them takes longer than all the rest of an answer. */
  keptMs: 120_000,
  /** Attempts of all that is kept, so that it stays small beside what one analysis may hold. */
  attemptsMost: 100_000,
};

/**
 * The newest executions of workflows as they were a moment ago: a page that looks at an execution again and again, or at one
 * after the other, learns from the same.
 */
export class PastRuns {
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();

  /** Earlier executions than this one, as far as they were over by then. */
  async learn(
    reader: WorkspaceReader,
    executionId: string,
    ask: PastAsk,
  ): Promise<{ past: WorkflowRuns; children: RecentRuns['children']; leftOut: number }> {
    const { runs, timed } = await this.#find(reader, ask);
    const isPast = (other: ExecutionTrace) =>
      other.executionId !== executionId && (other.endedAtMs ?? Number.POSITIVE_INFINITY) <= ask.nowMs;
    const past = runs.executions.filter(isPast);
    const { children, leftOut } = runs;
    return { past: past.length === timed.executions.length ? timed : timeWorkflow(past), children, leftOut };
  }

  async #find(reader: WorkspaceReader, { workflowId, source, limit, nowMs }: PastAsk): Promise<Kept> {
    const key = JSON.stringify([reader.workspace, workflowId, source, limit]);
    const known = this.#kept.get(key);
    if (known !== undefined && nowMs - known.loadedAtMs < pastDefaults.keptMs) return known;
    // Executions whose tasks alone were heard of stand in no list, and teach nothing.
    const wish = { workflowId, source, fromMs: 0, toMs: nowMs + 1, isOver: true, limit };
    const runs = await loadRunsOfSource(reader, wish);
    const over = runs.executions.filter(({ endedAtMs }) => (endedAtMs ?? Number.POSITIVE_INFINITY) <= nowMs);
    const attempts = countAttempts(runs.executions) + countAttempts([...runs.children.values()]);
    const kept = { loadedAtMs: nowMs, runs, attempts, timed: timeWorkflow(over) };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.#forgetOldest();
    return kept;
  }

  #forgetOldest(): void {
    let attempts = [...this.#kept.values()].reduce((sum, kept) => sum + kept.attempts, 0);
    for (const [key, kept] of this.#kept) {
      if (attempts <= pastDefaults.attemptsMost) return;
      this.#kept.delete(key);
      attempts -= kept.attempts;
    }
  }
}

const countAttempts = (executions: readonly ExecutionTrace[]): number =>
  executions.reduce((sum, { tasks }) => sum + tasks.reduce((own, task) => own + task.attempts.length, 0), 0);
