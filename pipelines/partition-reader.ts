import type { Decoder, LogRecord } from './decode.ts';
import type { FoldableEvent } from './facts.ts';
import { type Folded, type PartitionFold, PartitionRefused } from './partition.ts';
import type { Rejection } from './rejections.ts';
import type { Store } from './store.ts';
import type { Writer } from './writer.ts';

/** What a reader needs of Kafka. */
export interface LogEffects {
  committed(): Promise<number | null>;
  ends(): Promise<{ low: number; high: number }>;
  seek(offset: number): void;
}

/** A batch as the client hands it over, and what it wants to be told. */
export interface LogBatch {
  records: LogRecord[];
  /** The batch is out of date: the partition was taken away or the position moved. */
  isStale(): boolean;
  resolve(offset: number): void;
  heartbeat(): Promise<void>;
}

export interface ReaderEffects {
  sleep(ms: number): Promise<void>;
  folded(folded: Folded, outcomes: readonly (FoldableEvent | Rejection)[]): void;
  waiting(reason: string, error: Error): void;
  lost(records: number): void;
}

/** Records folded without a pause: enough to spread the cost of a question, few enough for heartbeats in between. */
const sliceRecords = 4_000;
const pauseMs = 20;
const retryMs = 1_000;

/**
 * Reads one partition: opens its fold, makes sure that the log is still the one the ledger speaks of, and hands slices of
 * records to the fold. Whatever the client delivers, only the fold's own position decides what is folded next.
 */
export class PartitionReader {
  readonly fold: PartitionFold;
  readonly opened: Promise<void>;
  refusal: PartitionRefused | null = null;
  readonly #store: Store;
  readonly #decoder: Decoder;
  readonly #writer: Writer;
  readonly #log: LogEffects;
  readonly #effects: ReaderEffects;
  #isOpen = false;
  #closed = false;

  constructor(
    fold: PartitionFold,
    store: Store,
    decoder: Decoder,
    writer: Writer,
    log: LogEffects,
    effects: ReaderEffects,
  ) {
    this.fold = fold;
    this.#store = store;
    this.#decoder = decoder;
    this.#writer = writer;
    this.#log = log;
    this.#effects = effects;
    this.opened = this.#open();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#closed = true;
    this.#writer.disown(this.fold);
  }

  async #open(): Promise<void> {
    while (!this.#closed) {
      try {
        const [committed, ends] = await Promise.all([this.#log.committed(), this.#log.ends()]);
        await this.fold.open(committed, ends.low, ends.high);
        if (this.#closed) return;
        this.#writer.own(this.fold);
        this.#isOpen = true;
        this.#log.seek(this.#nextOffset(ends.low));
        return;
      } catch (error) {
        if (error instanceof PartitionRefused) {
          this.refusal = error;
          return;
        }
        this.#effects.waiting('opening a partition', error as Error);
        await this.#effects.sleep(retryMs);
      }
    }
  }

  /** The record that proves the log comes first, as long as it still exists; then the position. */
  #nextOffset(low: number): number {
    const { lastDurable, position } = this.fold;
    return lastDurable !== null && lastDurable.offset >= low ? lastDurable.offset : position;
  }

  async read(batch: LogBatch): Promise<void> {
    await this.#untilDone(this.opened, batch);
    if (this.refusal !== null || !this.#isOpen || batch.records.length === 0 || batch.isStale()) return;
    if (this.fold.lastDurable !== null) return this.#prove(batch);
    const [first] = batch.records as [LogRecord];
    if (first.offset > this.fold.position) await this.#crossGap();
    const last = batch.records.at(-1) as LogRecord;
    if (last.offset < this.fold.position) return this.#log.seek(this.fold.position);
    for (let from = 0; from < batch.records.length; from += sliceRecords) {
      if (this.#closed || batch.isStale()) return;
      const slice = batch.records.slice(from, from + sliceRecords);
      await this.#foldSlice(slice, batch);
      batch.resolve((slice.at(-1) as LogRecord).offset);
      await batch.heartbeat();
    }
  }

  async #prove(batch: LogBatch): Promise<void> {
    const expected = this.fold.lastDurable;
    const record = batch.records.find((candidate) => candidate.offset >= (expected?.offset ?? 0));
    if (record === undefined) return this.#log.seek(expected?.offset ?? this.fold.position);
    try {
      this.fold.checkLastDurable(record);
    } catch (error) {
      if (!(error instanceof PartitionRefused)) throw error;
      this.refusal = error;
      this.close();
      return;
    }
    // Compaction may have removed the record; then nothing speaks against the log.
    this.fold.lastDurable = null;
    this.#log.seek(this.fold.position);
  }

  /** Offsets are missing. Transactions and compaction leave such holes; so does retention that overtook us. */
  async #crossGap(): Promise<void> {
    const { low } = await this.#log.ends();
    if (low <= this.fold.position) return;
    await this.#writer.flush();
    const { partition } = this.fold.settings;
    const lost = await this.fold.foldTrimmed(low, await this.#store.readChunks(this.fold.stream, partition));
    this.#effects.lost(lost);
  }

  async #foldSlice(records: LogRecord[], batch: LogBatch): Promise<void> {
    await this.#untilDone(this.#prepare(records), batch);
    const outcomes = records.map((record) => this.#decoder.decode(record) as FoldableEvent | Rejection);
    const accepting = this.#acceptSlice(records, outcomes);
    await this.#untilDone(accepting, batch);
    this.#effects.folded(await accepting, outcomes);
    if (this.#writer.wantsFlush) void this.#writer.flush().catch(() => undefined);
    while (this.#writer.isFull && !this.#closed) {
      await this.#effects.sleep(pauseMs);
      await batch.heartbeat();
    }
  }

  /** A registry that is down delays; it loses nothing. */
  async #prepare(records: LogRecord[]): Promise<void> {
    for (;;) {
      try {
        return await this.#decoder.prepare(records);
      } catch (error) {
        if (this.#closed) return;
        this.#effects.waiting('fetching a schema', error as Error);
        await this.#effects.sleep(retryMs);
      }
    }
  }

  /** Asking for history may fail; nothing has been folded then, so the slice is simply tried again. */
  async #acceptSlice(records: LogRecord[], outcomes: (FoldableEvent | Rejection)[]): Promise<Folded> {
    for (;;) {
      try {
        return await this.fold.accept(records, outcomes, this.#writer);
      } catch (error) {
        if (this.#closed || (error as { retryable?: boolean }).retryable === undefined) throw error;
        this.#effects.waiting('asking for history', error as Error);
        await this.#effects.sleep(retryMs);
      }
    }
  }

  /** Waits with heartbeats, so that a slow answer does not cost the membership in the group. */
  async #untilDone(work: Promise<unknown> | undefined, batch: LogBatch): Promise<void> {
    if (work === undefined) return;
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    const beat = async () => {
      while (!done) {
        await this.#effects.sleep(retryMs);
        // A heartbeat that fails is met again at the next safe point; here it must not abandon work under way.
        if (!done) await batch.heartbeat().catch(() => undefined);
      }
    };
    await Promise.race([finished, beat()]);
    await finished;
  }
}
