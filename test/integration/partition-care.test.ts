import { createServer, type Server } from 'node:http';
import { beforeAll, describe, type ExpectStatic, it } from 'vitest';
import { confluentEncoder, taskType } from '../../schemas/wire.ts';
import { pause, waitUntil } from '../support/launched.ts';
import { createTelemetry, type Kind, type OutgoingRecord, type Telemetry } from '../support/pipeline-process.ts';

/** What a partition may meet in the life of an installation, each with topics and a database of its own. */

const impatient = 'test/support/impatient-pipeline.ts';
const beganMs = Date.now() - 60_000;
const scenes: Record<string, Telemetry> = {};

beforeAll(async () => {
  const create = async (name: string, partitions: number, env: Record<string, string> = {}) => {
    scenes[name] = await createTelemetry(`care_${name}`, { partitions, env: { WEIR_CHUNK_RECORDS: '256', ...env } });
  };
  await create('remade', 2);
  await create('outgrown', 1);
  await create('trimmed', 1);
  await create('refused', 1);
  await create('newer', 2);
  await create('registry', 2);
  await create('rebalance', 2, { WEIR_FLUSH_ROWS: '200' });
  await create('idle', 2);
});

const scene = (name: string): Telemetry => scenes[name] as Telemetry;

const taskAt = (name: string, index: number) => ({
  workflow_id: 'orders',
  execution_id: `${name}-${index}`,
  task_id: 'load',
  state: 'completed',
  event_time: beganMs + index,
  duration_ms: 1 + (index % 500),
});

/** Ends that stand alone, each of a thing of its own. */
function makeRecords(name: string, count: number, partition?: number): OutgoingRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    key: `${name}-${index}`,
    value: JSON.stringify(taskAt(name, index)),
    timestampMs: beganMs + index,
    ...(partition === undefined ? {} : { partition }),
  }));
}

async function sendInParts(telemetry: Telemetry, kind: Kind, records: OutgoingRecord[], each = 50): Promise<void> {
  for (let from = 0; from < records.length; from += each) await telemetry.send(kind, records.slice(from, from + each));
}

async function countOf(telemetry: Telemetry, what: string, from: string): Promise<number> {
  const [row] = await telemetry.rows<{ n: number }>(`SELECT ${what} AS n FROM ${from} FINAL`);
  return row?.n ?? 0;
}

async function expectNothingDifferent(expect: ExpectStatic, telemetry: Telemetry, env: Record<string, string> = {}) {
  const verdict = await telemetry.verify(40, env);
  expect(verdict, verdict.output).toMatchObject({ exitCode: 0, different: 0 });
}

