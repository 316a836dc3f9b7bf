import type { Database } from '../../clickhouse/client.ts';
import { type BaselineKind, baselineKinds } from '../../clickhouse/tables/baselines.ts';
import { type ExpectedBaseline, expectBaselines, type StoredHour } from './expected-baselines.ts';
import { DifferenceList } from './report.ts';

export interface BaselineCheck {
  database: Database;
  /** Workflows and tasks that are compared at most; of more, so many are picked by a hash of their names. */
  mostKeys?: number;
}

const recentSeconds = 7 * 86_400;
/** Of the published methods, the one that is computed here. */
const methodVersion = 1;
/** Sums of floating-point numbers in another order differ in their last digits. */
const tolerance = 1e-9;

interface Generation {
  validFrom: number;
  methodVersion: number;
  windowsFrom: number;
  windowsThrough: number;
  baselines: number;
  writtenAt: number;
}

/** A key is a workflow or task with all its versions: workspace, source, workflow and task. */
interface StoredBaseline extends ExpectedBaseline {
  key: string;
  version: string;
  measure: string;
  windowsFrom: number;
  windowsThrough: number;
  writtenAt: number;
}

/** Computes the newest generation of baselines again from the hours that are stored, and compares every number. */
export async function verifyBaselines(check: BaselineCheck): Promise<DifferenceList[]> {
  const lists: DifferenceList[] = [];
  for (const kind of baselineKinds) {
    const list = new DifferenceList(`${kind.kind} baselines`);
    lists.push(list);
    const [generation] = await check.database.rows<Generation>(
      `SELECT toUnixTimestamp(valid_from) AS validFrom, method_version AS methodVersion, baselines, toUnixTimestamp(windows_from) AS windowsFrom,
         toUnixTimestamp(windows_through) AS windowsThrough, toUnixTimestamp(written_at) AS writtenAt
       FROM baseline_generations FINAL WHERE kind = {kind: String} ORDER BY valid_from DESC LIMIT 1`,
      { kind: kind.kind },
    );
    if (generation === undefined) continue;
    if (generation.methodVersion === methodVersion) await verifyGeneration(check, kind, generation, list);
    else list.note(`the newest generation is of method ${generation.methodVersion}, and is not compared`);
  }
  return lists;
}

const ofKind = ({ kind }: BaselineKind): string => (kind === 'tasks' ? "task_id != ''" : "task_id = ''");
const picked = (task: string) => `cityHash64(workspace, source, workflow_id, ${task}) % {parts: UInt32} = 0`;
const keyOf = (task: string) => `toJSONString([toString(workspace), toString(source), toString(workflow_id), ${task}])`;

async function verifyGeneration(
  { database, mostKeys = 300 }: BaselineCheck,
  kind: BaselineKind,
  generation: Generation,
  list: DifferenceList,
): Promise<void> {
  const { validFrom, windowsThrough } = generation;
  const task = kind.kind === 'tasks' ? 'toString(task_id)' : "''";
  const [counted] = await database.rows<{ rows: number; keys: number }>(
    `SELECT count() AS rows, uniqExact(workspace, source, workflow_id, task_id) AS keys FROM baselines FINAL
     WHERE valid_from = fromUnixTimestamp({validFrom: UInt32}) AND ${ofKind(kind)}`,
    { validFrom },
  );
  if (counted?.rows !== generation.baselines)
    list.differ('rows of the newest generation', generation.baselines, counted?.rows);
  const parts = Math.max(1, Math.ceil((counted?.keys ?? 0) / mostKeys));
  if (parts > 1) list.note(`one of every ${parts} workflows or tasks is computed again`);
  const hours = await readHours(database, kind, generation, task, parts);
  const stored = Map.groupBy(await readBaselines(database, kind, generation, task, parts), ({ key }) => key);
  const range = { throughSeconds: windowsThrough, recentSeconds: windowsThrough - recentSeconds };
  let changed = 0;
  for (const key of new Set([...hours.keys(), ...stored.keys()])) {
    const some = hours.get(key) ?? [];
    const rows = stored.get(key) ?? [];
    const found = new DifferenceList(list.name);
    compareKey(key, expectBaselines(some, range), rows, generation, found);
    // What is published stays as it is, whatever comes late.
    const publishedAt = Math.min(generation.writtenAt, ...rows.map(({ writtenAt }) => writtenAt));
    if (found.different > 0 && some.some(({ writtenAt }) => writtenAt >= publishedAt)) changed++;
    else list.add(found);
  }
  if (changed > 0) list.note(`${changed} workflows or tasks have had hours computed again since, and are not compared`);
}

