import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../clickhouse/client.ts';
import {
  type KnownDelivery,
  readCollection,
  readKnownDeliveries,
  type StoredEntry,
  writeDeliveries,
} from '../../clickhouse/queries/webhooks.ts';
import type { DeliveryRow } from '../../clickhouse/tables/webhook-deliveries.ts';
import { alertCollections, type WebhookSubscription } from '../../schemas/alerts.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { wants } from './alert-match.ts';
import { describeRows } from './notify-delivery.ts';
import type { NotifyMetrics } from './notify-metrics.ts';
import { NotifyTarget, type OpenSubscription, type RetryPlan, type Waiting } from './notify-target.ts';
import { type SendingBounds, sendDelivery, type WebhookAttempt, type WebhookRequest } from './webhook-request.ts';
import { openWebhook } from './webhook-secret.ts';

interface NotifyLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface WebhooksOptions {
  database: Database;
  /** Opens what subscriptions keep closed. */
  secretsKey: string;
  bounds: SendingBounds;
  plan: RetryPlan;
  /** Requests to all webhooks together that are under way at once. */
  mostAtOnce: number;
  metrics: NotifyMetrics;
  log: NotifyLog;
  nowMs(): number;
}

/** A change as it was read; `settle` is called once for each webhook that it concerns. */
export interface ReadChange {
  change: AlertRecord;
  recordTimeMs: number;
}

/** One telling: which webhook, which change, and what to do when it has ended. */
export interface Telling extends ReadChange {
  subscription: { workspace: string; id: string };
  /** Whether an earlier process may have told it. */
  mayBeKnown: boolean;
  settle(): void;
}

const refreshMs = 2_000;
const storeRetryMs = 1_000;
/** Tellings that have ended, of which a repetition is known without asking. */
const mostRemembered = 50_000;

interface Known {
  subscription: WebhookSubscription;
  open: OpenSubscription;
}

const nameOf = (workspace: string, id: string): string => JSON.stringify([workspace, id]);

