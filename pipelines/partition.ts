import type { ChunkRow, Tally } from '../clickhouse/tables/bookkeeping.ts';
import { type CellTable as Cells, CellTable, DimsTable } from './cells.ts';
import type { LogRecord } from './decode.ts';
import { dimsOf, type FoldableEvent, type FoldableKind, factOf, thingKeyOf } from './facts.ts';
import { foldVersion, type Thing } from './fold.ts';
import { hashNumbers, hashRecord } from './hash.ts';
import { History, hashKey } from './history.ts';
import { Rejection } from './rejections.ts';
import type { Store, StoredFact, Wanted } from './store.ts';

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

/** What becomes of each record, on its way to its table. */
export interface RowSink {
  stored(row: StoredRecord): void;
  duplicate(place: RecordPlace, workspace: string): void;
  rejected(place: RecordPlace, record: LogRecord, rejection: Rejection): void;
}

export interface RecordPlace {
  stream: string;
  kind: FoldableKind;
  partition: number;
  offset: number;
  recordTimeMs: number;
  foldVersion: number;
}

export interface StoredRecord extends RecordPlace {
  event: FoldableEvent;
  thingHash: Uint32Array;
  identityHash: Uint32Array;
}

interface ChunkState extends Tally {
  chunk: number;
  firstOffset: number;
  /** Every offset up to this one has been folded. */
  lastOffset: number;
  complete: boolean;
  maxEventTimeMs: number;
  maxRecordTimeMs: number;
  lastRecord: LogRecord | null;
  /** Known only by its hash: the record itself was removed by retention. */
  lastRecordKnown: { offset: number; hash: ArrayLike<number> } | null;
  cells: Cells;
  /** Its first ledger row is acknowledged, so other rows may follow. */
  opened: boolean;
  changed: boolean;
}

/** Why a partition must not be read on: somebody has to decide something first. */
export class PartitionRefused extends Error {
  readonly reason: 'topic_made_again' | 'newer_fold_version' | 'chunk_size_changed';
  constructor(reason: PartitionRefused['reason'], message: string) {
    super(message);
    this.name = 'PartitionRefused';
    this.reason = reason;
  }
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

export interface CellSink {
  cells(kind: FoldableKind, row: ReturnType<ReturnType<Cells['takeDirty']>[number]['row']>): void;
  opening(row: ChunkRow): void;
  ledger(row: ChunkRow): void;
}

const emptyTally = (): Tally => ({ stored: 0, dropped: 0, dead: 0, duplicate: 0, lostRetention: 0 });
const noHash = new Uint32Array(2);
const beginningMs = 0;

/**
 * The fold of one partition of one stream: from records in offset order to rows, cells and ledger rows. It owns the
 * position, the open chunk and the history of things; it knows neither Kafka nor ClickHouse.
 */
export class PartitionFold {
  readonly settings: PartitionSettings;
  readonly stream: string;
  readonly #foldVersion: number;
  readonly #store: Store;
  readonly #history: History;
  readonly #dims = new DimsTable();
  readonly #identity = new Uint32Array(4);
  #chunks: ChunkState[] = [];
  #position = 0;
  #durableOffset = -1;
  #maxEventTimeMs = beginningMs;
  #maxRecordTimeMs = beginningMs;

  constructor(settings: PartitionSettings, store: Store) {
    this.settings = settings;
    this.stream = `${settings.topic}@${settings.epoch}`;
    this.#foldVersion = settings.foldVersion ?? foldVersion;
    this.#store = store;
    this.#history = new History({ records: settings.historyRecords, filterBytes: settings.historyFilterBytes });
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
    return this.#maxEventTimeMs - this.settings.latenessBoundMs;
  }

  get rememberedThings(): number {
    return this.#history.size;
  }

  /** The last durable record as the ledger knows it, to be compared with the log before anything is folded. */
  lastDurable: { offset: number; hash: ArrayLike<number> } | null = null;

