import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { insertQueryMetricsTable } from '../../../services/query/metrics-docs.ts';

test('the README lists the metrics that the query service registers: npm run docs writes them', () => {
  const readme = readFileSync(path.join(import.meta.dirname, '../../../README.md'), 'utf8');
  expect(insertQueryMetricsTable(readme)).toBe(readme);
});
