import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the job that computes analyses says of itself. */
export interface InsightMetrics {
  refreshed: Counter;
  failures: Counter;
  seconds: Histogram;
  lagSeconds: Gauge;
}

export function createInsightMetrics(registry: Registry): InsightMetrics {
  const registers = [registry];
  return {
    refreshed: new Counter({
      name: 'weir_insight_refreshed_total',
      help: 'Workflows whose analyses were computed.',
      registers,
    }),
    failures: new Counter({
      name: 'weir_insight_failures_total',
      help: 'Turns of the job of analyses that failed and are repeated.',
      registers,
    }),
    seconds: new Histogram({
      name: 'weir_insight_duration_seconds',
      help: 'Time that all analyses of a workflow take, loading included.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
      registers,
    }),
    lagSeconds: new Gauge({
      name: 'weir_insight_lag_seconds',
      help: 'How long the workflow that waits longest has been due. Alarm at a few hours, and start another instance.',
      registers,
    }),
  };
}
