import { followersOf } from './digraph.ts';
import { findLoops, findMaps } from './repetition-patterns.ts';
import { medianOf } from './robust-statistics.ts';
import { findSagas, findUnusual } from './saga-patterns.ts';
import { describeStructure, findBranches, findJoins, type Structure } from './structure.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/**
 * The seven shapes that workflows are made of, nested ones too.
 *
 * - sequential: three tasks or more, each of which waits for the one before alone, which nothing else waits for;
 * - parallel: parts of a fork that run, or could run, beside each other in at least half of the executions with both;
 * - scatter_gather: three such parts or more, from one task and joined in one;
 * - map_reduce: instances of one task, at least three, joined in one task; or like parts whose number varies;
 * - conditional: parts of a fork of which one runs, or a task that some executions leave out;
 * - loop: what runs several times in an execution without having failed, or waits for itself;
 * - saga: after a failure, what was done is taken back.
 *
 * Of two names for the same shape the narrower one is told.
 */
export const patternKinds = [
  'sequential',
  'parallel',
  'conditional',
  'loop',
  'map_reduce',
  'scatter_gather',
  'saga',
] as const;
export type PatternKind = (typeof patternKinds)[number];

export interface StructuralPattern {
  kind: PatternKind;
  /** What it is made of, without the tasks that it forks from and joins in. */
  tasks: string[];
  split: string | null;
  join: string | null;
  /** Between 0 and 1: how much of what was seen agrees. */
  confidence: number;
}

/** @public */
export const structuralDefaults = {
  chainLeast: 3,
  scatterLeast: 3,
  /** Parts exclude each other if both run in less than this share of the runs of the rarer. */
  togetherRatioMost: 0.25,
  overlapRatioLeast: 0.5,
  /** A task of completed executions that runs in less than this share of them is left out on purpose. */
  leftOutRatioLeast: 0.04,
  /** Executions below which nothing is called conditional that nobody says is. */
  executionsLeast: 20,
};

export function findStructuralPatterns(workflow: WorkflowRuns): StructuralPattern[] {
  const sagas = findSagas(workflow);
  const outside = new Set([...findUnusual(workflow), ...sagas.flatMap(({ undoing }) => undoing)]);
  const structure = describeStructure(workflow, outside);
  const maps = findMaps(workflow, structure);
  const forks = findForks(workflow, structure);
  return [
    ...findChains(structure),
    ...forks,
    ...findLeftOut(structure, forks),
    ...findLoops(workflow, structure),
    ...maps,
    ...sagas.map(({ pattern }) => pattern),
  ];
}

function findChains({ graph, reversed, names, entry, exit }: Structure): StructuralPattern[] {
  const nextOf = (node: number): number => {
    const [next] = followersOf(graph, node);
    const isOnly = followersOf(graph, node).length === 1 && next !== exit;
    return isOnly && followersOf(reversed, next).length === 1 ? next : -1;
  };
  const follows = new Set(names.map((_, node) => nextOf(node)));
  const chains: StructuralPattern[] = [];
  for (let first = 0; first < names.length; first++) {
    if (follows.has(first)) continue;
    const chain: number[] = [];
    for (let node = first; node >= 0; node = nextOf(node)) chain.push(node);
    if (chain.length < structuralDefaults.chainLeast) continue;
    const nameOf = (node: number | undefined) => (node === undefined || node >= names.length ? null : names[node]);
    const before = [...followersOf(reversed, first)].filter((node) => node !== entry);
    const after = [...followersOf(graph, chain[chain.length - 1])].filter((node) => node !== exit);
    const ends = {
      split: before.length === 1 ? nameOf(before[0]) : null,
      join: after.length === 1 ? nameOf(after[0]) : null,
    };
    chains.push({ kind: 'sequential', tasks: chain.map((node) => names[node]), ...ends, confidence: 1 });
  }
  return chains;
}

/** A part of a fork, with the runs in which it ran. */
interface Branch {
  nodes: number[];
  ran: boolean[];
  /** Runs in which the source said that it was left out. */
  skipped: boolean[];
}

function findForks(workflow: WorkflowRuns, structure: Structure): StructuralPattern[] {
  const { graph, names, exit, entry, ran, skipped, isCompleted } = structure;
  const joins = findJoins(structure);
  const found: StructuralPattern[] = [];
  for (let fork = 0; fork < graph.size; fork++) {
    if (fork === exit || followersOf(graph, fork).length < 2) continue;
    const join = joins[fork];
    const branches: Branch[] = findBranches(structure, fork, join).map((nodes) => ({
      nodes,
      ran: ran.map((run) => nodes.some((node) => run[node] === 1)),
      skipped: skipped.map((run, place) => isCompleted[place] && nodes.every((node) => run[node] === 1)),
    }));
    if (branches.length < 2) continue;
    const place = { split: fork === entry ? null : names[fork], join: join === exit ? null : names[join] };
    const groups = groupExclusive(branches, workflow.runs.length);
    for (const group of groups) if (group.length > 1) found.push(describeChoice(group, place, names));
    const beside = describeBeside(workflow, structure, groups, place);
    if (beside !== null) found.push(beside);
  }
  return found;
}

type Place = Pick<StructuralPattern, 'split' | 'join'>;

/** Parts that never run together belong to one choice. */
function groupExclusive(branches: readonly Branch[], runs: number): Branch[][] {
  const groups: Branch[][] = [];
  for (const branch of branches) {
    const own = groups.find((group) => group.every((other) => isExclusive(branch, other, runs)));
    if (own === undefined) groups.push([branch]);
    else own.push(branch);
  }
  return groups;
}

