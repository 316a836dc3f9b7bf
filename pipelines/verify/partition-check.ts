import type { Database } from '../../clickhouse/client.ts';
import type { TelemetryEvent } from '../../schemas/events.ts';
import type { OrchestratorEvent } from '../../schemas/orchestrator-events.ts';
import { type Coverage, compareCells, LedgerTally, type Recompute } from './compare.ts';
import { type CompareRow, createRowComparison } from './raw-rows.ts';
import { type AcceptedRecord, acceptedRecord, recompute } from './recompute.ts';
import { type AcceptedReport, acceptedReport, recomputeReports } from './recompute-reports.ts';
import type { TopicReport } from './report.ts';
import { type Refused, readHashCounts, readRawRows, readRefused, type StoredCell, type StoredTable } from './stored.ts';

/** A record of the log, decoded: the event that it says, or why it says none. */
export type Decoded =
  | { offset: number; recordTimeMs: number; event: TelemetryEvent }
  | { offset: number; recordTimeMs: number; refusal: { outcome: 'drop' | 'dead'; reason: string } };

export interface PartitionSource {
  database: Database;
  stream: string;
  rawTable: StoredTable;
  coverage: Coverage;
  /** Cells as they were read after the ledger. */
  cells: ReadonlyMap<string, StoredCell>;
  report: TopicReport;
}

// One FINAL query reads a slice; whole events are held for one slice only, compact ones for the partition.
const sliceRecords = 32_768;

/** What is stored for one offset. */
interface Found {
  rows: unknown[][];
  drops: string[];
  deadLetters: string[];
}

/** Compares one partition of the log with all that is stored of it. Records are given in offset order. */
export class PartitionCheck {
  readonly #source: PartitionSource;
  readonly #tally: LedgerTally;
  /** A stream holds the ones or the others. */
  readonly #records: AcceptedRecord[] = [];
  readonly #reports: AcceptedReport[] = [];
  #earlierReports: readonly string[] = [];
  readonly #texts = new Map<string, string>();
  readonly #storedDuplicates = new Set<number>();
  readonly #compareRow: CompareRow;
  readonly #offsetColumn: number;
  #slice: Decoded[] = [];
  #sliceFrom: number;

  constructor(source: PartitionSource) {
    this.#source = source;
    this.#tally = new LedgerTally(source.coverage);
    this.#compareRow = createRowComparison(source.rawTable);
    this.#offsetColumn = source.rawTable.columns.findIndex(({ name }) => name === 'offset');
    this.#sliceFrom = source.coverage.firstOffset;
  }

  /** Records from before the log begins; to be given before all others. */
  remember(records: readonly AcceptedRecord[]): void {
    for (const record of records) {
      this.#records.push({ ...record, dims: this.#intern(record.dims), thing: this.#intern(record.thing) });
    }
  }

  /** The same of reports, of which nothing matters but what they are. */
  rememberReports(identities: readonly string[]): void {
    this.#earlierReports = identities;
  }

