import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import {
  assertCounts,
  catchUp,
  durable,
  fillTopic,
  makeRecords,
  partitions,
  type Run,
  sendRecords,
} from './catch-up.ts';
import { type Bar, finishBench, median, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';

/**
 * Whether ingest grows slower with what is stored, or with the number of workflows. One pipeline reads one topic on; where it has stored
 * 10^5, 10^6 and 10^7 rows and all of them are merged, the same number of records is sent at once, and its rate is from the first of them
 * sent to the last of them durable. What merging takes until all is merged again is told too, and how fast rows came in on the way,
 * which for the last millions is long enough for the merging to keep up beside them. Then backlogs of 10, 1 000 and 100 000 workflows.
 * What a process holds of keys are the cells of chunks that are not complete, rows that are not written and what it remembers, which
 * WEIR_CHUNK_RECORDS, WEIR_FLUSH_ROWS and WEIR_HISTORY_RECORDS bound: the last run shows by how much.
 */
const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '10000000' }, records: { type: 'string', default: '500000' } },
});
const rowsMost = Number(options.rows);
const records = Number(options.records);
const steps = [1e5, 1e6, 1e7].filter((step) => step <= rowsMost);
const slowerMost = 0.15;
const quietLeastMs = 10_000;

/** A third of what is held of records and their cells until they are written, and of what is remembered. */
const frugal = { WEIR_CHUNK_RECORDS: '4096', WEIR_FLUSH_ROWS: '20000', WEIR_HISTORY_RECORDS: '30000' };
const fleets: { workflows: number; settings?: Record<string, string> }[] = [
  { workflows: 10 },
  { workflows: 1000 },
  { workflows: 100_000 },
  { workflows: 100_000, settings: frugal },
];

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
  const all = (steps.at(-1) as number) + records;
  const backlog = makeRecords('avro', all, { spanMs: (all / 1e6) * 30 * 60_000 });
  await servers.createTopic('long', partitions);
  await servers.createTopic('long-none', 1);
  const database = await servers.createDatabase();
  const pipeline = servers.startPipeline(database, { executions: 'long-none', tasks: 'long' });
  let stored = 0;
  const store = async (count: number): Promise<Run> => {
    const [startedMs, ownBefore, before] = [
      performance.now(),
      pipeline.cpuSeconds,
      cpuSecondsOf(servers.clickhouse.pid),
    ];
    await sendRecords(servers, 'long', backlog, count);
    stored += count;
    while ((await durable(database)) < stored) await sleep(50);
    return {
      recordsPerSecond: (1000 * count) / (performance.now() - startedMs),
      cpuMicrosPerRecord: (1e6 * (pipeline.cpuSeconds - ownBefore)) / count,
      clickhouseCpuMicrosPerRecord: (1e6 * (cpuSecondsOf(servers.clickhouse.pid) - before)) / count,
      peakMemoryMb: pipeline.peakMemoryMb,
    };
  };
  const tell = (row: Record<string, string | number>) => {
    rows.push(row);
    console.log(row);
  };
  const rates: number[] = [];
  for (const step of steps) {
    const way = step - stored;
    tell(describe(`${way} rows on the way`, await store(way)));
    await settle(database);
    const before = cpuSecondsOf(servers.clickhouse.pid);
    const run = await store(records);
    await settle(database);
    const untilMerged = cpuSecondsOf(servers.clickhouse.pid) - before;
    rates.push(run.recordsPerSecond);
    tell({ ...describe(`${step} rows stored`, run), 'until merged': round((untilMerged / records) * 1e6) });
    await assertCounts(database, stored);
  }
  await pipeline.stop();
  await database.close();
  return rates;
}

/** Until ClickHouse has had nothing to merge for a while. */
async function settle(database: Database): Promise<void> {
  for (let quietSinceMs = Date.now(); Date.now() - quietSinceMs < quietLeastMs; await sleep(200)) {
    const [row] = await database.rows<{ merges: number }>('SELECT count() AS merges FROM system.merges');
    if (row?.merges !== 0) quietSinceMs = Date.now();
  }
}

function describe(name: string, run: Run): Record<string, string | number> {
  return {
    run: name,
    'records/s': Math.round(run.recordsPerSecond),
    'own CPU us/record': round(run.cpuMicrosPerRecord),
    'ClickHouse CPU us/record': round(run.clickhouseCpuMicrosPerRecord),
    'peak memory MB': Math.round(run.peakMemoryMb),
  };
}

async function growInKeys(rows: Record<string, string | number>[]): Promise<number[]> {
  const peaks: number[] = [];
  for (const { workflows, settings = {} } of fleets) {
    const topic = `keys-${rows.length}`;
    await fillTopic(servers, topic, 'avro', records, { workflows });
    const database = await servers.createDatabase();
    const run = await catchUp(servers, topic, database, records, settings);
    await database.close();
    peaks.push(run.peakMemoryMb);
    rows.push(
      describe([`${workflows} workflows`, ...Object.entries(settings).map((own) => own.join('='))].join(', '), run),
    );
    console.log(rows.at(-1));
  }
  return peaks;
}
