import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { insertInsightMetricsTable } from '../../../services/insight/metrics-docs.ts';

test('the README lists the metrics that the job of analyses registers: npm run docs writes them', () => {
  const readme = readFileSync(path.join(import.meta.dirname, '../../../README.md'), 'utf8');
  expect(insertInsightMetricsTable(readme)).toBe(readme);
});
