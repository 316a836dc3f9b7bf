import { type AntiPatternReport, findAntiPatterns } from './anti-patterns.ts';
import { isUsable, type Refusal } from './basis.ts';
import { type BottleneckReport, findBottlenecks } from './bottlenecks.ts';
import { type CompletionEstimate, cutExecution, estimateCompletion } from './completion-estimate.ts';
import { type CriticalPath, findCriticalPath } from './critical-path.ts';
import { buildDependencyGraph, type DependencyGraph } from './dependency-graph.ts';
import { type DurationPrediction, predictDuration } from './duration-prediction.ts';
import { type ExecutionTrace, isEnd, startOf } from './execution-trace.ts';
import { groupBy } from './robust-statistics.ts';
import { timeRun } from './timed-run.ts';
import { findWorkflowCriticalPath, type WorkflowCriticalPath } from './workflow-critical-path.ts';
import { findWorkflowPatterns, type WorkflowPatterns } from './workflow-patterns.ts';
import { timeWorkflow, type WorkflowRuns } from './workflow-runs.ts';

/** One question asked of the executions of a file or of a range, workflow by workflow. */
export const analyses = ['critical-path', 'bottlenecks', 'patterns', 'predict', 'graph', 'anti-patterns'] as const;
export type Analysis = (typeof analyses)[number];

export interface Wishes {
  analysis: Analysis;
  /** Null for all. */
  workflowId: string | null;
  executionId: string | null;
  asOfMs: number | null;
  /** Bottlenecks: where what is asked about begins, and what it is compared with ends. */
  sinceMs: number | null;
}

export type Answer =
  | (Refusal & { workflow_id: string })
  | CriticalPath
  | WorkflowCriticalPath
  | BottleneckReport
  | WorkflowPatterns
  | DurationPrediction
  | CompletionEstimate
  | DependencyGraph
  | AntiPatternReport;

/** Workflows of one name may come from several sources; they are different ones. */
export type PlacedAnswer = Answer & { workspace: string; source: string };

export function findAnswers(executions: readonly ExecutionTrace[], wishes: Wishes): PlacedAnswer[] {
  const children = new Map(executions.map((execution) => [execution.executionId, execution]));
  const groups = chooseGroups(executions, wishes);
  return groups.map((own) => {
    const { analysis, executionId, asOfMs, sinceMs } = wishes;
    const one = own.find((execution) => execution.executionId === executionId) ?? null;
    const peerTaskCounts = groups.filter((group) => group !== own).map(countTasks);
    const answer = new WorkflowHistory({ own, one, children, peerTaskCounts, asOfMs, sinceMs }).answer(analysis);
    const { workspace, source, workflowId } = own[0];
    return 'refused' in answer
      ? { workspace, source, workflow_id: workflowId, ...answer }
      : { workspace, source, ...answer };
  });
}

/** Executions of one workflow of one source; those with most executions come first. */
function chooseGroups(executions: readonly ExecutionTrace[], { workflowId, executionId }: Wishes): ExecutionTrace[][] {
  const all = [
    ...groupBy(executions, ({ workspace, source, workflowId: id }) => `${workspace}\0${source}\0${id}`).values(),
  ];
  all.sort((left, right) => right.length - left.length || (left[0].workflowId < right[0].workflowId ? -1 : 1));
  const named = workflowId === null ? all : all.filter(([first]) => first.workflowId === workflowId);
  if (named.length === 0) {
    const known = all.map(([first]) => first.workflowId).slice(0, 30);
    throw new Error(`there is no workflow ${workflowId}; there are ${known.join(', ')}`);
  }
  if (executionId === null) return named;
  const holding = named.filter((own) => own.some((execution) => execution.executionId === executionId));
  if (holding.length === 0) throw new Error(`there is no execution ${executionId}`);
  return holding;
}

/** Executions of one workflow of one source, with what is known beside them. */
export interface HistoryParts {
  own: readonly ExecutionTrace[];
  /** The execution that is asked about; null for the workflow. */
  one: ExecutionTrace | null;
  /** Executions of child workflows by their id. */
  children: ReadonlyMap<string, ExecutionTrace>;
  /** Numbers of tasks of the tenant's other workflows. */
  peerTaskCounts: readonly number[];
  asOfMs: number | null;
  sinceMs: number | null;
}

export type UnplacedAnswer = Exclude<Answer, Refusal & { workflow_id: string }> | Refusal;

/** Answers one question after the other about the same executions, which are timed once. */
export class WorkflowHistory {
  readonly #parts: HistoryParts;
  #plain: WorkflowRuns | null = null;
  #nested: WorkflowRuns | null = null;

  constructor(parts: HistoryParts) {
    this.#parts = parts;
  }

  answer(analysis: Analysis): UnplacedAnswer {
    const { own, one, children, peerTaskCounts, asOfMs, sinceMs } = this.#parts;
    switch (analysis) {
      case 'critical-path':
        return one === null
          ? findWorkflowCriticalPath(this.#timeNested())
          : findCriticalPath(timeRun(one, { ...this.#timeNested().knowledge, nowMs: asOfMs ?? undefined }));
      case 'bottlenecks':
        return sinceMs === null ? findBottlenecks(this.#timeNested()) : compareBottlenecks(own, children, sinceMs);
      case 'patterns':
        return findWorkflowPatterns(this.#timePlain());
      case 'predict':
        return predict(own, one, asOfMs);
      case 'graph':
        return buildDependencyGraph(this.#timePlain());
      case 'anti-patterns':
        return findAntiPatterns(this.#timePlain(), peerTaskCounts);
    }
  }

  /** Tasks that start other workflows as one span each. */
  #timePlain(): WorkflowRuns {
    this.#plain ??= timeWorkflow(this.#parts.own);
    return this.#plain;
  }

  /** With the tasks of child workflows in their place. */
  #timeNested(): WorkflowRuns {
    const { own, children } = this.#parts;
    this.#nested ??= children.size === 0 ? this.#timePlain() : timeWorkflow(own, { children });
    return this.#nested;
  }
}

function compareBottlenecks(
  own: readonly ExecutionTrace[],
  children: ReadonlyMap<string, ExecutionTrace>,
  sinceMs: number,
) {
  const [before, after] = [own.filter((run) => startOf(run) < sinceMs), own.filter((run) => startOf(run) >= sinceMs)];
  const timed: WorkflowRuns[] = [before, after].map((runs) => timeWorkflow(runs, { children }));
  return findBottlenecks({ ...timed[1], workflowId: own[0].workflowId }, timed[0]);
}

/** A running execution gets its expected end, any other what it was expected to take before it began. */
function predict(own: readonly ExecutionTrace[], one: ExecutionTrace | null, asOfMs: number | null) {
  if (one === null) return predictDuration(own);
  const nowMs = asOfMs ?? one.endedAtMs ?? one.lastSeenMs;
  const past = own.filter(
    (execution) =>
      execution.executionId !== one.executionId && isUsable(execution) && (execution.endedAtMs ?? Infinity) <= nowMs,
  );
  if (asOfMs === null && isEnd(one.state))
    return predictDuration(
      past.filter((run) => startOf(run) < startOf(one)),
      one,
    );
  const isRunning = one.endedAtMs === null || one.endedAtMs > nowMs;
  return estimateCompletion(
    isRunning ? cutExecution(one, nowMs) : one,
    timeWorkflow(past.length > 0 ? past : own),
    nowMs,
  );
}

const countTasks = (executions: readonly ExecutionTrace[]): number =>
  new Set(executions.slice(-20).flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId))).size;
