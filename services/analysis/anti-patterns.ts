import { type Basis, describeBasis, type Refusal, refuse, roundRatio } from './basis.ts';
import { weighBottlenecks } from './bottlenecks.ts';
import { buildDependencyGraph, type DependencyGraph } from './dependency-graph.ts';
import { findCommunities } from './graph-communities.ts';
import { findStarvation, starvationDefaults } from './resource-starvation.ts';
import { findRetryStorms, stormDefaults } from './retry-storms.ts';
import { quantileOf, rankCorrelationOf } from './robust-statistics.ts';
import { prepareReplays } from './task-gains.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** Habits that make workflows slow or fragile, each with what it was told by and what to do. */
export interface AntiPattern {
  type: 'god_workflow' | 'bottleneck_cascade' | 'retry_storm' | 'resource_starvation';
  severity: 'low' | 'medium' | 'high';
  description: string;
  recommendation: string;
  tasks?: string[];
  resources?: string[];
  evidence: Record<string, number | string>;
}

export interface AntiPatternReport {
  workflow_id: string;
  anti_patterns: AntiPattern[];
  thresholds: typeof antiPatternDefaults;
  basis: Basis;
}

export const antiPatternDefaults = {
  executionsLeast: 3,
  god: {
    /** Tasks, where the workflows of the tenant are not known to compare with. */
    tasksAbove: 50,
    /** Of the task counts of the tenant's workflows. */
    peerQuantile: 0.95,
    peersLeast: 10,
    communitiesLeast: 4,
    modularityLeast: 0.4,
    depthTimesWidthLeast: 200,
  },
  cascade: { bottlenecksLeast: 2, correlationLeast: 0.3 },
  storm: stormDefaults,
  starvation: starvationDefaults,
};

/** `peerTaskCounts` are the numbers of tasks of the tenant's other workflows. */
export function findAntiPatterns(
  workflow: WorkflowRuns,
  peerTaskCounts: readonly number[] = [],
): AntiPatternReport | Refusal {
  const { executions, runs } = workflow;
  const graph = buildDependencyGraph(workflow);
  if ('refused' in graph || runs.length < antiPatternDefaults.executionsLeast) {
    return refuse('a search for anti-patterns', antiPatternDefaults.executionsLeast, runs.length, executions);
  }
  const found = [
    findGodWorkflow(graph, peerTaskCounts),
    findCascade(workflow, graph),
    findRetryStorms(executions),
    findStarvation(runs),
  ];
  return {
    workflow_id: workflow.workflowId,
    anti_patterns: found.filter((pattern) => pattern !== null),
    thresholds: antiPatternDefaults,
    basis: describeBasis(executions),
  };
}

/** Large for its tenant, and made of parts that have little to do with each other or of more than one can follow. */
function findGodWorkflow(graph: DependencyGraph, peerTaskCounts: readonly number[]): AntiPattern | null {
  const { tasksAbove, peerQuantile, peersLeast, ...bounds } = antiPatternDefaults.god;
  const hasPeers = peerTaskCounts.length >= peersLeast;
  const limit = hasPeers ? quantileOf(peerTaskCounts, peerQuantile) : tasksAbove;
  if (graph.nodes.length <= limit) return null;
  const { communities, modularity } = findCommunities(graph);
  const isLoose = communities >= bounds.communitiesLeast && modularity >= bounds.modularityLeast;
  const size = graph.maxDepth * graph.maxWidth;
  if (!isLoose && size < bounds.depthTimesWidthLeast) return null;
  return {
    type: 'god_workflow',
    severity: graph.nodes.length > 2 * limit ? 'high' : 'medium',
    description: `${graph.nodes.length} tasks in one workflow, in ${communities} parts that are loosely connected`,
    recommendation: 'Split it along those parts into workflows that start each other.',
    evidence: {
      tasks: graph.nodes.length,
      tasks_limit: roundRatio(limit),
      limit_from: hasPeers ? 'other workflows' : 'default',
      communities,
      modularity: roundRatio(modularity),
      depth: graph.maxDepth,
      width: graph.maxWidth,
    },
  };
}

/** One bottleneck behind another, where the later one waits the longer the longer the earlier one takes. */
function findCascade(workflow: WorkflowRuns, graph: DependencyGraph): AntiPattern | null {
  const { found } = weighBottlenecks(workflow, null, prepareReplays(workflow));
  const names = found.map(({ task }) => task);
  for (const first of names) {
    const later = reachFrom(graph, first);
    for (const second of names) {
      if (!later.has(second)) continue;
      const pairs = workflow.tasks.flatMap((run) => {
        const [early, late] = [run.get(first), run.get(second)];
        return early && late && !early.isSkipped && !late.isSkipped
          ? [[early.spanMs, late.slotWaitMs + late.spanMs]]
          : [];
      });
      const correlation = rankCorrelationOf(
        pairs.map(([ms]) => ms),
        pairs.map(([, ms]) => ms),
      );
      if (correlation < antiPatternDefaults.cascade.correlationLeast) continue;
      const gains = found
        .filter(({ task }) => task === first || task === second)
        .map(({ impact }) => impact.gain_ratio);
      return {
        type: 'bottleneck_cascade',
        severity: 'high',
        description: `${second} comes after ${first} and is the slower the slower that is; both hold the workflow up`,
        recommendation: `Mend ${first} first, then measure ${second} again: part of its delay comes from there.`,
        tasks: [first, second],
        evidence: { correlation: roundRatio(correlation), gain_ratio_first: gains[0], gain_ratio_second: gains[1] },
      };
    }
  }
  return null;
}

function reachFrom({ edges }: DependencyGraph, first: string): Set<string> {
  const reached = new Set<string>();
  const open = [first];
  for (const task of open) {
    for (const { from, to } of edges) {
      if (from !== task || reached.has(to)) continue;
      reached.add(to);
      open.push(to);
    }
  }
  return reached;
}
