import { describe, expect, it } from 'vitest';
import type { OrchestratorBodies } from '../../../schemas/orchestrator-records.ts';
import type { TaskRecord } from '../../../schemas/records.ts';
import { planIncidents } from '../../../services/simulator/incident-plan.ts';
import { scenarios } from '../../../services/simulator/scenarios.ts';
import { incidentKinds } from '../../../services/simulator/truth.ts';
import type { WorldEvent } from '../../../services/simulator/world.ts';
import { dayMs, dayStartMs, type Played, playIncident, playSegment } from './simulated-days.ts';

/** Each incident with the same seed with and without it; the mark has to be in the one and absent from the other. */

interface Window {
  startMs: number;
  endMs: number;
}

const within = (events: readonly WorldEvent[], { startMs, endMs }: Window) =>
  events.filter(({ atMs }) => atMs >= startMs && atMs < endMs);

function tasksOf({ events }: Played, window: Window, workflowId: string, taskId?: string): TaskRecord[] {
  return within(events, window).flatMap((event) =>
    event.topic === 'tasks' &&
    event.record.workflow_id === workflowId &&
    (taskId === undefined || event.record.task_id === taskId)
      ? [event.record]
      : [],
  );
}

const completed = (records: readonly TaskRecord[]) => records.filter(({ state }) => state === 'completed');
const failed = (records: readonly TaskRecord[]) => records.filter(({ state }) => state === 'failed');
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanDuration = (records: readonly TaskRecord[]) =>
  mean(completed(records).map(({ duration_ms }) => duration_ms ?? 0));
const meanWait = (records: readonly TaskRecord[]) =>
  mean(records.flatMap(({ queue_ms, state }) => (state === 'running' && queue_ms != null ? [queue_ms] : [])));

function runsBegun({ events }: Played, window: Window, workflowId: string): number {
  return within(events, window).filter(
    ({ topic, record }) => topic === 'executions' && record.workflow_id === workflowId && record.state === 'pending',
  ).length;
}

function reports<Kind extends keyof OrchestratorBodies>(
  { events }: Played,
  window: Window,
  kind: Kind,
  orchestratorId: string,
): OrchestratorBodies[Kind][] {
  return within(events, window).flatMap((event) =>
    event.topic === 'orchestrators' && event.record.kind === kind && event.record.orchestrator_id === orchestratorId
      ? [event.record.body as OrchestratorBodies[Kind]]
      : [],
  );
}

