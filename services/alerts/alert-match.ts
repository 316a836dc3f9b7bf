import type { AlertMatcher, WebhookSubscription } from '../../schemas/alerts.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { eventOf } from './notify-delivery.ts';

/** Everything that is given must match. */
function matchesAlert(match: AlertMatcher, change: AlertRecord): boolean {
  const names = ['rule_id', 'severity', 'workflow_id', 'task_id', 'orchestrator_id', 'subject_id'] as const;
  return names.every((name) => match[name] === undefined || match[name] === change[name]);
}

/** Whether a webhook is to be told of a change. Silenced changes are told to nobody. */
export function wants(subscription: WebhookSubscription, change: AlertRecord): boolean {
  const { events, match = {}, enabled } = subscription;
  if (!enabled || (change.silenced_by ?? '') !== '') return false;
  const event = eventOf(change);
  const isNamed = events.some(
    (wanted) => wanted === event || (wanted.endsWith('*') && event.startsWith(wanted.slice(0, -1))),
  );
  return isNamed && matchesAlert(match, change);
}
