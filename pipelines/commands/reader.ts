import { Block } from '../../clickhouse/block.ts';
import type { Database } from '../../clickhouse/client.ts';
import { type CommandRow, commandsTable } from '../../clickhouse/tables/commands.ts';
import type { Settings } from '../../schemas/settings.ts';
import type { LogRecord } from '../decode.ts';
import {
  type Admin,
  type Consumer,
  commandTopicSpec,
  createTopics,
  type EachBatchPayload,
  type Kafka,
} from '../kafka.ts';
import type { PipelineMetrics } from '../metrics.ts';
import { Rejection } from '../rejections.ts';
import { insertLetters } from '../state/writer.ts';
import { countRecords, logRecordOf, Perseverance, type RejectedRecord } from '../steady-reading.ts';
import { decodeCommandRecord } from './decode.ts';

interface CommandReaderOptions {
  settings: Settings;
  kafka: Kafka;
  database: Database;
  metrics: Pick<PipelineMetrics, 'records' | 'rejected' | 'retries'>;
  log: { warn(fields: object, message: string): void };
}

/** Short, because people wait for what becomes of a command while a member that died is still counted on. */
const sessionTimeoutMs = 10_000;

/**
 * Brings requests and outcomes into ClickHouse. Nothing follows from their order but what a reader of the rows sees, and a
 * row is keyed by its place in the log: so, unlike telemetry, it is enough to commit behind what is written, and what is
 * read twice, by one owner or by two, is written as the same rows.
 */
export class CommandReader {
  readonly #options: CommandReaderOptions;
  readonly #topic: string;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  readonly #perseverance: Perseverance;
  #isStopped = false;

  constructor(options: CommandReaderOptions) {
    this.#options = options;
    const { topicCommands, groupId } = options.settings;
    this.#topic = topicCommands;
    const { metrics, log } = options;
    this.#perseverance = new Perseverance({
      ...{ topic: topicCommands, label: 'commands', metrics, log },
      isStopped: () => this.#isStopped,
    });
    this.#admin = options.kafka.admin();
    this.#consumer = options.kafka.consumer({
      groupId: `${groupId}-commands`,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: 2_000,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
    });
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, () => {
      this.#perseverance.trouble = '';
    });
  }

  /** Begins in the background: telemetry does not wait for commands. */
  start(): void {
    void this.#perseverance.repeat('preparing', () => this.#join());
  }

  /** '' when commands are read here or by another member of the group; otherwise why not. */
  whyNotReady(): string {
    const { trouble } = this.#perseverance;
    return trouble === '' ? '' : `${this.#topic}: ${trouble}`;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#consumer.disconnect();
    await this.#admin.disconnect();
  }

  async #join(): Promise<void> {
    await this.#admin.connect();
    // -1 leaves the number of copies to the cluster.
    await createTopics(this.#admin, [commandTopicSpec(this.#topic, this.#options.settings.partitions)], -1);
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topic: this.#topic, fromBeginning: true });
    if (this.#isStopped) return;
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => this.#readBatch(payload),
    });
  }

  async #readBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    const { topic, partition } = batch;
    const isOver = () => this.#isStopped || !isRunning() || isStale();
    const records = batch.messages.map((message) => logRecordOf(batch, message));
    await this.#perseverance.repeat('writing', () => this.#write(records), { isOver, heartbeat });
    if (isOver()) return;
    const next = Number(batch.lastOffset()) + 1;
    resolveOffset(String(next - 1));
    // A commit that fails is no harm: what comes again is the same.
    await this.#consumer.commitOffsets([{ topic, partition, offset: String(next) }]);
  }

  async #write(records: readonly LogRecord[]): Promise<void> {
    const { database, settings } = this.#options;
    const rows: CommandRow[] = [];
    const rejected: RejectedRecord[] = [];
    for (const record of records) {
      const decoded = decodeCommandRecord(record, settings.maxValueBytes);
      if (decoded instanceof Rejection) rejected.push({ record, rejection: decoded });
      else {
        const { workspace = 'default', source = 'default', request = null, outcome = null } = decoded;
        const { topic, partition, offset, timestampMs: recordTimeMs } = record;
        rows.push({ workspace, source, request, outcome, topic, partition, offset, recordTimeMs });
      }
    }
    // Commands have no epochs: a letter of theirs is told apart by its place and time.
    await Promise.all([
      database.insert(new Block(commandsTable, rows)),
      insertLetters(database, `${this.#topic}@1`, rejected),
    ]);
    countRecords(this.#options.metrics, this.#topic, rows.length, rejected);
  }
}
