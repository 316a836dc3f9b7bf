import { analysisViews } from './analysis-definitions.ts';

/**
 * What the columns of views mean. Columns of tables carry their meaning themselves, as a comment in the migration, and a view's
 * column of the same name means the same; what a view computes is said here. A test holds every column to a meaning.
 */

const windows: Record<string, string> = {
  '1m': 'Minutes of',
  '1h': 'Hours of',
  '1d': 'Days, UTC, of',
};
const subjectsOfWindows: Record<string, string> = {
  executions: 'executions',
  tasks: 'tasks',
  orchestrator_measures: 'everything that orchestrators report, one row for each measure',
  orchestrators: 'orchestrators: load, scheduling, queues, persistence',
  worker_pools: 'worker pools: sizes, load, health',
  workers: 'workers: slots, load, heartbeats',
  scheduling: 'scheduling decisions and their outcomes',
  queues: 'queues: size, age of the oldest message, waits, rates',
  coordination: 'coordination: leader changes, locks, consensus, state',
  load_balancing: 'how evenly load is spread',
  scaling: 'scaling actions and their outcomes',
};
const viewPurposes: Record<string, string> = {
  executions_latest: 'Executions as they are now: one row each.',
  task_attempts_latest: 'Attempts of tasks as they are now: one row each.',
  orchestrator_reports: 'Each report of an orchestrator about itself, as it came.',
  worker_pool_reports: 'Each report about a worker pool, as it came.',
  alerts: 'Alerts as they stand: the newest change of each.',
  unusual_runs: 'Measures of finished executions and attempts that were not usual: the scores that are high or low.',
  worker_reports: 'Each report about a worker, as it came.',
  scheduling_decisions: 'Each scheduling decision, as it was reported.',
  queue_reports: 'Each report about a queue, as it came.',
  coordination_events: 'Each event of coordination, as it was reported.',
  load_balancing_reports: 'Each report about the balance of load, as it came.',
  scaling_events: 'Each scaling action, as it was reported.',
  tasks_latest: 'Tasks of executions as they are now: one row each, that of the latest attempt.',
};

export function purposeOf(view: string): string | undefined {
  const [, subject = '', length = ''] = /^(.+)_(1[mhd])$/.exec(view) ?? [];
  const what = subjectsOfWindows[subject];
  if (what === undefined) return analysisViews[view]?.purpose ?? viewPurposes[view];
  const fresh = length === '1m' ? '' : ' The newest is as fresh as the newest minute.';
  return `${windows[length]} ${what}.${fresh}`;
}

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

/** Of a measure that orchestrators report, by the end of a column's name; without an end it is the mean. */
const readings: Record<string, string> = {
  greatest: 'greatest in the window',
  last: 'latest in the window',
  increase: 'growth in the window, restarts of the source taken out',
  p50: 'median of the readings, within 1 %',
  p90: '90th percentile of the readings, within 1 %',
  p95: '95th percentile of the readings, within 1 %',
  p99: '99th percentile of the readings, within 1 %',
};

const reports: Record<string, string> = {
  reports: 'reports in the window',
  health_changes: 'how often the reported health changed',
  decisions: 'scheduling decisions',
  placed: 'decisions that placed the task',
  rejected: 'decisions that rejected the task',
  preempted: 'decisions that took the place of another task',
  succeeded: 'actions that succeeded',
  failed: 'decisions or actions that failed',
  outcome_unknown: 'actions of which no outcome was reported',
  events: 'events reported',
  leader_changes: 'elections, changes of leader and failovers',
  split_brains: 'reports of more than one leader',
  lock_waits: 'waits for a lock',
  lock_waits_timed_out: 'waits for a lock that were given up',
  partitions_healed: 'network partitions that were healed',
  scale_ups: 'actions that add workers',
  scale_ups_failed: 'of these, how many failed',
  scale_downs: 'actions that remove workers',
  scale_downs_failed: 'of these, how many failed',
  maintained: 'actions that kept the size',
  cost_impact_sum: 'change of cost by these actions: sum, in the currency unit',
  oldest_age_ms: 'age of the oldest waiting message: mean of the readings, milliseconds',
  heartbeat_age_ms: 'age of the last heartbeat when it was reported: mean of the readings, milliseconds',
  value_mean: 'mean of the values of a gauge',
  value_p50: 'median of the values of a gauge, within 1 %',
  value_p90: '90th percentile of the values of a gauge, within 1 %',
  value_p95: '95th percentile of the values of a gauge, within 1 %',
  value_p99: '99th percentile of the values of a gauge, within 1 %',
  histogram: 'counts by log bucket, to be added up with sumMap over any range',
};
const derived: Record<string, string> = {
  oldest_age_ms: 'age of the oldest waiting message, milliseconds',
  heartbeat_age_ms: 'age of the last heartbeat when it was reported, milliseconds',
  queue_latency_ms: 'time of a message in the queues, milliseconds',
};

