import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Database } from '../../clickhouse/client.ts';
import { forgetRunningServers, writeRunningServers } from '../../pipelines/servers.ts';
import { formatProblems, parseSettings, type Settings } from '../../schemas/settings.ts';
import { openDataFolder } from './data-folder.ts';
import { type LocalStack, serverSettings, startOwnProcess, startServers } from './local-stack.ts';
import { pipelineFlags } from './node-process.ts';
import { watchNpm } from './npm-parent.ts';
import { Screen } from './screen.ts';
import { type PipelineStatus, readPipelineStatus, renderStatus } from './status-line.ts';
import { Supervisor } from './supervise.ts';

const help = `npm start: runs Weir on this machine, with a Kafka and a ClickHouse of its own.

  npm start -- [options]

  --no-demo      no demo producer; bring your own telemetry
  --scenario S   what the demo plays: demo, quiet-fleet, incidents, black-friday, migration,
                 chaos-of-clocks or big-fleet
  --seed N       seed of the demo; the same seed makes the same telemetry
  --data DIR     folder for data and logs (default .weir, or WEIR_DATA_DIR)
  --reset        delete what an earlier start left in that folder, then start
  --help         this text

KAFKA_BROKERS and CLICKHOUSE_URL use servers you already have. The README lists all settings.
Ctrl-C stops everything in order; a second Ctrl-C kills.`;

interface StartOptions {
  demo: boolean;
  dataDir: string;
  reset: boolean;
  settings: Settings;
}

const badUsageExitCode = 2;
const stopDeadlineMs = 9_500;
const freshWindowMinutes = 10;
/** The bound of a process is that of each of its threads too, and an analysis may be of 100 000 tasks. */
const analysisHeapMb = 1_500;

