import { setTimeout as sleep } from 'node:timers/promises';
import { Counter, Gauge } from 'prom-client';
import {
  type Admin,
  type Consumer,
  commandTopicSpec,
  createKafka,
  createProducer,
  createTopics,
  type KafkaMessage,
} from '../../pipelines/kafka.ts';
import { startProcess } from '../../pipelines/process.ts';
import { kafkaOptions } from '../../pipelines/servers.ts';
import type { CommandRecord } from '../../schemas/records.ts';
import { decodeCommand, encodeCommand } from '../../schemas/wire.ts';
import { DemoProducer } from './demo-producer.ts';
import { beginDemo, type DemoState, decodeState, encodeState, resumeDemo } from './demo-state.ts';
import { CommandBook } from './obey.ts';
import { byTopic, type OutgoingMessage } from './outgoing-messages.ts';
import { scaleOf } from './scenarios.ts';
import { encodeTruth, type TruthRecord } from './truth.ts';

/**
 * The demo: orchestrators of a made-up company. The first start sends two weeks of history and live telemetry at
 * once; a later one goes on where the last one was. It obeys the commands on `weir.commands`.
 */
const { settings, log, registry, reportReadiness, onStop } = await startProcess({ name: 'demo' });
const topicNames = {
  executions: settings.topicExecutions,
  tasks: settings.topicTasks,
  orchestrators: settings.topicOrchestrators,
};
const commandTopic = settings.topicCommands;
/** What was planted: read by tests and benches only. */
const truthTopic = 'weir.truth';
/** How far this demo has come, newest last. */
const stateTopic = 'weir.demo';
const forEver = -1;

const sentCounter = new Counter({
  name: 'weir_demo_records_total',
  help: 'Records that the demo has sent and the brokers have acknowledged',
  labelNames: ['topic'],
  registers: [registry],
});
const historyGauge = new Gauge({
  name: 'weir_demo_history_ratio',
  help: 'Share of the history that is loaded',
  registers: [registry],
});

const startedAtMs = Date.now();
const kafka = createKafka({ ...kafkaOptions(settings), clientId: `${settings.kafkaClientId}-demo` }, log);
const admin: Admin = kafka.admin();
const producer = createProducer(kafka);
let demo: DemoProducer | undefined;
let toldTenths = 0;
reportReadiness(() => (demo?.isCaughtUp ? '' : 'is not live yet'));
await Promise.all([admin.connect(), producer.connect()]);
onStop('producer', () => producer.disconnect());
onStop('admin', () => admin.disconnect());
await createTopics(
  admin,
  [
    commandTopicSpec(commandTopic, settings.partitions),
    { topic: truthTopic, partitions: 1, retentionMs: settings.topicRetentionDays * 86_400_000 },
    { topic: stateTopic, partitions: 1, retentionMs: forEver },
  ],
  -1,
);

const wishes = {
  scenario: settings.scenario,
  seed: settings.seed,
  scale: scaleOf(settings.demoRatePerSecond),
  historyDays: settings.demoHistoryDays,
  nowMs: startedAtMs,
};
const saved = await readState();
const book = new CommandBook();
// Commands are heard only when all that was said before is known.
const hear = await listenToCommands();
const state = saved === null ? beginDemo(wishes) : resumeDemo(saved, wishes);
demo = new DemoProducer(state, book, {
  send: sendMessages,
  sendTruths: (records) => sendTo(truthTopic, records.map(toTruthMessage)),
  sendOutcome: (record) =>
    sendTo(commandTopic, [{ key: record.outcome?.command_id ?? '', value: encodeCommand(record) }]),
  saveState: (current) => sendTo(stateTopic, [{ key: 'demo', value: Buffer.from(encodeState(current)) }]),
  nowMs: Date.now,
  sleep: (ms) => sleep(ms),
  progress: tellProgress,
});
hear(demo);
const running = demo.run();
onStop('demo', async () => {
  demo?.stop();
  await running;
});
const { scenario, seed, scale } = wishes;
log.info({ scenario, seed, scale, isFirstStart: saved === null }, 'sending demo telemetry');
await running;

