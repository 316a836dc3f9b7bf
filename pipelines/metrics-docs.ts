import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { insertTable } from '../schemas/settings-docs.ts';
import { createBaselineMetrics } from './baseline-metrics.ts';
import { createPipelineMetrics } from './metrics.ts';
import { renderMetricsTable } from './metrics-table.ts';
import { createRollupMetrics } from './rollup-metrics.ts';

/** The README with the metrics that a pipeline process really registers: part of `npm run docs`. */
export function insertMetricsTable(readme: string): string {
  const registry = new Registry();
  createPipelineMetrics(registry, Date.now);
  createRollupMetrics(registry);
  createBaselineMetrics(registry);
  return insertTable(readme, 'metrics', renderMetricsTable(registry));
}

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', 'README.md');
  writeFileSync(file, insertMetricsTable(readFileSync(file, 'utf8')));
}
