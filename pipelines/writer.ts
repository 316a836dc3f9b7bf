import type { Table } from '../clickhouse/columns.ts';
import {
  type ChunkRow,
  chunksTable,
  type DeadLetterRow,
  deadLetterBytesTable,
  deadLettersTable,
  dropsTable,
} from '../clickhouse/tables/bookkeeping.ts';
import { type CellRow, executionCellsTable, taskCellsTable } from '../clickhouse/tables/cells.ts';
import { untoldOfExecution, untoldOfTask } from '../clickhouse/tables/details.ts';
import { type MeasureRow, orchestratorCellsTable } from '../clickhouse/tables/orchestrator-cells.ts';
import { orchestratorEventsTable } from '../clickhouse/tables/orchestrator-events.ts';
import { executionEventsTable, taskEventsTable } from '../clickhouse/tables/runs.ts';
import type { ExecutionEvent, TaskEvent } from '../schemas/events.ts';
import type { OrchestratorEvent } from '../schemas/orchestrator-events.ts';
import type { CellSink } from './chunk.ts';
import type { LogRecord } from './decode.ts';
import type { FoldableKind } from './facts.ts';
import type { PartitionFlush, PartitionFold } from './partition.ts';
import { type Rejection, rejections } from './rejections.ts';
import type { RecordPlace, RowSink, StoredRecord } from './row-sink.ts';
import type { RowBatch, Store } from './store.ts';
import { WaitingEntities } from './waiting-entities.ts';

export interface WriterSettings {
  /** A flush begins when so many rows wait; reading stops at twice as many, so folding goes on during a flush. */
  flushRows: number;
}

/** What the writer needs of the world besides the store. */
export interface WriterEffects {
  sleep(ms: number): Promise<void>;
  nowMs(): number;
  commit(fold: PartitionFold, offset: number): Promise<void>;
  /** A flush cannot go on until somebody acts (incurable) or the server is back; null when all is well again. */
  blocked?(problem: { step: string; error: Error; attempts: number; retryable: boolean } | null): void;
  flushed?(report: FlushReport): void;
  /** About to send rows: the last moment to notice that others own the partitions by now, and to abandon. */
  sending?(): void;
  /** Named points between the steps, where a test may let the process die. */
  reached?(point: FlushPoint): void;
}

export type FlushPoint = 'taken' | 'opened' | 'entities' | 'rows' | 'cells' | 'ledger' | 'committed';

export interface FlushReport {
  rows: number;
  cells: number;
  bytes: number;
  durationMs: number;
  newestEventTimeMs: number;
}

/** A report brings a row for each of its measures, so few of them make a flush. */
const rowsOfReport = 32;
/** Large records fill memory long before they are many. */
const flushBytes = 48 * 1024 * 1024;
const dayMs = 24 * 3600 * 1000;
/** ClickHouse refuses an insert that touches too many partitions of a table, so one flush is cut into several. */
const mostDaysPerInsert = 50;
const firstRetryMs = 100;
const longestRetryMs = 10_000;
const incurableRetryMs = 30_000;

/** Encoded together: enough to make use of it, and so few that they are still in the processor's cache. */
const rowsEncodedTogether = 256;

/** Rows waiting for one table, in batches that each touch a bounded number of days. Rows that wait must not change. */
class WaitingRows<Row> {
  readonly #store: Store;
  readonly #table: Table<Row>;
  #batches: { batch: RowBatch<Row>; days: Set<number> }[] = [];
  #byDay = new Map<number, RowBatch<Row>>();
  #lastDay = Number.NaN;
  #lastBatch: RowBatch<Row> | null = null;
  /** Not encoded yet, and all of them for the last batch. */
  #coming: Row[] = [];
  rows = 0;

  constructor(store: Store, table: Table<Row>) {
    this.#store = store;
    this.#table = table;
  }