function isExclusive(left: Branch, right: Branch, runs: number): boolean {
  const count = (ran: readonly boolean[]) => ran.filter(Boolean).length;
  const rarer = Math.min(count(left.ran), count(right.ran));
  const together = left.ran.filter((ran, run) => ran && right.ran[run]).length;
  // One that never ran excludes the other if it was said to be left out whenever that one ran.
  const isOther = (one: Branch, other: Branch) => one.skipped.some((skipped, run) => skipped && other.ran[run]);
  if (rarer === 0)
    return isOther(left, right) || isOther(right, left) || (count(left.skipped) > 0 && count(right.skipped) > 0);
  if (runs < structuralDefaults.executionsLeast && rarer < 2) return false;
  return together < structuralDefaults.togetherRatioMost * rarer;
}

function describeChoice(group: readonly Branch[], place: Place, names: readonly string[]): StructuralPattern {
  const runs = group[0].ran.length;
  let chosen = 0;
  let clean = 0;
  for (let run = 0; run < runs; run++) {
    const count = group.filter(({ ran }) => ran[run]).length;
    if (count > 0) chosen++;
    if (count === 1) clean++;
  }
  const tasks = group.flatMap(({ nodes }) => nodes.map((node) => names[node]));
  return { kind: 'conditional', tasks, ...place, confidence: chosen === 0 ? 0 : clean / chosen };
}

function describeBeside(
  workflow: WorkflowRuns,
  { names, isCompleted }: Structure,
  groups: readonly Branch[][],
  place: Place,
): StructuralPattern | null {
  if (groups.length < 2) return null;
  const parts = groups.map((group) => group.flatMap(({ nodes }) => nodes.map((node) => names[node])));
  const overlap = measureOverlap(workflow, parts);
  if (overlap < structuralDefaults.overlapRatioLeast) return null;
  const isJoined = place.split !== null && place.join !== null;
  const isVarying = isVaryingFamily(groups, names, isCompleted);
  const kind =
    !isJoined || groups.length < structuralDefaults.scatterLeast
      ? 'parallel'
      : isVarying
        ? 'map_reduce'
        : 'scatter_gather';
  return { kind, tasks: parts.flat(), ...place, confidence: overlap };
}

/** Shards that are tasks of their own, `shard_1`, `shard_2` and so on, as many as there is work for. */
function isVaryingFamily(
  groups: readonly Branch[][],
  names: readonly string[],
  isCompleted: readonly boolean[],
): boolean {
  const stems = new Set(groups.map(([{ nodes }]) => names[nodes[0]].replace(/[\W_]*\d+$/, '')));
  if (stems.size > 1) return false;
  const counts = isCompleted.flatMap((completed, run) =>
    completed ? [groups.filter(([{ ran }]) => ran[run]).length] : [],
  );
  const usual = medianOf(counts);
  return counts.filter((count) => count !== usual).length > counts.length / 10;
}

/** Share of the executions with at least two parts in which some two of them ran at one time. */
function measureOverlap({ runs, tasks }: WorkflowRuns, parts: readonly string[][]): number {
  let both = 0;
  let overlapping = 0;
  runs.forEach(({ nodes }, run) => {
    const spans: { startMs: number; endMs: number }[] = [];
    for (const part of parts) {
      let [startMs, endMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const name of part) {
        for (const node of tasks[run].get(name)?.nodes ?? []) {
          const [first] = nodes[node].attempts;
          if (first === undefined) continue;
          // What waits for a slot or takes no time, as from a cache, would run beside the others all the same.
          startMs = Math.min(startMs, first.startMs, first.attempt.readyAtMs ?? first.startMs);
          endMs = Math.max(endMs, nodes[node].endMs);
        }
      }
      if (endMs >= startMs) spans.push({ startMs, endMs });
    }
    if (spans.length < 2) return;
    both++;
    spans.sort((left, right) => left.startMs - right.startMs);
    if (spans.some((span, place) => place > 0 && span.startMs <= spans[place - 1].endMs)) overlapping++;
  });
  return both === 0 ? 0 : overlapping / both;
}

/** Tasks of the usual course that some completed executions did without, next to each other as one pattern. */
function findLeftOut(structure: Structure, forks: readonly StructuralPattern[]): StructuralPattern[] {
  const { names, graph, ran, isCompleted } = structure;
  const known = new Set(forks.filter(({ kind }) => kind === 'conditional').flatMap(({ tasks }) => tasks));
  const completed = ran.filter((_, run) => isCompleted[run]);
  if (completed.length < structuralDefaults.executionsLeast) return [];
  const isLeftOut = (node: number): boolean => {
    if (node >= names.length || known.has(names[node])) return false;
    const ratio = completed.filter((run) => run[node] === 1).length / completed.length;
    return ratio > 0 && ratio < 1 - structuralDefaults.leftOutRatioLeast;
  };
  const found: StructuralPattern[] = [];
  const taken = new Set<number>();
  for (let node = 0; node < names.length; node++) {
    if (taken.has(node) || !isLeftOut(node)) continue;
    const members = [node];
    taken.add(node);
    for (const member of members) {
      for (const head of followersOf(graph, member)) {
        if (taken.has(head) || !isLeftOut(head) || !runAlike(completed, node, head)) continue;
        taken.add(head);
        members.push(head);
      }
    }
    found.push({
      kind: 'conditional',
      tasks: members.map((member) => names[member]),
      split: null,
      join: null,
      confidence: 1,
    });
  }
  return found;
}

const runAlike = (runs: readonly Uint8Array[], left: number, right: number): boolean =>
  runs.filter((run) => run[left] !== run[right]).length <= runs.length / 20;
