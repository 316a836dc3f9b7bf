import { UndirectedGraph } from 'graphology';
import louvainModule from 'graphology-communities-louvain';
import type { DependencyGraph } from './dependency-graph.ts';

// The package is CommonJS whose export is the function, while its types describe an ES module with a default.
const louvain = louvainModule as unknown as typeof louvainModule.default;

/** Parts of a workflow that are tied among themselves more than to each other (Louvain), always the same ones. */
export function findCommunities({ nodes, edges }: DependencyGraph): { communities: number; modularity: number } {
  const graph = new UndirectedGraph();
  for (const { id } of nodes) graph.addNode(id);
  for (const { from, to } of edges) {
    if (from !== to && graph.hasNode(from) && graph.hasNode(to)) graph.mergeUndirectedEdge(from, to);
  }
  if (graph.size === 0) return { communities: nodes.length, modularity: 0 };
  // Without a walk in random order the result depends on the graph alone.
  const { count, modularity } = louvain.detailed(graph, { randomWalk: false, rng: () => 0.5 });
  return { communities: count, modularity: Number.isFinite(modularity) ? modularity : 0 };
}
