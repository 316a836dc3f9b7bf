import { columnsOf, instant, name, type Table, text, uint32, uint64 } from '../columns.ts';

export const deliveryStatuses = [
  'retrying',
  'delivered',
  /** Given up after the last try. */
  'dead',
  /** Nobody wants it any more: the subscription was removed or disabled. */
  'dropped',
] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];

/** What became of telling one webhook of one change. */
export interface DeliveryRow {
  workspace: string;
  subscriptionId: string;
  notificationId: string;
  deliveryId: string;
  event: string;
  alertId: string;
  ruleId: string;
  severity: string;
  status: DeliveryStatus;
  attempts: number;
  httpStatus: number;
  lastError: string;
  changedAtMs: number;
  firstTriedAtMs: number;
  lastTriedAtMs: number;
}

const ofDelivery = columnsOf<DeliveryRow>();

export const webhookDeliveriesTable: Table<DeliveryRow> = {
  name: 'webhook_deliveries',
  columns: [
    ofDelivery('workspace', name, (row) => row.workspace),
    ofDelivery('subscription_id', text, (row) => row.subscriptionId),
    ofDelivery('notification_id', text, (row) => row.notificationId),
    ofDelivery('delivery_id', text, (row) => row.deliveryId),
    ofDelivery('event', name, (row) => row.event),
    ofDelivery('alert_id', text, (row) => row.alertId),
    ofDelivery('rule_id', name, (row) => row.ruleId),
    ofDelivery('severity', name, (row) => row.severity),
    ofDelivery('status', name, (row) => row.status),
    ofDelivery('attempts', uint32, (row) => row.attempts),
    ofDelivery('http_status', uint32, (row) => row.httpStatus),
    ofDelivery('last_error', text, (row) => row.lastError),
    ofDelivery('changed_at', instant, (row) => row.changedAtMs),
    ofDelivery('first_tried_at', instant, (row) => row.firstTriedAtMs),
    ofDelivery('last_tried_at', instant, (row) => row.lastTriedAtMs),
    ofDelivery('ver', uint64, (row) => row.attempts * 2 + (row.status === 'retrying' ? 0 : 1)),
  ],
};
