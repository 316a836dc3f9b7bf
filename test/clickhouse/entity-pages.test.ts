import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { KeptRows } from '../../clickhouse/kept-rows.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import {
  type EntityPage,
  type EntityRow,
  readAttemptPage,
  readExecutionPage,
  readOpenPage,
} from '../../clickhouse/queries/entity-pages.ts';
import { type RowReader, WorkspaceReader } from '../../clickhouse/question.ts';
import { ClickHouseStore } from '../../pipelines/clickhouse-store.ts';
import { WaitingEntities } from '../../pipelines/waiting-entities.ts';
import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { decodeEvent } from '../pipelines/sample-records.ts';
import { createTestDatabase } from '../support/stack.ts';
import { defaultSettings } from './default-settings.ts';

const target = await createTestDatabase('entity_pages');
const database = new Database(target);
const store = new ClickHouseStore(database);
const noonMs = Date.UTC(2026, 10, 20, 12);
const hourMs = 3_600_000;

const executions = 120_000;
const workflows = 400;
const workspaces = 2;
const stepMs = 100;
const flushRows = 30_000;
/** One in so many is still running, or failed. */
const openEvery = 10_007;
const failedEvery = 101;

const running = decodeEvent('executions', { ...names(0), state: 'running', event_time: noonMs }) as ExecutionEvent;
const attempt = decodeEvent('tasks', { ...names(0), task_id: 't', state: 'running', event_time: noonMs }) as TaskEvent;

function names(index: number) {
  // Ids spread over the table as ids that are made by chance do.
  const id = ((index * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0');
  const workspace = `workspace-${index % workspaces}`;
  return { workspace, source: 'airflow', workflow_id: `flow-${index % workflows}`, execution_id: id };
}

function wait(waiting: WaitingEntities, event: ExecutionEvent | TaskEvent, offset: number): void {
  const place = { offset, partition: 0, thingHash: { waiting: null } };
  if (event.kind === 'task') waiting.addTask({ event, ...place });
  else waiting.addExecution({ event, ...place });
}

/** Starts and ends, the end in a later flush than the start as a run's usually is; nothing here is decoded anew. */
async function fill(): Promise<void> {
  let waiting = new WaitingEntities(store);
  const said = (event: ExecutionEvent | TaskEvent, offset: number) => wait(waiting, event, offset);
  for (let begin = 0; begin < executions; begin += flushRows) {
    for (const phase of ['running', 'ended']) {
      for (let index = begin; index < begin + flushRows; index++) {
        const { workspace, workflow_id: workflowId, execution_id: executionId } = names(index);
        const startedAtMs = noonMs + index * stepMs;
        const start = { workspace, workflowId, executionId, startedAtMs, eventTimeMs: startedAtMs };
        const taskId = `${workflowId}/load`;
        if (phase === 'running') {
          said({ ...running, ...start }, index);
          said({ ...attempt, ...start, taskId }, index);
        } else if (index % openEvery !== 0) {
          const failed = index % failedEvery === 0;
          const error = { ...running.error, type: failed ? `Error${index % 3}` : '' };
          const end = {
            ...start,
            state: failed ? 'failed' : 'completed',
            error,
            eventTimeMs: startedAtMs + 500,
          } as const;
          said({ ...running, ...end }, executions + index);
          said({ ...attempt, ...end, taskId }, executions + index);
        }
      }
      for (const batch of waiting.take()) await store.insert(batch);
      waiting = new WaitingEntities(store);
    }
  }
}

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
  // Parts stay as they are written, the worst that a page meets, until a test merges them.
  for (const table of ['executions', 'task_attempts']) await database.command(`SYSTEM STOP MERGES ${table}`);
  await fill();
}, 300_000);
afterAll(() => database.close());

const readerOf = (workspace: string) =>
  new WorkspaceReader(database, { workspace, requestId: 'test' }, () => undefined);

const newestMs = noonMs + executions * stepMs;
const everything = { fromMs: noonMs - hourMs, toMs: noonMs + executions * stepMs + hourMs, after: null, limit: 50 };
const idsOf = ({ rows }: EntityPage<EntityRow>) => rows.map((row) => row.execution_id);
const expectedIds = (keep: (index: number) => boolean) =>
  Array.from({ length: executions }, (_, index) => executions - 1 - index)
    .filter(keep)
    .map((index) => names(index).execution_id);

