import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Block } from '../../clickhouse/block.ts';
import type { Table } from '../../clickhouse/columns.ts';
import { createDecoder, type LogRecord } from '../../pipelines/decode.ts';
import type { FoldableEvent } from '../../pipelines/facts.ts';
import { PartitionFold } from '../../pipelines/partition.ts';
import { PartitionReader } from '../../pipelines/partition-reader.ts';
import type { RowSink } from '../../pipelines/row-sink.ts';
import type { RowBatch, Store } from '../../pipelines/store.ts';
import { Writer } from '../../pipelines/writer.ts';
import { createBacklog } from '../../services/simulator/backlog.ts';
import { partitions } from './catch-up.ts';
import { median, round } from './report.ts';

/**
 * Where a pipeline's own microseconds go, without servers: the same records through the decoder alone, through decoder and
 * fold, and through everything up to the bytes of the inserts. `npm run bench -- write-path --only whole`, run by
 * `node --cpu-prof`, is what to profile.
 */
const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '400000' },
    repeat: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
const records = Number(options.records);
const recordsPerBatch = 1_500;
const recordsPerSlice = 500;
const slicesPerFlush = 15;

function makeLogs(): LogRecord[][] {
  const logs: LogRecord[][] = Array.from({ length: partitions }, () => []);
  for (const { key, value, timestampMs } of createBacklog({ records, startMs: Date.now() - 45 * 60_000 })) {
    const partition = Number(key.at(-1)) % partitions;
    const log = logs[partition] as LogRecord[];
    const offset = log.length;
    log.push({ topic: 't', partition, offset, timestampMs, key: Buffer.from(key), value, headers: {} });
  }
  return logs;
}

/** Knows of nothing, and takes in everything: each row is encoded as it would be for the server. */
class EncodingStore implements Store {
  readonly bytesByTable: Record<string, number> = {};
  readChunks = async () => [];
  readHistory = async () => [];
  readThings = async () => undefined;
  readRange = async () => ({ facts: [], dropped: 0, duplicate: 0, dead: 0 });
  readVerdicts = async () => new Map();
  appendIdle = async () => undefined;

  createBatch<Row>(table: Table<Row>): RowBatch<Row> {
    return new Block(table);
  }

  async insert(batch: RowBatch<unknown>): Promise<void> {
    const { body } = (batch as Block<unknown>).encode();
    const { name } = batch.table;
    this.bytesByTable[name] = body.reduce((sum, part) => sum + part.length, this.bytesByTable[name] ?? 0);
    await setImmediate();
  }
}

const createTaskDecoder = () => createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 5_000_000 });
const createFold = (partition: number, store: Store) =>
  new PartitionFold(
    {
      topic: 't',
      epoch: 0,
      kind: 'tasks',
      partition,
      chunkRecords: 16_384,
      latenessBoundMs: 30_000,
      historyRecords: () => 100_000 / partitions,
    },
    store,
  );

function* slicesOf(log: readonly LogRecord[], size: number): Generator<LogRecord[]> {
  for (let from = 0; from < log.length; from += size) yield log.slice(from, from + size);
}

async function decode(logs: readonly LogRecord[][]): Promise<void> {
  const decoder = createTaskDecoder();
  for (const log of logs) {
    for (const slice of slicesOf(log, recordsPerSlice)) slice.map((record) => decoder.decode(record));
  }
}

const noRows: RowSink = { stored: () => undefined, duplicate: () => undefined, rejected: () => undefined };
const noCells = {
  cells: () => undefined,
  measures: () => undefined,
  opening: () => undefined,
  ledger: () => undefined,
};

async function fold(logs: readonly LogRecord[][]): Promise<void> {
  const decoder = createTaskDecoder();
  for (const [partition, log] of logs.entries()) {
    const folding = createFold(partition, new EncodingStore());
    let slices = 0;
    for (const slice of slicesOf(log, recordsPerSlice)) {
      await folding.accept(slice, slice.map((record) => decoder.decode(record)) as FoldableEvent[], noRows);
      if (++slices % slicesPerFlush !== 0) continue;
      const flush = folding.takeFlush(noCells);
      if (flush !== null) folding.flushed(flush);
    }
  }
}

let store = new EncodingStore();

async function whole(logs: readonly LogRecord[][]): Promise<void> {
  store = new EncodingStore();
  const sleep = async () => void (await setImmediate());
  const writer = new Writer(
    store,
    { flushRows: 30_000 },
    { sleep, nowMs: Date.now, commit: () => Promise.resolve(undefined) },
  );
  const decoder = createTaskDecoder();
  const readers = logs.map((log, partition) => {
    const position = {
      committed: async () => null,
      ends: async () => ({ low: 0, high: log.length }),
      seek: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
    };
    const effects = {
      sleep,
      nowMs: Date.now,
      folded: () => undefined,
      waiting: () => undefined,
      lost: () => undefined,
    };
    return new PartitionReader(createFold(partition, store), store, decoder, writer, position, effects);
  });
  await Promise.all(readers.map((reader) => reader.opened));
  await Promise.all(readers.map((reader, partition) => readLog(reader, logs[partition] as LogRecord[])));
  await writer.flush();
}

async function readLog(reader: PartitionReader, log: readonly LogRecord[]): Promise<void> {
  for (const batch of slicesOf(log, recordsPerBatch)) {
    await reader.read({
      // Kafka's client makes an object for each record, and the pipeline another one.
      records: batch.map((record) => ({ ...record })),
      fetchedFrom: (batch[0] as LogRecord).offset,
      lastOffset: (batch.at(-1) as LogRecord).offset,
      logEnd: log.length,
      isStale: () => false,
      resolve: () => undefined,
      heartbeat: async () => void (await setImmediate()),
    });
  }
}

const stages = { decode, fold, whole };
const logs = makeLogs();
const micros: Record<string, number[]> = {};
const collecting: Record<string, number[]> = {};
let collectedMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collectedMs += duration;
}).observe({ entryTypes: ['gc'] });

/** Since the last time; what was collected is told a little later. */
async function takeCollectedMs(): Promise<number> {
  await setTimeout(50);
  const taken = collectedMs;
  collectedMs = 0;
  return taken;
}

for (let turn = 0; turn < Number(options.repeat); turn++) {
  for (const [name, run] of Object.entries(stages)) {
    if (options.only !== '' && options.only !== name) continue;
    await takeCollectedMs();
    const before = process.cpuUsage();
    await run(logs);
    const { user, system } = process.cpuUsage(before);
    micros[name] = [...(micros[name] ?? []), (user + system) / records];
    collecting[name] = [...(collecting[name] ?? []), ((await takeCollectedMs()) * 1000) / records];
  }
}
console.table(
  Object.entries(micros).map(([stage, values]) => ({
    'up to and with': stage,
    'CPU us/record, median': round(median(values)),
    least: round(Math.min(...values)),
    'of it waiting for the collector': round(median(collecting[stage] as number[])),
  })),
);
console.table(
  Object.entries(store.bytesByTable).map(([table, bytes]) => ({ table, 'bytes sent/record': round(bytes / records) })),
);
console.log(`peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MB, the log itself among it`);
