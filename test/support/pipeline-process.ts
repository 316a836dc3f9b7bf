import path from 'node:path';
import { afterAll } from 'vitest';
import { migrate, type Retention } from '../../clickhouse/migrate.ts';
import {
  type Admin,
  createKafka,
  createProducer,
  type Kafka,
  makeTopics,
  type Producer,
} from '../../pipelines/kafka.ts';
import { type Launched, launch, pause, waitUntil } from './launched.ts';
import { createTestDatabase, type TestDatabase, uniqueTopics, useStack } from './stack.ts';

const root = path.resolve(import.meta.dirname, '../..');
const silent = { warn: () => undefined, debug: () => undefined };

/** The kinds of telemetry that a pipeline stores. */
export type Kind = 'executions' | 'tasks' | 'orchestrators';
export type RunKind = Exclude<Kind, 'orchestrators'>;
const allKinds: readonly Kind[] = ['executions', 'tasks', 'orchestrators'];

export interface OutgoingRecord {
  key?: string | Buffer | null;
  value: string | Buffer | null;
  timestampMs?: number;
  headers?: Record<string, string>;
  partition?: number;
}

interface TelemetryOptions {
  partitions?: number;
  /** Settings of every process that is started here, by their names in the environment. */
  env?: Record<string, string>;
  topicSettings?: Record<string, string>;
  retention?: Partial<Retention>;
}

/** Topics, a group and a migrated database of a test's own on the servers that all tests share. */
export async function createTelemetry(name: string, options: TelemetryOptions = {}): Promise<Telemetry> {
  const database = await createTestDatabase(name);
  const servers = { brokers: useStack().brokers, database };
  const telemetry = new Telemetry(uniqueTopics(name), servers, options);
  afterAll(() => telemetry.close());
  await telemetry.prepare();
  return telemetry;
}

/** What a test does with its own topics and database: send records, run pipelines on them, verify what they stored. */
export class Telemetry {
  readonly topics: ReturnType<typeof uniqueTopics>;
  readonly database: Pick<TestDatabase, 'url' | 'user' | 'password' | 'database' | 'query'>;
  readonly brokers: string[];
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly #options: TelemetryOptions;
  readonly #processes: PipelineProcess[] = [];

  constructor(
    topics: ReturnType<typeof uniqueTopics>,
    servers: { brokers: string[]; database: Telemetry['database'] },
    options: TelemetryOptions = {},
  ) {
    this.topics = topics;
    this.database = servers.database;
    this.brokers = servers.brokers;
    this.#options = options;
    const { brokers } = servers;
    this.kafka = createKafka({ brokers, clientId: 'integration-test', tls: null, sasl: null }, silent);
    this.admin = this.kafka.admin();
    this.producer = createProducer(this.kafka);
  }

  async prepare(): Promise<void> {
    const { url, user, password, database } = this.database;
    await Promise.all([
      migrate(
        { url, user, password, database },
        {
          retention: {
            rawDays: 60,
            cellDays: 90,
            hourDays: 400,
            dayDays: 1100,
            entityDays: 90,
            deadLetterDays: 60,
            deadLetterBytesDays: 14,
            ...this.#options.retention,
          },
          fsync: false,
        },
      ),
      this.admin.connect().then(() => this.makeTopics(allKinds)),
      this.producer.connect(),
    ]);
  }

  async makeTopics(kinds: readonly (Kind | 'orchestrators')[]): Promise<void> {
    const { partitions = 2, topicSettings = {} } = this.#options;
    const settings = { 'retention.ms': String(30 * 86_400_000), ...topicSettings };
    await makeTopics(
      this.admin,
      kinds.map((kind) => ({
        topic: this.topics[kind],
        numPartitions: partitions,
        replicationFactor: 1,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      })),
    );
  }

  get env(): Record<string, string> {
    const { url, user, password, database } = this.database;
    return {
      KAFKA_BROKERS: this.brokers.join(','),
      CLICKHOUSE_URL: url,
      CLICKHOUSE_USER: user,
      CLICKHOUSE_PASSWORD: password,
      CLICKHOUSE_DATABASE: database,
      WEIR_TOPIC_EXECUTIONS: this.topics.executions,
      WEIR_TOPIC_TASKS: this.topics.tasks,
      WEIR_TOPIC_ORCHESTRATORS: this.topics.orchestrators,
      WEIR_TOPIC_STATE: this.topics.state,
      WEIR_TOPIC_ALERTS: this.topics.alerts,
      WEIR_TOPIC_COMMANDS: this.topics.commands,
      WEIR_GROUP_ID: this.topics.group,
      WEIR_CHUNK_RECORDS: '1024',
      WEIR_FLUSH_INTERVAL_MS: '200',
      WEIR_METRICS_PORT: '0',
      WEIR_LOG_FORMAT: 'json',
      ...this.#options.env,
    };
  }

  /** The records of one call become one batch for each partition. */
  async send(kind: Kind, records: readonly OutgoingRecord[], compression?: number): Promise<void> {
    await this.producer.send({
      topic: this.topics[kind],
      acks: -1,
      ...(compression === undefined ? {} : { compression }),
      messages: records.map(toMessage),
    });
  }

  /** Starts a pipeline and gives it back at once; `ready()` waits for it. */
  start(env: Record<string, string> = {}, script = 'pipelines/main.ts'): PipelineProcess {
    const launched = launch(path.join(root, script), {
      env: { ...this.env, ...env, WEIR_PARENT_GUARD: 'stdin' },
      stdin: 'pipe',
    });
    const process = new PipelineProcess(launched);
    this.#processes.push(process);
    return process;
  }

