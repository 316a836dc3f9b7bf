import { randomUUID } from 'node:crypto';
import { deliveriesQuestion } from '../../../clickhouse/queries/webhooks.ts';
import { type AlertMatcher, alertCollections, type WebhookSubscription } from '../../../schemas/alerts.ts';
import {
  DeliveriesAnswer,
  DeliveriesQuery,
  NewSubscription,
  Removed,
  SubscriptionBody,
  SubscriptionPath,
  SubscriptionsAnswer,
} from '../../../schemas/api/alerts.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { latestInstantMs } from '../../../schemas/events.ts';
import { makeWebhookSecret, sealWebhook } from '../../alerts/webhook-secret.ts';
import { checkTarget, shownTarget } from '../../alerts/webhook-target.ts';
import { orNull, toInstant } from '../answer-values.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { listSetUp, listSetUpNow, readSetUp, type SetUp } from '../state-desk.ts';
import { afterNow, parseRange } from '../time-range.ts';

const collection = alertCollections.webhooks;
/** Each is told of a flood by itself, so there cannot be any number of them. */
const mostSubscriptions = 50;

/** Who is told of alerts over HTTP, and how that went. */
export const webhooks: Family = {
  prefix: '/api/v1/webhooks',
  tag: 'webhooks',
  register(app: App, services: Services): void {
    registerSubscriptions(app, services);
    registerDeliveries(app, services);
  },
};

function registerSubscriptions(app: App, { nowMs, state: desk, webhookRules }: Services): void {
  app.get(
    '/subscriptions',
    {
      config: { role: 'operator' },
      schema: { summary: 'Webhooks that are told of alerts', response: answers(SubscriptionsAnswer) },
    },
    async ({ reader }) => ({
      items: (await listSetUp<WebhookSubscription>(reader, collection)).map(describeSubscription),
    }),
  );
  app.post(
    '/subscriptions',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Have a webhook told of alerts from now on',
        description:
          'Requests are signed as standardwebhooks.com says: webhook-id, webhook-timestamp and webhook-signature. What is not answered ' +
          'with 2xx is tried again for half an hour; redirects are not followed. The secret is shown in this answer only.',
        body: SubscriptionBody,
        response: answers(NewSubscription),
      },
    },
    async ({ body, reader, caller, id: requestId }) => {
      const { url, events, match = {}, enabled, description, secret = makeWebhookSecret() } = body;
      const { secretsKey, mayBeInner } = webhookRules;
      if (secretsKey === '') {
        throw new ApiError('not_set_up', 'Webhooks need WEIR_SECRETS_KEY, with which their secrets are kept.');
      }
      const wrong = checkTarget(url, mayBeInner);
      if (wrong !== '') throw new ApiError('invalid_request', `body url ${wrong}.`);
      const known = await listSetUpNow<WebhookSubscription>(reader, collection);
      if (known.length >= mostSubscriptions) {
        throw new ApiError('too_many', `A workspace may have ${mostSubscriptions} subscriptions.`);
      }
      const key = randomUUID();
      const value: WebhookSubscription = {
        target: shownTarget(url),
        sealed: sealWebhook(secretsKey, { workspace: reader.workspace, id: key }, { url, secret }),
        events: [...events],
        match: match as AlertMatcher,
        enabled,
        created_at: nowMs(),
        ...(description === undefined ? {} : { description }),
      };
      const { revision } = await desk.put({ reader, caller, requestId }, { collection, key }, value);
      const entry = { key, value, revision, changedBy: caller.name, changedAtMs: nowMs() };
      return { ...describeSubscription(entry), secret };
    },
  );
  app.delete(
    '/subscriptions/:subscription_id',
    {
      config: { role: 'admin' },
      schema: { summary: 'Have a webhook told no more', params: SubscriptionPath, response: answers(Removed) },
    },
    async ({ params, reader, caller, id: requestId }) => {
      const entry = { collection, key: params.subscription_id };
      const known = await readSetUp<WebhookSubscription>(reader, entry);
      if (known === null) throw new ApiError('not_found', 'There is no such subscription in the workspace.');
      const { revision } = await desk.remove({ reader, caller, requestId }, entry, {
        expectedRevision: known.revision,
      });
      return { id: entry.key, revision };
    },
  );
}

function describeSubscription({ key, value, revision, changedBy }: SetUp<WebhookSubscription>) {
  const { target, events, match = {}, enabled, description, created_at: createdAtMs } = value;
  const created_at = toInstant(createdAtMs);
  return {
    id: key,
    target,
    events,
    match,
    enabled,
    description: description ?? null,
    created_at,
    changed_by: changedBy,
    revision,
  };
}

function registerDeliveries(app: App, { nowMs }: Services): void {
  app.get(
    '/deliveries',
    {
      config: { role: 'operator' },
      schema: {
        summary: 'What became of telling webhooks, the last tries first',
        description: 'Dead letters are those with the status dead.',
        querystring: DeliveriesQuery,
        response: answers(DeliveriesAnswer),
      },
    },
    async ({ query, reader }) => {
      const {
        subscription_id: subscriptionId = '',
        alert_id: alertId = '',
        status = '',
        limit,
        cursor,
        ...rest
      } = query;
      const { fromMs, toMs } = parseRange(rest, '7d', afterNow(nowMs()));
      const ask = { subscriptionId, alertId, status, fromMs, toMs, ...readPosition(cursor), limit: limit + 1 };
      const rows = await reader.ask(deliveriesQuestion, ask);
      const shown = rows.slice(0, limit);
      const last = rows.length > limit ? shown.at(-1) : undefined;
      return {
        items: shown.map(({ changed_at_ms, first_tried_at_ms, last_tried_at_ms, http_status, last_error, ...row }) => ({
          ...row,
          http_status: http_status === 0 ? null : http_status,
          last_error: orNull(last_error),
          changed_at: toInstant(changed_at_ms),
          first_tried_at: toInstant(first_tried_at_ms),
          last_tried_at: toInstant(last_tried_at_ms),
        })),
        next_cursor:
          last === undefined ? null : writeCursor([last.last_tried_at_ms, last.subscription_id, last.notification_id]),
      };
    },
  );
}

function readPosition(cursor: string | undefined) {
  if (cursor === undefined) return { afterMs: latestInstantMs, afterSubscription: '', afterNotification: '' };
  const [afterMs, afterSubscription, afterNotification] = readCursor(cursor, ['number', 'string', 'string']);
  if (afterMs > latestInstantMs) throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  return { afterMs, afterSubscription, afterNotification };
}
