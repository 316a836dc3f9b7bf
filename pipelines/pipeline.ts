import type { Logger } from 'pino';
import type { Settings } from '../schemas/settings.ts';
import { createDecoder, type Decoder } from './decode.ts';
import type { FoldableEvent, FoldableKind } from './facts.ts';
import type { Admin, Batch, Consumer, EachBatchPayload, Kafka } from './kafka.ts';
import type { PipelineMetrics } from './metrics.ts';
import { type Folded, PartitionFold } from './partition.ts';
import { PartitionReader } from './partition-reader.ts';
import { Rejection } from './rejections.ts';
import type { SchemaRegistry } from './schema-registry.ts';
import { logRecordOf } from './steady-reading.ts';
import type { Store } from './store.ts';
import { type FlushPoint, Writer } from './writer.ts';

/**
 * The whole write path. Read from top to bottom:
 *
 *     Kafka batch -> slices of records -> decode, validate, redact      decode.ts normalise.ts redact.ts
 *                 -> duplicate? joins? revisions?                       partition.ts history.ts fold.ts
 *                 -> raw row or dead letter, minute cells of the chunk  cells.ts reports.ts report-cells.ts
 *                 -> flush: ledger, rows, cells, ledger, commit         writer.ts clickhouse-store.ts
 */
export interface PipelineParts {
  settings: Settings;
  kafka: Kafka;
  store: Store;
  registry: SchemaRegistry | null;
  metrics: PipelineMetrics;
  log: Logger;
  timing?: PipelineTiming;
  /** Told of each step of a flush, where a test may let the process die. */
  reached?(point: FlushPoint): void;
}

/** How long others may take to notice that a process is gone, and how long an insert of its may still be under way. */
export interface PipelineTiming {
  sessionTimeoutMs: number;
  insertTimeoutMs: number;
}

interface Topic {
  name: string;
  kind: FoldableKind;
  epoch: number;
  decoder: Decoder;
}

const pipelineTiming: PipelineTiming = { sessionTimeoutMs: 30_000, insertTimeoutMs: 60_000 };
const commitWaitMs = 5_000;
const lagPollMs = 2_000;
const idleAfterMs = 10_000;
/**
 * Far behind the end of the log nobody sees how fresh a row is, and what an insert costs ClickHouse hardly depends on its
 * rows: there they wait for a flush to fill, though not for long, because a restart folds again what was not flushed.
 */
const catchUpFlushMs = 6_000;
/** One fetch may decompress to far more than this; the bound keeps a backlog from filling memory. */
const fetchBytesPerPartition = 512 * 1024;
/** A question for each chunk of a fast catch-up would be one too many. */
const ledgerReadMs = 10_000;
const maxIssueLogMs = 10_000;

/** Where the fetch began: known to every batch, though not to the client's types. */
const fetchedOffsetOf = (batch: Batch): number => Number((batch as Batch & { fetchedOffset: string }).fetchedOffset);

/**
 * A chunk's cells are in memory until it is complete. A task touches one cell of a minute, a report one for each of its
 * measures, of which there are dozens.
 */
