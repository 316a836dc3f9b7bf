import { modelRun, type RunChange, type RunModel, resimulate } from './resimulation.ts';
import type { TaskInRun } from './task-history.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** Recorded executions that are played again with something changed. */
export interface ReplaySet {
  models: RunModel[];
  tasks: Map<string, TaskInRun>[];
  /** As recorded, in the order of the models. */
  makespanMs: number[];
  meanMakespanMs: number;
}

/** So many nodes are played for one question at most; of longer histories the newest executions are taken. @public */
export const replayDefaults = { nodesMost: 400_000, runsMost: 60 };

export function prepareReplays({ runs, tasks }: WorkflowRuns): ReplaySet {
  const models: RunModel[] = [];
  let nodes = 0;
  for (let index = runs.length - 1; index >= 0; index--) {
    if (models.length === replayDefaults.runsMost) break;
    nodes += runs[index].nodes.length;
    if (models.length > 0 && nodes > replayDefaults.nodesMost) break;
    models.unshift(modelRun(runs[index]));
  }
  const makespanMs = models.map(({ run }) => run.endMs - run.startMs);
  const meanMakespanMs = makespanMs.reduce((sum, ms) => sum + ms, 0) / Math.max(1, models.length);
  return { models, tasks: tasks.slice(runs.length - models.length), makespanMs, meanMakespanMs };
}

/** What the executions would have been shorter by on average, had each been changed so. */
export function measureGain(
  replays: ReplaySet,
  changeOf: (model: RunModel, tasks: ReadonlyMap<string, TaskInRun>) => RunChange | null,
): number {
  let gainMs = 0;
  replays.models.forEach((model, index) => {
    const change = changeOf(model, replays.tasks[index]);
    if (change !== null) gainMs += replays.makespanMs[index] - resimulate(model, change).makespanMs;
  });
  return gainMs / Math.max(1, replays.models.length);
}

/** A task with its run and its waiting scaled; null where it did not run. */
export function scaleTask(
  model: RunModel,
  task: TaskInRun | undefined,
  durationFactor: number,
  waitFactor: number,
): RunChange | null {
  if (task === undefined || task.isSkipped) return null;
  const durationMs = model.durationMs.slice();
  const lagMs = model.lagMs.slice();
  for (const node of task.nodes) {
    durationMs[node] *= durationFactor;
    if (lagMs[node] > 0) lagMs[node] *= waitFactor;
  }
  return { durationMs, lagMs };
}