function readOptions(args: readonly string[]): StartOptions {
  const { values } = parseOptions(args);
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  // Options are settings by another name, and the processes that are started read them from the environment.
  if (values.scenario !== undefined) process.env.WEIR_SCENARIO = values.scenario;
  if (values.seed !== undefined) process.env.WEIR_SEED = values.seed;
  const parsed = parseSettings(process.env);
  if ('problems' in parsed) {
    console.error(formatProblems(parsed.problems));
    process.exit(badUsageExitCode);
  }
  const { settings } = parsed;
  const dataDir = path.resolve(values.data ?? settings.dataDir);
  return { demo: !values['no-demo'], reset: values.reset ?? false, dataDir, settings };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        'no-demo': { type: 'boolean' },
        scenario: { type: 'string' },
        seed: { type: 'string' },
        data: { type: 'string' },
        reset: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${help}`);
    process.exit(badUsageExitCode);
  }
}

/** Runs until somebody stops it. */
async function startWeir(options: StartOptions): Promise<void> {
  const screen = new Screen();
  const lock = await openDataFolder(options.dataDir, options.reset);
  const supervisor = new Supervisor({ say: (line) => screen.say(line) });
  const end = makeEnd(supervisor, screen, () => {
    forgetRunningServers(options.dataDir);
    return lock.release();
  });
  listenForEnd(end);
  try {
    const { settings, dataDir } = options;
    screen.say(`Weir starts, with its data in ${dataDir}`);
    const stack = await startServers({ settings, dataDir, supervisor, screen });
    const isReady = options.demo ? await watchForNewRows(stack) : () => isProcessReady(stack.metricsUrl);
    writeRunningServers(options.dataDir, serverSettings(stack));
    await startProcesses(options, stack, supervisor, screen);
    for (const line of describeStack(stack, options)) screen.say(line);
    void announceReady(async () => (await isReady()) && (await isProcessReady(stack.apiMetricsUrl)), screen);
    void showStatus(stack.metricsUrl, screen);
  } catch (error) {
    // A stop during the start makes steps of the start fail; it is under way and ends the process.
    if (supervisor.isStopping()) return;
    screen.say((error as Error).message);
    await end('could not start', 1);
  }
}

async function startProcesses(
  options: StartOptions,
  stack: LocalStack,
  supervisor: Supervisor,
  screen: Screen,
): Promise<void> {
  const place = { dataDir: options.dataDir, screen, supervisor };
  const pipelines = {
    name: 'pipelines',
    script: 'pipelines/main.ts',
    metricsPort: stack.ports.metrics,
    stopTimeoutMs: 4_500,
    flags: pipelineFlags,
  };
  await startOwnProcess(pipelines, stack, place);
  const query = {
    name: 'query',
    script: 'services/query/main.ts',
    metricsPort: stack.ports.apiMetrics,
    stopTimeoutMs: 2_000,
    env: {
      CLICKHOUSE_API_USER: stack.api.user,
      CLICKHOUSE_API_PASSWORD: stack.api.password,
      WEIR_API_PORT: String(stack.ports.api),
    },
    heapMb: analysisHeapMb,
  };
  await startOwnProcess(query, stack, place);
  const alerts = {
    name: 'alerts',
    script: 'services/alerts/main.ts',
    metricsPort: stack.ports.alertsMetrics,
    stopTimeoutMs: 2_000,
    env: { WEIR_API_PORT: String(stack.ports.api) },
  };
  await startOwnProcess(alerts, stack, place);
  const insight = {
    name: 'insight',
    script: 'services/insight/main.ts',
    metricsPort: stack.ports.insightMetrics,
    stopTimeoutMs: 1_500,
    heapMb: analysisHeapMb,
  };
  await startOwnProcess(insight, stack, place);
  if (!options.demo) return;
  const demo = {
    name: 'demo',
    script: 'services/simulator/main.ts',
    metricsPort: stack.ports.demoMetrics,
    stopTimeoutMs: 1_500,
    // Little of it lives for long, from which the runtime concludes that the heap may stay small; the buffers of what is
    // being sent then have it collected with every other batch, at a third of the time that history takes.
    flags: ['--initial-old-space-size=128'],
  };
  await startOwnProcess(demo, stack, place);
}

function describeStack(stack: LocalStack, { settings, dataDir }: StartOptions): string[] {
  const own = (given: boolean) => (given ? ' (yours)' : '');
  const { url, database } = stack.database;
  return [
    '',
    `  Kafka        ${stack.brokers.join(',')}${own(settings.kafkaBrokers.length > 0)}`,
    `  ClickHouse   ${url}, database ${database}${stack.reader.embedded ? `, native port ${stack.ports.clickhouseTcp}` : own(true)}`,
    `  API          ${stack.apiUrl}/docs`,
    `  pipelines    ${stack.metricsUrl}/metrics, /health, /ready`,
    `  data, logs   ${dataDir}`,
    '',
    'Try:',
    ...makeCommands(stack).map((command) => `  ${command}`),
    '',
  ];
}

/** Commands that work as they stand; the reader of the embedded server may do nothing but read. */
function makeCommands(stack: LocalStack): string[] {
  const { user, password, embedded } = stack.reader;
  const login = embedded ? `'${user}:${password}'` : '"$CLICKHOUSE_USER:$CLICKHOUSE_PASSWORD"';
  const ask = (sql: string) =>
    `curl -s -u ${login} '${stack.database.url}/?database=${stack.database.database}' -d "${sql}"`;
  const recent = `window_start > now() - INTERVAL ${freshWindowMinutes} MINUTE`;
  return [
    ask(
      `SELECT window_start, workflow_id, finished, failure_pct, duration_ms_p95 FROM executions_1m WHERE ${recent} ORDER BY window_start DESC, finished DESC LIMIT 10 FORMAT PrettyCompact`,
    ),
    ask(
      'SELECT stream, partition, sum(stored), sum(duplicate), sum(dead) FROM chunks FINAL GROUP BY 1, 2 ORDER BY 1, 2 FORMAT PrettyCompact',
    ),
    `curl -s '${stack.apiUrl}/api/v1/workflows/analytics/stats?time_range=24h'`,
    `curl -s ${stack.metricsUrl}/metrics | grep ^weir_`,
  ];
}

/** `ready` means that live data can be read back; without the demo, that the pipelines say they are ready. */
async function announceReady(isReady: () => Promise<boolean>, screen: Screen): Promise<void> {
  while (!(await isReady().catch(() => false))) await sleep(200);
  screen.say('ready');
}

/** True once a recent minute holds more than it did before: rows that an earlier start left do not count. */
async function watchForNewRows(stack: LocalStack): Promise<() => Promise<boolean>> {
  const [{ since }] = await ask<{ since: number }>(
    stack,
    `SELECT toUnixTimestamp(now() - INTERVAL ${freshWindowMinutes} MINUTE) AS since`,
  );
  const count = async () => {
    const [{ contributions }] = await ask<{ contributions: number }>(
      stack,
      `SELECT toFloat64(sum(contributions)) AS contributions FROM executions_1m WHERE window_start > fromUnixTimestamp(${since})`,
    );
    return contributions;
  };
  const before = await count();
  return async () => (await count()) > before;
}

/** A connection a question: ClickHouse may be restarted at any time, and nothing has to be closed at the end. */
async function ask<Row>(stack: LocalStack, question: string): Promise<Row[]> {
  const database = new Database(stack.database);
  try {
    return await database.rows<Row>(question);
  } finally {
    await database.close();
  }
}

async function isProcessReady(url: string): Promise<boolean> {
  return (await fetch(`${url}/ready`)).ok;
}

async function showStatus(metricsUrl: string, screen: Screen): Promise<void> {
  let before: PipelineStatus | undefined;
  for (let readAtMs = Date.now(); ; ) {
    const elapsedMs = Date.now() - readAtMs;
    const now = await readPipelineStatus(`${metricsUrl}/metrics`);
    if (now) screen.showStatus(renderStatus(now, before, elapsedMs));
    before = now;
    readAtMs = Date.now();
    await sleep(1_000);
  }
}

type End = (reason: string, exitCode: number) => Promise<never>;

/** The first call stops in order, the second kills. */
function makeEnd(supervisor: Supervisor, screen: Screen, release: () => Promise<void>): End {
  let asked = 0;
  return async (reason, exitCode) => {
    asked++;
    screen.endLive();
    if (asked > 1) return await killAndExit(supervisor, release, 130);
    screen.say(`stopping (${reason})`);
    const overdue = setTimeout(() => void killAndExit(supervisor, release, 1), stopDeadlineMs);
    await supervisor.stopAll();
    clearTimeout(overdue);
    await release();
    screen.say('stopped');
    process.exit(exitCode);
  };
}

async function killAndExit(supervisor: Supervisor, release: () => Promise<void>, exitCode: number): Promise<never> {
  supervisor.killAll();
  await release();
  // A moment for the kills, which wait for nothing but their turn.
  await sleep(50);
  process.exit(exitCode);
}

function listenForEnd(end: End): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(signal, 0));
  // A terminal that was closed takes nothing more; the SIGHUP that comes with it stops us.
  process.stdout.on('error', () => {});
  watchNpm(() => void end('npm is gone', 1));
}

if (process.argv[1] === import.meta.filename) {
  try {
    await startWeir(readOptions(process.argv.slice(2)));
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
