import type { TaskDependency } from '../../schemas/events.ts';
import { type AttemptTrace, type ExecutionTrace, isEnd } from './execution-trace.ts';
import { inferEdges } from './inferred-edges.ts';
import { timeRun } from './timed-run.ts';

/** What waits for what in a workflow, as its executions tell it or show it. */
export interface LearnedEdge {
  from: string;
  to: string;
  type: string;
  optional: boolean;
  condition: string;
  /** Share of the executions with both tasks in which this was told or seen. */
  support: number;
  inferred: boolean;
}

export interface LearnedWorkflow {
  /** Tasks in order of their first start, with the number of executions in which each was seen and in which it ran. */
  tasks: Map<string, { seen: number; ran: number }>;
  /** As they were told. */
  told: LearnedEdge[];
  /** With what a task holds placed between what it waits for and itself. */
  edges: LearnedEdge[];
  /** A task that holds others (a loop), and these. */
  holds: Map<string, Set<string>>;
}

/** @public */
export const learningDefaults = {
  /** Told in fewer executions than this, an edge belongs to another version or to a mistake. */
  supportLeast: 0.02,
  /** Executions looked at for dependencies that nobody told; more would only cost time. */
  inferredFromMost: 200,
};

export function learnWorkflow(executions: readonly ExecutionTrace[]): LearnedWorkflow {
  const tasks = countTasks(executions);
  const told = countTold(executions);
  const holds = findHolders(executions);
  const edges = told.size > 0 ? keepSupported(told) : [];
  if (edges.length === 0) edges.push(...inferEdges(executions.slice(-learningDefaults.inferredFromMost)));
  return { tasks, told: edges, edges: holds.size === 0 ? edges : placeHeld(edges, holds), holds };
}

/** Tasks that each task waits for, for executions whose events leave some out. */
export function afterOf(edges: readonly LearnedEdge[]): Map<string, string[]> {
  const after = new Map<string, string[]>();
  for (const { from, to } of edges) {
    const known = after.get(to);
    if (known === undefined) after.set(to, [from]);
    else known.push(from);
  }
  return after;
}

function countTasks(executions: readonly ExecutionTrace[]): LearnedWorkflow['tasks'] {
  const counts = new Map<string, { seen: number; ran: number; seenBy: number; ranBy: number }>();
  executions.forEach(({ tasks }, execution) => {
    for (const { taskId, attempts, state } of tasks) {
      let own = counts.get(taskId);
      if (own === undefined) {
        own = { seen: 0, ran: 0, seenBy: -1, ranBy: -1 };
        counts.set(taskId, own);
      }
      // Instances of one task count once for each execution.
      if (own.seenBy !== execution) own.seen++;
      own.seenBy = execution;
      if (own.ranBy === execution || state === 'skipped' || !attempts.some(didRun)) continue;
      own.ran++;
      own.ranBy = execution;
    }
  });
  return counts;
}

const didRun = ({ startedAtMs, state }: AttemptTrace): boolean => startedAtMs !== null || isEnd(state);

interface Told {
  dependency: TaskDependency;
  times: number;
  together: number;
  /** The execution that told it last, so that many instances of a task tell it once. */
  toldBy: number;
}

/** What each task waits for; found by name where that is much. */
interface Waits {
  told: Told[];
  byName: Map<string, Told> | null;
}

type ToldEdges = Map<string, Waits>;

/** Looking through so few is quicker than a map, and maps of most tasks would be larger than all else together. */
const searchedMost = 12;

function findTold({ told, byName }: Waits, from: string): Told | undefined {
  if (byName !== null) return byName.get(from);
  for (const entry of told) if (entry.dependency.taskId === from) return entry;
  return undefined;
}

function addTold(waits: Waits, entry: Told): void {
  waits.told.push(entry);
  if (waits.byName !== null) waits.byName.set(entry.dependency.taskId, entry);
  else if (waits.told.length > searchedMost) {
    waits.byName = new Map(waits.told.map((own) => [own.dependency.taskId, own]));
  }
}

function countTold(executions: readonly ExecutionTrace[]): ToldEdges {
  const edges: ToldEdges = new Map();
  const presence = executions.map(({ tasks }) => new Set(tasks.map(({ taskId }) => taskId)));
  executions.forEach(({ tasks }, execution) => {
    const present = presence[execution];
    for (const { taskId, dependencies } of tasks) {
      let waits = edges.get(taskId);
      for (const dependency of dependencies) {
        const { taskId: from } = dependency;
        if (from === taskId || !present.has(from)) continue;
        if (waits === undefined) {
          waits = { told: [], byName: null };
          edges.set(taskId, waits);
        }
        const entry = findTold(waits, from);
        if (entry === undefined) addTold(waits, { dependency, times: 1, together: 0, toldBy: execution });
        else if (entry.toldBy !== execution) {
          entry.times++;
          entry.toldBy = execution;
        }
      }
    }
  });
  for (const present of presence) countTogether(present, edges);
  return edges;
}

function countTogether(present: ReadonlySet<string>, edges: ToldEdges): void {
  for (const taskId of present) {
    for (const entry of edges.get(taskId)?.told ?? []) if (present.has(entry.dependency.taskId)) entry.together++;
  }
}

function keepSupported(toldEdges: ToldEdges): LearnedEdge[] {
  const edges: LearnedEdge[] = [];
  for (const [to, { told }] of toldEdges) {
    for (const { dependency, times, together } of told) {
      const support = together === 0 ? 0 : times / together;
      if (support < learningDefaults.supportLeast) continue;
      const { taskId: from, type, optional, condition } = dependency;
      edges.push({ from, to, type: type || 'control', optional, condition, support, inferred: false });
    }
  }
  return edges;
}

/** A few executions are enough: a task holds the same others in all of them. */
const holdersFromMost = 5;

function findHolders(executions: readonly ExecutionTrace[]): Map<string, Set<string>> {
  const holds = new Map<string, Set<string>>();
  const looping = executions.filter(({ tasks }) => tasks.some(({ loopIteration }) => loopIteration !== null));
  for (const execution of looping.slice(-holdersFromMost)) {
    const { nodes, before } = timeRun(execution);
    const begins = new Set([...nodes.keys()].filter((index) => nodes[index].kind === 'begin'));
    if (begins.size === 0) continue;
    nodes.forEach((node, index) => {
      for (const tail of before[index]) {
        if (!begins.has(tail)) continue;
        const held = holds.get(nodes[tail].taskId) ?? new Set();
        holds.set(nodes[tail].taskId, held.add(node.taskId));
      }
    });
  }
  return holds;
}

/** What a task holds stands between what it waited for and itself. */
function placeHeld(edges: readonly LearnedEdge[], holds: ReadonlyMap<string, ReadonlySet<string>>): LearnedEdge[] {
  const placed = [...edges];
  const about = { type: 'control', optional: false, condition: '', support: 1, inferred: false };
  for (const [holder, roots] of holds) {
    const body = reachFrom(roots, edges, holder);
    for (const edge of edges) {
      if (edge.to === holder) for (const root of roots) placed.push({ ...edge, to: root });
    }
    const inner = new Set(edges.filter(({ to }) => body.has(to)).map(({ from }) => from));
    for (const task of body) if (!inner.has(task)) placed.push({ ...about, from: task, to: holder });
  }
  return placed;
}

function reachFrom(roots: ReadonlySet<string>, edges: readonly LearnedEdge[], end: string): Set<string> {
  const reached = new Set(roots);
  for (const task of reached) {
    for (const { from, to } of edges) if (from === task && to !== end) reached.add(to);
  }
  return reached;
}
