import { isUsable } from './basis.ts';
import { type ExecutionTrace, isEnd } from './execution-trace.ts';
import { afterOf, type LearnedWorkflow, learnWorkflow } from './learned-edges.ts';
import { medianOf } from './robust-statistics.ts';
import { summariseTasks, type TaskInRun } from './task-history.ts';
import { type RunKnowledge, type TimedRun, timeRun } from './timed-run.ts';

/** Executions of one workflow, timed with what they teach about each other. */
export interface WorkflowRuns {
  workflowId: string;
  executions: readonly ExecutionTrace[];
  learned: LearnedWorkflow;
  /** Finished executions, in order of their start. */
  runs: TimedRun[];
  /** For each run, what each task came to. */
  tasks: Map<string, TaskInRun>[];
  knowledge: RunKnowledge;
}

export interface RunSelection {
  /** Executions of child workflows by their id, where they are known. */
  children?: ReadonlyMap<string, ExecutionTrace>;
}

export function timeWorkflow(executions: readonly ExecutionTrace[], { children }: RunSelection = {}): WorkflowRuns {
  const usable = executions.filter(isUsable);
  const learned = learnRuns(executions, usable);
  const knowledge: RunKnowledge = { ...knowledgeOf(learned, usable), children };
  const runs = usable.map((execution) => timeRun(execution, knowledge));
  const workflowId = executions[0]?.workflowId ?? '';
  return { workflowId, executions, learned, runs, tasks: runs.map(summariseTasks), knowledge };
}

/** What executions teach about another one of their workflow, without timing each of them. */
export function learnKnowledge(executions: readonly ExecutionTrace[]): RunKnowledge {
  const usable = executions.filter(isUsable);
  return knowledgeOf(learnRuns(executions, usable), usable);
}

const learnRuns = (executions: readonly ExecutionTrace[], usable: readonly ExecutionTrace[]): LearnedWorkflow =>
  learnWorkflow(usable.length > 0 ? usable : executions);

const knowledgeOf = ({ told }: LearnedWorkflow, usable: readonly ExecutionTrace[]): RunKnowledge => ({
  after: afterOf(told),
  typicalMs: findTypicalDurations(usable),
});

function findTypicalDurations(executions: readonly ExecutionTrace[]): Map<string, number> {
  const durations = new Map<string, number[]>();
  for (const { tasks } of executions) {
    for (const { taskId, attempts } of tasks) {
      const last = attempts.at(-1);
      if (last === undefined || !isEnd(last.state) || last.startedAtMs === null || last.endedAtMs === null) continue;
      const ms = last.durationMs ?? last.endedAtMs - last.startedAtMs;
      const known = durations.get(taskId);
      if (known === undefined) durations.set(taskId, [ms]);
      else known.push(ms);
    }
  }
  const typical = new Map<string, number>();
  for (const [taskId, own] of durations) typical.set(taskId, medianOf(own));
  return typical;
}

/** A value of a task in every run in which it ran. */
export function valuesOf(runs: WorkflowRuns, taskId: string, read: (task: TaskInRun) => number): number[] {
  const values: number[] = [];
  for (const tasks of runs.tasks) {
    const own = tasks.get(taskId);
    if (own !== undefined && !own.isSkipped) values.push(read(own));
  }
  return values;
}