  /**
   * Decides where to start: at the first offset of a chunk, the lower of the committed one and the lowest that the
   * ledger does not call complete. `low` and `high` are the ends of the log as read just now.
   */
  async open(committed: number | null, low: number, high: number): Promise<void> {
    const { chunkRecords } = this.settings;
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
    this.#maxEventTimeMs = before?.maxEventTimeMs ?? beginningMs;
    this.#maxRecordTimeMs = before?.maxRecordTimeMs ?? beginningMs;
    this.lastDurable = lastRecordOf(rows);
    const prefix = { kind: this.settings.kind, stream: this.stream, partition: this.settings.partition };
    await this.#store.readThings({ ...prefix, beforeOffset: this.#position }, (hashLow, hashHigh) =>
      this.#history.forgotten.add(hashLow, hashHigh),
    );
    if (last !== undefined && low > this.#position) await this.foldTrimmed(low, rows);
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

  /** The refusal for a topic that is no longer the one the ledger speaks of. */
  madeAgain(evidence: string, offset: number): PartitionRefused {
    const { topic, partition, epoch } = this.settings;
    return new PartitionRefused(
      'topic_made_again',
      `${topic}[${partition}] is not the log that was read before: ${evidence}, but the record at offset ${offset} is on the books. ` +
        `If the topic was deleted and made again, raise its stream epoch to ${epoch + 1}; the old stream's rows stay as they are.`,
    );
  }

  /** Compares the record that stands at the last durable offset with what the ledger says of it. */
  checkLastDurable(record: LogRecord): void {
    const expected = this.lastDurable;
    if (expected === null || record.offset !== expected.offset) return;
    const hash = hashRecord(record);
    if (hash[0] !== expected.hash[0] || hash[1] !== expected.hash[1]) {
      throw this.madeAgain('another record stands there', expected.offset);
    }
    this.lastDurable = null;
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
      const range = await this.#store.readRange(kind, this.stream, partition, this.#position, below);
      const state = this.#chunkAt(this.#position);
      await this.#recall(range.facts, this.#position);
      for (const fact of range.facts) this.#accept(fact.key, fact.hash, fact, state);
      const known = rows.find((row) => row.chunk === chunk);
      state.stored += range.facts.length;
      state.dropped += range.dropped;
      state.duplicate += range.duplicate;
      state.dead += range.dead;
      const missing = Math.max(0, below - Math.max(this.#position, (known?.lastOffset ?? this.#position - 1) + 1));
      state.lostRetention += missing;
      lost += missing;
      state.maxEventTimeMs = this.#maxEventTimeMs = Math.max(this.#maxEventTimeMs, known?.maxEventTimeMs ?? 0);
      state.maxRecordTimeMs = this.#maxRecordTimeMs = Math.max(this.#maxRecordTimeMs, known?.maxRecordTimeMs ?? 0);
      state.lastRecordKnown =
        known === undefined ? null : { offset: known.lastRecordOffset, hash: known.lastRecordHash };
      this.#advance(state, below - 1);
    }
    return lost;
  }

  async #recall(facts: readonly StoredFact[], beforeOffset: number): Promise<void> {
    const wanted = new Map<string, Wanted>();
    for (const fact of facts) {
      const [workspace = '', source = '', executionId = ''] = fact.key.split('\u0000');
      this.#want(wanted, fact.key, fact.hash, { workspace, source, executionId });
    }
    await this.#ask(wanted, beforeOffset);
  }

  #want(
    wanted: Map<string, Wanted>,
    key: string,
    hash: Uint32Array,
    names: { workspace: string; source: string; executionId: string },
  ): void {
    if (wanted.has(key) || this.#history.find(key) !== undefined) return;
    if (!this.#history.forgotten.mayHold(hash[0] as number, hash[1] as number)) return;
    const { workspace, source, executionId } = names;
    wanted.set(key, { key, hash, workspace, source, executionId });
  }

  async #ask(wanted: Map<string, Wanted>, beforeOffset: number): Promise<void> {
    if (wanted.size === 0) return;
    const { kind, partition } = this.settings;
    const facts = await this.#store.readHistory({ kind, stream: this.stream, partition, beforeOffset }, [
      ...wanted.values(),
    ]);
    let weight = 0;
    let lastOffset = -1;
    for (const fact of facts.sort((left, right) => left.offset - right.offset)) {
      // The same row may be stored several times until the server has merged its parts.
      if (fact.offset === lastOffset) continue;
      lastOffset = fact.offset;
      const entry = wanted.get(fact.key);
      if (entry === undefined) continue;
      const thing = this.#history.find(fact.key) ?? this.#history.begin(fact.key, entry.hash);
      thing.accept({ ...fact, dims: this.#dims.intern(fact.dims) }, null);
      weight++;
    }
    this.#history.grew(weight);
  }

  /** Folds a slice of records in offset order; what lies behind the position is passed over. */
  async accept(
    records: readonly LogRecord[],
    outcomes: readonly (FoldableEvent | Rejection)[],
    sink: RowSink,
  ): Promise<Folded> {
    this.#history.evict(this.#durableOffset);
    const keys = new Array<string>(records.length);
    const hashes = new Array<Uint32Array | null>(records.length).fill(null);
    const wanted = new Map<string, Wanted>();
    for (let index = 0; index < records.length; index++) {
      const outcome = outcomes[index] as FoldableEvent | Rejection;
      if (outcome instanceof Rejection || (records[index] as LogRecord).offset < this.#position) continue;
      const key = thingKeyOf(outcome);
      keys[index] = key;
      const thing = this.#history.find(key);
      const hash = thing === undefined ? hashKey(key) : thing.hash;
      hashes[index] = hash;
      if (thing === undefined) this.#want(wanted, key, hash, outcome);
    }
    await this.#ask(wanted, this.#position);
    const folded: Folded = { stored: 0, duplicate: 0, rejected: 0, asked: wanted.size };
    for (let index = 0; index < records.length; index++) {
      const record = records[index] as LogRecord;
      if (record.offset < this.#position) continue;
      const stored = this.#foldRecord(
        record,
        outcomes[index] as FoldableEvent | Rejection,
        keys[index] ?? '',
        hashes[index] ?? null,
        sink,
      );
      folded[stored]++;
    }
    return folded;
  }

  #foldRecord(
    record: LogRecord,
    outcome: FoldableEvent | Rejection,
    key: string,
    hash: Uint32Array | null,
    sink: RowSink,
  ): keyof Folded {
    let became: keyof Folded = 'rejected';
    const state = this.#chunkAt(record.offset);
    const place: RecordPlace = {
      stream: this.stream,
      kind: this.settings.kind,
      partition: record.partition,
      offset: record.offset,
      recordTimeMs: record.timestampMs,
      foldVersion: this.#foldVersion,
    };
    if (outcome instanceof Rejection) {
      if (outcome.outcome === 'drop') state.dropped++;
      else state.dead++;
      sink.rejected(place, record, outcome);
    } else {
      became = this.#foldEvent(place, outcome, key, hash as Uint32Array, state, sink);
    }
    if (record.timestampMs > this.#maxRecordTimeMs) this.#maxRecordTimeMs = record.timestampMs;
    state.maxRecordTimeMs = this.#maxRecordTimeMs;
    state.lastRecord = record;
    this.#advance(state, record.offset);
    return became;
  }

  #foldEvent(
    place: RecordPlace,
    event: FoldableEvent,
    key: string,
    hash: Uint32Array,
    state: ChunkState,
    sink: RowSink,
  ): 'stored' | 'duplicate' {
    const fact = factOf(event, place.offset, dimsOf(event, this.#dims));
    const thing = this.#history.find(key);
    if (thing?.knows(fact) === true) {
      state.duplicate++;
      sink.duplicate(place, event.workspace);
      return 'duplicate';
    }
    state.stored++;
    this.#acceptFact(thing ?? this.#history.begin(key, hash), fact, state);
    hashNumbers(
      hash,
      [event.attempt, stateNumber(event.state), event.eventTimeMs, event.origin?.offset ?? -1],
      this.#identity,
    );
    sink.stored({ ...place, event, thingHash: hash, identityHash: this.#identity });
    return 'stored';
  }

  #accept(key: string, hash: Uint32Array, fact: StoredFact, state: ChunkState): void {
    const thing = this.#history.find(key) ?? this.#history.begin(key, hash);
    this.#acceptFact(thing, { ...fact, dims: this.#dims.intern(fact.dims) }, state);
  }

  #acceptFact(thing: Thing, fact: Parameters<Thing['accept']>[0], state: ChunkState): void {
    thing.accept(fact, state.cells);
    this.#history.grew(1);
    if (fact.eventTimeMs > this.#maxEventTimeMs) this.#maxEventTimeMs = fact.eventTimeMs;
    state.maxEventTimeMs = this.#maxEventTimeMs;
  }

  #advance(state: ChunkState, offset: number): void {
    state.lastOffset = offset;
    state.changed = true;
    this.#position = offset + 1;
    const end = (state.chunk + 1) * this.settings.chunkRecords - 1;
    if (offset === end) state.complete = true;
  }

  /** The state of the chunk an offset lies in; reaching a later chunk completes the one before, gaps included. */
  #chunkAt(offset: number): ChunkState {
    const { chunkRecords } = this.settings;
    const chunk = Math.floor(offset / chunkRecords);
    const current = this.#chunks.at(-1);
    if (current !== undefined && current.chunk === chunk) return current;
    if (current !== undefined && !current.complete) {
      current.lastOffset = (current.chunk + 1) * chunkRecords - 1;
      current.complete = true;
      current.changed = true;
    }
    const state: ChunkState = {
      ...emptyTally(),
      chunk,
      firstOffset: offset,
      lastOffset: offset - 1,
      complete: false,
      maxEventTimeMs: this.#maxEventTimeMs,
      maxRecordTimeMs: this.#maxRecordTimeMs,
      lastRecord: current?.lastRecord ?? null,
      lastRecordKnown: current?.lastRecordKnown ?? null,
      cells: new CellTable(),
      opened: false,
      changed: true,
    };
    this.#chunks.push(state);
    return state;
  }

  /** Takes what has changed since the last flush: absolute values, standing for the position reached now. */
  takeFlush(sink: CellSink): PartitionFlush | null {
    const changed = this.#chunks.filter((state) => state.changed);
    if (changed.length === 0) return null;
    for (const state of changed) {
      if (!state.opened) {
        sink.opening(
          this.#ledgerRow({
            ...state,
            ...emptyTally(),
            lastOffset: state.chunk * this.settings.chunkRecords - 1,
            complete: false,
          }),
        );
        state.opened = true;
      }
      const row = this.#ledgerRow(state);
      const ver = BigInt(this.#foldVersion) * 2n ** 48n + BigInt(state.lastOffset + 1);
      const place = {
        stream: this.stream,
        partition: this.settings.partition,
        chunk: state.chunk,
        foldVersion: this.#foldVersion,
        ver,
      };
      for (const cell of state.cells.takeDirty()) sink.cells(this.settings.kind, cell.row(place));
      sink.ledger(row);
      state.changed = false;
    }
    const completed = this.#chunks.findLast((state) => state.complete);
    return {
      durableOffset: this.#position - 1,
      commitOffset: completed === undefined ? null : (completed.chunk + 1) * this.settings.chunkRecords,
      durableEventTimeMs: this.#maxEventTimeMs,
    };
  }

  /** The flush taken before is acknowledged by the store, all of it. */
  flushed(flush: PartitionFlush): void {
    this.#durableOffset = Math.max(this.#durableOffset, flush.durableOffset);
    this.#chunks = this.#chunks.filter((state) => !state.complete || state.changed);
  }

  #ledgerRow(state: ChunkState): ChunkRow {
    const known = state.lastRecord;
    const earlier = state.lastRecordKnown;
    return {
      stream: this.stream,
      partition: this.settings.partition,
      chunk: state.chunk,
      chunkRecords: this.settings.chunkRecords,
      foldVersion: this.#foldVersion,
      firstOffset: state.firstOffset,
      lastOffset: state.lastOffset,
      complete: state.complete,
      stored: state.stored,
      dropped: state.dropped,
      dead: state.dead,
      duplicate: state.duplicate,
      lostRetention: state.lostRetention,
      maxEventTimeMs: state.maxEventTimeMs,
      watermarkMs: Math.max(0, state.maxEventTimeMs - this.settings.latenessBoundMs),
      maxRecordTimeMs: state.maxRecordTimeMs,
      lastRecordOffset: known?.offset ?? earlier?.offset ?? -1,
      lastRecordHash: known === null ? (earlier?.hash ?? noHash) : hashRecord(known),
    };
  }
}

function lastRecordOf(rows: ChunkRow[]): { offset: number; hash: ArrayLike<number> } | null {
  const row = rows.findLast((candidate) => candidate.lastRecordOffset >= 0);
  return row === undefined ? null : { offset: row.lastRecordOffset, hash: row.lastRecordHash };
}

const stateNumbers = new Map<string, number>();

/** A number for a state that depends on its name only. */
function stateNumber(state: string): number {
  let number = stateNumbers.get(state);
  if (number === undefined) {
    number = [...state].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) | 0, 7);
    stateNumbers.set(state, number);
  }
  return number;
}
