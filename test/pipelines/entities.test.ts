import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import type { RawRow } from '../../clickhouse/tables/coordinates.ts';
import { untoldOfExecution, untoldOfTask } from '../../clickhouse/tables/details.ts';
import { ClickHouseStore } from '../../pipelines/clickhouse-store.ts';
import type { EventOfRun } from '../../pipelines/facts.ts';
import { type Subject, WaitingEntities } from '../../pipelines/waiting-entities.ts';
import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { defaultSettings } from '../clickhouse/default-settings.ts';
import { createTestDatabase } from '../support/stack.ts';
import { decodeEvent } from './sample-records.ts';

const target = await createTestDatabase('entities');
const database = new Database(target);
const store = new ClickHouseStore(database);
const noonMs = Date.UTC(2026, 10, 20, 12);

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
});
afterAll(() => database.close());

type Fields = Record<string, unknown>;
const shared = { workspace: 'acme', source: 'airflow', workflow_id: 'orders', execution_id: 'run' };
const say = (kind: 'executions' | 'tasks', state: string, afterMs: number, fields: Fields = {}): EventOfRun =>
  decodeEvent(kind, { ...shared, state, event_time: noonMs + afterMs, ...fields });
const execution = (state: string, afterMs: number, fields?: Fields) => say('executions', state, afterMs, fields);
const task = (state: string, afterMs: number, fields?: Fields) =>
  say('tasks', state, afterMs, { task_id: 'load', ...fields });

/** Six records of one life, with ties, a rerun, a slow clock and texts that UTF-16 puts in another order than bytes. */
const rerun = [
  execution('pending', 0, { scheduled_at: noonMs, trigger_type: 'scheduled', triggered_by: 'ada 😀' }),
  execution('running', 1000, { triggered_by: 'ada ～', tags: ['nightly'] }),
  execution('failed', 5000, { error_type: 'Timeout', error_message: 'too slow', workflow_version: '9' }),
  execution('suspended', 7000, { attempt: 2, tags: ['nightly', 'again'], workflow_version: '10' }),
  execution('running', 7000, { attempt: 2, tags: ['again'], progress_ratio: 0.5 }),
  execution('completed', 6500, { attempt: 2, started_at: noonMs + 6000, cost: 0.5 }),
];
const unfinished = [
  execution('failed', 4000, { started_at: noonMs + 1000, error_type: 'Timeout' }),
  execution('timeout', 4001, { error_type: 'Late', duration_ms: 2500 }),
  execution('pending', 5000, { attempt: 2, workflow_name: 'Orders' }),
  execution('running', 9000, { attempt: 2, queued_at: noonMs + 5500 }),
  execution('running', 8000, { attempt: 2, phase: 'load' }),
];
const dependencies = (optional: boolean) => [{ task_id: 'extract', type: 'data', optional, condition: '' }];
const retried = [
  task('queued', 0, { queue: 'slow', dependencies: dependencies(false) }),
  task('running', 900, { worker_id: 'worker-1', ready_at: noonMs - 100, pool: 'a' }),
  task('failed', 2000, { error_type: 'OutOfMemory', cost: 0.25, retry_delay_ms: 1500 }),
  task('retrying', 2000, {
    workflow_id: 'orders-renamed',
    next_retry_at: noonMs + 3500,
    dependencies: dependencies(true),
  }),
  task('running', 3600, { attempt: 2, worker_id: 'worker-2' }),
  task('completed', 9000, { attempt: 2, started_at: noonMs + 3600, cpu_ms: 12.5 }),
];

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, index) =>
    permutations([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [item, ...rest]),
  );
}

interface Placed {
  event: EventOfRun;
  offset: number;
}

/**
 * Every permutation is a life of its own, told in up to four flushes with some records repeated. All lives are flushed together,
 * so that a few inserts hold thousands of them.
 */
