import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { AlertChangeRow, JudgementRow } from '../../clickhouse/tables/alerts.ts';
import type { Judge } from './judge.ts';

/** What the evaluator says of itself; how many alerts there are in what state is told by the notifier. */
export interface AlertMetrics {
  lagSeconds: Gauge;
  failures: Counter;
  observe(judgements: readonly JudgementRow[], changes: readonly AlertChangeRow[], durationMs: number): void;
  show(judge: Judge): void;
}

/** Labels are rules, states and verdicts, of which there are few; subjects are in the API and in ClickHouse. */
export function createAlertMetrics(registry: Registry): AlertMetrics {
  const registers = [registry];
  const judgements = new Counter({
    name: 'weir_alert_judgements_total',
    help: 'Judgements that were written, by rule and verdict.',
    labelNames: ['rule', 'verdict'],
    registers,
  });
  const changes = new Counter({
    name: 'weir_alert_transitions_total',
    help: 'Changes of alerts that the evaluator has written, by rule and state.',
    labelNames: ['rule', 'state'],
    registers,
  });
  const duration = new Histogram({
    name: 'weir_alert_judge_duration_seconds',
    help: 'Time that judging one window took, of all series of this evaluator.',
    buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
    registers,
  });
  const series = new Gauge({ name: 'weir_alert_series', help: 'Series that are remembered.', registers });
  return {
    lagSeconds: new Gauge({
      name: 'weir_alert_lag_seconds',
      help: 'Age of the newest window that was judged. Alarm at half an hour.',
      registers,
    }),
    failures: new Counter({
      name: 'weir_alert_failures_total',
      help: 'Turns of the evaluator that failed and are repeated.',
      registers,
    }),
    observe(judged, changed, durationMs) {
      for (const { ruleId, verdict } of judged) judgements.inc({ rule: ruleId, verdict });
      for (const { ruleId, state } of changed) changes.inc({ rule: ruleId, state });
      duration.observe(durationMs / 1000);
    },
    show: (judge) => series.set(judge.series),
  };
}
