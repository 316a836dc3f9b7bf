import type { ChunkRow } from '../clickhouse/tables/bookkeeping.ts';
import { DimsTable } from './cells.ts';
import { type CellSink, Chunk, lastRecordOf, nothingFolded, type Progress, progressOf } from './chunk.ts';
import type { LogRecord } from './decode.ts';
import { dimsOf, type EventOfRun, type FoldableEvent, type FoldableKind, factOf, nameThing } from './facts.ts';
import { type Fact, foldVersion, type Thing } from './fold.ts';
import { hashRecord } from './hash.ts';
import { History } from './history.ts';
import { PartitionRefused } from './partition-refused.ts';
import { Rejection } from './rejections.ts';
import { contributeReport, type Report, readReportKey, reportFactOf, reportKeyOf } from './reports.ts';
import type { RecordPlace, RowSink } from './row-sink.ts';
import type { Store, StoredFact, Wanted } from './store.ts';
import { keyOf, type Name, ScratchName } from './thing-table.ts';

export interface PartitionSettings {
  topic: string;
  epoch: number;
  kind: FoldableKind;
  partition: number;
  chunkRecords: number;
  /** Events may come this much out of order before a window is judged. */
  latenessBoundMs: number;
  historyRecords(): number;
  historyFilterBytes?: number;
  foldVersion?: number;
  /** How long an earlier owner may still be writing; waited for before stored rows are folded again. */
  fenceMs?: number;
}

/** What one flush takes of a partition, and what may be said once it is acknowledged. */
export interface PartitionFlush {
  durableOffset: number;
  /** Offset to commit to Kafka: the start of a chunk, or null when no chunk was completed. */
  commitOffset: number | null;
  durableEventTimeMs: number;
}

/** What became of the records of a slice, and how many forgotten things had to be asked for. */
export interface Folded {
  stored: number;
  duplicate: number;
  rejected: number;
  asked: number;
}

/**
 * The fold of one partition of one stream: from records in offset order to rows, cells and ledger rows. It owns the
 * position, the open chunk and the history of things; it knows neither Kafka nor ClickHouse.
 */
export class PartitionFold {
  readonly settings: PartitionSettings;
  readonly stream: string;
  readonly #foldVersion: number;
  /** The stream holds reports about orchestrators rather than events of runs. */
  readonly #holdsReports: boolean;
  readonly #store: Store;
  #history: History;
  readonly #dims = new DimsTable();
  readonly #name = new ScratchName();
  #chunks: Chunk[] = [];
  #position = 0;
  #durableOffset = -1;
  /** That of the newest chunk, which goes on changing with it. */
  #progress: Progress = { ...nothingFolded };

  constructor(settings: PartitionSettings, store: Store) {
    this.settings = settings;
    this.stream = `${settings.topic}@${settings.epoch}`;
    this.#foldVersion = settings.foldVersion ?? foldVersion;
    this.#holdsReports = settings.kind === 'orchestrators';
    this.#store = store;
    this.#history = this.#createHistory();
  }

