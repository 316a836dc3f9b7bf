import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../clickhouse/client.ts';
import { type BacklogRecord, createBacklog } from '../../services/simulator/backlog.ts';
import { type BenchServers, cpuSecondsOf } from './servers.ts';

/** Catching up with a backlog of task records: what several benches measure. */
export const partitions = 4;
/** Under this id the registry of a bench keeps the schema of task records. */
export const taskSchemaId = 1;
const singleObjectHeaderBytes = 10;

export interface Run {
  recordsPerSecond: number;
  cpuMicrosPerRecord: number;
  clickhouseCpuMicrosPerRecord: number;
  peakMemoryMb: number;
}

/** `confluent` is Avro behind a schema id, which other readers of Kafka understand too. */
export type Encoding = 'avro' | 'json' | 'confluent';

interface BacklogShape {
  workflows?: number;
  spanMs?: number;
}

export async function fillTopic(
  servers: BenchServers,
  topic: string,
  encoding: Encoding,
  records: number,
  shape: BacklogShape = {},
): Promise<void> {
  await servers.createTopic(topic, partitions);
  await sendRecords(servers, topic, makeRecords(encoding, records, shape), records);
}

/** It ends a while ago: brokers refuse records of the future. */
export function makeRecords(encoding: Encoding, records: number, shape: BacklogShape = {}): Iterator<BacklogRecord> {
  const { spanMs = 30 * 60_000 } = shape;
  const startMs = Date.now() - spanMs - 15 * 60_000;
  const made = createBacklog({ ...shape, spanMs, records, startMs, avroRatio: encoding === 'json' ? 0 : 1 });
  return encoding === 'confluent' ? toConfluent(made) : made;
}

/** Sends the next so many of them. */
export async function sendRecords(
  servers: BenchServers,
  topic: string,
  backlog: Iterator<BacklogRecord>,
  count: number,
): Promise<void> {
  let messages: { key: string; value: Buffer; timestamp: string }[] = [];
  let bytes = 0;
  for (let sent = 0; sent < count; sent++) {
    const { done, value: record } = backlog.next();
    if (done) throw new Error(`the backlog ended ${count - sent} records early`);
    messages.push({ key: record.key, value: record.value, timestamp: String(record.timestampMs) });
    bytes += record.value.length + 60;
    // The broker refuses batches of more than a megabyte.
    if (bytes > 700_000) {
      await servers.producer.send({ topic, acks: -1, messages });
      messages = [];
      bytes = 0;
    }
  }
  if (messages.length > 0) await servers.producer.send({ topic, acks: -1, messages });
}

function* toConfluent(backlog: Iterable<BacklogRecord>): Generator<BacklogRecord, void, void> {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(taskSchemaId, 1);
  for (const record of backlog) {
    yield { ...record, value: Buffer.concat([header, record.value.subarray(singleObjectHeaderBytes)]) };
  }
}

export async function catchUp(
  servers: BenchServers,
  topic: string,
  database: Database,
  records: number,
  settings: Record<string, string> = {},
): Promise<Run> {
  const empty = `${topic}-none`;
  await servers.createTopic(empty, 1);
  const clickhouseBefore = cpuSecondsOf(servers.clickhouse.pid);
  const pipeline = servers.startPipeline(database, { executions: empty, tasks: topic }, settings);
  let startedMs = 0;
  for (;;) {
    const folded = await pipeline.metric('weir_records_total');
    if (folded > 0 && startedMs === 0) startedMs = Date.now();
    if (folded >= records) break;
    await sleep(50);
  }
  while ((await durable(database)) < records) await sleep(20);
  const seconds = (Date.now() - startedMs) / 1000;
  const run = {
    recordsPerSecond: records / seconds,
    cpuMicrosPerRecord: (pipeline.cpuSeconds / records) * 1e6,
    clickhouseCpuMicrosPerRecord: ((cpuSecondsOf(servers.clickhouse.pid) - clickhouseBefore) / records) * 1e6,
    peakMemoryMb: pipeline.peakMemoryMb,
  };
  await pipeline.stop();
  await assertCounts(database, records);
  return run;
}

/** Records of which the ledger says that they are stored, dropped or dead. */
export async function durable(database: Database): Promise<number> {
  const [row] = await database.rows<{ n: number }>(
    'SELECT sum(stored + dropped + dead + duplicate) AS n FROM chunks FINAL',
  );
  return row?.n ?? 0;
}

/** A rate of wrong numbers is worth nothing. */
export async function assertCounts(database: Database, records: number): Promise<void> {
  const [row] = await database.rows<{ raw: number; completed: number; started: number }>(
    `SELECT (SELECT count() FROM task_events FINAL) AS raw, sum(completed) AS completed, sum(started) AS started FROM tasks_1m`,
  );
  if (row?.raw !== records || row.completed + row.started !== records) {
    throw new Error(`expected ${records} rows and as many starts and ends, found ${JSON.stringify(row)}`);
  }
}
