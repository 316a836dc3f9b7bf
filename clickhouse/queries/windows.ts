import type { Question } from '../question.ts';

/** Rollups by subject and by length of their windows: each pair is a view. */
export const subjects = ['executions', 'tasks'] as const;
export type Subject = (typeof subjects)[number];
export const levels = ['1m', '1h', '1d'] as const;
export type Level = (typeof levels)[number];

/** Durations whose distribution the rollups keep. */
export const distributions = ['duration', 'completed_duration', 'other_duration', 'queue', 'attempt_duration'] as const;
export type DistributionName = (typeof distributions)[number];

/** Columns that an answer may be restricted to, or split by. */
export const executionFilters = ['project', 'source', 'workflow_id', 'workflow_version', 'trigger_type'] as const;
export const taskFilters = [
  'project',
  'source',
  'workflow_id',
  'workflow_version',
  'task_id',
  'task_type',
  'pool',
] as const;
export type FilterName = (typeof executionFilters)[number] | (typeof taskFilters)[number];

export const filtersOf: Record<Subject, readonly FilterName[]> = { executions: executionFilters, tasks: taskFilters };

const filterNames = [...new Set<FilterName>([...executionFilters, ...taskFilters])];

export interface WindowsAsk extends Partial<Record<FilterName, string>> {
  subject: Subject;
  level: Level;
  /** Epoch seconds, at windows of the level. */
  from: number;
  to: number;
  /** Where each step begins, in order; the first is not after `from`. */
  starts: readonly number[];
  /** Shares in ten-thousandths: 9950 is the 99.5th percentile. */
  ranks: readonly number[];
  distributions: readonly DistributionName[];
  groupBy: FilterName | null;
}

type Measures = Record<`${DistributionName}_${'n' | 'ms_sum' | 'ms_squares'}`, number> &
  Record<`${DistributionName}_ms_${'min' | 'max'}`, number | null> &
  Record<`${DistributionName}_quantiles_ms`, (number | null)[] | undefined>;

/** One step of one group, or the whole range of a group. Of distributions it holds those that were asked for. */
export interface WindowRow extends Measures {
  group_key: string;
  /** Epoch seconds. */
  start: number;
  is_whole: number;
  started: number;
  completed: number;
  failed: number;
  cancelled: number;
  timeout: number;
  partial: number;
  retries: number;
  reopened: number;
  attempts: number;
  attempts_failed: number;
  finished: number;
  cost_n: number;
  cost_sum: number;
  cpu_n: number;
  cpu_ms_sum: number;
  memory_n: number;
  memory_bytes_sum: number;
  memory_peak_bytes_max: number | null;
}

const summed = [
  'started',
  'completed',
  'failed',
  'cancelled',
  'timeout',
  'partial',
  'retries',
  'reopened',
  'finished',
  'cost_n',
  'cpu_n',
  'memory_n',
];
const sumOf = (column: string) => `sum(w.${column}) AS ${column}`;
const attemptEnds = ['completed', 'failed', 'cancelled', 'timeout', 'partial'];

/** Merged over the windows of a step; percentiles of a step are those of all its values, never means of percentiles. */
function mergedColumns(names: readonly DistributionName[]): string[] {
  return names.flatMap((name) => [
    `sum(w.${name}_n) AS ${name}_n`,
    `sum(w.${name}_ms_sum) AS ${name}_ms_sum`,
    `min(w.${name}_ms_min) AS ${name}_ms_min`,
    `max(w.${name}_ms_max) AS ${name}_ms_max`,
    `mapFilter((bucket, n) -> n != 0, sumMap(w.${name}_histogram)) AS ${name}_buckets`,
  ]);
}

/** Ranks are whole numbers throughout: a share times a count in floating point may end a hair above its rank. */
const quantilesOf = (name: DistributionName): string =>
  `arrayMap(rank -> bucket_ms(rank_bucket(${name}_buckets, rank)), {ranks: Array(UInt32)}) AS ${name}_quantiles_ms,
   arraySum(arrayMap((bucket, n) -> n * bucket_ms(bucket) * bucket_ms(bucket), mapKeys(${name}_buckets), mapValues(${name}_buckets))) AS ${name}_ms_squares`;

/** Equalities for those filters that were given; names come from the list above, values are bound. */
function conditionsOf(ask: WindowsAsk): string {
  return filterNames
    .filter((name) => ask[name] !== undefined && filtersOf[ask.subject].includes(name))
    .map((name) => ` AND w.${name} = {${name}: String}`)
    .join('');
}

/**
 * Counts and distributions by step, and over the whole range, from the rollup of one level. Steps are given by where
 * they begin, so days of any time zone and months are steps like others.
 */
export const windowsQuestion: Question<WindowsAsk, WindowRow> = {
  name: 'windows',
  sql: (ask) => `WITH
  bucket -> if(bucket = -32768, 0, 0.99 * exp(bucket * ln(1.01 / 0.99)) / 1000) AS bucket_ms,
  (buckets, rank) -> if(empty(buckets), NULL, mapKeys(buckets)[arrayFirstIndex(
    reached -> reached >= greatest(1, intDiv(rank * arraySum(mapValues(buckets)) + 9999, 10000)), arrayCumSum(mapValues(buckets)))]) AS rank_bucket
SELECT * EXCEPT (${ask.distributions.map((name) => `${name}_buckets`).join(', ')}), ${ask.distributions.map(quantilesOf).join(',\n  ')}
FROM (
  SELECT ${ask.groupBy === null ? "''" : `toString(w.${ask.groupBy})`} AS group_key,
    roundDown(toUnixTimestamp(w.window_start), {starts: Array(UInt32)}) AS start,
    grouping(start) AS is_whole,
    ${[...summed.map(sumOf), ...mergedColumns(ask.distributions)].join(',\n    ')},
    sum(${attemptEnds.map((end) => `w.attempt_${end}`).join(' + ')}) AS attempts,
    sum(w.attempt_failed + w.attempt_timeout) AS attempts_failed,
    ifNull(sum(w.cost_sum), 0) AS cost_sum,
    ifNull(sum(w.cpu_ms_sum), 0) AS cpu_ms_sum,
    ifNull(sum(w.memory_peak_bytes_mean * w.memory_n), 0) AS memory_bytes_sum,
    max(w.memory_peak_bytes_max) AS memory_peak_bytes_max
  FROM ${ask.subject}_${ask.level} AS w
  WHERE w.workspace = {workspace: String}
    AND w.window_start >= fromUnixTimestamp({from: UInt32}) AND w.window_start < fromUnixTimestamp({to: UInt32})${conditionsOf(ask)}
  GROUP BY GROUPING SETS ((group_key, start), (group_key))
)
ORDER BY group_key, is_whole, start`,
};
