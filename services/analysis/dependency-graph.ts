import { type Basis, describeBasis, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { buildDigraph, type Digraph, findCycles, findDepths, sortTopologically } from './digraph.ts';
import type { ExecutionTrace } from './execution-trace.ts';
import type { LearnedEdge } from './learned-edges.ts';
import { meanOf, medianOf } from './robust-statistics.ts';
import { valuesOf, type WorkflowRuns } from './workflow-runs.ts';

/**
 * The graph of a workflow version: which task waits for which, how long each takes, and what follows for the whole.
 * Lengths are those of medians, so that one slow execution does not bend the path; cycles are reported and cut where
 * they go against the usual order of starts.
 *
 * Example: a (10 s) before b (20 s) and c (5 s), both before d (5 s). The critical path is a, b, d with 35 s of
 * altogether 40 s of work, so the parallelization factor is 40 / 35 = 1.143; depth 3, width 2.
 */
export interface DependencyGraph {
  workflowId: string;
  version: string;
  nodes: GraphNode[];
  edges: GraphEdge[];
  criticalPath: string[];
  criticalPathMs: number;
  /** Work of all tasks by that of the critical path. */
  parallelizationFactor: number;
  maxDepth: number;
  /** Most tasks of one depth. */
  maxWidth: number;
  /** Tasks that make up a large share of the critical path. */
  bottlenecks: { id: string; share: number }[];
  cycles: string[][];
  inferred: boolean;
  basis: Basis;
}

export interface GraphNode {
  id: string;
  taskName: string;
  taskType: string;
  avgDuration: number;
  medianDuration: number;
  variance: number;
  /** 1 on the critical path, less the more slack there is, 0 where the whole path would fit into it. */
  criticality: number;
  /** Something may run beside it, or it has several instances itself. */
  parallelizable: boolean;
  resourceRequirements: { memoryBytes: number | null; cpuCores: number | null };
  /** Share of the executions in which it ran. */
  runRatio: number;
  depth: number;
  slackMs: number;
}

export interface GraphEdge {
  from: string;
  to: string;
  dependencyType: string;
  /** Share of the executions with both tasks that tell of it or show it: the confidence in an inferred one. */
  weight: number;
  optional: boolean;
  condition?: string;
  inferred: boolean;
}

/** @public */
export const graphDefaults = { executionsLeast: 1, bottleneckShareLeast: 0.3 };

export function buildDependencyGraph(workflow: WorkflowRuns): DependencyGraph | Refusal {
  const { executions, learned, runs } = workflow;
  if (runs.length < graphDefaults.executionsLeast) {
    return refuse('a dependency graph', graphDefaults.executionsLeast, runs.length, executions);
  }
  const names = [...learned.tasks.keys()];
  const places = new Map(names.map((name, place) => [name, place]));
  const pairs = learned.edges
    .map(({ from, to }) => [places.get(from), places.get(to)] as const)
    .filter((pair): pair is [number, number] => pair[0] !== undefined && pair[1] !== undefined);
  const whole = buildDigraph(names.length, pairs);
  const cycles = findCycles(whole);
  const spans = names.map((name) => valuesOf(workflow, name, ({ spanMs }) => spanMs));
  const medians = spans.map((own) => medianOf(own));
  // What holds others lasts as long as they do, which is counted with them.
  names.forEach((name, place) => {
    if (learned.holds.has(name)) medians[place] = 0;
  });
  const graph =
    cycles.length === 0
      ? whole
      : buildDigraph(names.length, cutCycles(pairs, cycles, findStarts(workflow, names), names.length));
  const lengths = measurePaths(graph, medians);
  const depths = findDepths(graph);
  const findings = findTraces(executions);
  const nodes = names.map((name, place) => {
    const slackMs = Math.max(0, lengths.totalMs - lengths.through[place]);
    return {
      ...describeNode(name, spans[place], workflow.runs.length, findings.get(name)),
      depth: depths[place] + 1,
      ...describeSlack(slackMs, lengths.totalMs),
    };
  });
  const widths = countWidths(depths);
  const isWide = (place: number) =>
    widths[depths[place]] > 1 || workflow.tasks.some((run) => isMapped(run.get(names[place])));
  nodes.forEach((node, place) => {
    node.parallelizable = isWide(place);
  });
  const work = medians.reduce((sum, ms) => sum + ms, 0);
  return {
    workflowId: workflow.workflowId,
    version: findVersion(workflow),
    nodes,
    edges: learned.edges.map(describeEdge),
    criticalPath: lengths.path.map((place) => names[place]),
    criticalPathMs: roundMs(lengths.totalMs),
    parallelizationFactor: lengths.totalMs === 0 ? 1 : roundRatio(work / lengths.totalMs),
    maxDepth: depths.reduce((most, depth) => Math.max(most, depth + 1), 0),
    maxWidth: widths.reduce((most, width) => Math.max(most, width), 0),
    bottlenecks: listLongest(lengths, medians, names),
    cycles: cycles.map((members) => members.map((place) => names[place])),
    inferred: learned.edges.some(({ inferred }) => inferred),
    basis: describeBasis(executions),
  };
}

const isMapped = (task: { instances: number; iterations: number } | undefined): boolean =>
  task !== undefined && task.instances > 1 && task.iterations === 0;

const findVersion = ({ runs }: WorkflowRuns): string => runs.at(-1)?.trace.workflowVersion ?? '';

/** Sources have further words, such as `success`, for the order of tasks. */
const dependencyTypes: ReadonlySet<string> = new Set(['data', 'control', 'resource', 'temporal']);

function describeEdge({ from, to, type, optional, condition, support, inferred }: LearnedEdge): GraphEdge {
  const dependencyType = dependencyTypes.has(type) ? type : 'control';
  const about = { from, to, dependencyType, weight: roundRatio(support), optional, inferred };
  return condition === '' ? about : { ...about, condition };
}

/** What the executions tell of a task besides its times. */
interface TaskFindings {
  taskName: string;
  taskType: string;
  memory: number[] | null;
  cores: number[] | null;
}

function findTraces(executions: readonly ExecutionTrace[]): Map<string, TaskFindings> {
  const findings = new Map<string, TaskFindings>();
  for (const { tasks } of executions) {
    for (const { taskId, taskName, taskType, attempts } of tasks) {
      let own = findings.get(taskId);
      if (own === undefined) {
        own = { taskName, taskType, memory: null, cores: null };
        findings.set(taskId, own);
      }
      const last = attempts.at(-1);
      const bytes = last?.memoryAllocatedBytes ?? last?.memoryPeakBytes ?? null;
      if (bytes !== null) own.memory = append(own.memory, bytes);
      if (last && last.cpuUs !== null && last.durationMs) {
        own.cores = append(own.cores, last.cpuUs / 1000 / last.durationMs);
      }
    }
  }
  return findings;
}

function append(values: number[] | null, value: number): number[] {
  if (values === null) return [value];
  values.push(value);
  return values;
}

function describeNode(
  id: string,
  spans: readonly number[],
  runs: number,
  findings: TaskFindings | undefined,
): Omit<GraphNode, 'depth' | 'slackMs' | 'criticality'> {
  const mean = meanOf(spans);
  return {
    id,
    taskName: findings?.taskName || id,
    taskType: findings?.taskType ?? '',
    avgDuration: roundMs(mean),
    medianDuration: roundMs(medianOf(spans)),
    variance: spans.length === 1 ? 0 : roundMs(meanOf(spans.map((ms) => (ms - mean) ** 2))),
    parallelizable: false,
    resourceRequirements: { memoryBytes: medianKnown(findings?.memory), cpuCores: medianKnown(findings?.cores) },
    runRatio: roundRatio(spans.length / runs),
  };
}

function medianKnown(known: readonly number[] | null | undefined): number | null {
  return known ? roundMs(medianOf(known)) : null;
}

function describeSlack(slackMs: number, totalMs: number): { slackMs: number; criticality: number } {
  return { slackMs: roundMs(slackMs), criticality: totalMs === 0 ? 0 : roundRatio(1 - slackMs / totalMs) };
}

/** When each task usually starts, since the start of its execution. */
function findStarts({ runs, tasks }: WorkflowRuns, names: readonly string[]): number[] {
  const starts = names.map((): number[] => []);
  const places = new Map(names.map((name, place) => [name, place]));
  runs.forEach(({ nodes, startMs }, index) => {
    for (const { taskId, nodes: own } of tasks[index].values()) {
      const place = places.get(taskId);
      if (place !== undefined) starts[place].push(nodes[own[0]].startMs - startMs);
    }
  });
  return starts.map((own) => medianOf(own));
}

/** Within a cycle only edges stay that go along with the usual order of starts. */
export function cutCycles(
  edges: readonly (readonly [number, number])[],
  cycles: readonly (readonly number[])[],
  starts: readonly number[],
  size: number,
): (readonly [number, number])[] {
  if (cycles.length === 0) return [...edges];
  const cycleOf = new Int32Array(size).fill(-1);
  cycles.forEach((members, cycle) => {
    for (const member of members) cycleOf[member] = cycle;
  });
  const isForward = (tail: number, head: number) =>
    starts[tail] < starts[head] || (starts[tail] === starts[head] && tail < head);
  return edges.filter(([tail, head]) => cycleOf[tail] < 0 || cycleOf[tail] !== cycleOf[head] || isForward(tail, head));
}

interface Lengths {
  totalMs: number;
  /** Longest path through each node. */
  through: Float64Array;
  path: number[];
}

function measurePaths(graph: Digraph, durations: readonly number[]): Lengths {
  const { from, to } = graph;
  const order = sortTopologically(graph);
  const until = new Float64Array(graph.size);
  const after = new Float64Array(graph.size);
  const previous = new Int32Array(graph.size).fill(-1);
  for (const node of order) {
    until[node] += durations[node];
    for (let edge = from[node]; edge < from[node + 1]; edge++) {
      const head = to[edge];
      if (until[node] > until[head] || previous[head] < 0) {
        until[head] = until[node];
        previous[head] = node;
      }
    }
  }
  for (let place = order.length - 1; place >= 0; place--) {
    const node = order[place];
    for (let edge = from[node]; edge < from[node + 1]; edge++) {
      after[node] = Math.max(after[node], after[to[edge]] + durations[to[edge]]);
    }
  }
  let last = -1;
  for (let node = 0; node < graph.size; node++) if (last < 0 || until[node] > until[last]) last = node;
  const path: number[] = [];
  for (let node = last; node >= 0; node = previous[node]) path.push(node);
  path.reverse();
  return { totalMs: last < 0 ? 0 : until[last], through: until.map((ms, node) => ms + after[node]), path };
}

function countWidths(depths: Int32Array): number[] {
  const widths: number[] = [];
  for (const depth of depths) widths[depth] = (widths[depth] ?? 0) + 1;
  return Array.from(widths, (width) => width ?? 0);
}

function listLongest({ path, totalMs }: Lengths, medians: readonly number[], names: readonly string[]) {
  if (totalMs === 0) return [];
  return path
    .map((place) => ({ id: names[place], share: roundRatio(medians[place] / totalMs) }))
    .filter(({ share }) => share >= graphDefaults.bottleneckShareLeast)
    .sort((left, right) => right.share - left.share);
}
