import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { Question } from '../question.ts';
import { type DeliveryRow, type DeliveryStatus, webhookDeliveriesTable } from '../tables/webhook-deliveries.ts';

/** An entry of state that is there, for whoever acts on all workspaces. */
export interface StoredEntry {
  workspace: string;
  key: string;
  value: string;
}

/** All entries of a collection that are there, of all workspaces. */
export async function readCollection(database: Database, collection: string): Promise<StoredEntry[]> {
  return await database.rows<StoredEntry>(
    'SELECT workspace, key, value FROM state FINAL WHERE collection = {collection: String} AND NOT deleted',
    { collection },
  );
}

/** What is known of earlier tries of the same changes. */
export interface KnownDelivery {
  workspace: string;
  subscriptionId: string;
  notificationId: string;
  status: DeliveryStatus;
  attempts: number;
}

/** Ids travel in the address of the request, which servers bound. */
const idsPerQuestion = 200;

export async function readKnownDeliveries(
  database: Database,
  workspaces: readonly string[],
  notificationIds: readonly string[],
): Promise<KnownDelivery[]> {
  const known: KnownDelivery[] = [];
  for (let from = 0; from < notificationIds.length; from += idsPerQuestion) {
    const rows = await database.rows<KnownDelivery>(
      `SELECT workspace, subscription_id AS subscriptionId, notification_id AS notificationId, status, attempts
       FROM webhook_deliveries FINAL
       WHERE workspace IN {workspaces: Array(String)} AND notification_id IN {ids: Array(String)}`,
      { workspaces, ids: notificationIds.slice(from, from + idsPerQuestion) },
    );
    known.push(...rows);
  }
  return known;
}

export async function writeDeliveries(database: Database, rows: readonly DeliveryRow[]): Promise<void> {
  await database.insert(new Block(webhookDeliveriesTable, rows));
}

export interface DeliveriesAsk {
  subscriptionId: string;
  status: string;
  alertId: string;
  fromMs: number;
  toMs: number;
  /** The last delivery of the page before. */
  afterMs: number;
  afterSubscription: string;
  afterNotification: string;
  limit: number;
}

export interface DeliveryAnswerRow {
  subscription_id: string;
  notification_id: string;
  delivery_id: string;
  event: string;
  alert_id: string;
  rule_id: string;
  severity: string;
  status: string;
  attempts: number;
  http_status: number;
  last_error: string;
  changed_at_ms: number;
  first_tried_at_ms: number;
  last_tried_at_ms: number;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;

/** Deliveries of a workspace, those that changed last first. */
export const deliveriesQuestion: Question<DeliveriesAsk, DeliveryAnswerRow> = {
  name: 'webhook_deliveries',
  sql: () => `SELECT subscription_id, notification_id, delivery_id, event, alert_id, rule_id, severity, status, attempts, http_status,
  last_error, toUnixTimestamp64Milli(changed_at) AS changed_at_ms, toUnixTimestamp64Milli(first_tried_at) AS first_tried_at_ms,
  toUnixTimestamp64Milli(last_tried_at) AS last_tried_at_ms
FROM webhook_deliveries FINAL
WHERE workspace = {workspace: String}
  AND last_tried_at >= ${instant('fromMs')} AND last_tried_at < ${instant('toMs')}
  AND ({subscriptionId: String} = '' OR subscription_id = {subscriptionId: String})
  AND ({status: String} = '' OR status = {status: String}) AND ({alertId: String} = '' OR alert_id = {alertId: String})
  AND (last_tried_at, subscription_id, notification_id) < (${instant('afterMs')}, {afterSubscription: String}, {afterNotification: String})
ORDER BY last_tried_at DESC, subscription_id DESC, notification_id DESC
LIMIT {limit: UInt32}`,
};