function describeReport(column: string, said: ReadonlyMap<string, string>): string | undefined {
  const state = /^reports_(.+)$/.exec(column)?.[1];
  if (state !== undefined) return `reports of the state ${state}`;
  const plain = measureOf(column, said);
  if (plain !== undefined) return /ative count|_total$/.test(plain) ? plain : `${plain}: mean of the window`;
  const [, base = '', end = ''] = /^(.+)_([a-z0-9]+)$/.exec(column) ?? [];
  const measure = measureOf(base, said);
  return measure === undefined || readings[end] === undefined ? undefined : `${measure}: ${readings[end]}`;
}

/** Raw rows have microseconds and millionths where views have milliseconds and units. */
function measureOf(column: string, said: ReadonlyMap<string, string>): string | undefined {
  const raw =
    said.get(column) ??
    said.get(column.replace(/_ms(?=_|$)/, '_us')) ??
    said.get(`${column.replace('cost', 'cost_micros')}`);
  return derived[column] ?? raw?.replace(/^[a-z_, ]+: /, '').replace('microseconds', 'milliseconds');
}

const columnsOfLatest: Record<string, string> = {
  attempts: 'attempts so far',
  is_open: 'it has not ended',
  duration_ms: 'run time of the latest attempt, milliseconds; NULL while it runs',
  queue_ms: 'wait in the queue, milliseconds',
  cost: 'cost, in the currency unit',
  cpu_ms: 'CPU time, milliseconds',
  ended_at: 'instant of the end of the latest attempt; NULL while it runs',
  last_ended_at: 'instant of the latest end, whatever runs now',
  last_end_state: 'state of the latest end, whatever runs now; empty before the first',
  last_end_duration_ms: 'run time that ended with it, milliseconds',
  last_end_error_type: 'error of the latest end',
  retry_delay_ms: 'pause before the next attempt, milliseconds',
};

const columnsOfScores: Record<string, string> = { times_usual: 'value by what is expected; NULL where nothing is' };

/** The meaning of a view's column; `said` are the comments of the tables' columns by name. */
export function meaningOf(view: string, column: string, said: ReadonlyMap<string, string>): string | undefined {
  const analysis = analysisViews[view];
  if (analysis !== undefined) return analysis.columns[column] ?? said.get(column);
  if (view.endsWith('_latest')) return columnsOfLatest[column] ?? said.get(column);
  if (/^(executions|tasks)_1[mhd]$/.test(view)) return singular[column] ?? describe(column) ?? said.get(column);
  if (view in viewPurposes) return columnsOfScores[column] ?? said.get(column);
  if (view.startsWith('orchestrator_measures')) return reports[column] ?? singular[column] ?? said.get(column);
  if (column === 'window_start') return singular.window_start;
  return reports[column] ?? (dimensions.has(column) ? said.get(column) : describeReport(column, said));
}

const dimensions = new Set([
  'workspace',
  'project',
  'source',
  'orchestrator_id',
  'pool_id',
  'worker_id',
  'queue_id',
  'instance_id',
]);
