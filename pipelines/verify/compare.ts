import { type CellValues, type Recomputation, type RecomputeOptions, splitCellKey } from './recompute.ts';
import type { TopicReport } from './report.ts';
import type { LedgerRow, StoredCell } from './stored.ts';

/** What decoding says must have become of a record; duplicates are known only when all records have been read. */
export type Fate = 'accepted' | 'dropped' | 'dead';

/** A partition as far as the ledger covers it. */
export interface Coverage {
  partition: number;
  /** First offset that the log still holds. */
  firstOffset: number;
  /** Every offset up to this one is claimed to be folded and durable. */
  lastOffset: number;
  chunkRecords: number;
  ledger: LedgerRow[];
}

const versionShift = 2n ** 48n;
const offsetsNamed = 10;

/**
 * How far the ledger goes without a gap: over complete chunks, and into the first that is not. A row that breaks
 * this order is a difference.
 */
export function coverageOf(partition: number, firstOffset: number, rows: LedgerRow[], report: TopicReport): Coverage {
  const ledger = rows.filter((row) => row.partition === partition).sort((left, right) => left.chunk - right.chunk);
  let lastOffset = -1;
  let next: number | undefined;
  for (const row of ledger) {
    const where = ledgerName(row);
    if (next !== undefined && row.chunk !== next) {
      report.differ(`${where}: order`, `chunk ${next} after a complete one`, `chunk ${row.chunk}`);
      break;
    }
    lastOffset = row.lastOffset;
    next = row.complete ? row.chunk + 1 : undefined;
    if (next === undefined) break;
  }
  return { partition, firstOffset, lastOffset, chunkRecords: ledger[0]?.chunkRecords ?? 65_536, ledger };
}

const ledgerName = (row: { partition: number; chunk: number }): string =>
  `ledger partition ${row.partition} chunk ${row.chunk}`;

/** Outcomes of the records of one chunk, counted from the log. */
export interface ChunkTally {
  stored: number;
  dropped: number;
  dead: number;
  duplicate: number;
  lastRecordOffset: number;
}

/** Counts fates by chunk, up to where each chunk's ledger row says that it has come. */
export class LedgerTally {
  readonly #coverage: Coverage;
  readonly #chunks = new Map<number, ChunkTally>();

  constructor(coverage: Coverage) {
    this.#coverage = coverage;
  }