async function tell(name: string, lives: Placed[][], seed: number): Promise<void> {
  const random = createRandom(seed);
  // Ended attempts are encoded at once here, so what is said of them later in a flush makes rows of the same key in one insert.
  const flushes = Array.from({ length: 4 }, (_, index) => new WaitingEntities(store, 1 + index));
  for (const [index, life] of lives.entries()) {
    const things = flushes.map((): Subject => ({ waiting: null }));
    let at = 0;
    for (const { event, offset } of life.flatMap((placed) => (random.chance(0.3) ? [placed, placed] : [placed]))) {
      at = Math.min(flushes.length - 1, at + random.below(2));
      const said = { ...event, executionId: `${name} ${index}` };
      // A record may come again long after, with an older flush that was repeated.
      for (const flush of random.chance(0.2) ? [at, random.below(flushes.length)] : [at]) {
        const waiting = flushes[flush] as WaitingEntities;
        const place = { offset, partition: 3, thingHash: things[flush] as Subject };
        if (said.kind === 'task') {
          waiting.addTask({ event: said, ...place }, untoldOfTask({ event: said } as RawRow<TaskEvent>));
        } else {
          waiting.addExecution({ event: said, ...place }, untoldOfExecution({ event: said } as RawRow<ExecutionEvent>));
        }
      }
    }
  }
  for (const flush of flushes) await Promise.all(flush.take().map((batch) => store.insert(batch)));
}

const inTheirPlaces = (life: readonly EventOfRun[]) =>
  permutations(life.map((event, offset) => ({ event, offset: 2 ** 33 + offset })));
const inAnyPlace = (life: readonly EventOfRun[]) =>
  permutations(life).map((events) => events.map((event, offset) => ({ event, offset })));

async function distinct(name: string, relation: string): Promise<Fields[]> {
  return database.rows(
    `SELECT DISTINCT * EXCEPT execution_id FROM ${relation} WHERE startsWith(execution_id, {name: String}) ORDER BY ALL`,
    { name: `${name} ` },
  );
}

/** The table as somebody reads it who merges by hand. */
async function grouped(table: string): Promise<string> {
  const columns = await database.rows<{ name: string; by: string }>(
    `SELECT name, extract(type, '^SimpleAggregateFunction\\\\((\\\\w+)') AS by FROM system.columns
     WHERE database = currentDatabase() AND table = {table: String} ORDER BY position`,
    { table },
  );
  const keys = columns.filter(({ by }) => by === '').map((column) => column.name);
  const merged = columns.map(({ name, by }) => (by === '' ? name : `${by}(${table}.${name}) AS ${name}`));
  return `(SELECT ${merged.join(', ')} FROM ${table} GROUP BY ${keys.join(', ')})`;
}

describe.each([
  ['rerun', rerun, 'executions', 'executions_latest'],
  ['unfinished', unfinished, 'executions', 'executions_latest'],
  ['retried', retried, 'task_attempts', 'task_attempts_latest'],
] as const)('the life %s', (name, life, table, view) => {
  it('gives the same row in whatever order, grouping and repetition its records are written', async () => {
    await database.command(`SYSTEM STOP MERGES ${table}`);
    await tell(name, inTheirPlaces(life), 1);
    const attempts = table === 'executions' ? 1 : 2;
    const asFinal = await distinct(name, `${table} FINAL`);
    expect(asFinal).toHaveLength(attempts);
    expect(await distinct(name, await grouped(table))).toEqual(asFinal);
    // Without merging them there is more than one answer, or nothing would have been shown.
    expect((await distinct(name, table)).length).toBeGreaterThan(attempts * 5);
    await database.command(`SYSTEM START MERGES ${table}`);
    await database.command(`OPTIMIZE TABLE ${table} FINAL`);
    expect(await distinct(name, table)).toEqual(asFinal);
  });

  it('reads the same in whatever order its records stand in the log', async () => {
    const answer = await distinct(name, view);
    await tell(`${name}, shuffled`, inAnyPlace(life), 2);
    expect(await distinct(`${name}, shuffled`, view)).toEqual(answer);
    expect(answer).toHaveLength(table === 'executions' ? 1 : 2);
  });
});

