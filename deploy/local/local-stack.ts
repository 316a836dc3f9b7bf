import path from 'node:path';
import { pino } from 'pino';
import type { DatabaseOptions } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { commandTopicSpec, createKafka, createTopics, stateTopicSpec, type TopicSpec } from '../../pipelines/kafka.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';
import type { Settings } from '../../schemas/settings.ts';
import { type EmbeddedClickHouse, startClickHouse } from './clickhouse.ts';
import { fetchJars } from './fetch-jars.ts';
import { findJava } from './java.ts';
import { startKafka } from './kafka.ts';
import { startNodeProcess } from './node-process.ts';
import { choosePorts, type PortName } from './ports.ts';
import { listReadableTables, loadReadableTables, saveReadableTables } from './readable-tables.ts';
import type { Screen } from './screen.ts';
import { loadOrMakeSecretsKey } from './secrets-key.ts';
import type { RunningService, Supervisor } from './supervise.ts';

export interface LocalStack {
  brokers: readonly string[];
  database: DatabaseOptions;
  /** Who should look around: the reader of the embedded server, or the user that was given for one's own. */
  reader: { user: string; password: string; embedded: boolean };
  /** Who the query service reads as; of one's own server, the user that the settings name for it. */
  api: { user: string; password: string };
  ports: Record<PortName, number>;
  metricsUrl: string;
  apiUrl: string;
  apiMetricsUrl: string;
  alertsMetricsUrl: string;
  /** Closes what few may read; made once for a data folder. */
  secretsKey: string;
}

interface LocalStackOptions {
  settings: Settings;
  dataDir: string;
  supervisor: Supervisor;
  screen: Screen;
}

const repository = path.join(import.meta.dirname, '..', '..');

/** Starts whatever was not given as a server of one's own, makes the topics and brings the schema up to date. */
export async function startServers(options: LocalStackOptions): Promise<LocalStack> {
  const { settings, screen } = options;
  const { ports, notes } = await choosePorts({
    kafka: settings.kafkaPort,
    kafkaController: settings.kafkaControllerPort,
    clickhouseHttp: settings.clickhouseHttpPort,
    clickhouseTcp: settings.clickhouseTcpPort,
    metrics: settings.metricsPort,
    demoMetrics: settings.demoMetricsPort,
    api: settings.apiPort,
    apiMetrics: settings.apiMetricsPort,
    alertsMetrics: settings.alertsMetricsPort,
    insightMetrics: settings.insightMetricsPort,
  });
  for (const note of notes) screen.say(note);
  const started = await Promise.allSettled([bringKafka(options, ports), bringClickHouse(options, ports)]);
  // Both are waited for before a failure is told, so that nothing is half started when everything is stopped.
  const [kafka, clickhouse] = started;
  if (kafka.status === 'rejected') throw kafka.reason;
  if (clickhouse.status === 'rejected') throw clickhouse.reason;
  const metricsUrl = `http://${settings.metricsHost}:${ports.metrics}`;
  const apiUrl = `http://${settings.apiHost}:${ports.api}`;
  const apiMetricsUrl = `http://${settings.metricsHost}:${ports.apiMetrics}`;
  const alertsMetricsUrl = `http://${settings.metricsHost}:${ports.alertsMetrics}`;
  const secretsKey = settings.secretsKey || (await loadOrMakeSecretsKey(options.dataDir));
  return {
    brokers: kafka.value,
    ...clickhouse.value,
    ports,
    metricsUrl,
    apiUrl,
    apiMetricsUrl,
    alertsMetricsUrl,
    secretsKey,
  };
}

async function bringKafka(options: LocalStackOptions, ports: Record<PortName, number>): Promise<readonly string[]> {
  const { settings } = options;
  const embedded = settings.kafkaBrokers.length === 0;
  const brokers = embedded ? [await startEmbeddedKafka(options, ports)] : settings.kafkaBrokers;
  await makeTopics(settings, brokers, embedded);
  return brokers;
}

async function startEmbeddedKafka(options: LocalStackOptions, ports: Record<PortName, number>): Promise<string> {
  const { settings, screen, supervisor } = options;
  const java = await findJava();
  const cacheDir = settings.cacheDir || undefined;
  const mirrorUrl = settings.mavenMirrorUrl || undefined;
  const jars = await fetchJars({ cacheDir, mirrorUrl, onProgress: (progress) => screen.showProgress(progress) });
  screen.clearLive();
  const dataDir = path.join(options.dataDir, 'kafka');
  const { brokers } = await supervisor.start({
    name: 'Kafka',
    stopTimeoutMs: 4_000,
    start: (isGivenUp) =>
      startKafka({
        dataDir,
        port: ports.kafka,
        controllerPort: ports.kafkaController,
        cacheDir,
        jars,
        java,
        isGivenUp,
      }),
  });
  return brokers;
}

