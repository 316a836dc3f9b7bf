import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Registry } from 'prom-client';
import { insertTable } from '../schemas/settings-docs.ts';
import { createBaselineMetrics } from './baseline-metrics.ts';
import { createPipelineMetrics } from './metrics.ts';
import { createRollupMetrics } from './rollup-metrics.ts';

/** What every metric of prom-client carries, though its types do not say so. */
interface MetricDescription {
  name: string;
  help: string;
  type: string;
  labelNames: string[];
}

/** The README with the metrics that a pipeline process really registers: part of `npm run docs`. */
export function insertMetricsTable(readme: string): string {
  const registry = new Registry();
  createPipelineMetrics(registry, Date.now);
  createRollupMetrics(registry);
  createBaselineMetrics(registry);
  const rows = registry.getMetricsAsArray().map((metric) => {
    const { name, help, type, labelNames } = metric as unknown as MetricDescription;
    return `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(' ')} | ${help} |`;
  });
  const table = ['| Metric | Type | Labels | Meaning |', '|---|---|---|---|', ...rows].join('\n');
  return insertTable(readme, 'metrics', table);
}

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', 'README.md');
  writeFileSync(file, insertMetricsTable(readFileSync(file, 'utf8')));
}
