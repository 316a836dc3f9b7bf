import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { renderMetricsTable } from '../../pipelines/metrics-table.ts';
import { insertTable } from '../../schemas/settings-docs.ts';
import { createInsightMetrics } from './insight-metrics.ts';

/** The README with the metrics that the job of analyses really registers: part of `npm run docs`. */
export function insertInsightMetricsTable(readme: string): string {
  const registry = new Registry();
  createInsightMetrics(registry);
  return insertTable(readme, 'insight-metrics', renderMetricsTable(registry));
}

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', '..', 'README.md');
  writeFileSync(file, insertInsightMetricsTable(readFileSync(file, 'utf8')));
}
