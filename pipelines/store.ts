import type { Table } from '../clickhouse/columns.ts';
import type { ChunkRow } from '../clickhouse/tables/bookkeeping.ts';
import type { FoldableKind } from './facts.ts';
import type { Fact } from './fold.ts';
import type { Hash64 } from './hash.ts';
import type { Report } from './reports.ts';

/** A thing whose stored history is wanted. */
export interface Wanted {
  key: string;
  workspace: string;
  source: string;
  /** The execution, or the orchestrator. */
  ownerId: string;
  hash: Hash64;
}

/** A stored record of a wanted thing, or of a range of the log, with its dimensions still as text. */
export interface StoredFact extends Omit<Fact, 'dims'> {
  key: string;
  dims: string[];
  /** Of a report about an orchestrator: what it contributes. */
  report?: Report;
}

/** Which part of the log a question is about: the records of one partition below an offset. */
export interface LogPrefix {
  kind: FoldableKind;
  stream: string;
  partition: number;
  beforeOffset: number;
}

/** What is known of the records of a range of offsets. */
export interface StoredRange {
  facts: StoredFact[];
  dropped: number;
  duplicate: number;
  dead: number;
}

/** What was found wrong with a record when it was first read. */
export interface StoredVerdict {
  reason: string;
  detail: string;
}

/** Rows on their way into one table. Adding takes a copy of what it needs. */
export interface RowBatch<Row> {
  readonly table: Table<Row>;
  readonly rows: number;
  readonly bytes: number;
  add(row: Row): void;
  addAll(rows: readonly Row[]): void;
  /** The rows are safe and their memory may be used again. */
  release(): void;
}

export interface IdlePartition {
  stream: string;
  partition: number;
  logEnd: number;
}

/**
 * Everything the write path asks of ClickHouse. The machine that folds, flushes and commits gets it as an argument, so
 * that a test can drive exactly that machine against a store that loses acknowledgements.
 */
export interface Store {
  /** The newest ledger row of every chunk of a partition, lowest chunk first. */
  readChunks(stream: string, partition: number): Promise<ChunkRow[]>;
  readHistory(prefix: LogPrefix, wanted: Wanted[]): Promise<StoredFact[]>;
  /** Hashes of all things that stored records below an offset speak of. */
  readThings(prefix: LogPrefix, each: (low: number, high: number) => void): Promise<void>;
  readRange(kind: FoldableKind, stream: string, partition: number, from: number, below: number): Promise<StoredRange>;
  /** Why records were dead-lettered, from an offset on, by their offsets. */
  readVerdicts(stream: string, partition: number, from: number): Promise<Map<number, StoredVerdict>>;
  createBatch<Row>(table: Table<Row>): RowBatch<Row>;
  /** Resolves when the server has acknowledged all rows. May be repeated blindly. */
  insert(batch: RowBatch<unknown>): Promise<void>;
  /** Says of partitions that they have stood at their log end; the server's clock dates it. */
  appendIdle(partitions: IdlePartition[]): Promise<void>;
}
