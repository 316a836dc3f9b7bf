import type { Table } from '../../../clickhouse/columns.ts';
import type { ChunkRow } from '../../../clickhouse/tables/bookkeeping.ts';
import { versionOf } from '../../../clickhouse/tables/bookkeeping.ts';
import type { CellRow } from '../../../clickhouse/tables/cells.ts';
import type { ExecutionRow, Ranked, Words } from '../../../clickhouse/tables/entities.ts';
import { counts, distributions, quantities } from '../../../clickhouse/tables/measures.ts';
import type { MeasureRow } from '../../../clickhouse/tables/orchestrator-cells.ts';
import { DimsTable } from '../../../pipelines/cells.ts';
import { dimsOf, type EventOfRun, factOf, nameThing } from '../../../pipelines/facts.ts';
import { type Report, reportFactOf, reportKeyOf } from '../../../pipelines/reports.ts';
import type { StoredRecord } from '../../../pipelines/row-sink.ts';
import type { LogPrefix, RowBatch, Store, StoredFact, StoredRange, Wanted } from '../../../pipelines/store.ts';
import { keyOf, ScratchName } from '../../../pipelines/thing-table.ts';

export interface StoredCell {
  dims: string;
  windowMs: number;
  chunk: number;
  ver: bigint;
  values: Map<string, bigint>;
}

/** A row of `executions` after merging. */
export type StoredExecution = Pick<ExecutionRow, 'now' | 'lastEnd' | 'firstSeenMs' | 'lastEventMs'>;

const numberOf = ({ high, low }: Words): bigint => BigInt(high) * 2n ** 32n + BigInt(low);

/** The greater by rank, then by place, as the server compares tuples. */
function greatest<Value extends Ranked>(known: Value | undefined, value: Value): Value {
  if (known === undefined) return value;
  const order = (of: Ranked) => numberOf(of.rank) * 2n ** 64n + numberOf(of.place);
  return order(value) > order(known) ? value : known;
}

interface Place {
  stream: string;
  partition: number;
  offset: number;
}

/** An insert on its way: the schedule decides whether and when it takes effect, and what the client hears. */
export interface Pending {
  table: string;
  apply(): void;
  acknowledge(): void;
  fail(): void;
}

class ModelBatch<Row> implements RowBatch<Row> {
  readonly table: Table<Row>;
  readonly kept: Row[] = [];

  constructor(table: Table<Row>) {
    this.table = table;
  }

  get rows(): number {
    return this.kept.length;
  }

  get bytes(): number {
    return this.kept.length * 100;
  }

  /** A cell goes on changing after it was taken, so its values are copied now, as the real encoder does. */
  release(): void {}

  addAll(rows: readonly Row[]): void {
    for (const row of rows) this.add(row);
  }

  add(row: Row): void {
    if (this.table.name === 'orchestrator_cells') this.kept.push(frozenMeasure(row as MeasureRow) as Row);
    else if (this.table.name.endsWith('_cells')) this.kept.push(frozenCell(row as CellRow) as Row);
    else this.kept.push({ ...row });
  }
}

function frozenCell(row: CellRow): StoredCell {
  const values = new Map<string, bigint>();
  const put = (field: string, value: bigint | number | null) => {
    if (value !== null) values.set(field, BigInt(value));
  };
  counts.forEach((count, index) => {
    put(count, row.count(index));
  });
  distributions.forEach((name, index) => {
    put(`${name}_sum`, row.sum(index));
    put(`${name}_min`, row.min(index));
    put(`${name}_max`, row.max(index));
    for (const [bucket, n] of row.histogram(index)) put(`${name}_hist[${bucket}]`, n);
  });
  quantities.forEach((name, position) => {
    put(`${name}_n`, row.reported(position));
    put(`${name}_sum`, row.sum(distributions.length + position));
    put(`${name}_max`, row.max(distributions.length + position));
  });
  const { chunk, ver } = row.place;
  return { dims: JSON.stringify(row.dims), windowMs: row.windowStartMs, chunk, ver, values };
}

function frozenMeasure(row: MeasureRow): StoredCell {
  const values = new Map([['n', BigInt(row.n)]]);
  values.set('value_sum', BigInt(row.sum));
  if (row.min !== null) values.set('value_min', BigInt(row.min));
  if (row.max !== null) values.set('value_max', BigInt(row.max));
  for (const [bucket, n] of row.histogram) values.set(`value_hist[${bucket}]`, BigInt(n));
  values.set('last_at', BigInt(row.last.atMs));
  values.set('last_offset', BigInt(row.last.offset));
  values.set('last_value', BigInt(row.last.value));
  for (const { atMs, offset, value } of row.readings) values.set(`readings[${atMs} ${offset}]`, BigInt(value));
  const dims = JSON.stringify([...row.dims, row.measure, row.label, row.outcome]);
  return { dims, windowMs: row.windowStartMs, chunk: row.place.chunk, ver: row.place.ver, values };
}

/**
 * ClickHouse as far as the write path relies on it: rows replaced by key and version, inserts that may be lost, applied
 * late, applied twice, or applied without the client ever hearing of it.
 */
