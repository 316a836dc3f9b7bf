import type { Database } from '../../clickhouse/client.ts';
import {
  executionCellsTable,
  executionDimensions,
  taskCellsTable,
  taskDimensions,
} from '../../clickhouse/tables/cells.ts';
import { orchestratorCellsTable, orchestratorDimensions } from '../../clickhouse/tables/orchestrator-cells.ts';
import type { TopicKind } from '../decode.ts';
import type { CellValues } from './recompute.ts';
import { DifferenceList } from './report.ts';
import { isLatest, summariseReadings, takeLater } from './report-windows.ts';
import { readJsonLines, readValues, selectMeasure } from './stored.ts';

export interface RollupCheck {
  database: Database;
  kind: TopicKind;
  /** Older hours may have outlived some of their cells and cannot be told from them any more. */
  cellsRetentionDays: number;
  /** How long to wait for the roll-up job where something differs. */
  waitMs: number;
}

const hourSeconds = 3600;
const daySeconds = 24 * hourSeconds;
/** Days of more cells are read hour by hour, so that memory stays bounded; most are read in one answer. */
const mostCellsAtOnce = 200_000;
/** On a live system cells may arrive between two reads; more often than this in one day is no accident. */
const looks = 4;
const pollMs = 250;

interface Kind {
  prefix: string;
  dimensions: readonly string[];
  /** Measures of a cell, and those of hours and days. */
  cellMeasures: readonly { name: string; type: string }[];
  windowMeasures: readonly { name: string; type: string }[];
  /** What a window holds whose cells have been added up. */
  finish(dims: string, sum: CellValues): CellValues;
}

/** What stands between the dimensions and the measures of a cell. */
const cellPlace = ['window_start', 'stream', 'partition', 'chunk', 'fold_version', 'ver'];

function ofRuns(prefix: string, table: typeof taskCellsTable, dimensions: readonly string[]): Kind {
  const measures = table.columns.slice(dimensions.length + cellPlace.length);
  return { prefix, dimensions, cellMeasures: measures, windowMeasures: measures, finish: (_, sum) => sum };
}

const reportMeasures = orchestratorCellsTable.columns.slice(orchestratorDimensions.length + cellPlace.length);
const typeOfLast = reportMeasures.find(({ name }) => name === 'last')?.type ?? '';
const kinds: Record<TopicKind, Kind> = {
  executions: ofRuns('execution', executionCellsTable, executionDimensions),
  tasks: ofRuns('task', taskCellsTable, taskDimensions),
  orchestrators: {
    prefix: 'orchestrator',
    dimensions: orchestratorDimensions,
    cellMeasures: reportMeasures,
    windowMeasures: [
      ...reportMeasures.filter(({ name }) => name !== 'readings'),
      { name: 'first', type: typeOfLast },
      { name: 'increase', type: 'Decimal(38, 6)' },
    ],
    finish: summariseReadings,
  },
};

/** Sums by dimensions and start of the window. */
type Windows = Map<string, CellValues>;

/** Adds up what hours and days are by their minute cells, one cell after the other, and compares every value with what is stored. */
export async function verifyRollups(check: RollupCheck): Promise<DifferenceList[]> {
  const hours = new DifferenceList(`${check.kind} 1h`);
  const days = new DifferenceList(`${check.kind} 1d`);
  const deadlineMs = performance.now() + check.waitMs;
  const { hoursEnd, daysEnd, nowSeconds } = await readProgress(check);
  const oldest = nowSeconds - check.cellsRetentionDays * daySeconds;
  for (const { day, cells } of await listDays(check, hoursEnd)) {
    if (day < oldest) {
      hours.note('some days are older than the retention of their cells, and are not checked');
      continue;
    }
    const hoursAtOnce = cells > mostCellsAtOnce ? 1 : 24;
    await verifyDay(check, { day, hoursAtOnce, hoursEnd, daysEnd, deadlineMs }, hours, days);
  }
  return [hours, days];
}

interface Day {
  day: number;
  hoursAtOnce: number;
  hoursEnd: number;
  daysEnd: number;
  deadlineMs: number;
}

async function verifyDay(check: RollupCheck, at: Day, hours: DifferenceList, days: DifferenceList): Promise<void> {
  for (let look = 1; ; look++) {
    const { nowSeconds } = await readProgress(check);
    const hoursOfDay = new DifferenceList(hours.name);
    const dayItself = new DifferenceList(days.name);
    await compareDay(check, at, hoursOfDay, dayItself);
    const isEqual = hoursOfDay.different + dayItself.different === 0;
    if (isEqual || look === looks || !(await awaitJob(check, nowSeconds, at.deadlineMs))) {
      hours.add(hoursOfDay);
      days.add(dayItself);
      return;
    }
  }
}

