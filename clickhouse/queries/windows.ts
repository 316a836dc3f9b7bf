import type { Question } from '../question.ts';

/** Rollups by subject and by length of their windows. */
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

const summed = ['started', 'completed', 'failed', 'cancelled', 'timeout', 'partial', 'retries', 'reopened'];
const ends = ['completed', 'failed', 'cancelled', 'timeout', 'partial'];
const quantities = ['cost_micros', 'cpu_us', 'memory_peak_bytes'];

/** The columns of the rollups that a distribution is made of. */
const partsOf: Record<DistributionName, readonly string[]> = {
  duration: ['completed_duration_us', 'other_duration_us'],
  completed_duration: ['completed_duration_us'],
  other_duration: ['other_duration_us'],
  queue: ['queue_us'],
  attempt_duration: ['attempt_duration_us'],
};

/** Every column of a rollup that the question needs; whatever else a window holds is not read. */
function neededColumns({ subject, groupBy, distributions: names, ...ask }: WindowsAsk): string[] {
  const dimensions = filterNames.filter((name) => filtersOf[subject].includes(name));
  return [
    'window_start',
    ...dimensions.filter((name) => name === groupBy || ask[name] !== undefined),
    ...summed,
    ...ends.map((end) => `attempt_${end}`),
    ...quantities.flatMap((quantity) => [`${quantity}_n`, `${quantity}_sum`]),
    'memory_peak_bytes_max',
    ...new Set(names.flatMap((name) => partsOf[name])),
  ].flatMap((column) =>
    column.endsWith('_duration_us') || column === 'queue_us'
      ? ['sum', 'min', 'max', 'hist'].map((measure) => `${column}_${measure}`)
      : [column],
  );
}

/** Merged over the windows of a step; percentiles of a step are those of all its values, never means of percentiles. */
function mergedColumns(names: readonly DistributionName[]): string[] {
  return names.flatMap((name) => {
    const parts = partsOf[name];
    const merged = parts.map((part) => `sumMap(w.${part}_hist)`);
    const each = (aggregate: string, measure: string) => parts.map((part) => `${aggregate}(w.${part}_${measure})`);
    return [
      `mapFilter((bucket, n) -> n != 0, ${merged.length === 1 ? merged[0] : `mapAdd(${merged.join(', ')})`}) AS ${name}_buckets`,
      `toInt64(arraySum(mapValues(${name}_buckets))) AS ${name}_n`,
      `(${each('sum', 'sum').join(' + ')}) / 1000 AS ${name}_ms_sum`,
      // Aggregates leave nulls out, as functions of several values do not.
      `arrayMin(arrayFilter(us -> us IS NOT NULL, [${each('min', 'min').join(', ')}, NULL])) / 1000 AS ${name}_ms_min`,
      `arrayMax(arrayFilter(us -> us IS NOT NULL, [${each('max', 'max').join(', ')}, NULL])) / 1000 AS ${name}_ms_max`,
    ];
  });
}

/** Ranks are whole numbers throughout: a share times a count in floating point may end a hair above its rank. */
const quantilesOf = (name: DistributionName): string =>
  `arrayMap(rank -> bucket_ms(rank_bucket(${name}_buckets, rank)), {ranks: Array(UInt32)}) AS ${name}_quantiles_ms,
   arraySum(arrayMap((bucket, n) -> n * bucket_ms(bucket) * bucket_ms(bucket), mapKeys(${name}_buckets), mapValues(${name}_buckets))) AS ${name}_ms_squares`;

/** Tables from coarse to fine, each from where the coarser one ends: what the roll-up job has not come to is read finer. */
const tablesOf: Record<Level, readonly { table: string; when: string }[]> = {
  '1m': [{ table: 'cells', when: '' }],
  '1h': [
    { table: 'hours', when: ' AND w.window_start < ends.2' },
    { table: 'cells', when: ' AND w.window_start >= ends.2' },
  ],
  '1d': [
    { table: 'days', when: ' AND w.window_start < ends.1' },
    { table: 'hours', when: ' AND w.window_start >= ends.1 AND w.window_start < ends.2' },
    { table: 'cells', when: ' AND w.window_start >= ends.2' },
  ],
};

/**
 * The tables behind the views of rollups, with the columns that are needed: a question that goes through a view is
 * planned with all columns of it, which takes several times as long as the answer.
 */
function readTables(ask: WindowsAsk): string {
  const columns = neededColumns(ask)
    .map((column) => `w.${column} AS ${column}`)
    .join(', ');
  const kind = ask.subject === 'executions' ? 'execution' : 'task';
  return tablesOf[ask.level]
    .map(
      ({ table, when }) => `SELECT ${columns} FROM ${kind}_${table} AS w FINAL
    WHERE w.workspace = {workspace: String}
      AND w.window_start >= fromUnixTimestamp({from: UInt32}) AND w.window_start < fromUnixTimestamp({to: UInt32})${conditionsOf(ask)}${when}`,
    )
    .join('\n    UNION ALL\n    ');
}

/** Read once for the whole question, so that no window is seen twice or not at all. */
const endsOf = ({ subject }: WindowsAsk): string => {
  const kind = subject === 'executions' ? 'execution' : 'task';
  return `(SELECT (maxIf(boundary, target = '${kind}_days'), maxIf(boundary, target = '${kind}_hours')) FROM rollup_cursors) AS ends`;
};

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
  keepMs: 1000,
  sql: (ask) => `WITH ${ask.level === '1m' ? '' : `${endsOf(ask)},`}
  bucket -> if(bucket = -32768, 0, 0.99 * exp(bucket * ln(1.01 / 0.99)) / 1000) AS bucket_ms,
  (buckets, rank) -> if(empty(buckets), NULL, mapKeys(buckets)[arrayFirstIndex(
    reached -> reached >= greatest(1, intDiv(rank * arraySum(mapValues(buckets)) + 9999, 10000)), arrayCumSum(mapValues(buckets)))]) AS rank_bucket
SELECT * EXCEPT (${ask.distributions.map((name) => `${name}_buckets`).join(', ')}), ${ask.distributions.map(quantilesOf).join(',\n  ')}
FROM (
  SELECT ${ask.groupBy === null ? "''" : `toString(w.${ask.groupBy})`} AS group_key,
    roundDown(toUnixTimestamp(w.window_start), {starts: Array(UInt32)}) AS start,
    grouping(start) AS is_whole,
    ${[...summed.map((column) => `sum(w.${column}) AS ${column}`), ...mergedColumns(ask.distributions)].join(',\n    ')},
    sum(${ends.map((end) => `w.${end}`).join(' + ')}) AS finished,
    sum(${ends.map((end) => `w.attempt_${end}`).join(' + ')}) AS attempts,
    sum(w.attempt_failed + w.attempt_timeout) AS attempts_failed,
    sum(w.cost_micros_n) AS cost_n, sum(w.cost_micros_sum) / 1000000 AS cost_sum,
    sum(w.cpu_us_n) AS cpu_n, sum(w.cpu_us_sum) / 1000 AS cpu_ms_sum,
    sum(w.memory_peak_bytes_n) AS memory_n, sum(w.memory_peak_bytes_sum) AS memory_bytes_sum,
    max(w.memory_peak_bytes_max) AS memory_peak_bytes_max
  FROM (
    ${readTables(ask)}
  ) AS w
  GROUP BY GROUPING SETS ((group_key, start), (group_key))
)
ORDER BY group_key, is_whole, start`,
};
