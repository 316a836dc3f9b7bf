import { parseArgs } from 'node:util';
import {
  createKafka,
  createProducer,
  createTopics,
  type Kafka,
  type KafkaLog,
  stateTopicSpec,
} from '../../pipelines/kafka.ts';
import { kafkaOptions, readRunningServers } from '../../pipelines/servers.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { formatProblems, parseSettings, type Settings } from '../../schemas/settings.ts';
import { stateRecordKey } from '../../schemas/state.ts';
import { decodeStateRecord, encodeStateRecord } from '../../schemas/wire.ts';
import { definitionKey, foldDefinitionKeys, registerDefinition, type SeedTarget } from './seed-records.ts';
import { exampleWorkflows } from './workflow-catalogue.ts';
import type { WorkflowDefinition } from './workflow-model.ts';

const help = `npm run seed: registers the four example workflows.

  npm run seed -- --workspace-id W [--project-id P] [--skip-existing]

  --workspace-id W   workspace that they belong to
  --project-id P     project that they belong to; default without it
  --skip-existing    leave those alone that the project has already
  --data DIR         data folder of a running npm start; .weir without it
  --help             this text

KAFKA_BROKERS names brokers of your own, WEIR_TOPIC_STATE the topic of what people set up.`;

const badUsageExitCode = 2;

function endBadUsage(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(badUsageExitCode);
}

function readOptions() {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    'workspace-id': text,
    'project-id': { ...text, default: 'default' },
    'skip-existing': flag,
    data: { ...text, default: '.weir' },
    help: flag,
  };
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    return endBadUsage(`${(error as Error).message}\n\n${help}`);
  }
}

function readSettings(dataDir: string): Settings {
  const parsed = parseSettings({ ...readRunningServers(process.env.WEIR_DATA_DIR ?? dataDir), ...process.env });
  if ('problems' in parsed) return endBadUsage(formatProblems(parsed.problems));
  if (parsed.settings.kafkaBrokers.length > 0) return parsed.settings;
  return endBadUsage('nothing runs here (npm start, --data DIR); or set KAFKA_BROKERS');
}

const stderrLog: KafkaLog = {
  warn: (_, message) => void process.stderr.write(`${message}\n`),
  debug: () => undefined,
};

async function prepareTopic(kafka: Kafka, topic: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await createTopics(admin, [stateTopicSpec(topic)], -1);
  } finally {
    await admin.disconnect();
  }
}

/** Every record of the topic up to its present end. */
async function readTopic(kafka: Kafka, topic: string): Promise<StateRecord[]> {
  const admin = kafka.admin();
  await admin.connect();
  const groupId = `weir-seed-${process.pid}-${Date.now()}`;
  const open = new Map<number, number>();
  for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
    if (Number(high) > Number(low)) open.set(partition, Number(high));
  }
  const records = open.size === 0 ? [] : await consumeUntil(kafka, { topic, groupId, open });
  // Nobody comes back to this group.
  if (open.size > 0 || records.length > 0) await admin.deleteGroups([groupId]).catch(() => undefined);
  await admin.disconnect();
  return records;
}

async function consumeUntil(
  kafka: Kafka,
  { topic, groupId, open }: { topic: string; groupId: string; open: Map<number, number> },
): Promise<StateRecord[]> {
  const records: StateRecord[] = [];
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 });
  const left = new Map(open);
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const eachBatch = async ({
        batch,
      }: {
        batch: { partition: number; messages: { value: Buffer | null }[]; lastOffset(): string };
      }) => {
        for (const { value } of batch.messages) if (value !== null) records.push(decodeStateRecord(value));
        // Of the batch and not of its last message: what ends a transaction takes an offset too.
        if (Number(batch.lastOffset()) + 1 >= (left.get(batch.partition) ?? 0)) left.delete(batch.partition);
        if (left.size === 0) resolve();
      };
      // A coordinator that is still loading is no end: the client joins again by itself.
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (!payload.restart) reject(payload.error);
      });
      consumer.run({ autoCommit: false, eachBatch }).catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
  return records;
}

async function publish(kafka: Kafka, topic: string, records: readonly StateRecord[]): Promise<void> {
  if (records.length === 0) return;
  const producer = createProducer(kafka);
  await producer.connect();
  try {
    const messages = records.map((record) => ({ key: stateRecordKey(record), value: encodeStateRecord(record) }));
    await producer.send({ topic, acks: -1, messages });
  } finally {
    await producer.disconnect();
  }
}

const options = readOptions();
if (options.help) {
  process.stdout.write(`${help}\n`);
  process.exit(0);
}
const workspace = options['workspace-id'] ?? endBadUsage(`--workspace-id is missing\n\n${help}`);
const target: SeedTarget = { workspace, project: options['project-id'], nowMs: Date.now() };
const settings = readSettings(options.data);
const kafka = createKafka(kafkaOptions(settings), stderrLog);
const topic = settings.topicState;

await prepareTopic(kafka, topic);
const existing = options['skip-existing'] ? foldDefinitionKeys(await readTopic(kafka, topic)) : new Set<string>();
const isNew = ({ id }: WorkflowDefinition) => !existing.has(definitionKey(target, id));
const registered = exampleWorkflows.filter(isNew).map((definition) => registerDefinition(definition, target));
await publish(kafka, topic, registered);
for (const definition of exampleWorkflows) {
  const verb = isNew(definition) ? 'registered' : 'left alone ';
  process.stdout.write(`${verb} ${definition.id}: ${definition.name}\n`);
}
process.stdout.write(
  `${registered.length} of ${exampleWorkflows.length} registered in ${workspace}/${target.project}\n`,
);
