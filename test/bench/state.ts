import { parseArgs } from 'node:util';
import { StatePublisher } from '../../pipelines/state/publisher.ts';
import { finishBench, percentile, round } from './report.ts';
import { BenchServers } from './servers.ts';

/**
 * How long somebody who changes what people set up waits for the answer, which comes when the change can be read back: through
 * Kafka, a pipeline process as it ships, and ClickHouse. Changes come one after another, each of another entry.
 */
const { values: options } = parseArgs({ options: { changes: { type: 'string', default: '100' } } });
const topic = 'state-bench';
const warmUpChanges = 10;

const servers = await BenchServers.start();
const database = await servers.createDatabase();
const publisher = new StatePublisher({ kafka: servers.client, database, topic, epoch: 1, timeoutMs: 60_000 });
try {
  for (const name of ['executions', 'tasks']) await servers.createTopic(name);
  const pipeline = servers.startPipeline(
    database,
    { executions: 'executions', tasks: 'tasks' },
    { WEIR_TOPIC_STATE: topic },
  );
  await publisher.connect();
  const times: number[] = [];
  for (let change = 0; change < Number(options.changes) + warmUpChanges; change++) {
    const entry = { workspace: 'bench', collection: 'silences', key: `silence-${change}` };
    const startedMs = performance.now();
    await publisher.put({ ...entry, changedBy: 'bench', value: { change }, expectedRevision: 0 });
    if (change >= warmUpChanges) times.push(performance.now() - startedMs);
  }
  await pipeline.stop();
  const rows = [0.5, 0.95, 1].map((share) => ({ percentile: share * 100, ms: round(percentile(times, share)) }));
  finishBench('state', rows, [
    { name: 'state', value: percentile(times, 0.95), unit: 'ms, p95 of a change', direction: 'at most', bound: 300 },
  ]);
} finally {
  await publisher.close();
  await database.close();
  await servers.stop();
}
