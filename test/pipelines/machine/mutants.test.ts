import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeTree } from '../../chaos/code-tree.ts';
import { mutants } from '../../chaos/mutants.ts';
import { launch } from '../../support/launched.ts';

const parts = [
  'pipelines',
  'clickhouse',
  'schemas',
  'package.json',
  'test/pipelines/machine',
  'services/simulator/random.ts',
];
const schedules = '1500';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'weir-mutants-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the first schedule that finds something says, run on changed code. */
async function findProblem(name: string, patches: (typeof mutants)[number]['patches'], trimming: boolean) {
  const tree = await makeTree(folder, name, patches, parts);
  const script = path.join(tree, 'test/pipelines/machine/run-schedules.ts');
  const run = launch(script, { args: [schedules, trimming ? 'trimming' : ''] });
  const { code } = await run.exited;
  return { code, output: run.output() };
}

describe('the model tells the machine from one', () => {
  it.each(mutants.filter(({ inModel }) => inModel !== undefined))('$name', async ({ name, patches, inModel }) => {
    const { code, output } = await findProblem(name, patches, inModel === 'where the log is trimmed');
    expect(output).toMatch(/^seed \d+: /);
    expect(code).toBe(0);
  });
});

it('patches of all mutants still apply', async () => {
  for (const { name, patches } of mutants) await makeTree(folder, `${name}-again`, patches);
});
