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

/** Called with records of the partition in offset order. */
export type OnRecords = (records: KafkaMessage[]) => Promise<void>;

// A range may end in records that clients never see (markers of transactions): when the broker has answered this
// often, over this long, without a record, there is none left.
const quietFetches = 5;
const quietMs = 2_000;

/** Reads a range with a group of its own that commits nothing and is removed afterwards. */
export async function readLog(kafka: Kafka, topic: string, range: LogRange, onRecords: OnRecords): Promise<void> {
  if (range.end <= range.first) return;
  const groupId = `weir-verify-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: 200,
    maxBytesPerPartition: 4 * 1024 * 1024,
    // A slice of raw rows is compared between two heartbeats.
    sessionTimeout: 120_000,
    rebalanceTimeout: 120_000,
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new LogReading(consumer, topic, range, onRecords).run();
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

/** One pass over a range; owns the consumer's position while it lasts. */
class LogReading {
  readonly #consumer: Consumer;
  readonly #topic: string;
  readonly #partition: number;
  readonly #end: number;
  readonly #onRecords: OnRecords;
  readonly #finished = Promise.withResolvers<void>();
  /** Next offset to be taken: what is read again after a rebalance is left out. */
  #next: number;
  #isBusy = false;
  #quiet = { fetches: 0, sinceMs: performance.now() };

  constructor(consumer: Consumer, topic: string, { partition, first, end }: LogRange, onRecords: OnRecords) {
    this.#consumer = consumer;
    this.#topic = topic;
    this.#partition = partition;
    this.#end = end;
    this.#next = first;
    this.#onRecords = onRecords;
  }

  async run(): Promise<void> {
    const { GROUP_JOIN, FETCH, CRASH } = this.#consumer.events;
    this.#consumer.on(GROUP_JOIN, ({ payload }) => {
      const others = (payload.memberAssignment[this.#topic] ?? []).filter((partition) => partition !== this.#partition);
      if (others.length > 0) this.#consumer.pause([{ topic: this.#topic, partitions: others }]);
      this.#consumer.seek({ topic: this.#topic, partition: this.#partition, offset: String(this.#next) });
      this.#quiet = { fetches: 0, sinceMs: performance.now() };
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

  async #take({ batch, resolveOffset, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    if (batch.partition !== this.#partition || isStale() || this.#next >= this.#end) return;
    this.#isBusy = true;
    try {
      const from = this.#next;
      await this.#onRecords(
        batch.messages.filter(({ offset }) => Number(offset) >= from && Number(offset) < this.#end),
      );
      this.#next = Math.max(from, Number(batch.lastOffset()) + 1);
      resolveOffset(batch.lastOffset());
      await heartbeat();
      this.#quiet = { fetches: 0, sinceMs: performance.now() };
      if (this.#next >= this.#end) this.#finished.resolve();
    } finally {
      this.#isBusy = false;
    }
  }

  #countQuietFetch(): void {
    if (this.#isBusy) return;
    this.#quiet.fetches++;
    const elapsedMs = performance.now() - this.#quiet.sinceMs;
    if (this.#quiet.fetches >= quietFetches && elapsedMs >= quietMs) this.#finished.resolve();
  }
}
