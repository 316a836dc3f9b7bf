import { reduceTransitively, buildDigraph, followersOf } from './digraph.ts';
import type { ExecutionTrace } from './execution-trace.ts';
import type { LearnedEdge } from './learned-edges.ts';
import { timeRun } from './timed-run.ts';

/**
 * Dependencies that nobody told, from the times of many executions: b waits for a where b never begins before a is
 * over, and where at least now and then a was the last that ended before b was ready. What is only ever earlier by
 * chance, such as a short task beside a long chain, does not pass the second test.
 */
export const inferenceDefaults = {
  /** Larger workflows than this are not compared pair by pair. */
  tasksMost: 400,
  /** Of the executions with both, in which one ended before the other began. */
  orderRatioLeast: 0.97,
  /** Of the executions with both, in which one was what the other waited for last. */
  lastRatioLeast: 0.03,
  /** Clocks and rounding. */
  toleranceMs: 20,
};

/** When each task of an execution was ready, began and was over, all instances together. */
interface Span {
  readyMs: number;
  startMs: number;
  endMs: number;
  /** End of the first iteration, for what is repeated; else that of the task. */
  firstEndMs: number;
  isRepeated: boolean;
}

export function inferEdges(executions: readonly ExecutionTrace[]): LearnedEdge[] {
  const spans = executions.map(findSpans);
  const names = [...new Set(spans.flatMap((own) => [...own.keys()]))];
  if (names.length < 2 || names.length > inferenceDefaults.tasksMost) return [];
  const counts = countOrders(spans, names);
  const always = findAlways(counts, names.length);
  const direct = always.filter(([tail, head]) => isEnabling(counts, tail, head, names.length));
  const closed = attachLoose(direct, always, names.length);
  return reduceTransitively(buildDigraph(names.length, closed)).map(([tail, head]) => {
    const pair = tail * names.length + head;
    const support = counts.ordered[pair] / Math.max(1, counts.together[pair]);
    return { from: names[tail], to: names[head], type: 'temporal', optional: false, condition: '', support, inferred: true };
  });
}

function findSpans(execution: ExecutionTrace): Map<string, Span> {
  const spans = new Map<string, Span>();
  for (const node of timeRun(execution).nodes) {
    if (node.kind !== 'task') continue;
    const { taskId, startMs, endMs, attempts } = node;
    const { readyAtMs, queuedAtMs } = attempts[0].attempt;
    const readyMs = Math.min(startMs, readyAtMs ?? queuedAtMs ?? startMs);
    const completed = attempts.filter(({ attempt }) => attempt.state === 'completed');
    const isRepeated = node.loopIteration !== null || completed.length > 1;
    const firstEndMs = completed.length > 1 ? completed[0].endMs : endMs;
    const known = spans.get(taskId);
    if (known === undefined) {
      spans.set(taskId, { readyMs, startMs, endMs, firstEndMs, isRepeated });
      continue;
    }
    if (node.loopIteration !== null && startMs < known.startMs) known.firstEndMs = firstEndMs;
    if (node.loopIteration === null) known.firstEndMs = Math.max(known.firstEndMs, firstEndMs);
    known.readyMs = Math.min(known.readyMs, readyMs);
    known.startMs = Math.min(known.startMs, startMs);
    known.endMs = Math.max(known.endMs, endMs);
  }
  return spans;
}

/** Within a loop the first iteration says what follows what; whatever comes after a loop waits for its last. */
const endFor = (tail: Span, head: Span): number =>
  tail.isRepeated && head.isRepeated && head.readyMs < tail.endMs ? tail.firstEndMs : tail.endMs;

interface OrderCounts {
  together: Int32Array;
  /** The row's task was over when the column's was ready. */
  ordered: Int32Array;
  /** And nothing else ended in between. */
  last: Int32Array;
}

function countOrders(runs: readonly ReadonlyMap<string, Span>[], names: readonly string[]): OrderCounts {
  const size = names.length;
  const counts = { together: cells(size), ordered: cells(size), last: cells(size) };
  const places = new Map(names.map((name, place) => [name, place]));
  const { toleranceMs } = inferenceDefaults;
  for (const run of runs) {
    const own = [...run].map(([name, span]) => ({ place: places.get(name) as number, ...span }));
    for (const head of own) {
      let latestMs = Number.NEGATIVE_INFINITY;
      for (const tail of own) {
        if (tail === head) continue;
        counts.together[tail.place * size + head.place]++;
        const endMs = endFor(tail, head);
        if (endMs > head.readyMs + toleranceMs || tail.startMs > head.startMs) continue;
        counts.ordered[tail.place * size + head.place]++;
        latestMs = Math.max(latestMs, endMs);
      }
      for (const tail of own) {
        const endMs = endFor(tail, head);
        const isLast = endMs >= latestMs - toleranceMs && endMs <= head.readyMs + toleranceMs;
        if (tail !== head && isLast && tail.startMs <= head.startMs) counts.last[tail.place * size + head.place]++;
      }
    }
  }
  return counts;
}

const cells = (size: number): Int32Array => new Int32Array(size * size);

function findAlways({ together, ordered }: OrderCounts, size: number): [number, number][] {
  const always: [number, number][] = [];
  for (let tail = 0; tail < size; tail++) {
    for (let head = 0; head < size; head++) {
      const pair = tail * size + head;
      if (together[pair] === 0 || ordered[pair] < inferenceDefaults.orderRatioLeast * together[pair]) continue;
      // Of two that take no time at one instant, the first stays first.
      const back = head * size + tail;
      if (ordered[back] > ordered[pair] || (ordered[back] === ordered[pair] && head < tail)) continue;
      always.push([tail, head]);
    }
  }
  return always;
}

function isEnabling({ together, last }: OrderCounts, tail: number, head: number, size: number): boolean {
  const pair = tail * size + head;
  return last[pair] >= Math.max(1, inferenceDefaults.lastRatioLeast * together[pair]);
}

/**
 * A branch that is always the shorter one is never what its join waited for last, and seems to lead nowhere. It is
 * joined where its sisters come together, or else where everything that follows it begins.
 */
function attachLoose(
  direct: readonly [number, number][],
  always: readonly [number, number][],
  size: number,
): [number, number][] {
  const graph = buildDigraph(size, direct);
  const later = buildDigraph(size, always);
  const joins = new Int32Array(size);
  for (const [, head] of direct) joins[head]++;
  const followers = (node: number) => followersOf(later, node).length;
  const edges = [...direct];
  for (let node = 0; node < size; node++) {
    if (followersOf(graph, node).length > 0 || followers(node) === 0) continue;
    const candidates = [...followersOf(later, node)].filter((head) => isAfterSisters(node, head, direct, later));
    const nearest = candidates.sort((left, right) => followers(right) - followers(left))[0];
    if (nearest !== undefined) edges.push([node, nearest]);
  }
  return edges;
}

/** Every other follower of what the node itself follows comes before the join, or is it. */
function isAfterSisters(
  node: number,
  join: number,
  direct: readonly [number, number][],
  later: ReturnType<typeof buildDigraph>,
): boolean {
  const parents = direct.filter(([, head]) => head === node).map(([tail]) => tail);
  const sisters = direct.filter(([tail, head]) => parents.includes(tail) && head !== node).map(([, head]) => head);
  return sisters.every((sister) => sister === join || followersOf(later, sister).includes(join));
}
