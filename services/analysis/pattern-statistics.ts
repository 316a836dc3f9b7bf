import { roundMs, roundRatio } from './basis.ts';
import { isFailure } from './execution-trace.ts';
import { countBy, meanOf, medianOf } from './robust-statistics.ts';
import type { PatternKind, StructuralPattern } from './structural-patterns.ts';
import type { RunNode } from './timed-run.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** A pattern with what its executions were like. */
export interface WorkflowPattern {
  id: string;
  patternType: PatternKind;
  tasks: string[];
  split: string | null;
  join: string | null;
  confidence: number;
  /** Executions in which any of its tasks ran. */
  frequency: number;
  frequencyRatio: number;
  /** From the first start to the last end of its tasks, milliseconds. */
  avgDuration: number;
  /** Share of its executions in which none of its tasks ended in failure. */
  successRate: number;
  /** Work done by what its tasks could have done, had as many run all the time as ever did. */
  resourceEfficiency: number;
  commonErrors: { type: string; count: number }[];
  optimizationOpportunities: { hint: string; evidence: Record<string, number | string> }[];
}

interface Occurrence {
  nodes: RunNode[];
  spanMs: number;
  workMs: number;
  mostAtOnce: number;
  isFailed: boolean;
}

export function describePattern(workflow: WorkflowRuns, pattern: StructuralPattern): WorkflowPattern {
  const occurrences = findOccurrences(workflow, pattern.tasks);
  const errors = occurrences.flatMap(({ nodes }) =>
    nodes.flatMap(({ attempts }) => attempts.map(({ attempt }) => attempt.errorType).filter((type) => type !== '')),
  );
  const work = meanOf(occurrences.map(({ workMs }) => workMs));
  const room = meanOf(occurrences.map(({ spanMs, mostAtOnce }) => spanMs * mostAtOnce));
  return {
    id: `${pattern.kind}:${pattern.split ?? ''}:${pattern.tasks.toSorted().join(',')}`.slice(0, 200),
    patternType: pattern.kind,
    tasks: pattern.tasks,
    split: pattern.split,
    join: pattern.join,
    confidence: roundRatio(pattern.confidence),
    frequency: occurrences.length,
    frequencyRatio: roundRatio(occurrences.length / Math.max(1, workflow.runs.length)),
    avgDuration: roundMs(meanOf(occurrences.map(({ spanMs }) => spanMs))),
    successRate: roundRatio(1 - meanOf(occurrences.map(({ isFailed }) => (isFailed ? 1 : 0)))),
    resourceEfficiency: room === 0 ? 0 : roundRatio(Math.min(1, work / room)),
    commonErrors: countBy(errors)
      .slice(0, 3)
      .map(({ key, count }) => ({ type: key, count })),
    optimizationOpportunities: findHints(pattern, workflow, occurrences),
  };
}

function findOccurrences({ runs, tasks }: WorkflowRuns, names: readonly string[]): Occurrence[] {
  const occurrences: Occurrence[] = [];
  runs.forEach(({ nodes }, run) => {
    const own = names.flatMap((name) => (tasks[run].get(name)?.nodes ?? []).map((node) => nodes[node]));
    const ran = own.filter(({ attempts }) => attempts.length > 0);
    if (ran.length > 0) occurrences.push(describeOccurrence(ran));
  });
  return occurrences;
}

function describeOccurrence(nodes: RunNode[]): Occurrence {
  const steps: { atMs: number; change: number }[] = [];
  let workMs = 0;
  for (const { attempts } of nodes) {
    for (const { startMs, endMs } of attempts) {
      workMs += endMs - startMs;
      steps.push({ atMs: startMs, change: 1 }, { atMs: endMs, change: -1 });
    }
  }
  steps.sort((left, right) => left.atMs - right.atMs || left.change - right.change);
  let running = 0;
  let mostAtOnce = 1;
  for (const { change } of steps) {
    running += change;
    mostAtOnce = Math.max(mostAtOnce, running);
  }
  const spanMs = steps[steps.length - 1].atMs - steps[0].atMs;
  return { nodes, spanMs, workMs, mostAtOnce, isFailed: nodes.some(({ task }) => isFailure(task?.state ?? '')) };
}

type Hints = WorkflowPattern['optimizationOpportunities'];

function findHints(pattern: StructuralPattern, workflow: WorkflowRuns, occurrences: readonly Occurrence[]): Hints {
  if (occurrences.length === 0) return [];
  switch (pattern.kind) {
    case 'sequential':
      return hintAtOrder(pattern, workflow);
    case 'parallel':
    case 'scatter_gather':
    case 'map_reduce':
      return hintAtImbalance(occurrences);
    case 'conditional':
      return hintAtBranches(pattern, workflow);
    case 'loop':
      return hintAtIterations(pattern, workflow);
    case 'saga':
      return hintAtCompensation(pattern, workflow);
  }
}

/** An order that no data demand may be given up. */
function hintAtOrder({ tasks }: StructuralPattern, { learned }: WorkflowRuns): Hints {
  const isFree = (from: string, to: string) =>
    learned.told.some((edge) => edge.from === from && edge.to === to && edge.type !== 'data' && !edge.inferred);
  const free = tasks.slice(1).filter((to, place) => isFree(tasks[place], to)).length;
  if (free === 0) return [];
  return [
    { hint: 'Run side by side what does not need the results of each other.', evidence: { order_only_edges: free } },
  ];
}

function hintAtImbalance(occurrences: readonly Occurrence[]): Hints {
  const ratios = occurrences
    .map(({ nodes }) => nodes.map((node) => node.endMs - node.attempts[0].startMs))
    .filter((durations) => durations.length > 1 && medianOf(durations) > 0)
    .map((durations) => durations.reduce((most, ms) => Math.max(most, ms)) / medianOf(durations));
  const ratio = medianOf(ratios, 1);
  if (ratio < 2) return [];
  return [{ hint: 'Balance the parts: all wait for the longest.', evidence: { longest_by_median: roundRatio(ratio) } }];
}

function hintAtBranches({ tasks }: StructuralPattern, { runs, tasks: byRun }: WorkflowRuns): Hints {
  const counts = tasks.map((task) => ({
    task,
    count: byRun.filter((run) => run.get(task)?.isSkipped === false).length,
  }));
  const rare = counts.filter(({ count }) => count < 0.02 * runs.length);
  if (rare.length === 0 || runs.length < 50) return [];
  return [{ hint: 'A branch is nearly never taken.', evidence: { task: rare[0].task, times: rare[0].count } }];
}

function hintAtIterations({ tasks }: StructuralPattern, { tasks: byRun }: WorkflowRuns): Hints {
  const iterations = byRun.map((run) => run.get(tasks[0])?.iterations ?? 0).filter((count) => count > 0);
  const usual = medianOf(iterations);
  if (usual < 3) return [];
  return [
    { hint: 'Run iterations side by side if they do not need each other.', evidence: { iterations_median: usual } },
  ];
}

function hintAtCompensation({ tasks }: StructuralPattern, { runs, tasks: byRun }: WorkflowRuns): Hints {
  const undone = byRun.filter((run, index) => {
    return runs[index].trace.state !== 'completed' && tasks.some((task) => run.get(task)?.isSkipped === false);
  }).length;
  const ratio = undone / Math.max(1, runs.length);
  if (ratio < 0.05) return [];
  const hint = 'Check early what makes executions fail: much is done only to be taken back.';
  return [{ hint, evidence: { executions_undone: undone, ratio: roundRatio(ratio) } }];
}