describe('each incident leaves its mark, and only it does', () => {
  it('slow_task: the task takes longer, the others do not', () => {
    const { truth, struck, calm } = playIncident({
      kind: 'slow_task',
      workflowId: 'orders_etl',
      taskId: 'extract_orders',
    });
    const slow = meanDuration(tasksOf(struck, truth, 'orders_etl', 'extract_orders'));
    expect(slow).toBeGreaterThan(2 * meanDuration(tasksOf(calm, truth, 'orders_etl', 'extract_orders')));
    const other = meanDuration(tasksOf(struck, truth, 'orders_etl', 'extract_customers'));
    expect(other).toBeLessThan(1.3 * meanDuration(tasksOf(calm, truth, 'orders_etl', 'extract_customers')));
    expect(truth).toMatchObject({ workflowIds: ['orders_etl'], taskIds: ['extract_orders'], executionsTouched: 6 });
  });

  it('failing_dependency: callers fail, and runs with them', () => {
    const { truth, struck, calm } = playIncident({ kind: 'failing_dependency', workflowId: 'order_saga' });
    const refused = (played: Played) =>
      truth.workflowIds
        .flatMap((id) => failed(tasksOf(played, truth, id)))
        .filter(({ error_code }) => error_code === 'ECONNREFUSED').length;
    expect(refused(struck)).toBeGreaterThan(20);
    expect(refused(calm)).toBe(0);
    const failedRuns = (played: Played) =>
      played.events.filter(({ topic, record }) => topic === 'executions' && record.state === 'failed').length;
    expect(failedRuns(struck)).toBeGreaterThan(failedRuns(calm) + 10);
  });

  it('stuck_run: one run does not end until it is cancelled', () => {
    const { truth, struck } = playIncident({ kind: 'stuck_run', workflowId: 'moderate_content', minutes: 180 });
    const [stuck] = truth.executionIds;
    const ends = struck.events.filter(
      ({ topic, record, atMs }) => topic === 'executions' && record.execution_id === stuck && atMs > truth.startMs,
    );
    expect(truth.executionsTouched).toBe(1);
    expect(ends.at(-1)).toMatchObject({ atMs: truth.endMs, record: { state: 'cancelled' } });
  });

  it('starved_pool: tasks wait for the pool', () => {
    const { truth, struck, calm } = playIncident({ kind: 'starved_pool', workflowId: 'order_saga' });
    const after = { startMs: truth.startMs, endMs: truth.endMs + 600_000 };
    expect(meanWait(tasksOf(struck, after, 'order_saga'))).toBeGreaterThan(
      20 * meanWait(tasksOf(calm, after, 'order_saga')),
    );
    const queued = (played: Played) =>
      Math.max(...reports(played, truth, 'worker_pool', truth.orchestratorId).map((body) => body.tasks_queued ?? 0));
    expect(queued(struck)).toBeGreaterThan(20);
    expect(queued(calm)).toBeLessThan(10);
  });

  it('retry_storm: attempts multiply, and clients begin runs anew', () => {
    const { truth, struck, calm } = playIncident({ kind: 'retry_storm', workflowId: 'order_saga' });
    const retries = (played: Played) =>
      tasksOf(played, truth, 'order_saga').filter(({ state }) => state === 'retrying').length;
    expect(retries(struck)).toBeGreaterThan(5 * (retries(calm) + 1));
    expect(runsBegun(struck, truth, 'order_saga')).toBeGreaterThan(runsBegun(calm, truth, 'order_saga'));
  });

  it('backlog: more begins than the pool can take', () => {
    const { truth, struck, calm } = playIncident({ kind: 'backlog', workflowId: 'ci_build' });
    expect(runsBegun(struck, truth, 'ci_build')).toBe(
      runsBegun(calm, truth, 'ci_build') + Number(truth.parameters.runs),
    );
    const pending = (played: Played) =>
      Math.max(
        ...reports(played, truth, 'orchestrator_metrics', truth.orchestratorId).map(
          (body) => body.workflows_pending ?? 0,
        ),
      );
    expect(pending(struck)).toBeGreaterThan(pending(calm) + 20);
  });

  it('lost_worker: the worker is gone with what it ran', () => {
    const { truth, struck, calm } = playIncident({ kind: 'lost_worker', workflowId: 'ci_build' });
    const lost = (played: Played) =>
      within(played.events, truth).filter(
        ({ topic, record }) => topic === 'tasks' && record.error_type === 'WorkerLost',
      ).length;
    // Some of what was lost was cancelled in the same moment, because its run had failed by then.
    expect(lost(struck)).toBeGreaterThan(0);
    expect(lost(struck)).toBeLessThanOrEqual(Number(truth.parameters.tasks_lost));
    expect(lost(calm)).toBe(0);
    const down = (played: Played) =>
      reports(played, truth, 'worker_pool', truth.orchestratorId).filter((body) => (body.workers_failed ?? 0) > 0)
        .length;
    expect(down(struck)).toBeGreaterThan(5);
    expect(down(calm)).toBe(0);
  });

  it('hot_worker: what runs there is slow, and its load is high', () => {
    const { truth, struck, calm } = playIncident({ kind: 'hot_worker', workflowId: 'order_saga', minutes: 120 });
    const [workerId] = truth.workerIds;
    const onWorker = (played: Played) =>
      tasksOf(played, truth, 'order_saga').filter((record) => record.worker_id === workerId);
    expect(meanDuration(onWorker(struck))).toBeGreaterThan(2 * meanDuration(onWorker(calm)));
    const load = (played: Played) =>
      Math.max(
        ...reports(played, truth, 'worker', truth.orchestratorId)
          .filter((body) => body.worker_id === workerId)
          .map((body) => body.cpu_load ?? 0),
      );
    expect(load(struck)).toBeGreaterThan(0.85);
    expect(load(calm)).toBeLessThan(0.6);
  });

  it('version_regression: the new version is slower, and the old one comes back', () => {
    const { truth, struck, calm } = playIncident({
      kind: 'version_regression',
      workflowId: 'order_saga',
      taskId: 'charge_payment',
      minutes: 120,
    });
    const bad = (played: Played) =>
      tasksOf(played, truth, 'order_saga', 'charge_payment').filter(
        ({ workflow_version }) => workflow_version === truth.parameters.bad_version,
      );
    expect(meanDuration(bad(struck))).toBeGreaterThan(
      1.4 * meanDuration(tasksOf(calm, truth, 'order_saga', 'charge_payment')),
    );
    expect(bad(calm)).toEqual([]);
    const after = { startMs: truth.endMs, endMs: truth.endMs + 7_200_000 };
    const versions = new Set(tasksOf(struck, after, 'order_saga').map(({ workflow_version }) => workflow_version));
    expect(versions).toContain(truth.parameters.good_version);
  });

  it('missing_run: scheduled runs do not begin', () => {
    const { truth, struck, calm } = playIncident({ kind: 'missing_run', workflowId: 'orders_etl' });
    expect(runsBegun(struck, truth, 'orders_etl')).toBe(0);
    expect(runsBegun(calm, truth, 'orders_etl')).toBe(6);
    expect(truth.parameters.runs).toBe(6);
  });

  it('memory_leak: memory of workers grows until they are killed', () => {
    const { truth, struck, calm } = playIncident({ kind: 'memory_leak', workflowId: 'ci_build', minutes: 150 });
    const memory = (played: Played) =>
      reports(played, truth, 'worker', truth.orchestratorId)
        .filter((body) => body.pool_id === truth.poolId)
        .map((body) => body.memory_load ?? 0);
    expect(Math.max(...memory(struck))).toBeGreaterThan(0.7);
    expect(Math.max(...memory(calm))).toBeLessThan(0.5);
    const killed = (played: Played) =>
      reports(played, truth, 'worker_pool', truth.orchestratorId).find((body) => (body.resource_exhaustions ?? 0) > 0);
    expect(killed(struck)?.pool_id).toBe(truth.poolId);
    expect(killed(calm)).toBeUndefined();
  });

  it('noisy_neighbour: others wait, and are slower once they run', () => {
    const { truth, struck, calm } = playIncident({ kind: 'noisy_neighbour', workflowId: 'order_saga' });
    expect(meanDuration(tasksOf(struck, truth, 'order_saga'))).toBeGreaterThan(
      1.3 * meanDuration(tasksOf(calm, truth, 'order_saga')),
    );
    const used = (played: Played) =>
      Math.min(
        ...reports(played, truth, 'orchestrator_metrics', truth.orchestratorId).map((body) => body.slots_used ?? 0),
      );
    expect(used(struck)).toBeGreaterThanOrEqual(Number(truth.parameters.slots));
    expect(used(calm)).toBeLessThan(Number(truth.parameters.slots));
  });

  it('split_brain: two lead, and some runs begin twice', () => {
    const { truth, struck, calm } = playIncident({ kind: 'split_brain', workflowId: 'order_saga', minutes: 30 });
    const split = (played: Played) =>
      reports(played, truth, 'coordination_event', truth.orchestratorId).filter(
        ({ event_type }) => event_type === 'split_brain',
      );
    expect(split(struck)).toHaveLength(1);
    expect(split(calm)).toHaveLength(0);
    expect(truth.parameters.runs_doubled).toBeGreaterThan(0);
    const begun = (played: Played) =>
      runsBegun(played, truth, 'order_saga') +
      runsBegun(played, truth, 'quote_insurance') +
      runsBegun(played, truth, 'approve_expense');
    expect(begun(struck)).toBe(begun(calm) + Number(truth.parameters.runs_doubled));
  });

  it('slow_scheduler: decisions take seconds', () => {
    const { truth, struck, calm } = playIncident({ kind: 'slow_scheduler', workflowId: 'order_saga' });
    const inside = { startMs: truth.startMs + 600_000, endMs: truth.endMs };
    const latency = (played: Played) =>
      mean(
        reports(played, inside, 'orchestrator_metrics', truth.orchestratorId).map(
          (body) => body.scheduling_latency_ms_mean ?? 0,
        ),
      );
    expect(latency(struck)).toBeGreaterThan(1_500);
    expect(latency(calm)).toBeLessThan(200);
  });

  it('bad_input: the task fails for good, with an error that no retry helps', () => {
    const { truth, struck, calm } = playIncident({
      kind: 'bad_input',
      workflowId: 'orders_etl',
      taskId: 'join_orders',
    });
    const bad = (played: Played) =>
      failed(tasksOf(played, truth, 'orders_etl', 'join_orders')).filter(
        ({ error_retryable }) => error_retryable === false,
      );
    expect(bad(struck).length).toBeGreaterThanOrEqual(2);
    expect(bad(struck)[0]).toMatchObject({ error_type: 'ValueError', error_code: 'EFORMAT' });
    expect(bad(calm)).toEqual([]);
  });
});

