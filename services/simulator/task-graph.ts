import type { TaskDependency } from '../../schemas/events.ts';
import type { After, TaskDefinition } from './workflow-model.ts';

/** One task among those beside it, with what it waits for and what waits for it. */
export interface TaskNode {
  task: TaskDefinition;
  /** From 1, in the order of the definition. */
  stepOrder: number;
  after: { node: TaskNode; optional: boolean; when: string | null }[];
  /** How many of `after` have to be met. */
  needed: number;
  dependents: TaskNode[];
  triggerRule: string;
  /** The last three under the names of telemetry. */
  dependencies: readonly TaskDependency[];
  dependentIds: readonly string[];
}

export interface TaskGraph {
  nodes: readonly TaskNode[];
  byId: ReadonlyMap<string, TaskNode>;
}

const graphs = new WeakMap<readonly TaskDefinition[], TaskGraph>();

/** The tasks must have passed the checker. Executions of one definition share one graph. */
export function graphOf(tasks: readonly TaskDefinition[]): TaskGraph {
  const known = graphs.get(tasks);
  if (known !== undefined) return known;
  const byId = new Map(tasks.map((task, index) => [task.id, nodeOf(task, index + 1)]));
  for (const node of byId.values()) {
    for (const entry of node.task.after ?? []) linkTo(node, readAfter(entry), byId);
  }
  const nodes = [...byId.values()];
  for (const node of nodes) node.dependentIds = node.dependents.map(({ task }) => task.id);
  const graph = { nodes, byId };
  graphs.set(tasks, graph);
  return graph;
}

function readAfter(entry: After): { task: string; optional: boolean; when: string | null } {
  if (typeof entry === 'string') return { task: entry, optional: false, when: null };
  return { task: entry.task, optional: entry.optional ?? false, when: entry.when ?? null };
}

function nodeOf(task: TaskDefinition, stepOrder: number): TaskNode {
  const after = (task.after ?? []).map(readAfter);
  const { join = 'all', runOn = 'success' } = task;
  const needed = join === 'all' ? after.length : join === 'any' ? Math.min(1, after.length) : join;
  const triggerRule = `${typeof join === 'number' ? `${join}_of_${after.length}` : join}_${runOn}`;
  const dependencies = after.map(({ task: taskId, optional, when }) => ({
    taskId,
    type: runOn,
    optional,
    condition: when ?? '',
  }));
  return { task, stepOrder, after: [], needed, dependents: [], triggerRule, dependencies, dependentIds: [] };
}

function linkTo(
  node: TaskNode,
  { task, optional, when }: ReturnType<typeof readAfter>,
  byId: ReadonlyMap<string, TaskNode>,
): void {
  const upstream = byId.get(task);
  if (upstream === undefined) throw new Error(`task ${node.task.id} waits for ${task}, which is not beside it`);
  node.after.push({ node: upstream, optional, when });
  upstream.dependents.push(node);
}

/** All tasks that come after one, directly or not. */
export function findDownstream(graph: TaskGraph, taskId: string): Set<string> {
  const found = new Set<string>();
  const open = [graph.byId.get(taskId)];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const dependent of node.dependents) {
      if (found.has(dependent.task.id)) continue;
      found.add(dependent.task.id);
      open.push(dependent);
    }
  }
  return found;
}