/** The newest state on its topic, null where there is none. */
async function readState(): Promise<DemoState | null> {
  const [{ high }] = await admin.fetchTopicOffsets(stateTopic);
  if (Number(high) === 0) return null;
  const consumer = await subscribe(stateTopic);
  try {
    return await new Promise((resolve) => {
      const last = String(Number(high) - 1);
      void consumer.run({
        autoCommit: false,
        eachMessage: async ({ message }) => {
          if (Number(message.offset) >= Number(last)) resolve(decodeState(String(message.value)));
        },
      });
      consumer.seek({ topic: stateTopic, partition: 0, offset: last });
    });
  } finally {
    await leave(consumer);
  }
}

/** Resolves when everything on the topic was read; what comes after that goes to whoever is given to the answer. */
async function listenToCommands(): Promise<(heardBy: DemoProducer) => void> {
  const offsets = await admin.fetchTopicOffsets(commandTopic);
  const awaited = new Map(
    offsets.filter(({ low, high }) => low !== high).map((entry) => [entry.partition, Number(entry.high)]),
  );
  let listener: DemoProducer | undefined;
  const consumer = await subscribe(commandTopic);
  onStop('commands', () => leave(consumer));
  await new Promise<void>((resolve) => {
    if (awaited.size === 0) resolve();
    void consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        const record = readCommand(message);
        if (record?.request != null && listener !== undefined) listener.request(record);
        else if (record !== null) book.note(record);
        if (Number(message.offset) + 1 >= (awaited.get(partition) ?? 0)) awaited.delete(partition);
        if (awaited.size === 0) resolve();
      },
    });
  });
  return (heardBy) => {
    // What was asked while nobody listened has its turn first.
    for (const record of book.open) heardBy.request(record);
    listener = heardBy;
  };
}

function readCommand({ value, offset }: KafkaMessage): CommandRecord | null {
  try {
    return value === null ? null : decodeCommand(value);
  } catch (error) {
    log.warn({ offset, err: error }, 'a record on the command topic cannot be read');
    return null;
  }
}

/** A group of its own for each start, because nothing is ever committed and a former one may still be expiring. */
async function subscribe(topic: string): Promise<Consumer> {
  const consumer = kafka.consumer({ groupId: `${settings.kafkaClientId}-demo-${topic}-${startedAtMs}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  return consumer;
}

async function leave(consumer: Consumer): Promise<void> {
  await consumer.disconnect();
}

function toTruthMessage(record: TruthRecord) {
  return { key: record.id, value: Buffer.from(encodeTruth(record)), timestamp: String(record.endMs) };
}

async function sendTo(topic: string, messages: { key: string; value: Buffer; timestamp?: string }[]): Promise<void> {
  await producer.send({ topic, acks: -1, messages });
}

async function sendMessages(messages: OutgoingMessage[]): Promise<void> {
  const topicMessages = byTopic(messages, topicNames);
  // Not compressed: a fetch is bounded in bytes as sent, and a consumer that is far behind would unpack ten times as many.
  await producer.sendBatch({ acks: -1, topicMessages });
  for (const entry of topicMessages) sentCounter.inc({ topic: entry.topic }, entry.messages.length);
}

/** A line of plain text is what the launcher shows to the user; a line for each tenth is bar enough. */
function tellProgress({ ratio, records, isComplete }: { ratio: number; records: number; isComplete: boolean }): void {
  historyGauge.set(ratio);
  const tenths = Math.floor(ratio * 10);
  if (tenths <= toldTenths) return;
  if (!isComplete && tenths === 10) return;
  toldTenths = tenths;
  const bar = `[${'='.repeat(tenths)}${' '.repeat(10 - tenths)}]`;
  const seconds = Math.round((Date.now() - startedAtMs) / 1000);
  const count = String(records).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  process.stdout.write(`history ${bar} ${tenths * 10} %, ${count} records in ${seconds} s\n`);
}