  add(row: Row, instantMs: number): void {
    this.rows++;
    const day = Math.floor(instantMs / dayMs);
    if (day !== this.#lastDay || this.#lastBatch === null) {
      const batch = this.#batchOf(day);
      if (batch !== this.#lastBatch) this.encode();
      this.#lastDay = day;
      this.#lastBatch = batch;
    }
    this.#coming.push(row);
    if (this.#coming.length >= rowsEncodedTogether) this.encode();
  }

  encode(): void {
    if (this.#coming.length === 0) return;
    this.#lastBatch?.addAll(this.#coming);
    this.#coming = [];
  }

  #batchOf(day: number): RowBatch<Row> {
    const known = this.#byDay.get(day);
    if (known !== undefined) return known;
    let open = this.#batches.at(-1);
    if (open === undefined || open.days.size >= mostDaysPerInsert) {
      open = { batch: this.#store.createBatch(this.#table), days: new Set() };
      this.#batches.push(open);
    }
    open.days.add(day);
    this.#byDay.set(day, open.batch);
    return open.batch;
  }

  get bytes(): number {
    this.encode();
    return this.#batches.reduce((sum, { batch }) => sum + batch.bytes, 0);
  }

  take(): RowBatch<Row>[] {
    this.encode();
    const batches = this.#batches.map(({ batch }) => batch);
    this.#batches = [];
    this.#byDay = new Map();
    this.#lastBatch = null;
    this.rows = 0;
    return batches;
  }
}

/**
 * Brings folded records into the store. One flush at a time, for all partitions together, in an order that lets every step be
 * repeated blindly and every crash be repaired by folding a chunk again:
 *
 * 1. the first ledger row of every chunk that is new: from here on the chunk counts as begun and incomplete;
 * 2. the latest of every execution and attempt; before raw rows, because what a raw row says is never written again once
 *    retention has taken its record from the log; then raw rows and dead letters;
 * 3. cells, as absolute values, once everything they stand for is acknowledged; with them the drops, because a record may
 *    be booked as a duplicate only when the one it repeats is safe (retention could take both from the log);
 * 4. ledger rows that say how far each chunk is durable;
 * 5. the Kafka offset of a completed chunk.
 *
 * Dying before 4 leaves rows that the next owner writes again under the same keys. Dying before 5 folds a chunk again
 * that was complete already.
 */
export class Writer implements RowSink, CellSink {
  readonly #store: Store;
  readonly #settings: WriterSettings;
  readonly #effects: WriterEffects;
  readonly #folds = new Set<PartitionFold>();
  readonly #executions;
  readonly #tasks;
  readonly #reports;
  readonly #entities;
  readonly #executionCells;
  readonly #taskCells;
  readonly #reportCells;
  readonly #drops;
  readonly #deadLetters;
  readonly #deadLetterBytes;
  #openings: RowBatch<ChunkRow>;
  #ledger: RowBatch<ChunkRow>;
  #flushing: Promise<void> | null = null;
  #coming: Promise<void> | null = null;
  #flushedAtMs = 0;
  #stopped = false;
  #failures = 0;
  /** Counts how often everything was abandoned; a flush that began before must not write any more. */
  #abandonments = 0;

  constructor(store: Store, settings: WriterSettings, effects: WriterEffects) {
    this.#store = store;
    this.#settings = settings;
    this.#effects = effects;
    this.#executions = new WaitingRows(store, executionEventsTable);
    this.#tasks = new WaitingRows(store, taskEventsTable);
    this.#reports = new WaitingRows(store, orchestratorEventsTable);
    this.#entities = new WaitingEntities(store);
    this.#executionCells = new WaitingRows<CellRow>(store, executionCellsTable);
    this.#taskCells = new WaitingRows<CellRow>(store, taskCellsTable);
    this.#reportCells = new WaitingRows<MeasureRow>(store, orchestratorCellsTable);
    this.#drops = new WaitingRows(store, dropsTable);
    this.#deadLetters = new WaitingRows<DeadLetterRow>(store, deadLettersTable);
    this.#deadLetterBytes = new WaitingRows(store, deadLetterBytesTable);
    this.#openings = store.createBatch(chunksTable);
    this.#ledger = store.createBatch(chunksTable);
  }

  own(fold: PartitionFold): void {
    this.#folds.add(fold);
  }

  /** What is still waiting of a partition that went to another owner is sent or not: both are harmless. */
  disown(fold: PartitionFold): void {
    this.#folds.delete(fold);
  }

  get waitingRows(): number {
    const runs = this.#executions.rows + this.#tasks.rows;
    let cells = 0;
    for (const fold of this.#folds) cells += fold.changedCells;
    // Where workflows are very many nearly every record makes a cell of its own, which takes more memory than its row.
    const unusual = Math.max(0, 2 * cells - runs);
    return runs + unusual + this.#reports.rows * rowsOfReport + this.#drops.rows + this.#deadLetters.rows;
  }

  get #waitingBytes(): number {
    const records = this.#executions.bytes + this.#tasks.bytes + this.#reports.bytes;
    return records + this.#deadLetters.bytes + this.#deadLetterBytes.bytes;
  }

  /** How long rows may have been waiting for a flush. */
  get waitedMs(): number {
    return this.#effects.nowMs() - this.#flushedAtMs;
  }

  /** Reading should wait: the store does not keep up. */
  get isFull(): boolean {
    return this.waitingRows >= this.#settings.flushRows * 2 || this.#waitingBytes >= flushBytes * 2;
  }

  get wantsFlush(): boolean {
    return this.waitingRows >= this.#settings.flushRows || this.#waitingBytes >= flushBytes;
  }

  /** By the kind of the stream, which is looked at in one place, rather than by events of ten shapes. */
  stored(row: StoredRecord): void {
    if (row.kind === 'tasks') {
      const task = row as StoredRecord & { event: TaskEvent };
      this.#entities.addTask(task, untoldOfTask(task));
      this.#tasks.add(task, task.event.eventTimeMs);
    } else if (row.kind === 'executions') {
      const execution = row as StoredRecord & { event: ExecutionEvent };
      this.#entities.addExecution(execution, untoldOfExecution(execution));
      this.#executions.add(execution, execution.event.eventTimeMs);
    } else {
      const report = row as StoredRecord & { event: OrchestratorEvent };
      this.#reports.add(report, report.event.eventTimeMs);
    }
  }

  duplicate(place: RecordPlace, workspace: string): void {
    const { meaning } = rejections.duplicate;
    this.#drops.add({ ...place, workspace, reason: 'duplicate', detail: meaning }, place.recordTimeMs);
  }

  rejected(place: RecordPlace, record: LogRecord, rejection: Rejection): void {
    const { reason, detail, excerpt, outcome, workspace } = rejection;
    if (outcome === 'drop') {
      this.#drops.add({ ...place, workspace: '', reason, detail }, place.recordTimeMs);
      return;
    }
    const keyBytes = record.key?.length ?? 0;
    const valueBytes = record.value?.length ?? 0;
    const letter = { ...place, workspace, topic: record.topic, reason, detail, excerpt, keyBytes, valueBytes };
    this.#deadLetters.add(letter, place.recordTimeMs);
    this.#deadLetterBytes.add(
      { ...place, key: record.key, value: record.value, headers: headersOf(record) },
      place.recordTimeMs,
    );
  }

  cells(kind: FoldableKind, row: CellRow): void {
    (kind === 'executions' ? this.#executionCells : this.#taskCells).add(row, row.windowStartMs);
  }

  measures(row: MeasureRow): void {
    this.#reportCells.add(row, row.windowStartMs);
  }

  opening(row: Parameters<CellSink['opening']>[0]): void {
    this.#openings.add(row);
  }

  ledger(row: Parameters<CellSink['ledger']>[0]): void {
    this.#ledger.add(row);
  }

  /** Flushes what has been folded so far. All who call during a flush share the next one, or each would get a small one. */
  flush(): Promise<void> {
    if (this.#flushing !== null) {
      this.#coming ??= this.#flushing
        .finally(() => {
          this.#coming = null;
        })
        .then(() => this.flush());
      return this.#coming;
    }
    this.#flushing = this.#flushOnce().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  /** Forgets everything that was not sent: this process has been away for so long that others own its partitions. */
  abandon(): void {
    this.#abandonments++;
    this.#folds.clear();
    this.#takeBatches();
  }

  /** Ends retrying: a flush under way gives up at its next failure. Nothing is lost, the log still has it. */
  stop(): void {
    this.#stopped = true;
  }

  async #flushOnce(): Promise<void> {
    const startedMs = this.#effects.nowMs();
    this.#flushedAtMs = startedMs;
    const taken = [...this.#folds].flatMap((fold) => {
      const flush = fold.takeFlush(this);
      return flush === null ? [] : [{ fold, flush }];
    });
    if (taken.length === 0 && this.waitingRows === 0) return;
    const { rows, entities, cells, openings, ledger } = this.#takeBatches();
    const abandonments = this.#abandonments;
    const insert = (step: string, batches: readonly RowBatch<never>[]) => this.#insert(step, batches, abandonments);
    const sizes = {
      rows: rows.reduce((sum, batch) => sum + batch.rows, 0),
      cells: cells.reduce((sum, batch) => sum + batch.rows, 0),
      bytes: [...rows, ...cells].reduce((sum, batch) => sum + batch.bytes, 0),
    };
    this.#effects.reached?.('taken');
    await insert('opening chunks', [openings]);
    this.#effects.reached?.('opened');
    await insert('entities', entities);
    this.#effects.reached?.('entities');
    await insert('rows', rows);
    this.#effects.reached?.('rows');
    await insert('cells', cells);
    this.#effects.reached?.('cells');
    await insert('ledger', [ledger]);
    this.#effects.reached?.('ledger');
    for (const { fold, flush } of taken) fold.flushed(flush);
    await this.#commit(taken);
    this.#effects.reached?.('committed');
    this.#effects.flushed?.({
      ...sizes,
      durationMs: this.#effects.nowMs() - startedMs,
      newestEventTimeMs: Math.max(...taken.map(({ flush }) => flush.durableEventTimeMs)),
    });
  }

