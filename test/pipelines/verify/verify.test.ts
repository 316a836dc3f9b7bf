import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../../clickhouse/migrate.ts';
import { createKafka, createProducer, createTopics } from '../../../pipelines/kafka.ts';
import { originHeaders } from '../../../schemas/wire.ts';
import { createOddTelemetry } from '../../support/odd-telemetry.ts';
import { createTestDatabase, type TestDatabase, uniqueTopics, useStack } from '../../support/stack.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const topics = uniqueTopics('verify');
const recordsPerWave = 12_000;
const chunkRecords = 4096;
let database: TestDatabase;
let env: NodeJS.ProcessEnv;
let pipeline: ChildProcess;
let produceWave: () => Promise<void>;
let stopProducing: () => Promise<void>;

beforeAll(async () => {
  database = await createTestDatabase('verify');
  const { url, user, password } = database;
  await migrate(
    { url, user, password, database: database.database },
    {
      retention: {
        rawDays: 60,
        cellDays: 90,
        hourDays: 400,
        dayDays: 1100,
        entityDays: 90,
        deadLetterDays: 60,
        deadLetterBytesDays: 14,
      },
      fsync: false,
    },
  );
  env = {
    ...process.env,
    KAFKA_BROKERS: useStack().brokers.join(','),
    CLICKHOUSE_URL: url,
    CLICKHOUSE_USER: user,
    CLICKHOUSE_PASSWORD: password,
    CLICKHOUSE_DATABASE: database.database,
    WEIR_TOPIC_EXECUTIONS: topics.executions,
    WEIR_TOPIC_TASKS: topics.tasks,
    WEIR_TOPIC_ORCHESTRATORS: topics.orchestrators,
    WEIR_GROUP_ID: topics.group,
    // Small enough that chunks end, flushes split them, and history is asked of ClickHouse.
    WEIR_CHUNK_RECORDS: String(chunkRecords),
    WEIR_FLUSH_ROWS: '3000',
    WEIR_HISTORY_RECORDS: '2000',
    WEIR_METRICS_PORT: '0',
    WEIR_LOG_LEVEL: 'warn',
    WEIR_PARENT_GUARD: 'stdin',
  };
  await openProducer();
  await produceWave();
  pipeline = spawn(process.execPath, ['pipelines/main.ts'], { cwd: root, env, stdio: ['pipe', 'inherit', 'inherit'] });
});

afterAll(async () => {
  await stopProducing?.();
  if (pipeline === undefined || pipeline.exitCode !== null) return;
  pipeline.kill('SIGTERM');
  await once(pipeline, 'exit');
});

/** Demo telemetry of the last hour with plenty of poison; some records are republished ones, a few of them twice. */
async function openProducer(): Promise<void> {
  const log = { warn: () => undefined, debug: () => undefined };
  const kafka = createKafka({ brokers: useStack().brokers, clientId: 'verify-test', tls: null, sasl: null }, log);
  const admin = kafka.admin();
  await admin.connect();
  const retentionMs = 30 * 86_400_000;
  await createTopics(
    admin,
    [topics.executions, topics.tasks, topics.orchestrators].map((topic) => ({ topic, partitions: 2, retentionMs })),
  );
  await admin.disconnect();
  const producer = createProducer(kafka);
  await producer.connect();
  const demo = createOddTelemetry({
    seed: 3,
    startMs: Date.now() - 3_600_000,
    eventsPerSecond: 20,
    poisonRatio: 0.01,
    farRecords: 4_000,
  });
  let sent = 0;
  const sendBatch = async () => {
    const messages = { executions: [] as object[], tasks: [] as object[] };
    for (let batch = 0; batch < 1_000; batch++, sent++) {
      const { topic, key, value, sendAtMs } = demo.next().value;
      const headers = sent % 40 === 0 ? originOf(sent) : undefined;
      messages[topic].push({ key, value, timestamp: String(sendAtMs), headers });
      if (sent % 120 === 0) messages[topic].push({ key, value, timestamp: String(sendAtMs), headers });
    }
    await producer.sendBatch({
      acks: -1,
      topicMessages: [
        { topic: topics.executions, messages: messages.executions as never },
        { topic: topics.tasks, messages: messages.tasks as never },
      ],
    });
  };
  produceWave = async () => {
    for (const end = sent + recordsPerWave; sent < end; ) await sendBatch();
  };
  stopProducing = () => producer.disconnect();
  await producer.send({ topic: topics.executions, acks: -1, messages: [9, 0].map(reopenedRun) });
}

/** A run that ended twice, 9 days apart: too far for the second end to take the first one out. */
function reopenedRun(daysAgo: number) {
  const eventTimeMs = Date.now() - daysAgo * 86_400_000 - 3_600_000;
  const record = { workflow_id: 'etl', execution_id: 'reopened', state: 'completed', event_time: eventTimeMs };
  return { key: 'reopened', value: JSON.stringify(record), timestamp: String(eventTimeMs) };
}