const reportsPerChunkShare = 32;
const chunkRecordsOf = (kind: FoldableKind, records: number): number =>
  kind === 'orchestrators' ? Math.max(1, Math.floor(records / reportsPerChunkShare)) : records;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export class Pipeline {
  readonly #parts: PipelineParts;
  readonly #timing: PipelineTiming;
  readonly #topics: Map<string, Topic>;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  readonly #writer: Writer;
  readonly #readers = new Map<string, PartitionReader>();
  readonly #idleSince = new Map<string, { logEnd: number; sinceMs: number; said: boolean }>();
  readonly #lastSaid = new Map<string, number>();
  /** Partitions that stand still because something they need does not answer. */
  readonly #waitingFor = new Map<string, string>();
  /** Records that were in the log behind the last batch of a partition. */
  readonly #recordsBehind = new WeakMap<PartitionReader, number>();
  readonly #ledgerReadMs = new WeakMap<PartitionReader, number>();
  #timers: NodeJS.Timeout[] = [];
  #lastTouchMs = Date.now();
  #joined = false;
  #polling = false;
  #blockedBy = '';
  #abandoned: { topic: string; partition: number }[] = [];

  constructor(parts: PipelineParts) {
    this.#parts = parts;
    this.#timing = parts.timing ?? pipelineTiming;
    const { settings, kafka, registry } = parts;
    const topic = (name: string, kind: FoldableKind, epoch: number): [string, Topic] => [
      name,
      {
        name,
        kind,
        epoch,
        decoder: createDecoder({ kind, registry, maxValueBytes: settings.maxValueBytes }),
      },
    ];
    this.#topics = new Map([
      topic(settings.topicExecutions, 'executions', settings.streamEpochExecutions),
      topic(settings.topicTasks, 'tasks', settings.streamEpochTasks),
      topic(settings.topicOrchestrators, 'orchestrators', settings.streamEpochOrchestrators),
    ]);
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      groupId: settings.groupId,
      sessionTimeout: this.#timing.sessionTimeoutMs,
      heartbeatInterval: 2_000,
      maxBytesPerPartition: fetchBytesPerPartition,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
    });
    this.#writer = new Writer(
      parts.store,
      { flushRows: settings.flushRows },
      {
        sleep,
        nowMs: Date.now,
        commit: (fold, offset) => this.#commit(fold, offset),
        blocked: (problem) => this.#sayBlocked(problem),
        flushed: (report) => parts.metrics.flushed(report),
        sending: () => this.#noticeAbsence(),
        reached: (point) => parts.reached?.(point),
      },
    );
  }

  async start(): Promise<void> {
    await this.#admin.connect();
    const { CRASH, GROUP_JOIN, HEARTBEAT, END_BATCH_PROCESS } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => this.#assign(payload.memberAssignment));
    this.#consumer.on(CRASH, () => {
      this.#joined = false;
    });
    this.#consumer.on(HEARTBEAT, () => {
      this.#lastTouchMs = Date.now();
      this.#takeUpAbandoned();
    });
    // Batches of control records and aborted ones only are not handed over; that they were passed is told here alone.
    this.#consumer.on(END_BATCH_PROCESS, ({ payload }) => {
      const { topic, partition, batchSize, firstOffset, lastOffset } = payload;
      if (batchSize > 0 || firstOffset === null) return;
      this.#readers.get(`${topic}/${partition}`)?.pass(Number(firstOffset), Number(lastOffset));
    });
    await this.#consumer.connect();
    // The broker's own position is never trusted, so where it would begin does not matter, as long as it loses nothing.
    await this.#consumer.subscribe({ topics: [...this.#topics.keys()], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: 8,
      eachBatch: (payload) => this.#readBatch(payload),
    });
    const { flushIntervalMs } = this.#parts.settings;
    this.#timers.push(setInterval(() => void this.#flushOnTime(), flushIntervalMs));
    this.#timers.push(setInterval(() => void this.#pollLag(), lagPollMs));
  }

  /** '' when the pipeline does its work, else why not. */
  whyNotReady(): string {
    if (!this.#joined) return 'is not in its consumer group';
    if (this.#blockedBy !== '') return this.#blockedBy;
    const refused = [...this.#readers.values()].find((reader) => reader.refusal !== null);
    if (refused !== undefined) return refused.refusal?.message ?? '';
    const [waiting] = this.#waitingFor.values();
    if (waiting !== undefined) return waiting;
    const silentMs = Date.now() - this.#lastTouchMs;
    if (silentMs > this.#timing.sessionTimeoutMs)
      return `has heard nothing of its consumer group for ${Math.round(silentMs / 1_000)} s`;
    return [...this.#readers.values()].every((reader) => reader.isOpen) ? '' : 'is opening its partitions';
  }

  /** Stops reading, writes what has been folded, and leaves the group. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#consumer.stop();
    const flushed = this.#writer.flush().catch(() => undefined);
    await Promise.race([flushed, sleep(4_000)]);
    this.#writer.stop();
    await this.#consumer.disconnect();
    await this.#admin.disconnect();
  }

  #assign(assignment: Record<string, number[]>): void {
    this.#joined = true;
    this.#lastTouchMs = Date.now();
    this.#abandoned = [];
    const wanted = new Set(
      Object.entries(assignment).flatMap(([topic, list]) => list.map((partition) => `${topic}/${partition}`)),
    );
    for (const [name, reader] of this.#readers) {
      if (wanted.has(name)) {
        reader.goOn();
        continue;
      }
      reader.close();
      this.#readers.delete(name);
      this.#waitingFor.delete(name);
      this.#forgetGauges(reader);
    }
    // State that is still held goes on from its own position: a rebalance must not fold chunks again for nothing.
    for (const [topic, partitions] of Object.entries(assignment))
      for (const partition of partitions) this.#reader(topic, partition);
    this.#parts.log.info({ assignment }, 'partitions assigned');
  }

  #reader(topicName: string, partition: number): PartitionReader {
    const name = `${topicName}/${partition}`;
    const known = this.#readers.get(name);
    if (known !== undefined) return known;
    const { settings, store } = this.#parts;
    const topic = this.#topics.get(topicName) as Topic;
    const fold = new PartitionFold(
      {
        topic: topicName,
        epoch: topic.epoch,
        kind: topic.kind,
        partition,
        chunkRecords: chunkRecordsOf(topic.kind, settings.chunkRecords),
        latenessBoundMs: settings.latenessBoundMs,
        historyRecords: () => settings.historyRecords / Math.max(1, this.#readers.size),
        fenceMs: this.#timing.sessionTimeoutMs + this.#timing.insertTimeoutMs,
      },
      store,
    );
    const reader = new PartitionReader(
      fold,
      store,
      topic.decoder,
      this.#writer,
      this.#logEffects(topicName, partition),
      {
        sleep,
        nowMs: () => performance.now(),
        folded: (folded, outcomes) => {
          this.#waitingFor.delete(name);
          this.#countOutcomes(topicName, folded, outcomes);
        },
        waiting: (what, error) => {
          this.#waitingFor.set(name, `${name}: ${what}: ${error.message}`);
          this.#say('warn', what, `${what}: ${error.message}; trying again`);
        },
        lost: (records) => {
          this.#parts.metrics.lostRetention.inc({ topic: topicName }, records);
          this.#say('error', name, `${name}: retention removed ${records} records before they were read`);
        },
      },
    );
    this.#readers.set(name, reader);
    void reader.opened.then(() => {
      this.#waitingFor.delete(name);
      this.#refuse(reader);
    });
    return reader;
  }

  #logEffects(topic: string, partition: number) {
    return {
      committed: async () => {
        const [entry] = await this.#admin.fetchOffsets({ groupId: this.#parts.settings.groupId, topics: [topic] });
        const offset = Number(entry?.partitions.find((candidate) => candidate.partition === partition)?.offset ?? -1);
        return offset < 0 ? null : offset;
      },
      ends: async () => {
        const ends = (await this.#admin.fetchTopicOffsets(topic)).find(
          (candidate) => candidate.partition === partition,
        );
        if (ends === undefined) throw new Error(`${topic} has no partition ${partition} any more`);
        return { low: Number(ends.low), high: Number(ends.high) };
      },
      seek: (offset: number) => this.#consumer.seek({ topic, partition, offset: String(offset) }),
      pause: () => this.#consumer.pause([{ topic, partitions: [partition] }]),
      resume: () => this.#consumer.resume([{ topic, partitions: [partition] }]),
    };
  }

  async #readBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    const reader = this.#reader(batch.topic, batch.partition);
    this.#recordsBehind.set(reader, Number(batch.highWatermark) - Number(batch.lastOffset()) - 1);
    await reader.read({
      records: batch.messages.map((message) => logRecordOf(batch, message)),
      fetchedFrom: fetchedOffsetOf(batch),
      lastOffset: Number(batch.lastOffset()),
      logEnd: Number(batch.highWatermark),
      isStale: () => !isRunning() || isStale(),
      resolve: (offset) => resolveOffset(String(offset)),
      heartbeat,
    });
    this.#refuse(reader);
  }

  /** A refused partition is no longer fetched; everything else goes on, and the alarm stays on. */
  #refuse(reader: PartitionReader): void {
    if (reader.refusal === null) return;
    const { topic, partition } = reader.fold.settings;
    this.#consumer.pause([{ topic, partitions: [partition] }]);
    this.#parts.metrics.refused.set({ topic, partition, reason: reader.refusal.reason }, 1);
    this.#say('error', `refused ${topic}/${partition}`, reader.refusal.message);
  }

  async #flushOnTime(): Promise<void> {
    this.#noticeAbsence();
    if (this.#isFarBehind && this.#writer.waitedMs < catchUpFlushMs) return;
    await this.#writer.flush().catch(() => undefined);
  }

  get #isFarBehind(): boolean {
    let behind = 0;
    for (const reader of this.#readers.values()) {
      if (reader.isOpen && reader.refusal === null) behind += this.#recordsBehind.get(reader) ?? 0;
    }
    return behind > this.#parts.settings.flushRows;
  }

  /**
   * Another owner took over long ago. It may already have folded trimmed offsets again from what was stored by then, so rows
   * that came now would be in no cell.
   */
  #noticeAbsence(): void {
    if (Date.now() - this.#lastTouchMs > this.#timing.sessionTimeoutMs) this.#abandon();
  }

  #abandon(): void {
    this.#writer.abandon();
    if (this.#readers.size === 0) return;
    this.#say(
      'warn',
      'abandon',
      `no heartbeat for ${this.#timing.sessionTimeoutMs / 1000} s: dropping unsent rows, the ledger knows where to go on`,
    );
    for (const reader of this.#readers.values()) {
      reader.close();
      this.#forgetGauges(reader);
      this.#abandoned.push(reader.fold.settings);
    }
    this.#readers.clear();
  }

  /** The group never noticed: nobody else has taken over, and no rebalance will come to hand the partitions out again. */
  #takeUpAbandoned(): void {
    for (const { topic, partition } of this.#abandoned.splice(0)) this.#reader(topic, partition);
  }

  async #commit(fold: PartitionFold, offset: number): Promise<void> {
    const { topic, partition } = fold.settings;
    // Only a help for people who watch the group: the ledger says where to go on, and a broker that is away holds up no flush.
    const committed = this.#consumer
      .commitOffsets([{ topic, partition, offset: String(offset) }])
      .catch((error: Error) => this.#parts.log.debug({ topic, partition, offset }, `commit failed: ${error.message}`));
    await Promise.race([committed, sleep(commitWaitMs)]);
    const reader = this.#readers.get(`${topic}/${partition}`);
    if (reader?.fold === fold) void this.#compareWithLedger(reader);
  }

  /** At the end of a chunk and when idle: while two releases run side by side, the ledger may ask for another start. */
  async #compareWithLedger(reader: PartitionReader): Promise<void> {
    if (Date.now() - (this.#ledgerReadMs.get(reader) ?? 0) < ledgerReadMs) return;
    this.#ledgerReadMs.set(reader, Date.now());
    const { topic, partition } = reader.fold.settings;
    if (await reader.agreesWithLedger().catch(() => true)) return;
    if (this.#readers.get(`${topic}/${partition}`) !== reader) return;
    this.#openAgain(reader, 'the ledger asks for another start');
  }

  /** What was folded of a log that is gone can be read nowhere any more, so it is stored first. */
  async #openOtherLog(reader: PartitionReader, why: string): Promise<void> {
    await this.#writer.flush().catch(() => undefined);
    const { topic, partition } = reader.fold.settings;
    if (this.#readers.get(`${topic}/${partition}`) === reader) this.#openAgain(reader, why);
  }

  #openAgain(reader: PartitionReader, why: string): void {
    const { topic, partition } = reader.fold.settings;
    this.#say('warn', why, `${topic}/${partition}: ${why}; opening it again`);
    reader.close();
    this.#readers.delete(`${topic}/${partition}`);
    this.#reader(topic, partition);
  }

  #countOutcomes(topic: string, folded: Folded, outcomes: readonly (FoldableEvent | Rejection)[]): void {
    const { records, rejected, historyQuestions } = this.#parts.metrics;
    records.inc({ topic, outcome: 'stored' }, folded.stored);
    records.inc({ topic, outcome: 'duplicate' }, folded.duplicate);
    if (folded.asked > 0) historyQuestions.inc({ topic }, folded.asked);
    if (folded.rejected === 0) return;
    for (const outcome of outcomes) {
      if (!(outcome instanceof Rejection)) continue;
      rejected.inc({ topic, reason: outcome.reason });
      records.inc({ topic, outcome: outcome.outcome === 'drop' ? 'dropped' : 'dead_letter' });
    }
  }

  async #pollLag(): Promise<void> {
    if (this.#polling || this.#readers.size === 0) return;
    this.#polling = true;
    try {
      const idle = [];
      for (const topic of this.#topics.keys()) {
        // What is read while the question is under way is no news of the log that was asked about.
        const positions = new Map([...this.#readers.values()].map((reader) => [reader, reader.fold.position]));
        for (const ends of await this.#admin.fetchTopicOffsets(topic)) {
          const reader = this.#readers.get(`${topic}/${ends.partition}`);
          if (reader?.isOpen !== true) continue;
          if (Number(ends.high) < (positions.get(reader) ?? 0)) {
            // Made again under our eyes, and not outgrown yet: the ledger knows a record that this log does not have.
            void this.#openOtherLog(reader, `the log ends at ${ends.high}, before what was read of it`);
            continue;
          }
          this.#measure(reader, Number(ends.high));
          if (this.#isIdle(reader, Number(ends.high))) {
            void this.#compareWithLedger(reader);
            idle.push({ stream: reader.fold.stream, partition: ends.partition, logEnd: Number(ends.high) });
          }
        }
      }
      if (idle.length > 0) await this.#parts.store.appendIdle(idle);
    } catch (error) {
      this.#say('warn', 'lag', `reading log ends: ${(error as Error).message}`);
    } finally {
      this.#polling = false;
    }
  }

  #measure(reader: PartitionReader, logEnd: number): void {
    const { topic, partition } = reader.fold.settings;
    const { metrics } = this.#parts;
    metrics.trueLag.set({ topic, partition }, Math.max(0, logEnd - reader.fold.durableOffset - 1));
    if (reader.fold.watermarkMs > 0) metrics.watermark.set({ topic, partition }, reader.fold.watermarkMs / 1000);
  }

  /** Of a partition that is another's now, or a stale value would go on alarming people. */
  #forgetGauges(reader: PartitionReader): void {
    const { topic, partition } = reader.fold.settings;
    const { trueLag, watermark, refused } = this.#parts.metrics;
    trueLag.remove({ topic, partition });
    watermark.remove({ topic, partition });
    if (reader.refusal !== null) refused.remove({ topic, partition, reason: reader.refusal.reason });
  }

  /** Everything up to a log end that has not moved for a while is durable: nothing older is waiting to be read. */
  #isIdle(reader: PartitionReader, logEnd: number): boolean {
    const { topic, partition } = reader.fold.settings;
    const name = `${topic}/${partition}`;
    const seen = this.#idleSince.get(name);
    const nowMs = Date.now();
    if (reader.fold.durableOffset + 1 !== logEnd || seen?.logEnd !== logEnd) {
      this.#idleSince.set(name, { logEnd, sinceMs: nowMs, said: false });
      return false;
    }
    if (nowMs - seen.sinceMs < idleAfterMs) return false;
    seen.sinceMs = nowMs;
    return true;
  }

  #sayBlocked(problem: { step: string; error: Error; attempts: number; retryable: boolean } | null): void {
    const { metrics, log } = this.#parts;
    metrics.blocked.reset();
    if (problem === null) {
      this.#blockedBy = '';
      log.info('writing again');
      return;
    }
    metrics.retries.inc({ step: problem.step });
    metrics.blocked.set({ reason: problem.retryable ? 'unavailable' : 'incurable' }, 1);
    this.#blockedBy = `cannot write ${problem.step}: ${problem.error.message}`;
    const advice = problem.retryable ? 'trying again' : 'repeating cannot cure this; nothing is lost while it waits';
    this.#say(problem.retryable ? 'warn' : 'error', 'blocked', `${this.#blockedBy}; ${advice}`);
  }

  /** The same trouble is said once in a while, not a thousand times. */
  #say(level: 'warn' | 'error', about: string, message: string): void {
    const nowMs = Date.now();
    if (nowMs - (this.#lastSaid.get(about) ?? 0) < maxIssueLogMs) return;
    this.#lastSaid.set(about, nowMs);
    this.#parts.log[level](message);
  }
}
