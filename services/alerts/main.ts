import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../../clickhouse/client.ts';
import { createKafka, createTopics, stateTopicSpec } from '../../pipelines/kafka.ts';
import { startProcess } from '../../pipelines/process.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';
import { StateLog } from '../query/state-log.ts';
import { createAlertMetrics } from './alert-metrics.ts';
import { AlertState } from './alert-state.ts';
import { Announcer } from './announcer.ts';
import { Evaluator, evaluatorDefaults } from './evaluator.ts';
import { Notifier } from './notifier.ts';

/** Judges closed windows, keeps alerts, and tells people of them. */

const { settings, log, registry, reportReadiness, onStop } = await startProcess({ name: 'alerts' });
const metrics = createAlertMetrics(registry);

const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());

const kafka = createKafka({ ...kafkaOptions(settings), clientId: `${settings.kafkaClientId}-alerts` }, log);
const announcer = new Announcer(kafka, settings.topicAlerts);
onStop('producer', () => announcer.close());

// What people set up decides about the first window already, so all of it is read before.
reportReadiness(() => 'reading what people set up from Kafka');
const state = new AlertState((record, problems) =>
  log.warn({ workspace: record.workspace, key: record.key, problems }, 'a rule that cannot work is left out'),
);
await readState();

const evaluator = new Evaluator({
  database,
  streams: [
    `${settings.topicExecutions}@${settings.streamEpochExecutions}`,
    `${settings.topicTasks}@${settings.streamEpochTasks}`,
    `${settings.topicOrchestrators}@${settings.streamEpochOrchestrators}`,
  ],
  shard: settings.alertShard,
  shards: settings.alertShards,
  bookOf: state.bookOf,
  actsOf: state.actsOf,
  publish: (changes) => announcer.publish(changes),
  metrics,
  nowMs: Date.now,
});

const notifier = new Notifier({ settings, kafka, database, registry, log });
onStop('notifier', () => notifier.stop());
reportReadiness(() => 'joining its consumer group');
await notifier.start();
log.info({ topic: settings.topicAlerts }, 'telling people of alerts');

let failure = '';
reportReadiness(() => failure || evaluator.waitingFor || notifier.whyNotReady());
const stopping = new AbortController();
const judging = judge();
onStop('evaluator', async () => {
  stopping.abort();
  await judging;
});

/** Windows are judged as they close; what fails is done again, because a round that is not written down is not done. */
async function judge(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      const isDone = await evaluator.run();
      failure = '';
      if (!isDone) continue;
    } catch (error) {
      metrics.failures.inc();
      failure = `the newest window cannot be judged: ${(error as Error).message}`;
      log.warn(error, 'a window could not be judged; it is judged again');
    }
    await sleep(evaluatorDefaults.intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
  }
}

async function readState(): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const retentionMs = settings.topicRetentionDays * 86_400_000;
  const topics = [
    stateTopicSpec(settings.topicState),
    { topic: settings.topicAlerts, partitions: settings.partitions, retentionMs },
  ];
  await createTopics(admin, topics, -1);
  await admin.disconnect();
  const stateLog = new StateLog(
    kafka,
    settings.topicState,
    (record) => state.take(record),
    (offset, error) => log.warn({ offset, err: error }, 'a record of the topic of state cannot be read'),
  );
  onStop('state', () => stateLog.close());
  await stateLog.open();
}
