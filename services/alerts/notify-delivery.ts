import { createHash } from 'node:crypto';
import type { DeliveryRow, DeliveryStatus } from '../../clickhouse/tables/webhook-deliveries.ts';
import { alertSeverities } from '../../schemas/alerts.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { describeAlert } from './alert-answer.ts';

/** Changes that one request tells in full; of more that wait it tells how many, and the most urgent. */
const mostInFull = 100;

/** As subscriptions name it. */
export const eventOf = ({ state }: Pick<AlertRecord, 'state'>): string => `alert.${state}`;

interface Told {
  change: AlertRecord;
}

/**
 * The request that tells of some changes. A single one is known by its own notification, so that whoever sends it again sends
 * the same id; of several the id is a hash of theirs.
 */
export function writeDelivery(group: readonly Told[]): { deliveryId: string; body: string } {
  const changes = group.map(({ change }) => change);
  const ids = changes.map((change) => change.notification_id);
  const deliveryId = ids.length === 1 ? (ids[0] as string) : hashIds(ids);
  const told = pickMostUrgent(changes);
  const events = told.map((change) => ({
    id: change.notification_id,
    type: eventOf(change),
    alert: describeAlert(change),
  }));
  const [first] = changes;
  const body = {
    id: deliveryId,
    workspace: first?.workspace ?? 'default',
    changes: changes.length,
    left_out: changes.length - told.length,
    events,
    ...(told.length < changes.length ? { summary: summarise(changes) } : {}),
  };
  return { deliveryId, body: JSON.stringify(body) };
}

const hashIds = (ids: readonly string[]): string =>
  `group-${createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 32)}`;

const severities: readonly string[] = alertSeverities;

/** In the order in which they happened. */
function pickMostUrgent(changes: readonly AlertRecord[]): readonly AlertRecord[] {
  if (changes.length <= mostInFull) return changes;
  const ranked = changes.map((change, at) => ({ change, at, urgency: severities.indexOf(change.severity) }));
  const urgent = ranked.toSorted((one, other) => other.urgency - one.urgency || one.at - other.at).slice(0, mostInFull);
  return urgent.toSorted((one, other) => one.at - other.at).map(({ change }) => change);
}

/** How many there are of each event, rule and severity. */
function summarise(changes: readonly AlertRecord[]) {
  const countBy = (name: (change: AlertRecord) => string) => {
    const counts: Record<string, number> = {};
    for (const change of changes) counts[name(change)] = (counts[name(change)] ?? 0) + 1;
    return counts;
  };
  return {
    by_event: countBy(eventOf),
    by_rule: countBy(({ rule_id }) => rule_id),
    by_severity: countBy(({ severity }) => severity),
  };
}

interface Standing {
  subscriptionId: string;
  deliveryId: string;
  status: DeliveryStatus;
  attempts: number;
  httpStatus: number;
  error: string;
  nowMs: number;
}

/** How it stands with each change of a request. */
export function describeRows(group: readonly (Told & { firstTriedAtMs: number })[], standing: Standing): DeliveryRow[] {
  const { subscriptionId, deliveryId, status, attempts, httpStatus, error, nowMs } = standing;
  return group.map(({ change, firstTriedAtMs }) => ({
    workspace: change.workspace ?? 'default',
    subscriptionId,
    notificationId: change.notification_id,
    deliveryId,
    event: eventOf(change),
    alertId: change.alert_id,
    ruleId: change.rule_id,
    severity: change.severity,
    status,
    attempts,
    httpStatus,
    lastError: error,
    changedAtMs: change.event_time,
    firstTriedAtMs,
    lastTriedAtMs: nowMs,
  }));
}