async function readHours(
  database: Database,
  { source }: BaselineKind,
  { windowsFrom, windowsThrough }: Generation,
  task: string,
  parts: number,
): Promise<Map<string, (StoredHour & { writtenAt: number })[]>> {
  const rows = await database.rows<StoredHour & { key: string; writtenAt: number }>(
    `SELECT ${keyOf(task)} AS key, workflow_version AS version, toUnixTimestamp(window_start) AS startSeconds,
       sumMap(completed_duration_us_hist) AS durations, sumMap(queue_us_hist) AS queues,
       sum(completed + failed + timeout + cancelled + partial) AS finished, sum(failed + timeout) AS failures,
       toUnixTimestamp(max(written_at)) AS writtenAt
     FROM ${source} FINAL
     WHERE window_start >= fromUnixTimestamp({windowsFrom: UInt32})
       AND window_start < fromUnixTimestamp({windowsThrough: UInt32}) AND ${picked(task)}
     GROUP BY key, version, startSeconds ORDER BY key, version, startSeconds`,
    { windowsFrom, windowsThrough, parts },
  );
  return Map.groupBy(rows, ({ key }) => key);
}

async function readBaselines(
  database: Database,
  kind: BaselineKind,
  { validFrom }: Generation,
  task: string,
  parts: number,
): Promise<StoredBaseline[]> {
  return await database.rows<StoredBaseline>(
    `SELECT ${keyOf(task)} AS key, workflow_version AS version, measure, n, windows, center, spread, p05, p25, p50, p75, p95,
       season, toUnixTimestamp(windows_from) AS windowsFrom, toUnixTimestamp(windows_through) AS windowsThrough,
       toUnixTimestamp(toDateTime(written_at)) AS writtenAt
     FROM baselines FINAL
     WHERE valid_from = fromUnixTimestamp({validFrom: UInt32}) AND ${ofKind(kind)} AND ${picked(task)}`,
    { validFrom, parts },
  );
}

function compareKey(
  key: string,
  expected: ReturnType<typeof expectBaselines>,
  rows: readonly StoredBaseline[],
  { windowsFrom, windowsThrough }: Generation,
  list: DifferenceList,
): void {
  const missing = new Set([...expected].flatMap(([version, of]) => [...of.keys()].map((name) => `${version} ${name}`)));
  for (const row of rows) {
    const name = `${row.version} ${row.measure}`;
    const where = `${key} version ${JSON.stringify(row.version)} ${row.measure}`;
    missing.delete(name);
    list.rows++;
    const wanted = expected.get(row.version)?.get(row.measure);
    if (wanted === undefined) {
      list.differ(where, 'no baseline', 'one');
      continue;
    }
    compareNumbers(where, { ...wanted, windowsFrom, windowsThrough }, row, list);
  }
  for (const name of missing) list.differ(`${key} ${name.trim()}`, 'a baseline', 'none');
}

function compareNumbers(where: string, wanted: object, row: StoredBaseline, list: DifferenceList): void {
  for (const [field, value] of Object.entries(wanted)) {
    const found = row[field as keyof StoredBaseline];
    if (!isClose([value].flat(), [found].flat() as number[])) list.differ(`${where} ${field}`, value, found);
  }
}

const isClose = (left: readonly number[], right: readonly number[]): boolean =>
  left.length === right.length &&
  left.every((value, index) => {
    const other = right[index] as number;
    return Math.abs(value - other) <= tolerance * Math.max(1, Math.abs(value), Math.abs(other));
  });
