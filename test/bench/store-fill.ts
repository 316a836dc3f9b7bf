import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { Database } from '../../clickhouse/client.ts';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import { partitions } from './catch-up.ts';
import type { BenchServers } from './servers.ts';
import { createFleetRecords } from './store-records.ts';

/**
 * Telemetry through Kafka and a pipeline process as they ship, hours and days by their job, and then two databases of the same
 * rows: one with its parts as they were when the last of them arrived, and one with all of them merged.
 */
export interface Filling {
  /** Task events that were stored. */
  taskRows: number;
  recordsPerSecond: number;
  cells: number;
  rollupSeconds: number;
}

export interface FillOptions {
  rows: number;
  spanMs: number;
  /** A slow machine stores fewer rows than asked for rather than none in time; what was stored is what is reported. */
  fillMs: number;
  /** What cannot be sent in that time is left to later runs on the same folder instead. */
  goesOnLater?: boolean;
}

/** How far the runs before this one came. */
interface Progress {
  startMs: number;
  records: number;
  taskRows: number;
  seconds: number;
}

export const databaseNames = { asWritten: 'as_written', merged: 'merged' } as const;

/** The newest rows stay in the parts in which they were written. */
const unmergedRatio = 0.05;
const sliceRows = 100_000;
/** How far the log may be ahead of what is durable. */
const aheadRecords = 500_000;
const topics = { executions: 'store-executions', tasks: 'store-tasks' };

/** What a folder holds, once it is filled to its end. */
const receiptOf = (folder: string): string => path.join(folder, 'filled.json');
/** There as long as all that was sent is durable and nobody is sending more. */
const progressOf = (folder: string): string => path.join(folder, 'filling.json');

/** Refuses a folder that holds something else, or half of it. */
export function prepareFolder(folder: string): void {
  if (existsSync(folder) && ![receiptOf(folder), progressOf(folder)].some(existsSync)) {
    throw new Error(`${folder} is there, and was not left by this bench in order; remove it or name another`);
  }
  mkdirSync(folder, { recursive: true });
}

/** Fills the databases, unless an earlier run has; null where a later run is to go on. */
export function fillDatabases(
  servers: BenchServers,
  options: FillOptions & { goesOnLater?: false },
  say: (what: string) => void,
): Promise<Filling>;
export function fillDatabases(
  servers: BenchServers,
  options: FillOptions,
  say: (what: string) => void,
): Promise<Filling | null>;
export async function fillDatabases(
  servers: BenchServers,
  options: FillOptions,
  say: (what: string) => void,
): Promise<Filling | null> {
  const receipt = receiptOf(servers.folder);
  if (existsSync(receipt)) return JSON.parse(readFileSync(receipt, 'utf8')) as Filling;
  const asWritten = await servers.createDatabase(databaseNames.asWritten);
  const merged = await servers.createDatabase(databaseNames.merged);
  try {
    const filling = await fill(servers, asWritten, options, say);
    if (filling === null) return null;
    await copyMerged(asWritten, merged);
    say('a copy of it merged');
    writeFileSync(receipt, JSON.stringify(filling));
    return filling;
  } finally {
    await Promise.all([asWritten.close(), merged.close()]);
  }
}

