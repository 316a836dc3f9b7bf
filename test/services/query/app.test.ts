import { createConfig, lintFromString } from '@redocly/openapi-core';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { Errors } from 'typebox/schema';
import { afterAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { WorkspaceReader } from '../../../clickhouse/question.ts';
import { createDecoder } from '../../../pipelines/decode.ts';
import { createKafka } from '../../../pipelines/kafka.ts';

import { StatePublisher } from '../../../pipelines/state/publisher.ts';
import examples from '../../../schemas/api/examples.json' with { type: 'json' };
import { AnalysisThreads } from '../../../services/insight/analysis-threads.ts';
import { LedgerWatch } from '../../../services/live/ledger-watch.ts';
import { LiveHub } from '../../../services/live/live-hub.ts';
import { createLiveMetrics } from '../../../services/live/metrics.ts';
import { PatternWatch } from '../../../services/live/pattern-watch.ts';
import { Analyst } from '../../../services/query/analyst.ts';
import { KeyRing, makeApiKey, toStateRecord } from '../../../services/query/api-keys.ts';
import { buildApp } from '../../../services/query/app.ts';
import { Authenticator } from '../../../services/query/auth.ts';
import { CommandDesk } from '../../../services/query/command-desk.ts';
import { EventGate } from '../../../services/query/incoming-events.ts';
import { KeyStore } from '../../../services/query/key-store.ts';
import { createQueryMetrics } from '../../../services/query/metrics.ts';
import { Publisher } from '../../../services/query/publisher.ts';
import { StateDesk } from '../../../services/query/state-desk.ts';

/** Nobody listens at either address: what is looked at here is the service alone. */
const nowhere = { url: 'http://127.0.0.1:1', user: 'u', password: 'p', database: 'weir' };
const silent = { warn: () => undefined, debug: () => undefined };
const kafka = createKafka({ brokers: ['127.0.0.1:1'], clientId: 'app-test', tls: null, sasl: null }, silent);
const topics = { executions: 'e', tasks: 't', orchestrators: 'o' };
const nowMs = () => Date.now();
const database = new Database(nowhere);
const metrics = createQueryMetrics(new Registry());
const liveMetrics = createLiveMetrics(new Registry());
const streams = { executions: 'e@1', tasks: 't@1', orchestrators: 'o@1' };
const decoder = createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 1_000_000 });
const hub = new LiveHub({
  kafka,
  topics: { ...topics, alerts: 'a' },
  streams,
  decoders: { executions: decoder, tasks: decoder, orchestrators: decoder },
  ledger: new LedgerWatch(async () => [], nowMs),
  metrics: liveMetrics,
  log: { ...silent, error: () => undefined },
  nowMs,
  heartbeatMs: 1_000,
});
const threads = new AnalysisThreads({ database: nowhere, threads: 1, waitingMost: 1, timeoutMs: 60_000, heapMb: 200 });
const publisher = new Publisher({ kafka, nowMs, onAcknowledged: () => undefined });
const keys = new KeyRing();
const patterns = new PatternWatch({
  hub,
  readerOf: (workspace) => new WorkspaceReader(database, { workspace, requestId: 'test' }, () => undefined),
  log: silent,
  intervalMs: 60_000,
});
const app = await buildApp({
  database,
  auth: new Authenticator({ keys, jwt: null, nowMs }),
  metrics,
  log: pino({ level: 'silent' }),
  publisher,
  state: new StateDesk(new StatePublisher({ kafka, database, topic: 's', epoch: 1 })),
  keys: new KeyStore({ ring: keys, publisher, topic: 's', nowMs }),
  commands: new CommandDesk({ publisher, topic: 'c', nowMs }),
  gate: new EventGate(topics, 1_000_000),
  streams,
  live: {
    hub,
    patterns,
    metrics: liveMetrics,
    mostClients: 10,
    mostSubscriptions: 10,
    bufferBytes: 65_536,
    framesPerMinute: 60,
  },
  automaticRemedies: [],
  webhookRules: { secretsKey: '', mayBeInner: false },
  analyst: new Analyst(threads, nowMs),
  entityRetentionDays: 90,
  nowMs,
  origins: ['https://console.example.com'],
  requestsPerMinute: 6,
  maxBodyBytes: 1_000_000,
  slowQuestionMs: 1_000,
});
afterAll(async () => {
  await app.close();
  await threads.close();
  await database.close();
});

const host = 'localhost';
let address = 0;
/** Each from an address of its own, because callers without keys are told apart by it. */
const nextAddress = () => `127.0.0.${++address}`;

interface Media {
  content?: Record<string, { schema: object; example?: unknown }>;
}
interface Operation {
  summary?: string;
  operationId?: string;
  tags?: string[];
  requestBody?: Media;
  responses: Record<string, Media>;
}
interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

const readDocument = async () =>
  (await app.inject({ url: '/openapi.json', remoteAddress: nextAddress() })).json<OpenApi>();

