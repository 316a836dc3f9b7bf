import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { readSettings } from '../../deploy/local/clickhouse-users.ts';
import { type Bar, finishBench, percentile, round } from './report.ts';
import { BenchServers } from './servers.ts';
import { databaseNames, type Filling, fillDatabases, prepareFolder } from './store-fill.ts';
import { readSubjects, type Subject, storeQuestions } from './store-questions.ts';

/**
 * What a task event costs on disk with everything that is made of it, how fast the roll-up job works through the cells,
 * and how long the commonest questions take: with parts as they arrive, nothing merged since, and with all of them merged.
 * Filling takes much longer than asking: `--data DIR --fill-only` fills a folder that stays, and `--data DIR` asks what it holds;
 * with `--fill-minutes` too, the same command again goes on where that time ended.
 */
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    days: { type: 'string', default: '7' },
    asks: { type: 'string', default: '24' },
    'fill-minutes': { type: 'string', default: '120' },
    data: { type: 'string' },
    'fill-only': { type: 'boolean', default: false },
  },
});
const barRows = 10_000_000;
const rows = Number(options.rows);
const asks = Number(options.asks);
/** Fewer rows span less time, so that a minute holds as many of them, and a row as much of a cell, as in the full run. */
const spanMs = (rows / barRows) * Number(options.days) * 86_400_000;
const fillMs = Number(options['fill-minutes']) * 60_000;

if (options.data !== undefined) prepareFolder(options.data);
const servers = await BenchServers.start(options.data);
const databases: Database[] = [];

interface StoredTable {
  name: string;
  rows: number;
  bytes: number;
  parts: number;
}

const readTables = (database: Database): Promise<StoredTable[]> =>
  database.rows<StoredTable>(
    `SELECT table AS name, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts
     WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC`,
  );

const sumOf = (tables: readonly StoredTable[], field: 'bytes' | 'parts'): number =>
  tables.reduce((sum, table) => sum + table[field], 0);

/** Milliseconds of each asking, by question; the questions take turns, so that none always finds its own data warm. */
async function askAll(database: Database, subjects: readonly Subject[]): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(storeQuestions.map(({ name }) => [name, []]));
  for (const subject of subjects) {
    for (const { name, ask } of storeQuestions) {
      const startedMs = performance.now();
      const answer = await ask(database, subject);
      (times.get(name) as number[]).push(performance.now() - startedMs);
      if (answer.length > 0) answered.add(name);
    }
  }
  return times;
}

const answered = new Set<string>();

/** A time of wrong or empty answers is worth nothing. */
async function assertContent(database: Database, taskRows: number): Promise<void> {
  const [found] = await database.rows<Record<string, number>>(
    `SELECT (SELECT count() FROM task_events FINAL) AS events, (SELECT sum(attempt_started) FROM tasks_1m) AS minutes,
       (SELECT sum(attempt_started) FROM tasks_1h) AS hours, (SELECT countIf(state = 'running') FROM task_events FINAL) AS starts`,
  );
  const isWhole = found?.events === taskRows && found.minutes === found.starts && found.hours === found.starts;
  if (!isWhole) throw new Error(`expected ${taskRows} task events, counted once each, found ${JSON.stringify(found)}`);
  const silent = storeQuestions.filter(({ name }) => !answered.has(name));
  if (silent.length > 0) throw new Error(`no answer ever to: ${silent.map(({ name }) => name).join(', ')}`);
}

const secondsSince = (startedMs: number): number => Math.round((performance.now() - startedMs) / 1000);
const worst = (times: ReadonlyMap<string, readonly number[]>): number =>
  Math.max(...[...times.values()].map((some) => percentile(some, 0.95)));

async function measure(): Promise<void> {
  const beganMs = performance.now();
  const step = (name: string) => console.log(`${secondsSince(beganMs)} s: ${name}`);
  const goesOnLater = options['fill-only'] && options.data !== undefined;
  const filling = await fillDatabases(servers, { rows, spanMs, fillMs, goesOnLater }, step);
  if (options['fill-only'] || filling === null) return;
  // As users of the API and analysts read.
  const asWritten = await servers.createDatabase(databaseNames.asWritten, readSettings);
  databases.push(asWritten);
  const allMerged = await servers.createDatabase(databaseNames.merged, readSettings);
  databases.push(allMerged);
  const subjects = await readSubjects(allMerged, asks);
  const ask = async (database: Database) => {
    await askAll(database, subjects.slice(0, 2));
    const times = await askAll(database, subjects);
    const tables = await readTables(database);
    step(`asked with ${sumOf(tables, 'parts')} parts`);
    return { times, tables };
  };
  const unmerged = await ask(asWritten);
  const merged = await ask(allMerged);
  await assertContent(allMerged, filling.taskRows);
  report({
    ...filling,
    unmerged: unmerged.times,
    merged: merged.times,
    unmergedTables: unmerged.tables,
    tables: merged.tables,
  });
}

interface Found extends Filling {
  unmerged: Map<string, number[]>;
  merged: Map<string, number[]>;
  unmergedTables: StoredTable[];
  tables: StoredTable[];
}

function report({
  taskRows,
  recordsPerSecond,
  cells,
  rollupSeconds,
  unmerged,
  merged,
  unmergedTables,
  tables,
}: Found): void {
  console.table(
    tables.map(({ name, rows: stored, bytes }) => ({
      table: name,
      rows: stored,
      'bytes per task event': round(bytes / taskRows),
    })),
  );
  const questions = [...unmerged].map(([name, times]) => ({
    question: name,
    'unmerged p50 ms': round(percentile(times, 0.5)),
    'unmerged p95 ms': round(percentile(times, 0.95)),
    'merged p50 ms': round(percentile(merged.get(name) as number[], 0.5)),
    'merged p95 ms': round(percentile(merged.get(name) as number[], 0.95)),
  }));
  const totals = [
    { question: 'task events', value: taskRows },
    { question: 'task events per minute cell of a task', value: round(taskRows / cellsOf(tables, 'task_cells')) },
    { question: 'bytes per task event, unmerged', value: round(sumOf(unmergedTables, 'bytes') / taskRows) },
    { question: 'bytes per task event, merged', value: round(sumOf(tables, 'bytes') / taskRows) },
    { question: 'parts, unmerged', value: sumOf(unmergedTables, 'parts') },
    { question: 'roll-up job, cells/s', value: Math.round(cells / rollupSeconds) },
    { question: 'records stored/s', value: Math.round(recordsPerSecond) },
  ];
  const size = taskRows < barRows ? ` at ${taskRows} rows, of ${barRows} that are meant` : '';
  const bars: Bar[] = [
    {
      name: `store-bytes${size}`,
      value: sumOf(tables, 'bytes') / taskRows,
      unit: 'bytes per task event',
      direction: 'at most',
      bound: 120,
    },
    {
      name: `store-read-unmerged${size}`,
      value: worst(unmerged),
      unit: 'ms, p95 of the slowest question',
      direction: 'at most',
      bound: 300,
    },
    {
      name: `store-read-merged${size}`,
      value: worst(merged),
      unit: 'ms, p95 of the slowest question',
      direction: 'at most',
      bound: 300,
    },
  ];
  finishBench('store', [...questions, ...totals], bars);
}

const cellsOf = (tables: readonly StoredTable[], name: string): number =>
  tables.find((table) => table.name === name)?.rows ?? Number.NaN;

try {
  await measure();
} finally {
  for (const database of databases) await database.close();
  await servers.stop();
}
