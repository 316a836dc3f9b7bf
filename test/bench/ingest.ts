import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { createDecoder } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { catchUp, fillTopic, partitions, type Run } from './catch-up.ts';
import { type Bar, finishBench, median, percentile, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';
import { measureFreshness } from './steady-load.ts';

/**
 * How fast a backlog is caught up with, and how fresh the numbers are under a steady load: broker, ClickHouse and pipeline
 * share this machine's cores. Beside the pipeline runs what one would write by hand: a consumer that decodes and
 * validates the same records and inserts their main fields as JSON, with no duplicate filter, no joins, no
 * revisions, no rollups and no ledger.
 */
const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    repeat: { type: 'string', default: '2' },
    'freshness-seconds': { type: 'string', default: '30' },
    rate: { type: 'string', default: '1000' },
  },
});
const records = Number(options.records);
const repeat = Number(options.repeat);

/** The consumer one would write by hand. */
async function byHand(servers: BenchServers, topic: string, database: Database): Promise<Run> {
  await database.command(
    `CREATE TABLE by_hand (workflow_id String, execution_id String, task_id String, state String, event_time DateTime64(3), duration_us Nullable(Int64))
     ENGINE = MergeTree ORDER BY (workflow_id, task_id, event_time)`,
  );
  const decoder = createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 5_000_000 });
  const consumer = servers.client.consumer({ groupId: `by-hand-${topic}-${database.name}`, maxWaitTimeInMs: 200 });
  const cpuBefore = process.cpuUsage();
  const clickhouseBefore = cpuSecondsOf(servers.clickhouse.pid);
  let waiting: string[] = [];
  let done = 0;
  let startedMs = 0;
  const flush = async () => {
    const rows = waiting;
    waiting = [];
    await database.command(`INSERT INTO by_hand SETTINGS async_insert = 0 FORMAT JSONEachRow\n${rows.join('\n')}`);
    done += rows.length;
  };
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    partitionsConsumedConcurrently: partitions,
    eachBatch: async ({ batch }) => {
      startedMs ||= Date.now();
      for (const { key, value, timestamp, offset, headers } of batch.messages) {
        const event = decoder.decode({
          topic,
          partition: batch.partition,
          offset: Number(offset),
          timestampMs: Number(timestamp),
          key,
          value,
          headers,
        });
        if (event instanceof Rejection || event.kind !== 'task') throw new Error('the backlog holds no bad records');
        const { workflowId, executionId, taskId, state, eventTimeMs, durationUs } = event;
        const row = {
          workflow_id: workflowId,
          execution_id: executionId,
          task_id: taskId,
          state,
          event_time: eventTimeMs,
          duration_us: durationUs,
        };
        waiting.push(JSON.stringify(row));
      }
      if (waiting.length >= 50_000) await flush();
    },
  });
  while (done + waiting.length < records) await sleep(50);
  if (waiting.length > 0) await flush();
  while (done < records) await sleep(20);
  const seconds = (Date.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  await consumer.disconnect();
  return {
    recordsPerSecond: records / seconds,
    cpuMicrosPerRecord: (user + system) / records,
    clickhouseCpuMicrosPerRecord: ((cpuSecondsOf(servers.clickhouse.pid) - clickhouseBefore) / records) * 1e6,
    peakMemoryMb: Number.NaN,
  };
}

const servers = await BenchServers.start();
try {
  const rows: Record<string, string | number>[] = [];
  const rates: Record<string, number[]> = {};
  let peakMemoryMb = 0;
  for (const encoding of ['avro', 'json'] as const) {
    const topic = `backlog-${encoding}`;
    await fillTopic(servers, topic, encoding, records);
    // Both orders, so that neither always finds the machine warm.
    const contenders = [
      { name: 'weir', run: catchUp },
      { name: 'by hand', run: byHand },
    ];
    for (let round_ = 0; round_ < repeat; round_++) {
      for (const { name, run } of round_ % 2 === 0 ? contenders : contenders.toReversed()) {
        const result = await run(servers, topic, await servers.createDatabase(), records);
        const label = `${encoding} ${name}`;
        rates[label] = [...(rates[label] ?? []), result.recordsPerSecond];
        if (name === 'weir') peakMemoryMb = Math.max(peakMemoryMb, result.peakMemoryMb);
        rows.push({
          run: label,
          'records/s': Math.round(result.recordsPerSecond),
          'own CPU us/record': round(result.cpuMicrosPerRecord),
          'ClickHouse CPU us/record': round(result.clickhouseCpuMicrosPerRecord),
          'peak memory MB': Math.round(result.peakMemoryMb),
        });
        console.log(rows.at(-1));
      }
    }
  }
  const delays = await measureFreshness(servers, Number(options['freshness-seconds']), Number(options.rate));
  rows.push({ run: `freshness p50 ms at ${options.rate}/s`, 'records/s': percentile(delays, 0.5) });
  rows.push({ run: `freshness p99 ms at ${options.rate}/s`, 'records/s': percentile(delays, 0.99) });
  for (const encoding of ['avro', 'json']) {
    const ratio = median(rates[`${encoding} weir`] as number[]) / median(rates[`${encoding} by hand`] as number[]);
    rows.push({ run: `${encoding}: weir / by hand`, 'records/s': round(ratio) });
  }
  const bars: Bar[] = [
    {
      name: 'ingest-avro',
      value: median(rates['avro weir'] as number[]),
      unit: 'records/s',
      direction: 'at least',
      bound: 60_000,
    },
    { name: 'freshness-p99', value: percentile(delays, 0.99) / 1000, unit: 's', direction: 'at most', bound: 2 },
    { name: 'catch-up-memory', value: peakMemoryMb, unit: 'MB', direction: 'at most', bound: 500 },
  ];
  finishBench('ingest', rows, bars);
} finally {
  await servers.stop();
}
