import type { Database } from '../../clickhouse/client.ts';
import { readStateFrontier, readStateHeads, type StateFrontier } from '../../clickhouse/queries/state.ts';
import type { Settings } from '../../schemas/settings.ts';
import { stateRevision } from '../../schemas/state.ts';
import type { LogRecord } from '../decode.ts';
import { hashRecord } from '../hash.ts';
import {
  type Admin,
  type Consumer,
  createTopics,
  type EachBatchPayload,
  type Kafka,
  stateTopicSpec,
} from '../kafka.ts';
import type { PipelineMetrics } from '../metrics.ts';
import { Rejection } from '../rejections.ts';
import { countRecords, logRecordOf, Perseverance, type RejectedRecord } from '../steady-reading.ts';
import { decodeState } from './decode.ts';
import { entryOf, foldState, type PlacedChange, type StateStream } from './fold.ts';
import { type StatePoint, writeState } from './writer.ts';

export interface StateReaderOptions {
  settings: Settings;
  kafka: Kafka;
  database: Database;
  metrics: Pick<PipelineMetrics, 'records' | 'rejected' | 'trueLag' | 'retries' | 'refused' | 'lostRetention'>;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  reached?(point: StatePoint): void;
}

/** The topic must not be read on: somebody has to decide something first. */
class StateRefused extends Error {
  readonly reason: 'topic_made_again' | 'several_partitions';
  constructor(reason: StateRefused['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Short, because people wait for their changes while a member that died is still counted on. */
const sessionTimeoutMs = 10_000;
const pollMs = 2_000;
const sliceRecords = 500;

const fetchedOffsetOf = ({ batch }: EachBatchPayload): number =>
  Number((batch as EachBatchPayload['batch'] & { fetchedOffset: string }).fetchedOffset);

/**
 * Brings the state topic into ClickHouse. It has one partition and a few records a minute, and its rows are keyed by
 * revision, which makes it a log that needs none of the chunks and cells of telemetry: whatever is written again
 * is the same, and the stored changes themselves say where to go on. So it is read by itself, in a group of its own, and
 * no backlog of telemetry stands between a person and what that person has just changed.
 */
export class StateReader {
  readonly #options: StateReaderOptions;
  readonly #source: StateStream & { topic: string };
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  #opened: Promise<void> = Promise.resolve();
  /** Raised whenever the partition is handed out, so that work on an earlier turn ends. */
  #turn = 0;
  #isOwner = false;
  #position = 0;
  /** The newest record on the books, which has to be met again before anything else is believed. */
  #proof: StateFrontier | null = null;
  readonly #perseverance: Perseverance;
  #refusal: StateRefused | null = null;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: StateReaderOptions) {
    this.#options = options;
    const { topicState: topic, streamEpochState: epoch, groupId } = options.settings;
    this.#source = { topic, epoch, stream: `${topic}@${epoch}`, partition: 0 };
    const { metrics, log } = options;
    this.#perseverance = new Perseverance({
      ...{ topic, label: 'state', metrics, log },
      isStopped: () => this.#stopped,
      isFinal: (error) => error instanceof StateRefused && this.#refuse(error),
    });
    this.#admin = options.kafka.admin();
    this.#consumer = options.kafka.consumer({
      groupId: `${groupId}-state`,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: 2_000,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
    });
    const { GROUP_JOIN, END_BATCH_PROCESS } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => this.#assign((payload.memberAssignment[topic] ?? []).includes(0)));
    // Batches of control records and aborted ones only are not handed over; that they were passed is told here alone.
    this.#consumer.on(END_BATCH_PROCESS, ({ payload: { batchSize, firstOffset, lastOffset } }) => {
      const isNext = batchSize === 0 && firstOffset !== null && Number(firstOffset) <= this.#position;
      if (isNext && this.#proof === null) this.#position = Math.max(this.#position, Number(lastOffset) + 1);
    });
  }

  /** Begins in the background: telemetry does not wait for what people set up. */
  start(): void {
    void this.#perseverance.repeat('preparing', () => this.#join());
  }

  /** '' when changes are read, or another member of the group reads them; otherwise why not. */
  whyNotReady(): string {
    const why = this.#refusal?.message ?? this.#perseverance.trouble;
    return why === '' ? '' : `${this.#source.topic}: ${why}`;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#consumer.disconnect();
    await this.#admin.disconnect();
  }

  async #join(): Promise<void> {
    await this.#admin.connect();
    // -1 leaves the number of copies to the cluster.
    await createTopics(this.#admin, [stateTopicSpec(this.#source.topic)], -1);
    await this.#checkPartitions();
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topic: this.#source.topic, fromBeginning: true });
    if (this.#stopped) return;
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => this.#readBatch(payload),
    });
    this.#timer = setInterval(() => void this.#measure(), pollMs);
  }

  async #checkPartitions(): Promise<void> {
    const { topic } = this.#source;
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] });
    const partitions = topics[0]?.partitions.length ?? 0;
    if (partitions <= 1) return;
    const message = `has ${partitions} partitions, and changes need one order: name another topic in WEIR_TOPIC_STATE, or make it again with one partition and no end of retention`;
    throw new StateRefused('several_partitions', message);
  }

  #assign(isOwner: boolean): void {
    const turn = ++this.#turn;
    this.#isOwner = isOwner;
    this.#perseverance.trouble = isOwner ? 'is being opened' : '';
    if (!isOwner) this.#options.metrics.trueLag.remove({ topic: this.#source.topic, partition: 0 });
    this.#opened = isOwner ? this.#perseverance.repeat('opening', () => this.#open(turn)) : Promise.resolve();
  }

  /** Finds where to go on. The broker's own position is never asked: what is stored knows better. */
  async #open(turn: number): Promise<void> {
    const { topic, stream } = this.#source;
    const [frontier, ends] = await Promise.all([
      readStateFrontier(this.#options.database, stream),
      this.#admin.fetchTopicOffsets(topic),
    ]);
    if (turn !== this.#turn) return;
    const low = Number(ends[0]?.low ?? 0);
    const high = Number(ends[0]?.high ?? 0);
    if (frontier !== null && high <= frontier.offset)
      throw this.#madeAgain(`it ends at offset ${high}`, frontier.offset);
    const from = frontier === null ? 0 : frontier.offset + 1;
    if (low > from) this.#reportLost(low - from);
    this.#proof = frontier !== null && frontier.offset >= low ? frontier : null;
    this.#position = Math.max(from, low);
    this.#seek();
    this.#perseverance.trouble = '';
  }

  #seek(): void {
    const offset = String(this.#proof?.offset ?? this.#position);
    this.#consumer.seek({ topic: this.#source.topic, partition: 0, offset });
  }

  #reportLost(records: number): void {
    const { topic } = this.#source;
    this.#options.metrics.lostRetention.inc({ topic }, records);
    const advice = 'set its retention.ms to -1, so that no more of the audit trail goes';
    this.#options.log.error(
      { topic, records },
      `${topic}: ${records} records were removed before they were read; ${advice}`,
    );
  }

  #madeAgain(evidence: string, offset: number): StateRefused {
    const { epoch } = this.#source;
    const advice = `if it was deleted and made again, set WEIR_STREAM_EPOCH_STATE to ${epoch + 1}; what was set up before stays`;
    const message = `is not the log that was read before: ${evidence}, but offset ${offset} is on the books; ${advice}`;
    return new StateRefused('topic_made_again', message);
  }

  async #readBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, resolveOffset, heartbeat, isRunning, isStale } = payload;
    const turn = this.#turn;
    await this.#opened;
    const isOver = () => turn !== this.#turn || this.#stopped || this.#refusal !== null || !isRunning() || isStale();
    if (isOver()) return;
    const records = batch.messages.map((message) => logRecordOf(batch, message));
    if (!this.#isExpected(records, fetchedOffsetOf(payload))) return;
    const fresh = records.filter(({ offset }) => offset >= this.#position);
    for (let from = 0; from < fresh.length && !isOver(); from += sliceRecords) {
      const slice = fresh.slice(from, from + sliceRecords);
      await this.#perseverance.repeat('writing', () => this.#fold(slice), { isOver, heartbeat });
      if (isOver()) return;
      this.#position = (slice.at(-1) as LogRecord).offset + 1;
      resolveOffset(String(this.#position - 1));
      await heartbeat();
    }
    if (!isOver()) this.#pass(Number(batch.lastOffset()), resolveOffset);
  }

  /** Offsets behind the last record of a batch hold nothing for us. */
  #pass(lastOffset: number, resolveOffset: (offset: string) => void): void {
    this.#position = Math.max(this.#position, lastOffset + 1);
    resolveOffset(String(lastOffset));
  }

  /** False where the client stands somewhere else than we asked it to, or the log is another one. */
  #isExpected(records: readonly LogRecord[], fetchedFrom: number): boolean {
    if (fetchedFrom !== (this.#proof?.offset ?? this.#position)) {
      const turn = ++this.#turn;
      this.#opened = this.#perseverance.repeat('opening', () => this.#open(turn));
      return false;
    }
    const proof = this.#proof;
    const [first] = records;
    if (proof === null || first === undefined) return true;
    const hash = hashRecord(first);
    this.#proof = null;
    if (first.offset === proof.offset && hash.every((word, index) => word === proof.recordHash[index])) return true;
    this.#refuse(this.#madeAgain(`its record at offset ${proof.offset} is another one`, proof.offset));
    return false;
  }

  async #fold(records: readonly LogRecord[]): Promise<void> {
    const { database, settings, reached } = this.#options;
    const changes: PlacedChange[] = [];
    const rejected: RejectedRecord[] = [];
    for (const record of records) {
      const decoded = decodeState(record, settings.maxValueBytes);
      if (decoded instanceof Rejection) rejected.push({ record, rejection: decoded });
      else {
        const { offset, timestampMs: recordTimeMs } = record;
        changes.push({ record: decoded, offset, recordTimeMs, recordHash: hashRecord(record) });
      }
    }
    const wanted = changes.map(({ record }) => ({ ...entryOf(record), requestId: record.request_id ?? '' }));
    const beforeVer = stateRevision(this.#source.epoch, records[0]?.offset ?? 0);
    const heads = await readStateHeads(database, wanted, beforeVer);
    await writeState(database, this.#source.stream, foldState(changes, heads, this.#source), rejected, reached);
    countRecords(this.#options.metrics, this.#source.topic, changes.length, rejected);
  }

  #refuse(refusal: StateRefused): true {
    const { log, metrics } = this.#options;
    const { topic } = this.#source;
    this.#refusal = refusal;
    metrics.refused.set({ topic, partition: 0, reason: refusal.reason }, 1);
    log.error({ topic }, `${topic} ${refusal.message}`);
    if (this.#isOwner) this.#consumer.pause([{ topic, partitions: [0] }]);
    return true;
  }

  async #measure(): Promise<void> {
    const { topic } = this.#source;
    if (!this.#isOwner || this.#refusal !== null || this.#perseverance.trouble !== '') return;
    const turn = this.#turn;
    try {
      const [ends] = await this.#admin.fetchTopicOffsets(topic);
      const high = Number(ends?.high ?? 0);
      if (turn !== this.#turn || this.#stopped) return;
      this.#options.metrics.trueLag.set({ topic, partition: 0 }, Math.max(0, high - this.#position));
      // Deleted and made again while we read it: the client would begin anew without a word.
      if (high < this.#position) this.#refuse(this.#madeAgain(`it ends at offset ${high}`, this.#position - 1));
    } catch (error) {
      this.#options.log.warn({ topic }, `${topic}: reading its end failed: ${(error as Error).message}`);
    }
  }
}
