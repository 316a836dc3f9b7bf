import { cutCycles } from './dependency-graph.ts';
import {
  buildDigraph,
  type Digraph,
  findCycles,
  followersOf,
  reduceTransitively,
  reverseDigraph,
  sortTopologically,
} from './digraph.ts';
import { medianOf } from './robust-statistics.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** The usual course of a workflow as a graph between one entry and one exit: what patterns are looked for in. */
export interface Structure {
  names: string[];
  /** Tasks by number; then the entry and the exit. Without cycles, and without edges that longer ways make superfluous. */
  graph: Digraph;
  reversed: Digraph;
  entry: number;
  exit: number;
  /** Tasks that wait for each other in a circle. */
  cycles: string[][];
  /** Whether each task ran, for each run. */
  ran: Uint8Array[];
  /** Whether the source said of each task that it was left out, for each run. */
  skipped: Uint8Array[];
  /** Runs that completed; in others, what did not run need not have been left out on purpose. */
  isCompleted: boolean[];
}

/** Tasks outside the usual course, such as those that only a failure calls for, are left out. */
export function describeStructure(workflow: WorkflowRuns, outside: ReadonlySet<string>): Structure {
  const names = [...workflow.learned.tasks.keys()].filter((name) => !outside.has(name));
  const places = new Map(names.map((name, place) => [name, place]));
  const pairs: [number, number][] = [];
  for (const { from, to } of workflow.learned.edges) {
    const [tail, head] = [places.get(from), places.get(to)];
    if (tail !== undefined && head !== undefined) pairs.push([tail, head]);
  }
  const cycles = findCycles(buildDigraph(names.length, pairs));
  const acyclic = cutCycles(pairs, cycles, findFirstStarts(workflow, names), names.length);
  const reduced = reduceTransitively(buildDigraph(names.length, acyclic));
  const [entry, exit] = [names.length, names.length + 1];
  const hasBefore = new Set(reduced.map(([, head]) => head));
  const hasAfter = new Set(reduced.map(([tail]) => tail));
  names.forEach((_, place) => {
    if (!hasBefore.has(place)) reduced.push([entry, place]);
    if (!hasAfter.has(place)) reduced.push([place, exit]);
  });
  const graph = buildDigraph(names.length + 2, reduced);
  const mark = (isSkipped: boolean) =>
    workflow.tasks.map((tasks) => Uint8Array.from(names, (name) => (tasks.get(name)?.isSkipped === isSkipped ? 1 : 0)));
  return {
    names,
    graph,
    reversed: reverseDigraph(graph),
    entry,
    exit,
    cycles: cycles.map((members) => members.map((place) => names[place])),
    ran: mark(false),
    skipped: mark(true),
    isCompleted: workflow.runs.map(({ trace }) => trace.state === 'completed'),
  };
}

function findFirstStarts({ runs, tasks }: WorkflowRuns, names: readonly string[]): number[] {
  return names.map((name) => {
    const starts: number[] = [];
    tasks.forEach((run, index) => {
      const own = run.get(name);
      if (own !== undefined) starts.push(runs[index].nodes[own.nodes[0]].startMs - runs[index].startMs);
    });
    return medianOf(starts);
  });
}

/** For each node the nearest one that every way from it to the exit goes through (Cooper, Harvey and Kennedy). */
export function findJoins({ graph, exit }: Structure): Int32Array {
  const joins = new Int32Array(graph.size).fill(-1);
  const order = sortTopologically(graph);
  const place = new Int32Array(graph.size);
  order.forEach((node, index) => {
    place[node] = index;
  });
  joins[exit] = exit;
  for (let index = order.length - 1; index >= 0; index--) {
    const node = order[index];
    if (node === exit) continue;
    let join = -1;
    for (const head of followersOf(graph, node)) join = join < 0 ? head : meet(joins, place, join, head);
    joins[node] = join;
  }
  return joins;
}

function meet(joins: Int32Array, place: Int32Array, left: number, right: number): number {
  let [a, b] = [left, right];
  while (a !== b) {
    if (place[a] < place[b]) a = joins[a];
    else b = joins[b];
  }
  return a;
}

/** What lies between a fork and its join, in parts that touch each other nowhere. */
export function findBranches({ graph }: Structure, fork: number, join: number): number[][] {
  const inside = new Set<number>();
  const open = [...followersOf(graph, fork)].filter((node) => node !== join);
  for (const node of open) {
    if (inside.has(node)) continue;
    inside.add(node);
    for (const head of followersOf(graph, node)) if (head !== join && !inside.has(head)) open.push(head);
  }
  const parents = new Map([...inside].map((node) => [node, node]));
  const rootOf = (node: number): number => {
    let root = node;
    while (parents.get(root) !== root) root = parents.get(root) as number;
    return root;
  };
  for (const node of inside) {
    for (const head of followersOf(graph, node)) if (inside.has(head)) parents.set(rootOf(head), rootOf(node));
  }
  const branches = new Map<number, number[]>();
  for (const node of inside) branches.set(rootOf(node), [...(branches.get(rootOf(node)) ?? []), node]);
  return [...branches.values()];
}
