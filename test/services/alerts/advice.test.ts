import { expect, it } from 'vitest';
import { alertRuleIds } from '../../../schemas/alerts.ts';
import { adviseOn, commandOf, remedyDefaults } from '../../../services/alerts/advice.ts';
import { sampleAlert } from './sample-alerts.ts';

it('every rule has a remedy, which says what would be done, how sure that is, and that somebody must agree', () => {
  for (const rule_id of alertRuleIds) {
    const [first] = adviseOn(sampleAlert({ rule_id }));
    expect(first?.description, rule_id).toMatch(/\w+ \w+/);
    expect(first?.confidence, rule_id).toBeGreaterThanOrEqual(0.5);
    expect(first?.approval_required, rule_id).toBe(true);
  }
});

it('a stuck execution is helped by restarting the task that it waits for', () => {
  const alert = sampleAlert({ rule_id: 'EXECUTION_STUCK', execution_id: 'run-1', task_id: 'load' });
  const [remedy] = adviseOn(alert);
  expect(remedy).toMatchObject({ action: 'restart_task', target: 'load', confidence: 0.8, is_command: true });
  expect(commandOf(alert, remedy)).toMatchObject({
    kind: 'restart_task',
    source: 'airflow',
    execution_id: 'run-1',
    task_id: 'load',
    approval_required: true,
  });
  // Nobody can be asked to restart what is not known.
  const unknown = { ...alert, task_id: null };
  const [hint] = adviseOn(unknown);
  expect(hint).toMatchObject({ action: 'restart_task', is_command: false });
  expect(commandOf(unknown, hint)).toBeNull();
});

it('a pool that is exhausted gets half as much again, up to what it may have', () => {
  const alert = sampleAlert({ rule_id: 'RESOURCE_EXHAUSTION', subject_kind: 'worker_pool', subject_id: 'ml/default' });
  const advise = (workersTotal?: number, workersMax?: number) => adviseOn(alert, { workersTotal, workersMax })[0];
  expect(advise(8, 20)).toMatchObject({
    action: 'scale_resources',
    confidence: 0.9,
    parameters: { scaling_factor: 1.5, target_workers: 12 },
  });
  expect(commandOf(alert, advise(8, 20))).toMatchObject({
    kind: 'scale_pool',
    pool_id: 'ml/default',
    parameters: { target_workers: 12 },
  });
  expect(advise(8, 10).parameters).toMatchObject({ target_workers: 10 });
  expect(advise(1, 10).parameters).toMatchObject({ target_workers: 2 });
  expect(commandOf(alert, advise(10, 10))).toBeNull();
  expect(advise(10, 10).description).toContain('Raise the limit');
  expect(commandOf(alert, advise())).toBeNull();
});

it('a full pool gets what brings it back to where it should be', () => {
  const alert = sampleAlert({
    rule_id: 'CAPACITY_CRITICAL',
    subject_kind: 'worker_pool',
    subject_id: 'p',
    metric: 'slots_load',
    value: 0.93,
  });
  // 0.93 / 0.775 = 1.2.
  expect(adviseOn(alert, { workersTotal: 10 })[0].parameters).toEqual({ scaling_factor: 1.2, target_workers: 12 });
});

it('what fails again and again is paused, retried otherwise or cached, with the numbers of the rules', () => {
  const failing = sampleAlert({ rule_id: 'HIGH_FAILURE_RATE' });
  const [pause] = adviseOn(failing);
  expect(pause).toMatchObject({ action: 'circuit_break', confidence: 0.85, parameters: { duration_seconds: 300 } });
  expect(commandOf(failing, pause)).toMatchObject({ kind: 'pause', workflow_id: 'orders_etl' });
  const [retries] = adviseOn(sampleAlert({ rule_id: 'TASK_HIGH_FAILURE_RATE' }));
  expect(retries).toMatchObject({
    action: 'adjust_retry_policy',
    confidence: 0.8,
    parameters: remedyDefaults.retryPolicy,
  });
  const [cache] = adviseOn(sampleAlert({ rule_id: 'PERFORMANCE_DEGRADATION' }));
  expect(cache).toMatchObject({ action: 'enable_caching', confidence: 0.75, parameters: remedyDefaults.caching });
});

it('actions that an installation has let happen need nobody', () => {
  const alert = sampleAlert({ rule_id: 'EXECUTION_STUCK', execution_id: 'run-1' });
  const [remedy] = adviseOn(alert, { automatic: ['restart_task'] });
  expect(remedy.approval_required).toBe(false);
  expect(commandOf(alert, remedy)?.approval_required).toBe(false);
});
