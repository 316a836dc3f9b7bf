import type { Registry } from 'prom-client';
import type { Database } from '../../clickhouse/client.ts';
import { countOpenAlerts, readTellingAlerts } from '../../clickhouse/queries/active-alerts.ts';
import type { Admin, Consumer, EachBatchPayload, Kafka } from '../../pipelines/kafka.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import type { Settings } from '../../schemas/settings.ts';
import { decodeAlert } from '../../schemas/wire.ts';
import { AutoRemedy } from './auto-remedy.ts';
import { NotifyAlertmanager } from './notify-alertmanager.ts';
import { createNotifyMetrics, type NotifyMetrics } from './notify-metrics.ts';
import { NotifyWebhooks, type ReadChange, type Telling } from './notify-webhooks.ts';
import { OffsetBook } from './offset-book.ts';

interface NotifierOptions {
  settings: Settings;
  kafka: Kafka;
  /** Sees all workspaces, and may write deliveries. */
  database: Database;
  registry: Registry;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  nowMs?(): number;
}

const longestRetryMs = 600_000;
const groupMs = 500;
const mostAtOnce = 32;
const commitMs = 1_000;
const countMs = 5_000;
/** Whoever was away for longer than that is told how alerts stand, not what became of them meanwhile. */
const staleMs = 24 * 3_600_000;
const changesPerSlice = 2_000;

