import { parseArgs } from 'node:util';
import { Database } from '../../clickhouse/client.ts';
import { createDecoder } from '../decode.ts';
import { createKafka, type KafkaLog } from '../kafka.ts';
import { readSettings } from '../process.ts';
import { SchemaRegistry } from '../schema-registry.ts';
import { databaseOptions, kafkaOptions, readRunningServers } from '../servers.ts';
import { verifyBaselines } from './baseline-check.ts';
import { verifyOutcomes } from './outcome-check.ts';
import type { DifferenceList } from './report.ts';
import { verifyRollups } from './rollup-check.ts';
import { verifyState } from './state-check.ts';
import { verifyTopic } from './topic-check.ts';

/**
 * `npm run verify -- --wait SECONDS --data DIR`: recomputes every count and rollup from the Kafka log and compares them with
 * ClickHouse, the latest states of executions and attempts too, hours and days from the minutes, what people set up
 * from the log of its changes, and the newest baselines from the hours. One line each; the exit code is 1 when anything differs.
 */
const { values: args } = parseArgs({
  options: { wait: { type: 'string', default: '30' }, data: { type: 'string', default: '.weir' } },
});
const waitMs = Number(args.wait) * 1000;
if (!(waitMs >= 0)) {
  process.stderr.write('--wait takes a number of seconds\n');
  process.exit(2);
}

const settings = readSettings({ ...readRunningServers(process.env.WEIR_DATA_DIR ?? args.data), ...process.env });
if (settings.kafkaBrokers.length === 0 || settings.clickhouseUrl === '') {
  process.stderr.write(
    'nothing runs here (npm start, --data DIR); or set KAFKA_BROKERS and CLICKHOUSE_URL, with its user and password\n',
  );
  process.exit(2);
}
const stderrLog: KafkaLog = {
  warn: (_, message) => void process.stderr.write(`${message}\n`),
  debug: () => undefined,
};
// A verification reads millions of rows in one answer, which takes longer than an insert may.
const database = new Database({ ...databaseOptions(settings), requestTimeoutMs: 600_000 });
const kafka = createKafka(kafkaOptions(settings), stderrLog);
const admin = kafka.admin();
const registry =
  settings.schemaRegistryUrl === ''
    ? null
    : new SchemaRegistry({
        url: settings.schemaRegistryUrl,
        username: settings.schemaRegistryUser,
        password: settings.schemaRegistryPassword,
      });
const topics = [
  { kind: 'executions', topic: settings.topicExecutions, epoch: settings.streamEpochExecutions },
  { kind: 'tasks', topic: settings.topicTasks, epoch: settings.streamEpochTasks },
  {
    kind: 'orchestrators',
    topic: settings.topicOrchestrators,
    epoch: settings.streamEpochOrchestrators,
  },
] as const;

/** The exit code: 0 when everything is equal, 1 when anything differs, 2 when there is nothing to compare. */
async function verifyTopics(): Promise<number> {
  // The client would wait for a topic that does not exist until somebody makes it.
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter(({ topic }) => !existing.has(topic));
  if (missing.length > 0) {
    process.stderr.write(`there is no topic ${missing.map(({ topic }) => topic).join(' and no ')}\n`);
    return 2;
  }
  const { cellsRetentionDays, entityRetentionDays } = settings;
  let different = 0;
  for (const topic of topics) {
    const decoder = createDecoder({ kind: topic.kind, registry, maxValueBytes: settings.maxValueBytes });
    const report = await verifyTopic({ ...topic, entityRetentionDays, kafka, admin, database, decoder, waitMs });
    process.stdout.write(`${report.lines().join('\n')}\n`);
    different += report.different;
  }
  for (const { kind } of topics) {
    const outcomes =
      kind === 'orchestrators' ? [] : [await verifyOutcomes({ database, kind, entityRetentionDays, waitMs })];
    different += print([...outcomes, ...(await verifyRollups({ database, kind, cellsRetentionDays, waitMs }))]);
  }
  different += print(await verifyBaselines({ database }));
  // Nobody has set anything up as long as no pipeline has made the topic.
  if (existing.has(settings.topicState)) different += print(await verifyState(stateCheck()));
  return different === 0 ? 0 : 1;
}

function stateCheck() {
  const { topicState: topic, streamEpochState: epoch, maxValueBytes, deadLetterRetentionDays } = settings;
  return { kafka, admin, database, topic, epoch, maxValueBytes, deadLetterRetentionDays, waitMs };
}

/** How many values differ. */
function print(lists: readonly DifferenceList[]): number {
  for (const list of lists) process.stdout.write(`${list.lines().join('\n')}\n`);
  return lists.reduce((sum, { different }) => sum + different, 0);
}

await admin.connect();
const exitCode = await verifyTopics().finally(async () => {
  await admin.disconnect();
  await database.close();
});
process.exit(exitCode);
