import { pastExecutionsQuestion } from '../../clickhouse/queries/past-executions.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { ExecutionTrace } from '../analysis/execution-trace.ts';
import type { RunKnowledge } from '../analysis/timed-run.ts';
import { learnKnowledge, timeWorkflow, type WorkflowRuns } from '../analysis/workflow-runs.ts';
import { readPast } from './past-text.ts';
import { loadRunsOfSource, type RecentRuns } from './recent-runs.ts';

/** What earlier executions of a workflow teach about one of them. */
export interface PastAsk {
  workflowId: string;
  source: string;
  /** Newest executions at most. */
  limit: number;
  nowMs: number;
}

type PastExecutions = Pick<RecentRuns, 'executions' | 'leftOut'>;

export const pastDefaults = {
  /** Earlier executions that are enough to learn from. */
  limit: 60,
  /** A few executions more hardly change what many teach; loading them takes longer than all the rest of an answer. */
  keptMs: 120_000,
  /** What the job of analyses wrote longer ago is not taken: it runs no more. */
  writtenMs: 86_400_000,
  /** Attempts of all that is kept, so that it stays small beside what one analysis may hold. */
  attemptsMost: 100_000,
};

/** Earlier executions, made ready for those who ask no further than they ask. */
export class Past {
  readonly executions: readonly ExecutionTrace[];
  readonly leftOut: number;
  #knowledge: RunKnowledge | undefined;
  #timed: WorkflowRuns | undefined;

  constructor({ executions, leftOut }: PastExecutions) {
    this.executions = executions;
    this.leftOut = leftOut;
  }

  get knowledge(): RunKnowledge {
    this.#knowledge ??= learnKnowledge(this.executions);
    return this.#knowledge;
  }

  get timed(): WorkflowRuns {
    this.#timed ??= timeWorkflow(this.executions);
    return this.#timed;
  }

  /** Without this one, as far as they were over by then. */
  before(executionId: string, nowMs: number): Past {
    const isPast = (other: ExecutionTrace) =>
      other.executionId !== executionId && (other.endedAtMs ?? Number.POSITIVE_INFINITY) <= nowMs;
    const executions = this.executions.filter(isPast);
    return executions.length === this.executions.length ? this : new Past({ executions, leftOut: this.leftOut });
  }
}

interface Kept {
  loadedAtMs: number;
  past: Past;
  attempts: number;
}

/**
 * The newest executions of workflows as they were a moment ago: a page that looks at an execution again and again, or at one
 * after the other, learns from the same.
 */
export class PastRuns {
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();

  /** Earlier executions than this one, as far as they were over by then. */
  async learn(reader: WorkspaceReader, executionId: string, ask: PastAsk): Promise<Past> {
    const { past } = await this.#find(reader, ask);
    return past.before(executionId, ask.nowMs);
  }

  async #find(reader: WorkspaceReader, ask: PastAsk): Promise<Kept> {
    const { workflowId, source, limit, nowMs } = ask;
    const key = JSON.stringify([reader.workspace, workflowId, source, limit]);
    const known = this.#kept.get(key);
    if (known !== undefined && nowMs - known.loadedAtMs < pastDefaults.keptMs) return known;
    const past = new Past((await readWritten(reader, ask)) ?? (await loadPast(reader, ask)));
    const kept = { loadedAtMs: nowMs, past, attempts: countAttempts(past.executions) };
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

/**
 * What the job of analyses wrote of them. Of fewer executions than are asked for each further one teaches something,
 * and reading them takes little; so these are always read themselves.
 */
async function readWritten(
  reader: WorkspaceReader,
  { workflowId, source, limit, nowMs }: PastAsk,
): Promise<PastExecutions | null> {
  if (limit > pastDefaults.limit) return null;
  const written = { workflow: workflowId, source, fromMs: nowMs - pastDefaults.writtenMs, least: limit };
  const [row] = await reader.ask(pastExecutionsQuestion, written);
  const executions = row === undefined ? null : readPast(row.told);
  return executions === null ? null : { executions: executions.slice(-limit), leftOut: 0 };
}

/** Those that have ended; executions whose tasks alone were heard of stand in no list, and teach nothing. */
export async function loadPast(
  reader: WorkspaceReader,
  { workflowId, source, limit, nowMs }: PastAsk,
): Promise<PastExecutions> {
  const wish = { workflowId, source, fromMs: 0, toMs: nowMs + 1, isOver: true, limit };
  return await loadRunsOfSource(reader, wish, 'times');
}

const countAttempts = (executions: readonly ExecutionTrace[]): number =>
  executions.reduce((sum, { tasks }) => sum + tasks.reduce((own, task) => own + task.attempts.length, 0), 0);