describe.concurrent('a partition', () => {
  it('whose topic was deleted and made again is refused until its stream epoch is raised, while others go on', async ({
    expect,
  }) => {
    const telemetry = scene('remade');
    const { tasks } = telemetry.topics;
    const before = await telemetry.startReady();
    await telemetry.send('tasks', [...makeRecords('old', 300, 0), ...makeRecords('old-1', 300, 1)]);
    await telemetry.send('executions', makeRecords('run', 50));
    await telemetry.waitStored();
    await before.stop();
    await telemetry.admin.deleteTopics({ topics: [tasks] });
    await waitUntil(async () => !(await telemetry.admin.listTopics()).includes(tasks), 10_000);
    await telemetry.makeTopics(['tasks']);
    // One partition of the new topic is longer than the old one was, the other shorter.
    await sendInParts(telemetry, 'tasks', [...makeRecords('new', 500, 0), ...makeRecords('new-1', 40, 1)]);

    const refusing = telemetry.start();
    const refused = /is not the log that was read before: .* raise its stream epoch to 2/;
    await expect.poll(() => refusing.whyNotReady(), { timeout: 30_000 }).toMatch(refused);
    for (const partition of ['0', '1']) {
      const labels = { topic: tasks, partition, reason: 'topic_made_again' };
      await expect.poll(() => refusing.metric('weir_partition_refused', labels), { timeout: 10_000 }).toBe(1);
      expect(refusing.output()).toContain(`${tasks}[${partition}] is not the log that was read before`);
    }
    await telemetry.send('executions', makeRecords('later-run', 50));
    await telemetry.waitStored(30_000, ['executions']);
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(600);
    await refusing.stop();

    const epoch = { WEIR_STREAM_EPOCH_TASKS: '2' };
    await telemetry.startReady(epoch);
    await expect.poll(() => telemetry.missing('tasks', 2), { timeout: 20_000 }).toBe(0);
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(600 + 540);
    await expectNothingDifferent(expect, telemetry, epoch);
  });

  it('whose topic is made again under the eyes of its reader, and outgrows what was there, is refused too', async ({
    expect,
  }) => {
    const telemetry = scene('outgrown');
    const { tasks } = telemetry.topics;
    const reading = await telemetry.startReady();
    await telemetry.send('tasks', makeRecords('old', 300));
    await telemetry.waitStored();
    await telemetry.admin.deleteTopics({ topics: [tasks] });
    await waitUntil(async () => !(await telemetry.admin.listTopics()).includes(tasks), 10_000);
    await telemetry.makeTopics(['tasks']);
    await telemetry.send('tasks', makeRecords('new', 500));

    await expect
      .poll(() => reading.whyNotReady(), { timeout: 60_000 })
      .toMatch(/is not the log that was read before: .* raise its stream epoch to 2/);
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(300);
    await reading.stop();

    const epoch = { WEIR_STREAM_EPOCH_TASKS: '2' };
    await telemetry.startReady(epoch);
    await expect.poll(() => telemetry.missing('tasks', 2), { timeout: 20_000 }).toBe(0);
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(300 + 500);
    await expectNothingDifferent(expect, telemetry, epoch);
  });

  it('that retention overtook counts what was lost, keeps what was stored, and goes on', async ({ expect }) => {
    const telemetry = scene('trimmed');
    const topic = telemetry.topics.tasks;
    const trimTo = (offset: number) =>
      telemetry.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
    const totals = async () => ({
      stored: await countOf(telemetry, 'count()', 'task_events'),
      inCells: await countOf(telemetry, 'toInt64(sum(completed))', 'task_cells'),
      lost: await countOf(telemetry, 'sum(lost_retention)', 'chunks'),
    });
    // While it was down: 600 are stored, 200 are lost, and the chunk that both are in goes on.
    const before = await telemetry.startReady({}, impatient);
    await telemetry.send('tasks', makeRecords('first', 600));
    await telemetry.waitStored();
    expect(await before.stop()).toBe(0);
    await sendInParts(telemetry, 'tasks', makeRecords('second', 400));
    await trimTo(800);
    const overtaken = await telemetry.startReady({}, impatient);
    await telemetry.waitStored();
    expect(await totals()).toEqual({ stored: 800, inCells: 800, lost: 200 });
    expect(await overtaken.metric('weir_lost_retention_total', { topic })).toBe(200);
    expect(overtaken.output()).toContain('retention removed 200 records before they were read');

    // While it runs, but does not get round to reading.
    overtaken.launched.child.kill('SIGSTOP');
    await sendInParts(telemetry, 'tasks', makeRecords('third', 600), 20);
    // Into the chunk that stays open, so that a later owner meets the gap again.
    await trimTo(1560);
    overtaken.launched.child.kill('SIGCONT');
    await telemetry.waitStored(40_000);
    const { stored, inCells, lost } = await totals();
    expect(lost).toBeGreaterThan(200);
    expect(stored + lost).toBe(1600);
    expect(inCells).toBe(stored);
    expect(await overtaken.metric('weir_lost_retention_total', { topic })).toBe(lost);
    await expectNothingDifferent(expect, telemetry);

    // A chunk that is folded once more still knows what it lost.
    await overtaken.kill();
    await telemetry.startReady({}, impatient);
    await telemetry.send('tasks', makeRecords('fourth', 10));
    await telemetry.waitStored(40_000);
    expect(await totals()).toEqual({ stored: stored + 10, inCells: stored + 10, lost });
    await expectNothingDifferent(expect, telemetry);
  });

  it('waits with an alarm while ClickHouse refuses its rows for good, and goes on when it takes them again', async ({
    expect,
  }) => {
    const telemetry = scene('refused');
    const pipeline = await telemetry.startReady();
    await telemetry.send('tasks', makeRecords('first', 100));
    await telemetry.waitStored();
    await telemetry.database.query('ALTER TABLE task_events RENAME COLUMN record_time TO record_time_away');
    await telemetry.send('tasks', makeRecords('second', 300));
    const blocked = () => pipeline.metric('weir_blocked', { reason: 'incurable' });
    await expect.poll(blocked, { timeout: 20_000 }).toBe(1);
    expect(await pipeline.whyNotReady()).toMatch(/cannot write rows into task_events: .*record_time/);
    expect(pipeline.output()).toMatch(/"level":50.*repeating cannot cure this; nothing is lost while it waits/);
    await expect.poll(() => pipeline.metric('weir_true_lag_records', { topic: telemetry.topics.tasks })).toBe(300);
    await telemetry.database.query('ALTER TABLE task_events RENAME COLUMN record_time_away TO record_time');
    await telemetry.waitStored(60_000);
    await expect.poll(blocked).toBe(0);
    expect(await pipeline.whyNotReady()).toBe('');
    expect(pipeline.output()).toContain('writing again');
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(400);
    await expectNothingDifferent(expect, telemetry);
  });

  it('that newer code has folded is refused by older code, while others go on', async ({ expect }) => {
    const telemetry = scene('newer');
    const { tasks } = telemetry.topics;
    const before = await telemetry.startReady();
    await telemetry.send('tasks', [...makeRecords('first', 100, 0), ...makeRecords('first-1', 100, 1)]);
    await telemetry.waitStored();
    await before.stop();
    await telemetry.database.query(
      `INSERT INTO chunks SELECT * REPLACE (99 AS fold_version, 99 * pow(2, 48) + last_offset + 1 AS ver) FROM chunks FINAL
       WHERE stream = '${tasks}@1' AND partition = 0`,
    );
    await telemetry.send('tasks', [...makeRecords('second', 100, 0), ...makeRecords('second-1', 100, 1)]);
    const older = telemetry.start();
    await expect
      .poll(() => older.whyNotReady(), { timeout: 30_000 })
      .toMatch(/was folded by version 99 and this program is version \d+/);
    const labels = { topic: tasks, partition: '0', reason: 'newer_fold_version' };
    await expect.poll(() => older.metric('weir_partition_refused', labels)).toBe(1);
    await expect.poll(() => countOf(telemetry, 'countIf(partition = 1)', 'task_events'), { timeout: 20_000 }).toBe(200);
    expect(await countOf(telemetry, 'countIf(partition = 0)', 'task_events')).toBe(100);
  });

  it('waits for a schema registry that is down and loses nothing, whatever happens to the group meanwhile', async ({
    expect,
  }) => {
    const telemetry = scene('registry');
    const registry = createServer((_, response) => {
      response.end(JSON.stringify({ schema: JSON.stringify(taskType.schema({ exportAttrs: true })) }));
    });
    const port = await listenOnce(registry);
    const env = { SCHEMA_REGISTRY_URL: `http://127.0.0.1:${port}` };
    const encode = confluentEncoder(taskType, 5);
    for (const partition of [0, 1]) {
      const records = Array.from({ length: 400 }, (_, index) => encode(taskAt(`registered-${partition}`, index)));
      await telemetry.send(
        'tasks',
        records.map((value) => ({ value, timestampMs: beganMs, partition })),
      );
    }
    // Somebody has reset the group to the end of the log, which is no reason to leave anything out.
    const { group: groupId, tasks: topic } = telemetry.topics;
    const partitions = [0, 1].map((partition) => ({ partition, offset: '400' }));
    await telemetry.admin.setOffsets({ groupId, topic, partitions });
    for (const _ of ['first', 'second']) {
      // It may be waiting before anybody asks whether it is ready, and then it never says so.
      const waiting = telemetry.start(env);
      await waiting.launched.waitFor(/fetching a schema: schema registry does not answer/, 45_000);
      expect(await waiting.whyNotReady()).toMatch(/schema registry does not answer for schema 5/);
    }
    expect(await countOf(telemetry, 'count()', 'task_events')).toBe(0);
    expect(await countOf(telemetry, 'count()', 'dead_letters')).toBe(0);
    await new Promise<void>((resolve) => registry.listen(port, '127.0.0.1', resolve));
    try {
      await telemetry.waitStored();
      expect(await countOf(telemetry, 'count()', 'task_events')).toBe(800);
      await expectNothingDifferent(expect, telemetry, env);
    } finally {
      registry.close();
    }
  });

  it('moves between instances without being folded again beyond its chunk', async ({ expect }) => {
    const telemetry = scene('rebalance');
    const stayer = await telemetry.startReady();
    const folded = async (process: typeof stayer) => process.metric('weir_records_total');
    const sendParts = async (name: string) => {
      for (let part = 0; part < 20; part++) {
        await telemetry.send('tasks', makeRecords(`${name}-${part}`, 40));
        await telemetry.send('executions', makeRecords(`run-${name}-${part}`, 10));
        await pause(50);
      }
      // What was folded and not stored when a partition moves is folded again too, and that depends on the machine.
      await telemetry.waitStored();
    };
    await sendParts('alone');
    const guest = await telemetry.startReady();
    await sendParts('together');
    const byGuest = await folded(guest);
    expect(await guest.stop()).toBe(0);
    await sendParts('alone-again');
    expect(byGuest).toBeGreaterThan(0);
    const again = byGuest + (await folded(stayer)) - 60 * 50;
    // Two partitions went to the guest and came back; each time at most one chunk was begun anew.
    expect(again).toBeLessThanOrEqual(4 * 256);
    await expectNothingDifferent(expect, telemetry);
  });

  it('that has stood at its log end for ten seconds is reported idle, even behind the marker of a transaction', async ({
    expect,
  }) => {
    const telemetry = scene('idle');
    await telemetry.startReady();
    await telemetry.send('executions', makeRecords('run', 10, 0));
    const producer = telemetry.kafka.producer({
      transactionalId: telemetry.topics.group,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    const transaction = await producer.transaction();
    const [record] = makeRecords('transaction', 1, 1);
    await transaction.send({
      topic: telemetry.topics.tasks,
      messages: [{ partition: 1, value: record?.value ?? '', timestamp: String(beganMs) }],
    });
    await transaction.commit();
    await producer.disconnect();
    await telemetry.waitStored();
    const idle = () =>
      telemetry.rows<{ topic: string; partition: number; end: number }>(
        `SELECT splitByChar('@', stream)[1] AS topic, partition, max(log_end) AS end FROM idle_partitions
         WHERE idle_through BETWEEN now() - 120 AND now() - 30 GROUP BY ALL ORDER BY topic, partition`,
      );
    const { executions, orchestrators, tasks } = telemetry.topics;
    await expect.poll(idle, { timeout: 60_000 }).toEqual([
      { topic: executions, partition: 0, end: 10 },
      { topic: executions, partition: 1, end: 0 },
      { topic: orchestrators, partition: 0, end: 0 },
      { topic: orchestrators, partition: 1, end: 0 },
      { topic: tasks, partition: 0, end: 0 },
      { topic: tasks, partition: 1, end: 2 },
    ]);
  });
});

/** A port on which the server will listen later. */
async function listenOnce(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