describe('the views', () => {
  it('show a rerun as one execution with its latest attempt, whatever a slow clock says of it', async () => {
    expect((await distinct('rerun', 'executions_latest'))[0]).toMatchObject({
      state: 'completed',
      is_open: 0,
      attempts: 2,
      workflow_version: '10',
      scheduled_at: '2026-11-20T12:00:00.000Z',
      started_at: '2026-11-20T12:00:06.000Z',
      ended_at: '2026-11-20T12:00:06.500Z',
      duration_ms: 500,
      cost: 0.5,
      error_type: '',
      last_end_state: 'completed',
      trigger_type: 'scheduled',
      triggered_by: 'ada 😀',
      tags: ['nightly', 'again'],
      first_seen_at: '2026-11-20T12:00:00.000Z',
      last_event_at: '2026-11-20T12:00:07.000Z',
    });
  });

  it('keep the last end of an execution that runs again', async () => {
    expect((await distinct('unfinished', 'executions_latest'))[0]).toMatchObject({
      state: 'running',
      is_open: 1,
      attempts: 2,
      started_at: '2026-11-20T12:00:08.000Z',
      queued_at: '2026-11-20T12:00:05.500Z',
      queue_ms: 2500,
      ended_at: null,
      duration_ms: null,
      error_type: '',
      last_end_state: 'timeout',
      last_ended_at: '2026-11-20T12:00:04.001Z',
      last_end_duration_ms: 2500,
      last_end_error_type: 'Late',
    });
  });

  it('show a task as its latest attempt, and each attempt with its own end', async () => {
    const [second, first] = await distinct('retried', 'task_attempts_latest');
    expect(first).toMatchObject({
      attempt: 1,
      state: 'failed',
      error_type: 'OutOfMemory',
      cost: 0.25,
      duration_ms: 1100,
      worker_id: 'worker-1',
      retry_delay_ms: 1500,
      next_retry_at: '2026-11-20T12:00:03.500Z',
      dependencies: [{ task_id: 'extract', type: 'data', optional: true, condition: '' }],
    });
    expect(second).toMatchObject({ attempt: 2, state: 'completed', duration_ms: 5400, cpu_ms: 12.5, cost: null });
    const [whole] = await distinct('retried', 'tasks_latest');
    expect(whole).toMatchObject({ attempts: 2, attempt: 2, state: 'completed', error_type: '', worker_id: 'worker-2' });
  });

  it('find each entity in the lists at the time that its row says', async () => {
    const [missing] = await database.rows(
      `SELECT
         (SELECT count() FROM executions_latest WHERE (workspace, workflow_id, '', first_seen_at, source, execution_id) NOT IN
            (SELECT workspace, workflow_id, state, at, source, execution_id FROM execution_list)) AS executions,
         (SELECT count() FROM executions_latest WHERE (workspace, last_end_state, last_ended_at, execution_id, last_end_error_type) NOT IN
            (SELECT workspace, state, at, execution_id, error_type FROM execution_list WHERE workflow_id = '')
            AND last_end_state != '') AS ended,
         (SELECT count() FROM task_attempts_latest WHERE (workspace, task_id, first_seen_at, execution_id, attempt) NOT IN
            (SELECT workspace, task_id, at, execution_id, attempt FROM task_list WHERE state = '')) AS attempts,
         (SELECT count() FROM task_attempts_latest WHERE state = 'failed' AND (workspace, task_id, ended_at, execution_id, attempt) NOT IN
            (SELECT workspace, listed_task, at, execution_id, attempt FROM task_list WHERE task_id = '' AND state = 'failed')) AS failures,
         (SELECT count() FROM task_attempts_latest WHERE state = 'failed') AS compared`,
    );
    expect(missing).toEqual({ executions: 0, ended: 0, attempts: 0, failures: 0, compared: 1440 });
  });

  it('list by its end what had completed before such a list was kept', async () => {
    const listed = () =>
      database.rows<Fields>(
        "SELECT DISTINCT workspace, workflow_id, at, source, execution_id, error_type FROM execution_list WHERE state = 'completed' ORDER BY ALL",
      );
    const written = await listed();
    await database.command("ALTER TABLE execution_list DELETE WHERE state = 'completed' SETTINGS mutations_sync = 2");
    await database.command(
      "ALTER TABLE schema_migrations DELETE WHERE name >= '0047_completed_list.sql' SETTINGS mutations_sync = 2",
    );
    expect(await listed()).toEqual([]);
    await migrate(target, migrateOptions(defaultSettings()));
    const again = await listed();
    // Merging has forgotten ends that were corrected.
    expect(again.filter((row) => !written.some((one) => isDeepStrictEqual(one, row)))).toEqual([]);
    const [missing] = await database.rows(
      `SELECT countIf((workspace, w, last_ended_at, source, execution_id) NOT IN
           (SELECT workspace, workflow_id, at, source, execution_id FROM execution_list WHERE state = 'completed')) AS missing,
         count() AS compared
       FROM executions_latest ARRAY JOIN ['', workflow_id] AS w WHERE last_end_state = 'completed'`,
    );
    expect(missing).toEqual({ missing: 0, compared: 2 * 1440 });
  });
});
