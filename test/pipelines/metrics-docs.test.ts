import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { insertMetricsTable } from '../../pipelines/metrics-docs.ts';

test('the README lists the metrics that a pipeline registers; npm run docs writes them', () => {
  const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
  expect(insertMetricsTable(readme)).toBe(readme);
  expect(readme).toContain('`weir_true_lag_records`');
});
