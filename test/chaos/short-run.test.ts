import { expect, it } from 'vitest';
import { launch } from '../support/launched.ts';

const faults = [
  'kill',
  'die-at',
  'zombie',
  'offsets-zero',
  'clickhouse-kill',
  'clickhouse-frozen',
  'clickhouse-answers-lost',
  'kafka-kill',
  'kafka-answers-lost',
];

it('a minute of everything going wrong loses nothing, counts nothing twice and leaves no number different', async () => {
  const args = ['--seed', '1', '--seconds', '60', '--faults', faults.join(',')];
  const run = launch('test/chaos/main.ts', { args });
  const { code } = await run.exited;
  expect(run.output()).toContain('invariants 9/9, lost 0, doubled 0, different 0');
  expect(code).toBe(0);
  // What the schedule promised has happened, and there was something to be wrong about.
  for (const name of ['kill', 'clickhouse-kill', 'kafka-kill'])
    expect(run.output()).toMatch(new RegExp(`faults: (.*, )?${name} \\d`));
  expect(Number(/cells: (\d+) compared/.exec(run.output())?.[1])).toBeGreaterThan(10_000);
}, 1_200_000);
