import { parseArgs } from 'node:util';
import { estimateBaselines, type HourSample } from '../../pipelines/scoring/baselines.ts';
import { HourlyValues } from '../../pipelines/scoring/season.ts';
import { type Weighted, WeightedColumns } from '../../pipelines/scoring/weighted.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { finishBench, round } from './report.ts';

/**
 * What four weeks of hours cost until they are baselines, a task at a time, and the median that most of it goes into beside the
 * same by sorting.
 */
const { values: options } = parseArgs({
  options: { tasks: { type: 'string', default: '100' }, buckets: { type: 'string', default: '40' } },
});
const [tasks, buckets] = [Number(options.tasks), Number(options.buckets)] as [number, number];
const hourSeconds = 3600;
const weekHours = 168;
const throughSeconds = 1_800_000_000 - (1_800_000_000 % (weekHours * hourSeconds)) + 4 * 24 * hourSeconds;
const random = createRandom(7);

/** Hours of the week, three earlier weeks in one sample and the recent one in another, as the job reads them. */
function sampleTask(): HourSample[] {
  return [3, 1].flatMap((weeks) =>
    Array.from({ length: weekHours }, (_, slot): HourSample => {
      const histogram = () =>
        Object.fromEntries(Array.from({ length: buckets }, (_, at) => [String(600 + at), 1 + random.below(9)]));
      const weeksAgo = Array.from({ length: weeks }, (_, week) => (weeks === 1 ? 1 : week + 2));
      const windows = weeksAgo.map((ago): [number, number, number] => {
        return [throughSeconds - ago * weekHours * hourSeconds + slot * hourSeconds, 200, random.below(4)];
      });
      return { slot, isRecent: weeks === 1, durations: histogram(), queues: histogram(), windows };
    }),
  );
}

const fleet = Array.from({ length: tasks }, sampleTask);
const range = { recentSeconds: throughSeconds - weekHours * hourSeconds, throughSeconds };
const estimated = timeOf(() => {
  const found = fleet.reduce((sum, samples) => sum + estimateBaselines(samples, range).length, 0);
  if (found !== 4 * tasks) throw new Error(`expected ${4 * tasks} baselines, found ${found}`);
});
const lists = fleet.map((samples) =>
  samples.map(({ slot, isRecent, durations }) => {
    const values = Object.entries(durations).map(([bucket, n]): Weighted => [Number(bucket), n]);
    return { slot, isRecent, starts: [], values: WeightedColumns.of(values) };
  }),
);
type Hours = (typeof lists)[number];
const medianOf = (hours: Hours): number => HourlyValues.of(hours).pool().median();
const median = timeOf(() => lists.map(medianOf));
const sorted = timeOf(() => lists.map(medianBySorting));
if (lists.some((list) => medianOf(list) !== medianBySorting(list))) throw new Error('the medians differ');
finishBench(
  'baselines',
  [
    {
      run: 'all baselines of a task',
      'ms a task': round(estimated / tasks),
      'tasks/s': Math.round((1000 * tasks) / estimated),
    },
    { run: 'median of a task', 'ms a task': round(median / tasks), 'tasks/s': Math.round((1000 * tasks) / median) },
    { run: 'median by sorting', 'ms a task': round(sorted / tasks), 'tasks/s': Math.round((1000 * tasks) / sorted) },
    { run: 'by sorting / as it is', 'ms a task': round(sorted / median), 'tasks/s': '' },
  ],
  [],
);

function timeOf(work: () => unknown): number {
  const startedMs = performance.now();
  work();
  return performance.now() - startedMs;
}

function medianBySorting(hours: Hours): number {
  const pairs = hours.flatMap(({ values: { values, weights } }) =>
    Array.from(values, (value, at): Weighted => [value, weights[at] as number]),
  );
  const inOrder = pairs.toSorted(([left], [right]) => left - right);
  const half = inOrder.reduce((sum, [, weight]) => sum + weight, 0) / 2;
  let reached = 0;
  for (const [value, weight] of inOrder) {
    reached += weight;
    if (reached >= half) return value;
  }
  return Number.NaN;
}
