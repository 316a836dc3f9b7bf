import type { Decoder, LogRecord } from './decode.ts';
import type { FoldableEvent } from './facts.ts';
import type { Folded, PartitionFold } from './partition.ts';
import { PartitionRefused } from './partition-refused.ts';
import { makeExcerpt } from './redact.ts';
import { Rejection, type RejectReason } from './rejections.ts';
import type { Store, StoredVerdict } from './store.ts';
import type { Writer } from './writer.ts';

/** What a reader needs of Kafka. */
export interface LogEffects {
  committed(): Promise<number | null>;
  ends(): Promise<{ low: number; high: number }>;
  seek(offset: number): void;
  /** Stops fetching this partition, so that it holds up no other one; records already on their way still come. */
  pause(): void;
  resume(): void;
}

/** A batch as the client hands it over, and what it wants to be told. */
export interface LogBatch {
  records: LogRecord[];
  /** Where the client began to read: holes between here and the first record are no loss. */
  fetchedFrom: number;
  /** Control records and aborted ones are passed over in silence, at the end of a batch too. */
  lastOffset: number;
  /** The next offset to be written when the batch was fetched. */
  logEnd: number;
  /** The batch is out of date: the partition was taken away or the position moved. */
  isStale(): boolean;
  resolve(offset: number): void;
  heartbeat(): Promise<void>;
}

export interface ReaderEffects {
  sleep(ms: number): Promise<void>;
  nowMs(): number;
  folded(folded: Folded, outcomes: readonly (FoldableEvent | Rejection)[]): void;
  waiting(reason: string, error: Error): void;
  lost(records: number): void;
}

/**
 * Records folded without a pause. So few that their decoded events die young, which is what the collector does best
 * (4 000 cost a third more CPU), and enough to spread the cost of a question about history.
 */
const sliceRecords = 500;
const pauseMs = 20;
const retryMs = 1_000;
/**
 * A topic can be deleted, made again and filled beyond our place between two fetches, and nothing in what is fetched tells one
 * log from the other. So the log is proved again after a silence: a short one where we stood at its end, and a longer one
 * where others' records were merely in our way.
 */
