import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { readAttemptPage, readExecutionPage } from '../../clickhouse/queries/entity-pages.ts';
import { readSourcePage } from '../../clickhouse/queries/entity-sources.ts';
import { backfillEntities } from '../../pipelines/entity-backfill.ts';
import { encodeOutgoing } from '../../services/simulator/delivery.ts';
import { dayMs, hourMs, sendSegment } from '../services/simulator/simulated-days.ts';
import { launch } from '../support/launched.ts';
import { createTelemetry, type OutgoingRecord, type RunKind } from '../support/pipeline-process.ts';

const telemetry = await createTelemetry('backfill');
const database = new Database(telemetry.database);
const command = path.resolve(import.meta.dirname, '../../pipelines/backfill-command.ts');
const entityTables = ['executions', 'execution_list', 'task_attempts', 'task_list'];

/** Hours on both sides of a midnight: repeated, late and disordered records, retries, reruns and incidents. */
const midnightMs = Math.floor(Date.now() / dayMs) * dayMs - dayMs;
const [startMs, endMs] = [midnightMs - 4 * hourMs, midnightMs + 4 * hourMs];
const told: Record<RunKind, OutgoingRecord[]> = { executions: [], tasks: [] };
for (const sent of sendSegment('incidents', { startMs, endMs, gridEndMs: endMs, firstMs: startMs })) {
  if (sent.topic === 'orchestrators') continue;
  told[sent.topic].push({ key: sent.key, value: encodeOutgoing(sent), timestampMs: sent.sendAtMs });
}

/** The first share of the records of each topic, or what follows it. */
async function send(from: number, to: number): Promise<void> {
  for (const kind of ['executions', 'tasks'] as const) {
    const records = told[kind].slice(told[kind].length * from, told[kind].length * to);
    for (let at = 0; at < records.length; at += 500) await telemetry.send(kind, records.slice(at, at + 500));
  }
}

const empty = async () => {
  for (const table of entityTables) await database.command(`TRUNCATE TABLE ${table}`);
};

/** Everything that is shown of executions and attempts: the views whole, and pages that begin with the lists. */
async function readEntities() {
  const views = await Promise.all(
    ['executions_latest', 'task_attempts_latest'].map((view) =>
      database.rows(`SELECT * FROM ${view} ORDER BY ALL`, {}, { max_threads: 1 }),
    ),
  );
  const [workspace] = await database.rows<{ workspace: string }>(
    'SELECT workspace FROM executions GROUP BY workspace ORDER BY count() DESC LIMIT 1',
  );
  const everything = { workspace: workspace?.workspace ?? '', fromMs: 0, toMs: Date.now(), after: null, limit: 200 };
  const pages = await Promise.all(
    ['', 'failed'].flatMap((state) => [
      readExecutionPage(database, { ...everything, state, workflowId: '' }),
      ...(state === 'failed' ? [readAttemptPage(database, { ...everything, state, taskId: '', errorType: '' })] : []),
    ]),
  );
  // Who makes them anew looks at no details, and leaves it open which are told.
  const told = ({ untold: _untold, ...row }: Record<string, unknown>) => row;
  return { views, pages: pages.map(({ rows }) => rows.map(told)) };
}

const countRaw = async () => {
  const [found] = await database.rows<{ n: number }>(
    'SELECT (SELECT count() FROM execution_events FINAL) + (SELECT count() FROM task_events FINAL) AS n',
  );
  return found?.n ?? 0;
};

interface Ran {
  isFinished: boolean;
  rowsRead: number;
  days: string[];
}

/** So many pages, or to the end. */
async function fill(pages = Number.POSITIVE_INFINITY): Promise<Ran> {
  const ran: Ran = { isFinished: false, rowsRead: 0, days: [] };
  let left = pages;
  ran.isFinished = await backfillEntities({
    database,
    nowMs: Date.now,
    pageRows: 700,
    report: ({ kind, day, rowsRead }) => {
      ran.rowsRead = rowsRead;
      if (!ran.days.includes(`${kind} ${day}`)) ran.days.push(`${kind} ${day}`);
      return --left > 0;
    },
  });
  return ran;
}