interface Granules {
  /** By the sorting key alone, and of these those that the index of ids leaves; a list has none. */
  read: number;
  left: number;
  of: number;
}

/** Notes for every question what the server says it will read of which table, and what it did read. */
class ExplainingDatabase extends Database {
  readonly granules: Record<string, Granules> = {};
  readonly rowsRead: Record<string, number> = {};

  override async rows<Row>(question: string, params = {}, settings = {}): Promise<Row[]> {
    const plan = await super.rows<{ explain: string }>(`EXPLAIN indexes = 1 ${question}`, params, settings);
    const text = plan.map((row) => row.explain).join('\n');
    const [, table = '', rest = ''] = /ReadFromMergeTree \(\w+\.(\w+)\)([\s\S]*)/.exec(text) ?? [];
    const [, read, of] = /PrimaryKey[\s\S]*?Granules: (\d+)\/(\d+)/.exec(rest) ?? [];
    const [, left = read] = /Name: execution_ids[\s\S]*?Granules: (\d+)\/\d+/.exec(rest) ?? [];
    this.granules[table] = { read: Number(read), left: Number(left), of: Number(of) };
    const answer = await super.ask<Row>(question, params, settings);
    this.rowsRead[table] = answer.readRows;
    return answer.rows;
  }
}

async function countParts(table: string): Promise<number> {
  const [row] = await database.rows<{ n: number }>(
    'SELECT count() AS n FROM system.parts WHERE active AND database = currentDatabase() AND table = {table: String}',
    { table },
  );
  return row?.n ?? 0;
}