const silenceAtEndMs = 100;
const silenceMs = 2_000;

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
  #readAtMs: number;
  #isAtEnd = false;
  /** Until records were read behind the landmark, however long they take to come. */
  #isProven = false;
  /** Records ahead that an earlier reading has dead-lettered. */
  #verdicts = new Map<number, StoredVerdict>();

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
    this.#readAtMs = effects.nowMs();
    this.opened = this.#open();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * After a rebalance the client stands where the group committed, which may be anywhere; and a topic that is gone, or there
   * again, makes the group meet anew.
   */
  goOn(): void {
    if (this.#isOpen && this.refusal === null) this.#seekLandmark();
  }

  #seekLandmark(): void {
    this.fold.doubt();
    this.#log.seek(this.fold.landmark?.offset ?? this.fold.position);
  }

  /** False when the ledger asks for another start than the one we are going on from. */
  async agreesWithLedger(): Promise<boolean> {
    if (!this.#isOpen) return true;
    const { stream, settings, lowestUnfinished } = this.fold;
    const rows = await this.#store.readChunks(stream, settings.partition);
    return this.#closed || !this.fold.isContradictedBy(rows, lowestUnfinished);
  }

  close(): void {
    this.#closed = true;
    this.#writer.disown(this.fold);
  }

  async #open(): Promise<void> {
    await this.#away('opening a partition', async () => {
      const [committed, ends] = await Promise.all([this.#log.committed(), this.#log.ends()]);
      const lost = await this.fold.open(committed, ends.low, ends.high);
      if (lost > 0) this.#effects.lost(lost);
      const { stream, settings, position } = this.fold;
      this.#verdicts = await this.#store.readVerdicts(stream, settings.partition, position);
      if (!this.#closed) this.#writer.own(this.fold);
      return this.#nextOffset(ends.low);
    });
  }

  /** Retention overtook us: what was stored of the trimmed offsets is folded from there, and reading goes on behind them. */
  async #crossGap(): Promise<void> {
    await this.#away('crossing trimmed offsets', async () => {
      // What is folded and not yet stored can be read nowhere else any more.
      await this.#writer.flush();
      const { low } = await this.#log.ends();
      if (low > this.fold.position) {
        const chunks = await this.#store.readChunks(this.fold.stream, this.fold.settings.partition);
        this.#effects.lost(await this.fold.foldTrimmed(low, chunks));
      }
      return this.fold.position;
    });
  }

  /** Does what may take long while the partition is not fetched, and goes on at the offset that comes out of it. */
  async #away(what: string, work: () => Promise<number>): Promise<void> {
    this.#isOpen = false;
    this.#log.pause();
    while (!this.#closed) {
      try {
        const offset = await work();
        if (this.#closed) return;
        this.#isOpen = true;
        this.#log.seek(offset);
        return this.#log.resume();
      } catch (error) {
        if (error instanceof PartitionRefused) {
          this.refusal = error;
          return;
        }
        this.#effects.waiting(what, error as Error);
        await this.#effects.sleep(retryMs);
      }
    }
  }

  /** The record that proves the log comes first, as long as it still exists; then the position. */
  #nextOffset(low: number): number {
    const { landmark, position } = this.fold;
    return landmark !== null && landmark.offset >= low ? landmark.offset : position;
  }

  async read(batch: LogBatch): Promise<void> {
    if (this.refusal !== null || !this.#isOpen || batch.records.length === 0 || batch.isStale()) return;
    const { fold } = this;
    if (fold.landmark !== null) {
      if (!(await this.#prove(batch))) return;
    } else if (this.#mayBeOfOtherLog(batch)) {
      fold.doubt();
      if (fold.landmark !== null) return this.#seekLandmark();
    }
    // The client fell back on its defaults: it began behind what retention removed, or ahead of us for no good reason.
    if (batch.fetchedFrom > fold.position) return this.#findPosition();
    if (batch.lastOffset < fold.position) return this.#log.seek(fold.position);
    for (let from = 0; from < batch.records.length; from += sliceRecords) {
      if (this.#closed || batch.isStale()) return;
      const slice = batch.records.slice(from, from + sliceRecords);
      if (!(await this.#foldSlice(this.#unreadOf(slice), batch))) return;
      batch.resolve((slice.at(-1) as LogRecord).offset);
      await batch.heartbeat();
    }
    if (this.#closed) return;
    fold.pass(batch.lastOffset);
    batch.resolve(batch.lastOffset);
    this.#isProven = false;
    this.#readAtMs = this.#effects.nowMs();
    this.#isAtEnd = batch.lastOffset + 1 >= batch.logEnd;
  }

  /** The landmark is read once more, and what the client brings besides; neither may be decided, or counted, again. */
  #unreadOf(slice: LogRecord[]): LogRecord[] {
    const { position } = this.fold;
    return (slice[0] as LogRecord).offset >= position ? slice : slice.filter(({ offset }) => offset >= position);
  }

  /** The client lost our place, as it does in a log that has not grown so far, or there was time for another log to come. */
  #mayBeOfOtherLog({ fetchedFrom }: LogBatch): boolean {
    if (fetchedFrom < this.fold.position) return true;
    const silentMs = this.#effects.nowMs() - this.#readAtMs;
    return !this.#isProven && silentMs > (this.#isAtEnd ? silenceAtEndMs : silenceMs);
  }

  /** The client found nothing for us in these offsets: they hold control records and aborted ones. */
  pass(firstOffset: number, lastOffset: number): void {
    if (!this.#isOpen || this.#closed || this.fold.landmark !== null) return;
    if (firstOffset <= this.fold.position) this.fold.pass(lastOffset);
  }

  async #findPosition(): Promise<void> {
    const { low } = await this.#log.ends();
    if (low <= this.fold.position) return this.#log.seek(this.fold.position);
    void this.#crossGap();
  }

  /** True when the log is the one that was read before, and this batch of it may be folded. */
  async #prove(batch: LogBatch): Promise<boolean> {
    const { fold } = this;
    const expected = fold.landmark?.offset ?? 0;
    const record = batch.records.find((candidate) => candidate.offset >= expected);
    if (record === undefined || batch.fetchedFrom > expected) {
      const { low } = await this.#log.ends();
      if (low <= expected) {
        this.#log.seek(expected);
        return false;
      }
    }
    try {
      // Compaction or retention may have removed the record.
      fold.passLandmark(record);
    } catch (error) {
      if (!(error instanceof PartitionRefused)) throw error;
      this.refusal = error;
      // What was folded of the log that is gone can be read nowhere any more.
      await this.#untilDone(this.#writer.flush(), batch).catch(() => undefined);
      this.close();
      return false;
    }
    this.#isProven = true;
    return true;
  }

  /** False when the slice was not folded, because the partition or the client's position is no longer ours. */
  async #foldSlice(records: LogRecord[], batch: LogBatch): Promise<boolean> {
    if (!(await this.#prepare(records, batch))) return false;
    const outcomes = records.map((record) => this.#judge(record));
    const accepting = this.#acceptSlice(records, outcomes, batch);
    await this.#untilDone(accepting, batch);
    const folded = await accepting;
    if (folded === null) return false;
    this.#effects.folded(folded, outcomes);
    if (this.#writer.wantsFlush) void this.#writer.flush().catch(() => undefined);
    while (this.#writer.isFull && !this.#closed && !batch.isStale()) {
      await this.#effects.sleep(pauseMs);
      await batch.heartbeat();
    }
    return true;
  }

  /**
   * A dead letter stays one when its chunk is folded again, even if by now a registry, a setting or a newer release could
   * read it: decided anew, it would be counted once here and once more where somebody has replayed it.
   */
  #judge(record: LogRecord): FoldableEvent | Rejection {
    const outcome = this.#decoder.decode(record) as FoldableEvent | Rejection;
    if (this.#verdicts.size === 0) return outcome;
    const verdict = this.#verdicts.get(record.offset);
    if (verdict === undefined) return outcome;
    const excerpt = record.value === null ? '' : makeExcerpt(record.value);
    return new Rejection(verdict.reason as RejectReason, verdict.detail, excerpt, outcome.workspace);
  }

  /** A registry that is down delays; it loses nothing. Nothing is folded yet, so a rebalance may end the wait. */
  async #prepare(records: LogRecord[], batch: LogBatch): Promise<boolean> {
    while (!this.#closed && !batch.isStale()) {
      try {
        await this.#decoder.prepare(records);
        return true;
      } catch (error) {
        this.#effects.waiting('fetching a schema', error as Error);
        await this.#effects.sleep(retryMs);
        await batch.heartbeat();
      }
    }
    return false;
  }

  /** Asking for history may fail; nothing has been folded then, so the slice is simply tried again. */
  async #acceptSlice(
    records: LogRecord[],
    outcomes: (FoldableEvent | Rejection)[],
    batch: LogBatch,
  ): Promise<Folded | null> {
    while (!this.#closed && !batch.isStale()) {
      try {
        return await this.fold.accept(records, outcomes, this.#writer);
      } catch (error) {
        if (this.#closed || (error as { retryable?: boolean }).retryable === undefined) throw error;
        this.#effects.waiting('asking for history', error as Error);
        await this.#effects.sleep(retryMs);
      }
    }
    return null;
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
