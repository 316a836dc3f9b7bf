import type { DeliveryRow, DeliveryStatus } from '../../clickhouse/tables/webhook-deliveries.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { describeRows, writeDelivery } from './notify-delivery.ts';
import type { WebhookAttempt, WebhookRequest } from './webhook-request.ts';

/** A subscription with its address and secret in plain form. */
export interface OpenSubscription {
  workspace: string;
  id: string;
  url: string;
  secret: string;
}

/** One change that one webhook is to be told of. */
export interface Waiting {
  change: AlertRecord;
  /** When it was put on the topic. */
  recordTimeMs: number;
  /** Tries of an earlier process. */
  attempts: number;
  firstTriedAtMs: number;
  /** Called once it need not be thought of any more. */
  settle(): void;
}

export interface RetryPlan {
  mostAttempts: number;
  firstRetryMs: number;
  longestRetryMs: number;
  /** How long a change waits for others that come at the same time. */
  groupMs: number;
}

export interface TargetWorld {
  subscriptionId: string;
  plan: RetryPlan;
  /** The subscription as it is now; null where nobody wants to be told any more. */
  current(): OpenSubscription | null;
  /** Sends once, as soon as not too many are being sent. */
  send(request: WebhookRequest): Promise<WebhookAttempt>;
  /** Writes down how it stands; repeats until it is written. */
  record(rows: readonly DeliveryRow[]): Promise<void>;
  /** For how long; ends early when everything is closed. */
  sleep(ms: number): Promise<void>;
  isClosed(): boolean;
  nowMs(): number;
  random(): number;
  onAttempt(attempt: WebhookAttempt, changes: number): void;
  onEnd(status: DeliveryStatus, waiting: readonly Waiting[]): void;
}

/** Changes that may wait for one webhook; what comes on top of them is given up at once and said. */
const mostWaiting = 20_000;

/**
 * Tells one webhook, one request after the other, so that it learns of changes in their order. Changes that come while a request
 * is under way or waits to be repeated go together with the next: a target that was away for an hour, or ten thousand
 * alerts at once, make one request and not thousands.
 */
export class NotifyTarget {
  readonly #world: TargetWorld;
  #waiting: Waiting[] = [];
  #underWay = 0;
  #running: Promise<void> | null = null;

  constructor(world: TargetWorld) {
    this.#world = world;
  }

  /** Those of a request under way included. */
  get waiting(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** False where too many wait already. */
  push(waiting: Waiting): boolean {
    if (this.#waiting.length >= mostWaiting) return false;
    this.#waiting.push(waiting);
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return true;
  }

  /** Resolves when nothing is under way any more; what waits is told by whoever reads the log next. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#world.isClosed()) {
      await this.#world.sleep(this.#world.plan.groupMs);
      const group = this.#waiting;
      this.#waiting = [];
      this.#underWay = group.length;
      await this.#deliver(group);
      this.#underWay = 0;
    }
  }

  async #deliver(group: readonly Waiting[]): Promise<void> {
    const { plan, current, send, onAttempt } = this.#world;
    const { deliveryId, body } = writeDelivery(group);
    let attempts = Math.max(...group.map((waiting) => waiting.attempts));
    while (!this.#world.isClosed()) {
      const subscription = current();
      if (subscription === null) return await this.#end('dropped', group, deliveryId, attempts, dropped);
      const attempt = await send({ url: subscription.url, secret: subscription.secret, deliveryId, body });
      attempts++;
      onAttempt(attempt, group.length);
      if (attempt.isDelivered) return await this.#end('delivered', group, deliveryId, attempts, attempt);
      if (attempts >= plan.mostAttempts) return await this.#end('dead', group, deliveryId, attempts, attempt);
      await this.#record('retrying', group, deliveryId, attempts, attempt);
      await this.#world.sleep(this.#backOffMs(attempts, attempt.retryAfterMs));
    }
  }

  /** Doubling, between half and whole, so that webhooks that failed together do not come back together. */
  #backOffMs(attempts: number, wishMs: number | null): number {
    const { firstRetryMs, longestRetryMs } = this.#world.plan;
    const ms = Math.min(longestRetryMs, firstRetryMs * 3 ** (attempts - 1));
    return Math.max(ms * (0.5 + this.#world.random() / 2), Math.min(wishMs ?? 0, longestRetryMs));
  }

  async #end(
    status: DeliveryStatus,
    group: readonly Waiting[],
    deliveryId: string,
    attempts: number,
    attempt: WebhookAttempt,
  ): Promise<void> {
    await this.#record(status, group, deliveryId, attempts, attempt);
    this.#world.onEnd(status, group);
    for (const { settle } of group) settle();
  }

  async #record(
    status: DeliveryStatus,
    group: readonly Waiting[],
    deliveryId: string,
    attempts: number,
    { httpStatus, error }: WebhookAttempt,
  ): Promise<void> {
    const { subscriptionId, nowMs } = this.#world;
    const how = { subscriptionId, deliveryId, status, attempts, httpStatus, error, nowMs: nowMs() };
    await this.#world.record(describeRows(group, how));
  }
}

const dropped: WebhookAttempt = {
  isDelivered: false,
  httpStatus: 0,
  error: 'the subscription was removed or disabled',
  retryAfterMs: null,
};