  async add(record: Decoded): Promise<void> {
    const { offset } = record;
    if ('event' in record) this.#accept(record.event, offset);
    // What lies behind the ledger is wanted for cells that are ahead of it, and for nothing else.
    if (offset > this.#source.coverage.lastOffset) return;
    this.#source.report.totals.records++;
    this.#tally.count(offset, 'event' in record ? 'accepted' : record.refusal.outcome === 'drop' ? 'dropped' : 'dead');
    this.#slice.push(record);
    if (this.#slice.length >= sliceRecords) await this.#checkSlice(offset);
  }

  #accept(event: TelemetryEvent, offset: number): void {
    if (!isOfRun(event)) {
      this.#reports.push(acceptedReport(event, offset));
      return;
    }
    const accepted = acceptedRecord(event, offset);
    // Millions of records speak of few dimensions and of fewer things than records.
    accepted.dims = this.#intern(accepted.dims);
    accepted.thing = this.#intern(accepted.thing);
    this.#records.push(accepted);
  }

  /** Answers which records repeat earlier ones. */
  async finish(): Promise<ReadonlySet<number>> {
    const { coverage, cells, report } = this.#source;
    if (coverage.lastOffset >= this.#sliceFrom) await this.#checkSlice(coverage.lastOffset);
    const recomputed: Recompute = (options) =>
      this.#reports.length > 0
        ? recomputeReports(this.#reports, options, this.#earlierReports)
        : recompute(this.#records, options);
    const duplicates = compareCells(coverage, recomputed, cells, report);
    this.#compareDuplicates(duplicates);
    this.#tally.compare(report);
    if (coverage.lastOffset >= coverage.firstOffset) await this.#checkHashes();
    return duplicates;
  }

  #intern(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }

  async #checkSlice(lastOffset: number): Promise<void> {
    const { database, stream, rawTable, coverage } = this.#source;
    const of = { stream, partition: coverage.partition };
    const offsets = { first: this.#sliceFrom, last: lastOffset };
    const slice = this.#slice;
    this.#slice = [];
    this.#sliceFrom = lastOffset + 1;
    const found = new Map<number, Found>();
    const at = (offset: number): Found => {
      let entry = found.get(offset);
      if (entry === undefined) {
        entry = { rows: [], drops: [], deadLetters: [] };
        found.set(offset, entry);
      }
      return entry;
    };
    for (const { offset, reason } of await readRefused(database, 'drops', of, offsets)) at(offset).drops.push(reason);
    const deadLetters: Refused[] = await readRefused(database, 'dead_letters', of, offsets);
    for (const { offset, reason } of deadLetters) at(offset).deadLetters.push(reason);
    for await (const row of readRawRows(database, rawTable, of, offsets))
      at(Number(row[this.#offsetColumn])).rows.push(row);
    for (const record of slice) {
      this.#compareRecord(record, found.get(record.offset));
      found.delete(record.offset);
    }
    for (const [offset, extra] of found)
      this.#differ(offset, 'stored', 'nothing, the log has no such record', listFound(extra));
  }

  #compareRecord(record: Decoded, found: Found | undefined): void {
    const { offset } = record;
    const all = found === undefined ? [] : listFound(found);
    if (found === undefined || all.length !== 1) {
      this.#differ(offset, 'stored', 'exactly one row, drop or dead letter', all.length === 0 ? 'none' : all);
      return;
    }
    if ('event' in record) {
      if (found.rows.length === 1) this.#checkRow(record, found.rows[0]);
      else if (found.drops[0] === 'duplicate') this.#storedDuplicates.add(offset);
      else this.#differ(offset, 'stored', 'a raw row', all);
      return;
    }
    const { outcome, reason } = record.refusal;
    const expected = `${outcome === 'drop' ? 'drop' : 'dead letter'} ${reason}`;
    if (all[0] !== expected) this.#differ(offset, 'stored', expected, all);
  }

  #checkRow(record: Extract<Decoded, { event: unknown }>, row: readonly unknown[]): void {
    const { stream, coverage } = this.#source;
    const { offset, recordTimeMs, event } = record;
    const chunk = Math.floor(offset / coverage.chunkRecords);
    const foldVersion = coverage.ledger.find((entry) => entry.chunk === chunk)?.foldVersion ?? -1;
    const coordinates = { stream, partition: coverage.partition, offset, recordTimeMs, foldVersion };
    for (const { column, expected, found } of this.#compareRow(row, event, coordinates)) {
      this.#differ(offset, `raw row column ${column}`, expected, found);
    }
  }

  #compareDuplicates(expected: ReadonlySet<number>): void {
    const { lastOffset } = this.#source.coverage;
    for (const offset of expected) {
      if (offset > lastOffset) continue;
      this.#tally.countDuplicate(offset);
      if (!this.#storedDuplicates.has(offset)) this.#differ(offset, 'stored', 'drop duplicate', 'a raw row or nothing');
    }
    for (const offset of this.#storedDuplicates) {
      if (!expected.has(offset)) this.#differ(offset, 'stored', 'a raw row', 'drop duplicate');
    }
  }

  /** Hashes stand for ids where sorting and look-ups need something short: they must tell things apart as ids do. */
  async #checkHashes(): Promise<void> {
    const { database, stream, rawTable, coverage, report } = this.#source;
    const { partition, firstOffset, lastOffset } = coverage;
    const counts = await readHashCounts(
      database,
      rawTable,
      { stream, partition },
      { first: firstOffset, last: lastOffset },
    );
    const where = `partition ${partition} ${rawTable.name}`;
    const { rows, offsets, things, thingHashes, thingsWithHash } = counts;
    if (offsets !== rows) report.differ(`${where}: distinct offsets`, rows, offsets);
    if (thingHashes !== things) report.differ(`${where}: distinct thing_hash`, things, thingHashes);
    if (thingsWithHash !== things) report.differ(`${where}: thing_hash for each thing`, things, thingsWithHash);
  }

  #differ(offset: number, what: string, expected: unknown, found: unknown): void {
    const { coverage, report } = this.#source;
    report.differ(`partition ${coverage.partition} offset ${offset}: ${what}`, expected, found);
  }
}

export const isOfRun = (event: TelemetryEvent): event is Exclude<TelemetryEvent, OrchestratorEvent> =>
  event.kind === 'execution' || event.kind === 'task';

function listFound({ rows, drops, deadLetters }: Found): string[] {
  return [
    ...rows.map(() => 'raw row'),
    ...drops.map((reason) => `drop ${reason}`),
    ...deadLetters.map((reason) => `dead letter ${reason}`),
  ];
}