  async startReady(env: Record<string, string> = {}, script?: string): Promise<PipelineProcess> {
    const process = this.start(env, script);
    await process.ready();
    return process;
  }

  /** All that were started, ended or not. */
  get processes(): readonly PipelineProcess[] {
    return this.#processes;
  }

  /** Everything that all pipelines of this test have printed. */
  get logs(): string {
    return this.#processes.map((process) => process.output()).join('');
  }

  /** Recomputes everything from the log and compares it with the database. */
  async verify(waitSeconds = 60, env: Record<string, string> = {}): Promise<Verdict> {
    const launched = launch(path.join(root, 'pipelines/verify/main.ts'), {
      args: ['--wait', String(waitSeconds)],
      env: { ...this.env, ...env },
    });
    const { code } = await launched.exited;
    // The pipes may still hold the last lines when the process has ended.
    await pause(50);
    return readVerdict(code, launched.output());
  }

  /** Rows of a question to the test's database. */
  async rows<Row>(question: string): Promise<Row[]> {
    const answer = await this.database.query(
      `${question} SETTINGS output_format_json_quote_64bit_integers = 0 FORMAT JSONEachRow`,
    );
    return answer === '' ? [] : answer.split('\n').map((line) => JSON.parse(line) as Row);
  }

  /** Offsets of the log that no ledger of this stream covers yet; the truth that the lag metric should tell. */
  async missing(kind: Kind, epoch = 1): Promise<number> {
    const topic = this.topics[kind];
    const ends = await this.admin.fetchTopicOffsets(topic);
    const rows = await this.rows<{ partition: number; last: number }>(
      `SELECT partition, max(last_offset) AS last FROM chunks FINAL WHERE stream = '${topic}@${epoch}' GROUP BY partition`,
    );
    const lasts = new Map(rows.map(({ partition, last }) => [partition, last]));
    return ends.reduce(
      (sum, { partition, high }) => sum + Math.max(0, Number(high) - 1 - (lasts.get(partition) ?? -1)),
      0,
    );
  }

  async waitStored(timeoutMs = 30_000, kinds: readonly Kind[] = allKinds): Promise<void> {
    const done = await waitUntil(async () => {
      const missing = await Promise.all(kinds.map((kind) => this.missing(kind)));
      return missing.every((records) => records === 0);
    }, timeoutMs);
    if (!done) throw new Error(`not everything was stored within ${timeoutMs} ms; the pipelines said:\n${this.logs}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill()));
    await Promise.all([this.producer.disconnect(), this.admin.disconnect()]);
  }
}

function toMessage({ key = null, value, timestampMs, headers, partition }: OutgoingRecord) {
  return {
    key,
    value,
    ...(timestampMs === undefined ? {} : { timestamp: String(timestampMs) }),
    ...(headers === undefined ? {} : { headers }),
    ...(partition === undefined ? {} : { partition }),
  };
}

/** One line of the verifier for each topic, by the topic's name. */
export interface Verdict {
  exitCode: number | null;
  output: string;
  different: number;
  totals: Record<string, Record<string, number>>;
}

function readVerdict(exitCode: number | null, output: string): Verdict {
  const totals: Verdict['totals'] = {};
  for (const [, topic, counts] of output.matchAll(/^(\S+): (records \d+, .*different \d+)$/gm)) {
    if (topic === undefined || counts === undefined) continue;
    totals[topic] = Object.fromEntries(
      counts.split(', ').map((entry) => [entry.split(' ')[0] ?? '', Number(entry.split(' ')[1])]),
    );
  }
  const different = Object.values(totals).reduce((sum, topic) => sum + (topic.different ?? 0), 0);
  return { exitCode, output, totals, different };
}

/** A pipeline process, started as an operator would start it. */
export class PipelineProcess {
  readonly launched: Launched;

  constructor(launched: Launched) {
    this.launched = launched;
  }

  output(): string {
    return this.launched.output();
  }

  async url(): Promise<string> {
    const [, url] = await this.launched.waitFor(/"url":"(http:[^"]+)"/, 20_000);
    return url as string;
  }

  /** '' when ready, otherwise what /ready answers. */
  async whyNotReady(): Promise<string> {
    const answer = await fetch(`${await this.url()}/ready`);
    const body = (await answer.json()) as { reason?: string };
    return answer.ok ? '' : (body.reason ?? `status ${answer.status}`);
  }

  async ready(timeoutMs = 45_000): Promise<void> {
    if (await waitUntil(async () => (await this.whyNotReady()) === '', timeoutMs)) return;
    throw new Error(`not ready within ${timeoutMs} ms: ${await this.whyNotReady()}\n${this.output()}`);
  }

  async metricsText(): Promise<string> {
    return (await fetch(`${await this.url()}/metrics`)).text();
  }

  /** Sum of all series of a metric that carry these labels. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    let sum = 0;
    for (const line of (await this.metricsText()).split('\n')) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      if (!Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`))) continue;
      sum += Number(line.slice(line.lastIndexOf(' ') + 1));
    }
    return sum;
  }

  /** In order, as at a release; answers with the exit code. */
  async stop(): Promise<number | null> {
    this.launched.child.kill('SIGTERM');
    return (await this.launched.exited).code;
  }

  async kill(): Promise<void> {
    this.launched.child.kill('SIGKILL');
    await this.launched.exited;
  }
}
