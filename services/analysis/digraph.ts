/**
 * Directed graphs over the numbers 0 to n - 1, as flat arrays: a graph of a hundred thousand tasks is walked in
 * milliseconds, and no walk recurses, so that no chain is too long for the stack.
 */
export interface Digraph {
  size: number;
  /** Followers of node i: `to[from[i]] … to[from[i + 1] - 1]`. */
  from: Int32Array;
  to: Int32Array;
}

export function buildDigraph(size: number, edges: readonly (readonly [number, number])[]): Digraph {
  const from = new Int32Array(size + 1);
  for (const [tail] of edges) from[tail + 1]++;
  for (let node = 0; node < size; node++) from[node + 1] += from[node];
  const next = from.slice();
  const to = new Int32Array(edges.length);
  for (const [tail, head] of edges) to[next[tail]++] = head;
  return { size, from, to };
}

/** The same graph from what comes before each node. */
export function buildFromBefore(before: readonly (readonly number[])[]): Digraph {
  const size = before.length;
  const from = new Int32Array(size + 1);
  let edges = 0;
  for (const tails of before) {
    edges += tails.length;
    for (const tail of tails) from[tail + 1]++;
  }
  for (let node = 0; node < size; node++) from[node + 1] += from[node];
  const next = from.slice();
  const to = new Int32Array(edges);
  before.forEach((tails, head) => {
    for (const tail of tails) to[next[tail]++] = head;
  });
  return { size, from, to };
}

export function followersOf({ from, to }: Digraph, node: number): Int32Array {
  return to.subarray(from[node], from[node + 1]);
}

export function reverseDigraph({ size, from, to }: Digraph): Digraph {
  const edges: [number, number][] = [];
  for (let node = 0; node < size; node++) {
    for (let edge = from[node]; edge < from[node + 1]; edge++) edges.push([to[edge], node]);
  }
  return buildDigraph(size, edges);
}

/** Every node after those that lead to it (Kahn); nodes on a cycle or behind one are missing. */
export function sortTopologically({ size, from, to }: Digraph): Int32Array {
  const waiting = new Int32Array(size);
  for (const head of to) waiting[head]++;
  const order = new Int32Array(size);
  let count = 0;
  for (let node = 0; node < size; node++) if (waiting[node] === 0) order[count++] = node;
  for (let place = 0; place < count; place++) {
    const node = order[place];
    for (let edge = from[node]; edge < from[node + 1]; edge++) if (--waiting[to[edge]] === 0) order[count++] = to[edge];
  }
  return order.subarray(0, count);
}

/**
 * Sets of nodes that lead to each other, single nodes only where they lead to themselves (Tarjan, without recursion:
 * the one of graphology recurses and overflows on long chains).
 */
export function findCycles({ size, from, to }: Digraph): number[][] {
  const seen = new Int32Array(size).fill(-1);
  const low = new Int32Array(size);
  const isOpen = new Uint8Array(size);
  const edgeOf = from.slice(0, size);
  const open: number[] = [];
  const cycles: number[][] = [];
  let counter = 0;
  for (let root = 0; root < size; root++) {
    if (seen[root] >= 0) continue;
    const path = [root];
    while (path.length > 0) {
      const node = path[path.length - 1];
      if (seen[node] < 0) {
        seen[node] = low[node] = counter++;
        open.push(node);
        isOpen[node] = 1;
      }
      if (edgeOf[node] < from[node + 1]) {
        const head = to[edgeOf[node]++];
        if (seen[head] < 0) path.push(head);
        else if (isOpen[head] === 1) low[node] = Math.min(low[node], seen[head]);
        continue;
      }
      path.pop();
      const parent = path[path.length - 1];
      if (parent !== undefined) low[parent] = Math.min(low[parent], low[node]);
      if (low[node] !== seen[node]) continue;
      const members: number[] = [];
      for (let member = -1; member !== node; ) {
        member = open.pop() as number;
        isOpen[member] = 0;
        members.push(member);
      }
      const isSelfLoop = members.length === 1 && followersOf({ size, from, to }, node).includes(node);
      if (members.length > 1 || isSelfLoop) cycles.push(members.sort((left, right) => left - right));
    }
  }
  return cycles;
}

/** The longest number of edges that leads to each node; the graph must have no cycles. */
export function findDepths(graph: Digraph): Int32Array {
  const { from, to } = graph;
  const depths = new Int32Array(graph.size);
  for (const node of sortTopologically(graph)) {
    for (let edge = from[node]; edge < from[node + 1]; edge++) {
      depths[to[edge]] = Math.max(depths[to[edge]], depths[node] + 1);
    }
  }
  return depths;
}

/** Bounds the work of a reduction, which grows with nodes times edges. */
const reducedNodesMost = 3000;

/**
 * Without the edges that a longer way makes superfluous. Larger graphs stay as they are: what is superfluous in them
 * costs nothing but beauty. The graph must have no cycles.
 */
export function reduceTransitively(graph: Digraph): [number, number][] {
  const { size } = graph;
  const kept: [number, number][] = [];
  const words = (size + 31) >> 5;
  const isReduced = size <= reducedNodesMost;
  const reach = isReduced ? Array.from({ length: size }, () => new Uint32Array(words)) : [];
  const order = sortTopologically(graph);
  const place = new Int32Array(size);
  for (let index = 0; index < order.length; index++) place[order[index]] = index;
  for (let index = order.length - 1; index >= 0; index--) {
    const node = order[index];
    // The nearest followers first: whatever they reach needs no edge of its own.
    const heads = [...new Set(followersOf(graph, node))].sort((left, right) => place[left] - place[right]);
    for (const head of heads) {
      if (!isReduced) kept.push([node, head]);
      else if ((reach[node][head >> 5] & (1 << (head & 31))) === 0) {
        kept.push([node, head]);
        const own = reach[node];
        const theirs = reach[head];
        for (let word = 0; word < words; word++) own[word] |= theirs[word];
        own[head >> 5] |= 1 << (head & 31);
      }
    }
  }
  return kept;
}