describe('the OpenAPI document', () => {
  it('says of every operation what it does, and how it fails', async () => {
    const document = await readDocument();
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
    expect(operations.length).toBeGreaterThan(15);
    for (const operation of operations) {
      expect(operation.summary).toMatch(/\w/);
      expect(operation.tags).toHaveLength(1);
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['4XX', '5XX']));
    }
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

/** What a value has that its schema does not speak of, or has otherwise. */
const mistakesOf = (schema: object, value: unknown): string[] =>
  Errors(schema, value)[1].map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);

/** All schemas within one, with the path to each. */
function* listSchemas(schema: unknown, path = ''): Generator<[string, { examples?: unknown[] }]> {
  if (typeof schema !== 'object' || schema === null) return;
  yield [path, schema];
  for (const [name, inner] of Object.entries(schema)) {
    // What stands there are values, which may look like schemas.
    if (name === 'examples' || name === 'example' || name === 'default' || name === 'enum') continue;
    yield* listSchemas(inner, `${path}/${name}`);
  }
}

describe('examples in the OpenAPI document', () => {
  it('show of every operation what it may be sent and what it answers, as their schemas have it', async () => {
    const { paths } = await readDocument();
    for (const [path, methods] of Object.entries(paths)) {
      for (const [method, { requestBody, responses }] of Object.entries(methods)) {
        const success = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
        const name = `${method} ${path}`;
        for (const [what, media] of Object.entries({ body: requestBody, answer: success })) {
          if (media === undefined && what === 'body') continue;
          const { schema = {}, example } = media?.content?.['application/json'] ?? {};
          expect(example, `${name}: example of its ${what}`).toBeDefined();
          expect(mistakesOf(closeAll(schema), example), `${name}: ${what}`).toEqual([]);
        }
      }
    }
  });

  it('are of operations that there are', async () => {
    const { paths } = await readDocument();
    const names = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(Object.keys(examples).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('are valid wherever a schema has some', async () => {
    let looked = 0;
    for (const [path, schema] of listSchemas((await readDocument()).paths)) {
      for (const example of Array.isArray(schema.examples) ? schema.examples : []) {
        expect(mistakesOf(schema, example), path).toEqual([]);
        looked++;
      }
    }
    expect(looked).toBeGreaterThan(20);
  });
});

/** Members that a schema does not speak of are never sent, so an example that has some is out of date. */
function closeAll<Schema>(schema: Schema): Schema {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(closeAll) as Schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closeAll(value)]));
  const isOpen = 'properties' in schema && !('additionalProperties' in schema);
  return (isOpen ? { ...inner, additionalProperties: false } : inner) as Schema;
}

describe('the OpenAPI document under the rules of a linter', () => {
  it('has nothing to be mended', async () => {
    const { body } = await app.inject({ url: '/openapi.json', remoteAddress: nextAddress() });
    // Two of the documented families have paths of which one reads `executions` where the other reads any workflow.
    const config = await createConfig({ extends: ['recommended-strict'], rules: { 'no-ambiguous-paths': 'off' } });
    const problems = await lintFromString({ source: body, config });
    const lines = problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} at ${location[0]?.pointer}`);
    expect(lines).toEqual([]);
  });
});

describe('the service', () => {
  it('bounds how often one caller may ask, and says when to come back', async () => {
    const ask = (remoteAddress: string) => app.inject({ url: '/openapi.json', remoteAddress });
    const eager = nextAddress();
    const answers = [];
    for (let at = 0; at < 7; at++) answers.push(await ask(eager));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200, 200, 200, 200, 429]);
    expect(answers[6].headers['retry-after']).toBeDefined();
    expect(answers[6].json()).toMatchObject({ error: { code: 'rate_limited' } });
    expect((await ask(nextAddress())).statusCode).toBe(200);
  });

  it('lets pages of the origins that were named call it, and no others', async () => {
    const preflight = (origin: string) =>
      app.inject({
        method: 'OPTIONS',
        url: '/api/v1/percentiles',
        remoteAddress: nextAddress(),
        headers: { host, origin, 'access-control-request-method': 'GET' },
      });
    const allowed = 'access-control-allow-origin';
    expect((await preflight('https://console.example.com')).headers[allowed]).toBe('https://console.example.com');
    expect((await preflight('https://elsewhere.example.com')).headers[allowed]).toBeUndefined();
  });

  it('says that ClickHouse or the brokers are away, and when to try again', async () => {
    const stats = { url: '/api/v1/workflows/analytics/stats', remoteAddress: nextAddress(), headers: { host } };
    const read = await app.inject(stats);
    expect({ status: read.statusCode, body: read.json() }).toMatchObject({
      status: 503,
      body: { error: { code: 'store_unavailable' } },
    });
    expect(read.headers['retry-after']).toBe('5');
    const event = { workflow_id: 'w', execution_id: 'e', state: 'running', event_time: Date.now() };
    const sent = await app.inject({
      method: 'POST',
      url: '/api/v1/ingest/executions',
      remoteAddress: nextAddress(),
      headers: { host },
      payload: { events: [event] },
    });
    expect({ status: sent.statusCode, body: sent.json() }).toMatchObject({
      status: 503,
      body: { error: { code: 'broker_unavailable' } },
    });
  });

  it('bounds how often somebody may guess at keys, and answers others there', async () => {
    const remoteAddress = nextAddress();
    const ask = (key: string) =>
      app.inject({ url: '/api/v1/keys', remoteAddress, headers: { host, 'x-api-key': key } });
    const answers = [];
    for (let at = 0; at < 61; at++) answers.push((await ask('weir_wrong')).statusCode);
    expect(answers.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 401));
    expect(answers[60]).toBe(429);
    const { key, text } = makeApiKey({
      name: 'n',
      role: 'admin',
      workspaces: ['*'],
      createdAtMs: 0,
      expiresAtMs: null,
    });
    keys.take(toStateRecord(key, 'test', Date.now(), 'made'));
    expect((await ask(text)).statusCode).toBe(200);
    const { statusCode, headers } = await ask('weir_wrong');
    expect({ statusCode, again: headers['retry-after'] }).toEqual({ statusCode: 429, again: expect.any(String) });
  });
});
