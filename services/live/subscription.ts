import type { LogKind } from './interests.ts';
import type { LiveClient } from './live-client.ts';
import type { LiveTopic } from './live-topic.ts';
import type { Message } from './tellings.ts';

/** Where a message comes from, which tells whether a snapshot holds it already. */
export interface Place {
  log: LogKind | 'patterns';
  partition: number;
  offset: number;
  source: string;
  /** The execution, the attempt or the measured thing it is about. */
  thing: string;
  eventTimeMs: number;
  /** What repetitions of the record have in common. */
  identity: string;
}

/** What a topic was like at one instant. */
export interface SnapshotContent {
  messages: Message[];
  truncated: boolean;
  /** Whether the record is in it already. */
  holds(place: Place): boolean;
}

interface Held {
  place: Place;
  message: Message;
  bytes: Buffer;
}

/** Changes that are held back while one snapshot is read; beyond that it is read anew. */
const mostHeld = 5_000;
const mostHeldBytes = 4_000_000;

/** One topic that one client follows. While its state is being read changes wait; afterwards they go straight on. */
export class Subscription {
  readonly client: LiveClient;
  readonly topic: LiveTopic;
  /** '' for any source. */
  readonly source: string;
  #held: Held[] | null = null;
  #heldBytes = 0;
  #lost = 0;
  /** What the client has from its state: a record may be stored and read back before the log brings it here. */
  #told: { content: SnapshotContent; sinceMs: number } | null = null;
  isOver = false;

  constructor(client: LiveClient, topic: LiveTopic, source: string) {
    this.client = client;
    this.topic = topic;
    this.source = source;
  }

  deliver(message: Message, bytes: Buffer, place: Place): void {
    if (this.source !== '' && this.source !== place.source) return;
    if (this.#held === null) {
      if (this.#told?.content.holds(place) === true) return;
      this.client.send(message.type, bytes, this.topic.text);
      return;
    }
    if (this.#held.length >= mostHeld || this.#heldBytes + bytes.length > mostHeldBytes) {
      this.#lost += this.#held.length + 1;
      this.#held = [];
      this.#heldBytes = 0;
      return;
    }
    this.#held.push({ message, bytes, place });
    this.#heldBytes += bytes.length;
  }

  /** From here on changes wait. */
  hold(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#lost = 0;
  }

  /** More changed meanwhile than may wait: the snapshot would leave a gap. */
  get hasOverflowed(): boolean {
    return this.#lost > 0;
  }

  /** Sends what waited and is not in the snapshot; from here on changes that are not in it go straight on. */
  release(content: SnapshotContent | null, nowMs: number): void {
    const held = this.#held ?? [];
    this.#held = null;
    this.#told = content === null ? null : { content, sinceMs: nowMs };
    if (this.#lost > 0) this.client.miss(this.#lost, this.topic.text);
    for (const { message, bytes, place } of held) {
      if (content?.holds(place) !== true) this.client.send(message.type, bytes, this.topic.text);
    }
  }

  /** By then the log has brought whatever was stored when the state was read. */
  forgetToldBefore(timeMs: number): void {
    if (this.#told !== null && this.#told.sinceMs < timeMs) this.#told = null;
  }
}
