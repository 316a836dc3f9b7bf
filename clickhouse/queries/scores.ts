import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { Question } from '../question.ts';
import { scoredRangesTable } from '../tables/scores.ts';

/**
 * Scores of what has ended, computed where the records are: nothing leaves ClickHouse. The scale is the logarithm; a value
 * counts in robust deviations of its own side, which are no less than what a tail that is long by nature makes them.
 */
export const scoreDefaults = {
  /** Deviations from which something is not usual. */
  unusualFrom: 3,
  /** Smaller deviations of a logarithm mean nothing: a sixth more or less. */
  leastDeviation: 0.15,
  /** A wait, or CPU time, that differs by less is usual whatever the deviation. */
  leastDifferenceMs: 1000,
  leastDifferenceBytes: 33_554_432,
  /** Baselines older than this were not renewed, and say nothing of now. */
  baselineAgeHours: 30,
  resourceDays: 7,
  resourceHours: 6,
  leastRuns: 20,
} as const;

export interface ScoreRange {
  fromMs: number;
  toMs: number;
  shard: number;
  shards: number;
  /** Most of it is scored already: only what has no scores, or has ended anew since, gets some. */
  isLate?: boolean;
}

const inShard = 'cityHash64(workspace, source) % {shards: UInt32} = {shard: UInt32}';
const bounded = { max_threads: 1, max_memory_usage: 2_000_000_000, max_execution_time: 300 } as const;
const ends = "('completed', 'failed', 'timeout', 'cancelled', 'partial')";
const paramsOf = ({ fromMs, toMs, shard, shards }: ScoreRange) => ({
  from: Math.floor(fromMs / 1000),
  to: Math.floor(toMs / 1000),
  shard,
  shards,
});

const kinds = [
  { table: 'execution_events', task: "''", map: '-1', worker: "''" },
  { table: 'task_events', task: 'task_id', map: 'map_index', worker: 'worker_id' },
] as const;
type Kind = (typeof kinds)[number];

const inRange = 'event_time >= fromUnixTimestamp({from: UInt32}) AND event_time < fromUnixTimestamp({to: UInt32})';

/** The newest row of each key that was valid when the range began. */
const validAt = (table: string, columns: string) => `(
  SELECT ${columns} FROM ${table}
  WHERE valid_from <= fromUnixTimestamp({from: UInt32}) AND valid_from > fromUnixTimestamp({from: UInt32}) - toIntervalHour(${scoreDefaults.baselineAgeHours})
    AND ${inShard}
  ORDER BY valid_from DESC, ver DESC
  LIMIT 1 BY workspace, source, workflow_id, ${table === 'baselines' ? 'workflow_version, ' : ''}task_id, measure)`;

const measuredColumns = [
  ...[
    'workspace',
    'source',
    'execution_id',
    'task',
    'map',
    'attempt',
    'workflow',
    'version',
    'end_state',
    'ended_at',
    'worker',
  ],
  ...['measure', 'value'],
];

const hourOfWeek = '(toDayOfWeek(ended_at) - 1) * 24 + toHour(ended_at)';

/**
 * Writes a score for each measure of each end in the range that has a baseline, and answers how many; ranges begin and end with
 * windows, so that no baseline begins to be valid within one.
 */
export async function scoreEnds(database: Database, range: ScoreRange): Promise<number> {
  let rows = 0;
  for (const kind of kinds)
    rows += await database.insertSelect(scoringOf(kind, range.isLate ?? false), paramsOf(range), bounded);
  return rows;
}

