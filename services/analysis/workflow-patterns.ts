import { type Basis, describeBasis, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { type FailurePattern, findFailurePatterns } from './failure-patterns.ts';
import { describePattern, type WorkflowPattern } from './pattern-statistics.ts';
import { findPerformanceTrend, type PerformanceTrend } from './performance-trend.ts';
import { findResourcePatterns, type ResourcePattern } from './resource-patterns.ts';
import { countBy, groupBy, meanOf, medianOf } from './robust-statistics.ts';
import { findStructuralPatterns } from './structural-patterns.ts';
import { findTemporalPatterns, type TemporalPattern } from './temporal-patterns.ts';
import type { TimedRun } from './timed-run.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** Everything regular about the executions of one workflow. */
export interface WorkflowPatterns {
  workflow_id: string;
  patterns: WorkflowPattern[];
  temporal_patterns: TemporalPattern[];
  failure_patterns: FailurePattern[];
  resource_patterns: ResourcePattern[];
  dependency_patterns: DependencyPattern[];
  performance_trends: PerformanceTrend;
  variants: Variant[];
  basis: Basis;
}

/** Where branches come together: which of them the join waits for last, and for how long after the others. */
export interface DependencyPattern {
  task: string;
  waits_for: string;
  /** Share of the executions in which that one ended last. */
  share: number;
  /** Mean time between its end and that of the one before. */
  straggling_ms: number;
}

/** One way through the workflow: the tasks that ran. */
export interface Variant {
  tasks: string[];
  executions: number;
  share: number;
  median_duration_ms: number;
  success_rate: number;
}

/** @public */
export const patternDefaults = { executionsLeast: 3, variantsMost: 20, lastShareLeast: 0.5 };

export function findWorkflowPatterns(workflow: WorkflowRuns): WorkflowPatterns | Refusal {
  const { executions, runs } = workflow;
  if (runs.length < patternDefaults.executionsLeast) {
    return refuse('a search for patterns', patternDefaults.executionsLeast, runs.length, executions);
  }
  const durations = runs.map(({ startMs, endMs }) => ({ startMs, durationMs: endMs - startMs }));
  return {
    workflow_id: workflow.workflowId,
    patterns: findStructuralPatterns(workflow).map((pattern) => describePattern(workflow, pattern)),
    temporal_patterns: findTemporalPatterns(durations.map(({ startMs }) => startMs)),
    failure_patterns: findFailurePatterns(executions),
    resource_patterns: findResourcePatterns(executions),
    dependency_patterns: findDependencyPatterns(runs),
    performance_trends: findPerformanceTrend(durations),
    variants: findVariants(workflow),
    basis: describeBasis(executions),
  };
}

function findVariants({ runs, tasks }: WorkflowRuns): Variant[] {
  const keys = tasks.map((run) => {
    const ran = [...run.values()].filter(({ isSkipped }) => !isSkipped).map(({ taskId }) => taskId);
    return ran.sort().join('\0');
  });
  const byKey = groupBy(runs.keys(), (run) => keys[run]);
  return countBy(keys)
    .slice(0, patternDefaults.variantsMost)
    .map(({ key, count }) => {
      const own = (byKey.get(key) ?? []).map((run) => runs[run]);
      const completed = own.filter(({ trace }) => trace.state === 'completed').length;
      return {
        tasks: key.split('\0'),
        executions: count,
        share: roundRatio(count / runs.length),
        median_duration_ms: roundMs(medianOf(own.map(({ startMs, endMs }) => endMs - startMs))),
        success_rate: roundRatio(completed / count),
      };
    });
}

function findDependencyPatterns(runs: readonly TimedRun[]): DependencyPattern[] {
  const joins = runs.flatMap(listJoins);
  return [...groupBy(joins, ({ task }) => task)].flatMap(([task, own]) => {
    const [usual] = countBy(own.map(({ last }) => last));
    const share = usual.count / own.length;
    if (share < patternDefaults.lastShareLeast) return [];
    const gaps = own.filter(({ last }) => last === usual.key).map(({ gapMs }) => gapMs);
    return [{ task, waits_for: usual.key, share: roundRatio(share), straggling_ms: roundMs(meanOf(gaps)) }];
  });
}

function listJoins({ nodes, before }: TimedRun): { task: string; last: string; gapMs: number }[] {
  return nodes.flatMap((node, index) => {
    const tails = before[index].map((tail) => nodes[tail]).filter(({ kind }) => kind !== 'skipped' && kind !== 'begin');
    if (node.kind !== 'task' || tails.length < 2) return [];
    tails.sort((left, right) => right.endMs - left.endMs);
    return [{ task: node.taskId, last: tails[0].taskId, gapMs: tails[0].endMs - tails[1].endMs }];
  });
}
