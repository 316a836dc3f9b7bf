import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { migrateOptions } from '../../clickhouse/migrate.ts';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import { verifyRollups } from '../../pipelines/verify/rollup-check.ts';
import { parseSettings } from '../../schemas/settings.ts';
import { defaultSettings } from '../clickhouse/default-settings.ts';
import { createTelemetry, type OutgoingRecord, type Telemetry } from '../support/pipeline-process.ts';

/** The shortest retention that the settings allow while topics keep their records for a day, and telemetry as late as may be. */
const shortest = {
  WEIR_RAW_RETENTION_DAYS: '17',
  WEIR_ENTITY_RETENTION_DAYS: '17',
  WEIR_CELLS_RETENTION_DAYS: '10',
  WEIR_HOUR_RETENTION_DAYS: '10',
  WEIR_DAY_RETENTION_DAYS: '10',
  WEIR_DEAD_LETTER_RETENTION_DAYS: '3',
};
const env = {
  ...shortest,
  WEIR_TOPIC_RETENTION_DAYS: '1',
  WEIR_DEAD_LETTER_BYTES_RETENTION_DAYS: '3',
  // The job is run by the test.
  WEIR_ROLLUP_INTERVAL_MS: '3600000',
};
const patientMs = 60_000;
vi.setConfig({ testTimeout: 3 * patientMs, hookTimeout: 4 * patientMs });

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const nowMs = Date.now();
const hourOf = (instantMs: number) => Math.floor(instantMs / hourMs) * hourMs;
/** Beyond the retention of rows and cells. */
const expiredMs = hourOf(nowMs - 20 * dayMs) + 60_000;
/** An hour of which something may still come, and from which an end may look back as far again. */
const lateMs = hourOf(nowMs - 7 * dayMs + 2 * hourMs) + 60_000;
const begunMs = lateMs - 7 * dayMs + hourMs;

let telemetry: Telemetry;
let database: Database;

function task(run: string, state: string, atMs: number, sentMs = atMs, fields: object = {}): OutgoingRecord {
  const record = { workflow_id: 'etl', execution_id: run, task_id: 'load', state, event_time: atMs, ...fields };
  return { key: run, value: JSON.stringify(record), timestampMs: sentMs, partition: 0 };
}

async function store(records: readonly OutgoingRecord[]): Promise<void> {
  const pipeline = await telemetry.startReady();
  await telemetry.send('tasks', records);
  await telemetry.waitStored(patientMs);
  await pipeline.stop();
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const metrics = createRollupMetrics(new Registry());
  await new RollupJob({ database, metrics, log, intervalMs: 1_000 }).runToEnd();
}

/** Has the server do at once what it does in its own time. */
async function expire(): Promise<void> {
  const tables = await telemetry.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND create_table_query LIKE '% TTL %'",
  );
  expect(tables.length).toBeGreaterThan(20);
  for (const { name } of tables) {
    await telemetry.database.query(`ALTER TABLE ${name} MATERIALIZE TTL SETTINGS mutations_sync = 2`);
    await telemetry.database.query(`OPTIMIZE TABLE ${name} FINAL`);
  }
}

/** Cells as if they had been written in the minute after their window, as those of live telemetry are. */
async function ageCells(windowMs: number): Promise<void> {
  await telemetry.database.query(
    `ALTER TABLE task_cells UPDATE written_at = window_start + 60 WHERE toStartOfHour(window_start) = toDateTime(${hourOf(windowMs) / 1000}, 'UTC')
     SETTINGS mutations_sync = 2`,
  );
}

const count = async (from: string): Promise<number> =>
  (await telemetry.rows<{ n: number }>(`SELECT toUInt32(count()) AS n FROM ${from}`))[0]?.n ?? Number.NaN;

