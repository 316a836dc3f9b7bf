import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the roll-up job says of itself. */
export interface RollupMetrics {
  windows: Counter<'table'>;
  rows: Counter<'table'>;
  swept: Counter<'table'>;
  failures: Counter;
  durationSeconds: Histogram;
  lagSeconds: Gauge;
}

export function createRollupMetrics(registry: Registry): RollupMetrics {
  const registers = [registry];
  const counter = (name: string, help: string) =>
    new Counter({ name, help, labelNames: ['table'] as const, registers });
  return {
    windows: counter('weir_rollup_windows_total', 'Hours and days that were computed, again or for the first time.'),
    rows: counter('weir_rollup_rows_total', 'Rows of hours and days that were written.'),
    swept: counter('weir_rollup_swept_cells_total', 'Cells of an older fold that were replaced by zero.'),
    failures: new Counter({
      name: 'weir_rollup_failures_total',
      help: 'Runs of the roll-up job that failed and are repeated.',
      registers,
    }),
    durationSeconds: new Histogram({
      name: 'weir_rollup_duration_seconds',
      help: 'Time that a run of the roll-up job takes.',
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    }),
    lagSeconds: new Gauge({
      name: 'weir_rollup_lag_seconds',
      help: 'Time since hours and days last had all that was written, late data included. Alarm at a day.',
      registers,
    }),
  };
}
