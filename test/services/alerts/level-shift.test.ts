import { expect, it } from 'vitest';
import type { WindowInput } from '../../../clickhouse/queries/alert-inputs.ts';
import { bucketOf } from '../../../pipelines/histogram.ts';
import { Judge } from '../../../services/alerts/judge.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { AlertMachine } from '../../../services/alerts/state.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { startMs, windowMs } from './judgements.ts';

const random = createRandom(21);

/** Five runs of a task in a window. */
function makeWindow(window: number, medianMs: number): WindowInput {
  const durations: Record<string, number> = {};
  for (let run = 0; run < 5; run++) {
    const bucket = bucketOf(random.logNormal(medianMs, 0.3) * 1000);
    durations[bucket] = (durations[bucket] ?? 0) + 1;
  }
  const at = { startMs: startMs + window * windowMs, endMs: startMs + (window + 1) * windowMs };
  const names = { workspace: 'default', source: 'airflow', workflowId: 'orders', taskId: 'load', taskType: 'compute' };
  const counts = { started: 5, finished: 5, failures: 0, contributions: 10 };
  const run = { ...names, ...counts, pool: '', version: '', durations, queues: {}, error: '' };
  return { ...at, runs: [run], reports: [], open: [], scheduled: [] };
}

it('a level that stays is told once, with what is usual from then on, and is no alert any more', () => {
  const book = new RuleBook();
  const judge = new Judge({ bookOf: () => book });
  const machine = new AlertMachine();
  const changes = Array.from({ length: 1_200 }, (_, window) => {
    const input = makeWindow(window, window < 600 ? 1_000 : 2_500);
    return machine.play({ roundMs: input.endMs, judgements: judge.judge(input) });
  }).flat();
  const alerts = new Set(changes.map(({ alertId }) => alertId));
  expect(alerts.size).toBe(1);
  expect(changes.at(-1)).toMatchObject({ ruleId: 'PERFORMANCE_DEGRADATION', state: 'resolved' });
  expect(changes.at(-1)?.description).toContain('The level has changed for good');
  // Found within minutes, over within hours, and quiet for the two days that follow.
  const first = changes[0]?.eventTimeMs ?? 0;
  const last = changes.at(-1)?.eventTimeMs ?? 0;
  expect((first - startMs) / windowMs).toBeGreaterThanOrEqual(600);
  expect((first - startMs) / windowMs).toBeLessThan(606);
  expect((last - first) / windowMs).toBeLessThan(60);
});
