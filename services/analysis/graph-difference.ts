import { roundRatio } from './basis.ts';
import type { DependencyGraph, GraphEdge } from './dependency-graph.ts';

/** What changed between two versions of a workflow. */
export interface GraphDifference {
  workflowId: string;
  from: string;
  to: string;
  nodesAdded: string[];
  nodesRemoved: string[];
  edgesAdded: { from: string; to: string }[];
  edgesRemoved: { from: string; to: string }[];
  /** Tasks that take notably longer or shorter; the ratio is after by before. */
  durationsChanged: { id: string; beforeMs: number; afterMs: number; ratio: number }[];
  criticalPathMsBefore: number;
  criticalPathMsAfter: number;
  /** Inferred edges may differ by chance. */
  certain: boolean;
}

/** @public */
export const differenceDefaults = { durationRatioLeast: 1.25 };

export function compareGraphs(before: DependencyGraph, after: DependencyGraph): GraphDifference {
  const [oldNodes, newNodes] = [before, after].map(({ nodes }) => new Map(nodes.map((node) => [node.id, node])));
  const [oldEdges, newEdges] = [before, after].map(({ edges }) => new Set(edges.map(keyOf)));
  const durationsChanged = [...newNodes.values()]
    .map(({ id, medianDuration: afterMs }) => ({ id, beforeMs: oldNodes.get(id)?.medianDuration ?? 0, afterMs }))
    .filter(({ beforeMs, afterMs }) => beforeMs > 0 && afterMs > 0)
    .map((change) => ({ ...change, ratio: roundRatio(change.afterMs / change.beforeMs) }))
    .filter(({ ratio }) => Math.max(ratio, 1 / ratio) >= differenceDefaults.durationRatioLeast);
  return {
    workflowId: after.workflowId,
    from: before.version,
    to: after.version,
    nodesAdded: [...newNodes.keys()].filter((id) => !oldNodes.has(id)),
    nodesRemoved: [...oldNodes.keys()].filter((id) => !newNodes.has(id)),
    edgesAdded: after.edges.filter((edge) => !oldEdges.has(keyOf(edge))).map(endsOf),
    edgesRemoved: before.edges.filter((edge) => !newEdges.has(keyOf(edge))).map(endsOf),
    durationsChanged,
    criticalPathMsBefore: before.criticalPathMs,
    criticalPathMsAfter: after.criticalPathMs,
    certain: !before.inferred && !after.inferred,
  };
}

const keyOf = ({ from, to }: GraphEdge): string => `${from}\0${to}`;
const endsOf = ({ from, to }: GraphEdge): { from: string; to: string } => ({ from, to });
