import { randomUUID } from 'node:crypto';
import type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage } from '../kafka.ts';

/** Offsets of a partition that the log holds: from `first` up to but not including `end`. */
export interface LogRange {
  partition: number;
  first: number;
  end: number;
}

export async function readLogRanges(admin: Admin, topic: string): Promise<LogRange[]> {
  const partitions = await admin.fetchTopicOffsets(topic);
  return partitions
    .map(({ partition, low, high }) => ({ partition, first: Number(low), end: Number(high) }))
    .sort((left, right) => left.partition - right.partition);
}

/** Called with the records of one partition in offset order; partitions come one after the other. */
export type OnRecords = (partition: number, records: KafkaMessage[]) => Promise<void>;

// A range may end in records that clients never see (markers of transactions): when the broker has answered this
// often, over this long, without a record, there is none left.
const quietFetches = 5;
const quietMs = 2_000;

/**
 * Reads whole ranges with a group of its own that commits nothing and is removed afterwards. One partition is read
 * at a time, so that only one partition's records need be held.
 */
export async function readLog(kafka: Kafka, topic: string, ranges: LogRange[], onRecords: OnRecords): Promise<void> {
  const wanted = ranges.filter((range) => range.end > range.first);
  if (wanted.length === 0) return;
  const groupId = `weir-verify-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: 200,
    maxBytesPerPartition: 4 * 1024 * 1024,
    sessionTimeout: 60_000,
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new LogReading(consumer, topic, wanted, onRecords).run();
  } finally {
    await consumer.disconnect();
    await removeGroup(kafka, groupId);
  }
}

async function removeGroup(kafka: Kafka, groupId: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteGroups([groupId]);
  } catch {
    // An empty group that stays behind holds nothing and expires by itself.
  } finally {
    await admin.disconnect();
  }
}

/** One pass over the ranges of a topic; owns the consumer's position while it lasts. */
class LogReading {
  readonly #consumer: Consumer;
  readonly #topic: string;
  readonly #ranges: LogRange[];
  readonly #onRecords: OnRecords;
  readonly #finished = Promise.withResolvers<void>();
  #current = 0;
  #isBusy = false;
  #quiet = { fetches: 0, sinceMs: performance.now() };

  constructor(consumer: Consumer, topic: string, ranges: LogRange[], onRecords: OnRecords) {
    this.#consumer = consumer;
    this.#topic = topic;
    this.#ranges = ranges;
    this.#onRecords = onRecords;
  }

  async run(): Promise<void> {
    const { GROUP_JOIN, FETCH, CRASH } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => {
      const partitions = payload.memberAssignment[this.#topic] ?? [];
      this.#consumer.pause([{ topic: this.#topic, partitions }]);
      this.#openRange();
    });
    this.#consumer.on(FETCH, () => this.#countQuietFetch());
    this.#consumer.on(CRASH, ({ payload }) => {
      if (!payload.restart) this.#finished.reject(payload.error);
    });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async (payload) => {
        try {
          await this.#take(payload);
        } catch (error) {
          // Whatever failed was not the reading: to repeat the batch would only repeat the failure.
          this.#finished.reject(error);
        }
      },
    });
    await this.#finished.promise;
  }

  #openRange(): void {
    const range = this.#ranges[this.#current];
    this.#quiet = { fetches: 0, sinceMs: performance.now() };
    this.#consumer.seek({ topic: this.#topic, partition: range.partition, offset: String(range.first) });
    this.#consumer.resume([{ topic: this.#topic, partitions: [range.partition] }]);
  }

  #closeRange(): void {
    const range = this.#ranges[this.#current];
    this.#consumer.pause([{ topic: this.#topic, partitions: [range.partition] }]);
    this.#current++;
    if (this.#current === this.#ranges.length) this.#finished.resolve();
    else this.#openRange();
  }

  async #take({ batch, resolveOffset, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    const range = this.#ranges[this.#current];
    if (range === undefined || batch.partition !== range.partition || isStale()) return;
    this.#isBusy = true;
    try {
      const records = batch.messages.filter(({ offset }) => Number(offset) >= range.first && Number(offset) < range.end);
      await this.#onRecords(range.partition, records);
      range.first = Math.max(range.first, Number(batch.lastOffset()) + 1);
      resolveOffset(batch.lastOffset());
      await heartbeat();
      this.#quiet = { fetches: 0, sinceMs: performance.now() };
      if (range.first >= range.end) this.#closeRange();
    } finally {
      this.#isBusy = false;
    }
  }

  #countQuietFetch(): void {
    if (this.#isBusy || this.#current >= this.#ranges.length) return;
    this.#quiet.fetches++;
    const elapsedMs = performance.now() - this.#quiet.sinceMs;
    if (this.#quiet.fetches >= quietFetches && elapsedMs >= quietMs) this.#closeRange();
  }
}
