import { writeSync } from 'node:fs';
import { Database } from '../../clickhouse/client.ts';
import { ClickHouseStore } from '../../pipelines/clickhouse-store.ts';
import { createKafka } from '../../pipelines/kafka.ts';
import { createPipelineMetrics } from '../../pipelines/metrics.ts';
import { Pipeline } from '../../pipelines/pipeline.ts';
import { startProcess } from '../../pipelines/process.ts';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import { SchemaRegistry } from '../../pipelines/schema-registry.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';
import type { FlushPoint } from '../../pipelines/writer.ts';

/**
 * The process of pipelines/main.ts with shorter waits, and three doors for faults: it dies at the n-th time it reaches
 * CHAOS_DIE_AT=POINT:N, its clock jumps by CHAOS_CLOCK_JUMP_MS with every second SIGUSR2 and back with every other one, and
 * CHAOS_ROLLUP_OVERLAP_SECONDS shortens what the roll-up job reads again.
 */
const say = (text: string): void => void writeSync(1, `{"chaos":"${text}"}\n`);

let shiftMs = 0;
const RealDate = Date;
const realNow = Date.now;
Date.now = () => realNow() + shiftMs;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [target.now()] : args),
});
process.on('SIGUSR2', () => {
  shiftMs = shiftMs === 0 ? Number(process.env.CHAOS_CLOCK_JUMP_MS) : 0;
  say(`clock jumped to ${shiftMs} ms`);
});

const [deadlyPoint = '', times = '1'] = (process.env.CHAOS_DIE_AT ?? '').split(':');
let timesLeft = Number(times);
function reach(point: string): void {
  if (point !== deadlyPoint || --timesLeft > 0) return;
  say(`dies at ${point}`);
  process.kill(process.pid, 'SIGKILL');
}

const { settings, log, registry: metrics, reportReadiness, onStop } = await startProcess({ name: 'pipelines' });
const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());
const store = new ClickHouseStore(database);
const insert = store.insert.bind(store);
let flushPoint: FlushPoint = 'committed';
// The server has the first rows of a step, and nobody of ours will ever know.
store.insert = async (batch) => {
  const step = flushPoint;
  await insert(batch);
  reach(`amid-after-${step}`);
};
const pipeline = new Pipeline({
  settings,
  kafka: createKafka(kafkaOptions(settings), log),
  store,
  registry:
    settings.schemaRegistryUrl === ''
      ? null
      : new SchemaRegistry({ url: settings.schemaRegistryUrl, username: '', password: '' }),
  metrics: createPipelineMetrics(metrics, Date.now),
  log,
  timing: { sessionTimeoutMs: 6_000, insertTimeoutMs: 2_000 },
  reached: (point) => {
    flushPoint = point;
    reach(point);
  },
});
reportReadiness(() => pipeline.whyNotReady());
onStop('pipeline', () => pipeline.stop());

const overlapSeconds = Number(process.env.CHAOS_ROLLUP_OVERLAP_SECONDS ?? 0);
const rollup = new RollupJob({
  database,
  metrics: createRollupMetrics(metrics),
  log,
  intervalMs: settings.rollupIntervalMs,
  // Small slices, so that a run has many steps to die between.
  limits: { sliceRows: 10_000, ...(overlapSeconds > 0 ? { overlapSeconds } : {}) },
  reached: (point) => reach(`rollup-${point}`),
});
onStop('roll-up job', () => rollup.stop());
rollup.start();
await pipeline.start();
