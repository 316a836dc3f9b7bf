import { roundMs, roundRatio } from './basis.ts';
import type { RunModel } from './resimulation.ts';
import { meanOf, medianOf, quantileOf, spreadOf } from './robust-statistics.ts';
import { retryLossOf, slotWaitOf, type TaskInRun } from './task-history.ts';
import { valuesOf, type WorkflowRuns } from './workflow-runs.ts';

/**
 * What is unusual about a task, and what it would be without that. Unusual is judged by the workflow's own past where
 * that is given, else by the other tasks of the workflow; so a workflow that is as it always was has no causes.
 */
export const causeKinds = ['slow', 'retries', 'skewed_work', 'slot_wait', 'starved_resource'] as const;
export type CauseKind = (typeof causeKinds)[number];

export interface Cause {
  kind: CauseKind;
  /** In words, with the values of `evidence`. */
  detail: string;
  evidence: Record<string, number | string>;
  /** Changes durations, waits and slots of one execution to what they would be without the cause. */
  remove(model: RunModel, task: TaskInRun, draft: RunDraft): void;
}

export interface RunDraft {
  durationMs: Float64Array;
  lagMs: Float64Array;
  slots: number[];
}

/** @public */
export const causeDefaults = {
  /** Against the past: medians differ at least so much beyond what all tasks of the workflow differ. */
  slowerThanBeforeLeast: 1.4,
  /** Against other tasks of the workflow: so many spreads and times longer than their median. */
  peersLeast: 4,
  peerSpreadsLeast: 2.5,
  peerRatioLeast: 3,
  peerSpreadFloor: 0.5,
  /** The longest instance of a mapped task against their median. */
  skewRatioLeast: 2.5,
  skewInstancesLeast: 3,
  waitMsLeast: 1000,
  waitRatioLeast: 2,
};

/** Their length is their purpose, not their trouble. */
const waitingTypes = new Set(['human', 'wait']);

export interface CauseContext {
  workflow: WorkflowRuns;
  baseline: WorkflowRuns | null;
  medianRunMs: ReadonlyMap<string, number>;
  medianWaitMs: ReadonlyMap<string, number>;
  /** How much longer than before the median task of the workflow takes. */
  commonRatio: number;
}

export function describeContext(workflow: WorkflowRuns, baseline: WorkflowRuns | null): CauseContext {
  const names = [...workflow.learned.tasks.keys()];
  const medianRunMs = new Map(names.map((name) => [name, medianOf(valuesOf(workflow, name, runOf))]));
  const medianWaitMs = new Map(
    names.map((name) => [name, medianOf(valuesOf(workflow, name, ({ slotWaitMs }) => slotWaitMs))]),
  );
  const ratios = names.map((name) => ratioToBefore(name, medianRunMs, baseline)).filter((ratio) => ratio > 0);
  return { workflow, baseline, medianRunMs, medianWaitMs, commonRatio: Math.max(1, medianOf(ratios, 1)) };
}

const runOf = ({ runMs, instances }: TaskInRun): number => (instances === 0 ? 0 : runMs / instances);

function ratioToBefore(task: string, medianRunMs: ReadonlyMap<string, number>, baseline: WorkflowRuns | null): number {
  const beforeMs = baseline === null ? 0 : medianOf(valuesOf(baseline, task, runOf));
  return beforeMs > 0 ? (medianRunMs.get(task) ?? 0) / beforeMs : 0;
}

export function findCauses(task: string, context: CauseContext): Cause[] {
  const found = [
    findSkew(task, context),
    findSlowness(task, context),
    findRetries(task, context),
    findSlotWait(task, context),
    findStarvation(task, context),
  ];
  return found.filter((cause) => cause !== null);
}

function scaleWork(model: RunModel, { nodes }: TaskInRun, draft: RunDraft, factor: number): void {
  for (const node of nodes) {
    const workMs = Math.max(0, model.durationMs[node] - retryLossOf(model.run.nodes[node]));
    draft.durationMs[node] -= Math.min(draft.durationMs[node], workMs) * (1 - factor);
  }
}

