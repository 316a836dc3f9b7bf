import { Database } from '../../clickhouse/client.ts';
import type { Random } from '../../services/simulator/random.ts';
import { waitUntil } from '../support/launched.ts';
import { type Kind, Telemetry } from '../support/pipeline-process.ts';
import { uniqueTopics } from '../support/stack.ts';
import type { Servers } from './servers.ts';

export const kinds: readonly Kind[] = ['executions', 'tasks', 'orchestrators'];

interface StandOptions {
  random: Random;
  /** Name of the database. */
  database: string;
  partitions?: number;
  chunkRecords?: number;
  env?: Record<string, string>;
}

/** Topics, a group and a database of a run's own, on servers that it may break. */
export class Stand {
  readonly servers: Servers;
  readonly random: Random;
  readonly chunkRecords: number;
  /** Raised when a topic is made again. */
  readonly epochs: Record<Kind, number> = { executions: 1, tasks: 1, orchestrators: 1 };
  /** Places to which the group was set from outside: partition of a stream, and offset. */
  readonly plantedOffsets = new Set<string>();
  readonly telemetry: Telemetry;
  readonly database: Database;
  readonly #options: StandOptions;

  private constructor(servers: Servers, options: StandOptions) {
    const { random, chunkRecords = 1024, database: name, partitions = 2 } = options;
    this.servers = servers;
    this.random = random;
    this.chunkRecords = chunkRecords;
    this.#options = options;
    const { url, users } = servers.clickhouse;
    const { name: user, password } = users.writer;
    this.database = new Database({ url, user, password, database: name, requestTimeoutMs: 300_000 });
    const query = async (statement: string) => {
      const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password };
      const answer = await fetch(`${url}/?database=${name}`, { method: 'POST', body: statement, headers });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`ClickHouse refused ${statement.slice(0, 200)}: ${text.slice(0, 500)}`);
      return text.trimEnd();
    };
    const database = { url, user, password, database: name, query };
    this.telemetry = new Telemetry(
      uniqueTopics('chaos'),
      { brokers: [servers.kafka.brokers], database },
      { partitions },
    );
  }

  static async prepare(servers: Servers, options: StandOptions): Promise<Stand> {
    const stand = new Stand(servers, options);
    await stand.telemetry.prepare();
    return stand;
  }

  /** What a pipeline process is started with. */
  get env(): Record<string, string> {
    const { executions, tasks, orchestrators } = this.epochs;
    return {
      ...this.telemetry.env,
      KAFKA_BROKERS: `127.0.0.1:${this.servers.kafkaProxy.port}`,
      CLICKHOUSE_URL: `http://127.0.0.1:${this.servers.clickhouseProxy.port}`,
      SCHEMA_REGISTRY_URL: this.servers.schemas.url,
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

  async close(): Promise<void> {
    await this.telemetry.close();
    await this.database.close();
  }
}
