import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../../clickhouse/client.ts';
import { migrate } from '../../clickhouse/migrate.ts';
import { type EmbeddedClickHouse, startClickHouse } from '../../deploy/local/clickhouse.ts';
import { type EmbeddedKafka, startKafka } from '../../deploy/local/kafka.ts';
import { heapFlags, pipelineFlags } from '../../deploy/local/node-process.ts';
import { listReadableTables } from '../../deploy/local/readable-tables.ts';
import {
  type Admin,
  createKafka,
  createProducer,
  createTopics,
  type Kafka,
  type Producer,
} from '../../pipelines/kafka.ts';

const quiet = { warn: () => undefined, debug: () => undefined };
const root = path.join(import.meta.dirname, '../..');
/** What is measured are events of runs; the topic of reports is there and stays empty. */
const noReports = 'no-reports';

const freePort = (): number => 21_000 + Math.floor(Math.random() * 20_000);

/** Servers of the bench's own on this machine, as `npm start` starts them, and gone afterwards unless a folder is given. */
export class BenchServers {
  readonly folder: string;
  readonly #isKept: boolean;
  kafka!: EmbeddedKafka;
  clickhouse!: EmbeddedClickHouse;
  client!: Kafka;
  admin!: Admin;
  producer!: Producer;
  readonly #processes: ChildProcess[] = [];
  #readers: Record<string, string> = {};
  #databases = 0;

  private constructor(folder: string | undefined) {
    this.#isKept = folder !== undefined;
    this.folder = folder ?? mkdtempSync(path.join(tmpdir(), 'weir-bench-'));
  }

  /** A given folder stays, and with it what was stored. */
  static async start(folder?: string): Promise<BenchServers> {
    const servers = new BenchServers(folder);
    const [kafka, clickhouse] = await Promise.all([
      startKafka({ dataDir: path.join(servers.folder, 'kafka') }),
      startClickHouse({ dataDir: path.join(servers.folder, 'clickhouse') }),
    ]);
    servers.kafka = kafka;
    servers.clickhouse = clickhouse;
    servers.client = createKafka({ brokers: [kafka.brokers], clientId: 'bench', tls: null, sasl: null }, quiet);
    servers.admin = servers.client.admin();
    servers.producer = createProducer(servers.client);
    await Promise.all([servers.admin.connect(), servers.producer.connect()]);
    await servers.createTopic(noReports, 1);
    return servers;
  }

  /** From now on query services read this database as users do, a workspace at a time; the engine learns that at a start only. */
  async openToReaders({ name }: Database): Promise<void> {
    const { url, users, httpPort, tcpPort } = this.clickhouse;
    const { name: user, password } = users.writer;
    const readable = await listReadableTables({ url, user, password, database: name });
    await this.clickhouse.stop();
    const dataDir = path.join(this.folder, 'clickhouse');
    this.clickhouse = await startClickHouse({ dataDir, httpPort, tcpPort, database: name, readable });
    this.#readers = { CLICKHOUSE_API_USER: users.api.name, CLICKHOUSE_API_PASSWORD: users.api.password };
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL');
    await Promise.all([this.admin.disconnect(), this.producer.disconnect()]);
    await Promise.all([this.kafka.stop(), this.clickhouse.stop()]);
    if (!this.#isKept) rmSync(this.folder, { recursive: true, force: true });
  }

  async createTopic(topic: string, partitions = 4): Promise<void> {
    await createTopics(this.admin, [{ topic, partitions, retentionMs: 30 * 86_400_000 }]);
  }

  /** A migrated database; without a name one that nobody has written to. */
  async createDatabase(name = `bench_${++this.#databases}`, settings = {}): Promise<Database> {
    const { url, users } = this.clickhouse;
    const target = {
      url,
      user: users.writer.name,
      password: users.writer.password,
      database: name,
    };
    const retention = {
      rawDays: 60,
      cellDays: 60,
      hourDays: 400,
      dayDays: 1100,
      entityDays: 90,
      deadLetterDays: 60,
      deadLetterBytesDays: 14,
    };
    await migrate(target, { retention, fsync: false });
    // Merging all of a large table takes minutes.
    return new Database({ ...target, requestTimeoutMs: 900_000, settings });
  }

  /** A pipeline process as it ships, on the given topics and database. */
  startPipeline(
    database: Database,
    topics: { executions: string; tasks: string },
    settings: Record<string, string> = {},
  ): BenchPipeline {
    const port = freePort();
    const env = { WEIR_GROUP_ID: `bench-${database.name}-${port}`, WEIR_METRICS_PORT: String(port), ...settings };
    const child = this.#start('pipelines/main.ts', database, topics, env, { flags: pipelineFlags });
    return new BenchPipeline(child, `http://127.0.0.1:${port}/metrics`);
  }

  /** Has a job that ships done all that is due: an installation that runs for longer has no more of it than comes in. */
  async finishJob(
    script: 'services/insight/main.ts' | 'pipelines/baseline-command.ts',
    database: Database,
    topics: { executions: string; tasks: string },
  ): Promise<void> {
    const settings = { WEIR_METRICS_PORT: String(freePort()) };
    const child = this.#start(script, database, topics, settings, { args: ['--once'] });
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`${script} ended with ${code}`);
  }