function findSlowness(task: string, context: CauseContext): Cause | null {
  const { medianRunMs, baseline, commonRatio } = context;
  const ownMs = medianRunMs.get(task) ?? 0;
  const beforeMs = baseline === null ? 0 : medianOf(valuesOf(baseline, task, runOf));
  if (beforeMs > 0) {
    const usualMs = beforeMs * commonRatio;
    if (ownMs < usualMs * causeDefaults.slowerThanBeforeLeast) return null;
    const detail = `a run takes ${seconds(ownMs)}, before it took ${seconds(beforeMs)}`;
    const evidence = { median_run_ms: roundMs(ownMs), median_run_ms_before: roundMs(beforeMs) };
    return {
      kind: 'slow',
      detail,
      evidence,
      remove: (model, own, draft) => scaleWork(model, own, draft, usualMs / ownMs),
    };
  }
  return compareWithPeers(task, ownMs, context);
}

function compareWithPeers(task: string, ownMs: number, { workflow, medianRunMs }: CauseContext): Cause | null {
  const isWaiting = (name: string) => waitingTypes.has(typeOf(workflow, name)) || workflow.learned.holds.has(name);
  const peers = [...medianRunMs].filter(([name, ms]) => name !== task && ms > 0 && !isWaiting(name));
  if (ownMs <= 0 || peers.length < causeDefaults.peersLeast || isWaiting(task)) return null;
  const logs = peers.map(([, ms]) => Math.log(ms));
  const spread = Math.max(spreadOf(logs), causeDefaults.peerSpreadFloor);
  const middleMs = Math.exp(medianOf(logs));
  const isFar = Math.log(ownMs / middleMs) > causeDefaults.peerSpreadsLeast * spread;
  if (!isFar || ownMs < causeDefaults.peerRatioLeast * middleMs) return null;
  const usualMs = middleMs * Math.exp(spread);
  const detail = `a run takes ${seconds(ownMs)}, the median of the other tasks is ${seconds(middleMs)}`;
  const evidence = { median_run_ms: roundMs(ownMs), median_run_ms_of_others: roundMs(middleMs) };
  return {
    kind: 'slow',
    detail,
    evidence,
    remove: (model, own, draft) => scaleWork(model, own, draft, usualMs / ownMs),
  };
}

function typeOf({ executions }: WorkflowRuns, task: string): string {
  for (const { tasks } of executions.slice(-3)) {
    const own = tasks.find(({ taskId }) => taskId === task);
    if (own !== undefined) return own.taskType;
  }
  return '';
}

function findRetries(task: string, { workflow, baseline }: CauseContext): Cause | null {
  const retryMs = meanOf(valuesOf(workflow, task, (own) => own.retryMs));
  if (retryMs <= 0) return null;
  const beforeMs = baseline === null ? 0 : meanOf(valuesOf(baseline, task, (own) => own.retryMs));
  if (retryMs <= beforeMs * causeDefaults.waitRatioLeast) return null;
  const retries = meanOf(valuesOf(workflow, task, (own) => own.retries));
  const detail = `${roundRatio(retries)} failed attempts an execution cost ${seconds(retryMs)}`;
  const evidence = {
    retries_mean: roundRatio(retries),
    retry_ms_mean: roundMs(retryMs),
    retry_ms_mean_before: roundMs(beforeMs),
  };
  const kept = beforeMs / retryMs;
  const remove: Cause['remove'] = (model, { nodes }, draft) => {
    for (const node of nodes) {
      const lostMs = retryLossOf(model.run.nodes[node]) * (1 - kept);
      draft.durationMs[node] = Math.max(0, draft.durationMs[node] - lostMs);
    }
  };
  return { kind: 'retries', detail, evidence, remove };
}

