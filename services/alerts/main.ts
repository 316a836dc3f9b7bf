import { Database } from '../../clickhouse/client.ts';
import { createKafka, createTopics } from '../../pipelines/kafka.ts';
import { startProcess } from '../../pipelines/process.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';
import { Notifier } from './notifier.ts';

/** Watches over alerts and tells people of them. Start as many as wanted: they share the work. */
const { settings, log, registry, reportReadiness, onStop } = await startProcess({ name: 'alerts' });

const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());
const kafka = createKafka({ ...kafkaOptions(settings), clientId: `${settings.kafkaClientId}-alerts` }, log);
await makeTopic();

const notifier = new Notifier({ settings, kafka, database, registry, log });
onStop('notifier', () => notifier.stop());
reportReadiness(() => 'joining its consumer group');
await notifier.start();
log.info({ topic: settings.topicAlerts }, 'telling people of alerts');
reportReadiness(() => notifier.whyNotReady());

async function makeTopic(): Promise<void> {
  const { topicAlerts: topic, partitions, topicRetentionDays } = settings;
  const admin = kafka.admin();
  await admin.connect();
  // -1 leaves the number of copies to the cluster.
  await createTopics(admin, [{ topic, partitions, retentionMs: topicRetentionDays * 86_400_000 }], -1);
  await admin.disconnect();
}
