import { type Basis, describeBasis, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { type Cause, type CauseContext, type CauseKind, describeContext, findCauses } from './bottleneck-causes.ts';
import { walkBack } from './critical-path.ts';
import type { RunChange, RunModel } from './resimulation.ts';
import { measureGain, prepareReplays, type ReplaySet, scaleTask } from './task-gains.ts';
import type { TaskInRun } from './task-history.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/**
 * Tasks that make a workflow slow for a reason that can be named. Each suspect is judged by playing recorded
 * executions again without what is unusual about it: the fall of the makespan is its impact, its share of the
 * greatest fall its score. A task that is merely long, as it always was, is none.
 */
export interface Bottleneck {
  task: string;
  score: number;
  impact: { gain_ms: number; gain_ratio: number };
  reasons: { reason: CauseKind; detail: string; evidence: Record<string, number | string> }[];
  recommendations: { action: string; detail: string; expected_gain_ms: number; expected_gain_ratio: number }[];
  /** By how much executions would be shorter if it took half as long, waiting included. */
  halved_gain_ms: number;
}

export interface BottleneckReport {
  workflow_id: string;
  bottlenecks: Bottleneck[];
  /** What was looked at and found usual. */
  examined: number;
  mean_makespan_ms: number;
  compared_with: 'earlier executions' | 'other tasks';
  thresholds: typeof bottleneckDefaults;
  basis: Basis;
  baseline: Basis | null;
}

export const bottleneckDefaults = {
  executionsLeast: 3,
  scoreAbove: 0.7,
  gainRatioLeast: 0.05,
  /** Tasks that are examined, those with the longest time on critical paths. */
  examinedMost: 40,
};

export function findBottlenecks(
  workflow: WorkflowRuns,
  baseline: WorkflowRuns | null = null,
): BottleneckReport | Refusal {
  const { executions, runs } = workflow;
  if (runs.length < bottleneckDefaults.executionsLeast) {
    return refuse('a search for bottlenecks', bottleneckDefaults.executionsLeast, runs.length, executions);
  }
  const before = baseline !== null && baseline.runs.length >= bottleneckDefaults.executionsLeast ? baseline : null;
  const replays = prepareReplays(workflow);
  const { found, examined } = weighBottlenecks(workflow, before, replays);
  return {
    workflow_id: workflow.workflowId,
    bottlenecks: found.filter(({ score }) => score > bottleneckDefaults.scoreAbove),
    examined,
    mean_makespan_ms: roundMs(replays.meanMakespanMs),
    compared_with: before === null ? 'other tasks' : 'earlier executions',
    thresholds: bottleneckDefaults,
    basis: describeBasis(executions),
    baseline: before === null ? null : describeBasis(before.executions),
  };
}

/** Every task with something to gain, the most first, whatever its score. */
export function weighBottlenecks(
  workflow: WorkflowRuns,
  baseline: WorkflowRuns | null,
  replays: ReplaySet,
): { found: Bottleneck[]; examined: number } {
  const context = describeContext(workflow, baseline);
  const suspects = listSuspects(replays);
  const found = suspects
    .map((task) => examine(task, context, replays))
    .filter((bottleneck) => bottleneck !== null)
    .sort((left, right) => right.impact.gain_ms - left.impact.gain_ms);
  const mostMs = found[0]?.impact.gain_ms ?? 0;
  for (const bottleneck of found) bottleneck.score = roundRatio(bottleneck.impact.gain_ms / mostMs);
  return { found, examined: suspects.length };
}

/** Nothing can be gained from what is never on a critical path, nor more than the time that it has on them. */
function listSuspects({ models, meanMakespanMs }: ReplaySet): string[] {
  const pathMs = new Map<string, number>();
  for (const { run } of models) {
    for (const { task, duration_ms } of walkBack(run).segments) {
      if (task !== '') pathMs.set(task, (pathMs.get(task) ?? 0) + duration_ms / models.length);
    }
  }
  return [...pathMs]
    .filter(([, ms]) => ms >= bottleneckDefaults.gainRatioLeast * meanMakespanMs)
    .sort((left, right) => right[1] - left[1] || (left[0] < right[0] ? -1 : 1))
    .slice(0, bottleneckDefaults.examinedMost)
    .map(([task]) => task);
}

function examine(task: string, context: CauseContext, replays: ReplaySet): Bottleneck | null {
  const causes = findCauses(task, context);
  if (causes.length === 0) return null;
  const gainMs = measureGain(replays, (model, tasks) => removeCauses(model, tasks.get(task), causes));
  const gain_ratio = roundRatio(gainMs / replays.meanMakespanMs);
  if (gain_ratio < bottleneckDefaults.gainRatioLeast) return null;
  const weighed = causes.map((cause) => ({
    cause,
    gainMs: measureGain(replays, (model, tasks) => removeCauses(model, tasks.get(task), [cause])),
  }));
  weighed.sort((left, right) => right.gainMs - left.gainMs);
  // A reason that brings nothing by itself explains nothing.
  const telling = weighed.filter((entry, place) => place === 0 || entry.gainMs >= 0.1 * gainMs);
  return {
    task,
    score: 1,
    impact: { gain_ms: roundMs(gainMs), gain_ratio },
    reasons: telling.map(({ cause: { kind, detail, evidence } }) => ({ reason: kind, detail, evidence })),
    recommendations: telling.map((entry) => ({
      ...advice[entry.cause.kind],
      expected_gain_ms: roundMs(entry.gainMs),
      expected_gain_ratio: roundRatio(entry.gainMs / replays.meanMakespanMs),
    })),
    halved_gain_ms: roundMs(measureGain(replays, (model, tasks) => scaleTask(model, tasks.get(task), 0.5, 0.5))),
  };
}

function removeCauses(model: RunModel, task: TaskInRun | undefined, causes: readonly Cause[]): RunChange | null {
  if (task === undefined || task.isSkipped) return null;
  const draft = { durationMs: model.durationMs.slice(), lagMs: model.lagMs.slice(), slots: [...model.slots] };
  for (const cause of causes) cause.remove(model, task, draft);
  return draft;
}

const advice: Record<CauseKind, { action: string; detail: string }> = {
  slow: { action: 'speed_up', detail: 'Look at what changed in the task or its input, or give it more CPU or memory.' },
  retries: { action: 'stop_failures', detail: 'Mend what its attempts fail with; do not retry errors that stay.' },
  skewed_work: { action: 'split_evenly', detail: 'Split the work so that no instance gets much more than the others.' },
  slot_wait: { action: 'add_slots', detail: 'Give its pool more slots, or the task a higher priority in it.' },
  starved_resource: {
    action: 'add_slots',
    detail: 'Give its pool as many slots as it has instances, or fewer instances.',
  },
};
