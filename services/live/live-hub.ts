import type { Decoder, TopicKind } from '../../pipelines/decode.ts';
import type { Kafka } from '../../pipelines/kafka.ts';
import { decodeAlert } from '../../schemas/wire.ts';
import { Interests, type LogKind, logsOf } from './interests.ts';
import type { LedgerWatch, Mark } from './ledger-watch.ts';
import { closeCodes, type LiveClient } from './live-client.ts';
import type { LiveTopic } from './live-topic.ts';
import { LogTail, type TailRecord } from './log-tail.ts';
import type { LiveMetrics } from './metrics.ts';
import { RecentKeys } from './recent-keys.ts';
import { type Place, type SnapshotContent, Subscription } from './subscription.ts';
import { alertIdentityOf, identityOf, type Message, type Telling, tellAlert, tellEvent, thingOf } from './tellings.ts';

interface HubLog {
  error(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
}

export interface LiveHubOptions {
  kafka: Kafka;
  /** Names of the topics that are read. */
  topics: Record<LogKind, string>;
  /** topic@epoch of those whose records are stored. */
  streams: Record<TopicKind, string>;
  decoders: Record<TopicKind, Decoder>;
  ledger: LedgerWatch;
  metrics: LiveMetrics;
  log: HubLog;
  nowMs: () => number;
  heartbeatMs: number;
}

/** Reads the state of a topic in the name of its workspace. */
export type ReadSnapshot = (topic: LiveTopic, source: string) => Promise<SnapshotContent>;

/** Records that are remembered so that their repetitions are not told again. */
const rememberedRecords = 100_000;
/** How long a snapshot waits for the pipelines to store what was on Kafka before. */
const storeWaitMs = 10_000;
const snapshotTries = 3;
/** How far the log may come behind what is stored of it. */
const toldKeptMs = 60_000;
const drainMs = 2_000;

/** A client, what it follows, and whether it may still do so. */
interface Member {
  subscriptions: Map<string, Subscription>;
  isAllowed: () => Promise<boolean>;
}

/**
 * Reads what is reported, and hands it to whoever follows it: one reader of the log for all clients of this process.
 */
export class LiveHub {
  readonly #options: LiveHubOptions;
  readonly #tail: LogTail;
  readonly #kinds: ReadonlyMap<string, LogKind>;
  readonly #interests = new Interests();
  readonly #recent = new RecentKeys(rememberedRecords);
  readonly #starts = new RecentKeys(rememberedRecords);
  readonly #members = new Map<LiveClient, Member>();
  /** Who follows what: by workspace, then by topic. What is not in the workspace's own map is never looked at. */
  readonly #followers = new Map<string, Map<string, Set<Subscription>>>();
  #heartbeat: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(options: LiveHubOptions) {
    this.#options = options;
    this.#kinds = new Map(Object.entries(options.topics).map(([kind, topic]) => [topic, kind as LogKind]));
    this.#tail = new LogTail({
      kafka: options.kafka,
      topics: Object.values(options.topics),
      isAwaited: (topic) => this.#interests.expects(this.#kinds.get(topic) as LogKind),
      prepare: (records) => this.#prepare(records),
      take: (records) => {
        for (const record of records) this.#takeSafely(record);
      },
    });
  }

  whyNotReady(): string {
    return this.#tail.whyNotReady();
  }

  get clients(): number {
    return this.#members.size;
  }

  async open(): Promise<void> {
    this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeatMs);
    await this.#tail.open();
  }

  join(client: LiveClient, isAllowed: () => Promise<boolean>): void {
    this.#members.set(client, { subscriptions: new Map(), isAllowed });
    this.#options.metrics.clients.set(this.#members.size);
    if (this.#isClosing) client.close(closeCodes.stopping, 'the service is stopping');
  }

  leave(client: LiveClient): void {
    for (const { topic, source } of this.#members.get(client)?.subscriptions.values() ?? []) {
      this.unfollow(client, topic, source);
    }
    this.#members.delete(client);
    this.#options.metrics.clients.set(this.#members.size);
  }

  follows(client: LiveClient, topic: LiveTopic, source: string): boolean {
    return this.#members.get(client)?.subscriptions.has(nameOf(topic, source)) ?? false;
  }

  subscriptionsOf(client: LiveClient): number {
    return this.#members.get(client)?.subscriptions.size ?? 0;
  }

  /** From here on the client is told what changes; first, where there is a way to read it, what the state is. */
  follow(client: LiveClient, topic: LiveTopic, source: string, readSnapshot: ReadSnapshot | null): void {
    const member = this.#members.get(client);
    if (member === undefined) return;
    const subscription = new Subscription(client, topic, source);
    member.subscriptions.set(nameOf(topic, source), subscription);
    this.#options.metrics.subscriptions.inc({ kind: topic.kind });
    this.#interests.add(topic);
    const topics = this.#followers.get(client.workspace) ?? new Map<string, Set<Subscription>>();
    this.#followers.set(client.workspace, topics);
    const key = keyOf(topic.kind, topic.id);
    topics.set(key, (topics.get(key) ?? new Set()).add(subscription));
    this.#tail.attend();
    if (readSnapshot !== null) void this.#tellState(subscription, readSnapshot);
  }

  unfollow(client: LiveClient, topic: LiveTopic, source: string): void {
    const { subscriptions } = this.#members.get(client) ?? {};
    const subscription = subscriptions?.get(nameOf(topic, source));
    if (subscription === undefined) return;
    subscriptions?.delete(nameOf(topic, source));
    subscription.isOver = true;
    this.#options.metrics.subscriptions.dec({ kind: topic.kind });
    this.#interests.remove(topic);
    const topics = this.#followers.get(client.workspace);
    const key = keyOf(topic.kind, topic.id);
    const followers = topics?.get(key);
    followers?.delete(subscription);
    if (followers?.size === 0) topics?.delete(key);
    if (topics?.size === 0) this.#followers.delete(client.workspace);
  }

  /**
   * No gap: changes wait from before the state is read, and it is read when all that was on Kafka before is stored. No
   * double: of what waited, and of what the log brings late, the snapshot knows by its place what it holds already.
   */
  async #tellState(subscription: Subscription, readSnapshot: ReadSnapshot): Promise<void> {
    const { topic, source, client } = subscription;
    const { nowMs } = this.#options;
    const stopTimer = this.#options.metrics.snapshotSeconds.startTimer();
    try {
      for (let attempt = 1; ; attempt++) {
        subscription.hold();
        const complete = await this.#options.ledger.waitFor(this.#marksOf(topic), storeWaitMs);
        const content = await readSnapshot(topic, source);
        if (subscription.isOver) return;
        // Where the pipelines are far behind, waiting for them once more would only make it later.
        if (subscription.hasOverflowed && complete && attempt < snapshotTries) continue;
        const { truncated } = content;
        const messages = content.messages.map(({ type, body }) => ({ type, topic: topic.text, ...body }));
        const snapshot = { type: 'snapshot', topic: topic.text, complete, truncated, messages };
        client.send('snapshot', Buffer.from(JSON.stringify(snapshot)), topic.text);
        subscription.release(content, nowMs());
        stopTimer({ complete: String(complete) });
        return;
      }
    } catch (error) {
      if (subscription.isOver) return;
      this.#options.log.warn({ err: error, topic: topic.kind }, 'the state of a topic could not be read');
      client.refuse('snapshot_unavailable', 'The state could not be read.', topic.text);
      subscription.release(null, nowMs());
    }
  }

  /** Alerts are stored before they are told: whatever stood on their topic before can be read already. */
  #marksOf(topic: LiveTopic): Mark[] {
    const { streams, topics } = this.#options;
    return logsOf[topic.kind]
      .filter((log) => log !== 'alerts')
      .map((log) => ({ stream: streams[log], positions: new Map(this.#tail.positionsOf(topics[log])) }));
  }

  #prepare(records: readonly TailRecord[]): Promise<void> | undefined {
    const kind = this.#kinds.get(records[0]?.topic ?? '');
    if (kind === undefined || kind === 'alerts') return undefined;
    const wanted = records.filter(({ value }) => this.#interests.mayHold(kind, value));
    // A registry that is away hides its records from the sockets; the pipelines wait for it.
    return this.#options.decoders[kind].prepare(wanted)?.catch((error: unknown) => {
      this.#options.log.warn({ err: error }, 'records for live sockets cannot be read without the schema registry');
    });
  }

  /** A mistake of ours about one record must not keep the others from being told. */
  #takeSafely(record: TailRecord): void {
    try {
      this.#take(record);
    } catch (error) {
      const { topic, partition, offset } = record;
      this.#options.log.error({ err: error, topic, partition, offset }, 'a record could not be told');
    }
  }

  #take(record: TailRecord): void {
    const log = this.#kinds.get(record.topic);
    if (log === undefined || !this.#interests.mayHold(log, record.value)) return;
    const read = log === 'alerts' ? this.#readAlert(record) : this.#readEvent(log, record);
    // What is no telemetry is a dead letter, and told by the pipelines.
    if (read === null || !this.#recent.add(read.place.identity)) return;
    if (this.tell(read.workspace, read.tellings, read.place)) {
      this.#options.metrics.pushSeconds.observe(Math.max(0, this.#options.nowMs() - record.timestampMs) / 1000);
    }
  }

  /** Whether anybody follows what is told. */
  tell(workspace: string, tellings: readonly Telling[], place: Place): boolean {
    const topics = this.#followers.get(workspace);
    let isPushed = false;
    for (const { kind, id, messages } of topics === undefined ? [] : tellings) {
      const followers = topics?.get(keyOf(kind, id));
      if (followers === undefined) continue;
      this.#push(messages(), followers, place);
      isPushed = true;
    }
    return isPushed;
  }

  /** Workspaces in which somebody follows a topic of the kind. */
  workspacesWith(kind: LiveTopic['kind']): ReadonlySet<string> {
    const isOfKind = (key: string) => key.startsWith(`${kind}:`);
    return new Set(
      [...this.#followers].filter(([, topics]) => [...topics.keys()].some(isOfKind)).map(([name]) => name),
    );
  }

  /** Those who follow one topic under one name are sent the same bytes. */
  #push(messages: readonly Message[], followers: ReadonlySet<Subscription>, place: Place): void {
    for (const message of messages) {
      let bytes: Buffer | null = null;
      for (const subscription of followers) {
        bytes ??= writeMessage(message, subscription.topic);
        subscription.deliver(message, bytes, place);
      }
    }
  }

  #readEvent(log: TopicKind, record: TailRecord): Read | null {
    const event = this.#options.decoders[log].decode(record);
    if (!('kind' in event)) return null;
    const { workspace, source, eventTimeMs } = event;
    const { partition, offset } = record;
    const place = { log, partition, offset, source, eventTimeMs, thing: thingOf(event), identity: identityOf(event) };
    return { workspace, place, tellings: tellEvent(event, (key) => this.#starts.add(key)) };
  }

  #readAlert({ value, partition, offset }: TailRecord): Read {
    const alert = decodeAlert(value ?? Buffer.alloc(0));
    const { workspace = 'default', source, alert_id: thing, event_time: eventTimeMs } = alert;
    const about = { source: source ?? '', thing, eventTimeMs, identity: alertIdentityOf(alert) };
    const place = { log: 'alerts' as const, partition, offset, ...about };
    return { workspace, place, tellings: tellAlert(alert) };
  }

  /** Finds clients that are gone, and those whose key has expired or was revoked meanwhile. */
  #beat(): void {
    const isBehind = this.#tail.whyNotReady() !== '';
    const forgottenBeforeMs = this.#options.nowMs() - toldKeptMs;
    for (const [client, { subscriptions, isAllowed }] of this.#members) {
      if (!isBehind) for (const one of subscriptions.values()) one.forgetToldBefore(forgottenBeforeMs);
      if (!client.beat()) {
        this.#options.metrics.closed.inc({ reason: 'no answer' });
        continue;
      }
      void isAllowed().then((isStillAllowed) => {
        if (isStillAllowed || !this.#members.has(client)) return;
        this.#options.metrics.closed.inc({ reason: 'not allowed any more' });
        client.close(closeCodes.unauthenticated, 'the key or token is not valid any more');
        this.leave(client);
      });
    }
  }

  /** Tells everybody to go elsewhere; whoever does not answer is cut off. */
  async drain(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#heartbeat);
    for (const client of this.#members.keys()) client.close(closeCodes.stopping, 'the service is stopping');
    const untilMs = this.#options.nowMs() + drainMs;
    while (this.#members.size > 0 && this.#options.nowMs() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const client of this.#members.keys()) client.terminate();
  }

  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#tail.close();
  }
}

interface Read {
  workspace: string;
  place: Place;
  tellings: Telling[];
}

/** Messages of the telemetry family have a form of their own. */
const writeMessage = ({ type, body }: Message, { kind, text }: LiveTopic): Buffer =>
  Buffer.from(JSON.stringify(kind.startsWith('telemetry-') ? body : { type, topic: text, ...body }));

const keyOf = (kind: string, id: string): string => `${kind}:${id}`;
const nameOf = (topic: LiveTopic, source: string): string => JSON.stringify([topic.kind, topic.id, source]);