/** True once the job has ended a run that began after this instant. */
async function awaitJob(check: RollupCheck, sinceSeconds: number, deadlineMs: number): Promise<boolean> {
  while (performance.now() < deadlineMs) {
    if ((await readProgress(check)).completeSeconds > sinceSeconds) return true;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return false;
}

async function readProgress({ database, kind }: RollupCheck) {
  const { prefix } = kinds[kind];
  const [progress] = await database.rows<Record<'hoursEnd' | 'daysEnd' | 'completeSeconds' | 'nowSeconds', number>>(
    `SELECT toUnixTimestamp(maxIf(boundary, target = {hours: String})) AS hoursEnd,
       toUnixTimestamp(maxIf(boundary, target = {days: String})) AS daysEnd,
       toUnixTimestamp(maxIf(complete_at, target = {days: String})) AS completeSeconds, toUnixTimestamp(now()) AS nowSeconds
     FROM rollup_cursors`,
    { hours: `${prefix}_hours`, days: `${prefix}_days` },
  );
  return progress;
}

/** Days of which there are cells, or hours, or a row of their own. */
async function listDays({ database, kind }: RollupCheck, hoursEnd: number): Promise<{ day: number; cells: number }[]> {
  const { prefix } = kinds[kind];
  const tables = ['cells', 'hours', 'days'].map(
    (suffix) =>
      `SELECT toUnixTimestamp(toStartOfDay(window_start)) AS day, count() AS n FROM ${prefix}_${suffix}
       WHERE window_start < {hoursEnd: UInt32} GROUP BY day`,
  );
  return await database.rows<{ day: number; cells: number }>(
    `SELECT day, sum(n) AS cells FROM (${tables.join(' UNION ALL ')}) GROUP BY day ORDER BY day`,
    { hoursEnd },
  );
}

async function compareDay(check: RollupCheck, at: Day, hours: DifferenceList, days: DifferenceList): Promise<void> {
  const sums: Windows = new Map();
  const end = Math.min(at.day + daySeconds, Math.max(at.hoursEnd, at.day));
  for (let from = at.day; from < at.day + daySeconds; from += at.hoursAtOnce * hourSeconds) {
    const below = from + at.hoursAtOnce * hourSeconds;
    const expected: Windows = new Map();
    for await (const { dims, startSeconds, values } of readRows(check, 'cells', from, below)) {
      addTo(sums, windowKey(dims, at.day), values);
      const hour = startSeconds - (startSeconds % hourSeconds);
      if (hour < end) addTo(expected, windowKey(dims, hour), values);
    }
    finishAll(check, expected);
    compareWindows(expected, await readWindows(check, 'hours', from, Math.min(below, end)), hours);
  }
  if (at.day >= at.daysEnd) return;
  finishAll(check, sums);
  compareWindows(sums, await readWindows(check, 'days', at.day, at.day + daySeconds), days);
}

function finishAll({ kind }: RollupCheck, windows: Windows): void {
  const { finish } = kinds[kind];
  for (const [key, sum] of windows) windows.set(key, finish(key.slice(0, key.lastIndexOf(' ')), sum));
}

const windowKey = (dims: string, startSeconds: number): string =>
  `${dims} ${new Date(startSeconds * 1000).toISOString()}`;

interface StoredRow {
  dims: string;
  startSeconds: number;
  values: CellValues;
}

async function* readRows(
  { database, kind }: RollupCheck,
  suffix: 'cells' | 'hours' | 'days',
  from: number,
  below: number,
): AsyncGenerator<StoredRow> {
  const { prefix, dimensions, cellMeasures, windowMeasures } = kinds[kind];
  const measures = (suffix === 'cells' ? cellMeasures : windowMeasures).flatMap(selectMeasure);
  const fields = measures.map(({ field }) => field);
  const answer = await database.stream(
    `SELECT ${dimensions.join(', ')}, toUnixTimestamp(window_start), ${measures.map(({ sql }) => sql).join(', ')}
     FROM ${prefix}_${suffix} FINAL
     WHERE window_start >= {from: UInt32} AND window_start < {below: UInt32} FORMAT JSONCompactEachRow`,
    { from, below },
  );
  for await (const row of readJsonLines(answer)) {
    yield {
      dims: JSON.stringify(row.slice(0, dimensions.length)),
      startSeconds: Number(row[dimensions.length]),
      values: readValues(fields, row.slice(dimensions.length + 1)),
    };
  }
}

async function readWindows(
  check: RollupCheck,
  suffix: 'hours' | 'days',
  from: number,
  below: number,
): Promise<Windows> {
  const windows: Windows = new Map();
  for await (const { dims, startSeconds, values } of readRows(check, suffix, from, below)) {
    windows.set(windowKey(dims, startSeconds), values);
  }
  return windows;
}

function addTo(windows: Windows, key: string, values: CellValues): void {
  let sum = windows.get(key);
  if (sum === undefined) {
    sum = new Map();
    windows.set(key, sum);
  }
  if (values.has('last_at')) takeLater(sum, values);
  for (const [field, value] of values) {
    if (isLatest(field)) continue;
    const known = sum.get(field);
    if (known === undefined) sum.set(field, value);
    else if (field.endsWith('_min')) sum.set(field, value < known ? value : known);
    else if (field.endsWith('_max')) sum.set(field, value > known ? value : known);
    else sum.set(field, known + value);
  }
}

function compareWindows(expected: Windows, stored: Windows, list: DifferenceList): void {
  list.rows += expected.size;
  for (const key of new Set([...expected.keys(), ...stored.keys()])) {
    const [sum, row] = [expected.get(key), stored.get(key)];
    if (sum === undefined || row === undefined) {
      list.differ(key, sum === undefined ? 'no row' : 'a row', row === undefined ? 'none' : 'one');
      continue;
    }
    for (const field of new Set([...sum.keys(), ...row.keys()])) {
      const isExtreme = field.endsWith('_min') || field.endsWith('_max');
      const [left, right] = [sum.get(field), row.get(field)];
      if (isExtreme ? left === right : (left ?? 0n) === (right ?? 0n)) continue;
      list.differ(`${key} ${field}`, left ?? 'nothing', right ?? 'nothing');
    }
  }
}
