import { type Basis, describeBasis, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { findSlacks, walkBack } from './critical-path.ts';
import { findParallelOpportunities, type ParallelOpportunity } from './parallel-opportunities.ts';
import type { SegmentKind } from './path-segments.ts';
import { type modelRun, resimulate } from './resimulation.ts';
import { countBy, meanOf, medianOf, rankCorrelationOf } from './robust-statistics.ts';
import { measureGain, prepareReplays, type ReplaySet, scaleTask } from './task-gains.ts';
import { retryLossOf } from './task-history.ts';
import type { TimedRun } from './timed-run.ts';
import { valuesOf, type WorkflowRuns } from './workflow-runs.ts';

/**
 * What usually holds a workflow up. The path over average durations is not the average path, so each execution has a
 * path of its own and these are counted: the criticality index of a task is the share of executions that have it on
 * theirs (Van Slyke, 1963), its cruciality the rank correlation of its duration with the whole (Williams, 1992).
 */
export interface WorkflowCriticalPath {
  workflow_id: string;
  /** The path that most executions took. */
  path: string[];
  path_share: number;
  /** Mean duration of the executions that took it. */
  duration: number;
  median_makespan_ms: number;
  tasks: TaskCriticality[];
  /** Mean milliseconds of a path, by what they were spent on. */
  by_kind: Partial<Record<SegmentKind, number>>;
  optimization_potential: OptimizationPotential;
  parallel_opportunities: ParallelOpportunity[];
  basis: Basis;
}

export interface TaskCriticality {
  task: string;
  criticality_index: number;
  /** Mean time on the path, waiting included, over all executions. */
  path_ms: number;
  path_ratio: number;
  /** Mean over the executions in which it ran. */
  slack_ms: number;
  cruciality: number;
  /** By how much executions would have been shorter with the task so much faster; null for those with little to gain. */
  gains: { faster_ratio: number; gain_ms: number; gain_ratio: number }[] | null;
}

export interface OptimizationPotential {
  /** Executions played again, from which the following is. */
  replayed: number;
  without_waiting_ms: number;
  without_retries_ms: number;
  /** With as many slots as could be used and no waiting: what the dependencies alone demand. */
  least_makespan_ms: number;
  reducible_ratio: number;
}

/** @public */
export const workflowPathDefaults = {
  executionsLeast: 1,
  /** Gains are computed for so many tasks, those with the longest time on the path. */
  gainTasksMost: 12,
  fasterRatios: [0.25, 0.5] as readonly number[],
};

export function findWorkflowCriticalPath(workflow: WorkflowRuns): WorkflowCriticalPath | Refusal {
  const { executions, runs } = workflow;
  if (runs.length < workflowPathDefaults.executionsLeast) {
    return refuse('a critical path', workflowPathDefaults.executionsLeast, runs.length, executions);
  }
  const walked = runs.map((run) => walkRun(run));
  const [usual] = countBy(walked.map(({ path }) => path.join('\0')));
  const usualPath = usual.key === '' ? [] : usual.key.split('\0');
  const makespans = runs.map(({ startMs, endMs }) => endMs - startMs);
  const replays = prepareReplays(workflow);
  const followed = makespans.filter((_, index) => walked[index].path.join('\0') === usual.key);
  return {
    workflow_id: workflow.workflowId,
    path: usualPath,
    path_share: roundRatio(usual.count / runs.length),
    duration: roundMs(meanOf(followed)),
    median_makespan_ms: roundMs(medianOf(makespans)),
    tasks: describeTasks(workflow, walked, makespans, replays),
    by_kind: meanByKind(walked),
    optimization_potential: findPotential(replays),
    parallel_opportunities: findParallelOpportunities(replays, workflow.learned.told, usualPath),
    basis: describeBasis(executions),
  };
}

interface WalkedRun {
  path: string[];
  /** Time on the path of each task, waiting included. */
  pathMs: Map<string, number>;
  byKind: Map<SegmentKind, number>;
  slackMs: Map<string, number>;
}

function walkRun(run: TimedRun): WalkedRun {
  const { segments, nodes } = walkBack(run);
  const pathMs = new Map<string, number>();
  const byKind = new Map<SegmentKind, number>();
  for (const { task, kind, duration_ms } of segments) {
    if (task !== '') pathMs.set(task, (pathMs.get(task) ?? 0) + duration_ms);
    byKind.set(kind, (byKind.get(kind) ?? 0) + duration_ms);
  }
  const path = new Set<string>();
  for (const index of nodes) {
    const { kind, taskId } = run.nodes[index];
    if (kind === 'task') path.add(taskId);
  }
  const slacks = findSlacks(run);
  const slackMs = new Map<string, number>();
  run.nodes.forEach(({ kind, taskId }, index) => {
    if (kind === 'task') slackMs.set(taskId, Math.min(slackMs.get(taskId) ?? Infinity, slacks[index]));
  });
  return { path: [...path], pathMs, byKind, slackMs };
}

function describeTasks(
  workflow: WorkflowRuns,
  walked: readonly WalkedRun[],
  makespans: readonly number[],
  replays: ReplaySet,
): TaskCriticality[] {
  const total = makespans.reduce((sum, ms) => sum + ms, 0);
  const names = new Set(walked.flatMap(({ slackMs }) => [...slackMs.keys()]));
  const onPath = new Map<string, number>();
  for (const { path } of walked) for (const task of path) onPath.set(task, (onPath.get(task) ?? 0) + 1);
  const tasks = [...names].map((task) => {
    const pathMs = walked.reduce((sum, run) => sum + (run.pathMs.get(task) ?? 0), 0);
    const slacks = walked.map(({ slackMs }) => slackMs.get(task)).filter((ms) => ms !== undefined);
    return {
      task,
      criticality_index: roundRatio((onPath.get(task) ?? 0) / walked.length),
      path_ms: roundMs(pathMs / walked.length),
      path_ratio: total === 0 ? 0 : roundRatio(pathMs / total),
      slack_ms: roundMs(meanOf(slacks)),
      cruciality: roundRatio(findCruciality(workflow, task, makespans)),
      gains: null as TaskCriticality['gains'],
    };
  });
  tasks.sort((left, right) => right.path_ms - left.path_ms || (left.task < right.task ? -1 : 1));
  for (const entry of tasks.slice(0, workflowPathDefaults.gainTasksMost)) {
    if (entry.path_ms > 0)
      entry.gains = workflowPathDefaults.fasterRatios.map((ratio) => gainOf(replays, entry.task, ratio));
  }
  return tasks;
}

function gainOf(replays: ReplaySet, task: string, fasterRatio: number) {
  const gainMs = measureGain(replays, (model, tasks) => scaleTask(model, tasks.get(task), 1 - fasterRatio, 1));
  const gain_ratio = replays.meanMakespanMs === 0 ? 0 : roundRatio(gainMs / replays.meanMakespanMs);
  return { faster_ratio: fasterRatio, gain_ms: roundMs(gainMs), gain_ratio };
}

/** Correlations of every task would cost too much where there are many of them. */
const crucialityTasksMost = 2000;

function findCruciality(workflow: WorkflowRuns, task: string, makespans: readonly number[]): number {
  if (workflow.learned.tasks.size > crucialityTasksMost) return 0;
  const spans = valuesOf(workflow, task, ({ spanMs }) => spanMs);
  const own = makespans.filter((_, index) => workflow.tasks[index].get(task)?.isSkipped === false);
  return rankCorrelationOf(spans, own);
}

function meanByKind(walked: readonly WalkedRun[]): WorkflowCriticalPath['by_kind'] {
  const means: WorkflowCriticalPath['by_kind'] = {};
  for (const { byKind } of walked)
    for (const [kind, ms] of byKind) means[kind] = (means[kind] ?? 0) + ms / walked.length;
  for (const kind of Object.keys(means) as SegmentKind[]) means[kind] = roundMs(means[kind] as number);
  return means;
}

function findPotential(replays: ReplaySet): OptimizationPotential {
  const withoutWaiting = (model: ReturnType<typeof modelRun>) => ({
    lagMs: model.lagMs.map((ms) => Math.min(ms, 0)),
    slots: model.slots.map(() => Number.POSITIVE_INFINITY),
  });
  const withoutRetries = (model: ReturnType<typeof modelRun>) => {
    const durationMs = model.durationMs.slice();
    model.run.nodes.forEach((node, index) => {
      if (node.kind === 'task') durationMs[index] = Math.max(0, durationMs[index] - retryLossOf(node));
    });
    return durationMs;
  };
  const mean = replays.meanMakespanMs;
  const waitingMs = measureGain(replays, withoutWaiting);
  const retriesMs = measureGain(replays, (model) => ({ durationMs: withoutRetries(model) }));
  const bothMs = meanOf(
    replays.models.map((model) => {
      const change = { ...withoutWaiting(model), durationMs: withoutRetries(model) };
      return resimulate({ ...model, closingMs: Math.min(0, model.closingMs) }, change).makespanMs;
    }),
  );
  return {
    replayed: replays.models.length,
    without_waiting_ms: roundMs(mean - waitingMs),
    without_retries_ms: roundMs(mean - retriesMs),
    least_makespan_ms: roundMs(bothMs),
    reducible_ratio: mean === 0 ? 0 : roundRatio(1 - bothMs / mean),
  };
}
