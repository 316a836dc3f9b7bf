import { buildDigraph, type Digraph, followersOf, reduceTransitively, sortTopologically } from './digraph.ts';
import type { ExecutionTrace } from './execution-trace.ts';
import type { LearnedEdge } from './learned-edges.ts';
import { timeRun } from './timed-run.ts';

/**
 * Dependencies that nobody told, from the times of many executions: b waits for a where b never begins before a is
 * over, and where at least now and then a was the last that ended before b was ready. What is only ever earlier by
 * chance, such as a short task beside a long chain, does not pass the second test.
 * @public
 */
export const inferenceDefaults = {
  /** Larger workflows than this are not compared pair by pair. */
  tasksMost: 400,
  /** Of the executions with both, in which one ended before the other began. */
  orderRatioLeast: 0.92,
  /** Of the executions with both, in which one was what the other waited for last. */
  lastRatioLeast: 0.03,
  /** The same order as above, for what was never waited for last: there the order is all that there is. */
  looseOrderRatioLeast: 0.99,
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
  /** Its end was never told: it says what it waited for, but not what waited for it. */
  isEndless: boolean;
}

export function inferEdges(executions: readonly ExecutionTrace[]): LearnedEdge[] {
  const spans = executions.map(findSpans);
  const names = [...new Set(spans.flatMap((own) => [...own.keys()]))];
  if (names.length < 2 || names.length > inferenceDefaults.tasksMost) return [];
  const counts = countOrders(spans, names);
  const always = findAlways(counts, names.length);
  const direct = always.filter(([tail, head]) => isEnabling(counts, tail, head, names.length));
  const strict = always.filter(([tail, head]) => isStrict(counts, tail, head, names.length));
  const closed = attachLoose(direct, always, strict, names.length);
  return reduceTransitively(buildDigraph(names.length, closed)).map(([tail, head]) => {
    const pair = tail * names.length + head;
    const support = counts.ordered[pair] / Math.max(1, counts.together[pair]);
    return {
      from: names[tail],
      to: names[head],
      type: 'temporal',
      optional: false,
      condition: '',
      support,
      inferred: true,
    };
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
    const isEndless = attempts.some(({ attempt }) => attempt.endedAtMs === null);
    const known = spans.get(taskId);
    if (known === undefined) {
      spans.set(taskId, { readyMs, startMs, endMs, firstEndMs, isRepeated, isEndless });
      continue;
    }
    known.isEndless ||= isEndless;
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
        if (tail === head || tail.isEndless) continue;
        counts.together[tail.place * size + head.place]++;
        const endMs = endFor(tail, head);
        if (endMs > head.readyMs + toleranceMs || tail.startMs > head.startMs) continue;
        counts.ordered[tail.place * size + head.place]++;
        latestMs = Math.max(latestMs, endMs);
      }
      for (const tail of own) {
        const endMs = endFor(tail, head);
        const isLast = endMs >= latestMs - toleranceMs && endMs <= head.readyMs + toleranceMs;
        if (tail !== head && !tail.isEndless && isLast && tail.startMs <= head.startMs)
          counts.last[tail.place * size + head.place]++;
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

const isStrict = ({ together, ordered }: OrderCounts, tail: number, head: number, size: number): boolean =>
  ordered[tail * size + head] >= inferenceDefaults.looseOrderRatioLeast * together[tail * size + head];

/**
 * A branch that is always the shorter one is never what its join waited for last, and seems to lead nowhere. It is
 * joined where its sisters come together, or else where everything that follows it begins.
 */
function attachLoose(
  direct: readonly [number, number][],
  always: readonly [number, number][],
  strict: readonly [number, number][],
  size: number,
): [number, number][] {
  const graph = buildDigraph(size, direct);
  const later = buildDigraph(size, always);
  const surelyLater = buildDigraph(size, strict);
  const followers = (node: number) => followersOf(later, node).length;
  const reach = findReach(graph);
  const isLater = (tail: number, head: number) => followersOf(later, tail).includes(head);
  const edges = [...direct];
  for (let node = 0; node < size; node++) {
    if (followersOf(graph, node).length > 0 || followers(node) === 0) continue;
    const parents = direct.filter(([, head]) => head === node).map(([tail]) => tail);
    const sisters = direct.filter(([tail, head]) => parents.includes(tail) && head !== node).map(([, head]) => head);
    // Sisters that lead nowhere themselves do not say where they come together.
    const leading = sisters.filter((sister) => followersOf(graph, sister).length > 0);
    const isReached = (head: number) => leading.every((sister) => sister === head || reach[sister].has(head));
    const isAfterAll = (head: number) => sisters.every((sister) => sister === head || isLater(sister, head));
    const candidates = [...followersOf(surelyLater, node)].filter(isAfterAll);
    candidates.sort((left, right) => followers(right) - followers(left));
    const nearest = candidates.find(isReached) ?? candidates[0];
    if (nearest !== undefined) edges.push([node, nearest]);
  }
  return edges;
}

/** Everything that each node leads to. */
function findReach(graph: Digraph): Set<number>[] {
  const reach = Array.from({ length: graph.size }, () => new Set<number>());
  for (const node of [...sortTopologically(graph)].reverse()) {
    for (const head of followersOf(graph, node)) {
      reach[node].add(head);
      for (const further of reach[head]) reach[node].add(further);
    }
  }
  return reach;
}