  #takeBatches() {
    const rows: RowBatch<never>[] = [
      ...this.#executions.take(),
      ...this.#tasks.take(),
      ...this.#reports.take(),
      ...this.#deadLetters.take(),
      ...this.#deadLetterBytes.take(),
    ];
    const entities = this.#entities.take();
    const cells: RowBatch<never>[] = [
      ...this.#executionCells.take(),
      ...this.#taskCells.take(),
      ...this.#reportCells.take(),
      ...this.#drops.take(),
    ];
    const openings = this.#openings;
    const ledger = this.#ledger;
    this.#openings = this.#store.createBatch(chunksTable);
    this.#ledger = this.#store.createBatch(chunksTable);
    return { rows, entities, cells, openings, ledger };
  }

  async #insert(step: string, batches: readonly RowBatch<never>[], abandonments: number): Promise<void> {
    const sent = batches.filter((batch) => batch.rows > 0);
    await Promise.all(sent.map((batch) => this.#insertOne(step, batch, abandonments)));
  }

  /** Repeats an insert until it is acknowledged: dropping rows is never the answer, unless others write them. */
  async #insertOne(step: string, batch: RowBatch<never>, abandonments: number): Promise<void> {
    for (let attempts = 1; ; attempts++) {
      this.#effects.sending?.();
      if (abandonments !== this.#abandonments) {
        if (attempts > 1 && --this.#failures === 0) this.#effects.blocked?.(null);
        throw new Error('abandoned');
      }
      try {
        await this.#store.insert(batch);
        batch.release();
        if (attempts > 1 && --this.#failures === 0) this.#effects.blocked?.(null);
        return;
      } catch (error) {
        if (this.#stopped) throw error;
        if (attempts === 1) this.#failures++;
        const retryable = (error as { retryable?: boolean }).retryable !== false;
        this.#effects.blocked?.({
          step: `${step} into ${batch.table.name}`,
          error: error as Error,
          attempts,
          retryable,
        });
        await this.#effects.sleep(
          retryable ? Math.min(longestRetryMs, firstRetryMs * 2 ** (attempts - 1)) : incurableRetryMs,
        );
      }
    }
  }

  /** A commit that fails is no harm: the next completed chunk commits further, and the ledger knows better anyway. */
  async #commit(taken: { fold: PartitionFold; flush: PartitionFlush }[]): Promise<void> {
    await Promise.all(
      taken.map(({ fold, flush }) =>
        flush.commitOffset === null ? undefined : this.#effects.commit(fold, flush.commitOffset),
      ),
    );
  }
}

export function headersOf(record: LogRecord): { name: string; value: Buffer }[] {
  return Object.entries(record.headers ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).flatMap((value) =>
      // A header may have no value at all, which the column cannot tell from an empty one.
      value === undefined ? [] : [{ name, value: Buffer.from(value ?? '') }],
    ),
  );
}