/**
 * Tells people of changes of alerts: webhooks of each that they want, Alertmanagers of all that fire, Prometheus how many there
 * are. Instances share the partitions of the topic. A record counts as read when everybody has been told of it or was given
 * up, so that whatever ends the process, somebody goes on; what had been delivered before is on the books and not sent again.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #nowMs: () => number;
  readonly #metrics: NotifyMetrics;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  readonly #webhooks: NotifyWebhooks;
  readonly #alertmanagers: readonly NotifyAlertmanager[];
  readonly #remedies: AutoRemedy;
  readonly #offsets = new OffsetBook();
  readonly #committed = new Map<number, number>();
  #assigned: ReadonlySet<number> = new Set();
  /** Raised whenever partitions are handed out: what was read before counts for nothing then. */
  #turn = 0;
  #timers: NodeJS.Timeout[] = [];
  /** Where each partition ended when it was handed out: what comes later nobody has been told of yet. */
  #ends: Promise<ReadonlyMap<number, number>> = Promise.resolve(new Map());
  #stopped = false;
  #hasJoined = false;

  constructor(options: NotifierOptions) {
    const { settings, kafka, database, registry, log } = options;
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#metrics = createNotifyMetrics(registry);
    this.#admin = kafka.admin();
    this.#consumer = kafka.consumer({
      groupId: `${settings.groupId}-notifier`,
      maxWaitTimeInMs: 200,
      allowAutoTopicCreation: false,
    });
    this.#webhooks = new NotifyWebhooks({
      database,
      secretsKey: settings.secretsKey,
      bounds: { timeoutMs: settings.webhookTimeoutMs, mayBeInner: settings.webhookPrivateTargets },
      plan: { mostAttempts: settings.webhookAttempts, firstRetryMs: settings.webhookRetryMs, longestRetryMs, groupMs },
      mostAtOnce,
      metrics: this.#metrics,
      log,
      nowMs: this.#nowMs,
    });
    const { autoRemedies: automatic, topicCommands: topic } = settings;
    this.#remedies = new AutoRemedy({ kafka, database, topic, automatic, log });
    const apiUrl = settings.publicUrl || `http://${settings.apiHost}:${settings.apiPort}`;
    this.#alertmanagers = settings.alertmanagerUrls.map(
      (url) =>
        new NotifyAlertmanager({
          url,
          apiUrl,
          read: (sinceMs) => readTellingAlerts(database, sinceMs),
          resendMs: settings.alertmanagerResendMs,
          metrics: this.#metrics,
          log,
          nowMs: this.#nowMs,
        }),
    );
  }

  /** Resolves when changes are being read. */
  async start(): Promise<void> {
    await Promise.all([this.#webhooks.open(), this.#remedies.start()]);
    for (const alertmanager of this.#alertmanagers) alertmanager.start();
    const { topicAlerts: topic } = this.#options.settings;
    await Promise.all([this.#consumer.connect(), this.#admin.connect()]);
    await this.#consumer.subscribe({ topic, fromBeginning: true });
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, ({ payload }) =>
      this.#assign(payload.memberAssignment[topic] ?? []),
    );
    await this.#consumer.run({ autoCommit: false, eachBatch: (payload) => this.#readBatch(payload) });
    this.#timers = [
      setInterval(() => void this.#commit(), commitMs),
      setInterval(() => void this.#countAlerts(), countMs),
    ];
    await this.#countAlerts();
  }

  /** '' when changes are read, or others read them. */
  whyNotReady(): string {
    return this.#hasJoined ? '' : 'has not joined its consumer group yet';
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([this.#webhooks.close(), ...this.#alertmanagers.map((one) => one.close())]);
    await this.#commit();
    await Promise.all([this.#consumer.disconnect(), this.#admin.disconnect(), this.#remedies.stop()]);
  }

  /** Partitions that are handed out again are read from where they were committed. */
  #assign(partitions: readonly number[]): void {
    for (const partition of this.#offsets.partitions) this.#offsets.forget(partition);
    this.#committed.clear();
    this.#turn++;
    this.#assigned = new Set(partitions);
    this.#ends = this.#readEnds();
    this.#hasJoined = true;
  }

  /** Where they cannot be read, every change is looked up. */
  async #readEnds(): Promise<ReadonlyMap<number, number>> {
    const { topicAlerts: topic } = this.#options.settings;
    try {
      const ends = await this.#admin.fetchTopicOffsets(topic);
      return new Map(ends.map(({ partition, high }) => [partition, Number(high)]));
    } catch {
      return new Map();
    }
  }

  async #readBatch({ batch, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
    const { partition, messages } = batch;
    const end = (await this.#ends).get(partition) ?? Number.POSITIVE_INFINITY;
    for (let from = 0; from < messages.length; from += changesPerSlice) {
      if (this.#stopped || !isRunning() || isStale()) return;
      const tellings: Telling[] = [];
      for (const { value, offset, timestamp } of messages.slice(from, from + changesPerSlice)) {
        const change = this.#read(value, partition, offset, Number(timestamp));
        if (change !== null) await this.#remedies.apply(change.change);
        tellings.push(...this.#plan(change, partition, Number(offset), end));
      }
      await this.#webhooks.take(tellings);
      await heartbeat();
    }
    this.#offsets.pass(partition, Number(batch.lastOffset()) + 1);
  }

  /** Null where there is nothing to tell. */
  #read(value: Buffer | null, partition: number, offset: string, recordTimeMs: number): ReadChange | null {
    if (value === null) return null;
    let change: AlertRecord;
    try {
      change = decodeAlert(value);
    } catch (error) {
      const { topicAlerts: topic } = this.#options.settings;
      this.#options.log.error(
        { topic, partition, offset, err: error },
        'a record of the topic of alerts cannot be read; nobody is told of it',
      );
      this.#metrics.changes.inc({ outcome: 'unreadable' });
      return null;
    }
    const isStale = this.#nowMs() - recordTimeMs > staleMs;
    this.#metrics.changes.inc({ outcome: isStale ? 'stale' : 'read' });
    return isStale ? null : { change, recordTimeMs };
  }

  #plan(read: ReadChange | null, partition: number, offset: number, end: number): Telling[] {
    const targets = read === null ? [] : this.#webhooks.findTargets(read);
    this.#offsets.add(partition, offset, targets.length);
    if (read === null) return [];
    for (const alertmanager of this.#alertmanagers) alertmanager.note(read.change, read.recordTimeMs);
    const turn = this.#turn;
    const settle = () => {
      if (turn === this.#turn) this.#offsets.done(partition, offset);
    };
    return targets.map((subscription) => ({ ...read, subscription, mayBeKnown: offset < end, settle }));
  }

  async #commit(): Promise<void> {
    const { topicAlerts: topic } = this.#options.settings;
    const offsets = this.#offsets.partitions
      .filter((partition) => this.#assigned.has(partition))
      .map((partition) => ({ partition, offset: this.#offsets.safe(partition) ?? 0 }))
      .filter(({ partition, offset }) => offset > (this.#committed.get(partition) ?? 0));
    if (offsets.length === 0) return;
    try {
      await this.#consumer.commitOffsets(
        offsets.map(({ partition, offset }) => ({ topic, partition, offset: String(offset) })),
      );
      for (const { partition, offset } of offsets) this.#committed.set(partition, offset);
    } catch (error) {
      // Whoever has the partition now commits; what is read again is on the books.
      this.#options.log.warn({ topic, err: error }, 'the position on the topic of alerts was not committed');
    }
  }

  async #countAlerts(): Promise<void> {
    try {
      const counts = await countOpenAlerts(this.#options.database);
      this.#metrics.firing.reset();
      this.#metrics.alerts.reset();
      for (const { rule, severity, state, isSilenced, alerts } of counts) {
        this.#metrics.alerts.inc({ rule, state: isSilenced ? 'silenced' : state }, alerts);
        const isFiring = !isSilenced && state !== 'pending';
        if (isFiring) this.#metrics.firing.inc({ rule, severity }, alerts);
      }
    } catch (error) {
      this.#options.log.warn({ err: error }, 'alerts could not be counted for their metrics');
    }
  }
}
