import { Database } from '../clickhouse/client.ts';
import { BaselineJob } from './baseline-job.ts';
import { createBaselineMetrics } from './baseline-metrics.ts';
import { ClickHouseStore } from './clickhouse-store.ts';
import { CommandReader } from './commands/reader.ts';
import { createKafka } from './kafka.ts';
import { createPipelineMetrics } from './metrics.ts';
import { Pipeline } from './pipeline.ts';
import { startProcess } from './process.ts';
import { RollupJob } from './rollup.ts';
import { createRollupMetrics } from './rollup-metrics.ts';
import { SchemaRegistry } from './schema-registry.ts';
import { databaseOptions, kafkaOptions, telemetryStreams } from './servers.ts';
import { StateReader } from './state/reader.ts';

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

const kafka = createKafka(kafkaOptions(settings), log);
const metrics = createPipelineMetrics(metricsRegistry, Date.now);
const store = new ClickHouseStore(database);
const pipeline = new Pipeline({ settings, kafka, store, registry, metrics, log });
const state = new StateReader({ settings, kafka, database, metrics, log });
const commands = new CommandReader({ settings, kafka, database, metrics, log });
reportReadiness(() => pipeline.whyNotReady() || state.whyNotReady() || commands.whyNotReady());
onStop('pipeline', () => pipeline.stop());
onStop('state', () => state.stop());
onStop('commands', () => commands.stop());

// Every pipeline carries these jobs: instances share them, and any of them may die in the middle of it.
const rollup = new RollupJob({
  database,
  metrics: createRollupMetrics(metricsRegistry),
  log,
  intervalMs: settings.rollupIntervalMs,
});
onStop('roll-up job', () => rollup.stop());

const baselines = new BaselineJob({
  database,
  metrics: createBaselineMetrics(metricsRegistry),
  log,
  streams: telemetryStreams(settings),
});
onStop('baseline job', () => baselines.stop());
rollup.start();
baselines.start();
state.start();
commands.start();
await pipeline.start();
