import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { renderMetricsTable } from '../../pipelines/metrics-table.ts';
import { insertTable } from '../../schemas/settings-docs.ts';
import { createLiveMetrics } from '../live/metrics.ts';
import { createQueryMetrics } from './metrics.ts';

/** The README with the metrics that the query service really registers: part of `npm run docs`. */
export function insertQueryMetricsTable(readme: string): string {
  const registry = new Registry();
  createQueryMetrics(registry);
  createLiveMetrics(registry);
  return insertTable(readme, 'query-metrics', renderMetricsTable(registry));
}

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', '..', 'README.md');
  writeFileSync(file, insertQueryMetricsTable(readFileSync(file, 'utf8')));
}
