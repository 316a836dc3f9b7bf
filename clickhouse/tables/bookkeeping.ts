import {
  array,
  bigUint64,
  blob,
  bool,
  columnsOf,
  hash64,
  instant,
  int64,
  name,
  nullable,
  type Table,
  text,
  tuple,
  uint32,
  uint64,
} from '../columns.ts';
import { type Coordinates, coordinateColumns } from './coordinates.ts';

/** What became of each record of a chunk. */
export interface Tally {
  stored: number;
  dropped: number;
  dead: number;
  duplicate: number;
  lostRetention: number;
}

/** One row of the ledger: a chunk and how far it is folded and durable. */
export interface ChunkRow extends Tally {
  stream: string;
  partition: number;
  chunk: number;
  chunkRecords: number;
  foldVersion: number;
  firstOffset: number;
  lastOffset: number;
  complete: boolean;
  maxEventTimeMs: number;
  watermarkMs: number;
  maxRecordTimeMs: number;
  lastRecordOffset: number;
  lastRecordHash: ArrayLike<number>;
}

const versionShift = 2 ** 48;

/** Grows with the fold version first and with the position second; exact as long as offsets stay below 2^48. */
export function versionOf(foldVersion: number, lastOffset: number): bigint {
  return BigInt(foldVersion) * BigInt(versionShift) + BigInt(lastOffset + 1);
}

const ofChunk = columnsOf<ChunkRow>();

export const chunksTable: Table<ChunkRow> = {
  name: 'chunks',
  columns: [
    ofChunk('stream', name, (row) => row.stream),
    ofChunk('partition', uint32, (row) => row.partition),
    ofChunk('chunk', uint64, (row) => row.chunk),
    ofChunk('chunk_records', uint32, (row) => row.chunkRecords),
    ofChunk('fold_version', uint32, (row) => row.foldVersion),
    ofChunk('first_offset', uint64, (row) => row.firstOffset),
    ofChunk('last_offset', int64, (row) => row.lastOffset),
    ofChunk('complete', bool, (row) => row.complete),
    ofChunk('stored', uint64, (row) => row.stored),
    ofChunk('dropped', uint64, (row) => row.dropped),
    ofChunk('dead', uint64, (row) => row.dead),
    ofChunk('duplicate', uint64, (row) => row.duplicate),
    ofChunk('lost_retention', uint64, (row) => row.lostRetention),
    ofChunk('max_event_time', instant, (row) => row.maxEventTimeMs),
    ofChunk('watermark', instant, (row) => row.watermarkMs),
    ofChunk('max_record_time', instant, (row) => row.maxRecordTimeMs),
    ofChunk('last_record_offset', int64, (row) => row.lastRecordOffset),
    ofChunk('last_record_hash', hash64, (row) => row.lastRecordHash),
    ofChunk('ver', bigUint64, (row) => versionOf(row.foldVersion, row.lastOffset)),
  ],
};

export interface DropRow extends Coordinates {
  workspace: string;
  reason: string;
  detail: string;
}

const ofDrop = columnsOf<DropRow>();

export const dropsTable: Table<DropRow> = {
  name: 'drops',
  columns: [
    ofDrop('workspace', name, (row) => row.workspace),
    ...coordinateColumns<DropRow>(),
    ofDrop('reason', name, (row) => row.reason),
    ofDrop('detail', text, (row) => row.detail),
  ],
};

export interface DeadLetterRow extends Coordinates {
  workspace: string;
  topic: string;
  reason: string;
  detail: string;
  excerpt: string;
  keyBytes: number;
  valueBytes: number;
}

const ofDeadLetter = columnsOf<DeadLetterRow>();

export const deadLettersTable: Table<DeadLetterRow> = {
  name: 'dead_letters',
  columns: [
    ofDeadLetter('workspace', name, (row) => row.workspace),
    ofDeadLetter('topic', name, (row) => row.topic),
    ...coordinateColumns<DeadLetterRow>(),
    ofDeadLetter('reason', name, (row) => row.reason),
    ofDeadLetter('detail', text, (row) => row.detail),
    ofDeadLetter('excerpt', text, (row) => row.excerpt),
    ofDeadLetter('key_bytes', uint32, (row) => row.keyBytes),
    ofDeadLetter('value_bytes', uint32, (row) => row.valueBytes),
  ],
};

export interface HeaderEntry {
  name: string;
  value: Buffer;
}
export interface DeadLetterBytesRow extends Coordinates {
  key: Buffer | null;
  value: Buffer | null;
  headers: HeaderEntry[];
}

const ofHeader = columnsOf<HeaderEntry>();
const ofBytes = columnsOf<DeadLetterBytesRow>();

export const deadLetterBytesTable: Table<DeadLetterBytesRow> = {
  name: 'dead_letter_bytes',
  columns: [
    ...coordinateColumns<DeadLetterBytesRow>(),
    ofBytes('key', nullable(blob), (row) => row.key),
    ofBytes('value', nullable(blob), (row) => row.value),
    ofBytes(
      'headers',
      array(
        tuple([ofHeader('name', text, (header) => header.name), ofHeader('value', blob, (header) => header.value)]),
      ),
      (row) => row.headers,
    ),
  ],
};

export interface IdleRow {
  stream: string;
  partition: number;
  logEnd: number;
}

const ofIdle = columnsOf<IdleRow>();

/** `idle_through` is left to the server, whose clock dates it. */
export const idlePartitionsTable: Table<IdleRow> = {
  name: 'idle_partitions',
  columns: [
    ofIdle('stream', name, (row) => row.stream),
    ofIdle('partition', uint32, (row) => row.partition),
    ofIdle('log_end', uint64, (row) => row.logEnd),
  ],
};
