import { Counter, Gauge, type Registry } from 'prom-client';

/** What the baseline job says of itself. */
export interface BaselineMetrics {
  published: Counter<'kind'>;
  failures: Counter;
  validFromSeconds: Gauge<'kind'>;
}

export function createBaselineMetrics(registry: Registry): BaselineMetrics {
  const registers = [registry];
  return {
    published: new Counter({
      name: 'weir_baselines_total',
      help: 'Baselines that were published.',
      labelNames: ['kind'],
      registers,
    }),
    failures: new Counter({
      name: 'weir_baseline_failures_total',
      help: 'Turns of the baseline job that failed and are repeated.',
      registers,
    }),
    validFromSeconds: new Gauge({
      name: 'weir_baseline_valid_from_seconds',
      help: 'Instant from which the newest baselines are valid. Alarm when it is half a day behind the watermark.',
      labelNames: ['kind'],
      registers,
    }),
  };
}
