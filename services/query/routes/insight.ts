import type { Static } from 'typebox';
import type { DistributionName } from '../../../clickhouse/queries/windows.ts';
import {
  CostAnswer,
  InsightPerformanceAnswer,
  InsightQuery,
  InsightTrendsAnswer,
  MonitoringAnswer,
  StatsAnswer,
} from '../../../schemas/api/insight.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { compareMeans, compareShares } from '../../analysis/change.ts';
import { explainIf, toInstant } from '../answer-values.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange, periodBefore, planSteps, type Steps, wholeRange } from '../time-range.ts';
import {
  costOf,
  countOf,
  describeMethod,
  describeRange,
  extremesOf,
  failuresOf,
  meanOf,
  percentileOf,
  ratioOf,
  readLargest,
  readRanges,
  readWindows,
  sampleOf,
  type WindowGroup,
  type WindowRow,
} from '../windows.ts';

/** Statistics over all workflows of a workspace, or one of them. */
export const insight: Family = {
  prefix: '/api/v1/workflows',
  tag: 'execution insight',
  register(app: App, services: Services): void {
    registerStats(app, services);
    registerPerformance(app, services);
    registerTrends(app, services);
    registerCost(app, services);
    registerMonitoring(app, services);
  },
};

/** Enough to see what matters; a group of its own for each workflow is asked for at /api/v1/trends. */
const mostListed = 50;

function registerStats(app: App, { nowMs }: Services): void {
  const schema = { summary: 'Counts and rates', querystring: InsightQuery, response: answers(StatsAnswer) };
  app.get('/analytics/stats', { schema }, async ({ query: { workflow_id, ...range }, reader }) => {
    const steps = wholeRange(parseRange(range, '7d', nowMs()));
    const filters = { workflow_id };
    const wish = { subject: 'executions', steps, filters, groupBy: 'workflow_id' } as const;
    const { groups, all } = await readLargest(reader, wish, 'ends');
    const whole = all?.whole;
    const finished = whole?.finished ?? 0;
    return {
      range: describeRange(steps),
      total_executions: finished,
      started_executions: whole?.started ?? 0,
      successful_executions: whole?.completed ?? 0,
      failed_executions: failuresOf(whole),
      cancelled_executions: whole?.cancelled ?? 0,
      partial_executions: whole?.partial ?? 0,
      success_rate: ratioOf(whole?.completed ?? 0, finished),
      failure_rate: ratioOf(failuresOf(whole), finished),
      average_duration_ms: meanOf(whole, 'duration'),
      retries: whole?.retries ?? 0,
      workflows: groups
        .toSorted((one, other) => other.whole.finished - one.whole.finished)
        .slice(0, mostListed)
        .map(({ key, whole: own }) => ({
          workflow_id: key,
          total_executions: own.finished,
          success_rate: ratioOf(own.completed, own.finished),
          average_duration_ms: meanOf(own, 'duration'),
          p95_duration_ms: percentileOf(own, 'duration', 95),
        })),
    };
  });
}

function describeSpread(row: WindowRow | undefined, name: DistributionName) {
  const { min, max } = extremesOf(row, name);
  return {
    count: countOf(row, name),
    mean_ms: meanOf(row, name),
    min_ms: min,
    max_ms: max,
    p50_ms: percentileOf(row, name, 50),
    p90_ms: percentileOf(row, name, 90),
    p95_ms: percentileOf(row, name, 95),
    p99_ms: percentileOf(row, name, 99),
  };
}

function registerPerformance(app: App, { nowMs }: Services): void {
  const response = answers(InsightPerformanceAnswer);
  const schema = { summary: 'How long executions and tasks take', querystring: InsightQuery, response };
  app.get('/analytics/performance', { schema }, async ({ query: { workflow_id, ...range }, reader }) => {
    const steps = wholeRange(parseRange(range, '7d', nowMs()));
    const filters = { workflow_id };
    const needs = ['extremes'] as const;
    const [[executions], tasks] = await Promise.all([
      readWindows(reader, {
        subject: 'executions',
        steps,
        filters,
        distributions: ['duration', 'completed_duration', 'queue'],
        needs,
      }),
      readLargest(reader, { subject: 'tasks', steps, filters, groupBy: 'task_id', needs }, 'ends'),
    ]);
    const slowness = ({ whole }: WindowGroup) => percentileOf(whole, 'duration', 95) ?? 0;
    return {
      range: describeRange(steps),
      percentiles: describeMethod(steps),
      duration: describeSpread(executions?.whole, 'duration'),
      completed_duration: describeSpread(executions?.whole, 'completed_duration'),
      queue: describeSpread(executions?.whole, 'queue'),
      tasks: describeSpread(tasks.all?.whole, 'duration'),
      slowest_tasks: tasks.groups
        .toSorted((one, other) => slowness(other) - slowness(one))
        .slice(0, 10)
        .map(({ key, whole }) => ({
          task_id: key,
          count: whole.finished,
          p95_ms: percentileOf(whole, 'duration', 95),
          failure_rate: ratioOf(failuresOf(whole), whole.finished),
        })),
    };
  });
}

/** The day of a step in the zone of the question, whose days may begin at any hour of UTC. */
const dayOf = (ms: number, timeZone: string): string => new Intl.DateTimeFormat('en-CA', { timeZone }).format(ms);

