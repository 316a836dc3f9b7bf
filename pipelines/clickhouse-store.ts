import { Block } from '../clickhouse/block.ts';
import type { Database } from '../clickhouse/client.ts';
import type { Table } from '../clickhouse/columns.ts';
import { type ChunkRow, idlePartitionsTable } from '../clickhouse/tables/bookkeeping.ts';
import { executionDimensions, taskDimensions } from '../clickhouse/tables/cells.ts';
import type { TaskState } from '../schemas/events.ts';
import { executionKey, type FoldableKind, isSelfContained, originText, taskKey } from './facts.ts';
import type { Hash64 } from './hash.ts';
import type {
  IdlePartition,
  LogPrefix,
  RowBatch,
  Store,
  StoredFact,
  StoredRange,
  StoredVerdict,
  Wanted,
} from './store.ts';

/** Ids asked for in one question: they travel in the address of the request, which servers bound. */
const idsPerQuestion = 500;

interface ChunkRecord extends Omit<ChunkRow, 'lastRecordHash'> {
  hashLow: number;
  hashHigh: number;
}

interface FactRecord {
  workspace: string;
  source: string;
  execution_id: string;
  task_id?: string;
  map_index?: number;
  offset: number;
  state: TaskState;
  attempt: number;
  eventTimeMs: number;
  startedAtMs: number | null;
  duration_us: number | null;
  queue_us: number | null;
  cost_micros: number | null;
  cpu_us: number | null;
  memory_peak_bytes: number | null;
  origin: { topic: string; partition: number; offset: number; item: number }[];
  dims: string[];
}

const rawTable = { executions: 'execution_events', tasks: 'task_events' } as const;
const dimensions = { executions: executionDimensions, tasks: taskDimensions } as const;

function factColumns(kind: FoldableKind): string {
  const task = kind === 'tasks' ? 'task_id, map_index,' : '';
  return `workspace, source, execution_id, ${task} offset, state, attempt,
    toUnixTimestamp64Milli(event_time) AS eventTimeMs, toUnixTimestamp64Milli(started_at) AS startedAtMs,
    duration_us, queue_us, cost_micros, cpu_us, memory_peak_bytes, origin,
    [${dimensions[kind].map((dimension) => `toString(${dimension})`).join(', ')}] AS dims`;
}

function toFact(record: FactRecord): StoredFact {
  const execution = executionKey(record.workspace, record.source, record.execution_id);
  const key = record.task_id === undefined ? execution : taskKey(execution, record.task_id, record.map_index ?? -1);
  return {
    key,
    offset: record.offset,
    state: record.state,
    attempt: record.attempt,
    eventTimeMs: record.eventTimeMs,
    selfContained: isSelfContained(record.state, record.startedAtMs, record.duration_us),
    durationUs: record.duration_us,
    queueUs: record.queue_us,
    costMicros: record.cost_micros,
    cpuUs: record.cpu_us,
    memoryPeakBytes: record.memory_peak_bytes,
    origin: originText(record.origin[0] ?? null),
    dims: record.dims,
  };
}

