import { afterAll, expect, it } from 'vitest';
import { OwnServers } from '../support/own-servers.ts';
import { Telemetry } from '../support/pipeline-process.ts';
import { createTestDatabase, uniqueTopics } from '../support/stack.ts';

const servers = await OwnServers.create();
afterAll(() => servers.stop());

const taskAt = (index: number) =>
  JSON.stringify({
    workflow_id: 'orders',
    execution_id: `away-${index}`,
    task_id: 'load',
    state: 'completed',
    event_time: Date.now(),
    duration_ms: 1 + index,
  });

const records = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => ({ key: `away-${from + index}`, value: taskAt(from + index) }));

it('a pipeline whose Kafka is away says so, and reads on when it is back', async () => {
  const [kafka, database] = await Promise.all([servers.startKafka(), createTestDatabase('kafka_away')]);
  const telemetry = new Telemetry(uniqueTopics('away'), { brokers: [kafka.brokers], database });
  await telemetry.prepare();
  const pipeline = await telemetry.startReady({}, 'test/support/impatient-pipeline.ts');
  await telemetry.send('tasks', records(0, 20));
  await telemetry.waitStored();

  kafka.kill();
  await kafka.exited;
  await expect.poll(() => pipeline.whyNotReady()).toMatch(/has heard nothing of its consumer group for \d+ s/);

  await servers.startKafka();
  await expect.poll(() => pipeline.whyNotReady(), { timeout: 60_000 }).toBe('');
  await telemetry.send('tasks', records(20, 20));
  await telemetry.waitStored(60_000);
  const [row] = await telemetry.rows<{ n: number }>('SELECT count() AS n FROM task_events FINAL');
  expect(row?.n).toBe(40);
  await telemetry.close();
});