/** Every webhook that people have subscribed, each told by itself: one that is slow or away holds up nobody else. */
export class NotifyWebhooks {
  readonly #options: WebhooksOptions;
  readonly #closing = new AbortController();
  readonly #targets = new Map<string, NotifyTarget>();
  /** What is under way, and what is to be done when it ends: a change that is read again joins what is under way. */
  readonly #underWay = new Map<string, (() => void)[]>();
  /** What has ended lately: a change may stand on the topic twice, when whoever put it there had to repeat itself. */
  readonly #ended = new Set<string>();
  #known = new Map<string, Known>();
  #free: number;
  readonly #queue: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#free = options.mostAtOnce;
  }

  /** Resolves when it is known who wants to be told. */
  async open(): Promise<void> {
    await this.#untilDone('reading the subscriptions', () => this.#refresh());
    this.#timer = setInterval(
      () => void this.#refresh().catch((error) => this.#say('reading the subscriptions', error)),
      refreshMs,
    );
  }

  /** What is under way is broken off; whoever reads the log next goes on with it. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await Promise.all([...this.#targets.values()].map((target) => target.idle()));
  }

  /** Which webhooks are to be told of a change. */
  findTargets({ change, recordTimeMs }: ReadChange): { workspace: string; id: string }[] {
    const { workspace = 'default' } = change;
    return [...this.#known.values()]
      .filter(({ open, subscription }) => open.workspace === workspace && subscription.created_at <= recordTimeMs)
      .filter(({ subscription }) => wants(subscription, change))
      .map(({ open }) => ({ workspace, id: open.id }));
  }

  /** Takes tellings on; resolves when it is known which of them were done before. */
  async take(tellings: readonly Telling[]): Promise<void> {
    const known = await this.#readKnown(tellings.filter(({ mayBeKnown }) => mayBeKnown));
    const refused: Telling[] = [];
    for (const telling of tellings) if (!this.#takeOne(telling, known)) refused.push(telling);
    await this.#giveUp(refused);
    this.#count();
  }

  async #readKnown(tellings: readonly Telling[]): Promise<ReadonlyMap<string, KnownDelivery>> {
    const workspaces = [...new Set(tellings.map(({ subscription }) => subscription.workspace))];
    const ids = [...new Set(tellings.map(({ change }) => change.notification_id))];
    const known = new Map<string, KnownDelivery>();
    await this.#untilDone('reading earlier deliveries', async () => {
      for (const row of await readKnownDeliveries(this.#options.database, workspaces, ids)) {
        known.set(JSON.stringify([row.workspace, row.subscriptionId, row.notificationId]), row);
      }
    });
    return known;
  }

  /** False where too many wait for its webhook already. */
  #takeOne(telling: Telling, known: ReadonlyMap<string, KnownDelivery>): boolean {
    const { change, subscription, settle, recordTimeMs } = telling;
    const { workspace, id } = subscription;
    const key = JSON.stringify([workspace, id, change.notification_id]);
    const before = known.get(key);
    if (this.#ended.has(key) || (before !== undefined && before.status !== 'retrying')) {
      settle();
      return true;
    }
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) {
      underWay.push(settle);
      return true;
    }
    const settles = [settle];
    const waiting: Waiting = {
      change,
      recordTimeMs,
      attempts: before?.attempts ?? 0,
      firstTriedAtMs: this.#options.nowMs(),
      settle: () => {
        this.#underWay.delete(key);
        this.#remember(key);
        for (const end of settles) end();
      },
    };
    if (!this.#targetOf(workspace, id).push(waiting)) return false;
    this.#underWay.set(key, settles);
    return true;
  }

  #remember(key: string): void {
    this.#ended.add(key);
    // The oldest stand first.
    for (const oldest of this.#ended) {
      if (this.#ended.size <= mostRemembered) return;
      this.#ended.delete(oldest);
    }
  }

  /** A flood beyond all bounds is written down, so that it is known what nobody was told. */
  async #giveUp(refused: readonly Telling[]): Promise<void> {
    if (refused.length === 0) return;
    const { nowMs, metrics } = this.#options;
    const rows = refused.flatMap((telling) =>
      describeRows([{ change: telling.change, firstTriedAtMs: nowMs() }], {
        subscriptionId: telling.subscription.id,
        deliveryId: telling.change.notification_id,
        status: 'dead',
        attempts: 0,
        httpStatus: 0,
        error: 'too many changes waited for this webhook',
        nowMs: nowMs(),
      }),
    );
    await this.#record(rows);
    metrics.notifications.inc({ channel: 'webhook', outcome: 'dead' }, refused.length);
    for (const { settle } of refused) settle();
  }

  #targetOf(workspace: string, id: string): NotifyTarget {
    const name = nameOf(workspace, id);
    const found = this.#targets.get(name);
    if (found !== undefined) return found;
    const { plan, nowMs, metrics } = this.#options;
    const made = new NotifyTarget({
      subscriptionId: id,
      plan,
      current: () => this.#currentOf(name),
      send: (request) => this.#send(request),
      record: (rows) => this.#record(rows),
      sleep: (ms) => this.#sleep(ms),
      isClosed: () => this.#closing.signal.aborted,
      nowMs,
      random: Math.random,
      onAttempt: ({ isDelivered }) =>
        metrics.attempts.inc({ channel: 'webhook', outcome: isDelivered ? 'succeeded' : 'failed' }),
      onEnd: (status, group) => {
        metrics.notifications.inc({ channel: 'webhook', outcome: status }, group.length);
        if (status !== 'delivered') return;
        for (const { recordTimeMs } of group) {
          metrics.delaySeconds.observe({ channel: 'webhook' }, Math.max(0, nowMs() - recordTimeMs) / 1000);
        }
      },
    });
    this.#targets.set(name, made);
    return made;
  }

  #currentOf(name: string): OpenSubscription | null {
    const known = this.#known.get(name);
    return known?.subscription.enabled === true ? known.open : null;
  }

  async #send(request: WebhookRequest): Promise<WebhookAttempt> {
    const { bounds, nowMs } = this.#options;
    if (request.url === '') return cannotOpen;
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return await sendDelivery(request, bounds, nowMs());
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }

  async #record(rows: readonly DeliveryRow[]): Promise<void> {
    await this.#untilDone('writing deliveries', () => writeDeliveries(this.#options.database, rows));
    this.#count();
  }

  async #refresh(): Promise<void> {
    const entries = await readCollection(this.#options.database, alertCollections.webhooks);
    const before = this.#known;
    this.#known = new Map();
    for (const entry of entries) {
      const known = this.#readEntry(entry, before);
      if (known !== null) this.#known.set(nameOf(entry.workspace, entry.key), known);
    }
    for (const [name, target] of this.#targets) {
      if (!this.#known.has(name) && target.waiting === 0) this.#targets.delete(name);
    }
    this.#count();
  }

  #readEntry({ workspace, key: id, value }: StoredEntry, before: ReadonlyMap<string, Known>): Known | null {
    const name = nameOf(workspace, id);
    const subscription = readSubscription(value);
    if (subscription === null) return null;
    const opened = openWebhook(this.#options.secretsKey, { workspace, id }, subscription.sealed);
    if (opened === null && !before.has(name)) {
      this.#options.log.warn(
        { workspace, subscription: id },
        'the subscription was closed with another WEIR_SECRETS_KEY, and its webhook cannot be called',
      );
    }
    return { subscription, open: { workspace, id, url: opened?.url ?? '', secret: opened?.secret ?? '' } };
  }

  #count(): void {
    let waiting = 0;
    for (const target of this.#targets.values()) waiting += target.waiting;
    this.#options.metrics.waiting.set({ channel: 'webhook' }, waiting);
  }

  /** What ClickHouse has to know is repeated until it does: nothing goes on meanwhile that would have to be taken back. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        return await work();
      } catch (error) {
        this.#say(what, error as Error);
        await this.#sleep(storeRetryMs);
      }
    }
  }

  #say(what: string, error: Error): void {
    this.#options.log.warn({ err: error }, `${what} failed; it is repeated`);
  }

  async #sleep(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }
}

const cannotOpen: WebhookAttempt = {
  isDelivered: false,
  httpStatus: 0,
  error: 'the subscription was closed with another WEIR_SECRETS_KEY: make it again',
  retryAfterMs: null,
};

/** Who may write state may write anything: what is no subscription is left alone. */
function readSubscription(value: string): WebhookSubscription | null {
  try {
    const read = JSON.parse(value) as Partial<WebhookSubscription>;
    const { events, sealed, created_at } = read;
    const isSound = Array.isArray(events) && typeof sealed === 'string' && typeof created_at === 'number';
    return isSound ? (read as WebhookSubscription) : null;
  } catch {
    return null;
  }
}
