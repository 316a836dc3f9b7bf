import { describe, expect, it } from 'vitest';
import {
  buildDigraph,
  findCycles,
  findDepths,
  reduceTransitively,
  sortTopologically,
} from '../../../services/analysis/digraph.ts';
import { createRandom } from '../../../services/simulator/random.ts';

type Edge = [number, number];

/** What each node leads to, found by walking until nothing new comes. */
function reachByForce(size: number, edges: readonly Edge[]): boolean[][] {
  const reach = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  for (const [tail, head] of edges) reach[tail][head] = true;
  for (let via = 0; via < size; via++) {
    for (let tail = 0; tail < size; tail++) {
      for (let head = 0; head < size; head++) reach[tail][head] ||= reach[tail][via] && reach[via][head];
    }
  }
  return reach;
}

const draw = (seed: number, isAcyclic: boolean): { size: number; edges: Edge[] } => {
  const random = createRandom(seed);
  const size = 2 + random.below(9);
  const edges: Edge[] = [];
  for (let count = random.below(2 * size); count > 0; count--) {
    const [left, right] = [random.below(size), random.below(size)];
    if (!isAcyclic) edges.push([left, right]);
    else if (left !== right) edges.push([Math.min(left, right), Math.max(left, right)]);
  }
  return { size, edges };
};

const seeds = Array.from({ length: 300 }, (_, index) => index + 1);

describe('graphs', () => {
  it('have as cycles the nodes that lead to each other', () => {
    for (const seed of seeds) {
      const { size, edges } = draw(seed, false);
      const reach = reachByForce(size, edges);
      const expected = [...Array(size).keys()]
        .map((node) => [...Array(size).keys()].filter((other) => reach[node][other] && reach[other][node]))
        .filter((members, node) => members.length > 0 && members[0] === node);
      const found = findCycles(buildDigraph(size, edges)).sort((left, right) => left[0] - right[0]);
      expect(found, `seed ${seed}`).toEqual(expected);
    }
  });

  it('lead to the same nodes without superfluous edges, and every edge left is needed', () => {
    for (const seed of seeds) {
      const { size, edges } = draw(seed, true);
      const kept = reduceTransitively(buildDigraph(size, edges));
      expect(reachByForce(size, kept), `seed ${seed}`).toEqual(reachByForce(size, edges));
      kept.forEach((edge) => {
        const others = kept.filter((other) => other !== edge);
        expect(reachByForce(size, others)[edge[0]][edge[1]], `seed ${seed}`).toBe(false);
      });
    }
  });

  it('are sorted so that every node comes after those that lead to it', () => {
    for (const seed of seeds) {
      const { size, edges } = draw(seed, true);
      const order = [...sortTopologically(buildDigraph(size, edges))];
      expect(order).toHaveLength(size);
      for (const [tail, head] of edges) expect(order.indexOf(tail), `seed ${seed}`).toBeLessThan(order.indexOf(head));
    }
  });

  it('may be a chain of a hundred thousand, with a circle at its end', () => {
    const size = 100_000;
    const edges: Edge[] = Array.from({ length: size - 1 }, (_, node) => [node, node + 1]);
    expect(findDepths(buildDigraph(size, edges))[size - 1]).toBe(size - 1);
    edges.push([size - 1, size - 3]);
    expect(findCycles(buildDigraph(size, edges))).toEqual([[size - 3, size - 2, size - 1]]);
  });
});
