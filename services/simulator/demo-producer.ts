import type { DemoEvent } from './demo.ts';

/** A Kafka message of the demo, with the topic it goes to. */
export interface OutgoingMessage {
  topic: DemoEvent['topic'];
  key: string;
  value: Buffer | null;
  timestampMs: number;
}

export interface DemoProducerOptions {
  events: Iterator<DemoEvent, unknown, void>;
  /** Resolves when all of them are acknowledged. */
  send: (messages: OutgoingMessage[]) => Promise<void>;
  nowMs: () => number;
  sleep: (ms: number) => Promise<void>;
  /** What was to be sent before this moment is history: its records carry the time of the event. */
  liveFromMs: number;
}

// Brokers refuse a batch of more than 1 MB, and all of one send may go to one partition.
const maxSendBytes = 700_000;
// What the record format and a batch's varints add to key and value, at most.
const recordOverheadBytes = 70;
const pollMs = 50;

/**
 * Sends the endless telemetry of a demo when its time comes. One send is under way at a time, so that the order of
 * the demo is the order of the log; while brokers are away nothing is skipped, and afterwards it catches up.
 */
export class DemoProducer {
  readonly #options: DemoProducerOptions;
  #pending: OutgoingMessage[] = [];
  #pendingBytes = 0;
  #isStopping = false;
  #sent = 0;

  constructor(options: DemoProducerOptions) {
    this.#options = options;
  }

  /** Records acknowledged so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    const { events, nowMs, sleep } = this.#options;
    let next = events.next();
    while (!this.#isStopping && next.done !== true) {
      const dueMs = nowMs();
      while (!this.#isStopping && next.done !== true && next.value.sendAtMs <= dueMs) {
        await this.#add(next.value);
        next = events.next();
      }
      await this.#flush();
      if (!this.#isStopping) await sleep(pollMs);
    }
  }

  stop(): void {
    this.#isStopping = true;
  }

  async #add({ topic, key, value, sendAtMs, eventTimeMs }: DemoEvent): Promise<void> {
    const bytes = Buffer.byteLength(key) + (value?.length ?? 0) + recordOverheadBytes;
    if (this.#pendingBytes + bytes > maxSendBytes) await this.#flush();
    const timestampMs = sendAtMs < this.#options.liveFromMs ? eventTimeMs : sendAtMs;
    this.#pending.push({ topic, key, value, timestampMs });
    this.#pendingBytes += bytes;
  }

  async #flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const messages = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#options.send(messages);
    this.#sent += messages.length;
  }
}