describe('a page', () => {
  it('of one workflow holds its newest executions and reads no others', async () => {
    const question = { ...everything, workspace: 'workspace-1', workflowId: 'flow-7', state: '' };
    const expected = expectedIds((index) => index % workflows === 7);
    let page = await readExecutionPage(database, question);
    expect(idsOf(page)).toEqual(expected.slice(0, 50));
    expect(page.rows[0]).toMatchObject({ workflow_id: 'flow-7', state: 'completed', duration_ms: 500 });
    const seen = idsOf(page);
    while (page.next !== null) {
      page = await readExecutionPage(database, { ...question, after: page.next });
      seen.push(...idsOf(page));
    }
    expect(seen).toEqual(expected);
  });

  it('stays right while executions are added', async () => {
    const question = { ...everything, workspace: 'workspace-1', workflowId: 'flow-9', state: '', limit: 10 };
    const first = await readExecutionPage(database, question);
    const waiting = new WaitingEntities(store);
    const event = {
      ...running,
      workspace: 'workspace-1',
      workflowId: 'flow-9',
      executionId: 'new',
      eventTimeMs: newestMs,
      startedAtMs: newestMs,
    };
    wait(waiting, event, 9e6);
    for (const batch of waiting.take()) await store.insert(batch);
    const second = await readExecutionPage(database, { ...question, after: first.next });
    const expected = expectedIds((index) => index % workflows === 9);
    expect([...idsOf(first), ...idsOf(second)]).toEqual(expected.slice(0, 20));
    expect(idsOf(await readExecutionPage(database, question))[0]).toBe('new');
  });

  it('of what runs holds just that, however much has ended between', async () => {
    const running = { workspace: 'workspace-1', workflowId: '', state: 'running', limit: 4, toMs: newestMs };
    const reader = readerOf('workspace-1');
    const first = await readOpenPage(reader, { ...everything, ...running });
    const second = await readOpenPage(reader, { ...everything, ...running, after: first.next });
    const isOpen = (index: number) => index % openEvery === 0 && index % workspaces === 1;
    expect([...idsOf(first), ...idsOf(second)]).toEqual(expectedIds(isOpen));
    expect(second.next).toBeNull();
  });

  it('of completed ones has them by their end and looks up no others, however many run', async () => {
    for (const [runningMost, workflowId] of [
      [0, 'none-run'],
      [40, 'some-run'],
      [150, 'many-run'],
      [400, 'most-run'],
    ] as const) {
      const count = runningMost + 120;
      const starts = Array.from({ length: count }, (_, at) => {
        const startedAtMs = newestMs - at * 1_000;
        const executionId = names(executions + at).execution_id + workflowId;
        const about = { workspace: 'crowded', workflowId, executionId, startedAtMs };
        return { ...running, ...about, eventTimeMs: startedAtMs };
      });
      const ends = starts.slice(runningMost).map((start, at): ExecutionEvent => {
        const state = at % 10 === 3 ? 'failed' : 'completed';
        // Some end after others that began later.
        return { ...start, state, eventTimeMs: start.eventTimeMs + 500 + (at % 3) * 2_000 };
      });
      for (const told of [starts, ends]) {
        const waiting = new WaitingEntities(store);
        for (const [at, event] of told.entries()) wait(waiting, event, (told === ends ? 8e6 : 7e6) + at);
        for (const batch of waiting.take()) await store.insert(batch);
      }
      const lookedUp: string[] = [];
      const reader: RowReader = {
        rows: (sql, params = {}, settings = {}) => {
          if (Array.isArray(params.execution_ids)) lookedUp.push(...(params.execution_ids as string[]));
          return database.rows(sql, params, settings);
        },
      };
      const ids: string[] = [];
      let after: EntityPage<EntityRow>['next'] = null;
      do {
        const question = { ...everything, workspace: 'crowded', workflowId, state: 'completed', limit: 25 };
        const page: EntityPage<EntityRow> = await readExecutionPage(reader, { ...question, after });
        if (after === null) expect(page.rows, workflowId).toHaveLength(25);
        ids.push(...idsOf(page));
        after = page.next;
      } while (after !== null);
      const completed = ends.filter(({ state }) => state === 'completed');
      const byEnd = completed.toSorted((one, other) => other.eventTimeMs - one.eventTimeMs);
      expect(byEnd).not.toEqual(completed);
      expect(ids, workflowId).toEqual(byEnd.map(({ executionId }) => executionId));
      expect(new Set(lookedUp), workflowId).toEqual(new Set(ids));
    }
  });

  it('looks up again what failed a second time, though it is known from the first and listed with both', async () => {
    const reader: RowReader = {
      memory: new KeptRows(() => newestMs).of('crowded'),
      rows: (sql, params = {}, settings = {}) => database.rows(sql, params, settings),
    };
    const about = { ...running, workspace: 'crowded', workflowId: 'fails-twice', executionId: 'twice' };
    const fail = async (attempt: number, eventTimeMs: number) => {
      const waiting = new WaitingEntities(store);
      wait(waiting, { ...about, attempt, state: 'failed', startedAtMs: eventTimeMs - 500, eventTimeMs }, 6e6 + attempt);
      for (const batch of waiting.take()) await store.insert(batch);
    };
    const question = { ...everything, workspace: 'crowded', workflowId: 'fails-twice', state: 'failed' };
    await fail(1, noonMs);
    expect((await readExecutionPage(reader, question)).rows).toMatchObject([{ attempts: 1 }]);
    await fail(2, noonMs + 5_000);
    expect((await readExecutionPage(reader, question)).rows).toMatchObject([
      { attempts: 2, last_ended_at: new Date(noonMs + 5_000).toISOString() },
    ]);
  });

  it('looks up again what goes on, and what has ended only where nobody did a moment ago', async () => {
    let nowMs = Date.now();
    const named: number[] = [];
    const reader: RowReader = {
      memory: new KeptRows(() => nowMs).of('workspace-1'),
      rows: (sql, params = {}, settings = {}) => {
        if (Array.isArray(params.execution_ids)) named.push(params.execution_ids.length);
        return database.rows(sql, params, settings);
      },
    };
    const toMs = noonMs + 40_000 * stepMs;
    const question = { ...everything, workspace: 'workspace-1', workflowId: 'flow-7', state: '', toMs, limit: 200 };
    const first = await readExecutionPage(reader, question);
    const open = first.rows.filter(({ ended_at }) => ended_at === null).length;
    expect(open).toBeGreaterThan(0);
    const again = await readExecutionPage(reader, question);
    const completed = await readExecutionPage(reader, { ...question, state: 'completed' });
    expect(named).toEqual([first.rows.length, open]);
    expect(again).toEqual(first);
    expect(completed.rows).toEqual(first.rows.filter(({ state }) => state === 'completed'));
    nowMs += 30_000;
    expect(await readExecutionPage(reader, question)).toEqual(first);
    expect(named.at(-1)).toBe(first.rows.length);
    // An end that the list tells of is later than what is known.
    const failures = { ...question, state: 'failed' };
    const failed = (await readExecutionPage(reader, failures)).rows;
    expect(failed.length).toBeGreaterThan(0);
    for (const row of failed) {
      const name = JSON.stringify([row.source, row.execution_id, '', -1, 1]);
      expect(reader.memory?.find(name)).toEqual(row);
      reader.memory?.keep(name, { ...row, state: 'completed', last_event_at: row.first_seen_at }, 0);
    }
    expect((await readExecutionPage(reader, failures)).rows).toEqual(failed);
    expect(named.at(-1)).toBe(failed.length);
  });

  it('of one task, and of failures of a class of error, holds just these', async () => {
    const ofTask = { ...everything, workspace: 'workspace-0', taskId: 'flow-8/load', errorType: '', state: '' };
    expect(idsOf(await readAttemptPage(database, ofTask))).toEqual(
      expectedIds((index) => index % workflows === 8).slice(0, 50),
    );
    const failures = { ...ofTask, taskId: '', state: 'failed', errorType: 'Error2', limit: 200 };
    const failed = (index: number) =>
      index % 2 === 0 && index % failedEvery === 0 && index % 3 === 2 && index % openEvery !== 0;
    expect(idsOf(await readAttemptPage(database, failures))).toEqual(expectedIds(failed).slice(0, 200));
    const hour = { ...failures, fromMs: noonMs + hourMs, toMs: noonMs + 2 * hourMs, limit: 500 };
    const inHour = (index: number) => index * stepMs + 500 >= hourMs && index * stepMs + 500 < 2 * hourMs;
    expect(idsOf(await readAttemptPage(database, hour))).toEqual(
      expectedIds((index) => failed(index) && inHour(index)),
    );
  });

  it('reads the rows of its list, and a granule or two for each entity that it names, whatever else there is', async () => {
    const explaining = new ExplainingDatabase(target);
    const ofWorkflow = { ...everything, workspace: 'workspace-1', workflowId: 'flow-7', state: '' };
    const listed = executions / workflows;
    for (const state of ['', 'failed', 'completed']) {
      const question = { ...ofWorkflow, state };
      await readExecutionPage(explaining, question);
      const { execution_list: list, executions: entities } = explaining.granules;
      // A granule of the list has 1024 rows, and the rows of one workflow begin and end within one in every part.
      expect(list?.read).toBeLessThanOrEqual((await countParts('execution_list')) * (2 + (2 * listed) / 1024));
      expect(entities?.read).toBeLessThanOrEqual((await countParts('executions')) * (everything.limit + 20) * 2);
      expect(list?.of).toBeGreaterThan(executions / 1024);
      expect(entities?.of).toBeGreaterThan(executions / 256);
      expect(entities?.read).toBeGreaterThan(0);
    }
    await explaining.close();
  });

  it('reads no granules of parts that hold none of its entities, however many parts there are', async () => {
    const explaining = new ExplainingDatabase(target);
    const newest = { ...everything, workspace: 'workspace-1', state: '' };
    await readExecutionPage(explaining, { ...newest, workflowId: 'flow-7' });
    await readAttemptPage(explaining, { ...newest, taskId: 'flow-7/load', errorType: '' });
    const named = everything.limit + 20;
    for (const [table, granuleRows] of [
      ['executions', 256],
      ['task_attempts', 1024],
    ] as const) {
      const { read, left } = explaining.granules[table];
      // All of them were told in one flush of starts and one of ends; the key finds places for them in all eight.
      expect(await countParts(table), table).toBeGreaterThanOrEqual(8);
      const falselyRead = read / 20;
      expect(left, table).toBeLessThanOrEqual(Math.min(2 * named, (2 * flushRows) / granuleRows + 2) + falselyRead);
      expect(left, table).toBeLessThan(read / 2);
      // Of each part a granule may be read beyond them.
      const rowsMost = (left + (await countParts(table))) * granuleRows;
      expect(explaining.rowsRead[table], table).toBeLessThanOrEqual(rowsMost);
      expect(explaining.rowsRead[table], table).toBeGreaterThanOrEqual(named);
    }
    await explaining.close();
  });
});

