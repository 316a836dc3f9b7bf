import { describe, expect, it } from 'vitest';
import { importRules } from './import-rules.ts';
import { nameRules } from './name-rules.ts';
import { findImpurities, findPureClosure, pureFiles } from './purity-rules.ts';
import { findImports, readSources, type SourceFile } from './source-tree.ts';

const sources = readSources();

describe('rules of the house', () => {
  it.each([...importRules, ...nameRules])('$says', (rule) => {
    expect(sources.flatMap((file) => rule.find(file))).toEqual([]);
    expect(rule.find(rule.breach), 'the breach that the rule has to find').toHaveLength(1);
  });
});

describe('pure files', () => {
  it('use no clock, no chance, no logger and nothing outside, nor does what they import', () => {
    const closure = findPureClosure(sources);
    expect(closure.map((file) => file.path)).toEqual(
      expect.arrayContaining(['pipelines/fold.ts', 'pipelines/hash.ts']),
    );
    expect(closure.flatMap(findImpurities)).toEqual([]);
  });

  const impure: [string, string][] = [
    ['the clock', 'const now = Date.now();'],
    ['the clock', 'const now = new Date();'],
    ['the clock', 'const begin = performance.now();'],
    ['chance', 'const id = Math.random();'],
    ['chance', 'const id = randomUUID();'],
    ['a timer', 'setTimeout(done, 10);'],
    ['the process', "if (process.env.CI === '1') stop();"],
    ['the network', "await fetch('http://127.0.0.1');"],
    ['the console', "console.log('folded');"],
    ['node:fs', "import { readFileSync } from 'node:fs';"],
    ['pino', "import { pino } from 'pino';"],
    ['kafkajs', "import { Kafka } from 'kafkajs';"],
  ];

  it.each(impure)('are told from those that use %s: %s', (what, text) => {
    expect(findImpurities({ path: 'pipelines/fold.ts', text })).toEqual([expect.stringContaining(what)]);
  });

  it('may turn an instant that they were given into a date', () => {
    const text =
      '// Date.now() would make a replay differ.\nexport const year = (ms: number) => new Date(ms).getUTCFullYear();\n';
    expect(findImpurities({ path: 'pipelines/fold.ts', text })).toEqual([]);
  });

  it('are followed into what they import, but not for types', () => {
    const files: SourceFile[] = [
      {
        path: 'pipelines/fold.ts',
        text: "import { clock } from './clock.ts';\nimport type { Log } from './log.ts';\n",
      },
      { path: 'pipelines/clock.ts', text: 'export const clock = Date.now;\n' },
      { path: 'pipelines/log.ts', text: "import { pino } from 'pino';\nexport type Log = typeof pino;\n" },
    ];
    expect(findPureClosure(files).flatMap(findImpurities)).toEqual(['pipelines/clock.ts uses the clock']);
  });

  it('are all there: a renamed file does not slip out of the rule', () => {
    const found = sources.filter((file) => pureFiles.test(file.path) && file.path.startsWith('pipelines/'));
    expect(found.map((file) => file.path.slice('pipelines/'.length, -'.ts'.length))).toEqual([
      'cells',
      'entities',
      'facts',
      'fold',
      'forgotten',
      'hash',
      'histogram',
      'history',
      'normalise',
      'redact',
      'report-cells',
      'reports',
      'scoring/baselines',
      'scoring/season',
      'scoring/weighted',
    ]);
  });
});

describe('imports', () => {
  it('are found in every form', () => {
    const text = [
      "import one from 'one';",
      "import './two.ts';",
      'import {',
      '  type Three,',
      '  three,',
      "} from '../three.ts';",
      "import type { Four } from 'four/deep';",
      "export { five } from '@scope/five/deep';",
      "const six = await import('six');",
      "const seven = require('seven');",
      "const eight = createRequire(import.meta.url)('eight');",
      "  createRequire(import.meta.url).resolve('nine');",
      "// import ten from 'ten';",
      "export const kinds = ['eleven'];",
      "import type Twelve from 'twelve';",
    ].join('\n');
    expect(findImports({ path: 'pipelines/verify/main.ts', text })).toEqual([
      { specifier: 'one', target: 'one', typeOnly: false },
      { specifier: './two.ts', target: 'pipelines/verify/two.ts', typeOnly: false },
      { specifier: '../three.ts', target: 'pipelines/three.ts', typeOnly: false },
      { specifier: 'four/deep', target: 'four', typeOnly: true },
      { specifier: '@scope/five/deep', target: '@scope/five', typeOnly: false },
      { specifier: 'twelve', target: 'twelve', typeOnly: true },
      { specifier: 'six', target: 'six', typeOnly: false },
      { specifier: 'seven', target: 'seven', typeOnly: false },
      { specifier: 'eight', target: 'eight', typeOnly: false },
      { specifier: 'nine', target: 'nine', typeOnly: false },
    ]);
  });
});
