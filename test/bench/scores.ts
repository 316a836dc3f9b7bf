import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { scoreDefaults, scoreEnds } from '../../clickhouse/queries/scores.ts';
import { finishBench, median, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';

/**
 * What scoring costs ClickHouse: an hour of ended attempts in its twelve windows, and the hour once more for what came late. Set beside
 * what `npm run bench -- ingest-vs-engine` says of a record; an attempt that is told from its queueing on is three of them.
 */
const { values: options } = parseArgs({
  options: { ends: { type: 'string', default: '120000' }, tasks: { type: 'string', default: '1000' } },
});
const [ends, tasks] = [Number(options.ends), Number(options.tasks)] as [number, number];
const hourSeconds = 3600;
const startSeconds = (Math.floor(Date.now() / 1000 / hourSeconds) - 3) * hourSeconds;
const all = { shard: 0, shards: 1 };

async function fill(database: Database): Promise<void> {
  const names = `'default', 'airflow', concat('workflow ', toString(intDiv(task, 10)))`;
  await database.command(
    `INSERT INTO baselines (workspace, source, workflow_id, workflow_version, task_id, measure, valid_from, id, n, center, spread, p05, p25, p50, p75, p95)
     SELECT ${names}, '', concat('task ', toString(task)), if(number % 2 = 0, 'duration', 'queue'), toDateTime(${startSeconds - hourSeconds}), concat('b', toString(number)),
       200, log(10000), 0.2, 6000, 8000, 10000, 12000, 16000
     FROM (SELECT number, intDiv(number, 2) AS task FROM numbers(${2 * tasks}))`,
  );
  await database.command(
    `INSERT INTO resource_baselines (workspace, source, workflow_id, task_id, measure, valid_from, id, n, center, spread, p05, p50, p95)
     SELECT ${names}, concat('task ', toString(task)), if(number % 2 = 0, 'cpu', 'memory'), toDateTime(${startSeconds - hourSeconds}), concat('r', toString(number)),
       200, log(10000), 0.2, 6000, 10000, 16000
     FROM (SELECT number, intDiv(number, 2) AS task FROM numbers(${2 * tasks}))`,
  );
  await database.command(
    `INSERT INTO task_events (workspace, source, workflow_id, workflow_version, execution_id, task_id, map_index, attempt, state, event_time, duration_us,
       queue_us, cpu_us, memory_peak_bytes, stream, partition, offset, worker_id)
     SELECT ${names}, 'v1', concat('run ', toString(intDiv(number, 10))), concat('task ', toString(task)), -1, 1, 'completed',
       toDateTime64(${startSeconds}, 3) + ${hourSeconds} * number / ${ends}, us, us, us, us * 10, 'bench@1', 0, number, concat('worker-', toString(number % 50))
     FROM (SELECT number, number % ${tasks} AS task, toInt64(1000 * exp(log(10000) + (cityHash64(number) % 1000 - 500) / 400)) AS us FROM numbers(${ends}))`,
  );
}

interface Cost {
  cpuUs: number;
  seconds: number;
}

async function costOf(clickhousePid: number, work: () => Promise<unknown>): Promise<Cost> {
  const [startedMs, before] = [performance.now(), cpuSecondsOf(clickhousePid)];
  await work();
  return {
    cpuUs: (cpuSecondsOf(clickhousePid) - before) * 1e6,
    seconds: (performance.now() - startedMs) / 1000,
  };
}

const servers = await BenchServers.start();
try {
  const database = await servers.createDatabase();
  await fill(database);
  const runs: Cost[] = [];
  for (let repeat = 0; repeat < 3; repeat++) {
    runs.push(
      await costOf(servers.clickhouse.pid, async () => {
        for (let window = 0; window < 12; window++) {
          const fromMs = (startSeconds + window * 300) * 1000;
          await scoreEnds(database, { fromMs, toMs: fromMs + 300_000, ...all });
        }
        const hour = { fromMs: startSeconds * 1000, toMs: (startSeconds + hourSeconds) * 1000 };
        await scoreEnds(database, { ...hour, ...all, isLate: true });
      }),
    );
  }
  const [written] = await database.rows<{ n: number; unusual: number }>(
    "SELECT toFloat64(count()) AS n, toFloat64(countIf(direction != 'usual')) AS unusual FROM scores FINAL",
  );
  const cpuUs = median(runs.map((run) => run.cpuUs)) / ends;
  finishBench(
    'scores',
    [
      { what: 'ended attempts', value: ends },
      { what: 'scores', value: written?.n ?? 0 },
      { what: 'of these not usual', value: written?.unusual ?? 0 },
      { what: 'CPU us an end, both times', value: round(cpuUs) },
      { what: 'seconds for the hour', value: round(median(runs.map((run) => run.seconds))) },
      { what: 'deviations from which it is unusual', value: scoreDefaults.unusualFrom },
    ],
    [
      {
        name: 'scores-complete',
        value: (written?.n ?? 0) / ends,
        unit: 'scores an end',
        direction: 'at least',
        bound: 4,
      },
    ],
  );
} finally {
  await servers.stop();
}