let written: Awaited<ReturnType<typeof readEntities>>;

beforeAll(async () => {
  await send(0, 0.8);
  await telemetry.startReady();
  await telemetry.waitStored(60_000, ['executions', 'tasks']);
  written = await readEntities();
});
afterAll(() => database.close());

describe('entities made anew', () => {
  beforeEach(empty);

  it('are those that the pipeline wrote, and none is read twice when the run was stopped and goes on', async () => {
    expect(await readEntities()).not.toEqual(written);
    const begun = await fill(5);
    expect(begun.isFinished).toBe(false);
    expect(begun.rowsRead).toBeLessThan((await countRaw()) / 2);
    const ended = await fill();
    expect(ended.isFinished).toBe(true);
    expect(ended.rowsRead).toBe(await countRaw());
    expect(new Set([...begun.days, ...ended.days]).size).toBeGreaterThanOrEqual(4);
    expect(await readEntities()).toEqual(written);
    const { exitCode, output } = await telemetry.verify();
    expect(exitCode, output).toBe(0);
  });

  it('are begun anew where the tables were emptied after a run was stopped', async () => {
    await fill(5);
    await empty();
    expect(await fill()).toMatchObject({ isFinished: true, rowsRead: await countRaw() });
    expect(await readEntities()).toEqual(written);
  });

  it('are made by a command, as often as wanted', async () => {
    for (const args of [['entities'], ['entities'], ['entities', '--from-start']]) {
      const { exited, output } = launch(command, { args, env: telemetry.env });
      expect((await exited).code, output()).toBe(0);
      expect(output()).toContain(`done: ${await countRaw()} raw rows`);
      expect(await readEntities()).toEqual(written);
    }
  });

  it('are nothing that the command guesses', async () => {
    for (const args of [[], ['everything'], ['entities', '--quickly']]) {
      const { exited, output } = launch(command, { args, env: telemetry.env });
      expect((await exited).code, args.join(' ')).toBe(2);
      expect(output()).toContain('npm run backfill -- entities');
    }
  });

  it('are right beside pipelines that go on writing', async () => {
    const sending = send(0.8, 1);
    expect((await fill()).isFinished).toBe(true);
    await sending;
    await telemetry.waitStored(60_000, ['executions', 'tasks']);
    const { exitCode, output } = await telemetry.verify();
    expect(exitCode, output).toBe(0);
  });
});

describe('a page of raw rows', () => {
  it('begins where the one before ended, and costs no more than its rows', async () => {
    const [largest] = await database.rows<{ day: string; n: number }>(
      'SELECT toString(toDate(event_time)) AS day, count() AS n FROM task_events GROUP BY day ORDER BY n DESC LIMIT 1',
    );
    await database.command('OPTIMIZE TABLE task_events FINAL');
    const { day, n } = largest as { day: string; n: number };
    const whole = await readSourcePage(database, 'tasks', { day, after: null, limit: n + 1 });
    const half = await readSourcePage(database, 'tasks', { day, after: null, limit: Math.floor(n / 2) });
    const rest = await readSourcePage(database, 'tasks', { day, after: half.last, limit: n });
    expect([...half.rows, ...rest.rows]).toEqual(whole.rows);
    const late = whole.rows.at(-100)?.event as { workspace: string; source: string; executionId: string };
    const after = [late.workspace, late.source, late.executionId, '', -1, '', 0, 0];
    const asked = new Database(telemetry.database);
    let rowsRead = 0;
    asked.rows = async <Row>(question: string, params = {}, settings = {}) => {
      const answer = await asked.ask<Row>(question, params, settings);
      rowsRead = answer.readRows;
      return answer.rows;
    };
    await readSourcePage(asked, 'tasks', { day, after, limit: 50 });
    await asked.close();
    // Two granules of 8192 rows at most.
    expect(rowsRead).toBeLessThanOrEqual(2 * 8192);
    expect(rowsRead).toBeLessThan(n);
  });
});
