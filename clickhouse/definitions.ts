/**
 * What the columns of views mean. Columns of tables carry their meaning themselves, as a comment in the migration, and a view's
 * column of the same name means the same; what a view computes is said here. A test holds every column to a meaning.
 */

const viewPurposes: Record<string, string> = {
  executions_1m: 'Minutes of executions.',
  executions_1h: 'Hours of executions; the newest hour is as fresh as the newest minute.',
  executions_1d: 'Days of executions, UTC; the newest day is as fresh as the newest minute.',
  tasks_1m: 'Minutes of tasks.',
  tasks_1h: 'Hours of tasks; the newest hour is as fresh as the newest minute.',
  tasks_1d: 'Days of tasks, UTC; the newest day is as fresh as the newest minute.',
};

export const purposeOf = (view: string): string | undefined => viewPurposes[view];

/** Columns that no pattern explains. */
const singular: Record<string, string> = {
  window_start: 'start of the window, UTC',
  finished: 'things whose latest end is in the window, whatever the outcome; skipped ones are not counted',
  success_ratio: 'completed / finished, 0 to 1; NULL where nothing finished',
  failure_ratio: '(failed + timeout) / finished, 0 to 1; NULL where nothing finished',
  success_pct: 'success_ratio in per cent',
  failure_pct: 'failure_ratio in per cent',
  unjoined: 'ends that still wait for their start, so their run time is not known',
};

/** What is measured, by the front of a column's name. */
const subjects: Record<string, string> = {
  duration: 'run time of everything that finished',
  completed_duration: 'run time of things that completed',
  other_duration: 'run time of things that finished otherwise',
  queue: 'wait in the queue of things that finished',
  attempt_duration: 'run time of attempts, whatever their end',
  cost: 'cost of finished things, in the currency unit',
  attempt_cost: 'cost of attempts, in the currency unit',
  cpu: 'CPU time of finished things',
  attempt_cpu: 'CPU time of attempts',
  memory: 'peak memory of finished things',
  memory_peak_bytes: 'peak memory of finished things, bytes',
};

/** What is said of it, by the end. */
const statistics: Record<string, string> = {
  n: 'how many reported it',
  sum: 'sum',
  mean: 'mean',
  min: 'least ever contributed',
  max: 'greatest ever contributed',
  p50: 'median, within 1 %',
  p90: '90th percentile, within 1 %',
  p95: '95th percentile, within 1 %',
  p99: '99th percentile, within 1 %',
  histogram: 'counts by log bucket, to be added up with sumMap over any range',
};

function describe(column: string): string | undefined {
  const found = /^(.+?)(_ms)?_([a-z0-9]+)$/.exec(column);
  const subject = subjects[found?.[1] ?? ''];
  const statistic = statistics[found?.[3] ?? ''];
  if (subject === undefined || statistic === undefined) return undefined;
  return `${subject}: ${statistic}${found?.[2] === undefined ? '' : ', milliseconds'}`;
}

/** The meaning of a view's column; `said` are the comments of the tables' columns by name. */
export const meaningOf = (column: string, said: ReadonlyMap<string, string>): string | undefined =>
  singular[column] ?? describe(column) ?? said.get(column);
