import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { assertCounts, catchUp, durable, fillTopic } from './catch-up.ts';
import { type Bar, finishBench, median, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';

/**
 * Whether ingest grows slower with what is stored, or with the number of workflows. One long backlog is caught up with, and
 * its rate taken around 10^5, 10^6 and 10^7 stored rows; then shorter ones of 10, 1 000 and 100 000 workflows.
 * What a process holds of keys are the cells of chunks that are not complete, which WEIR_CHUNK_RECORDS bounds.
 */
const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, records: { type: 'string', default: '500000' } },
});
const rowsMost = Number(options.rows);
const records = Number(options.records);
const steps = [1e5, 1e6, 1e7].filter((step) => step <= rowsMost);
/** A rate is taken over this share of the step, up to it. */
const share = 0.5;
const slowerMost = 0.15;

interface Sample {
  ms: number;
  stored: number;
  ownCpu: number;
  clickhouseCpu: number;
}

const servers = await BenchServers.start();
try {
  const rows: Record<string, string | number>[] = [];
  const rates = await growInRows(rows);
  const peaks = await growInKeys(rows);
  const bars: Bar[] = [
    {
      name: 'slower-with-rows',
      value: 1 - (rates.at(-1) as number) / median(rates.slice(0, -1)),
      unit: 'of the rate before',
      direction: 'at most',
      bound: slowerMost,
    },
    { name: 'memory-with-keys', value: Math.max(...peaks), unit: 'MB', direction: 'at most', bound: 500 },
  ];
  finishBench('growth', rows, bars);
} finally {
  await servers.stop();
}

async function growInRows(rows: Record<string, string | number>[]): Promise<number[]> {
  // Event time grows with the rows, as it does where they are stored for longer: minutes stay as full as they were.
  await fillTopic(servers, 'long', 'avro', rowsMost, { spanMs: (rowsMost / 1e6) * 30 * 60_000 });
  await servers.createTopic('long-none', 1);
  const database = await servers.createDatabase();
  const pipeline = servers.startPipeline(database, { executions: 'long-none', tasks: 'long' });
  const samples: Sample[] = [];
  for (;;) {
    const stored = await durable(database);
    const [ownCpu, clickhouseCpu] = [pipeline.cpuSeconds, cpuSecondsOf(servers.clickhouse.pid)];
    samples.push({ ms: performance.now(), stored, ownCpu, clickhouseCpu });
    if (stored >= rowsMost) break;
    await sleep(200);
  }
  const peakMb = pipeline.peakMemoryMb;
  await pipeline.stop();
  await assertCounts(database, rowsMost);
  await database.close();
  return steps.map((step) => {
    const till = samples.find(({ stored }) => stored >= step) as Sample;
    const from = samples.find(({ stored }) => stored >= step * (1 - share)) as Sample;
    const taken = till.stored - from.stored;
    const rate = (taken / (till.ms - from.ms)) * 1000;
    rows.push({
      run: `${step} rows stored`,
      'records/s': Math.round(rate),
      'own CPU us/record': round(((till.ownCpu - from.ownCpu) / taken) * 1e6),
      'ClickHouse CPU us/record': round(((till.clickhouseCpu - from.clickhouseCpu) / taken) * 1e6),
      'peak memory MB': Math.round(peakMb),
    });
    console.log(rows.at(-1));
    return rate;
  });
}

async function growInKeys(rows: Record<string, string | number>[]): Promise<number[]> {
  const peaks: number[] = [];
  for (const workflows of [10, 1000, 100_000]) {
    const topic = `keys-${workflows}`;
    await fillTopic(servers, topic, 'avro', records, { workflows });
    const database = await servers.createDatabase();
    const run = await catchUp(servers, topic, database, records);
    await database.close();
    peaks.push(run.peakMemoryMb);
    rows.push({
      run: `${workflows} workflows`,
      'records/s': Math.round(run.recordsPerSecond),
      'own CPU us/record': round(run.cpuMicrosPerRecord),
      'ClickHouse CPU us/record': round(run.clickhouseCpuMicrosPerRecord),
      'peak memory MB': Math.round(run.peakMemoryMb),
    });
    console.log(rows.at(-1));
  }
  return peaks;
}
