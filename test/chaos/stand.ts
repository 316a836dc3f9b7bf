import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Database } from '../../clickhouse/client.ts';
import { type EmbeddedClickHouse, startClickHouse } from '../../deploy/local/clickhouse.ts';
import { type EmbeddedKafka, startKafka } from '../../deploy/local/kafka.ts';
import { findFreePort } from '../../deploy/local/ports.ts';
import type { Random } from '../../services/simulator/random.ts';
import { waitUntil } from '../support/launched.ts';
import { type Kind, Telemetry } from '../support/pipeline-process.ts';
import { uniqueTopics } from '../support/stack.ts';
import { SchemaServer } from './schema-server.ts';
import { TcpProxy } from './tcp-proxy.ts';

export const kinds: readonly Kind[] = ['executions', 'tasks', 'orchestrators'];
const databaseName = 'weir';

interface StandOptions {
  random: Random;
  partitions?: number;
  chunkRecords?: number;
  env?: Record<string, string>;
}

/** Real servers of a run's own, with a proxy before each that the pipelines have to pass. */
export class Stand {
  readonly folder: string;
  readonly random: Random;
  readonly chunkRecords: number;
  readonly kafkaProxy: TcpProxy;
  readonly clickhouseProxy: TcpProxy;
  readonly schemas = new SchemaServer();
  /** Raised when a topic is made again. */
  readonly epochs: Record<Kind, number> = { executions: 1, tasks: 1, orchestrators: 1 };
  /** Places to which the group was set from outside: partition of a stream, and offset. */
  readonly plantedOffsets = new Set<string>();
  kafka!: EmbeddedKafka;
  clickhouse!: EmbeddedClickHouse;
  telemetry!: Telemetry;
  database!: Database;
  readonly #options: StandOptions;
  #innerPort = 0;

  private constructor(folder: string, options: StandOptions) {
    this.folder = folder;
    this.random = options.random;
    this.chunkRecords = options.chunkRecords ?? 1024;
    this.#options = options;
    const chance = () => options.random.next();
    this.kafkaProxy = new TcpProxy(() => this.#innerPort, chance);
    this.clickhouseProxy = new TcpProxy(() => this.clickhouse.httpPort, chance);
  }

  static async start(options: StandOptions): Promise<Stand> {
    const stand = new Stand(await mkdtemp(path.join(tmpdir(), 'weir-chaos-')), options);
    await Promise.all([stand.kafkaProxy.listen(), stand.clickhouseProxy.listen(), stand.schemas.listen()]);
    stand.#innerPort = await findFreePort();
    await Promise.all([stand.startKafka(), stand.startClickHouse()]);
    const { url, users } = stand.clickhouse;
    const { name: user, password } = users.writer;
    stand.database = new Database({ url, user, password, database: databaseName, requestTimeoutMs: 300_000 });
    const query = async (statement: string) => {
      const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password };
      const answer = await fetch(`${url}/?database=${databaseName}`, { method: 'POST', body: statement, headers });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`ClickHouse refused ${statement.slice(0, 200)}: ${text.slice(0, 500)}`);
      return text.trimEnd();
    };
    stand.telemetry = new Telemetry(
      uniqueTopics('chaos'),
      { brokers: [stand.kafka.brokers], database: { url, user, password, database: databaseName, query } },
      { partitions: options.partitions ?? 2 },
    );
    await stand.telemetry.prepare();
    return stand;
  }

  /** On the same data and ports as before. Pipelines are sent to the proxy, everybody else comes straight. */
  async startKafka(): Promise<void> {
    const { port, controllerPort } = this.kafka ?? {
      port: await findFreePort(new Set([this.#innerPort])),
      controllerPort: await findFreePort(new Set([this.#innerPort])),
    };
    this.kafka = await startKafka({
      dataDir: path.join(this.folder, 'kafka'),
      port,
      controllerPort,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${this.#innerPort},CONTROLLER://127.0.0.1:${controllerPort}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${this.kafkaProxy.port}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
      },
    });
  }

  async startClickHouse(): Promise<void> {
    const { httpPort, tcpPort } = this.clickhouse ?? {};
    this.clickhouse = await startClickHouse({
      dataDir: path.join(this.folder, 'clickhouse'),
      database: databaseName,
      ...(httpPort === undefined || tcpPort === undefined ? {} : { httpPort, tcpPort }),
    });
  }

  /** What a pipeline process is started with. */
  get env(): Record<string, string> {
    const { executions, tasks, orchestrators } = this.epochs;
    return {
      ...this.telemetry.env,
      KAFKA_BROKERS: `127.0.0.1:${this.kafkaProxy.port}`,
      CLICKHOUSE_URL: `http://127.0.0.1:${this.clickhouseProxy.port}`,
      SCHEMA_REGISTRY_URL: this.schemas.url,
      WEIR_CHUNK_RECORDS: String(this.chunkRecords),
      // Small, so that chunks end, flushes split them and history has to be asked for all the time.
      WEIR_FLUSH_ROWS: '1000',
      WEIR_HISTORY_RECORDS: '2000',
      WEIR_ROLLUP_INTERVAL_MS: '1000',
      WEIR_STREAM_EPOCH_EXECUTIONS: String(executions),
      WEIR_STREAM_EPOCH_TASKS: String(tasks),
      WEIR_STREAM_EPOCH_ORCHESTRATORS: String(orchestrators),
      ...this.#options.env,
    };
  }

  get group(): string {
    return this.telemetry.topics.group;
  }

  streamOf(kind: Kind): string {
    return `${this.telemetry.topics[kind]}@${this.epochs[kind]}`;
  }

  chunkRecordsOf(kind: Kind): number {
    return kind === 'orchestrators' ? this.chunkRecords / 32 : this.chunkRecords;
  }

  /** Offsets that no ledger covers yet. */
  async missing(): Promise<number> {
    const counts = await Promise.all(kinds.map((kind) => this.telemetry.missing(kind, this.epochs[kind])));
    return counts.reduce((sum, records) => sum + records, 0);
  }

  async waitStored(timeoutMs: number): Promise<boolean> {
    return await waitUntil(async () => (await this.missing().catch(() => 1)) === 0, timeoutMs);
  }

  async stop({ keep }: { keep: boolean }): Promise<void> {
    await this.telemetry?.close();
    await this.database?.close();
    await Promise.all([this.kafkaProxy.close(), this.clickhouseProxy.close(), this.schemas.close()]);
    await Promise.all([this.kafka?.stop(), this.clickhouse?.stop()]);
    if (!keep) await rm(this.folder, { recursive: true, force: true });
  }
}
