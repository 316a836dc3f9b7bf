import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDecoder } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { RegistryUnavailable, SchemaRegistry } from '../../pipelines/schema-registry.ts';
import { confluentEncoder, orchestratorType, taskType, wrapBody } from '../../schemas/wire.ts';
import { logRecord, sampleTask, sampleWorker } from './sample-records.ts';

/** A registry that speaks the Confluent REST paths; `answer` may be changed while it runs. */
let server: Server;
let url: string;
let asked: string[];
let authorization: string | undefined;
let answers: Record<string, { status: number; body: unknown }>;

beforeEach(async () => {
  asked = [];
  answers = {};
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    authorization = request.headers.authorization;
    const answer = answers[request.url ?? ''] ?? {
      status: 404,
      body: { error_code: 40403, message: 'Schema not found' },
    };
    response.writeHead(answer.status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

const schemaText = JSON.stringify(taskType.schema({ exportAttrs: true }));
const decoderWith = (registry: SchemaRegistry | null) => createDecoder({ kind: 'tasks', registry, maxValueBytes: 1e6 });
const framed = (id: number) => logRecord(confluentEncoder(taskType, id)(sampleTask));

test('a schema id is asked for once, however many records name it', async () => {
  answers['/schemas/ids/7'] = { status: 200, body: { schema: schemaText } };
  const decoder = decoderWith(new SchemaRegistry({ url: `${url}/` }));
  const records = [framed(7), framed(7), framed(7)];
  await decoder.prepare(records);
  expect(decoder.prepare(records)).toBeUndefined();
  expect(decoder.decode(records[0])).toMatchObject({ kind: 'task', taskId: 'load.orders' });
  expect(decoder.prepare(records)).toBeUndefined();
  expect(asked).toEqual(['/schemas/ids/7']);
});

test('records that name no schema cost no promise', () => {
  const decoder = decoderWith(new SchemaRegistry({ url }));
  expect(decoder.prepare([logRecord('{}'), logRecord(null), logRecord(Buffer.alloc(3))])).toBeUndefined();
});

test('an id that the registry does not know becomes a dead letter and is asked for again after a while', async () => {
  let nowMs = 0;
  const decoder = decoderWith(new SchemaRegistry({ url, missingForMs: 1000, nowMs: () => nowMs }));
  const record = framed(9);
  await decoder.prepare([record]);
  expect(decoder.decode(record)).toMatchObject({ outcome: 'dead', reason: 'unknown_schema' });
  expect(decoder.prepare([record])).toBeUndefined();
  nowMs = 1001;
  answers['/schemas/ids/9'] = { status: 200, body: { schema: schemaText } };
  await decoder.prepare([record]);
  expect(decoder.decode(record)).toMatchObject({ kind: 'task' });
});

test('a registry that is down, overloaded, refuses us or talks nonsense is retried, and nothing is lost', async () => {
  const decoder = decoderWith(new SchemaRegistry({ url }));
  const record = framed(3);
  for (const answer of [
    { status: 500, body: {} },
    { status: 401, body: {} },
    { status: 429, body: {} },
    { status: 200, body: '<html>starting</html>' },
    { status: 200, body: {} },
  ]) {
    answers['/schemas/ids/3'] = answer;
    await expect(decoder.prepare([record])).rejects.toThrow(RegistryUnavailable);
  }
  answers['/schemas/ids/3'] = { status: 200, body: { schema: schemaText } };
  await decoder.prepare([record]);
  expect(decoder.decode(record)).toMatchObject({ kind: 'task' });
});

test('a registry that nobody answers for is unavailable, and says so without an address or a password', async () => {
  await new Promise((resolve) => server.close(resolve));
  const registry = new SchemaRegistry({ url, username: 'u', password: 'hunter2', requestTimeoutMs: 500 });
  const error = await registry.resolve(1).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ retryable: true });
  expect(String(error)).toMatch(/ECONNREFUSED/);
  expect(String(error)).not.toContain('hunter2');
});

test('the registry is asked with the user and password of the settings', async () => {
  await new SchemaRegistry({ url, username: 'u', password: 'p' }).resolve(1);
  expect(authorization).toBe('Basic dTpw');
});

test('without a registry a Confluent value is a dead letter that says so', () => {
  expect(decoderWith(null).decode(framed(1))).toMatchObject({ reason: 'registry_missing', outcome: 'dead' });
});

test('schemas that are not Avro, cannot be parsed or are of something else are dead letters', async () => {
  answers['/schemas/ids/1'] = { status: 200, body: { schema: 'syntax = "proto3";', schemaType: 'PROTOBUF' } };
  answers['/schemas/ids/2'] = { status: 200, body: { schema: '{"type":"nonsense"}' } };
  answers['/schemas/ids/3'] = { status: 200, body: { schema: '{"type":"record","name":"Other","fields":[]}' } };
  const decoder = decoderWith(new SchemaRegistry({ url }));
  for (const id of [1, 2, 3]) {
    await decoder.prepare([framed(id)]);
    expect(decoder.decode(framed(id)), `id ${id}`).toMatchObject({ reason: 'unreadable_schema' });
  }
});

test('a producer may keep our schema under its own namespace', async () => {
  const schema = JSON.parse(schemaText.replaceAll('weir.telemetry.', 'com.acme.'));
  answers['/schemas/ids/4'] = { status: 200, body: { schema: JSON.stringify(schema) } };
  const decoder = decoderWith(new SchemaRegistry({ url }));
  await decoder.prepare([framed(4)]);
  expect(decoder.decode(framed(4))).toMatchObject({ kind: 'task', workspace: 'acme' });
  const reports = createDecoder({ kind: 'orchestrators', registry: new SchemaRegistry({ url }), maxValueBytes: 1e6 });
  const own = JSON.stringify(orchestratorType.schema({ exportAttrs: true }));
  answers['/schemas/ids/5'] = { status: 200, body: { schema: own } };
  answers['/schemas/ids/6'] = { status: 200, body: { schema: own.replaceAll('weir.telemetry.', 'com.acme.') } };
  for (const id of [5, 6]) {
    const record = logRecord(confluentEncoder(orchestratorType, id)(wrapBody(sampleWorker)));
    await reports.prepare([record]);
    const event = reports.decode(record);
    expect(event instanceof Rejection ? event.detail : event.kind, `id ${id}`).toBe('worker');
  }
});