  count(offset: number, fate: Fate): void {
    if (offset > this.#coverage.lastOffset) return;
    const tally = this.#of(offset);
    tally.lastRecordOffset = offset;
    if (fate === 'accepted') tally.stored++;
    else if (fate === 'dropped') tally.dropped++;
    else tally.dead++;
  }

  /** An accepted record turned out to repeat an earlier one. */
  countDuplicate(offset: number): void {
    if (offset > this.#coverage.lastOffset) return;
    const tally = this.#of(offset);
    tally.stored--;
    tally.duplicate++;
  }

  #of(offset: number): ChunkTally {
    const chunk = Math.floor(offset / this.#coverage.chunkRecords);
    let tally = this.#chunks.get(chunk);
    if (tally === undefined) {
      tally = { stored: 0, dropped: 0, dead: 0, duplicate: 0, lastRecordOffset: -1 };
      this.#chunks.set(chunk, tally);
    }
    return tally;
  }

  compare(report: TopicReport): void {
    const { ledger, lastOffset, chunkRecords, firstOffset } = this.#coverage;
    const nothing: ChunkTally = { stored: 0, dropped: 0, dead: 0, duplicate: 0, lastRecordOffset: -1 };
    for (const row of ledger) {
      const tally = this.#chunks.get(row.chunk) ?? nothing;
      for (const column of ['stored', 'dropped', 'dead', 'duplicate'] as const) {
        report.totals[column] += tally[column];
        // The log no longer holds all of a chunk that retention has begun to remove.
        if (row.chunk * chunkRecords < firstOffset) continue;
        if (row[column] !== tally[column]) report.differ(`${ledgerName(row)}: ${column}`, tally[column], row[column]);
      }
      compareProgress(row, lastOffset, report);
    }
    const known = new Set(ledger.map(({ chunk }) => chunk));
    for (const [chunk, tally] of this.#chunks) {
      if (known.has(chunk)) continue;
      report.differ(ledgerName({ partition: this.#coverage.partition, chunk }), 'a row', 'none', [
        tally.lastRecordOffset,
      ]);
    }
  }
}

/** A row must say of itself what its own numbers imply. */
function compareProgress(row: LedgerRow, coveredOffset: number, report: TopicReport): void {
  const where = ledgerName(row);
  const chunkStart = row.chunk * row.chunkRecords;
  const chunkEnd = chunkStart + row.chunkRecords - 1;
  if (row.lastOffset < chunkStart - 1 || row.lastOffset > chunkEnd) {
    report.differ(`${where}: last_offset`, `${chunkStart - 1} to ${chunkEnd}`, row.lastOffset);
  }
  const isComplete = row.lastOffset === chunkEnd;
  if (row.complete !== isComplete) report.differ(`${where}: complete`, isComplete, row.complete);
  if (row.lastOffset > coveredOffset) {
    report.differ(`${where}: last_offset`, `at most ${coveredOffset}, before it is a gap`, row.lastOffset);
  }
  const ver = BigInt(row.foldVersion) * versionShift + BigInt(row.lastOffset + 1);
  if (row.ver !== ver) report.differ(`${where}: ver`, ver, row.ver);
}

/** The last offset that the values of a stored cell stand for; one below the chunk for a cell swept to zero. */
const positionOf = (cell: StoredCell): number => Number(cell.ver - BigInt(cell.foldVersion) * versionShift) - 1;

/**
 * The greatest position of any cell: a live pipeline is ahead of the ledger as it was read. A position outside the
 * cell's own chunk is an error, and no reason to read on to there.
 */
export function lastCellPosition(cells: ReadonlyMap<string, StoredCell>, chunkRecords: number): number {
  let last = -1;
  for (const [key, cell] of cells) {
    const position = positionOf(cell);
    if (Math.floor(position / chunkRecords) === splitCellKey(key).chunk) last = Math.max(last, position);
  }
  return last;
}

/** The records of a partition, ready to be recomputed as often as needed. */
export type Recompute = (options: RecomputeOptions) => Recomputation;

/** Recomputes the cells of a partition and compares every value of every one; answers which records are duplicates. */
export function compareCells(
  coverage: Coverage,
  recompute: Recompute,
  cells: ReadonlyMap<string, StoredCell>,
  report: TopicReport,
): Set<number> {
  const { chunkRecords, lastOffset } = coverage;
  const limitOf = (key: string): number => {
    const cell = cells.get(key);
    return cell === undefined ? lastOffset : Math.max(lastOffset, positionOf(cell));
  };
  const expected = recompute({ chunkRecords, limitOf });
  const differing: [key: string, field: string, expected: bigint | undefined, found: bigint | undefined][] = [];
  for (const key of new Set([...expected.cells.keys(), ...cells.keys()])) {
    // The log no longer holds all that a trimmed chunk was made of.
    if (splitCellKey(key).chunk * chunkRecords < coverage.firstOffset) continue;
    const found = cells.get(key);
    if (found !== undefined) comparePosition(coverage, key, found, report);
    differing.push(...compareValues(key, expected.cells.get(key), found?.values));
  }
  report.totals.cells += countWindows(expected, coverage);
  nameDifferences(coverage, recompute, limitOf, differing, report);
  return expected.duplicates;
}

/** Cells as readers see them, summed over the chunks. */
function countWindows({ cells }: Recomputation, { chunkRecords, firstOffset }: Coverage): number {
  const windows = new Set<string>();
  for (const key of cells.keys()) {
    if (splitCellKey(key).chunk * chunkRecords < firstOffset) continue;
    windows.add(key.slice(key.indexOf(' ') + 1));
  }
  return windows.size;
}

const empty: CellValues = new Map();

/** An absent count is zero; an absent least or greatest is not. */
function compareValues(key: string, expected: CellValues = empty, found: CellValues = empty) {
  const differing: [string, string, bigint | undefined, bigint | undefined][] = [];
  for (const field of new Set([...expected.keys(), ...found.keys()])) {
    const [left, right] = [expected.get(field), found.get(field)];
    const isExtreme = field.endsWith('_min') || field.endsWith('_max');
    const isEqual = isExtreme ? left === right : (left ?? 0n) === (right ?? 0n);
    if (!isEqual) differing.push([key, field, left, right]);
  }
  return differing;
}

function comparePosition(coverage: Coverage, key: string, cell: StoredCell, report: TopicReport): void {
  const { chunkRecords, ledger, partition } = coverage;
  const { chunk } = splitCellKey(key);
  const position = positionOf(cell);
  // The sweep after a change of the fold writes zero cells below every position.
  if (position === -1) return;
  if (Math.floor(position / chunkRecords) !== chunk) {
    report.differ(`${cellName(key, partition)}: position in ver`, `an offset of chunk ${chunk}`, position);
  }
  const foldVersion = ledger.find((row) => row.chunk === chunk)?.foldVersion;
  if (foldVersion !== undefined && foldVersion !== cell.foldVersion) {
    report.differ(`${cellName(key, partition)}: fold_version`, foldVersion, cell.foldVersion);
  }
}

function cellName(key: string, partition: number): string {
  const { chunk, windowMs, dims } = splitCellKey(key);
  return `cell ${dims} ${new Date(windowMs).toISOString()} of partition ${partition} chunk ${chunk}`;
}

/** Recomputes once more to learn which records stand behind the values that differ. */
function nameDifferences(
  { chunkRecords, partition }: Coverage,
  recompute: Recompute,
  limitOf: (key: string) => number,
  differing: [string, string, bigint | undefined, bigint | undefined][],
  report: TopicReport,
): void {
  if (differing.length === 0) return;
  const offsets = new Map<string, Set<number>>(differing.map(([key]) => [key, new Set()]));
  recompute({
    chunkRecords,
    limitOf,
    trace: (key, _, atOffset) => {
      const feeding = offsets.get(key);
      if (feeding !== undefined && feeding.size < offsetsNamed) feeding.add(atOffset);
    },
  });
  for (const [key, field, expected, found] of differing) {
    const feeding = [...(offsets.get(key) ?? [])].sort((left, right) => left - right);
    const isExtreme = field.endsWith('_min') || field.endsWith('_max');
    const absent = isExtreme ? 'nothing' : 0n;
    report.differ(`${cellName(key, partition)} ${field}`, expected ?? absent, found ?? absent, feeding);
  }
}
