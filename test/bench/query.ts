import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { commandTopicSpec, createTopics, stateTopicSpec } from '../../pipelines/kafka.ts';
import { stateRecordKey } from '../../schemas/state.ts';
import { encodeStateRecord } from '../../schemas/wire.ts';
import { makeApiKey, toStateRecord } from '../../services/query/api-keys.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { durable, partitions } from './catch-up.ts';
import { ask, measureAnswers, SteadyIngest } from './query-load.ts';
import { type ApiDescription, type AskedSubject, listReadingRoutes, type ReadingRoute } from './query-routes.ts';
import { type Change, sendRefused, setUpWorkspaces } from './query-set-up.ts';
import { type Bar, finishBench, percentile, round } from './report.ts';
import { BenchServers, cpuSecondsOf, type QueryProcess } from './servers.ts';
import { copyParts, databaseNames, fillDatabases, prepareFolder } from './store-fill.ts';
import { readSubjects } from './store-questions.ts';

/**
 * How long every route that reads takes under some clients that ask without a pause, while telemetry goes on coming in, and
 * how many rows ClickHouse reads for an answer. Clients, service, broker, pipelines and ClickHouse share this machine's cores.
 * On a machine that does other things too the CPU time that an answer takes says more than how long it took.
 * `--data DIR` asks a copy of what `npm run bench -- store --data DIR --fill-only` has filled, and leaves that as it was.
 */
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    days: { type: 'string', default: '7' },
    'fill-minutes': { type: 'string', default: '120' },
    data: { type: 'string' },
    rate: { type: 'string', default: '1000' },
    clients: { type: 'string', default: '1,10,50' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
  },
});
const barRows = 10_000_000;
const judgedClients = 10;
const rows = Number(options.rows);
const spanMs = (rows / barRows) * Number(options.days) * 86_400_000;
const clientCounts = options.clients.split(',').map(Number);
const askedSubjects = 200;
const sizes = { alerts: 500, commands: 50, deadLetters: 200 };

const beganMs = performance.now();
const say = (what: string) => console.log(`${Math.round((performance.now() - beganMs) / 1000)} s: ${what}`);

if (options.data !== undefined) prepareFolder(options.data);
const servers = await BenchServers.start(options.data);
const databases: Database[] = [];

/** Named anew each time, because a folder that stays remembers what was on them. */
const run = `query-${Date.now()}`;
const topics = {
  executions: `${run}-executions`,
  tasks: `${run}-tasks`,
  state: `${run}-state`,
  commands: `${run}-commands`,
  alerts: `${run}-alerts`,
};
const settings = {
  WEIR_TOPIC_STATE: topics.state,
  WEIR_TOPIC_COMMANDS: topics.commands,
  WEIR_TOPIC_ALERTS: topics.alerts,
  WEIR_SECRETS_KEY: 'x'.repeat(40),
};

async function prepareDatabase(): Promise<Database> {
  await fillDatabases(servers, { rows, spanMs, fillMs: Number(options['fill-minutes']) * 60_000 }, say);
  const filled = await servers.createDatabase(databaseNames.merged);
  databases.push(filled);
  const database = await servers.createDatabase(run.replaceAll('-', '_'));
  databases.push(database);
  await copyParts(filled, database);
  await servers.openToReaders(database);
  for (const topic of [topics.executions, topics.tasks]) await servers.createTopic(topic, partitions);
  await createTopics(servers.admin, [
    stateTopicSpec(topics.state),
    stateTopicSpec(topics.alerts),
    commandTopicSpec(topics.commands, partitions),
  ]);
  return database;
}

/** A key that may do everything everywhere; gives its text. */
async function makeKey(): Promise<string> {
  const wanted = {
    name: 'bench',
    role: 'admin' as const,
    workspaces: ['*'],
    createdAtMs: Date.now(),
    expiresAtMs: null,
  };
  const { key, text } = makeApiKey(wanted);
  const record = toStateRecord(key, 'bench', Date.now(), 'made');
  const messages = [{ key: stateRecordKey(record), value: encodeStateRecord(record) }];
  await servers.producer.send({ topic: topics.state, acks: -1, messages });
  return text;
}

