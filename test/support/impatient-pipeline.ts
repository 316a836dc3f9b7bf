import { Database } from '../../clickhouse/client.ts';
import { ClickHouseStore } from '../../pipelines/clickhouse-store.ts';
import { createKafka } from '../../pipelines/kafka.ts';
import { createPipelineMetrics } from '../../pipelines/metrics.ts';
import { Pipeline } from '../../pipelines/pipeline.ts';
import { startProcess } from '../../pipelines/process.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';

/**
 * The process of pipelines/main.ts with shorter waits: a member that was killed is missed after 6 s instead of 30, and
 * stored rows are folded again after 8 s instead of 90. Nothing else differs.
 */
const { settings, log, registry, reportReadiness, onStop } = await startProcess({ name: 'pipelines' });
const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());
const pipeline = new Pipeline({
  settings,
  kafka: createKafka(kafkaOptions(settings), log),
  store: new ClickHouseStore(database),
  registry: null,
  metrics: createPipelineMetrics(registry, Date.now),
  log,
  timing: { sessionTimeoutMs: 6_000, insertTimeoutMs: 2_000 },
});
reportReadiness(() => pipeline.whyNotReady());
onStop('pipeline', () => pipeline.stop());
await pipeline.start();