/** The store that counts: ClickHouse through its one client. */
export class ClickHouseStore implements Store {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async readChunks(stream: string, partition: number): Promise<ChunkRow[]> {
    const rows = await this.#database.rows<ChunkRecord>(
      `SELECT stream, partition, chunk, chunk_records AS chunkRecords, fold_version AS foldVersion, first_offset AS firstOffset,
         last_offset AS lastOffset, complete, stored, dropped, dead, duplicate, lost_retention AS lostRetention,
         toUnixTimestamp64Milli(max_event_time) AS maxEventTimeMs, toUnixTimestamp64Milli(watermark) AS watermarkMs,
         toUnixTimestamp64Milli(max_record_time) AS maxRecordTimeMs, last_record_offset AS lastRecordOffset,
         toUInt32(bitAnd(last_record_hash, 4294967295)) AS hashLow, toUInt32(bitShiftRight(last_record_hash, 32)) AS hashHigh
       FROM chunks FINAL WHERE stream = {stream: String} AND partition = {partition: UInt32} ORDER BY chunk`,
      { stream, partition },
    );
    return rows.map(({ hashLow, hashHigh, ...row }) => ({ ...row, lastRecordHash: Uint32Array.of(hashLow, hashHigh) }));
  }

  async readHistory(prefix: LogPrefix, wanted: Wanted[]): Promise<StoredFact[]> {
    const facts: StoredFact[] = [];
    const keys = new Set(wanted.map((thing) => thing.key));
    for (let from = 0; from < wanted.length; from += idsPerQuestion) {
      const some = wanted.slice(from, from + idsPerQuestion);
      const rows = await this.#database.rows<FactRecord>(
        `SELECT ${factColumns(prefix.kind)} FROM ${rawTable[prefix.kind]}
         WHERE workspace IN {workspaces: Array(String)} AND source IN {sources: Array(String)}
           AND execution_id IN {executions: Array(String)} AND thing_hash IN {hashes: Array(UInt64)}
           AND stream = {stream: String} AND partition = {partition: UInt32} AND offset < {before: UInt64}
         ORDER BY offset, fold_version DESC`,
        {
          workspaces: [...new Set(some.map((thing) => thing.workspace))],
          sources: [...new Set(some.map((thing) => thing.source))],
          executions: [...new Set(some.map((thing) => thing.executionId))],
          hashes: some.map((thing) => hashNumber(thing.hash)),
          stream: prefix.stream,
          partition: prefix.partition,
          before: prefix.beforeOffset,
        },
      );
      for (const row of rows) {
        const fact = toFact(row);
        if (keys.has(fact.key)) facts.push(fact);
      }
    }
    return facts;
  }

  async readThings(prefix: LogPrefix, each: (low: number, high: number) => void): Promise<void> {
    const { stream, partition, beforeOffset } = prefix;
    const answer = await this.#database.stream(
      `SELECT thing_hash FROM ${rawTable[prefix.kind]}
       WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset < {before: UInt64} FORMAT RowBinary`,
      { stream, partition, before: beforeOffset },
    );
    let rest: Buffer = Buffer.alloc(0);
    for await (const part of answer) {
      const bytes: Buffer = rest.length === 0 ? part : Buffer.concat([rest, part]);
      let at = 0;
      for (; at + 8 <= bytes.length; at += 8) each(bytes.readInt32LE(at), bytes.readInt32LE(at + 4));
      rest = bytes.subarray(at);
    }
  }

  async readRange(
    kind: FoldableKind,
    stream: string,
    partition: number,
    from: number,
    below: number,
  ): Promise<StoredRange> {
    const range =
      'stream = {stream: String} AND partition = {partition: UInt32} AND offset >= {from: UInt64} AND offset < {below: UInt64}';
    const params = { stream, partition, from, below };
    const rows = await this.#database.rows<FactRecord>(
      `SELECT ${factColumns(kind)} FROM ${rawTable[kind]} WHERE ${range} ORDER BY offset, fold_version DESC LIMIT 1 BY offset`,
      params,
    );
    const [counts] = await this.#database.rows<{ dropped: number; duplicate: number; dead: number }>(
      `SELECT (SELECT uniqExact(offset) FROM drops WHERE ${range} AND reason != 'duplicate') AS dropped,
              (SELECT uniqExact(offset) FROM drops WHERE ${range} AND reason = 'duplicate') AS duplicate,
              (SELECT uniqExact(offset) FROM dead_letters WHERE ${range}) AS dead`,
      params,
    );
    return {
      facts: rows.map(toFact),
      dropped: counts?.dropped ?? 0,
      duplicate: counts?.duplicate ?? 0,
      dead: counts?.dead ?? 0,
    };
  }

  async readVerdicts(stream: string, partition: number, from: number): Promise<Map<number, StoredVerdict>> {
    const rows = await this.#database.rows<StoredVerdict & { offset: number }>(
      `SELECT offset, reason, detail FROM dead_letters FINAL
       WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset >= {from: UInt64}`,
      { stream, partition, from },
    );
    return new Map(rows.map(({ offset, reason, detail }) => [offset, { reason, detail }]));
  }

  createBatch<Row>(table: Table<Row>): RowBatch<Row> {
    return new Block(table);
  }

  async insert(batch: RowBatch<unknown>): Promise<void> {
    await this.#database.insert(batch as Block<unknown>);
  }

  async appendIdle(partitions: IdlePartition[]): Promise<void> {
    await this.#database.insert(new Block(idlePartitionsTable, partitions));
  }
}

/** As the column holds it: unsigned, and beyond what a number can hold. */
const hashNumber = (hash: Hash64): bigint => BigInt(hash.high >>> 0) * 2n ** 32n + BigInt(hash.low >>> 0);
