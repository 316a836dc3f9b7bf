import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Registry } from 'prom-client';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import { partitions } from './catch-up.ts';
import { type Bar, finishBench, percentile, round } from './report.ts';
import { BenchServers } from './servers.ts';
import { readSubjects, type Subject, storeQuestions } from './store-questions.ts';
import { createFleetRecords } from './store-records.ts';

/**
 * What a task event costs on disk with everything that is made of it, how fast the roll-up job works through the cells,
 * and how long the commonest questions take: with parts as they arrive, nothing merged since, and with all of them merged. The
 * telemetry goes through Kafka and a pipeline process as they ship.
 */
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    days: { type: 'string', default: '7' },
    asks: { type: 'string', default: '24' },
    'fill-minutes': { type: 'string', default: '5.5' },
  },
});
const barRows = 10_000_000;
const rows = Number(options.rows);
const asks = Number(options.asks);
/** Fewer rows span less time, so that a minute holds as many of them, and a row as much of a cell, as in the full run. */
const spanMs = (rows / barRows) * Number(options.days) * 86_400_000;
/** The newest rows stay in the parts in which they were written. */
const unmergedRatio = 0.05;
/** A slow machine stores fewer rows than asked for rather than none in time; what was stored is what is reported. */
const fillMs = Number(options['fill-minutes']) * 60_000;
const sliceRows = 100_000;
/** How far the log may be ahead of what is durable. */
const aheadRecords = 500_000;

const servers = await BenchServers.start();
const database = await servers.createDatabase();
const topics = { executions: 'store-executions', tasks: 'store-tasks' };

/** Sends so many task records, with those of their executions, and counts all that were sent. */
async function send(telemetry: ReturnType<typeof createFleetRecords>, taskRecords: number): Promise<number> {
  let sent = 0;
  let tasks = 0;
  let bytes = 0;
  let batches = new Map<string, { key: string; value: Buffer; timestamp: string }[]>();
  const flush = async () => {
    const topicMessages = [...batches].map(([topic, messages]) => ({ topic, messages }));
    if (topicMessages.length > 0) await servers.producer.sendBatch({ acks: -1, topicMessages });
    batches = new Map();
    bytes = 0;
  };
  while (tasks < taskRecords) {
    const { value: record, done } = telemetry.next();
    if (done === true) break;
    const topic = topics[record.topic];
    const message = { key: record.key, value: record.value, timestamp: String(record.timestampMs) };
    (batches.get(topic) ?? batches.set(topic, []).get(topic))?.push(message);
    sent++;
    if (record.topic === 'tasks') tasks++;
    bytes += record.value.length + 80;
    // The broker refuses batches of more than a megabyte.
    if (bytes > 700_000) await flush();
  }
  await flush();
  return sent;
}

async function awaitDurable(records: number): Promise<void> {
  for (;;) {
    const [ledger] = await database.rows<{ durable: number }>(
      'SELECT sum(stored + dropped + dead + duplicate) AS durable FROM chunks FINAL',
    );
    if ((ledger?.durable ?? 0) >= records) return;
    await sleep(100);
  }
}

interface Filled {
  taskRows: number;
  recordsPerSecond: number;
}

async function fill(): Promise<Filled> {
  for (const topic of Object.values(topics)) await servers.createTopic(topic, partitions);
  // Hours and days are made by the job that is measured below.
  const pipeline = servers.startPipeline(database, topics, { WEIR_ROLLUP_INTERVAL_MS: '3600000' });
  const telemetry = createFleetRecords({ taskRecords: rows, startMs: Date.now() - spanMs - 300_000, spanMs, seed: 1 });
  const startedMs = performance.now();
  const settledRows = Math.floor(rows * (1 - unmergedRatio));
  let records = 0;
  let taskRows = 0;
  while (taskRows < settledRows && performance.now() - startedMs < fillMs) {
    const slice = Math.min(sliceRows, settledRows - taskRows);
    records += await send(telemetry, slice);
    taskRows += slice;
    await awaitDurable(records - aheadRecords);
  }
  await awaitDurable(records);
  await database.command('SYSTEM STOP MERGES');
  const newest = taskRows < settledRows ? Math.round(taskRows * unmergedRatio) : rows - taskRows;
  records += await send(telemetry, newest);
  await awaitDurable(records);
  await pipeline.stop();
  return { taskRows: taskRows + newest, recordsPerSecond: records / ((performance.now() - startedMs) / 1000) };
}

interface StoredTable {
  name: string;
  rows: number;
  bytes: number;
  parts: number;
}

const readTables = (): Promise<StoredTable[]> =>
  database.rows<StoredTable>(
    `SELECT table AS name, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts
     WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC`,
  );

const sumOf = (tables: readonly StoredTable[], field: 'bytes' | 'parts'): number =>
  tables.reduce((sum, table) => sum + table[field], 0);

async function runRollup(): Promise<number> {
  const silent = () => undefined;
  const job = new RollupJob({
    database,
    metrics: createRollupMetrics(new Registry()),
    log: { info: silent, warn: silent, error: silent },
    intervalMs: 1_000,
  });
  const startedMs = performance.now();
  await job.runToEnd();
  return (performance.now() - startedMs) / 1000;
}

/** Milliseconds of each asking, by question; the questions take turns, so that none always finds its own data warm. */
async function askAll(subjects: readonly Subject[]): Promise<Map<string, number[]>> {
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
async function assertContent(taskRows: number): Promise<void> {
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
  const filled = await fill();
  step(`${filled.taskRows} task events stored, ${Math.round(filled.recordsPerSecond)} records/s with sending`);
  const written = await readTables();
  const cells = written.filter(({ name }) => name.endsWith('_cells')).reduce((sum, table) => sum + table.rows, 0);
  const rollupSeconds = await runRollup();
  step(`${cells} cells rolled up`);
  const subjects = await readSubjects(database, asks);
  await askAll(subjects.slice(0, 2));
  const unmergedTables = await readTables();
  const unmerged = await askAll(subjects);
  step(`asked with ${sumOf(unmergedTables, 'parts')} parts`);
  await database.command('SYSTEM START MERGES');
  for (const { name } of unmergedTables) {
    await database.command(`OPTIMIZE TABLE ${name} FINAL`, { max_execution_time: 0, optimize_throw_if_noop: 0 });
  }
  const tables = await readTables();
  step(`merged to ${sumOf(tables, 'parts')} parts`);
  await askAll(subjects.slice(0, 2));
  const merged = await askAll(subjects);
  step('asked again');
  await assertContent(filled.taskRows);
  report({ ...filled, cells, rollupSeconds, unmerged, merged, unmergedTables, tables });
}

interface Found extends Filled {
  cells: number;
  rollupSeconds: number;
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
  await database.close();
  await servers.stop();
}
