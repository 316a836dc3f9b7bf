import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { renderMetricsTable } from '../../pipelines/metrics-table.ts';
import { insertTable } from '../../schemas/settings-docs.ts';
import { createAlertMetrics } from './alert-metrics.ts';
import { createNotifyMetrics } from './notify-metrics.ts';
import { createScoreMetrics } from './scorer.ts';

/** The README with the metrics that the alerts process really registers: part of `npm run docs`. */
export function insertAlertMetricsTable(readme: string): string {
  const registry = new Registry();
  createNotifyMetrics(registry);
  createAlertMetrics(registry);
  createScoreMetrics(registry);
  return insertTable(readme, 'alert-metrics', renderMetricsTable(registry));
}

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', '..', 'README.md');
  writeFileSync(file, insertAlertMetricsTable(readFileSync(file, 'utf8')));
}