const makeChange =
  (service: QueryProcess, key: string): Change =>
  async (workspace, method, path, body) => {
    const headers = { authorization: `Bearer ${key}`, 'x-workspace-id': workspace, 'content-type': 'application/json' };
    const answer = await fetch(`${service.address}${path}`, { method, headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return (await answer.json()) as { id?: string };
  };

interface Measured {
  route: ReadingRoute;
  times: Map<number, number[]>;
  rowsRead: number;
  questions: Map<string, number>;
  /** Milliseconds of an answer; of ClickHouse without what it took for telemetry that came in meanwhile. */
  cpuMs: { service: number; clickhouse: number };
}

type Next = (route: ReadingRoute) => { address: string; headers: Record<string, string>; subject: AskedSubject };

/** Once before it counts: an answer that holds nothing was no work. */
async function assertContent(next: Next, route: ReadingRoute): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    const asking = next(route);
    const { status, text } = await ask(asking);
    if (status !== 200) throw new Error(`${asking.address} answered ${status}: ${text.slice(0, 500)}`);
    const lists = Object.values(JSON.parse(text) as object).filter((value) => Array.isArray(value));
    if (route.mayBeEmpty || lists.length === 0 || lists.some((list) => list.length > 0)) return;
  }
  throw new Error(`${route.name} had nothing to say`);
}

/** What ClickHouse takes while nobody asks: seconds of CPU a second. */
async function measureIngest(): Promise<number> {
  const before = cpuSecondsOf(servers.clickhouse.pid);
  await sleep(ingestMeasuredMs);
  return (cpuSecondsOf(servers.clickhouse.pid) - before) / (ingestMeasuredMs / 1000);
}

const ingestMeasuredMs = 10_000;

async function measureRoute(
  service: QueryProcess,
  next: Next,
  route: ReadingRoute,
  ingestShare: number,
): Promise<Measured> {
  await assertContent(next, route);
  const cpuBefore = { service: service.cpuSeconds, clickhouse: cpuSecondsOf(servers.clickhouse.pid) };
  const startedMs = performance.now();
  const times = new Map<number, number[]>();
  let rowsRead = 0;
  let questions = new Map<string, number>();
  for (const clients of clientCounts) {
    const before = await service.metricBy('weir_question_read_rows_total', 'question');
    const own = await measureAnswers(() => next(route), clients, Number(options.seconds));
    times.set(clients, own);
    const after = await service.metricBy('weir_question_read_rows_total', 'question');
    const grown = [...after].map(([name, value]) => [name, (value - (before.get(name) ?? 0)) / own.length] as const);
    questions = new Map(grown.filter(([, value]) => value > 0));
    rowsRead = [...questions.values()].reduce((sum, value) => sum + value, 0);
  }
  const answers = [...times.values()].reduce((sum, own) => sum + own.length, 0);
  const ofIngest = (ingestShare * (performance.now() - startedMs)) / 1000;
  const cpuMs = {
    service: (1000 * (service.cpuSeconds - cpuBefore.service)) / answers,
    clickhouse: (1000 * (cpuSecondsOf(servers.clickhouse.pid) - cpuBefore.clickhouse - ofIngest)) / answers,
  };
  return { route, times, rowsRead, questions, cpuMs };
}

/** Rows of one workflow, on average, and of all of them, in the tables that questions about telemetry read. */
async function countRows(database: Database): Promise<{ ofOne: number; ofAll: number }> {
  const tables = ['execution_list', 'execution_cells', 'execution_hours', 'task_cells', 'task_hours'];
  const counts = tables.map(
    (table) => `SELECT uniqExact(workflow_id) AS workflows, count() AS n FROM ${table} WHERE workflow_id != ''`,
  );
  const [found] = await database.rows<{ ofOne: number; ofAll: number }>(
    `SELECT sum(n / workflows) AS ofOne, sum(n) AS ofAll FROM (${counts.join(' UNION ALL ')})`,
  );
  return found ?? { ofOne: Number.NaN, ofAll: Number.NaN };
}

