import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Database } from '../../clickhouse/client.ts';
import { readPipelineStatus } from '../../deploy/local/status-line.ts';
import { readRunningServers } from '../../pipelines/servers.ts';
import { type Launched, launch } from '../support/launched.ts';
import { findLeaks, type Readings } from './leaks.ts';
import { diskBytesOf, readProcesses, readTables } from './readings.ts';

/**
 * `npm run soak -- --minutes M`: everything that `npm start` starts, under a steady load, watched. A leak is what rises over
 * the second half of the run and does not come down again, whatever its size; the exit code is 1 where there is one.
 */
const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    rate: { type: 'string', default: '300' },
    'every-seconds': { type: 'string', default: '5' },
  },
});
const [minutes, rate, everySeconds] = [options.minutes, options.rate, options['every-seconds']].map(Number);

/**
 * A runtime that collects what was left when it sees fit looks like one that leaks until it does. Ours are made to collect often,
 * and Kafka has so small a heap that it is full within minutes rather than hours.
 */
const collecting = {
  NODE_OPTIONS: `--import=${new URL('collect-often.ts', import.meta.url)}`,
  _JAVA_OPTIONS: '-Xms112m -Xmx112m -Xmn16m',
};

/**
 * What is done every quarter of an hour would be done once in the half that is judged. And an analysis takes what its executions take, of
 * which a workflow has more and more until there are two hundred: with twenty it takes as much at the end as in the middle.
 */
const hurried = { WEIR_INSIGHT_REFRESH_MINUTES: '2', WEIR_INSIGHT_EXECUTIONS: '20' };

const folder = mkdtempSync(path.join(tmpdir(), 'weir-soak-'));
const stack = launch(path.join(import.meta.dirname, '../../deploy/local/start.ts'), {
  args: ['--data', folder],
  env: { WEIR_DEMO_RATE: String(rate), WEIR_DEMO_HISTORY_DAYS: '1', ...collecting, ...hurried },
});
try {
  await stack.waitFor(/^ready$/m, 300_000);
  const readings = await watch(stack);
  process.exitCode = report(readings) ? 1 : 0;
} finally {
  stack.child.kill('SIGINT');
  await stack.exited;
  rmSync(folder, { recursive: true, force: true });
}

async function watch({ pid, output, child }: Launched): Promise<Readings> {
  const metricsUrl = `${/pipelines +(http:\S+)\/metrics/.exec(output())?.[1]}/metrics`;
  const servers = readRunningServers(folder);
  const database = new Database({
    url: servers.CLICKHOUSE_URL as string,
    user: servers.CLICKHOUSE_USER as string,
    password: servers.CLICKHOUSE_PASSWORD as string,
    database: servers.CLICKHOUSE_DATABASE as string,
  });
  const readings: Readings = new Map();
  const endMs = Date.now() + minutes * 60_000;
  let turns = 0;
  for (; Date.now() < endMs; turns++) {
    if (child.exitCode !== null) throw new Error(`npm start ended by itself:\n${output().slice(-2_000)}`);
    for (const [name, value] of await readAll(pid, metricsUrl, database)) note(readings, name, turns, value);
    if (turns % 12 === 0) console.log(describe(readings, turns * everySeconds));
    await sleep(everySeconds * 1_000);
  }
  await database.close();
  for (const values of readings.values()) while (values.length < turns) values.push(null);
  return readings;
}

async function readAll(pid: number, metricsUrl: string, database: Database): Promise<[string, number][]> {
  const status = await readPipelineStatus(metricsUrl);
  const { parts, storedRows } = await readTables(database);
  return [
    ...readProcesses(pid).flatMap(({ name, memoryMb, openFiles }): [string, number][] => [
      [`${name} memory MB`, memoryMb],
      [`${name} open files`, openFiles],
    ]),
    ...[...parts].map(([table, count]): [string, number] => [`${table} parts`, count]),
    ...(status === undefined ? [] : ([['lag records', status.trueLagRecords]] as [string, number][])),
    ['disk bytes a record', diskBytesOf(folder) / Math.max(1, storedRows)],
    ['stored rows', storedRows],
  ];
}

/** What was not there in earlier turns has no reading of them. */
function note(readings: Readings, name: string, turn: number, value: number): void {
  const values = readings.get(name) ?? [];
  readings.set(name, values);
  while (values.length < turn) values.push(null);
  values[turn] = value;
}

function describe(readings: Readings, seconds: number): string {
  const newest = (name: string) => Math.round(readings.get(name)?.at(-1) ?? Number.NaN);
  const memory = [...readings.keys()].filter((name) => name.endsWith(' memory MB'));
  const parts = [...readings.keys()].filter((name) => name.endsWith(' parts'));
  return [
    `${seconds} s`,
    `stored ${newest('stored rows')}`,
    `lag ${newest('lag records')}`,
    `parts ${parts.reduce((sum, name) => sum + newest(name), 0)}`,
    ...memory.map((name) => `${name.replace(' memory MB', '')} ${newest(name)} MB`),
  ].join(' · ');
}

/** True where something leaks. Rows are meant to grow. */
function report(readings: Readings): boolean {
  readings.delete('stored rows');
  const courses = findLeaks(readings);
  if (courses.length === 0) throw new Error('the run was too short to tell a slope');
  console.table(
    courses.map(({ name, first, last, rise, footRise, pValue, leaks }) => ({
      watched: name,
      'second half from': Math.round(first),
      to: Math.round(last),
      'rise %': Number((rise * 100).toFixed(1)),
      'of its feet %': Number((footRise * 100).toFixed(1)),
      'by chance': pValue.toExponential(1),
      leaks,
    })),
  );
  const leaks = courses.filter((course) => course.leaks);
  const verdict = leaks.length === 0 ? 'none' : leaks.map(({ name }) => name).join(', ');
  console.log(`soak of ${minutes} minutes at ${rate} events/s, ${courses.length} things watched, leaks: ${verdict}`);
  return leaks.length > 0;
}
