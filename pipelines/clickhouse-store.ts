import { Block } from '../clickhouse/block.ts';
import type { Database } from '../clickhouse/client.ts';
import type { Table } from '../clickhouse/columns.ts';
import { type ChunkRow, idlePartitionsTable } from '../clickhouse/tables/bookkeeping.ts';
import type { FoldableKind } from './facts.ts';
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
import { storedKinds } from './stored-facts.ts';

/** Ids asked for in one question: they travel in the address of the request, which servers bound. */
const idsPerQuestion = 500;

interface ChunkRecord extends Omit<ChunkRow, 'lastRecordHash'> {
  hashLow: number;
  hashHigh: number;
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
    const { table, owner, historyColumns, toFact, narrow } = storedKinds[prefix.kind];
    const keys = new Set(wanted.map((thing) => thing.key));
    for (let from = 0; from < wanted.length; from += idsPerQuestion) {
      const some = wanted.slice(from, from + idsPerQuestion);
      const { condition, params } = narrow(some);
      const rows = await this.#database.rows<unknown>(
        `SELECT ${historyColumns} FROM ${table}
         WHERE workspace IN {workspaces: Array(String)} AND source IN {sources: Array(String)}
           AND ${owner} IN {owners: Array(String)} AND thing_hash IN {hashes: Array(UInt64)}
           AND stream = {stream: String} AND partition = {partition: UInt32} AND offset < {before: UInt64}
           AND ${condition}
         ORDER BY offset, fold_version DESC`,
        {
          workspaces: [...new Set(some.map((thing) => thing.workspace))],
          sources: [...new Set(some.map((thing) => thing.source))],
          owners: [...new Set(some.map((thing) => thing.ownerId))],
          hashes: some.map((thing) => hashNumber(thing.hash)),
          stream: prefix.stream,
          partition: prefix.partition,
          before: prefix.beforeOffset,
          ...params,
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
      `SELECT thing_hash FROM ${storedKinds[prefix.kind].table}
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
    const { table, factColumns, toFact } = storedKinds[kind];
    const rows = await this.#database.rows<unknown>(
      `SELECT ${factColumns} FROM ${table} WHERE ${range} ORDER BY offset, fold_version DESC LIMIT 1 BY offset`,
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
