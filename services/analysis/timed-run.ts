import { buildFromBefore, sortTopologically } from './digraph.ts';
import { type ExecutionTrace, startOf, type TaskTrace } from './execution-trace.ts';
import { findClockSkews, type PlacedAttempt, placeAttempts } from './placed-attempts.ts';
import { connectRun } from './run-connections.ts';

/**
 * One execution as a graph in time: what ran from when to when, and what each had to wait for. Everything that asks
 * what held an execution up walks this graph.
 */
export interface RunNode {
  /** Tasks of a child workflow carry the name of the task that started it before their own. */
  taskId: string;
  mapIndex: number;
  loopIteration: number | null;
  /**
   * `gather` stands for the end of several instances and `begin` for the start of a task that holds others; both take
   * no time. `skipped` never ran.
   */
  kind: 'task' | 'skipped' | 'gather' | 'begin';
  startMs: number;
  endMs: number;
  attempts: PlacedAttempt[];
  task: TaskTrace | null;
}

export interface TimedRun {
  trace: ExecutionTrace;
  startMs: number;
  endMs: number;
  isOpen: boolean;
  nodes: RunNode[];
  /** Nodes that each one waited for; these come before it in `order`. */
  before: number[][];
  order: Int32Array;
  /** Dependencies were told by nobody and follow from the times alone. */
  isGuessed: boolean;
  /** Tasks whose end was never told, in an execution that is over. */
  endlessTasks: number;
  skewMsMost: number;
}

/** What is known beside the execution itself. */
export interface RunKnowledge {
  /** Tasks that a task of the workflow waits for, learned from other executions. */
  after?: ReadonlyMap<string, readonly string[]>;
  /** Typical run time of a task, for ends that were never told. */
  typicalMs?: ReadonlyMap<string, number>;
  /** Executions of child workflows by their id. */
  children?: ReadonlyMap<string, ExecutionTrace>;
  /** For executions that run still. */
  nowMs?: number;
}

/** Workflows that start workflows that start workflows. */
const nestedMost = 8;

export function timeRun(trace: ExecutionTrace, knowledge: RunKnowledge = {}): TimedRun {
  return timeNested(trace, knowledge, '', 0, null);
}

interface Bounds {
  startMs: number;
  endMs: number;
}

function timeNested(
  trace: ExecutionTrace,
  knowledge: RunKnowledge,
  prefix: string,
  depth: number,
  within: Bounds | null,
): TimedRun {
  const isOpen = trace.endedAtMs === null;
  const bounds = within ?? findBounds(trace, knowledge.nowMs);
  const skews = findClockSkews(trace.tasks);
  const nodes: RunNode[] = [];
  let endlessTasks = 0;
  const startsAfter = isOpen ? new Map<string, number>() : findFollowerStarts(trace);
  for (const task of trace.tasks) {
    const openEndMs = isOpen ? bounds.endMs : Number.NEGATIVE_INFINITY;
    const attempts = placeAttempts(task, skews, openEndMs);
    const last = attempts.at(-1);
    if (last !== undefined && last.attempt.endedAtMs === null && !isOpen) {
      endlessTasks++;
      last.endMs = guessEnd(task, last.startMs, bounds.endMs, startsAfter, knowledge);
    }
    const node = placeTask(task, attempts, bounds, prefix);
    if (node !== null) nodes.push(node);
  }
  const { before, isGuessed } = connectRun(nodes, prefix, knowledge.after ?? new Map());
  const skewMsMost = Math.max(0, ...[...skews.values()].map(Math.abs));
  const run: TimedRun = {
    trace,
    ...bounds,
    isOpen,
    nodes,
    before,
    order: new Int32Array(),
    isGuessed,
    endlessTasks,
    skewMsMost,
  };
  if (depth < nestedMost && knowledge.children !== undefined) nestChildren(run, knowledge, prefix, depth);
  run.order = orderNodes(run);
  return run;
}

/** Clocks that contradict each other can close a circle; then what goes backwards in it was no waiting. */
function orderNodes({ nodes, before }: TimedRun): Int32Array {
  const order = sortTopologically(buildFromBefore(before));
  if (order.length === nodes.length) return order;
  const isPlaced = new Uint8Array(nodes.length);
  for (const node of order) isPlaced[node] = 1;
  const rest = [...nodes.keys()].filter((node) => isPlaced[node] === 0);
  rest.sort((left, right) => nodes[left].endMs - nodes[right].endMs || left - right);
  for (const node of rest) {
    before[node] = before[node].filter((tail) => isPlaced[tail] === 1);
    isPlaced[node] = 1;
  }
  return Int32Array.from([...order, ...rest]);
}