const originOf = (item: number) => ({
  [originHeaders.topic]: 'airflow.events',
  [originHeaders.partition]: '3',
  [originHeaders.offset]: String(item),
  [originHeaders.item]: '0',
});

interface Verdict {
  exitCode: number | null;
  output: string;
}

async function verify(waitSeconds: number): Promise<Verdict> {
  const child = spawn(process.execPath, ['pipelines/verify/main.ts', '--wait', String(waitSeconds)], {
    cwd: root,
    env,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, output };
}

const alter = (statement: string) => database.query(`${statement} SETTINGS mutations_sync = 2`);

async function expectNoDifference(): Promise<void> {
  const { exitCode, output } = await verify(60);
  const [executions, tasks] = ['executions', 'tasks'].map((kind) => readLine(output, kind));
  expect(executions, output).toMatchObject({ different: 0 });
  expect(tasks, output).toMatchObject({ different: 0 });
  for (const field of ['stored', 'dropped', 'dead', 'duplicate', 'cells', 'entities'])
    expect(tasks[field]).toBeGreaterThan(0);
  expect(tasks.records).toBe(tasks.stored + tasks.dropped + tasks.dead + tasks.duplicate);
  expect(exitCode).toBe(0);
}

/** `….tasks: records 12, stored 11, …` by name. */
function readLine(output: string, kind: string): Record<string, number> {
  const line = output.split('\n').find((text) => text.includes(`${kind}: records`)) ?? '';
  return Object.fromEntries([...line.matchAll(/([a-z]+) (\d+)/g)].map(([, name, count]) => [name, Number(count)]));
}

it('finds nothing different in what the pipeline has stored', async () => {
  await expectNoDifference();
  expect(await database.query('SELECT sum(reopened) FROM execution_cells FINAL')).toBe('1');
});

it('finds nothing different when much of the history is no longer in memory', async () => {
  await produceWave();
  await expectNoDifference();
});

const alterations = [
  {
    what: 'one bucket of one cell',
    table: 'task_cells',
    pick: 'mapExists((bucket, n) -> n > 0, completed_duration_us_hist)',
    by: 'workspace, workflow_id, task_id, project, source, workflow_version, task_type, pool, window_start, stream, partition, chunk',
    change: 'completed_duration_us_hist = mapAdd(completed_duration_us_hist, map(toInt16(77), toInt64(1)))',
    undo: 'completed_duration_us_hist = mapSubtract(completed_duration_us_hist, map(toInt16(77), toInt64(1)))',
    named: /cell \[.*\] .* completed_duration_us_hist\[77\]: expected 0, found 1 \(from offsets? \d+/,
  },
  {
    what: 'one raw row',
    table: 'execution_events',
    pick: 'partition = 1',
    by: 'stream, partition, offset',
    change: "region = concat(region, '-altered')",
    undo: "region = replaceAll(region, '-altered', '')",
    named: /partition 1 offset \d+: raw row column region: expected ".*", found ".*-altered"/,
  },
  {
    what: 'one column of one execution',
    table: 'executions',
    pick: "region != ''",
    by: 'workspace, source, execution_id',
    change: "region = concat(region, '~altered')",
    undo: "region = replaceAll(region, '~altered', '')",
    named: /partition \d executions_latest \[.*\] region: expected ".*", found ".*~altered" \(from offsets? \d+/,
  },
  {
    what: 'one time of one attempt of a task',
    table: 'task_attempts',
    pick: 'map_index = -1',
    by: 'workspace, source, execution_id, task_id, map_index, attempt',
    change: 'dispatched_at = dispatched_at + 1',
    undo: 'dispatched_at = dispatched_at - 1',
    named: /partition \d task_attempts_latest \[.*\] dispatched_at: expected .*, found "/,
  },
  {
    what: 'one ledger count',
    table: 'chunks',
    pick: `stream = '${topics.tasks}@1' AND partition = 0 AND chunk = 0`,
    by: 'stream, partition, chunk',
    change: 'duplicate = duplicate + 1',
    undo: 'duplicate = duplicate - 1',
    named: /ledger partition 0 chunk 0: duplicate: expected \d+, found \d+/,
  },
];

it.each(alterations)(
  'names $what that was altered',
  async ({ table, pick, by, change, undo, named }) => {
    // What verify reads is the newest version of a row, so that one is altered.
    const key = await database.query(
      `SELECT ${by} FROM ${table} FINAL WHERE ${pick} ORDER BY ${by} LIMIT 1 FORMAT Values`,
    );
    const newest = `(${by}) = ${key}`;
    await alter(`ALTER TABLE ${table} UPDATE ${change} WHERE ${newest}`);
    const { exitCode, output } = await verify(60);
    await alter(`ALTER TABLE ${table} UPDATE ${undo} WHERE ${newest}`);
    expect(output).toMatch(named);
    expect(output).toMatch(/different 1\n/);
    expect(exitCode).toBe(1);
  },
  120_000,
);
