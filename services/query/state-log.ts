import { randomUUID } from 'node:crypto';
import type { Consumer, EachBatchPayload, Kafka } from '../../pipelines/kafka.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { decodeStateRecord } from '../../schemas/wire.ts';

/**
 * What people set up, as this process has read it: the whole topic from its beginning, and whatever is added while it
 * runs. The topic is small, and everybody reads all of it, so each reader has a group of its own and commits nothing.
 */
export class StateLog {
  readonly #kafka: Kafka;
  readonly #topic: string;
  readonly #onRecord: (record: StateRecord) => void;
  readonly #onUnreadable: (offset: string, error: unknown) => void;
  readonly #consumer: Consumer;
  readonly #groupId = `weir-query-state-${randomUUID()}`;
  #onPosition: (position: number) => void = () => undefined;

  constructor(
    kafka: Kafka,
    topic: string,
    onRecord: (record: StateRecord) => void,
    onUnreadable: (offset: string, error: unknown) => void,
  ) {
    this.#kafka = kafka;
    this.#topic = topic;
    this.#onRecord = onRecord;
    this.#onUnreadable = onUnreadable;
    this.#consumer = kafka.consumer({ groupId: this.#groupId, maxWaitTimeInMs: 500 });
  }

  /** Resolves when everything that stood on the topic at the call has been read; false where there is no such topic. */
  async open(): Promise<boolean> {
    const end = await this.#readEnd();
    if (end === null) return false;
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topic: this.#topic, fromBeginning: true });
    const { CRASH } = this.#consumer.events;
    const caughtUp = new Promise<void>((resolve, reject) => {
      if (end === 0) resolve();
      // The client gives up on some errors, and says so here alone.
      this.#consumer.on(CRASH, ({ payload }) => (payload.restart ? undefined : reject(payload.error)));
      this.#onPosition = (position) => (position >= end ? resolve() : undefined);
    });
    // Once it has joined its group: a consumer that is closed before may go on reading, and keep the process alive.
    await this.#consumer.run({ autoCommit: false, eachBatch: (payload) => this.#readBatch(payload) });
    await caughtUp;
    return true;
  }

  async #readBatch({ batch }: EachBatchPayload): Promise<void> {
    for (const { value, offset } of batch.messages) if (value !== null) this.#take(value, offset);
    // Of the batch and not of its last message: what ends a transaction takes an offset too.
    this.#onPosition(Number(batch.lastOffset()) + 1);
  }

  #take(value: Buffer, offset: string): void {
    try {
      this.#onRecord(decodeStateRecord(value));
    } catch (error) {
      this.#onUnreadable(offset, error);
    }
  }

  /** Null where the topic does not exist; a topic that retention has emptied ends where it begins. */
  async #readEnd(): Promise<number | null> {
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      if (!(await admin.listTopics()).includes(this.#topic)) return null;
      const [{ low, high }] = await admin.fetchTopicOffsets(this.#topic);
      return low === high ? 0 : Number(high);
    } finally {
      await admin.disconnect();
    }
  }

  async close(): Promise<void> {
    await this.#consumer.disconnect();
    const admin = this.#kafka.admin();
    await admin.connect();
    // Nobody comes back to this group.
    await admin.deleteGroups([this.#groupId]).catch(() => undefined);
    await admin.disconnect();
  }
}
