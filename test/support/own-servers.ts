import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedClickHouse, startClickHouse } from '../../deploy/local/clickhouse.ts';
import type { Credentials, ReadableTable } from '../../deploy/local/clickhouse-users.ts';
import { type EmbeddedKafka, startKafka } from '../../deploy/local/kafka.ts';
import type { Telemetry } from './pipeline-process.ts';

const databaseName = 'weir';

/** Servers that a test may kill, or start with users of its own, without a word to any other test. */
export class OwnServers {
  readonly folder: string;
  kafka: EmbeddedKafka | null = null;
  clickhouse: EmbeddedClickHouse | null = null;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<OwnServers> {
    return new OwnServers(await mkdtemp(path.join(tmpdir(), 'weir-own-')));
  }

  /** On the same data and ports as before, where it ran before. */
  async startKafka(): Promise<EmbeddedKafka> {
    const { port, controllerPort } = this.kafka ?? {};
    this.kafka = await startKafka({
      dataDir: path.join(this.folder, 'kafka'),
      ...(port === undefined || controllerPort === undefined ? {} : { port, controllerPort }),
    });
    return this.kafka;
  }

  async startClickHouse(readable: readonly ReadableTable[] = []): Promise<EmbeddedClickHouse> {
    const { httpPort, tcpPort } = this.clickhouse ?? {};
    this.clickhouse = await startClickHouse({
      dataDir: path.join(this.folder, 'clickhouse'),
      database: databaseName,
      readable,
      ...(httpPort === undefined || tcpPort === undefined ? {} : { httpPort, tcpPort }),
    });
    return this.clickhouse;
  }

  /** The database as one of the server's users sees it; the writer where none is named. */
  database(who?: Credentials, settings: Record<string, string> = {}): Telemetry['database'] {
    const server = this.clickhouse;
    if (server === null) throw new Error('ClickHouse has not been started');
    const { name: user, password } = who ?? server.users.writer;
    const query = async (statement: string) => {
      const address = `${server.url}/?${new URLSearchParams({ database: databaseName, ...settings })}`;
      const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password };
      const answer = await fetch(address, { method: 'POST', body: statement, headers });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`ClickHouse refused ${statement.slice(0, 200)}: ${text.slice(0, 500)}`);
      return text.trimEnd();
    };
    return { url: server.url, user, password, database: databaseName, query };
  }

  async stop({ keep = false } = {}): Promise<void> {
    await Promise.all([this.kafka?.stop(), this.clickhouse?.stop()]);
    if (keep) console.log(`the servers' data and logs were kept in ${this.folder}`);
    else await rm(this.folder, { recursive: true, force: true });
  }
}