function report(measured: readonly Measured[], counts: { ofOne: number; ofAll: number }, taskRows: number): void {
  const table = measured.map(({ route, times, rowsRead, cpuMs }) => {
    const each = [...times].flatMap(([clients, own]) =>
      [0.5, 0.95, 0.99].map((share) => [`${clients}: p${share * 100}`, round(percentile(own, share))] as const),
    );
    const cpu = { 'CPU ms service': round(cpuMs.service), 'CPU ms ClickHouse': round(Math.max(0, cpuMs.clickhouse)) };
    return { route: route.name, ...Object.fromEntries(each), 'rows read': Math.round(rowsRead), ...cpu };
  });
  const slowest = (clients: number) =>
    Math.max(...measured.map(({ times }) => percentile(times.get(clients) ?? [Number.NaN], 0.95)));
  const most = Math.max(...measured.filter(({ route }) => route.isAboutWorkflow).map(({ rowsRead }) => rowsRead));
  const size = taskRows < barRows ? ` at ${taskRows} rows, of ${barRows} that are meant` : '';
  console.log(`rows of one workflow ${Math.round(counts.ofOne)}, of all ${Math.round(counts.ofAll)}`);
  const bars: Bar[] = [
    {
      name: `query-p95-${judgedClients}-clients${size}`,
      value: slowest(judgedClients),
      unit: 'ms, p95 of the slowest route',
      direction: 'at most',
      bound: 300,
    },
    {
      name: `query-rows-of-workflow${size}`,
      value: most / counts.ofOne,
      unit: 'rows read for each row of the workflow, of the route that reads most',
      direction: 'at most',
      bound: 1,
    },
  ];
  finishBench('query', table, bars);
}

async function measure(): Promise<void> {
  const database = await prepareDatabase();
  const { taskRows } = await fillDatabases(servers, { rows, spanMs, fillMs: 0 }, say);
  const key = await makeKey();
  const pipeline = servers.startPipeline(database, topics, settings);
  const service = await servers.startQuery(database, topics, settings);
  const subjects = await readSubjects(database, askedSubjects);
  say('serving');
  const workspaces = [...new Set(subjects.map(({ workspace }) => workspace))];
  const letters = await sendRefused(servers, topics.executions, workspaces, sizes.deadLetters);
  const change = makeChange(service, key);
  const places = await setUpWorkspaces({ database, change, subjects }, sizes);
  say('set up');
  await servers.finishJob('services/insight/main.ts', database, topics);
  say('analysed');
  const asked: AskedSubject[] = subjects.map((one) => {
    return { ...one, places: { ...places.get(one.workspace), ...letters.get(one.workspace) } };
  });
  const ingest = new SteadyIngest(servers, topics, Number(options.rate));
  const setUpRecords = await durable(database);
  await ingest.start();
  const firstRecords = ingest.sent;
  while ((await durable(database)) < setUpRecords + firstRecords) await sleep(100);
  say('telemetry comes in');
  // Its first event makes a week of baselines due at once, which otherwise come one by one, every six hours.
  await servers.finishJob('pipelines/baseline-command.ts', database, topics);
  say('baselines published');
  const random = createRandom(11);
  const next: Next = (route) => {
    const subject = asked[random.below(asked.length)] as AskedSubject;
    const headers = { authorization: `Bearer ${key}`, 'x-workspace-id': subject.workspace };
    return { address: `${service.address}${route.addressOf(subject)}`, headers, subject };
  };
  const description = JSON.parse((await ask({ address: `${service.address}/openapi.json`, headers: {} })).text);
  const routes = listReadingRoutes(description as ApiDescription).filter(({ name }) => name.includes(options.only));
  const sentBefore = ingest.sent;
  const durableBefore = await durable(database);
  const ingestShare = await measureIngest();
  say(`ClickHouse takes ${Math.round(100 * ingestShare)} % of a core for telemetry`);
  const startedMs = performance.now();
  const measured: Measured[] = [];
  for (const route of routes) {
    measured.push(await measureRoute(service, next, route, ingestShare));
    const own = measured.at(-1) as Measured;
    console.log(
      route.name,
      [...own.times]
        .map(([clients, times]) => `${clients}: ${round(percentile(times, 0.5))}/${round(percentile(times, 0.95))}`)
        .join('  '),
      `CPU ${round(own.cpuMs.service)} + ${round(own.cpuMs.clickhouse)} ms`,
      Object.fromEntries([...own.questions].map(([name, value]) => [name, Math.round(value)])),
    );
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const sentPerSecond = (ingest.sent - sentBefore) / seconds;
  const storedPerSecond = ((await durable(database)) - durableBefore) / seconds;
  say(`events sent ${round(sentPerSecond)}/s, stored ${round(storedPerSecond)}/s meanwhile`);
  await ingest.stop();
  const counts = await countRows(database);
  await service.stop();
  await pipeline.stop();
  report(measured, counts, taskRows);
  await database.command(`DROP DATABASE ${database.name} SYNC`);
}

try {
  await measure();
} finally {
  // A topic that is not there would be looked for again and again.
  const there = await servers.admin.listTopics();
  await servers.admin.deleteTopics({ topics: Object.values(topics).filter((topic) => there.includes(topic)) });
  for (const database of databases) await database.close();
  await servers.stop();
}
