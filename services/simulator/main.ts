import { setTimeout as sleep } from 'node:timers/promises';
import { Counter } from 'prom-client';
import { type Admin, createKafka, createProducer } from '../../pipelines/kafka.ts';
import { startProcess } from '../../pipelines/process.ts';
import { kafkaOptions } from '../../pipelines/servers.ts';
import { createDemo } from './demo.ts';
import { DemoProducer, type OutgoingMessage } from './demo-producer.ts';

/** The demo: telemetry of made-up workflows, live at a settable rate, after half an hour of history the first time. */
const historyMs = 30 * 60_000;
// At a high rate half an hour would take longer to send than anyone waits.
const historyRecordsMax = 200_000;

const { settings, log, registry, reportReadiness, onStop } = await startProcess({ name: 'demo' });
const topicNames = { executions: settings.topicExecutions, tasks: settings.topicTasks };
const sentCounter = new Counter({
  name: 'weir_demo_records_total',
  help: 'Records that the demo has sent and the brokers have acknowledged',
  labelNames: ['topic'],
  registers: [registry],
});

const kafka = createKafka({ ...kafkaOptions(settings), clientId: `${settings.kafkaClientId}-demo` }, log);
const producer = createProducer(kafka);
let isConnected = false;
reportReadiness(() => (isConnected ? '' : 'is connecting to the brokers'));
await producer.connect();
onStop('producer', () => producer.disconnect());

const nowMs = Date.now();
const startMs = (await isFirstStart())
  ? nowMs - Math.min(historyMs, (historyRecordsMax / settings.demoRatePerSecond) * 1000)
  : nowMs;
isConnected = true;
const demo = new DemoProducer({
  events: createDemo({ seed: settings.seed, startMs, eventsPerSecond: settings.demoRatePerSecond }),
  send: sendMessages,
  nowMs: Date.now,
  sleep,
  liveFromMs: nowMs,
});
const running = demo.run();
onStop('demo', async () => {
  demo.stop();
  await running;
});
log.info({ eventsPerSecond: settings.demoRatePerSecond, historyMs: nowMs - startMs }, 'sending demo telemetry');
await running;

/** History is sent once: where the topics hold anything, it has been sent before or real telemetry is there. */
async function isFirstStart(): Promise<boolean> {
  const admin: Admin = kafka.admin();
  await admin.connect();
  try {
    for (const topic of Object.values(topicNames)) {
      const partitions = await admin.fetchTopicOffsets(topic);
      if (partitions.some(({ high }) => Number(high) > 0)) return false;
    }
    return true;
  } finally {
    await admin.disconnect();
  }
}

async function sendMessages(messages: OutgoingMessage[]): Promise<void> {
  const topicMessages = (['executions', 'tasks'] as const).map((topic) => ({
    topic: topicNames[topic],
    messages: messages
      .filter((message) => message.topic === topic)
      .map(({ key, value, timestampMs }) => ({ key, value, timestamp: String(timestampMs) })),
  }));
  const filled = topicMessages.filter((entry) => entry.messages.length > 0);
  await producer.sendBatch({ acks: -1, topicMessages: filled });
  for (const entry of filled) sentCounter.inc({ topic: entry.topic }, entry.messages.length);
}