  #createHistory(): History {
    const { historyRecords: records, historyFilterBytes: filterBytes } = this.settings;
    return new History({ records, filterBytes });
  }

  /** The next offset to fold. */
  get position(): number {
    return this.#position;
  }

  /** Every offset up to this one is folded and durable. */
  get durableOffset(): number {
    return this.#durableOffset;
  }

  get watermarkMs(): number {
    return this.#progress.maxEventTimeMs - this.settings.latenessBoundMs;
  }

  get rememberedThings(): number {
    return this.#history.size;
  }

  /** A record that was folded, by the ledger or by ourselves: the log has to show it before anything else is folded. */
  landmark: { offset: number; hash: ArrayLike<number> } | null = null;

  /** The log may be another one since: the last record that was folded becomes the landmark. */
  doubt(): void {
    const { lastRecordOffset: offset, lastRecord, lastRecordHash } = this.#progress;
    if (this.landmark !== null || offset < 0 || offset >= this.#position) return;
    this.landmark = { offset, hash: lastRecord === null ? lastRecordHash : hashRecord(lastRecord) };
  }

  /**
   * Decides where to start: at the first offset of a chunk, the lower of the committed one and the lowest that the
   * ledger does not call complete. `low` and `high` are the ends of the log as read just now. Answers how many offsets
   * were found to be lost to retention.
   */
  async open(committed: number | null, low: number, high: number): Promise<number> {
    const { chunkRecords } = this.settings;
    // An earlier try may have failed half way.
    this.#chunks = [];
    this.#history = this.#createHistory();
    const rows = await this.#store.readChunks(this.stream, this.settings.partition);
    this.#refuse(rows, high);
    const last = rows.at(-1);
    const incomplete = rows.find((row) => !row.complete);
    const byLedger = incomplete?.chunk ?? (last === undefined ? null : last.chunk + 1);
    const byCommit = committed === null ? Number.MAX_SAFE_INTEGER : Math.floor(committed / chunkRecords);
    // Without a ledger nothing was ever folded, whatever a group of that name once committed.
    const start = byLedger === null ? low : Math.min(byLedger, byCommit) * chunkRecords;
    this.#position = start;
    this.#durableOffset = this.#position - 1;
    const before = rows.filter((row) => row.chunk < Math.floor(start / chunkRecords)).at(-1);
    this.#progress = before === undefined ? { ...nothingFolded } : progressOf(before);
    this.landmark = lastRecordOf(rows);
    const prefix = { kind: this.settings.kind, stream: this.stream, partition: this.settings.partition };
    await this.#store.readThings({ ...prefix, beforeOffset: this.#position }, (hashLow, hashHigh) =>
      this.#history.forgotten.add(hashLow, hashHigh),
    );
    return last !== undefined && low > this.#position ? this.foldTrimmed(low, rows) : 0;
  }

  #refuse(rows: ChunkRow[], high: number): void {
    const { chunkRecords, topic, partition } = this.settings;
    const other = rows.find((row) => row.chunkRecords !== chunkRecords);
    if (other !== undefined) {
      throw new PartitionRefused(
        'chunk_size_changed',
        `${topic}[${partition}] was folded in chunks of ${other.chunkRecords} records and the setting now says ${chunkRecords}; ` +
          `set it back, or raise the stream's epoch to read the topic anew.`,
      );
    }
    const newer = rows.find((row) => row.foldVersion > this.#foldVersion);
    if (newer !== undefined) {
      throw new PartitionRefused(
        'newer_fold_version',
        `${topic}[${partition}] was folded by version ${newer.foldVersion} and this program is version ${this.#foldVersion}; ` +
          `run the newer release, or release the old code under a higher fold version.`,
      );
    }
    const last = lastRecordOf(rows);
    if (last !== null && high <= last.offset) throw this.madeAgain(`the log ends at offset ${high}`, last.offset);
  }

  /** The lowest chunk that is not yet known to be complete in the ledger. */
  get lowestUnfinished(): number {
    return this.#chunks[0]?.number ?? Math.floor(this.#position / this.settings.chunkRecords);
  }

  /**
   * The ledger, read again, asks for another start: a chunk behind us is unfinished, because a newer release began to fold it
   * and went away, or newer code than ours has been here.
   */
  isContradictedBy(rows: readonly ChunkRow[], lowestUnfinished: number): boolean {
    return rows.some((row) => row.foldVersion > this.#foldVersion || (!row.complete && row.chunk < lowestUnfinished));
  }

  /** The refusal for a topic that is no longer the one the ledger speaks of. */
  madeAgain(evidence: string, offset: number): PartitionRefused {
    const { topic, partition, epoch } = this.settings;
    return new PartitionRefused(
      'topic_made_again',
      `${topic}[${partition}] is not the log that was read before: ${evidence}, but the record at offset ${offset} is on the books. ` +
        `If the topic was deleted and made again, raise its stream epoch to ${epoch + 1}; the old stream's rows stay as they are.`,
    );
  }

  /** Compares the first record from the landmark on with it. Where it is gone, nothing speaks against the log. */
  passLandmark(record: LogRecord | undefined): void {
    const expected = this.landmark;
    if (expected !== null && record?.offset === expected.offset) {
      const hash = hashRecord(record);
      if (hash.some((word, index) => word !== ((expected.hash[index] as number) | 0)))
        throw this.madeAgain('another record stands there', expected.offset);
    }
    this.landmark = null;
  }

  /**
   * The log was trimmed beyond our position. What was stored of the trimmed offsets is folded again from stored rows, so
   * that their chunks keep every contribution; what was never stored is counted as lost.
   */
  async foldTrimmed(low: number, rows: ChunkRow[]): Promise<number> {
    const { kind, partition, chunkRecords } = this.settings;
    if (this.settings.fenceMs !== undefined) await new Promise((resolve) => setTimeout(resolve, this.settings.fenceMs));
    let lost = 0;
    while (this.#position < low) {
      const chunk = Math.floor(this.#position / chunkRecords);
      const below = Math.min(low, (chunk + 1) * chunkRecords);
      const known = rows.find((row) => row.chunk === chunk);
      const range = await this.#store.readRange(kind, this.stream, partition, this.#position, below);
      const missing = await this.#countMissing(Math.max(this.#position, (known?.lastOffset ?? -1) + 1), below);
      await this.#recall(range.facts, this.#position);
      // Nothing is waited for from here to the end of the chunk: a flush in between would take half of it.
      const chunkNow = this.#chunkAt(this.#position);
      for (const fact of range.facts) this.#acceptStored(fact, chunkNow);
      const { tally } = chunkNow;
      tally.stored += range.facts.length;
      tally.dropped += range.dropped;
      tally.duplicate += range.duplicate;
      tally.dead += range.dead;
      // What an earlier owner counted as lost stays lost, however often the chunk is folded again.
      tally.lostRetention = Math.max(tally.lostRetention, known?.lostRetention ?? 0) + missing;
      lost += missing;
      if (known !== undefined) this.#takeProgress(known);
      this.#advance(chunkNow, below - 1);
    }
    return lost;
  }

  /** What the ledger knows of trimmed records that their stored rows do not tell. */
  #takeProgress(row: ChunkRow): void {
    const known = progressOf(row);
    known.maxEventTimeMs = Math.max(known.maxEventTimeMs, this.#progress.maxEventTimeMs);
    known.maxRecordTimeMs = Math.max(known.maxRecordTimeMs, this.#progress.maxRecordTimeMs);
    Object.assign(this.#progress, known);
  }

  /** Offsets of which nothing was stored: rows may have been written whose ledger row never was. */
  async #countMissing(from: number, below: number): Promise<number> {
    if (from >= below) return 0;
    const { kind, partition } = this.settings;
    const { facts, dropped, duplicate, dead } = await this.#store.readRange(kind, this.stream, partition, from, below);
    return Math.max(0, below - from - facts.length - dropped - duplicate - dead);
  }

  async #recall(facts: readonly StoredFact[], beforeOffset: number): Promise<void> {
    const wanted = new Map<string, Wanted>();
    for (const fact of facts) {
      const name = this.#nameOf(fact.key);
      if (this.#history.find(name) === undefined) this.#want(wanted, name);
    }
    await this.#ask(wanted, beforeOffset);
  }

  /** The name that a key stands for; valid until the next one is made. */
  #nameOf(key: string): Name {
    return this.#holdsReports ? this.#name.setText(key) : this.#name.setKey(key);
  }

  /** What an event speaks of; valid until the next name is made. */
  #nameThingOf(event: FoldableEvent): Name {
    return this.#holdsReports
      ? this.#name.setText(reportKeyOf(event as Report))
      : nameThing(event as EventOfRun, this.#name);
  }

  /** Notes a thing that is not in memory if something may have been stored of it. */
  #want(wanted: Map<string, Wanted>, name: Name): void {
    const { low, high } = name;
    if (!this.#history.forgotten.mayHold(low, high)) return;
    const key = keyOf(name);
    if (wanted.has(key)) return;
    const { workspace, source, ownerId } = this.#holdsReports ? readReportKey(key) : name;
    wanted.set(key, { key, hash: { low, high }, workspace, source, ownerId });
  }

  async #ask(wanted: Map<string, Wanted>, beforeOffset: number): Promise<void> {
    if (wanted.size === 0) return;
    const { kind, partition } = this.settings;
    const facts = await this.#store.readHistory({ kind, stream: this.stream, partition, beforeOffset }, [
      ...wanted.values(),
    ]);
    let lastOffset = -1;
    for (const fact of facts.sort((left, right) => left.offset - right.offset)) {
      // The same row may be stored several times until the server has merged its parts.
      if (fact.offset === lastOffset) continue;
      lastOffset = fact.offset;
      if (!wanted.has(fact.key)) continue;
      const name = this.#nameOf(fact.key);
      const thing = this.#history.find(name) ?? this.#history.begin(name);
      thing.accept({ ...fact, dims: this.#dims.intern(fact.dims) }, null);
      this.#history.grew(fact.offset);
    }
  }

  /** Folds a slice of records in offset order; what lies behind the position is passed over. */
  async accept(
    records: readonly LogRecord[],
    outcomes: readonly (FoldableEvent | Rejection)[],
    sink: RowSink,
  ): Promise<Folded> {
    this.#history.evict(this.#durableOffset);
    const things = new Array<Thing | undefined>(records.length);
    const wanted = new Map<string, Wanted>();
    for (let index = 0; index < records.length; index++) {
      const outcome = outcomes[index] as FoldableEvent | Rejection;
      if (outcome instanceof Rejection || (records[index] as LogRecord).offset < this.#position) continue;
      const name = this.#nameThingOf(outcome);
      things[index] = this.#history.find(name);
      if (things[index] === undefined) this.#want(wanted, name);
    }
    await this.#ask(wanted, this.#position);
    const folded: Folded = { stored: 0, duplicate: 0, rejected: 0, asked: wanted.size };
    for (let index = 0; index < records.length; index++) {
      const record = records[index] as LogRecord;
      if (record.offset < this.#position) continue;
      const outcome = outcomes[index] as FoldableEvent | Rejection;
      folded[this.#foldRecord(record, outcome, things[index], sink)]++;
    }
    return folded;
  }

  #foldRecord(
    record: LogRecord,
    outcome: FoldableEvent | Rejection,
    thing: Thing | undefined,
    sink: RowSink,
  ): keyof Folded {
    const chunk = this.#chunkAt(record.offset);
    let became: keyof Folded = 'rejected';
    if (outcome instanceof Rejection) {
      if (outcome.outcome === 'drop') chunk.tally.dropped++;
      else chunk.tally.dead++;
      sink.rejected(this.#placeOf(record), record, outcome);
    } else {
      became = this.#foldEvent(record, outcome, thing ?? this.#findOrBegin(outcome), chunk, sink);
    }
    const progress = this.#progress;
    if (record.timestampMs > progress.maxRecordTimeMs) progress.maxRecordTimeMs = record.timestampMs;
    progress.lastRecordOffset = record.offset;
    progress.lastRecord = record;
    this.#advance(chunk, record.offset);
    return became;
  }

  #placeOf(record: LogRecord): RecordPlace {
    return {
      stream: this.stream,
      kind: this.settings.kind,
      partition: record.partition,
      offset: record.offset,
      recordTimeMs: record.timestampMs,
      foldVersion: this.#foldVersion,
    };
  }

  #foldEvent(
    record: LogRecord,
    event: FoldableEvent,
    thing: Thing,
    chunk: Chunk,
    sink: RowSink,
  ): 'stored' | 'duplicate' {
    const report = this.#holdsReports ? (event as Report) : null;
    const fact =
      report === null ? this.#factOf(event as EventOfRun, record.offset) : reportFactOf(report, record.offset);
    if (thing.knows(fact)) {
      chunk.tally.duplicate++;
      sink.duplicate(this.#placeOf(record), event.workspace);
      return 'duplicate';
    }
    chunk.tally.stored++;
    this.#acceptFact(thing, fact, report, chunk);
    sink.stored({
      stream: this.stream,
      kind: this.settings.kind,
      partition: record.partition,
      offset: record.offset,
      recordTimeMs: record.timestampMs,
      foldVersion: this.#foldVersion,
      event,
      thingHash: thing,
    });
    return 'stored';
  }

  #factOf(event: EventOfRun, offset: number): Fact {
    return factOf(event, offset, dimsOf(event, this.#dims));
  }

  /** A thing that this slice began may be met in it again. */
  #findOrBegin(event: FoldableEvent): Thing {
    const name = this.#nameThingOf(event);
    return this.#history.find(name) ?? this.#history.begin(name);
  }

  /** Folds a record that is known from its stored row only. */
  #acceptStored(fact: StoredFact, chunk: Chunk): void {
    const name = this.#nameOf(fact.key);
    const thing = this.#history.find(name) ?? this.#history.begin(name);
    this.#acceptFact(thing, { ...fact, dims: this.#dims.intern(fact.dims) }, fact.report ?? null, chunk);
  }

  #acceptFact(thing: Thing, fact: Fact, report: Report | null, chunk: Chunk): void {
    if (report === null) {
      thing.accept(fact, chunk.cells);
    } else {
      // Its thing remembers that it was there; what it says counts by itself.
      thing.accept(fact, null);
      contributeReport(report, fact.offset, chunk.reportCells);
    }
    this.#history.grew(fact.offset);
    if (fact.eventTimeMs > this.#progress.maxEventTimeMs) this.#progress.maxEventTimeMs = fact.eventTimeMs;
  }

  /** Control records, aborted ones and holes: offsets up to this one hold nothing more to fold. */
  pass(lastOffset: number): void {
    if (lastOffset >= this.#position) this.#advance(this.#chunkAt(lastOffset), lastOffset);
  }

  #advance(chunk: Chunk, offset: number): void {
    this.#position = offset + 1;
    chunk.advance(offset);
  }

  /**
   * The chunk an offset lies in. Reaching a later chunk completes those before, also one in which only a hole was found: an
   * earlier owner may have opened it, and the ledger is read as a chain without gaps.
   */
  #chunkAt(offset: number): Chunk {
    const { chunkRecords } = this.settings;
    const number = Math.floor(offset / chunkRecords);
    const current = this.#chunks.at(-1);
    if (current?.number === number) return current;
    for (let passed = Math.floor(this.#position / chunkRecords); passed < number; passed++) {
      const last = this.#chunks.at(-1);
      const begin = Math.max(this.#position, passed * chunkRecords);
      const chunk = last?.number === passed ? last : this.#beginChunk(passed, begin);
      chunk.advance(chunk.end);
    }
    return this.#beginChunk(number, offset);
  }

  #beginChunk(number: number, firstOffset: number): Chunk {
    const { kind, partition, chunkRecords, latenessBoundMs } = this.settings;
    const { stream } = this;
    const place = {
      stream,
      kind,
      partition,
      chunk: number,
      chunkRecords,
      latenessBoundMs,
      foldVersion: this.#foldVersion,
    };
    const chunk = new Chunk(place, firstOffset, this.#progress);
    this.#progress = chunk.progress;
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Cells of executions and tasks that wait for a flush. */
  get changedCells(): number {
    return this.#chunks.reduce((cells, chunk) => cells + chunk.cells.changed, 0);
  }

  /** Takes what has changed since the last flush. */
  takeFlush(sink: CellSink): PartitionFlush | null {
    const changed = this.#chunks.filter((chunk) => chunk.changed);
    if (changed.length === 0) return null;
    for (const chunk of changed) chunk.flush(sink);
    const completed = this.#chunks.findLast((chunk) => chunk.isComplete);
    return {
      durableOffset: this.#position - 1,
      commitOffset: completed === undefined ? null : completed.end + 1,
      durableEventTimeMs: this.#progress.maxEventTimeMs,
    };
  }

  /** The flush taken before is acknowledged by the store, all of it. */
  flushed(flush: PartitionFlush): void {
    this.#durableOffset = Math.max(this.#durableOffset, flush.durableOffset);
    for (const chunk of this.#chunks) if (chunk.isComplete && !chunk.changed) chunk.clear();
    this.#chunks = this.#chunks.filter((chunk) => !chunk.isComplete || chunk.changed);
  }
}
