import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type EmbeddedClickHouse, startClickHouse } from '../../deploy/local/clickhouse.ts';
import { type EmbeddedKafka, startKafka } from '../../deploy/local/kafka.ts';
import { findFreePort } from '../../deploy/local/ports.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { SchemaServer } from './schema-server.ts';
import { TcpProxy } from './tcp-proxy.ts';

/** Real servers of the test's own, with a proxy before each that pipelines have to pass. */
export class Servers {
  readonly folder: string;
  readonly kafkaProxy: TcpProxy;
  readonly clickhouseProxy: TcpProxy;
  readonly schemas = new SchemaServer();
  kafka!: EmbeddedKafka;
  clickhouse!: EmbeddedClickHouse;
  /** Where Kafka listens for the proxy. */
  #innerPort = 0;
  #startingClickHouse: Promise<void> | null = null;
  #isOver = false;

  private constructor(folder: string, seed: number) {
    this.folder = folder;
    const random = createRandom(seed);
    const chance = () => random.next();
    this.kafkaProxy = new TcpProxy(() => this.#innerPort, chance);
    this.clickhouseProxy = new TcpProxy(() => this.clickhouse.httpPort, chance);
  }

  static async start(seed: number): Promise<Servers> {
    const servers = new Servers(await mkdtemp(path.join(tmpdir(), 'weir-chaos-')), seed);
    await Promise.all([servers.kafkaProxy.listen(), servers.clickhouseProxy.listen(), servers.schemas.listen()]);
    servers.#innerPort = await findFreePort();
    await Promise.all([servers.startKafka(), servers.startClickHouse()]);
    return servers;
  }

  /** On the same data and ports as before. Pipelines are sent to the proxy, everybody else comes straight. */
  async startKafka(): Promise<void> {
    const inner = this.#innerPort;
    const port = this.kafka?.port ?? (await findFreePort(new Set([inner])));
    const controllerPort = this.kafka?.controllerPort ?? (await findFreePort(new Set([inner, port])));
    this.kafka = await startKafka({
      dataDir: path.join(this.folder, 'kafka'),
      port,
      controllerPort,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${inner},CONTROLLER://127.0.0.1:${controllerPort}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${this.kafkaProxy.port}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
      },
    });
  }

  async startClickHouse(): Promise<void> {
    this.#startingClickHouse ??= this.#startClickHouse().finally(() => {
      this.#startingClickHouse = null;
    });
    await this.#startingClickHouse;
  }

  async #startClickHouse(): Promise<void> {
    const { httpPort, tcpPort } = this.clickhouse ?? {};
    this.clickhouse = await startClickHouse({
      dataDir: path.join(this.folder, 'clickhouse'),
      ...(httpPort === undefined || tcpPort === undefined ? {} : { httpPort, tcpPort }),
    });
    void this.#startAgainWhereItAborts(this.clickhouse);
  }

  /** An engine that aborted is there again. */
  async healed(): Promise<void> {
    await this.#startingClickHouse;
  }

  /** The engine aborts itself when a client is gone while it tells of an error; any installation starts it again. */
  async #startAgainWhereItAborts({ exited }: EmbeddedClickHouse): Promise<void> {
    const { signal } = await exited;
    if (signal === 'SIGABRT' && !this.#isOver) await this.startClickHouse();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.kafkaProxy.close(), this.clickhouseProxy.close(), this.schemas.close()]);
    await Promise.all([this.kafka?.stop(), this.clickhouse?.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }
}