function scoringOf({ table, task, map, worker }: Kind, isLate: boolean): string {
  const { unusualFrom, leastDeviation, leastDifferenceMs, leastDifferenceBytes } = scoreDefaults;
  const deviation = (quantile: string) =>
    `greatest(${leastDeviation}, 1.4826 * usual.spread, abs(log(greatest(0.001, ${quantile}) / greatest(0.001, usual.p50))) / 1.645)`;
  return `INSERT INTO scores (workspace, workflow_id, task_id, measure, ended_at, source, execution_id, map_index, attempt,
  workflow_version, state, value, expected, low, high, score, direction, baseline_id, facts)
WITH
  -- Of each attempt its last end counts; a record that was told twice is one.
  ended AS (
    SELECT workspace, source, execution_id, ${task} AS task, ${map} AS map, attempt, argMax(workflow_id, event_time) AS workflow,
      argMax(workflow_version, event_time) AS version, argMax(state, event_time) AS end_state, max(event_time) AS ended_at,
      argMax(${worker}, event_time) AS worker,
      argMax((duration_us, queue_us, cpu_us, memory_peak_bytes), event_time) AS told
    FROM ${table}
    WHERE ${inRange} AND state IN ${ends} AND ${inShard}
    GROUP BY workspace, source, execution_id, task, map, attempt${
      isLate
        ? `
    HAVING ${isNotScored(task)}`
        : ''
    }),
  measured AS (
    SELECT * EXCEPT (told), tupleElement(one, 1) AS measure, assumeNotNull(tupleElement(one, 2)) AS value
    FROM ended ARRAY JOIN [('duration', told.1 / 1000), ('queue', told.2 / 1000), ('cpu', told.3 / 1000), ('memory', toFloat64(told.4))] AS one
    WHERE tupleElement(one, 2) IS NOT NULL
      -- How long something ran that failed or was stopped says nothing of its pace.
      AND (tupleElement(one, 1) = 'queue' OR end_state = 'completed')),
  usual_of AS (
    SELECT workspace, source, workflow_id, workflow_version, task_id, measure, id, center, spread, p05, p50, p95, season
    FROM ${validAt('baselines', '*')} WHERE measure IN ('duration', 'queue')
    UNION ALL
    SELECT workspace, source, workflow_id, '' AS workflow_version, task_id, measure, id, center, spread, p05, p50, p95, [] AS season
    FROM ${validAt('resource_baselines', '*')}),
  -- The version's own baseline wins over that of all versions.
  compared AS (
    SELECT ${measuredColumns.map((column) => `measured.${column} AS ${column}`).join(', ')},
      if(own.id != '', (own.id, own.center, own.spread, own.p05, own.p50, own.p95, own.season),
        (general.id, general.center, general.spread, general.p05, general.p50, general.p95, general.season))
        ::Tuple(id String, center Float64, spread Float64, p05 Float64, p50 Float64, p95 Float64, season Array(Float64)) AS usual
    FROM measured
    LEFT JOIN usual_of AS own ON own.workspace = measured.workspace AND own.source = measured.source AND own.workflow_id = measured.workflow
      AND own.task_id = measured.task AND own.workflow_version = measured.version AND own.measure = measured.measure
    LEFT JOIN usual_of AS general ON general.workspace = measured.workspace AND general.source = measured.source AND general.workflow_id = measured.workflow
      AND general.task_id = measured.task AND general.workflow_version = '' AND general.measure = measured.measure
    WHERE usual.id != ''),
  scored AS (
    SELECT *,
      usual.center + multiIf(length(usual.season) = 168, usual.season[${hourOfWeek} + 1], length(usual.season) = 24, usual.season[toHour(ended_at) + 1], 0) AS at_center,
      ${deviation('usual.p95')} AS above, ${deviation('usual.p05')} AS below,
      log(greatest(0.001, value)) - at_center AS residual,
      if(residual > 0, residual / above, residual / below) AS deviations,
      exp(at_center) AS usual_value,
      abs(value - usual_value) >= multiIf(measure = 'memory', ${leastDifferenceBytes}, measure = 'duration', 0, ${leastDifferenceMs}) AS matters,
      multiIf(NOT matters OR abs(deviations) < ${unusualFrom}, 'usual', deviations > 0, 'high', 'low') AS found
    FROM compared),
  grouped AS (
    SELECT workspace, source, workflow, version, task, map, attempt, execution_id, end_state, ended_at, worker,
      groupArray((measure, value, usual_value, exp(at_center - ${unusualFrom} * below), exp(at_center + ${unusualFrom} * above), deviations, found, usual.id)) AS all
    FROM scored
    GROUP BY workspace, source, workflow, version, task, map, attempt, execution_id, end_state, ended_at, worker)
SELECT workspace, workflow, task, one.1, ended_at, source, execution_id, map, attempt, version, end_state,
  one.2, one.3, one.4, one.5, one.6, one.7, one.8,
  if(one.7 = 'usual', [], arraySlice(arrayConcat(
    [${phrase('one')}],
    arrayMap(other -> concat('Also: ', ${phrase('other')}), arrayFilter(other -> other.1 != one.1 AND other.7 != 'usual', all)),
    if(one.1 = 'duration' AND one.7 = 'high' AND arrayExists(other -> other.1 = 'cpu' AND other.7 = 'usual', all),
      ['It used no more CPU than usual, so it waited for something'], []),
    if(attempt > 1, [concat('It was attempt ', toString(attempt))], []),
    if(worker != '', [concat('It ran on worker ', worker)], []),
    if(version != '', [concat('Its version is ', version)], [])), 1, 3))
FROM grouped ARRAY JOIN all AS one`;
}