async function countWindow(view: 'cells' | 'hours', instantMs: number) {
  const [row] = await telemetry.rows<{
    rows: number;
    completed: number;
    started: number;
    joined: number;
    longest: number;
  }>(
    `SELECT toUInt32(count()) AS rows, sum(completed) AS completed, sum(started) AS started, sum(joined) AS joined,
       max(completed_duration_us_max) AS longest FROM task_${view} FINAL
     WHERE toStartOfHour(window_start) = toDateTime(${hourOf(instantMs) / 1000}, 'UTC')`,
  );
  return row;
}

beforeAll(async () => {
  const { retention } = migrateOptions(defaultSettings(env));
  telemetry = await createTelemetry('retention', { partitions: 1, env, retention });
  database = new Database(telemetry.database);
  await store([
    task('old', 'running', expiredMs - 1_000),
    task('old', 'completed', expiredMs, expiredMs, { started_at: expiredMs - 1_000 }),
    task('joined', 'running', begunMs),
    ...[1, 2, 3].map((index) =>
      task(`on-time-${index}`, 'completed', lateMs + index, lateMs + index, { duration_ms: index }),
    ),
    { key: 'poison', value: '{"workflow_id"', timestampMs: nowMs - 4 * dayMs, partition: 0 },
    task('newest', 'completed', nowMs, nowMs, { duration_ms: 1 }),
  ]);
});
afterAll(() => database?.close());

it.each(Object.entries(shortest))('%s may not be shorter than %s days', (name, days) => {
  const parsed = parseSettings({ ...env, [name]: String(Number(days) - 1) });
  expect('problems' in parsed ? parsed.problems.map((problem) => problem.name) : []).toContain(name);
});

it('rows, latest states and dead letters expire by the time of what they tell', async () => {
  const [ledger] = await telemetry.rows<{ stored: number; dead: number }>(
    'SELECT sum(stored) AS stored, sum(dead) AS dead FROM chunks FINAL',
  );
  expect(ledger).toEqual({ stored: 7, dead: 1 });
  await ageCells(lateMs);
  await expire();
  for (const table of ['task_events', 'task_attempts', 'task_list']) {
    expect(await count(`${table} WHERE execution_id = 'old'`), table).toBe(0);
    expect(await count(`${table} WHERE execution_id = 'newest'`), table).toBe(1);
  }
  expect(await count("task_events WHERE execution_id = 'joined'")).toBe(1);
  expect(await count('dead_letters')).toBe(0);
  expect(await count('dead_letter_bytes')).toBe(0);
});

it('cells and hours of an old window stay, because their time counts from when they were written', async () => {
  expect(await countWindow('cells', expiredMs)).toMatchObject({ completed: 1, started: 1 });
  expect(await countWindow('hours', expiredMs)).toMatchObject({ rows: 1, completed: 1, started: 1 });
});

it('an event a week late finds the whole hour and the start that it joins, and hours stay equal to their minutes', async () => {
  await store([
    task('late', 'completed', lateMs + 60_000, Date.now(), { duration_ms: 9 }),
    task('joined', 'completed', lateMs + 120_000, Date.now()),
  ]);
  await expire();
  const durationUs = (lateMs + 120_000 - begunMs) * 1000;
  const expected = { completed: 5, joined: 1, longest: durationUs };
  expect(await countWindow('cells', lateMs)).toMatchObject(expected);
  expect(await countWindow('hours', lateMs)).toMatchObject({ rows: 1, ...expected });
  const lists = await verifyRollups({ database, kind: 'tasks', cellsRetentionDays: 10, waitMs: 0 });
  expect(lists.map(({ rows }) => rows > 0)).toEqual([true, true]);
  expect(lists.flatMap((list) => (list.different === 0 ? [] : list.lines()))).toEqual([]);
});

it('cells written longer ago than their retention expire, and leave the hour that was made of them', async () => {
  await ageCells(expiredMs);
  await expire();
  expect(await countWindow('cells', expiredMs)).toMatchObject({ rows: 0 });
  expect(await countWindow('hours', expiredMs)).toMatchObject({ rows: 1, completed: 1 });
  expect(await countWindow('cells', lateMs)).toMatchObject({ completed: 5 });
});
