import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka, Producer } from '../../pipelines/kafka.ts';
import { createProducer } from '../../pipelines/kafka.ts';
import { ApiError } from './errors.ts';

export interface OutgoingEvent {
  topic: string;
  /** Events of one thing have one key, and so keep their order and find their duplicates. */
  key: string;
  value: Buffer;
}

interface PublisherOptions {
  kafka: Kafka;
  nowMs: () => number;
  onAcknowledged: (topic: string, events: number) => void;
  /** How long brokers may take before the caller is told to try again. */
  timeoutMs?: number;
  /** Bytes that may be on their way at once; beyond that callers are told to slow down. */
  mostBytesOnTheWay?: number;
}

/** Puts events on Kafka, and answers only when all replicas have them. */
export class Publisher {
  readonly #producer: Producer;
  readonly #options: Required<PublisherOptions>;
  #bytesOnTheWay = 0;
  #isConnected = false;

  constructor(options: PublisherOptions) {
    this.#options = { timeoutMs: 10_000, mostBytesOnTheWay: 64_000_000, ...options };
    this.#producer = createProducer(options.kafka);
    this.#producer.on(this.#producer.events.DISCONNECT, () => {
      this.#isConnected = false;
    });
    this.#producer.on(this.#producer.events.CONNECT, () => {
      this.#isConnected = true;
    });
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Resolves with the first connection, which may take as long as the brokers are away. */
  async connect(): Promise<void> {
    await this.#producer.connect();
  }

  async publish(events: readonly OutgoingEvent[]): Promise<void> {
    const bytes = events.reduce((sum, { value }) => sum + value.length, 0);
    if (this.#bytesOnTheWay + bytes > this.#options.mostBytesOnTheWay && this.#bytesOnTheWay > 0) {
      throw new ApiError('rate_limited', 'More events are on their way to the brokers than they take.');
    }
    if (!this.#isConnected) throw new ApiError('broker_unavailable', 'The brokers cannot be reached.');
    this.#bytesOnTheWay += bytes;
    const sent = this.#send(events).finally(() => {
      this.#bytesOnTheWay -= bytes;
    });
    // Not taken back when it takes too long: what arrives late counts once, like what is sent again.
    sent.catch(() => undefined);
    const tooLate = Symbol('too late');
    const outcome = await Promise.race([sent, sleep(this.#options.timeoutMs, tooLate, { ref: false })]);
    if (outcome === tooLate) throw new ApiError('broker_unavailable', 'The brokers did not acknowledge in time.');
  }

  async #send(events: readonly OutgoingEvent[]): Promise<void> {
    const timestamp = String(this.#options.nowMs());
    const topics = [...new Set(events.map(({ topic }) => topic))];
    const topicMessages = topics.map((topic) => ({
      topic,
      messages: events.filter((event) => event.topic === topic).map(({ key, value }) => ({ key, value, timestamp })),
    }));
    try {
      await this.#producer.sendBatch({ acks: -1, topicMessages });
    } catch (error) {
      const { type = '' } = error as { type?: string };
      if (type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE') {
        throw new ApiError('body_too_large', 'The brokers take no event as large as this.');
      }
      throw new ApiError('broker_unavailable', 'The brokers did not take the events.');
    }
    for (const { topic, messages } of topicMessages) this.#options.onAcknowledged(topic, messages.length);
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}