it('plans every kind, each within its stretch, and the same however time is cut', () => {
  const catalogue = scenarios.demo.catalogue(0, 1);
  const options = { catalogue, seed: 3, incidentsPerDay: 3, load: scenarios.demo.load };
  const whole = planIncidents({ ...options, startMs: dayStartMs, endMs: dayStartMs + 14 * dayMs });
  const cut = Array.from({ length: 14 }, (_, day) =>
    planIncidents({ ...options, startMs: dayStartMs + day * dayMs, endMs: dayStartMs + (day + 1) * dayMs }),
  );
  expect(cut.flat()).toEqual(whole);
  expect(new Set(whole.map(({ kind }) => kind))).toEqual(new Set(incidentKinds));
  expect(new Set(whole.map(({ id }) => id)).size).toBe(whole.length);
});

describe('every incident', () => {
  // A Saturday, on which offices rest; a day of every kind; and nights among them.
  it.each([
    ['demo', 3],
    ['incidents', 0],
    ['incidents', 3],
  ] as const)('of %s touches something, %i days after a Wednesday', (scenario, day) => {
    const startMs = dayStartMs + day * dayMs;
    const truths = playSegment(scenario, { startMs, endMs: startMs + dayMs, gridEndMs: startMs + dayMs });
    expect(truths.length).toBeGreaterThanOrEqual(scenario === 'demo' ? 3 : 13);
    const untouched = truths.filter(({ kind, executionsTouched, parameters }) =>
      kind === 'missing_run' ? parameters.runs === 0 : executionsTouched === 0,
    );
    expect(untouched).toEqual([]);
  });
});
