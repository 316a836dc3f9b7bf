import { roundMs, roundRatio } from './basis.ts';
import type { LearnedEdge } from './learned-edges.ts';
import type { RunChange, RunModel } from './resimulation.ts';
import { measureGain, type ReplaySet } from './task-gains.ts';

/** What could run side by side, and how much shorter the executions would have been. */
export interface ParallelOpportunity {
  kind: 'tasks' | 'iterations';
  tasks: string[];
  gain_ms: number;
  gain_ratio: number;
  /** What has to be true for it. */
  condition: string;
}

/** @public */
export const opportunityDefaults = { gainRatioLeast: 0.02, edgesMost: 20, listedMost: 5 };

export function findParallelOpportunities(
  replays: ReplaySet,
  edges: readonly LearnedEdge[],
  path: readonly string[],
): ParallelOpportunity[] {
  const found: ParallelOpportunity[] = [];
  const add = (kind: ParallelOpportunity['kind'], tasks: string[], condition: string, gainMs: number) => {
    const gain_ratio = roundRatio(gainMs / replays.meanMakespanMs);
    if (gain_ratio >= opportunityDefaults.gainRatioLeast) {
      found.push({ kind, tasks, gain_ms: roundMs(gainMs), gain_ratio, condition });
    }
  };
  const onPath = path.slice(1).map((to, index) => [path[index], to]);
  for (const [from, to] of onPath.slice(0, opportunityDefaults.edgesMost)) {
    const edge = edges.find((known) => known.from === from && known.to === to);
    // Data has to be there before it can be read.
    if (edge === undefined || edge.type === 'data') continue;
    const gainMs = measureGain(replays, (model, tasks) => dropWait(model, tasks.get(to)?.nodes ?? [], from));
    add('tasks', [from, to], `${to} needs nothing that ${from} makes`, gainMs);
  }
  for (const task of findIterated(replays)) {
    const gainMs = measureGain(replays, (model) => playIterationsAtOnce(model, task));
    add('iterations', [task], `the iterations of ${task} do not need each other`, gainMs);
  }
  return found.sort((left, right) => right.gain_ms - left.gain_ms).slice(0, opportunityDefaults.listedMost);
}

/** The task waits for what the other waited for, instead of for the other. */
function dropWait({ run }: RunModel, nodes: readonly number[], from: string): RunChange | null {
  if (nodes.length === 0) return null;
  const before = [...run.before];
  const isFrom = (index: number) => run.nodes[index].taskId === from;
  for (const node of nodes) {
    const kept = run.before[node].filter((tail) => !isFrom(tail));
    const inherited = run.before[node].filter(isFrom).flatMap((tail) => causesOf(run.before, isFrom, tail));
    before[node] = [...kept, ...inherited];
  }
  return { before };
}

function causesOf(before: readonly (readonly number[])[], isFrom: (index: number) => boolean, node: number): number[] {
  const inner = before[node].filter(isFrom);
  const outer = before[node].filter((tail) => !isFrom(tail));
  return inner.length === 0 ? outer : [...outer, ...inner.flatMap((tail) => causesOf(before, isFrom, tail))];
}

/** Tasks that begin an iteration after the first. */
function findIterated({ models }: ReplaySet): Set<string> {
  const iterated = new Set<string>();
  for (const { run } of models) {
    run.nodes.forEach((node, index) => {
      if (node.kind === 'task' && beginsIteration(run, index)) iterated.add(node.taskId);
    });
  }
  return iterated;
}

function beginsIteration({ nodes, before }: RunModel['run'], index: number): boolean {
  const { loopIteration } = nodes[index];
  if (loopIteration === null || loopIteration === 0 || before[index].length === 0) return false;
  return before[index].some((tail) => nodes[tail].loopIteration === loopIteration - 1);
}

function playIterationsAtOnce({ run }: RunModel, task: string): RunChange | null {
  const { nodes } = run;
  const first = nodes.findIndex(({ taskId, loopIteration, kind }) => {
    return taskId === task && loopIteration === 0 && kind === 'task';
  });
  if (first < 0) return null;
  const before = run.before.map((tails, index) => {
    return nodes[index].taskId === task && beginsIteration(run, index) ? run.before[first] : tails;
  });
  return { before };
}