export class ModelStore {
  readonly raw = new Map<number, StoredRecord>();
  readonly drops = new Map<number, string>();
  readonly dead = new Map<number, string>();
  readonly cells = new Map<string, StoredCell>();
  /** Executions by their ids, as far as rank and time decide about them. */
  readonly executions = new Map<string, StoredExecution>();
  readonly chunks = new Map<number, ChunkRow>();
  /** Every version of a cell that ever became visible. */
  readonly cellVersions: StoredCell[] = [];
  readonly pending: Pending[] = [];

  /** A connection of one process; what it has sent outlives it. */
  connect(isAlive: () => boolean): Store {
    return {
      readChunks: async () =>
        structuredClone([...this.chunks.values()].sort((left, right) => left.chunk - right.chunk)),
      readHistory: async (prefix, wanted) => this.#history(prefix, wanted),
      readThings: async (prefix, each) => {
        for (const row of this.raw.values()) {
          if (row.offset < prefix.beforeOffset) each(row.thingHash.low, row.thingHash.high);
        }
      },
      readRange: async (_kind, _stream, _partition, from, below) => this.#range(from, below),
      readVerdicts: async () => new Map(),
      createBatch: (table) => new ModelBatch(table),
      insert: (batch) => this.#send(batch as ModelBatch<unknown>, isAlive),
      appendIdle: async () => undefined,
    };
  }

  #send(batch: ModelBatch<unknown>, isAlive: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.pending.push({
        table: batch.table.name,
        apply: () => this.#apply(batch),
        acknowledge: () => {
          if (isAlive()) resolve();
        },
        fail: () => {
          if (isAlive()) reject(Object.assign(new Error('connection lost'), { retryable: true }));
        },
      });
    });
  }

  #apply(batch: ModelBatch<unknown>): void {
    for (const row of batch.kept) {
      if (batch.table.name.endsWith('_events')) this.raw.set((row as StoredRecord).offset, row as StoredRecord);
      else if (batch.table.name === 'drops') this.drops.set((row as Place).offset, (row as { reason: string }).reason);
      else if (batch.table.name === 'dead_letters')
        this.dead.set((row as Place).offset, (row as { reason: string }).reason);
      else if (batch.table.name === 'chunks') this.#putChunk(row as ChunkRow);
      else if (batch.table.name === 'executions') this.#putExecution(row as ExecutionRow);
      else if (batch.table.name.endsWith('_cells')) this.#putCell(row as StoredCell);
    }
  }

  #putChunk(row: ChunkRow): void {
    const known = this.chunks.get(row.chunk);
    const version = (chunk: ChunkRow) => versionOf(chunk.foldVersion, chunk.lastOffset);
    if (known === undefined || version(row) >= version(known)) this.chunks.set(row.chunk, row);
  }

  #putExecution(row: ExecutionRow): void {
    const known = this.executions.get(row.executionId);
    this.executions.set(row.executionId, {
      now: greatest(known?.now, row.now),
      lastEnd: greatest(known?.lastEnd, row.lastEnd),
      firstSeenMs: Math.min(known?.firstSeenMs ?? Number.POSITIVE_INFINITY, row.firstSeenMs),
      lastEventMs: Math.max(known?.lastEventMs ?? 0, row.lastEventMs),
    });
  }

  #putCell(cell: StoredCell): void {
    this.cellVersions.push(cell);
    const key = `${cell.chunk} ${cell.windowMs} ${cell.dims}`;
    const known = this.cells.get(key);
    if (known === undefined || cell.ver >= known.ver) this.cells.set(key, cell);
  }

  #facts(keep: (row: StoredRecord, key: string) => boolean): StoredFact[] {
    const dims = new DimsTable();
    const facts: StoredFact[] = [];
    for (const row of [...this.raw.values()].sort((left, right) => left.offset - right.offset)) {
      const report = row.kind === 'orchestrators' ? (row.event as Report) : undefined;
      const event = row.event as EventOfRun;
      const key = report === undefined ? keyOf(nameThing(event, new ScratchName())) : reportKeyOf(report);
      if (!keep(row, key)) continue;
      const fact =
        report === undefined ? factOf(event, row.offset, dimsOf(event, dims)) : reportFactOf(report, row.offset);
      facts.push({ ...fact, key, dims: [...fact.dims.values], report });
    }
    return facts;
  }

  #history(prefix: LogPrefix, wanted: Wanted[]): StoredFact[] {
    const keys = new Set(wanted.map((thing) => thing.key));
    return this.#facts((row, key) => row.offset < prefix.beforeOffset && keys.has(key));
  }

  #range(from: number, below: number): StoredRange {
    const inRange = (offset: number) => offset >= from && offset < below;
    const reasons = [...this.drops].filter(([offset]) => inRange(offset)).map(([, reason]) => reason);
    return {
      facts: this.#facts((row) => inRange(row.offset)),
      duplicate: reasons.filter((reason) => reason === 'duplicate').length,
      dropped: reasons.filter((reason) => reason !== 'duplicate').length,
      dead: [...this.dead.keys()].filter(inRange).length,
    };
  }
}
