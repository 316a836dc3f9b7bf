import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Consumer, EachBatchPayload, Kafka } from '../../pipelines/kafka.ts';

/** One record as it lies in the log. */
export interface TailRecord {
  topic: string;
  partition: number;
  offset: number;
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | string | (Buffer | string)[] | undefined> | undefined;
}

interface LogTailOptions {
  kafka: Kafka;
  topics: readonly string[];
  /** Where nothing of a topic is awaited its records are not read. */
  isAwaited: (topic: string) => boolean;
  /** What has to be fetched before the records can be read. */
  prepare: (records: readonly TailRecord[]) => Promise<void> | undefined;
  /** Records of one partition in their order. Synchronous: whoever looks at positions sees either none of it done or all. */
  take: (records: readonly TailRecord[]) => void;
}

const topicPollMs = 2_000;
/** How much of a topic that is read again was written before somebody asked, at most. */
const endPollMs = 1_000;

/**
 * Reads topics from their ends, in a group of this instance's own that commits nothing. Where it goes on is kept here, so
 * that joining the group again (after a pause, or when a topic got partitions) neither skips nor repeats a record.
 */
export class LogTail {
  readonly #options: LogTailOptions;
  readonly #groupId = `weir-live-${randomUUID()}`;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  /** The next offset of each partition, by topic. */
  readonly #positions = new Map<string, Map<number, number>>();
  /** Of these only the ends are looked at, which costs less than to read what nobody follows. */
  readonly #passedOver = new Set<string>();
  #endPoll: NodeJS.Timeout | undefined;
  #isPolling = false;
  #reason = 'the live sockets have not joined their group yet';
  #isClosed = false;
  #opening: Promise<void> | null = null;

  constructor(options: LogTailOptions) {
    this.#options = options;
    this.#consumer = options.kafka.consumer({ groupId: this.#groupId, maxWaitTimeInMs: 500 });
    this.#admin = options.kafka.admin();
  }

  /** '' while records come in. */
  whyNotReady(): string {
    return this.#reason;
  }

  /** Everything before these offsets has been handed on. */
  positionsOf(topic: string): ReadonlyMap<number, number> {
    return this.#positions.get(topic) ?? new Map();
  }

  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<void> {
    await this.#admin.connect();
    await this.#waitForTopics();
    if (this.#isClosed) return;
    for (const topic of this.#options.topics) {
      const ends = await this.#admin.fetchTopicOffsets(topic);
      this.#positions.set(topic, new Map(ends.map(({ partition, high }) => [partition, Number(high)])));
    }
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...this.#options.topics], fromBeginning: false });
    const { GROUP_JOIN, CRASH } = this.#consumer.events;
    const joined = new Promise<void>((resolve) => {
      this.#consumer.on(GROUP_JOIN, ({ payload }) => {
        this.#seek(payload.memberAssignment);
        // A reader that began again knows nothing of that.
        for (const topic of this.#passedOver) this.#consumer.pause([{ topic }]);
        this.#reason = '';
        resolve();
      });
    });
    this.#consumer.on(CRASH, ({ payload }) => {
      this.#reason = `the live sockets lost Kafka: ${payload.error.message}`;
    });
    await this.#consumer.run({ autoCommit: false, eachBatch: (payload) => this.#readBatch(payload) });
    await joined;
    if (!this.#isClosed) this.#endPoll = setInterval(() => void this.#pollEnds(), endPollMs);
  }

  /** Goes on with topics that are awaited from now on, from a place before this moment. */
  attend(): void {
    for (const topic of this.#passedOver) {
      if (!this.#options.isAwaited(topic)) continue;
      this.#passedOver.delete(topic);
      this.#seek({ [topic]: [...this.positionsOf(topic).keys()] });
      this.#consumer.resume([{ topic }]);
    }
  }

  /** One at a time: while Kafka is away an answer takes as long as that, and the questions must not pile up. */
  async #pollEnds(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    await this.#passOver().catch(() => undefined);
    this.#isPolling = false;
  }

  async #passOver(): Promise<void> {
    for (const topic of this.#options.topics) {
      if (this.#options.isAwaited(topic)) continue;
      if (!this.#passedOver.has(topic)) {
        this.#passedOver.add(topic);
        this.#consumer.pause([{ topic }]);
      }
      const ends = await this.#admin.fetchTopicOffsets(topic);
      // Unless somebody has come meanwhile, who was promised what followed on an earlier place.
      if (!this.#passedOver.has(topic)) continue;
      this.#positions.set(topic, new Map(ends.map(({ partition, high }) => [partition, Number(high)])));
    }
  }

  /** Whoever brings the topics may come up later. */
  async #waitForTopics(): Promise<void> {
    while (!this.#isClosed) {
      const existing = new Set(await this.#admin.listTopics());
      const missing = this.#options.topics.filter((topic) => !existing.has(topic));
      if (missing.length === 0) return;
      this.#reason = `there is no topic ${missing.join(', ')}`;
      await sleep(topicPollMs);
    }
  }

  #seek(assignment: Record<string, number[]>): void {
    for (const [topic, partitions] of Object.entries(assignment)) {
      const positions = this.#positions.get(topic);
      for (const partition of partitions) {
        // A partition that was not there at the beginning is read from its first record.
        const offset = String(positions?.get(partition) ?? 0);
        this.#consumer.seek({ topic, partition, offset });
      }
    }
  }

  async #readBatch({ batch, heartbeat }: EachBatchPayload): Promise<void> {
    const { topic, partition } = batch;
    const known = this.#positions.get(topic)?.get(partition) ?? 0;
    // Whoever joins again may read a batch again; a log that ends before that was deleted and made anew.
    const from = Number(batch.highWatermark) < known ? 0 : known;
    if (this.#options.isAwaited(topic)) await this.#handOn(batch, from);
    // Of the batch and not of its last message: what ends a transaction takes an offset too.
    this.#positions.get(topic)?.set(partition, Math.max(from, Number(batch.lastOffset()) + 1));
    await heartbeat();
  }

  async #handOn({ topic, partition, messages }: EachBatchPayload['batch'], from: number): Promise<void> {
    const read = messages
      .filter(({ offset }) => Number(offset) >= from)
      .map(({ offset, timestamp, key, value, headers }) => {
        return { topic, partition, offset: Number(offset), timestampMs: Number(timestamp), key, value, headers };
      });
    await this.#options.prepare(read);
    this.#options.take(read);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#endPoll);
    // A consumer that is closed before it has joined may go on reading, and keep the process alive.
    await this.#opening?.catch(() => undefined);
    await this.#consumer.disconnect();
    // Nobody comes back to this group.
    await this.#admin.deleteGroups([this.#groupId]).catch(() => undefined);
    await this.#admin.disconnect();
  }
}