/** By hashes: a set of names would take ten times the memory, and one in 10^12 of a million ends to be taken for another is bearable. */
function isNotScored(task: string): string {
  const hashOf = (...columns: string[]) => `cityHash64(workspace, source, execution_id, ${columns.join(', ')})`;
  const isKind = task === "''" ? "task_id = ''" : "task_id != ''";
  return `${hashOf('task', 'map', 'attempt', 'ended_at')} NOT IN (
      SELECT DISTINCT ${hashOf('task_id', 'map_index', 'attempt', 'ended_at')} FROM scores
      WHERE ended_at >= fromUnixTimestamp({from: UInt32}) AND ended_at < fromUnixTimestamp({to: UInt32}) AND ${inShard} AND ${isKind})`;
}

/** For instance: It took 12 s, 3.4 times the usual 3.5 s. */
function phrase(one: string): string {
  const amount = (value: string) =>
    `if(${one}.1 = 'memory', formatReadableSize(${value}), if(${value} < 1000, concat(toString(round(${value})), ' ms'), concat(toString(round(${value} / 1000, 1)), ' s')))`;
  const verb = `multiIf(${one}.1 = 'duration', 'It took ', ${one}.1 = 'queue', 'It waited ', ${one}.1 = 'cpu', 'It used CPU for ', 'It used memory of ')`;
  return `concat(${verb}, ${amount(`${one}.2`)}, ', ', toString(round(${one}.2 / greatest(0.001, ${one}.3), 2)), ' times the usual ', ${amount(`${one}.3`)})`;
}

