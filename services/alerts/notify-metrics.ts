import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What telling people says of itself. Rules, severities, states and ways out are short lists, so labels are bounded. */
export interface NotifyMetrics {
  firing: Gauge<'rule' | 'severity'>;
  alerts: Gauge<'rule' | 'state'>;
  changes: Counter<'outcome'>;
  notifications: Counter<'channel' | 'outcome'>;
  attempts: Counter<'channel' | 'outcome'>;
  delaySeconds: Histogram<'channel'>;
  waiting: Gauge<'channel'>;
}

export function createNotifyMetrics(registry: Registry): NotifyMetrics {
  const registers = [registry];
  const channel = ['channel'] as const;
  const outcome = ['channel', 'outcome'] as const;
  const metrics: NotifyMetrics = {
    firing: new Gauge({
      name: 'weir_alert_firing',
      help: 'Alerts that fire now, acknowledged ones included, silenced ones not, by rule and severity. Every instance says the same of all: take the greatest, not the sum.',
      labelNames: ['rule', 'severity'],
      registers,
    }),
    alerts: new Gauge({
      name: 'weir_alerts',
      help: 'Alerts that are not resolved, by rule and state; silenced ones besides. Every instance says the same of all.',
      labelNames: ['rule', 'state'],
      registers,
    }),
    changes: new Counter({
      name: 'weir_alert_changes_total',
      help: 'Changes of alerts read from their topic to tell people of them, by what became of them: read, unreadable or stale.',
      labelNames: ['outcome'],
      registers,
    }),
    notifications: new Counter({
      name: 'weir_notifications_total',
      help: 'Changes of alerts that a webhook or Alertmanager was told of, or was not: delivered, dead (given up, and kept as a dead letter) or dropped (not wanted any more).',
      labelNames: outcome,
      registers,
    }),
    attempts: new Counter({
      name: 'weir_notification_requests_total',
      help: 'Requests to webhooks and Alertmanager, each with one change or many, by whether they succeeded.',
      labelNames: outcome,
      registers,
    }),
    delaySeconds: new Histogram({
      name: 'weir_notification_delay_seconds',
      help: 'Time from the record of a change on the topic of alerts to its acceptance by a webhook or Alertmanager.',
      labelNames: channel,
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600],
      registers,
    }),
    waiting: new Gauge({
      name: 'weir_notifications_waiting',
      help: 'Changes that wait to be told, or to be told again.',
      labelNames: channel,
      registers,
    }),
  };
  // A counter that begins above 0 has not grown as Prometheus sees it, and the first failure would go unnoticed.
  for (const end of ['delivered', 'dead', 'dropped'])
    metrics.notifications.inc({ channel: 'webhook', outcome: end }, 0);
  for (const way of ['webhook', 'alertmanager']) {
    for (const end of ['succeeded', 'failed']) metrics.attempts.inc({ channel: way, outcome: end }, 0);
  }
  return metrics;
}
