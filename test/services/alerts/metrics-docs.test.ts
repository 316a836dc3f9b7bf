import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { insertAlertMetricsTable } from '../../../services/alerts/metrics-docs.ts';

test('the README lists the metrics that the evaluator of alerts registers: npm run docs writes them', () => {
  const readme = readFileSync(path.join(import.meta.dirname, '../../../README.md'), 'utf8');
  expect(insertAlertMetricsTable(readme)).toBe(readme);
});
