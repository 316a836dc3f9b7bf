import { type ChunkRow, type Tally, versionOf } from '../clickhouse/tables/bookkeeping.ts';
import type { CellRow } from '../clickhouse/tables/cells.ts';
import type { MeasureRow } from '../clickhouse/tables/orchestrator-cells.ts';
import { CellTable } from './cells.ts';
import type { LogRecord } from './decode.ts';
import type { FoldableKind } from './facts.ts';
import { hashRecord } from './hash.ts';
import { ReportCells } from './report-cells.ts';

/** Which chunk of which stream, folded by which code. */
export interface ChunkPlace {
  stream: string;
  kind: FoldableKind;
  partition: number;
  chunk: number;
  chunkRecords: number;
  foldVersion: number;
  latenessBoundMs: number;
}

/** Where a partition has got to: what the ledger says of time and of the newest record that has been folded. */
export interface Progress {
  maxEventTimeMs: number;
  maxRecordTimeMs: number;
  lastRecordOffset: number;
  /** Its hash, for a record that retention has removed; the record itself for all others. */
  lastRecordHash: ArrayLike<number>;
  lastRecord: LogRecord | null;
}

export const nothingFolded: Progress = {
  maxEventTimeMs: 0,
  maxRecordTimeMs: 0,
  lastRecordOffset: -1,
  lastRecordHash: Int32Array.of(0, 0),
  lastRecord: null,
};

/** Where rows of a flush go besides those of records. */
export interface CellSink {
  cells(kind: FoldableKind, row: CellRow): void;
  measures(row: MeasureRow): void;
  opening(row: ChunkRow): void;
  ledger(row: ChunkRow): void;
}

const nothingCounted: Tally = { stored: 0, dropped: 0, dead: 0, duplicate: 0, lostRetention: 0 };

/** One chunk of the log while it is being folded: its cells, what became of its records, and how far it is. */
export class Chunk {
  readonly place: ChunkPlace;
  readonly firstOffset: number;
  readonly cells = new CellTable();
  /** Those of reports about orchestrators; a chunk has either these or the others. */
  readonly reportCells = new ReportCells();
  readonly tally: Tally = { ...nothingCounted };
  /** Every offset up to this one has been folded. */
  lastOffset: number;
  /** Something has been folded, or passed, since the last flush. */
  changed = true;
  /** How far the partition was when the chunk began, and where it has got to within it. */
  readonly #begun: Progress;
  readonly progress: Progress;
  #isOpened = false;

  constructor(place: ChunkPlace, firstOffset: number, begun: Progress) {
    this.place = place;
    this.firstOffset = firstOffset;
    this.lastOffset = firstOffset - 1;
    this.#begun = { ...begun };
    this.progress = { ...begun };
  }

  get number(): number {
    return this.place.chunk;
  }

  /** The last offset that belongs to the chunk. */
  get end(): number {
    return (this.place.chunk + 1) * this.place.chunkRecords - 1;
  }

  get isComplete(): boolean {
    return this.lastOffset === this.end;
  }

  advance(offset: number): void {
    this.lastOffset = offset;
    this.changed = true;
  }

  /** The chunk is durable: nothing of it has to be written again. */
  clear(): void {
    this.cells.clear();
    this.reportCells.clear();
  }

  /** Hands over what has changed: absolute values, standing for the position reached now. */
  flush(sink: CellSink): void {
    const { stream, kind, partition, chunk, foldVersion } = this.place;
    if (!this.#isOpened) sink.opening(this.#row(nothingCounted, chunk * this.place.chunkRecords - 1, this.#begun));
    this.#isOpened = true;
    const place = { stream, partition, chunk, foldVersion, ver: versionOf(foldVersion, this.lastOffset) };
    for (const cell of this.cells.takeDirty()) sink.cells(kind, cell.row(place));
    for (const cell of this.reportCells.takeDirty()) for (const row of cell.rows(place)) sink.measures(row);
    sink.ledger(this.#row(this.tally, this.lastOffset, this.progress));
    this.changed = false;
  }

  #row(tally: Tally, lastOffset: number, progress: Progress): ChunkRow {
    const { stream, partition, chunk, chunkRecords, foldVersion, latenessBoundMs } = this.place;
    const { maxEventTimeMs, maxRecordTimeMs, lastRecordOffset, lastRecordHash, lastRecord } = progress;
    return {
      ...tally,
      stream,
      partition,
      chunk,
      chunkRecords,
      foldVersion,
      firstOffset: this.firstOffset,
      lastOffset,
      complete: lastOffset === this.end,
      maxEventTimeMs,
      watermarkMs: Math.max(0, maxEventTimeMs - latenessBoundMs),
      maxRecordTimeMs,
      lastRecordOffset,
      lastRecordHash: lastRecord === null ? lastRecordHash : hashRecord(lastRecord),
    };
  }
}

/** The newest record that a partition's ledger knows of. */
export function lastRecordOf(rows: ChunkRow[]): { offset: number; hash: ArrayLike<number> } | null {
  const row = rows.findLast((candidate) => candidate.lastRecordOffset >= 0);
  return row === undefined ? null : { offset: row.lastRecordOffset, hash: row.lastRecordHash };
}

/** How far everything had come at the end of a row of the ledger. */
export function progressOf(row: ChunkRow): Progress {
  const { maxEventTimeMs, maxRecordTimeMs, lastRecordOffset, lastRecordHash } = row;
  return { maxEventTimeMs, maxRecordTimeMs, lastRecordOffset, lastRecordHash, lastRecord: null };
}
