import type { Static } from 'typebox';
import { answers } from '../../../schemas/api/parts.ts';
import { PerformanceAnswer, PerformanceQuery, WorkflowPath } from '../../../schemas/api/workflow-analytics.ts';
import { compareCounts, compareMeans, compareShares } from '../../analysis/change.ts';
import { toInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange, periodBefore, planSteps, type Steps } from '../time-range.ts';
import {
  costOf,
  countOf,
  describeMethod,
  describeRange,
  failuresOf,
  meanOf,
  percentileOf,
  ratioOf,
  readRanges,
  sampleOf,
  takeOnlySource,
  type WindowRow,
} from '../windows.ts';

/** How a workflow performs: over a range, step by step, and beside the range before. */
export const workflowPerformance: Family = {
  prefix: '/api/v1/workflow-analytics',
  tag: 'workflow analytics',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/workflows/:workflow_id/performance',
      {
        schema: {
          summary: 'Performance of a workflow',
          description: 'Durations in milliseconds, rates from 0 to 1, over what finished in the range.',
          params: WorkflowPath,
          querystring: PerformanceQuery,
          response: answers(PerformanceAnswer),
        },
      },
      async ({ params: { workflow_id }, query, reader }) => {
        const range = parseRange(query, '7d', nowMs());
        const steps = planSteps(range, query.step);
        const wish = {
          steps,
          subject: 'executions',
          filters: { workflow_id, source: query.source },
          distributions: ['duration', 'queue'],
          groupBy: 'source',
          needs: ['cost'],
        } as const;
        const { groups, before: groupsBefore } = await readRanges(reader, wish, periodBefore(steps));
        const group = takeOnlySource(groups);
        if (group === null) {
          throw new ApiError('not_found', 'The workspace has no telemetry of this workflow in the range.');
        }
        const hours = (Math.min(range.toMs, steps.toMs) - steps.fromMs) / 3_600_000;
        return {
          workflowId: workflow_id,
          range: describeRange(steps),
          ...describeMetrics(group.whole, hours),
          percentiles: describeMethod(steps),
          trend: describeTrend(groupsBefore.get(group.key), group.whole),
          series: describeSeries(group.steps, steps),
        };
      },
    );
  },
};

type Answer = Static<typeof PerformanceAnswer>;

function describeMetrics(
  whole: WindowRow,
  hours: number,
): Pick<Answer, 'metrics' | 'executions' | 'queueTime' | 'reasons'> {
  const { started, finished, completed, failed, timeout, cancelled, partial, retries } = whole;
  return {
    metrics: {
      avgDuration: meanOf(whole, 'duration'),
      p50Duration: percentileOf(whole, 'duration', 50),
      p95Duration: percentileOf(whole, 'duration', 95),
      p99Duration: percentileOf(whole, 'duration', 99),
      successRate: ratioOf(completed, finished),
      avgCost: ratioOf(whole.cost_sum, whole.cost_n),
      resourceEfficiency: null,
      throughput: finished / hours,
    },
    executions: { started, finished, completed, failed, timeout, cancelled, partial, retries },
    queueTime: {
      avg: meanOf(whole, 'queue'),
      p50: percentileOf(whole, 'queue', 50),
      p95: percentileOf(whole, 'queue', 95),
      p99: percentileOf(whole, 'queue', 99),
    },
    reasons: explainNulls(whole),
  };
}

function explainNulls(whole: WindowRow): Record<string, string> {
  const reasons: Record<string, string> = {
    resourceEfficiency: 'rollups keep the CPU that was used, and not what was allocated to compare it with',
  };
  if (whole.finished === 0) reasons.successRate = 'nothing finished in the range';
  if (countOf(whole, 'duration') === 0) reasons.avgDuration = 'no finished execution in the range told when it started';
  if (countOf(whole, 'queue') === 0) reasons.queueTime = 'no source told how long executions were queued';
  if (whole.cost_n === 0) reasons.avgCost = 'no source reported a cost';
  return reasons;
}

function describeTrend(before: WindowRow | undefined, now: WindowRow): Answer['trend'] {
  const failures = (row: WindowRow | undefined) => ({ hits: failuresOf(row), of: row?.finished ?? 0 });
  return {
    avgDuration: compareMeans(sampleOf(before, 'duration'), sampleOf(now, 'duration'), 'less'),
    failureRate: compareShares(failures(before), failures(now), 'less'),
    throughput: compareCounts(before?.finished ?? 0, now.finished, 'neither'),
  };
}

function describeSeries(rows: readonly (WindowRow | undefined)[], { startsMs }: Steps): Answer['series'] {
  return startsMs.map((ms, at) => {
    const row = rows[at];
    return {
      time: toInstant(ms),
      executions: row?.finished ?? null,
      successRate: row === undefined ? null : ratioOf(row.completed, row.finished),
      avgDuration: meanOf(row, 'duration'),
      p50Duration: percentileOf(row, 'duration', 50),
      p95Duration: percentileOf(row, 'duration', 95),
      p99Duration: percentileOf(row, 'duration', 99),
      cost: costOf(row),
    };
  });
}
