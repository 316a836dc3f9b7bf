// Sends a start and an end of one task to Weir. Run: node schemas/examples/producer.ts
// (Examples are the one place besides pipelines/kafka.ts that imports the Kafka client: they are to be copied.)
import kafkajs from 'kafkajs';
import { encodeTaskEvent } from '../wire.ts';

const brokers = (process.env.KAFKA_BROKERS ?? '127.0.0.1:9092').split(',');
const topic = process.env.TOPIC_TASKS ?? 'telemetry.tasks';
const executionId = process.env.EXECUTION_ID ?? `example-${Date.now()}`;
const producer = new kafkajs.Kafka({ clientId: 'example', brokers, logLevel: kafkajs.logLevel.ERROR }).producer({
  idempotent: true,
});
await producer.connect();
const task = { source: 'example', workflow_id: 'orders', execution_id: executionId, task_id: 'load', attempt: 1 };
const startedAt = Date.now();
const send = (record: Parameters<typeof encodeTaskEvent>[0]) =>
  producer.send({ topic, acks: -1, messages: [{ key: record.execution_id, value: encodeTaskEvent(record) }] });
await send({ ...task, state: 'running', event_time: startedAt, started_at: startedAt });
await new Promise((resolve) => setTimeout(resolve, 50));
// An end carries its start, so that its duration is known whatever became of the first record.
await send({ ...task, state: 'completed', event_time: Date.now(), started_at: startedAt, cpu_ms: 12.5 });
await producer.disconnect();
