import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { RowReader } from '../question.ts';
import {
  type BaselineKey,
  type BaselineKind,
  type BaselineMeasure,
  type BaselineRow,
  baselinesTable,
  type GenerationRow,
  generationsTable,
} from '../tables/baselines.ts';

/** A statement keeps within memory whatever the hours hold; rows never leave the partition of their window. */
const boundedWork = {
  max_memory_usage: 2_000_000_000,
  max_bytes_before_external_group_by: 400_000_000,
  max_bytes_ratio_before_external_group_by: 0,
  do_not_merge_across_partitions_select_final: 1,
  max_threads: 2,
  max_execution_time: 60,
};

export interface BaselineFrontier {
  /** Hours before this instant have their rows. */
  hoursEndSeconds: number;
  /** No partition of the log is behind this instant; null where none has been read. */
  watermarkSeconds: number | null;
  /** Start of the oldest hour; null where there is none. */
  oldestSeconds: number | null;
  /** The newest complete generation; null where there is none. */
  validFromSeconds: number | null;
}

/** How far hours are final. A quiet partition counts as far as it is known to hold nothing unread. */
export async function readBaselineFrontier(
  database: Database,
  { kind, source }: BaselineKind,
  stream: string,
): Promise<BaselineFrontier> {
  const [frontier] = await database.rows<BaselineFrontier>(
    `SELECT
       (SELECT toUnixTimestamp(max(boundary)) FROM rollup_cursors WHERE target = {target: String}) AS hoursEndSeconds,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(min(through))) FROM (
          SELECT partition, max(known) AS through FROM (
            SELECT partition, watermark AS known FROM chunks WHERE stream = {stream: String}
            UNION ALL SELECT partition, idle_through FROM idle_partitions WHERE stream = {stream: String})
          GROUP BY partition)) AS watermarkSeconds,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(min(window_start))) FROM ${source}) AS oldestSeconds,
       (SELECT if(count() = 0, NULL, toUnixTimestamp(max(valid_from))) FROM baseline_generations WHERE kind = {kind: String}) AS validFromSeconds`,
    { target: source, stream, kind },
  );
  return frontier as BaselineFrontier;
}

/** Hours that one question looks at: those of some of the workflows, told by a hash. */
export interface BaselineSlice {
  /** Of the generation that they are for. */
  validFromSeconds: number;
  fromSeconds: number;
  throughSeconds: number;
  /** Hours from here on judge whether what recurred before does so still. */
  recentSeconds: number;
  part: number;
  parts: number;
}

const sliceFilter = 'cityHash64(workspace, workflow_id) % {parts: UInt32} = {part: UInt32}';
const rangeFilter =
  'window_start >= fromUnixTimestamp({from: UInt32}) AND window_start < fromUnixTimestamp({through: UInt32})';

const generationFilter = (kind: BaselineKind['kind']) =>
  `valid_from = fromUnixTimestamp({validFrom: UInt32}) AND task_id ${kind === 'tasks' ? '!=' : '='} ''`;

export async function countHourRows(
  database: Database,
  { source }: BaselineKind,
  { fromSeconds, throughSeconds }: Pick<BaselineSlice, 'fromSeconds' | 'throughSeconds'>,
): Promise<number> {
  const [counted] = await database.rows<{ n: number }>(
    `SELECT toFloat64(count()) AS n FROM ${source} WHERE ${rangeFilter}`,
    { from: fromSeconds, through: throughSeconds },
  );
  return counted?.n ?? 0;
}

/** What happened to a workflow or task in one hour of the week, lately or before. */
export interface BaselineSample extends BaselineKey {
  /** Hour of the week, from Monday 0:00 UTC. */
  slot: number;
  isRecent: boolean;
  /** Log buckets of microseconds, by bucket. */
  durations: Record<string, number>;
  queues: Record<string, number>;
  /** Start in seconds, runs finished, failed and timed out: of each hour with data. */
  windows: [startSeconds: number, finished: number, failures: number][];
}

/**
 * All samples of the slice, ordered by workflow and task, then version: the same rows give the same text. Without workflows that the
 * generation has rows of: those of a slice are inserted at once, so no workflow is there in part.
 */
export async function readBaselineSamples(
  database: Database,
  { kind, source }: BaselineKind,
  slice: BaselineSlice,
): Promise<BaselineSample[]> {
  const task = kind === 'tasks' ? 'task_id' : "''";
  return await database.rows<BaselineSample>(
    `SELECT workspace, source, workflow_id AS workflowId, workflow_version AS workflowVersion, taskId,
       (toDayOfWeek(hour) - 1) * 24 + toHour(hour) AS slot, toBool(hour >= fromUnixTimestamp({recent: UInt32})) AS isRecent,
       mapFilter((bucket, n) -> n > 0, sumMap(hour_durations)) AS durations,
       mapFilter((bucket, n) -> n > 0, sumMap(hour_queues)) AS queues,
       arraySort(groupArray((toUnixTimestamp(hour), finished, failures))) AS windows
     FROM (
       SELECT workspace, source, workflow_id, workflow_version, ${task} AS taskId, window_start AS hour,
         sumMap(completed_duration_us_hist) AS hour_durations, sumMap(queue_us_hist) AS hour_queues,
         sum(completed) + sum(failed) + sum(timeout) + sum(cancelled) + sum(partial) AS finished,
         sum(failed) + sum(timeout) AS failures
       FROM ${source} FINAL
       WHERE ${rangeFilter} AND ${sliceFilter}
         AND (workspace, workflow_id) NOT IN (SELECT workspace, workflow_id FROM baselines WHERE ${generationFilter(kind)})
       GROUP BY workspace, source, workflow_id, workflow_version, taskId, window_start)
     GROUP BY workspace, source, workflow_id, workflow_version, taskId, slot, isRecent
     ORDER BY workspace, source, workflow_id, taskId, workflow_version, slot, isRecent`,
    {
      from: slice.fromSeconds,
      through: slice.throughSeconds,
      recent: slice.recentSeconds,
      part: slice.part,
      parts: slice.parts,
      validFrom: slice.validFromSeconds,
    },
    boundedWork,
  );
}