/** Computes what CPU and memory usually are, for ends from an instant on, of the records of the week until an hour before. */
export async function publishResourceBaselines(
  database: Database,
  validFromMs: number,
  { shard, shards }: Pick<ScoreRange, 'shard' | 'shards'>,
): Promise<void> {
  const { resourceDays, leastRuns } = scoreDefaults;
  const toMs = validFromMs - 3_600_000;
  const range = { fromMs: toMs - resourceDays * 86_400_000, toMs, shard, shards };
  for (const { table, task } of kinds) {
    await database.insertSelect(
      `INSERT INTO resource_baselines (workspace, source, workflow_id, task_id, measure, valid_from, id, n, center, spread, p05, p50, p95)
       WITH told AS (
         SELECT workspace, source, workflow_id, ${task} AS task, one.1 AS measure, assumeNotNull(one.2) AS value
         FROM ${table} ARRAY JOIN [('cpu', cpu_us / 1000), ('memory', toFloat64(memory_peak_bytes))] AS one
         WHERE ${inRange} AND state = 'completed' AND one.2 > 0 AND ${inShard}),
       centers AS (
         SELECT workspace, source, workflow_id, task, measure, count() AS n, quantilesExact(0.05, 0.5, 0.95)(value) AS shares
         FROM told GROUP BY workspace, source, workflow_id, task, measure HAVING n >= ${leastRuns})
       SELECT told.workspace, told.source, told.workflow_id, told.task, told.measure, fromUnixTimestamp({validFrom: UInt32}),
         hex(cityHash64(told.workspace, told.source, told.workflow_id, told.task, told.measure, {validFrom: UInt32}, any(n), any(shares))),
         any(n), log(any(shares)[2]), quantileExact(0.5)(abs(log(value / shares[2]))), any(shares)[1], any(shares)[2], any(shares)[3]
       FROM told INNER JOIN centers USING (workspace, source, workflow_id, task, measure)
       GROUP BY told.workspace, told.source, told.workflow_id, told.task, told.measure`,
      { ...paramsOf(range), validFrom: Math.floor(validFromMs / 1000) },
      bounded,
    );
  }
}

/** How far scores have come; null where none were computed yet. */
export async function readScoredThrough(
  database: Database,
  { shard, shards }: Pick<ScoreRange, 'shard' | 'shards'>,
): Promise<{ throughMs: number | null; resourcesFromMs: number | null }> {
  const [row] = await database.rows<{ throughMs: number | null; resourcesFromMs: number | null }>(
    `SELECT
       (SELECT if(count() = 0, NULL, toUnixTimestamp(max(through)) * 1000) FROM scored_ranges WHERE shards = {shards: UInt32} AND shard = {shard: UInt32}) AS throughMs,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(max(valid_from)) * 1000) FROM resource_baselines WHERE ${inShard}) AS resourcesFromMs`,
    { shard, shards },
  );
  return row ?? { throughMs: null, resourcesFromMs: null };
}

export async function storeScoredThrough(
  database: Database,
  { toMs, shard, shards }: ScoreRange,
  scores: number,
): Promise<void> {
  await database.insert(new Block(scoredRangesTable, [{ shards, shard, throughMs: toMs, scores }]));
}

export interface ScoresAsk {
  workflowId: string;
  taskId: string;
  executionId: string;
  measure: string;
  direction: string;
  fromMs: number;
  toMs: number;
  limit: number;
}

export interface ScoreRow {
  workflow_id: string;
  task_id: string;
  execution_id: string;
  source: string;
  map_index: number;
  attempt: number;
  workflow_version: string;
  state: string;
  ended_at: string;
  measure: string;
  value: number;
  expected: number;
  low: number;
  high: number;
  score: number;
  direction: string;
  baseline_id: string;
  facts: string[];
}

const orAny = (column: string, name: string): string => `({${name}: String} = '' OR ${column} = {${name}: String})`;

/** Scores of a workspace, the newest first. */
export const scoresQuestion: Question<ScoresAsk, ScoreRow> = {
  name: 'scores',
  sql: () => `SELECT workflow_id, task_id, execution_id, source, map_index, attempt, workflow_version, state, ended_at, measure,
  value, expected, low, high, score, direction, baseline_id, facts
FROM scores FINAL
WHERE workspace = {workspace: String} AND ${orAny('workflow_id', 'workflowId')} AND ${orAny('task_id', 'taskId')}
  AND ${orAny('execution_id', 'executionId')} AND ${orAny('measure', 'measure')}
  AND (CASE {direction: String} WHEN '' THEN 1 WHEN 'unusual' THEN direction != 'usual' ELSE direction = {direction: String} END)
  AND ended_at >= fromUnixTimestamp64Milli({fromMs: Int64}, 'UTC') AND ended_at < fromUnixTimestamp64Milli({toMs: Int64}, 'UTC')
ORDER BY ended_at DESC, workflow_id, task_id, execution_id, map_index, attempt, measure
LIMIT {limit: UInt32}`,
};
