import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertCounts, durable, fillTopic, partitions } from './catch-up.ts';
import { finishBench, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';

/**
 * One, two and four pipeline processes on the four partitions of one backlog. They share this machine with the broker and
 * ClickHouse, so what is printed beside the rate is how much of the machine was in use: a rate that does not grow while the
 * cores are full is bound by the cores, and one that does not grow while they are idle would be bound by us.
 */
const { values: options } = parseArgs({ options: { records: { type: 'string', default: '1000000' } } });
const records = Number(options.records);
const cores = availableParallelism();

const servers = await BenchServers.start();
try {
  await fillTopic(servers, 'shared', 'avro', records);
  await servers.createTopic('shared-none', 1);
  const rows: Record<string, string | number>[] = [];
  for (const processes of [1, 2, 4]) {
    rows.push(await catchUpTogether(processes));
    console.log(rows.at(-1));
  }
  finishBench('partitions', rows, []);
} finally {
  await servers.stop();
}

async function catchUpTogether(processes: number): Promise<Record<string, string | number>> {
  const database = await servers.createDatabase();
  const settings = { WEIR_GROUP_ID: `shared-${processes}` };
  const topics = { executions: 'shared-none', tasks: 'shared' };
  const clickhouseBefore = cpuSecondsOf(servers.clickhouse.pid);
  const pipelines = Array.from({ length: processes }, () => servers.startPipeline(database, topics, settings));
  // Joining the group is not counted; whoever joins late makes the others join again, which is.
  while ((await durable(database)) === 0) await sleep(20);
  const [startedMs, already] = [Date.now(), await durable(database)];
  while ((await durable(database)) < records) await sleep(50);
  const seconds = (Date.now() - startedMs) / 1000;
  const own = pipelines.map(({ cpuSeconds }) => cpuSeconds);
  const clickhouse = cpuSecondsOf(servers.clickhouse.pid) - clickhouseBefore;
  const peakMb = Math.max(...pipelines.map(({ peakMemoryMb }) => peakMemoryMb));
  await Promise.all(pipelines.map((pipeline) => pipeline.stop()));
  await assertCounts(database, records);
  await database.close();
  const sum = own.reduce((total, value) => total + value, 0);
  return {
    processes,
    partitions,
    'records/s': Math.round((records - already) / seconds),
    'own CPU us/record': round((sum / records) * 1e6),
    'ClickHouse CPU us/record': round((clickhouse / records) * 1e6),
    'cores used by both': `${((sum + clickhouse) / seconds).toFixed(2)} of ${cores}`,
    'peak memory MB each': Math.round(peakMb),
  };
}