async function makeTopics(settings: Settings, brokers: readonly string[], embedded: boolean): Promise<void> {
  const kafka = createKafka({ ...kafkaOptions(settings), brokers: [...brokers] }, pino({ level: 'silent' }));
  const admin = kafka.admin();
  await admin.connect();
  try {
    // -1 leaves the number of copies to a cluster of one's own.
    await createTopics(admin, listTopics(settings), embedded ? 1 : -1);
  } finally {
    await admin.disconnect();
  }
}

const dayMs = 86_400_000;

function listTopics(settings: Settings): TopicSpec[] {
  const { partitions } = settings;
  const retentionMs = settings.topicRetentionDays * dayMs;
  const telemetry = [settings.topicExecutions, settings.topicTasks, settings.topicOrchestrators];
  return [
    ...telemetry.map((topic) => ({ topic, partitions, retentionMs })),
    commandTopicSpec(settings.topicCommands, partitions),
    { topic: settings.topicAlerts, partitions, retentionMs },
    stateTopicSpec(settings.topicState),
  ];
}

async function bringClickHouse(
  options: LocalStackOptions,
  ports: Record<PortName, number>,
): Promise<Pick<LocalStack, 'database' | 'reader' | 'api'>> {
  const { settings } = options;
  if (settings.clickhouseUrl !== '') {
    const database = databaseOptions(settings);
    await migrateTo(database, settings);
    const { clickhouseApiUser: user, clickhouseApiPassword: password } = settings;
    const reader = { user: database.user, password: database.password, embedded: false };
    return { database, reader, api: { user, password } };
  }
  const server = await startEmbeddedClickHouse(options, ports);
  const { name: user, password } = server.users.writer;
  const { reader, api } = server.users;
  return {
    database: { url: server.url, user, password, database: settings.clickhouseDatabase },
    reader: { user: reader.name, password: reader.password, embedded: true },
    api: { user: api.name, password: api.password },
  };
}

async function startEmbeddedClickHouse(
  options: LocalStackOptions,
  ports: Record<PortName, number>,
): Promise<EmbeddedClickHouse> {
  const { settings, supervisor } = options;
  const dataDir = path.join(options.dataDir, 'clickhouse');
  const listFile = path.join(dataDir, 'readable.json');
  let readable = await loadReadableTables(listFile);
  const server = await supervisor.start({
    name: 'ClickHouse',
    stopTimeoutMs: 3_000,
    start: () =>
      startClickHouse({
        dataDir,
        httpPort: ports.clickhouseHttp,
        tcpPort: ports.clickhouseTcp,
        database: settings.clickhouseDatabase,
        readable,
      }),
  });
  const { name: user, password } = server.users.writer;
  const database = { url: server.url, user, password, database: settings.clickhouseDatabase };
  await migrateTo(database, settings);
  const readableNow = await listReadableTables(database);
  if (JSON.stringify(readableNow) !== JSON.stringify(readable)) {
    // The engine reads its users only when it starts; that takes a third of a second, after a change of schema only.
    readable = readableNow;
    await saveReadableTables(listFile, readable);
    await supervisor.restart('ClickHouse');
  }
  return server;
}

async function migrateTo(database: DatabaseOptions, settings: Settings): Promise<void> {
  await migrate(database, migrateOptions(settings));
}

interface OwnProcess {
  name: string;
  /** The file to run, from the top of the repository. */
  script: string;
  metricsPort: number;
  stopTimeoutMs: number;
  flags?: readonly string[];
  heapMb?: number;
  /** Settings of this process alone. */
  env?: Record<string, string>;
}

/** Starts one of our processes with the servers' addresses in its environment. */
export function startOwnProcess(
  own: OwnProcess,
  stack: LocalStack,
  { dataDir, screen, supervisor }: Pick<LocalStackOptions, 'dataDir' | 'screen' | 'supervisor'>,
): Promise<RunningService> {
  const { name, stopTimeoutMs, flags, heapMb } = own;
  const env = { ...serverSettings(stack), ...own.env, WEIR_METRICS_PORT: String(own.metricsPort) };
  const logFile = path.join(dataDir, 'logs', `${name}.log`);
  const script = path.resolve(repository, own.script);
  // What processes complain of while everything stops is the stop; the logs have it.
  const onNotice = (line: string) => (supervisor.isStopping() ? undefined : screen.say(line));
  const start = () => startNodeProcess({ name, script, env, logFile, flags, heapMb, onNotice });
  return supervisor.start({ name, stopTimeoutMs, isLeaf: true, start });
}

/** The settings that lead a process of ours to these servers. */
export function serverSettings(stack: LocalStack): Record<string, string> {
  const { url, user, password, database } = stack.database;
  return {
    KAFKA_BROKERS: stack.brokers.join(','),
    CLICKHOUSE_URL: url,
    CLICKHOUSE_USER: user,
    CLICKHOUSE_PASSWORD: password,
    CLICKHOUSE_DATABASE: database,
    WEIR_SECRETS_KEY: stack.secretsKey,
  };
}
