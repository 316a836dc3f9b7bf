import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { findTool, runTool } from '../../support/prometheus-tools.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const folder = path.join(root, 'deploy/prometheus');
const ruleFiles = readdirSync(folder).filter((name) => name.endsWith('-rules.yml'));
const textOf = (name: string) => readFileSync(path.join(folder, name), 'utf8');

/** Metrics of the README's tables, with what their type adds to the name. */
function listMetrics(): Set<string> {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `(weir_\w+)` \| (counter|gauge|histogram) \|/gm)];
  return new Set(
    rows.flatMap(([, name, type]) =>
      type === 'histogram' ? ['bucket', 'sum', 'count'].map((end) => `${name}_${end}`) : [name],
    ),
  );
}

/** Queries alone: in words for people a metric may be named as well. */
const listQueries = (text: string) =>
  [...text.matchAll(/^ +expr: (>-\n(?: {10}.+\n)+|.+\n)/gm)].map(([, query]) => query);
const findNames = (query: string) => query.match(/(?<![\w:])weir[_:][\w:]+/g) ?? [];

const metrics = listMetrics();
const recorded = new Set(
  ruleFiles.flatMap((name) => [...textOf(name).matchAll(/- record: (\S+)/g)].map(([, record]) => record)),
);
const strange = (query: string) => findNames(query).filter((name) => !metrics.has(name) && !recorded.has(name));

describe('rules for Prometheus', () => {
  it('name nothing but metrics that are served, and what other rules record', () => {
    const queries = ruleFiles.flatMap((name) => listQueries(textOf(name)));
    const alertsAndRecords = ruleFiles.flatMap((name) => textOf(name).match(/- (alert|record): /g) ?? []);
    expect(queries).toHaveLength(alertsAndRecords.length);
    expect(queries.flatMap(strange)).toEqual([]);
    expect(strange('sum(weir_no_such_metric) / weir:no:record')).toEqual(['weir_no_such_metric', 'weir:no:record']);
  });

  it('say of every alert how urgent it is and what to do', () => {
    for (const name of ruleFiles) {
      const alerts = textOf(name).split('- alert: ').slice(1);
      for (const alert of alerts) {
        for (const part of [/severity: (critical|warning)/, /summary: .{10}/, /description: .{20}/])
          expect(alert).toMatch(part);
      }
    }
  });
});

const promtool = findTool('promtool');
const amtool = findTool('amtool');

describe.skipIf(promtool === '')('promtool', () => {
  it('finds no fault with the rules and the example of a configuration', () => {
    for (const name of ruleFiles)
      expect(runTool(promtool, ['check', 'rules', path.join(folder, name)])).toContain('SUCCESS');
    expect(runTool(promtool, ['check', 'config', path.join(folder, 'prometheus.yml')])).toContain('SUCCESS');
  });

  it('sees them raise what they should on series over time', () => {
    expect(runTool(promtool, ['test', 'rules', path.join(import.meta.dirname, 'rules.unit.yml')])).toContain('SUCCESS');
  });
});

it.skipIf(amtool === '')('amtool finds no fault with the example for Alertmanager', () => {
  expect(runTool(amtool, ['check-config', path.join(folder, 'alertmanager.yml')])).toContain('SUCCESS');
});