async function fill(
  servers: BenchServers,
  database: Database,
  { rows, spanMs, fillMs, goesOnLater = false }: FillOptions,
  say: (what: string) => void,
): Promise<Filling | null> {
  for (const topic of Object.values(topics)) await servers.createTopic(topic, partitions);
  const progress = takeProgress(servers.folder, spanMs);
  // Hours and days are made by the job that is measured below.
  const pipeline = servers.startPipeline(database, topics, { WEIR_ROLLUP_INTERVAL_MS: '3600000' });
  const telemetry = createFleetRecords({ taskRecords: rows, startMs: progress.startMs, spanMs, seed: 1 });
  for (let passed = 0; passed < progress.records; passed++) telemetry.next();
  const startedMs = performance.now();
  const isInTime = () => performance.now() - startedMs < fillMs;
  const settledRows = Math.floor(rows * (1 - unmergedRatio));
  while (progress.taskRows < settledRows && isInTime()) {
    const slice = Math.min(sliceRows, settledRows - progress.taskRows);
    progress.records += await send(servers, telemetry, slice);
    progress.taskRows += slice;
    await awaitDurable(database, progress.records - aheadRecords);
    if (progress.taskRows % (10 * sliceRows) === 0) say(`${progress.taskRows} task events sent`);
  }
  await awaitDurable(database, progress.records);
  if (goesOnLater && progress.taskRows < settledRows) {
    await pipeline.stop();
    progress.seconds += (performance.now() - startedMs) / 1000;
    writeFileSync(progressOf(servers.folder), JSON.stringify(progress));
    say(`${progress.taskRows} task events stored, of ${rows}; the same command goes on`);
    return null;
  }
  await holdMerges(database);
  const newest =
    progress.taskRows < settledRows ? Math.round(progress.taskRows * unmergedRatio) : rows - progress.taskRows;
  progress.records += await send(servers, telemetry, newest);
  await awaitDurable(database, progress.records);
  progress.taskRows += newest;
  progress.seconds += (performance.now() - startedMs) / 1000;
  await pipeline.stop();
  const recordsPerSecond = progress.records / progress.seconds;
  say(`${progress.taskRows} task events stored, ${Math.round(recordsPerSecond)} records/s with sending`);
  const [found] = await database.rows<{ cells: number }>(
    `SELECT sum(rows) AS cells FROM system.parts WHERE active AND database = currentDatabase() AND table LIKE '%_cells'`,
  );
  const rollupSeconds = await runRollup(database);
  say('cells rolled up');
  // Whoever asks these rows would otherwise share the machine with a job that makes up for all days at once.
  await servers.finishJob('pipelines/baseline-command.ts', database, topics);
  say('baselines published');
  return { taskRows: progress.taskRows, recordsPerSecond, cells: found?.cells ?? 0, rollupSeconds };
}

/** A run that does not end in order leaves a folder of which nobody knows what it holds. */
function takeProgress(folder: string, spanMs: number): Progress {
  const file = progressOf(folder);
  if (!existsSync(file)) return { startMs: Date.now() - spanMs - 300_000, records: 0, taskRows: 0, seconds: 0 };
  const progress = JSON.parse(readFileSync(file, 'utf8')) as Progress;
  rmSync(file);
  return progress;
}

/** Sends so many task records, with those of their executions, and counts all that were sent. */
async function send(
  servers: BenchServers,
  telemetry: ReturnType<typeof createFleetRecords>,
  taskRecords: number,
): Promise<number> {
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

async function awaitDurable(database: Database, records: number): Promise<void> {
  for (;;) {
    const [ledger] = await database.rows<{ durable: number }>(
      'SELECT sum(stored + dropped + dead + duplicate) AS durable FROM chunks FINAL',
    );
    if ((ledger?.durable ?? 0) >= records) return;
    await sleep(100);
  }
}

async function tablesOf(database: Database): Promise<string[]> {
  const tables = await database.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
  );
  return tables.map(({ name }) => name);
}

/** For good: a server that starts anew on the folder forgets SYSTEM STOP MERGES. */
async function holdMerges(database: Database): Promise<void> {
  await database.command('SYSTEM STOP MERGES');
  for (const name of await tablesOf(database)) {
    await database.command(
      `ALTER TABLE ${name} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1, min_age_to_force_merge_seconds = 0`,
    );
  }
  await database.command('SYSTEM START MERGES');
}

async function runRollup(database: Database): Promise<number> {
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

async function copyMerged(from: Database, to: Database): Promise<void> {
  for (const name of await copyParts(from, to)) {
    await to.command(`OPTIMIZE TABLE ${name} FINAL`, { max_execution_time: 0, optimize_throw_if_noop: 0 });
  }
}

/** Parts are shared by both databases until they are merged, so the copy costs nothing. Gives the tables that were copied. */
export async function copyParts(from: Database, to: Database): Promise<string[]> {
  const tables = (await tablesOf(from)).filter((name) => name !== 'schema_migrations');
  for (const name of tables) await to.command(`ALTER TABLE ${name} ATTACH PARTITION ALL FROM ${from.name}.${name}`);
  return tables;
}
