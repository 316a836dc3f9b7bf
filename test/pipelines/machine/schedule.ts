import { setImmediate as tick } from 'node:timers/promises';
import type { ChunkRow } from '../../../clickhouse/tables/bookkeeping.ts';
import { PartitionFold } from '../../../pipelines/partition.ts';
import { PartitionRefused } from '../../../pipelines/partition-refused.ts';
import { Rejection } from '../../../pipelines/rejections.ts';
import { type EntityRecord, entityRecord, expectEntity } from '../../../pipelines/verify/expected-entities.ts';
import { acceptedRecord, type Recomputation, recompute } from '../../../pipelines/verify/recompute.ts';
import { acceptedReport, recomputeReports } from '../../../pipelines/verify/recompute-reports.ts';
import { type FlushPoint, Writer } from '../../../pipelines/writer.ts';
import type { ExecutionEvent } from '../../../schemas/events.ts';
import { createRandom, type Random } from '../../../services/simulator/random.ts';
import { createModelLog, type ModelKind, type ModelRecord } from './model-log.ts';
import { ModelStore, type StoredCell } from './model-store.ts';

export interface ScheduleOptions {
  seed: number;
  kind?: ModelKind;
  records?: number;
  steps?: number;
  chunkRecords?: number;
  /** Retention may remove records before or after they were read. */
  trimming?: boolean;
}

export interface ScheduleResult {
  crashes: number;
  zombies: number;
  trims: number;
  asked: number;
  /** Processes that newer code keeps from what it has begun. */
  refused: number;
  problems: string[];
}

/** One process that owns the partition, or still believes so. */
interface Process {
  alive: boolean;
  fold: PartitionFold;
  writer: Writer;
  busy: boolean;
  dieAt: FlushPoint | null;
}

const flushPoints: FlushPoint[] = ['taken', 'opened', 'entities', 'rows', 'cells', 'ledger', 'committed'];
const noWait = async () => undefined;
const latenessBoundMs = 30_000;
const never = new Promise<never>(() => undefined);

/**
 * Drives the machine that ships through one random schedule: slices of any size, flushes at any moment, acknowledgements
 * lost or late, deaths between any two steps, several owners at once, commits lost or going backwards, a log
 * trimmed under the reader. Then it lets one healthy owner finish and compares everything with a recomputation.
 */
export async function runSchedule(options: ScheduleOptions): Promise<ScheduleResult> {
  const run = new Schedule(options);
  await run.disturb();
  await run.heal();
  return run.judge();
}

class Schedule {
  readonly #random: Random;
  readonly #log: ModelRecord[];
  readonly #store = new ModelStore();
  readonly #options: Required<ScheduleOptions>;
  readonly #late: (() => void)[] = [];
  #processes: Process[] = [];
  #committed: number | null = null;
  #low = 0;
  #lost = new Set<number>();
  /** The release after, which folds alike under a higher version, is out and runs beside the older one. */
  #isReleased = false;
  readonly #result: ScheduleResult = { crashes: 0, zombies: 0, trims: 0, asked: 0, refused: 0, problems: [] };

  constructor(options: ScheduleOptions) {
    this.#options = { kind: 'executions', records: 64, steps: 60, chunkRecords: 8, trimming: false, ...options };
    this.#random = createRandom(options.seed);
    this.#log = createModelLog(this.#options.kind, this.#random, this.#options.records);
  }

  get #high(): number {
    return (this.#log.at(-1)?.record.offset ?? -1) + 1;
  }

  async disturb(): Promise<void> {
    for (let step = 0; step < this.#options.steps; step++) {
      await this.#act();
      await tick();
    }
  }

  async #act(): Promise<void> {
    const random = this.#random;
    const living = this.#processes.filter((process) => process.alive);
    const choice = random.next();
    if (living.length === 0 || (choice < 0.04 && living.length < 3)) return this.#begin();
    const process = random.pick(living);
    if (choice < 0.08) this.#kill(process);
    else if (choice < 0.1 && this.#options.trimming) this.#trim();
    else if (choice < 0.12) this.#moveCommit();
    else if (choice < 0.125) this.#isReleased = true;
    else if (choice < 0.45) await this.#fold(process, 1 + random.below(20));
    else if (choice < 0.65) this.#flush(process);
    else this.#settle();
  }

