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
import { createScoreMetrics, Scorer, scorerDefaults } from './scorer.ts';

/** Judges closed windows, keeps alerts, and tells people of them; scores what has ended. */

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

const runStreams = [
  `${settings.topicExecutions}@${settings.streamEpochExecutions}`,
  `${settings.topicTasks}@${settings.streamEpochTasks}`,
];
const shard = { shard: settings.alertShard, shards: settings.alertShards };
const evaluator = new Evaluator({
  database,
  streams: [...runStreams, `${settings.topicOrchestrators}@${settings.streamEpochOrchestrators}`],
  ...shard,
  bookOf: state.bookOf,
  actsOf: state.actsOf,
  publish: (changes) => announcer.publish(changes),
  metrics,
  nowMs: Date.now,
});

const scorer = new Scorer({
  database,
  streams: runStreams,
  ...shard,
  metrics: createScoreMetrics(registry),
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
const working = Promise.all([judge(), score()]);
onStop('evaluator and scorer', async () => {
  stopping.abort();
  await working;
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

/** Alerts do not wait for scores, and what fails is done again: a stretch that is not written down is not scored. */
async function score(): Promise<void> {
  while (!stopping.signal.aborted) {
    try {
      if (evaluator.waitingFor === '' && !(await scorer.run())) continue;
    } catch (error) {
      log.warn(error, 'what has ended could not be scored; it is scored again');
    }
    await sleep(scorerDefaults.intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
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
