import { Database } from '../clickhouse/client.ts';
import { ClickHouseStore } from './clickhouse-store.ts';
import { createKafka } from './kafka.ts';
import { createPipelineMetrics } from './metrics.ts';
import { Pipeline } from './pipeline.ts';
import { startProcess } from './process.ts';
import { SchemaRegistry } from './schema-registry.ts';
import { databaseOptions, kafkaOptions } from './servers.ts';

const { settings, log, registry: metricsRegistry, reportReadiness, onStop } = await startProcess({ name: 'pipelines' });

const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());
const registry =
  settings.schemaRegistryUrl === ''
    ? null
    : new SchemaRegistry({
        url: settings.schemaRegistryUrl,
        username: settings.schemaRegistryUser,
        password: settings.schemaRegistryPassword,
      });

const pipeline = new Pipeline({
  settings,
  kafka: createKafka(kafkaOptions(settings), log),
  store: new ClickHouseStore(database),
  registry,
  metrics: createPipelineMetrics(metricsRegistry, Date.now),
  log,
});
reportReadiness(() => pipeline.whyNotReady());
onStop('pipeline', () => pipeline.stop());
await pipeline.start();