/** Runs of which more or less was told, in any order, once or in several attempts. */
async function tellOddly(workspace: string, runs: number): Promise<void> {
  const random = createRandom(17);
  const waiting = new WaitingEntities(store);
  const states = ['pending', 'running', 'suspended', 'completed', 'failed', 'cancelled', 'timeout'] as const;
  const maybe = <Member extends object>(member: Member) => (random.chance(0.5) ? member : {});
  for (let offset = 0; offset < runs * 5; offset++) {
    const begunMs = noonMs - (1 + random.below(runs)) * 60_000;
    const event = decodeEvent('executions', {
      ...{
        workspace,
        source: 'airflow',
        workflow_id: 'odd',
        execution_id: `odd-${begunMs}`,
        state: random.pick(states),
      },
      ...{ attempt: 1 + random.below(3), event_time: begunMs + random.below(50_000) },
      ...maybe({ started_at: begunMs - random.below(5_000) }),
      ...maybe({ queued_at: begunMs - random.below(9_000) }),
      ...maybe({ scheduled_at: begunMs - 10_000 }),
      ...maybe({ duration_ms: random.below(1e6), queue_ms: random.below(1e5), cost: random.below(1e6) / 1e6 }),
      ...maybe({ error_type: 'Odd', error_code: 'E1', error_message: 'it was odd', cancel_reason: 'enough' }),
      ...maybe({ workflow_version: '7', workflow_name: 'Oddities', project: 'p', execution_number: random.below(99) }),
      ...maybe({ trigger_type: 'scheduled', trigger_source: 'clock', triggered_by: 'nobody' }),
      ...maybe({ progress_ratio: 0.5, phase: 'load', substatus: 'slow' }),
    });
    wait(waiting, event as ExecutionEvent, offset);
  }
  for (const batch of waiting.take()) await store.insert(batch);
}