  /** A query service as it ships, ready to answer. */
  async startQuery(
    database: Database,
    topics: { executions: string; tasks: string },
    settings: Record<string, string> = {},
  ): Promise<QueryProcess> {
    const [port, apiPort] = [freePort(), freePort()];
    const child = this.#start('services/query/main.ts', database, topics, {
      WEIR_METRICS_PORT: String(port),
      WEIR_API_PORT: String(apiPort),
      WEIR_API_REQUESTS_PER_MINUTE: '1000000',
      ...this.#readers,
      ...settings,
    });
    const service = new QueryProcess(child, `http://127.0.0.1:${port}/metrics`, `http://127.0.0.1:${apiPort}`);
    while (!(await service.isReady())) {
      if (child.exitCode !== null) throw new Error(`the query service ended with ${child.exitCode}`);
      await sleep(100);
    }
    return service;
  }

  #start(
    script: string,
    database: Database,
    topics: { executions: string; tasks: string },
    settings: Record<string, string>,
    { flags = [], args = [] }: { flags?: readonly string[]; args?: readonly string[] } = {},
  ): ChildProcess {
    const { url, users } = this.clickhouse;
    const child = spawn(process.execPath, [...heapFlags, ...flags, path.join(root, script), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        PATH: process.env.PATH,
        KAFKA_BROKERS: this.kafka.brokers,
        CLICKHOUSE_URL: url,
        CLICKHOUSE_USER: users.writer.name,
        CLICKHOUSE_PASSWORD: users.writer.password,
        CLICKHOUSE_DATABASE: database.name,
        WEIR_TOPIC_EXECUTIONS: topics.executions,
        WEIR_TOPIC_TASKS: topics.tasks,
        WEIR_TOPIC_ORCHESTRATORS: noReports,
        WEIR_LOG_FORMAT: 'json',
        ...settings,
      },
    });
    this.#processes.push(child);
    return child;
  }
}

export class BenchPipeline {
  readonly #child: ChildProcess;
  readonly #url: string;

  constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** Sum of a metric over its labels, NaN while it cannot be read. */
  async metric(name: string): Promise<number> {
    const values = (await this.#linesOf(name)).map((line) => Number(line.split(' ').at(-1)));
    return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0);
  }

  /** Values of a metric by one of its labels. */
  async metricBy(name: string, label: string): Promise<Map<string, number>> {
    const lines = await this.#linesOf(name);
    return new Map(
      lines.map((line) => [new RegExp(`${label}="([^"]*)"`).exec(line)?.[1] ?? '', Number(line.split(' ').at(-1))]),
    );
  }

  async #linesOf(name: string): Promise<string[]> {
    const page = await fetch(this.#url)
      .then((answer) => answer.text())
      .catch(() => '');
    return page.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  }

  get peakMemoryMb(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
  }

  get cpuSeconds(): number {
    return cpuSecondsOf(this.#child.pid as number);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGINT');
    await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}

export class QueryProcess extends BenchPipeline {
  readonly address: string;
  readonly #status: string;

  constructor(child: ChildProcess, metricsUrl: string, address: string) {
    super(child, metricsUrl);
    this.address = address;
    this.#status = metricsUrl.replace('/metrics', '/ready');
  }

  isReady(): Promise<boolean> {
    return fetch(this.#status).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

/** User and system time of a process; the kernel counts in hundredths of a second. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