function findSkew(task: string, { workflow, baseline }: CauseContext): Cause | null {
  const ratios = skewsOf(workflow, task);
  if (ratios.length < workflow.runs.length / 2) return null;
  const ratio = medianOf(ratios);
  const before = baseline === null ? 1 : medianOf(skewsOf(baseline, task), 1);
  if (ratio < causeDefaults.skewRatioLeast * Math.max(1, before / 1.5)) return null;
  const allowed = Math.max(1.5, before);
  const detail = `the longest instance takes ${roundRatio(ratio)} times as long as their median`;
  const evidence = { longest_by_median: roundRatio(ratio), longest_by_median_allowed: roundRatio(allowed) };
  const remove: Cause['remove'] = (_, { nodes }, draft) => {
    const mostMs = allowed * medianOf(nodes.map((node) => draft.durationMs[node]));
    for (const node of nodes) draft.durationMs[node] = Math.min(draft.durationMs[node], mostMs);
  };
  return { kind: 'skewed_work', detail, evidence, remove };
}

/** Longest instance by the median one, for each execution with enough of them. */
function skewsOf({ runs, tasks }: WorkflowRuns, task: string): number[] {
  const ratios: number[] = [];
  tasks.forEach((run, index) => {
    const own = run.get(task);
    if (own === undefined || own.instances < causeDefaults.skewInstancesLeast || own.iterations > 0) return;
    const durations = own.nodes
      .map((node) => runs[index].nodes[node])
      .map(({ attempts }) => {
        const last = attempts.at(-1);
        return last === undefined ? 0 : last.endMs - last.startMs;
      });
    const middleMs = medianOf(durations);
    if (middleMs > 0) ratios.push(durations.reduce((most, ms) => Math.max(most, ms)) / middleMs);
  });
  return ratios;
}

function usualWait(task: string, { medianWaitMs, baseline }: CauseContext): number {
  if (baseline !== null) return medianOf(valuesOf(baseline, task, ({ slotWaitMs }) => slotWaitMs));
  return medianOf([...medianWaitMs].filter(([name]) => name !== task).map(([, ms]) => ms));
}

function findSlotWait(task: string, context: CauseContext): Cause | null {
  const waitMs = context.medianWaitMs.get(task) ?? 0;
  const usualMs = usualWait(task, context);
  if (waitMs < causeDefaults.waitMsLeast || waitMs < causeDefaults.waitRatioLeast * usualMs) return null;
  const detail = `it waits ${seconds(waitMs)} for a slot, usual are ${seconds(usualMs)}`;
  const evidence = {
    slot_wait_ms_median: roundMs(waitMs),
    slot_wait_ms_usual: roundMs(usualMs),
    pool: poolOf(context.workflow, task),
  };
  const remove: Cause['remove'] = (model, { nodes }, draft) => {
    for (const node of nodes) {
      const ownMs = slotWaitOf(model.run.nodes[node]);
      const excessMs = Math.min(Math.max(0, draft.lagMs[node]), Math.max(0, ownMs - usualMs));
      draft.lagMs[node] -= excessMs;
    }
  };
  return { kind: 'slot_wait', detail, evidence, remove };
}

/** Its own instances, and others of the execution, leave too few slots of its pool. */
function findStarvation(task: string, context: CauseContext): Cause | null {
  const { workflow } = context;
  const waitMs = context.medianWaitMs.get(task) ?? 0;
  const usualMs = usualWait(task, context);
  if (waitMs < causeDefaults.waitMsLeast || waitMs < causeDefaults.waitRatioLeast * usualMs) return null;
  const pool = poolOf(workflow, task);
  const instances = quantileOf(
    valuesOf(workflow, task, (own) => own.instances),
    0.5,
  );
  const detail = `${roundRatio(instances)} instances share the slots of ${pool || 'their pool'}; the last waits ${seconds(waitMs)}`;
  const evidence = { instances_median: roundRatio(instances), slot_wait_ms_median: roundMs(waitMs), pool };
  const remove: Cause['remove'] = (model, { nodes }, draft) => {
    for (const node of nodes) {
      const own = model.poolOf[node];
      if (own >= 0) draft.slots[own] = Number.POSITIVE_INFINITY;
    }
  };
  return { kind: 'starved_resource', detail, evidence, remove };
}

function poolOf({ executions }: WorkflowRuns, task: string): string {
  return executions.at(-1)?.tasks.find(({ taskId }) => taskId === task)?.pool ?? '';
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