describe('a listed execution', () => {
  it('is what the view of executions says of it, whatever was told', async () => {
    const workspace = 'workspace-of-oddities';
    const ofOddities = { ...everything, workspace, workflowId: 'odd', fromMs: noonMs - 3 * hourMs, limit: 500 };
    const runs = 50;
    await tellOddly(workspace, runs);
    const states = ['', 'pending', 'running', 'suspended', 'completed', 'failed', 'cancelled', 'timeout'];
    const seen = new Map<string, number>();
    for (const state of states) {
      const isOpen = ['pending', 'running', 'suspended'].includes(state);
      const { rows } = isOpen
        ? await readOpenPage(readerOf(workspace), { ...ofOddities, state })
        : await readExecutionPage(database, { ...ofOddities, state });
      const told = rows.map(({ untold: _untold, ...row }) => row);
      const columns = Object.keys(told[0] ?? {}).join(', ');
      const shown = await database.rows<EntityRow>(
        `SELECT ${columns} FROM executions_latest WHERE workspace = {workspace: String} AND ({state: String} = '' OR state = {state: String})`,
        { workspace, state },
      );
      const inOrder = (some: readonly EntityRow[]) =>
        some.toSorted((one, other) => (one.execution_id < other.execution_id ? -1 : 1));
      expect(inOrder(told), state).toEqual(inOrder(shown));
      // No view has it: it is for those who would ask about details.
      const untold = await database.rows<{ execution_id: string; untold: number }>(
        'SELECT execution_id, groupBitAnd(e.untold) AS untold FROM executions AS e WHERE workspace = {workspace: String} GROUP BY execution_id',
        { workspace },
      );
      const untoldOf = new Map(untold.map((row) => [row.execution_id, row.untold]));
      for (const row of rows) expect(row.untold, row.execution_id).toBe(untoldOf.get(row.execution_id));
      seen.set(state, rows.length);
    }
    expect(seen.get('')).toBeGreaterThan(runs / 2);
    expect(Math.min(...seen.values())).toBeGreaterThan(0);
  });
});

describe('what runs now', () => {
  it('is found without reading what has ended', async () => {
    for (const table of ['executions', 'task_attempts']) {
      await database.command(`SYSTEM START MERGES ${table}`);
      await database.command(`OPTIMIZE TABLE ${table} FINAL`);
      const question = `SELECT execution_id FROM ${table}_latest WHERE workspace = 'workspace-1' AND is_open`;
      const open = expectedIds((index) => index % openEvery === 0 && index % 2 === 1);
      const found = (await database.rows<EntityRow>(question)).map((row) => row.execution_id);
      expect(found.filter((id) => id !== 'new').sort()).toEqual(open.sort());
      const plan = await database.rows<{ explain: string }>(`EXPLAIN indexes = 1 ${question}`);
      const text = plan.map((row) => row.explain).join('\n');
      const [, granules] = /Name: is_open[\s\S]*?Granules: (\d+)\/\d+/.exec(text) ?? [];
      expect(Number(granules), text).toBeLessThanOrEqual(open.length + 1);
    }
  });
});