const keyColumns = `workspace, source, workflow_id AS workflowId, workflow_version AS workflowVersion, task_id AS taskId, measure`;

/** Which rows of a generation are there already. */
export async function readPublished(
  database: Database,
  { kind }: BaselineKind,
  { validFromSeconds, part, parts }: Pick<BaselineSlice, 'validFromSeconds' | 'part' | 'parts'>,
): Promise<(BaselineKey & { measure: BaselineMeasure })[]> {
  return await database.rows(
    `SELECT ${keyColumns} FROM baselines
     WHERE ${generationFilter(kind)} AND ${sliceFilter}`,
    { validFrom: validFromSeconds, part, parts },
  );
}

export async function countPublished(
  database: Database,
  { kind }: BaselineKind,
  validFromSeconds: number,
): Promise<number> {
  const [counted] = await database.rows<{ n: number }>(
    `SELECT toFloat64(uniqExact(workspace, source, workflow_id, workflow_version, task_id, measure)) AS n
     FROM baselines WHERE ${generationFilter(kind)}`,
    { validFrom: validFromSeconds },
  );
  return counted?.n ?? 0;
}

export async function publishBaselines(database: Database, baselines: readonly BaselineRow[]): Promise<void> {
  await database.insert(new Block(baselinesTable, baselines));
}

export async function storeGeneration(database: Database, generation: GenerationRow): Promise<void> {
  await database.insert(new Block(generationsTable, [generation]));
}

/** The newest complete generation of each kind, as epoch milliseconds. */
export async function readNewestGenerations(database: Database): Promise<Map<BaselineKind['kind'], number>> {
  const rows = await database.rows<{ kind: BaselineKind['kind']; validFromMs: number }>(
    'SELECT kind, toUnixTimestamp(max(valid_from)) * 1000 AS validFromMs FROM baseline_generations GROUP BY kind',
  );
  return new Map(rows.map(({ kind, validFromMs }) => [kind, validFromMs]));
}

/** Names travel in the address of the request, which servers bound. */
const keysPerQuestion = 100;

/** The newest baselines of some keys that were valid at an instant, and of the same keys without their version. */
export async function readBaselines(
  database: Database,
  keys: readonly BaselineKey[],
  atSeconds: number,
): Promise<BaselineRow[]> {
  const found: BaselineRow[] = [];
  for (let from = 0; from < keys.length; from += keysPerQuestion) {
    const some = keys.slice(from, from + keysPerQuestion);
    const all = (take: (key: BaselineKey) => string) => [...new Set(some.map(take))];
    const rows = await database.rows<BaselineRow>(
      `SELECT ${keyColumns}, toUnixTimestamp(valid_from) * 1000 AS validFromMs, id, method_version AS methodVersion, n, windows,
         toUnixTimestamp(windows_from) * 1000 AS windowsFromMs, toUnixTimestamp(windows_through) * 1000 AS windowsThroughMs,
         center, spread, p05, p25, p50, p75, p95, season
       FROM baselines
       WHERE workspace IN {workspaces: Array(String)} AND workflow_id IN {workflows: Array(String)}
         AND source IN {sources: Array(String)} AND workflow_version IN {versions: Array(String)}
         AND task_id IN {tasks: Array(String)} AND valid_from <= fromUnixTimestamp({at: UInt32})
       ORDER BY valid_from DESC, ver DESC
       LIMIT 1 BY workspace, source, workflow_id, workflow_version, task_id, measure`,
      {
        workspaces: all(({ workspace }) => workspace),
        workflows: all(({ workflowId }) => workflowId),
        sources: all(({ source }) => source),
        versions: [...all(({ workflowVersion }) => workflowVersion), ''],
        tasks: all(({ taskId }) => taskId),
        at: atSeconds,
      },
    );
    found.push(...rows);
  }
  return found;
}

/** What recurs in how long workflows and tasks take, from an instant on. */
export interface SeasonRow {
  workspace: string;
  source: string;
  workflowId: string;
  taskId: string;
  validFromMs: number;
  id: string;
  season: readonly number[];
}

/** Generations older than this at the begin of a range were not renewed. */
const seasonHours = 30;

/** Of each workflow and task of a shard the seasons of all versions that held at some time of a range, the oldest first. */
export async function readSeasons(
  database: RowReader,
  { fromMs, toMs, shard, shards }: { fromMs: number; toMs: number; shard: number; shards: number },
): Promise<SeasonRow[]> {
  return await database.rows<SeasonRow>(
    `SELECT workspace, source, workflow_id AS workflowId, task_id AS taskId, toUnixTimestamp(valid_from) * 1000 AS validFromMs, id, season
     FROM baselines
     WHERE measure = 'duration' AND workflow_version = '' AND valid_from <= fromUnixTimestamp({to: UInt32})
       AND valid_from > fromUnixTimestamp({from: UInt32}) - toIntervalHour(${seasonHours})
       AND cityHash64(workspace, source) % {shards: UInt32} = {shard: UInt32}
     ORDER BY valid_from, ver DESC
     LIMIT 1 BY workspace, source, workflow_id, task_id, valid_from`,
    { from: Math.floor(fromMs / 1000), to: Math.floor(toMs / 1000), shard, shards },
    boundedWork,
  );
}
