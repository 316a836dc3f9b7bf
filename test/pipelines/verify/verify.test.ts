import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../../clickhouse/migrate.ts';
import { createKafka, createProducer, createTopics } from '../../../pipelines/kafka.ts';
import { originHeaders } from '../../../schemas/wire.ts';
import { createDemo } from '../../../services/simulator/demo.ts';
import { createTestDatabase, type TestDatabase, uniqueTopics, useStack } from '../../support/stack.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const topics = uniqueTopics('verify');
const records = 24_000;
const chunkRecords = 4096;
let database: TestDatabase;
let env: NodeJS.ProcessEnv;
let pipeline: ChildProcess;

beforeAll(async () => {
  database = await createTestDatabase('verify');
  const { url, user, password } = database;
  await migrate(
    { url, user, password, database: database.database },
    { retention: { rawDays: 60, cellDays: 90, deadLetterDays: 60, deadLetterBytesDays: 14 }, fsync: false },
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
  await produceDemo();
  pipeline = spawn(process.execPath, ['pipelines/main.ts'], { cwd: root, env, stdio: ['pipe', 'inherit', 'inherit'] });
});

afterAll(async () => {
  if (pipeline === undefined || pipeline.exitCode !== null) return;
  pipeline.kill('SIGTERM');
  await once(pipeline, 'exit');
});

/** Demo telemetry of the last hour with plenty of poison; some records are republished ones, a few of them twice. */
async function produceDemo(): Promise<void> {
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
  const demo = createDemo({
    seed: 3,
    startMs: Date.now() - 3_600_000,
    eventsPerSecond: 20,
    poisonRatio: 0.01,
    farRecords: 4_000,
  });
  for (let sent = 0; sent < records; ) {
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
  }
  await producer.disconnect();
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
  const child = spawn(process.execPath, ['pipelines/verify/main.ts', '--wait', String(waitSeconds)], { cwd: root, env });
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

it('finds nothing different in what the pipeline has stored', async () => {
  const { exitCode, output } = await verify(60);
  expect(output).toMatch(/executions: records \d+, stored \d+, dropped \d+, dead \d+, duplicate \d+, cells \d+, different 0/);
  expect(output).toMatch(/tasks: records [1-9]\d+, stored [1-9]\d+, dropped [1-9]\d*, dead [1-9]\d*, duplicate [1-9]\d*, cells [1-9]\d+, different 0/);
  expect(exitCode).toBe(0);
}, 120_000);

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
    what: 'one ledger count',
    table: 'chunks',
    pick: `stream = '${topics.tasks}@1' AND partition = 0 AND chunk = 0`,
    by: 'stream, partition, chunk',
    change: 'duplicate = duplicate + 1',
    undo: 'duplicate = duplicate - 1',
    named: /ledger partition 0 chunk 0: duplicate: expected \d+, found \d+/,
  },
];

it.each(alterations)('names $what that was altered', async ({ table, pick, by, change, undo, named }) => {
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
}, 120_000);
