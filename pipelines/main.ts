import { Database } from '../clickhouse/client.ts';
import { ClickHouseStore } from './clickhouse-store.ts';
import { createKafka } from './kafka.ts';
import { createPipelineMetrics } from './metrics.ts';
import { Pipeline } from './pipeline.ts';
import { startProcess } from './process.ts';
import { RollupJob } from './rollup.ts';
import { createRollupMetrics } from './rollup-metrics.ts';
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

// Every pipeline carries the roll-up job: instances share it, and any of them may die in the middle of it.
const rollup = new RollupJob({
  database,
  metrics: createRollupMetrics(metricsRegistry),
  log,
  intervalMs: settings.rollupIntervalMs,
});
onStop('roll-up job', () => rollup.stop());
rollup.start();
await pipeline.start();