function findBounds(trace: ExecutionTrace, nowMs: number | undefined): Bounds {
  const startMs = startOf(trace);
  const endMs = trace.endedAtMs ?? Math.max(trace.lastSeenMs, nowMs ?? trace.lastSeenMs);
  return { startMs, endMs: Math.max(startMs, endMs) };
}

function findFollowerStarts({ tasks }: ExecutionTrace): Map<string, number> {
  const starts = new Map<string, number>();
  for (const { dependencies, attempts } of tasks) {
    const startMs = attempts[0]?.readyAtMs ?? attempts[0]?.startedAtMs ?? null;
    if (startMs === null) continue;
    for (const { taskId } of dependencies) starts.set(taskId, Math.min(starts.get(taskId) ?? startMs, startMs));
  }
  return starts;
}

function guessEnd(
  { taskId }: TaskTrace,
  startMs: number,
  runEndMs: number,
  startsAfter: ReadonlyMap<string, number>,
  { typicalMs }: RunKnowledge,
): number {
  const latestMs = Math.min(runEndMs, startsAfter.get(taskId) ?? runEndMs);
  const typical = typicalMs?.get(taskId);
  return Math.max(startMs, typical === undefined ? latestMs : Math.min(latestMs, startMs + typical));
}

const cut = (ms: number, { startMs, endMs }: Bounds): number => Math.min(Math.max(ms, startMs), endMs);

function placeTask(task: TaskTrace, attempts: PlacedAttempt[], bounds: Bounds, prefix: string): RunNode | null {
  const { mapIndex, loopIteration } = task;
  const about = { taskId: prefix + task.taskId, mapIndex, loopIteration, task };
  if (attempts.length > 0) {
    const kept = attempts.map((own) => ({ ...own, startMs: cut(own.startMs, bounds), endMs: cut(own.endMs, bounds) }));
    const endMs = kept.reduce((latest, own) => Math.max(latest, own.endMs), kept[0].endMs);
    return { ...about, kind: 'task', startMs: kept[0].startMs, endMs, attempts: kept };
  }
  const skippedAtMs = task.attempts.at(-1)?.endedAtMs ?? null;
  if (task.state !== 'skipped' || skippedAtMs === null) return null;
  const atMs = cut(skippedAtMs, bounds);
  return { ...about, kind: 'skipped', startMs: atMs, endMs: atMs, attempts: [] };
}

/** A task that started another workflow lasts as long as that one: what it ran stands in its place. */
function nestChildren(run: TimedRun, knowledge: RunKnowledge, prefix: string, depth: number): void {
  const own = run.nodes.length;
  for (let holder = 0; holder < own; holder++) {
    const node = run.nodes[holder];
    const child = knowledge.children?.get(node.task?.childExecutionId ?? '');
    if (child === undefined || node.kind !== 'task' || child.executionId === run.trace.executionId) continue;
    const bounds = { startMs: node.startMs, endMs: node.endMs };
    const name = `${prefix}${(node.task as TaskTrace).taskId}/`;
    const inner = timeNested(child, { ...knowledge, after: new Map() }, name, depth + 1, bounds);
    if (inner.nodes.length > 0) holdNodes(run, holder, inner.nodes, inner.before);
  }
}

/** Puts nodes inside one that is there: they begin after its start, and it ends after them. */
function holdNodes(run: TimedRun, holder: number, nodes: readonly RunNode[], before: readonly number[][]): void {
  const begin = run.nodes.length;
  const first = begin + 1;
  const node = run.nodes[holder];
  run.nodes.push({ ...node, kind: 'begin', endMs: node.startMs, attempts: [] }, ...nodes);
  run.before.push(run.before[holder]);
  const isFollowed = new Set(before.flat());
  before.forEach((tails) => {
    run.before.push(tails.length === 0 ? [begin] : tails.map((tail) => tail + first));
  });
  const leaves = nodes.flatMap((_, index) => (isFollowed.has(index) ? [] : [index + first]));
  run.nodes[holder] = { ...node, startMs: node.endMs };
  run.before[holder] = leaves;
}
