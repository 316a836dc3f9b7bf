import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createDecoder, type LogRecord } from '../../pipelines/decode.ts';
import { createKafka, makeTopics } from '../../pipelines/kafka.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';

const examples = join(import.meta.dirname, '..', '..', 'schemas', 'examples');
const run = promisify(execFile);

/** Why Python's example cannot run here, undefined where it can. */
function missingPython(): string | undefined {
  try {
    execFileSync('python3', ['-c', 'import kafka'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'there is no python3 on this machine';
    return 'python3 has no module "kafka" here (pip install kafka-python)';
  }
}

/** Runs an example against a topic of its own and gives back what then stands on that topic. */
async function recordsOf(command: string, args: string[], executionId: string): Promise<LogRecord[]> {
  const { brokers } = useStack();
  const topics = uniqueTopics('producers');
  const kafka = createKafka({ clientId: 'producers-test', brokers, tls: null, sasl: null }, silence);
  const admin = kafka.admin();
  await admin.connect();
  await makeTopics(admin, [{ topic: topics.tasks, numPartitions: 2 }]);
  await admin.disconnect();
  const env = {
    ...process.env,
    KAFKA_BROKERS: brokers.join(','),
    TOPIC_TASKS: topics.tasks,
    EXECUTION_ID: executionId,
  };
  await run(command, args, { env });
  const records: LogRecord[] = [];
  const consumer = kafka.consumer({ groupId: topics.group });
  await consumer.connect();
  await consumer.subscribe({ topic: topics.tasks, fromBeginning: true });
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: async ({ topic, partition, message: { offset, timestamp, key, value, headers } }) => {
        records.push({ topic, partition, offset: Number(offset), timestampMs: Number(timestamp), key, value, headers });
        if (records.length === 2) resolve();
      },
    });
  });
  await consumer.disconnect();
  return records;
}

const silence = { debug() {}, warn() {} };

function expectStartAndEnd(records: LogRecord[], executionId: string): void {
  const decoder = createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 1e6 });
  const events = records.map((record) => decoder.decode(record));
  expect(records.map(({ key }) => String(key))).toEqual([executionId, executionId]);
  expect(events).toMatchObject([
    { kind: 'task', state: 'running', executionId, taskId: 'load', source: 'example' },
    { kind: 'task', state: 'completed', executionId, taskId: 'load', source: 'example' },
  ]);
  expect((events[1] as { durationUs: number }).durationUs).toBeGreaterThanOrEqual(50_000);
}

test('the example producer in TypeScript sends a start and an end that Weir reads', async () => {
  const executionId = 'example/typescript';
  expectStartAndEnd(await recordsOf(process.execPath, [join(examples, 'producer.ts')], executionId), executionId);
});

test('the example producer in Python sends a start and an end that Weir reads', async (context) => {
  const missing = missingPython();
  if (missing !== undefined) {
    console.log(`skipped: ${missing}`);
    return context.skip(missing);
  }
  const executionId = 'example/python';
  expectStartAndEnd(await recordsOf('python3', [join(examples, 'producer.py')], executionId), executionId);
});