  async #begin(isLast = false): Promise<void> {
    if (this.#processes.some(({ alive }) => alive)) this.#result.zombies++;
    const process: Process = { alive: true, busy: true, dieAt: null } as Process;
    const store = this.#store.connect(() => process.alive);
    // So little is remembered that nearly every record has to ask for its history.
    const remembered = this.#random.chance(0.5) ? 1 : 40;
    const settings = {
      topic: 'executions',
      epoch: 1,
      kind: this.#options.kind,
      partition: 0,
      chunkRecords: this.#options.chunkRecords,
      latenessBoundMs,
      historyRecords: () => remembered,
      foldVersion: this.#isReleased && (isLast || this.#random.chance(0.6)) ? 2 : 1,
    };
    process.fold = new PartitionFold(settings, store);
    process.writer = new Writer(
      store,
      { flushRows: 1_000_000 },
      {
        sleep: noWait,
        nowMs: () => 0,
        commit: async (_fold, offset) => {
          if (offset % this.#options.chunkRecords !== 0) this.#problem(`a commit of ${offset} lies inside a chunk`);
          if (this.#random.chance(0.8)) this.#committed = offset;
        },
        reached: (point) => this.#reached(process, point),
      },
    );
    if (this.#random.chance(0.3)) process.dieAt = this.#random.pick(flushPoints);
    if (this.#low > 0) this.#fence(process);
    if (!(await this.#open(process))) return;
    process.writer.own(process.fold);
    process.busy = false;
    this.#processes.push(process);
  }

  /** False for older code that finds newer code's chunks. */
  async #open({ fold }: Process): Promise<boolean> {
    try {
      await fold.open(this.#committed, this.#low, this.#high);
      return true;
    } catch (error) {
      if (!(error instanceof PartitionRefused) || error.reason !== 'newer_fold_version') throw error;
      this.#result.refused++;
      return false;
    }
  }

  #reached(process: Process, point: FlushPoint): void {
    if (process.dieAt === point) this.#kill(process);
    if (!process.alive) throw new Error('dead');
  }

  #kill(process: Process): void {
    process.alive = false;
    this.#result.crashes++;
  }

  /** The group's offset is deleted, or set to any place by an operator or by a client that jumped. */
  #moveCommit(): void {
    this.#committed = this.#random.chance(0.3) ? null : this.#random.below(this.#high + 50);
  }

  /** Retention takes the oldest records away, read or not. */
  #trim(): void {
    this.#result.trims++;
    this.#low = Math.min(this.#high - 1, this.#low + this.#random.below(this.#options.chunkRecords * 2));
  }

  async #fold(process: Process, most: number): Promise<void> {
    if (process.busy) return;
    process.busy = true;
    const { fold, writer } = process;
    if (fold.position < this.#low) {
      await this.#settleAll(writer.flush());
      this.#fence(process);
      if (process.alive) await fold.foldTrimmed(this.#low, await this.#store.connect(() => true).readChunks('', 0));
    }
    // The client may hand over records again that lie behind the position.
    const from = Math.max(this.#low, fold.position - this.#random.below(4));
    const slice = this.#log.filter(({ record }) => record.offset >= from).slice(0, most + 4);
    const folded = await fold.accept(
      slice.map(({ record }) => record),
      slice.map(({ outcome }) => outcome),
      writer,
    );
    this.#result.asked += folded.asked;
    process.busy = false;
  }

  /**
   * The wait before stored rows are folded again. By then earlier owners have noticed that they were away and dropped what they
   * hold, though a flush of theirs may be in the middle, and inserts that were under way are through or have failed.
   */
  #fence(process: Process): void {
    for (const other of this.#processes) {
      if (other === process || !other.alive) continue;
      if (this.#random.chance(0.5)) this.#kill(other);
      else other.writer.abandon();
    }
    this.#processes = this.#processes.filter((other) => other === process);
    for (const insert of this.#store.pending.splice(0)) {
      insert.apply();
      if (this.#random.chance(0.5)) insert.acknowledge();
      else insert.fail();
    }
    for (const apply of this.#late.splice(0)) apply();
  }

  #flush(process: Process): void {
    void process.writer.flush().catch(() => undefined);
  }

  /** Decides the fate of one insert under way. */
  #settle(): void {
    const { pending } = this.#store;
    if (pending.length === 0) return;
    const [insert] = pending.splice(this.#random.below(pending.length), 1);
    if (insert === undefined) return;
    const fate = this.#random.next();
    if (fate < 0.7) {
      insert.apply();
      insert.acknowledge();
    } else if (fate < 0.8) {
      insert.apply();
      insert.fail();
    } else if (fate < 0.9) {
      insert.fail();
    } else {
      this.#late.push(insert.apply);
      insert.fail();
    }
    if (this.#late.length > 0 && this.#random.chance(0.1))
      this.#late.splice(this.#random.below(this.#late.length), 1)[0]?.();
  }

  /** Lets everything under way succeed until the given work is done. */
  async #settleAll(work: Promise<void>): Promise<void> {
    let done = false;
    const ended = work
      .catch(() => undefined)
      .finally(() => {
        done = true;
      });
    for (let turn = 0; turn < 200 && !done; turn++) {
      for (const insert of this.#store.pending.splice(0)) {
        insert.apply();
        insert.acknowledge();
      }
      await tick();
    }
    await Promise.race([ended, done ? undefined : never]);
  }

  /** The faults stop: what was late arrives, zombies write what they still hold, one owner reads to the end. */
  async heal(): Promise<void> {
    for (const process of this.#processes) {
      process.dieAt = null;
      if (process.alive && this.#random.chance(0.5)) await this.#settleAll(process.writer.flush());
      process.alive = false;
    }
    await this.#begin(true);
    const owner = this.#processes.at(-1) as Process;
    owner.dieAt = null;
    while (owner.fold.position < this.#high) {
      const before = owner.fold.position;
      await this.#fold(owner, 1 + this.#random.below(40));
      if (owner.fold.position === before) break;
      if (this.#random.chance(0.4)) await this.#settleAll(owner.writer.flush());
    }
    await this.#settleAll(owner.writer.flush());
    for (const apply of this.#late.splice(0)) apply();
  }

  judge(): ScheduleResult {
    const readable = this.#log.filter(({ record }) => !this.#isLost(record.offset));
    this.#compareRows(readable);
    this.#compareCells(readable);
    this.#compareLedger(readable);
    // An execution may know what a record said that retention took before its raw row was written.
    if (this.#lost.size === 0 && this.#options.kind === 'executions') this.#compareEntities(readable);
    return this.#result;
  }

  /** A record that retention took before anybody stored it cannot be asked for; the ledger must say so. */
  #isLost(offset: number): boolean {
    if (offset >= this.#low) return false;
    const { raw, drops, dead } = this.#store;
    const isLost = !raw.has(offset) && !drops.has(offset) && !dead.has(offset);
    if (isLost) this.#lost.add(offset);
    return isLost;
  }

  #compareRows(readable: ModelRecord[]): void {
    const { raw, drops, dead } = this.#store;
    const accepted = readable.filter(({ outcome }) => !(outcome instanceof Rejection));
    const { duplicates } = this.#recompute(accepted, Number.MAX_SAFE_INTEGER);
    for (const { record, outcome } of readable) {
      const { offset } = record;
      const rejection = outcome instanceof Rejection ? outcome : null;
      const expected = rejection !== null ? rejection.reason : duplicates.has(offset) ? 'duplicate' : 'stored';
      const found = [raw.has(offset) ? 'stored' : '', drops.get(offset) ?? '', dead.get(offset) ?? ''].filter(
        (text) => text !== '',
      );
      if (found.join('+') !== expected)
        this.#problem(`offset ${offset} is ${found.join('+') || 'nowhere'} instead of ${expected}`);
    }
  }

  #recompute(accepted: readonly ModelRecord[], limit: number): Recomputation {
    const { chunkRecords, kind } = this.#options;
    const options = { chunkRecords, limitOf: () => limit };
    const read = <Accepted>(accept: (event: never, offset: number) => Accepted): Accepted[] =>
      accepted.map(({ record, outcome }) => accept(outcome as never, record.offset));
    return kind === 'executions'
      ? recompute(read(acceptedRecord), options)
      : recomputeReports(read(acceptedReport), options);
  }

  #compareEntities(readable: ModelRecord[]): void {
    const executions = new Map<string, EntityRecord[]>();
    for (const { record, outcome } of readable) {
      if (outcome instanceof Rejection || !this.#store.raw.has(record.offset)) continue;
      const event = outcome as ExecutionEvent;
      const known = executions.get(event.executionId) ?? [];
      executions.set(event.executionId, [...known, entityRecord(event, record.offset)]);
    }
    if (executions.size !== this.#store.executions.size)
      this.#problem(`${this.#store.executions.size} executions instead of ${executions.size}`);
    for (const [id, records] of executions) {
      const found = this.#store.executions.get(id);
      const { state, last_end_state, attempts, first_seen_at, last_event_at } = expectEntity(records);
      const expected = [state, last_end_state, attempts, first_seen_at, last_event_at].join(' ');
      const shown =
        found === undefined
          ? 'nothing'
          : [
              found.now.state,
              found.lastEnd.state,
              Math.floor(found.now.rank.high / 4096),
              new Date(found.firstSeenMs).toISOString(),
              new Date(found.lastEventMs).toISOString(),
            ].join(' ');
      if (shown !== expected) this.#problem(`execution ${id} is ${shown} instead of ${expected}`);
    }
  }

  #compareCells(readable: ModelRecord[]): void {
    const records = readable.filter(({ outcome }) => !(outcome instanceof Rejection));
    const whole = this.#recompute(records, Number.MAX_SAFE_INTEGER);
    for (const key of new Set([...whole.cells.keys(), ...this.#store.cells.keys()])) {
      this.#compareValues(`cell ${key}`, whole.cells.get(key), this.#store.cells.get(key)?.values);
    }
    // Trimmed chunks are folded from what was stored, which the prefix of the log cannot tell.
    if (this.#lost.size === 0) this.#compareVersions(records, this.#store.cellVersions);
  }

  /** A cell with version v is the fold of its chunk below v, whoever wrote it and whenever. */
  #compareVersions(records: readonly ModelRecord[], versions: StoredCell[]): void {
    const sample = versions.filter(() => this.#random.chance(0.05));
    const prefixes = new Map<number, Recomputation>();
    for (const cell of sample) {
      const limit = Number(cell.ver % 2n ** 48n) - 1;
      const key = `${cell.chunk} ${cell.windowMs} ${cell.dims}`;
      const prefix = prefixes.get(limit) ?? this.#recompute(records, limit);
      prefixes.set(limit, prefix);
      this.#compareValues(`version ${limit + 1} of cell ${key}`, prefix.cells.get(key), cell.values);
    }
  }

  #compareValues(
    what: string,
    expected: Map<string, bigint> | undefined,
    found: Map<string, bigint> | undefined,
  ): void {
    for (const field of new Set([...(expected?.keys() ?? []), ...(found?.keys() ?? [])])) {
      const [want, have] = [expected?.get(field) ?? 0n, found?.get(field) ?? 0n];
      if (want !== have) this.#problem(`${what}: ${field} is ${have} instead of ${want}`);
    }
  }

  #compareLedger(readable: ModelRecord[]): void {
    const { chunkRecords } = this.#options;
    for (const row of this.#store.chunks.values()) {
      const inChunk = readable.filter(({ record }) => Math.floor(record.offset / chunkRecords) === row.chunk).length;
      const said = row.stored + row.dropped + row.duplicate + row.dead;
      if (said !== inChunk)
        this.#problem(`the ledger counts ${said} records in chunk ${row.chunk} that holds ${inChunk}`);
      if (!this.#options.trimming) this.#compareTimes(row, readable);
      const isBehind = row.chunk < Math.floor(this.#high / chunkRecords);
      if (isBehind && !row.complete) this.#problem(`chunk ${row.chunk} is not complete`);
    }
  }

  /** Judging windows rests on the ledger's word for how far time has come, so it must be that of the log. */
  #compareTimes(row: ChunkRow, readable: ModelRecord[]): void {
    const below = readable.filter(({ record }) => record.offset <= row.lastOffset);
    const eventTimes = below.flatMap(({ record, outcome }) =>
      outcome instanceof Rejection || !this.#store.raw.has(record.offset) ? [] : [outcome.eventTimeMs],
    );
    if (row.maxEventTimeMs !== Math.max(0, ...eventTimes))
      this.#problem(`chunk ${row.chunk} has a wrong largest event time`);
    if (row.watermarkMs !== Math.max(0, row.maxEventTimeMs - latenessBoundMs))
      this.#problem(`chunk ${row.chunk} has a watermark that the log does not tell`);
    const last = below.at(-1)?.record.offset ?? -1;
    if (row.lastRecordOffset !== last)
      this.#problem(`chunk ${row.chunk} names ${row.lastRecordOffset} as last record, not ${last}`);
  }

  #problem(text: string): void {
    if (this.#result.problems.length < 5) this.#result.problems.push(text);
  }
}
