import { parseArgs } from 'node:util';
import { Registry } from 'prom-client';
import type { Database } from '../../clickhouse/client.ts';
import { executionDimensions } from '../../clickhouse/tables/cells.ts';
import { rollupPairs } from '../../clickhouse/tables/rollups.ts';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import { type Bar, finishBench, median, round } from './report.ts';
import { BenchServers } from './servers.ts';

/**
 * How fast the roll-up job makes hours and days of minute cells, beside what one would write by hand: one INSERT …
 * SELECT that computes all hours anew, without versions, slices, cursors or days. And what the job takes for a few
 * late cells, where the plain way computes everything again.
 */
const { values: options } = parseArgs({
  options: {
    cells: { type: 'string', default: '2000000' },
    days: { type: 'string', default: '14' },
    workflows: { type: 'string', default: '200' },
    repeat: { type: 'string', default: '2' },
  },
});
const [cells, days, workflows, repeat] = [options.cells, options.days, options.workflows, options.repeat].map(
  Number,
) as [number, number, number, number];
const daySeconds = 86_400;
const startSeconds = Math.floor(Date.now() / 1000 / daySeconds - days) * daySeconds;

/** Cells of four partitions, each with three buckets in two histograms. */
async function fill(database: Database, from: number, n: number, late = false): Promise<void> {
  const minutes = days * 1440;
  await database.command(
    `INSERT INTO execution_cells (workspace, project, source, workflow_id, workflow_version, trigger_type, window_start, stream, partition, chunk,
       fold_version, ver, contributions, started, completed, completed_duration_us_sum, completed_duration_us_min, completed_duration_us_max,
       completed_duration_us_hist, queue_us_sum, queue_us_min, queue_us_max, queue_us_hist, written_at)
     SELECT concat('workspace ', toString(workflow % 10)), '', 'airflow', concat('workflow ', toString(workflow)), '1', 'scheduled',
       toDateTime(${startSeconds}) + 60 * (intDiv(number, ${workflows} * 4) * 7 % ${minutes}), 'bench@1', number % 4, intDiv(number, 20000), 1,
       281474976710656 + 1 + intDiv(number, 20000) * 65536 + ${late ? 9 : 1}, 6, 3, 3, 3 * us, us, us,
       map(toInt16(bucket), toInt64(1), toInt16(bucket + 1), toInt64(2)), us, us, us, map(toInt16(bucket + 7), toInt64(3)), now() - ${late ? 0 : 3600}
     FROM (SELECT number, intDiv(number, 4) % ${workflows} AS workflow, 1000000 + cityHash64(number) % 9000000 AS us, toInt16(600 + cityHash64(number) % 150) AS bucket
           FROM numbers(${from}, ${n}))`,
    { max_partitions_per_insert_block: 1000 },
  );
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1000;
}

const silent = () => undefined;
const createJob = (database: Database) =>
  new RollupJob({
    database,
    metrics: createRollupMetrics(new Registry()),
    log: { info: silent, warn: silent, error: silent },
    intervalMs: 1_000,
  });

async function runPlain(database: Database): Promise<void> {
  const [{ hours }] = rollupPairs as [(typeof rollupPairs)[number]];
  const merge = ({ column, merge: how }: (typeof hours.measures)[number]) =>
    how === 'histogram' ? `sumMap(c.${column}) AS ${column}` : `${how}(c.${column}) AS ${column}`;
  const key = executionDimensions.map((dimension) => `c.${dimension}`).join(', ');
  await database.command('CREATE TABLE IF NOT EXISTS plain_hours AS execution_hours');
  await database.command('TRUNCATE TABLE plain_hours');
  await database.insertSelect(
    `INSERT INTO plain_hours (${executionDimensions.join(', ')}, window_start, ${hours.measures.map(({ column }) => column).join(', ')})
     SELECT ${key}, toStartOfHour(c.window_start) AS hour, ${hours.measures.map(merge).join(', ')}
     FROM execution_cells AS c FINAL GROUP BY ${key}, hour`,
    {},
    { max_partitions_per_insert_block: 1000 },
  );
}

async function measureOnce(servers: BenchServers, jobFirst: boolean) {
  const database = await servers.createDatabase();
  const step = 500_000;
  for (let from = 0; from < cells; from += step) await fill(database, from, Math.min(step, cells - from));
  let plain = jobFirst ? 0 : await seconds(() => runPlain(database));
  const rollup = createJob(database);
  const job = await seconds(() => rollup.runToEnd());
  if (jobFirst) plain = await seconds(() => runPlain(database));
  await fill(database, 0, 1_000, true);
  const late = await seconds(() => rollup.runToEnd());
  const latePlain = await seconds(() => runPlain(database));
  await assertEqual(database);
  const idle = await seconds(() => rollup.runToEnd());
  await database.close();
  return { job, plain, late, latePlain, idle };
}

/** A rate of wrong numbers is worth nothing. */
async function assertEqual(database: Database): Promise<void> {
  const [sums] = await database.rows<Record<string, string>>(
    `SELECT (SELECT toString(sum(contributions)) FROM executions_1m) AS minutes, (SELECT toString(sum(contributions)) FROM executions_1h) AS hours,
       (SELECT toString(sum(contributions)) FROM executions_1d) AS days`,
  );
  if (sums?.minutes !== sums?.hours || sums?.minutes !== sums?.days)
    throw new Error(`not equal: ${JSON.stringify(sums)}`);
}

const servers = await BenchServers.start();
const runs: Awaited<ReturnType<typeof measureOnce>>[] = [];
for (let at = 0; at < repeat; at++) runs.push(await measureOnce(servers, at % 2 === 0));
await servers.stop();
const secondsOf = (name: keyof (typeof runs)[number]) => median(runs.map((run) => run[name]));
const spread = (name: keyof (typeof runs)[number]) => {
  const values = runs.map((run) => run[name]);
  return `${round(Math.min(...values))} to ${round(Math.max(...values))}`;
};
const rows = (['job', 'plain', 'late', 'latePlain', 'idle'] as const).map((name) => ({
  what: name,
  seconds: round(secondsOf(name)),
  spread: spread(name),
  cellsPerSecond: Math.round(cells / secondsOf(name)),
}));
const bars: Bar[] = [
  { name: 'rollup', value: cells / secondsOf('job'), unit: 'cells/s', direction: 'at least', bound: 100_000 },
  {
    name: 'rollup of history',
    value: secondsOf('job') / secondsOf('plain'),
    unit: 'times the plain way',
    direction: 'at most',
    bound: 3,
  },
  {
    name: 'rollup of late cells',
    value: secondsOf('late') / secondsOf('latePlain'),
    unit: 'times the plain way',
    direction: 'at most',
    bound: 0.5,
  },
];
finishBench('rollup', rows, bars);