function registerTrends(app: App, { nowMs }: Services): void {
  const schema = { summary: 'Day by day', querystring: InsightQuery, response: answers(InsightTrendsAnswer) };
  app.get('/analytics/trends', { schema }, async ({ query: { workflow_id, ...query }, reader }) => {
    const range = parseRange(query, '30d', nowMs());
    const steps = planSteps(range, '1d');
    const wish = { subject: 'executions', filters: { workflow_id } } as const;
    const compared = { ...wish, steps, needs: ['cost'] } as const;
    const { groups, before: groupsBefore } = await readRanges(reader, compared, periodBefore(steps));
    const [group, before] = [groups[0], groupsBefore.get('')];
    const failures = (row: WindowRow | undefined) => ({ hits: failuresOf(row), of: row?.finished ?? 0 });
    return {
      range: describeRange(steps),
      days: steps.startsMs.map((ms, at) => describeDay(dayOf(ms, range.zone), group?.steps[at])),
      change: {
        duration: compareMeans(sampleOf(before, 'duration'), sampleOf(group?.whole, 'duration'), 'less'),
        failure_rate: compareShares(failures(before), failures(group?.whole), 'less'),
      },
    };
  });
}

function describeDay(day: string, row: WindowRow | undefined): Static<typeof InsightTrendsAnswer>['days'][number] {
  return {
    day,
    total_executions: row?.finished ?? null,
    successful_executions: row?.completed ?? null,
    failed_executions: row === undefined ? null : failuresOf(row),
    success_rate: row === undefined ? null : ratioOf(row.completed, row.finished),
    average_duration_ms: meanOf(row, 'duration'),
    p95_duration_ms: percentileOf(row, 'duration', 95),
    cost: costOf(row),
  };
}

function registerCost(app: App, { nowMs }: Services): void {
  const schema = {
    summary: 'What executions cost',
    description: "In the producers' currency unit, over the executions that reported a cost.",
    querystring: InsightQuery,
    response: answers(CostAnswer),
  };
  app.get('/analytics/cost', { schema }, async ({ query: { workflow_id, ...query }, reader }) => {
    const range = parseRange(query, '30d', nowMs());
    const steps = planSteps(range, '1d');
    const distributions = [] as const;
    const filters = { workflow_id };
    const needs = ['cost', 'cpu'] as const;
    const wish = { subject: 'executions', steps, filters, groupBy: 'workflow_id', distributions, needs } as const;
    const { groups, all } = await readLargest(reader, wish, 'cost');
    const whole = all?.whole;
    const total = costOf(whole);
    const reason = 'no source reported a cost in the range';
    return {
      range: describeRange(steps),
      total_cost: total,
      average_cost: whole === undefined ? null : ratioOf(whole.cost_sum, whole.cost_n),
      executions_with_cost: whole?.cost_n ?? 0,
      cpu_ms: whole === undefined || whole.cpu_n === 0 ? null : whole.cpu_ms_sum,
      workflows: groups
        .toSorted((one, other) => other.whole.cost_sum - one.whole.cost_sum)
        .slice(0, mostListed)
        .map(({ key, whole: own }) => ({
          workflow_id: key,
          total_cost: costOf(own),
          average_cost: ratioOf(own.cost_sum, own.cost_n),
          share: total === null ? null : ratioOf(own.cost_sum, total),
        })),
      days: steps.startsMs.map((ms, at) => ({ day: dayOf(ms, range.zone), cost: costOf(all?.steps[at]) })),
      reasons: explainIf(total === null, { total_cost: reason, average_cost: reason }),
    };
  });
}

function registerMonitoring(app: App, { nowMs }: Services): void {
  const schema = {
    summary: 'Totals, rates, throughput and errors',
    querystring: InsightQuery,
    response: answers(MonitoringAnswer),
  };
  app.get('/monitoring/metrics', { schema }, async ({ query: { workflow_id, ...query }, reader }) => {
    const range = parseRange(query, '24h', nowMs());
    const steps = planSteps(range, undefined);
    const filters = { workflow_id };
    const [[executions], [tasks]] = await Promise.all([
      readWindows(reader, { subject: 'executions', steps, filters }),
      readWindows(reader, {
        subject: 'tasks',
        steps: { ...steps, startsMs: steps.startsMs.slice(0, 1) },
        filters,
        distributions: [],
        needs: ['attempts'],
      }),
    ]);
    return describeMonitoring(steps, Math.min(range.toMs, steps.toMs), executions, tasks?.whole);
  });
}

function describeMonitoring(
  steps: Steps,
  untilMs: number,
  executions: WindowGroup | undefined,
  tasks: WindowRow | undefined,
): Static<typeof MonitoringAnswer> {
  const whole = executions?.whole;
  const finished = whole?.finished ?? 0;
  return {
    range: describeRange(steps),
    total_executions: finished,
    success_rate: ratioOf(whole?.completed ?? 0, finished),
    failure_rate: ratioOf(failuresOf(whole), finished),
    average_duration_ms: meanOf(whole, 'duration'),
    throughput_per_hour: finished / ((untilMs - steps.fromMs) / 3_600_000),
    error_count: failuresOf(whole),
    task_error_count: tasks?.attempts_failed ?? 0,
    trends: steps.startsMs.map((ms, at) => {
      const row = executions?.steps[at];
      return {
        time: toInstant(ms),
        executions: row?.finished ?? null,
        errors: row === undefined ? null : failuresOf(row),
        average_duration_ms: meanOf(row, 'duration'),
      };
    }),
  };
}
