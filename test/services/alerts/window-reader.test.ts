import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { alertWindowMs, type WindowInput } from '../../../clickhouse/queries/alert-inputs.ts';
import { WindowReader } from '../../../services/alerts/window-reader.ts';
import { createTelemetry, type Telemetry } from '../../support/pipeline-process.ts';

/** Windows of history, from telemetry that went all the way, as back-tests and an evaluator that catches up read them. */

const minuteMs = 60_000;
const dayMs = 86_400_000;
const windows = 6;
const startMs = Math.floor(Date.now() / alertWindowMs) * alertWindowMs - 3 * windows * alertWindowMs;
const at = (minutes: number): number => startMs + Math.round(minutes * minuteMs);

const names = { workspace: 'default', source: 'airflow', workflow_id: 'orders', workflow_version: '1' };
const run = (id: string, state: string, minutes: number, fields: object = {}) => ({
  ...{ ...names, execution_id: id, state, event_time: at(minutes) },
  ...fields,
});
const task = (id: string, taskId: string, state: string, minutes: number, fields: object = {}) => ({
  ...run(id, state, minutes),
  ...{ task_id: taskId, task_type: 'compute', pool: 'db' },
  ...fields,
});
const pool = (minutes: number, fields: object) => ({
  ...{ workspace: 'default', source: 'airflow', orchestrator_id: 'prod', kind: 'worker_pool' },
  ...{ pool_id: 'db', event_time: at(minutes) },
  ...fields,
});

const executions = [
  run('long', 'running', 0),
  run('long', 'completed', 28),
  { ...run('long', 'running', 0), workspace: 'other' },
  ...[9, 5, 2, 1].map((days) => {
    const { event_time, ...start } = run(`daily-${days}`, 'running', 0, { schedule_cron: '0 3 * * *' });
    return { ...start, workflow_id: 'daily', event_time: event_time - days * dayMs };
  }),
];
const tasks = [
  task('long', 'ask', 'running', 1, { task_type: 'human' }),
  task('long', 'ask', 'completed', 12),
  task('long', 'load', 'running', 13),
  task('long', 'load', 'failed', 21, { error_type: 'LoadError', error_message: 'row 17 of 99 is broken' }),
  task('long', 'clean', 'skipped', 22, { pool: '' }),
  task('long', 'clean', 'queued', 23),
  { ...task('long', 'theirs', 'running', 2), workspace: 'other' },
];
const instance = (minutes: number, id: string, fields: object) => ({
  ...pool(minutes, fields),
  ...{ pool_id: undefined, kind: 'orchestrator_metrics', instance_id: id },
});

const orchestrators = [
  instance(11, 'a', { scheduling_latency_ms_mean: 900, slots_total: 16 }),
  instance(12, 'a', { scheduling_latency_ms_mean: 600, slots_total: 16 }),
  instance(13, 'b', { scheduling_latency_ms_mean: 0, slots_total: 16 }),
  pool(0.5, { slots_total: 8, slots_used: 6, resource_exhaustions: 3 }),
  pool(2.5, { slots_total: 8, slots_used: 8, resource_exhaustions: 3 }),
  pool(4.5, { slots_total: 8, slots_used: 4, resource_exhaustions: 5 }),
  pool(6.5, { slots_total: 8, slots_used: 4, resource_exhaustions: 6 }),
  pool(8.5, { slots_total: 8, slots_used: 4, resource_exhaustions: 2 }),
];

let telemetry: Telemetry;
let reader: WindowReader;
let history: WindowInput[];

async function readAll(most: number): Promise<WindowInput[]> {
  const read: WindowInput[] = [];
  for await (const part of reader.readFrom(startMs, startMs + windows * alertWindowMs, most)) read.push(...part);
  return read;
}

beforeAll(async () => {
  telemetry = await createTelemetry('windows');
  for (const [kind, records] of Object.entries({ executions, tasks, orchestrators })) {
    await telemetry.send(
      kind as 'tasks',
      records.map((record) => ({ key: 'long', value: JSON.stringify(record) })),
    );
  }
  await telemetry.startReady();
  await telemetry.waitStored(90_000);
  const { url, user, password, database: name } = telemetry.database;
  const database = new Database({ url, user, password, database: name });
  afterAll(() => database.close());
  reader = new WindowReader(database);
  history = await readAll(windows);
});

const longIn = (wanted: string) => (window: WindowInput) =>
  window.open.find(({ workspace, executionId }) => workspace === wanted && executionId === 'long');

describe('windows of history', () => {
  it('are the same in whatever parts they are read', async () => {
    expect(await readAll(1)).toEqual(history);
    expect(history).toHaveLength(windows);
  });

  it('show an execution as it stood at their end, and not as it went on', () => {
    expect(history.map(longIn('default'))).toEqual([
      undefined,
      expect.objectContaining({ taskId: 'ask', taskType: 'human', lastEventAtMs: at(1) }),
      expect.objectContaining({ taskId: 'load', lastEventAtMs: at(13) }),
      expect.objectContaining({ taskId: 'load', lastEventAtMs: at(13) }),
      expect.objectContaining({ taskId: '', lastEventAtMs: at(22) }),
      undefined,
    ]);
  });

  it('tell executions of the same name in two workspaces apart', () => {
    expect(history.map((window) => longIn('other')(window)?.taskId)).toEqual([
      undefined,
      'theirs',
      'theirs',
      'theirs',
      'theirs',
      'theirs',
    ]);
  });

  it('know the newest of the starts before them', () => {
    const [first] = history;
    expect(first?.scheduled).toEqual([
      expect.objectContaining({ workflowId: 'daily', cron: '0 3 * * *', lastStartMs: at(0) - dayMs }),
    ]);
  });

  it('have the load of a pool', () => {
    expect(history[0]?.reports).toEqual([
      expect.objectContaining({
        ...{ kind: 'worker_pool', id: 'db', orchestratorId: 'prod', contributions: 3 },
        measures: { slots_total: 8, slots_used: 6, slots_load: 0.75, resource_exhaustions: 2 },
      }),
    ]);
  });

  it('have what a counter grew by since the reading before, though that lies in another minute or window', () => {
    const grown = history.map(({ reports }) => reports[0]?.measures.resource_exhaustions);
    // From 5 to 6, and then from nothing to 2.
    expect(grown).toEqual([2, 3, undefined, undefined, undefined, undefined]);
  });

  it('take the instances of an orchestrator together', () => {
    expect(history[2]?.reports).toEqual([
      expect.objectContaining({
        ...{ kind: 'orchestrator', id: 'prod', contributions: 3 },
        measures: { slots_total: 16, scheduling_latency_ms_mean: 500 },
      }),
    ]);
  });

  it('name the commonest error with its numbers taken out', () => {
    const failing = history[4]?.runs.find(({ taskId }) => taskId === 'load');
    expect(failing).toMatchObject({ failures: 1, error: 'LoadError row # of # is broken' });
  });

  it('know the pool of a task though something was told without one', () => {
    expect(history[4]?.runs.find(({ taskId }) => taskId === 'clean')?.pool).toBe('db');
  });
});
