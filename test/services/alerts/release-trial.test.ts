import { describe, expect, it } from 'vitest';
import type { AlertChangeRow } from '../../../clickhouse/tables/alerts.ts';
import { bucketOf } from '../../../pipelines/histogram.ts';
import { ReleaseTrial } from '../../../services/alerts/detectors/release-trial.ts';
import { Judge } from '../../../services/alerts/judge.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { AlertMachine } from '../../../services/alerts/state.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { startMs, windowMs } from './judgements.ts';

interface OneRun {
  version: string;
  medianMs: number;
}

/** A task that runs once in a window and varies much: no window says anything by itself. */
function play(seed: number, runs: readonly OneRun[]): AlertChangeRow[] {
  const random = createRandom(seed);
  const book = new RuleBook();
  const judge = new Judge({ bookOf: () => book });
  const machine = new AlertMachine();
  const names = { workspace: 'default', source: 'airflow', workflowId: 'orders', taskId: 'load', taskType: 'compute' };
  const counts = { started: 1, finished: 1, failures: 0, contributions: 2 };
  return runs.flatMap(({ version, medianMs }, window) => {
    const at = { startMs: startMs + window * windowMs, endMs: startMs + (window + 1) * windowMs };
    const durations = { [bucketOf(random.logNormal(medianMs, 0.7) * 1000)]: 1 };
    const run = { ...names, ...counts, pool: '', version, durations, queues: {}, error: '' };
    const judgements = judge.judge({ ...at, runs: [run], reports: [], open: [], scheduled: [] });
    return machine.play({ roundMs: at.endMs, judgements });
  });
}

const runsOf = (n: number, version: string, medianMs: number): OneRun[] =>
  Array.from({ length: n }, () => ({ version, medianMs }));

describe('a new version', () => {
  it('that is twice as slow is told with its name, and is over when it is taken back', () => {
    const changes = play(7, [...runsOf(300, '4.1', 1000), ...runsOf(60, '4.2', 2000), ...runsOf(12, '4.1', 1000)]);
    expect(changes.map(({ ruleId, state }) => `${ruleId} ${state}`)).toEqual([
      'PERFORMANCE_DEGRADATION firing',
      'PERFORMANCE_DEGRADATION resolved',
    ]);
    expect(changes[0]?.description).toMatch(/^Version 4\.2 takes .* over \d+ runs, version 4\.1 took/);
  });

  it('that is as fast as the one before is not told, nor is one that is slowed by something hours later', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const isAsGood = play(seed, [...runsOf(300, '4.1', 1000), ...runsOf(150, '4.2', 1000)]);
      expect(isAsGood, `seed ${seed}`).toEqual([]);
    }
    const slowedLater = [...runsOf(300, '4.1', 1000), ...runsOf(60, '4.2', 1000), ...runsOf(20, '4.2', 2200)];
    const told = play(3, slowedLater).map(({ description }) => description ?? '');
    expect(told.filter((text) => text.startsWith('Version'))).toEqual([]);
  });
});

describe('a trial', () => {
  const usual = { median: 0, scaleUp: 0.5, scaleDown: 0.5, known: 200, dispersion: 1, failureRatio: 0.02 };
  const slower = (trial: ReleaseTrial, failureTail: number) =>
    Array.from({ length: 12 }, () => trial.add([[0.6, 1]], 1, 0, () => failureTail)).at(-1);

  it('says nothing of few runs, and more of a version that fails more often as well', () => {
    expect(new ReleaseTrial('2', 0, usual).add([[3, 5]], 5, 0, () => 1)).toBe(null);
    const alone = slower(new ReleaseTrial('2', 0, usual), 1);
    const failing = slower(new ReleaseTrial('2', 0, usual), 1e-3);
    expect(alone?.effect).toBeCloseTo(Math.exp(0.6), 5);
    // 12 values, 1.2 deviations out each, by a median that is known from 200.
    expect(alone?.score).toBeCloseTo((12 * 1.2) / Math.sqrt(12 * (1 + (Math.PI / 2) * (12 / 200))), 5);
    expect(failing?.p).toBeLessThan((alone?.p ?? 0) / 50);
  });

  it('is over after a day, or when its first runs were as fast as those of the version before', () => {
    const trial = new ReleaseTrial('2', 0, usual);
    expect(trial.isOver(86_400_000)).toBe(false);
    expect(trial.isOver(86_400_001)).toBe(true);
    trial.add([[0.05, 24]], 24, 0, () => 1);
    expect(trial.isOver(1)).toBe(true);
  });
});
