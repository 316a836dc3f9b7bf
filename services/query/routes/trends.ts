import type { DistributionName, WindowCount, WindowNeed } from '../../../clickhouse/queries/windows.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { TrendsAnswer, TrendsQuery } from '../../../schemas/api/questions.ts';
import { type Change, compareCounts, compareMeans, compareShares, type Good } from '../../analysis/change.ts';
import { toInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { readFocus } from '../subject.ts';
import { parseRange, periodBefore, planSteps } from '../time-range.ts';
import {
  costOf,
  countedEnds,
  describeRange,
  failuresOf,
  meanOf,
  percentileOf,
  ratioOf,
  readRanges,
  sampleOf,
  type WindowGroup,
  type WindowRow,
} from '../windows.ts';

/** One number of each step of a range, and whether it changed since the range before. */
export const trends: Family = {
  prefix: '/api/v1',
  tag: 'questions',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/trends',
      {
        schema: {
          summary: 'A metric over time',
          description: `Metrics: ${Object.keys(metrics).join(', ')}. A step without telemetry is null: a gap, and not 0.`,
          querystring: TrendsQuery,
          response: answers(TrendsAnswer),
        },
      },
      async ({ query, reader }) => {
        const { metric: name = 'duration_ms_mean', compare } = query;
        const metric = readMetric(name);
        const steps = planSteps(parseRange(query, '24h', nowMs()), query.step);
        const { distribution, needs = [], counts = [] } = metric;
        const wish = {
          ...readFocus(query),
          counts: [...countedEnds, ...counts],
          distributions: distribution === null ? [] : [distribution],
          needs,
        };
        const periodAgo = compare === undefined ? null : periodBefore(steps);
        const { groups, before } = await readRanges(reader, { ...wish, steps }, periodAgo);
        const describe = ({ key, whole, steps: rows }: WindowGroup) => ({
          key: query.group_by === undefined ? null : key,
          value: metric.read(whole),
          change: compare === undefined ? null : metric.compare(before.get(key), whole),
          points: steps.startsMs.map((ms, at) => {
            const row = rows[at];
            return {
              time: toInstant(ms),
              value: row === undefined ? null : metric.read(row),
              count: row?.finished ?? 0,
            };
          }),
        });
        return {
          subject: query.subject,
          metric: name,
          step: steps.step,
          range: describeRange(steps),
          groups: groups.map(describe),
        };
      },
    );
  },
};

interface Metric {
  /** What it counts besides the ends, which stand beside each point. */
  counts?: readonly WindowCount[];
  /** Null where it is made of counts alone. */
  distribution: DistributionName | null;
  needs?: readonly WindowNeed[];
  read: (row: WindowRow) => number | null;
  compare: (before: WindowRow | undefined, now: WindowRow) => Change;
}

const mean = (distribution: DistributionName): Metric => ({
  distribution,
  read: (row) => meanOf(row, distribution),
  compare: (before, now) => compareMeans(sampleOf(before, distribution), sampleOf(now, distribution), 'less'),
});

/** A percentile has no simple test of its own; whether it moved is told by the means, and its values are its own. */
const percentile = (distribution: DistributionName, percent: number): Metric => {
  const read = (row: WindowRow | undefined) => percentileOf(row, distribution, percent);
  return {
    distribution,
    read,
    compare: (before, now) => {
      const [was, is] = [read(before), read(now)];
      const ratio = was === null || is === null || was === 0 ? null : (is - was) / was;
      return { ...mean(distribution).compare(before, now), before: was, now: is, change_ratio: ratio };
    },
  };
};

const share = (hits: (row: WindowRow) => number, good: Good): Metric => {
  const of = (row: WindowRow | undefined) => ({ hits: row === undefined ? 0 : hits(row), of: row?.finished ?? 0 });
  return {
    distribution: null,
    read: (row) => ratioOf(hits(row), row.finished),
    compare: (before, now) => compareShares(of(before), of(now), good),
  };
};

const count = (read: (row: WindowRow) => number, good: Good): Metric => ({
  distribution: null,
  read,
  compare: (before, now) => compareCounts(before === undefined ? 0 : read(before), read(now), good),
});

const metrics: Record<string, Metric> = {
  started: { ...count(({ started }) => started, 'neither'), counts: ['started'] },
  finished: count(({ finished }) => finished, 'neither'),
  completed: count(({ completed }) => completed, 'neither'),
  failures: count(failuresOf, 'less'),
  retries: { ...count(({ retries }) => retries, 'less'), counts: ['retries'] },
  success_ratio: share(({ completed }) => completed, 'more'),
  failure_ratio: share(failuresOf, 'less'),
  duration_ms_mean: mean('duration'),
  duration_ms_p50: percentile('duration', 50),
  duration_ms_p90: percentile('duration', 90),
  duration_ms_p95: percentile('duration', 95),
  duration_ms_p99: percentile('duration', 99),
  completed_duration_ms_mean: mean('completed_duration'),
  completed_duration_ms_p95: percentile('completed_duration', 95),
  queue_ms_mean: mean('queue'),
  queue_ms_p95: percentile('queue', 95),
  attempt_duration_ms_mean: mean('attempt_duration'),
  attempt_duration_ms_p95: percentile('attempt_duration', 95),
  cost_sum: {
    distribution: null,
    needs: ['cost'],
    read: costOf,
    compare: (before, now) => {
      const [was, is] = [costOf(before), costOf(now)];
      const ratio = was === null || is === null || was === 0 ? null : (is - was) / was;
      return { before: was, now: is, change_ratio: ratio, direction: 'stable', confidence: null };
    },
  },
};

function readMetric(name: string): Metric {
  const metric = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  if (metric !== undefined) return metric;
  throw new ApiError('invalid_request', `parameter metric must be one of ${Object.keys(metrics).join(', ')}.`);
}
