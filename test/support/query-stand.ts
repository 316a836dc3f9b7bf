import { afterAll } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import type { ReadableTable } from '../../deploy/local/clickhouse-users.ts';
import { listReadableTables } from '../../deploy/local/readable-tables.ts';
import { createTopics } from '../../pipelines/kafka.ts';
import { stateRecordKey } from '../../schemas/state.ts';
import { encodeStateRecord } from '../../schemas/wire.ts';
import { makeApiKey, type Role, toStateRecord } from '../../services/query/api-keys.ts';
import { OwnServers } from './own-servers.ts';
import { type PipelineProcess, Telemetry } from './pipeline-process.ts';
import { uniqueTopics, useStack } from './stack.ts';

interface StandOptions {
  /** Settings of the query service. */
  env?: Record<string, string>;
}

/**
 * A query service as it runs for users: over a ClickHouse of the test's own, whose users have the row filters of the
 * product, and over topics of the test's own on the Kafka that all tests share.
 */
export class QueryStand {
  readonly telemetry: Telemetry;
  readonly #servers: OwnServers;
  readonly #readable: readonly ReadableTable[];
  readonly #env: Record<string, string>;
  #service: PipelineProcess | null = null;
  #address = '';

  static async create(name: string, { env = {} }: StandOptions = {}): Promise<QueryStand> {
    const servers = await OwnServers.create();
    afterAll(() => servers.stop());
    await servers.startClickHouse();
    const telemetry = new Telemetry(uniqueTopics(name), {
      brokers: useStack().brokers,
      database: servers.database(),
    });
    afterAll(() => telemetry.close());
    await telemetry.prepare();
    await telemetry.makeTopics(['orchestrators']);
    await createTopics(telemetry.admin, [
      { topic: telemetry.topics.state, partitions: 1, retentionMs: -1 },
      { topic: telemetry.topics.alerts, partitions: 1, retentionMs: -1 },
    ]);
    const readable = await listReadableTables(telemetry.database);
    await servers.clickhouse?.stop();
    const stand = new QueryStand(servers, telemetry, readable, env);
    await stand.startClickHouse();
    return stand;
  }

  private constructor(
    servers: OwnServers,
    telemetry: Telemetry,
    readable: readonly ReadableTable[],
    env: Record<string, string>,
  ) {
    this.#servers = servers;
    this.telemetry = telemetry;
    this.#readable = readable;
    this.#env = env;
  }

  /** With the tables that its users may read, which the engine learns only when it starts. */
  async startClickHouse(): Promise<void> {
    await this.#servers.startClickHouse(this.#readable);
  }

  get env(): Record<string, string> {
    const api = this.#servers.clickhouse?.users.api;
    return {
      CLICKHOUSE_API_USER: api?.name ?? '',
      CLICKHOUSE_API_PASSWORD: api?.password ?? '',
      WEIR_TOPIC_STATE: this.telemetry.topics.state,
      WEIR_API_PORT: '0',
      ...this.#env,
    };
  }

  /** As the query service reads: one workspace at a time. */
  reader(): Database {
    const { url, database } = this.telemetry.database;
    const { CLICKHOUSE_API_USER: user, CLICKHOUSE_API_PASSWORD: password } = this.env;
    return new Database({ url, database, user, password });
  }

  get servers(): OwnServers {
    return this.#servers;
  }

  get service(): PipelineProcess {
    if (this.#service === null) throw new Error('the query service has not been started');
    return this.#service;
  }

  async startService(): Promise<void> {
    this.#service = this.telemetry.start(this.env, 'services/query/main.ts');
    const [, address = ''] = await this.#service.launched.waitFor(/"address":"(http:[^"]+)"/, 120_000);
    this.#address = address;
    await this.#service.ready(60_000);
  }

  get address(): string {
    return this.#address;
  }

  /** Makes a key as the command does and gives its text. */
  async makeKey(role: Role, workspaces: readonly string[], expiresAtMs: number | null = null): Promise<string> {
    const { key, text } = makeApiKey({ name: 'test', role, workspaces, createdAtMs: Date.now(), expiresAtMs });
    const record = toStateRecord(key, 'test', Date.now(), 'made');
    const messages = [{ key: stateRecordKey(record), value: encodeStateRecord(record) }];
    await this.telemetry.producer.send({ topic: this.telemetry.topics.state, acks: -1, messages });
    return text;
  }

  /** Takes back a key by its text, as the command does by its id. */
  async revokeKey(text: string): Promise<void> {
    const [, id = ''] = text.split('_');
    const record = {
      workspace: 'weir',
      collection: 'api-keys',
      key: id,
      deleted: true,
      changed_by: 'test',
      changed_at: Date.now(),
    };
    const messages = [{ key: stateRecordKey(record), value: encodeStateRecord(record) }];
    await this.telemetry.producer.send({ topic: this.telemetry.topics.state, acks: -1, messages });
  }

  call(path: string, { key, ...init }: RequestInit & { key?: string } = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (key !== undefined) headers.set('authorization', `Bearer ${key}`);
    if (init.body !== undefined) headers.set('content-type', 'application/json');
    return fetch(`${this.#address}${path}`, { ...init, headers });
  }

  /** The answer of a question that must succeed. */
  async get<Answer>(path: string, key?: string): Promise<Answer> {
    const response = await this.call(path, key === undefined ? {} : { key });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text}`);
    return JSON.parse(text) as Answer;
  }
}
