import { beforeAll, expect, it } from 'vitest';
import { QueryStand } from '../../support/query-stand.ts';
import { toMessages } from './sample-runs.ts';

/** More workflows, and more tasks, than one answer has room for. */
const stand = await QueryStand.create('large_fleet');
const endMs = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
const workflows = Array.from({ length: 620 }, (_, index) => {
  const name = `workflow-${String(index).padStart(3, '0')}`;
  return { name, task: `task-of-${name}`, runs: 1 + ((7 * index) % 5) + (index === 611 ? 20 : 0), cost: index + 1 };
});

const runs = workflows.flatMap(({ name, task, runs: count, cost }) =>
  Array.from({ length: count }, (_, run) => {
    const about = { workspace: 'default', workflow_id: name, execution_id: `${name}-${run}`, state: 'completed' };
    const times = { event_time: endMs, started_at: endMs - 1_000, duration_ms: 1_000 };
    return {
      execution: { ...about, ...times, cost: run === 0 ? cost : 0 },
      task: { ...about, ...times, task_id: task },
    };
  }),
);
const costOfAll = workflows.reduce((sum, { cost }) => sum + cost, 0);

beforeAll(async () => {
  const { telemetry } = stand;
  await telemetry.startReady();
  await stand.startService();
  await telemetry.send('executions', toMessages(runs.map(({ execution }) => execution)));
  await telemetry.send('tasks', toMessages(runs.map(({ task }) => task)));
  await telemetry.waitStored(120_000);
}, 300_000);

it('is counted whole, and told of by its largest workflows', async () => {
  const stats = await stand.get<{ total_executions: number; workflows: { workflow_id: string }[] }>(
    '/api/v1/workflows/analytics/stats',
  );
  expect(stats.total_executions).toBe(runs.length);
  const largest = workflows.toSorted((one, other) => other.runs - one.runs);
  expect(stats.workflows[0]).toMatchObject({ workflow_id: 'workflow-611', total_executions: largest[0]?.runs });
  expect(stats.workflows).toHaveLength(50);
});

it('has its whole cost, and the workflows that cost the most', async () => {
  const cost = await stand.get<{ total_cost: number; workflows: { workflow_id: string; total_cost: number }[] }>(
    '/api/v1/workflows/analytics/cost',
  );
  expect(cost.total_cost).toBe(costOfAll);
  const dearest = workflows.toReversed().slice(0, 50);
  expect(cost.workflows.map((one) => [one.workflow_id, one.total_cost])).toEqual(
    dearest.map((one) => [one.name, one.cost]),
  );
});

it('has the durations of all its tasks', async () => {
  const { tasks, slowest_tasks } = await stand.get<{ tasks: { count: number }; slowest_tasks: object[] }>(
    '/api/v1/workflows/analytics/performance',
  );
  expect(tasks.count).toBe(runs.length);
  expect(slowest_tasks).toHaveLength(10);
});

it('is not split into more groups than an answer has room for', async () => {
  const answer = await stand.call('/api/v1/percentiles?subject=execution&group_by=workflow_id');
  expect(answer.status).toBe(422);
  expect(await answer.json()).toMatchObject({ error: { code: 'too_much_asked', details: { mostGroups: 500 } } });
});
