import { expect, test } from 'vitest';
import { createDecoder, type TopicKind } from '../../pipelines/decode.ts';
import { makeLiteralFinder } from '../../pipelines/literals.ts';
import { isCredentialName, makeExcerpt, mayHoldSecret, redacted, redactText } from '../../pipelines/redact.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import {
  encodeOrchestratorEvent,
  executionType,
  orchestratorBodyTypes,
  orchestratorType,
  singleObjectEncoder,
  taskType,
} from '../../schemas/wire.ts';
import {
  logRecord,
  nodeOf,
  nowMs,
  randomBySeed,
  type SchemaNode,
  sampleExecution,
  sampleTask,
} from './sample-records.ts';

const core = 'Zx9hunter2Qq7Lm3Vt5';
const shapes = [
  `password=${core}`,
  `db failed: postgres://app:${core}@db.internal:5432/orders`,
  `GET https://api.example.com/v1?token=${core}&page=2 failed`,
  `Authorization: Bearer ${core}`,
  `{"api_key": "${core}", "a": 1}`,
  `{'client_secret': '${core}'}`,
  `curl --password ${core} -v`,
  `eyJhbGciOiJIUzI1NiJ9.${core}.sig`,
  `-----BEGIN RSA PRIVATE KEY-----\n${core}\n-----END RSA PRIVATE KEY-----`,
  `Cookie: sid=${core}; theme=dark`,
  `Server=db;User Id=app;Pwd=${core};`,
  `connection_string => '${core}'`,
  `ghp_${core}AAAAAAAAAAAAAAAA`,
  `xoxb-123456-${core}`,
  `{\\"secret\\": \\"${core}\\"}`,
  `X-Api-Key: ${core}`,
  `secrets: ["${core}", "b"]`,
];

test.each(shapes)('a credential is taken out of %j', (text) => {
  const clean = redactText(text);
  expect(clean).not.toContain(core);
  expect(clean).toContain(redacted);
  expect(redactText(clean)).toBe(clean);
  expect(mayHoldSecret(text)).toBe(true);
});

test('what stands around a credential stays', () => {
  expect(redactText(`login of ann with password=${core} failed, retry 3`)).toBe(
    `login of ann with password=${redacted} failed, retry 3`,
  );
  expect(redactText(`postgres://app:${core}@db:5432/x`)).toBe(`postgres://app:${redacted}@db:5432/x`);
  expect(redactText(`AWS AKIAIOSFODNN7EXAMPLE denied`)).toBe(`AWS ${redacted} denied`);
  expect(redactText(`{"token":"${core}","page":2}`)).toBe(`{"token":"${redacted}","page":2}`);
});

test.each([
  'the design of author signals',
  'max_tokens=4096 prompt_tokens: 12',
  'session_timeout_ms=3000',
  'see https://example.com/docs@v2 and mail ann@example.com',
  'Basic authentication is off',
  'the bearer token expired',
  'sk-learn model, secretary, tokenizer: bpe',
  'scheduled__2026-11-20T00:00:00+00:00',
  'at load (/app/worker.js:10:5)',
  'password_required=true',
  's3://bucket/key=1/day=2',
])('%j is left alone', (text) => {
  expect(redactText(text)).toBe(text);
});

test('names of credentials are known in any case and with any separator', () => {
  for (const name of [
    'password',
    'DB_PASSWORD',
    'dbPassword',
    'api-key',
    'apiKey',
    'API KEY',
    'X-Auth-Token',
    'client_secret',
    'privateKey',
    'aws_secret_access_key',
    'Set-Cookie',
    'connectionString',
    'sessionId',
    'credentials',
    'bearer',
    'passwd',
    'pwd',
    'authorization',
    'access.key',
    'jwt',
    'dsn',
  ]) {
    expect(isCredentialName(name), name).toBe(true);
  }
  for (const name of [
    'author',
    'max_tokens',
    'tokenizer',
    'design',
    'key',
    'keyboard',
    'session_count',
    'secretary',
    'workflow_id',
    'token_type',
    'password_length',
    'assignee',
  ]) {
    expect(isCredentialName(name), name).toBe(false);
  }
});

test('a credential is found whatever its name and wherever in a long text it stands', () => {
  for (const name of [
    'PASSWORD',
    'pass-word',
    'passphrase',
    'passcode',
    'Pwd',
    'client.secret',
    'token',
    'apiKey',
    'access key',
    'account_key',
    'x-auth',
    'Authorization',
    'cookie',
    'connection-string',
    'session',
    'creds',
    'credential',
    'bearer',
    'sig',
    'signature',
    'dsn',
    'jwt',
  ]) {
    for (const before of ['', 'keypas secre toke '.repeat(10), 'ü✓ ']) {
      expect(redactText(`${before}${name}=${core}`), `${before}${name}`).toBe(`${before}${name}=${redacted}`);
    }
  }
});

test('words are found without regard to case, also where one begins within another', () => {
  const find = makeLiteralFinder(['abcd', 'bce', 'sig', 'x']);
  const plain = (text: string) => /abcd|bce|sig|x/i.test(text);
  for (let seed = 1; seed <= 3000; seed++) {
    const random = randomBySeed(seed);
    const text = Array.from({ length: 12 }, () => 'abcdeABCDEsigSIG é'[Math.floor(random() * 18)]).join('');
    expect(find(text), `seed ${seed}: ${text}`).toBe(plain(text));
  }
});

test('redaction is linear: a hundred kilobytes of the worst text take milliseconds', () => {
  for (const piece of [
    'eyJ',
    '://',
    '://a:',
    'password=',
    '-----BEGIN A',
    'bearer ',
    'token',
    'a.',
    '[',
    'secret: [',
    'sk-',
    '\\"',
    'basic basic ',
    'cookie: ',
  ]) {
    const text = piece.repeat(Math.ceil(100_000 / piece.length));
    const begin = performance.now();
    redactText(text);
    redactText(`password=${text}`);
    expect(performance.now() - begin, piece).toBeLessThan(1500);
  }
});

/** All places where a record may hold text, as functions that plant a text there. */
function* textPlaces(node: SchemaNode, path: string[]): Generator<{ path: string[]; make(text: string): unknown }> {
  const inner = node.types?.[1]?.typeName === undefined || node.types[0].typeName !== 'null' ? node : node.types[1];
  if (inner.typeName === 'string') yield { path, make: (text) => text };
  else if (inner.typeName === 'array') {
    for (const place of textPlaces(inner.itemsType as SchemaNode, path))
      yield { path: place.path, make: (text) => [place.make(text)] };
  } else if (inner.typeName === 'map' && inner.valuesType?.typeName === 'string') {
    yield { path: [...path, 'value'], make: (text) => ({ note: text }) };
    yield { path: [...path, 'name'], make: (text) => ({ [text]: 'x' }) };
    yield {
      path: [...path, 'credential'],
      make: (text) => ({ db_password: text.slice(text.indexOf(core), text.indexOf(core) + core.length) }),
    };
  } else if (inner.typeName === 'map') yield { path: [...path, 'name'], make: (text) => ({ [text]: 1 }) };
  else if (inner.typeName === 'record') {
    const filled = Object.fromEntries(
      (inner.fields ?? []).filter((field) => field.type.typeName === 'string').map((field) => [field.name, 'x']),
    );
    for (const field of inner.fields ?? []) {
      for (const place of textPlaces(field.type, [...path, field.name])) {
        yield { path: place.path, make: (text) => ({ ...filled, [field.name]: place.make(text) }) };
      }
    }
  }
}

const decoders = {
  executions: createDecoder({ kind: 'executions', registry: null, maxValueBytes: 1e6 }),
  tasks: createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 1e6 }),
  orchestrators: createDecoder({ kind: 'orchestrators', registry: null, maxValueBytes: 1e6 }),
};

function expectClean(kind: TopicKind, value: Buffer, where: string): void {
  const decoder = decoders[kind];
  for (const bytes of [value, value.subarray(0, value.length - 3), Buffer.concat([value, Buffer.from('x')])]) {
    const outcome = decoder.decode(logRecord(bytes));
    const seen = outcome instanceof Rejection ? `${outcome.detail} ${outcome.excerpt}` : JSON.stringify(outcome);
    expect(seen, where).not.toContain(core);
  }
}

test('secrets planted in every text field of executions and tasks are nowhere in the outcome', () => {
  for (const [kind, type, sample] of [
    ['executions', executionType, sampleExecution],
    ['tasks', taskType, sampleTask],
  ] as const) {
    let places = 0;
    const encode = singleObjectEncoder(type);
    for (const field of nodeOf(type).fields ?? []) {
      for (const place of textPlaces(field.type, [field.name])) {
        places++;
        for (const shape of shapes) {
          const record = { ...sample, [field.name]: place.make(shape) };
          expectClean(kind, encode(record), `${place.path.join('.')} avro ${shape}`);
          expectClean(kind, Buffer.from(JSON.stringify(record)), `${place.path.join('.')} json ${shape}`);
        }
      }
    }
    expect(places).toBeGreaterThan(30);
  }
});

test('secrets planted in every text field of orchestrator reports are nowhere in the outcome', () => {
  const header = { orchestrator_id: 'o', event_time: nowMs };
  for (const kind of orchestratorKinds) {
    const type = nodeOf(orchestratorBodyTypes[kind]);
    const required = Object.fromEntries(
      (type.fields ?? []).filter((field) => field.type.typeName === 'string').map((field) => [field.name, 'x']),
    );
    for (const field of type.fields ?? []) {
      for (const place of textPlaces(field.type, [kind, field.name])) {
        for (const shape of shapes) {
          const record = { ...header, kind, body: { ...required, [field.name]: place.make(shape) } };
          expectClean(
            'orchestrators',
            encodeOrchestratorEvent(record as unknown as OrchestratorRecord),
            `${place.path.join('.')} ${shape}`,
          );
          expectClean('orchestrators', Buffer.from(JSON.stringify(record)), `${place.path.join('.')} json ${shape}`);
        }
      }
    }
  }
  for (const field of (nodeOf(orchestratorType).fields ?? []).filter(({ name }) => name !== 'body')) {
    for (const place of textPlaces(field.type, [field.name])) {
      const record = { ...header, kind: 'worker', body: { worker_id: 'w' }, [field.name]: place.make(shapes[0]) };
      expectClean('orchestrators', Buffer.from(JSON.stringify(record)), place.path.join('.'));
    }
  }
});

test('secrets in JSON at any depth, in unknown fields, in the context and behind escapes are removed and named', () => {
  const decoder = createDecoder({ kind: 'executions', registry: null, maxValueBytes: 1e6 });
  const record = {
    ...sampleExecution,
    context: { secrets: [core], environment: 'prod', variables: { a: { b: [{ dbPassword: core }] } } },
    input: { headers: { Authorization: `Bearer ${core}` }, max_tokens: 5, nested: JSON.stringify({ token: core }) },
    custom: { password: core },
    api_key: core,
    metadata: { session_id: core },
  };
  const text = JSON.stringify(record).replace('dbPassword', 'db\\u0050assword');
  const event = decoder.decode(logRecord(text));
  expect(JSON.stringify(event)).not.toContain(core);
  expect(event).toMatchObject({ environment: 'prod', variables: `{"a":{"b":[{"dbPassword":"${redacted}"}]}}` });
  expect((event as { redactedFields: string[] }).redactedFields.toSorted()).toEqual(
    [
      'context.secrets',
      'input.headers.Authorization',
      'input.nested',
      'labels.api_key',
      'labels.custom',
      'labels.session_id',
      'variables.a.b.dbPassword',
    ].toSorted(),
  );
  expect((event as { input: string }).input).toContain('"max_tokens":5');
});

test('an id that holds a credential refuses the record, because ids are never changed', () => {
  const decoder = createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 1e6 });
  for (const id of ['workflow_id', 'execution_id', 'task_id', 'workspace', 'source']) {
    const outcome = decoder.decode(logRecord(JSON.stringify({ ...sampleTask, [id]: `https://u:${core}@host/run` })));
    expect(outcome, id).toMatchObject({ reason: 'secret_in_id' });
    expect(JSON.stringify(outcome)).not.toContain(core);
  }
});

test('excerpts of malformed records are printable, short and clean', () => {
  for (const shape of shapes) {
    expect(makeExcerpt(Buffer.from(`{"a": 1, "note": ${JSON.stringify(shape)}, "b": `)), shape).not.toContain(core);
  }
  expect(makeExcerpt(Buffer.from(`{"p\\u0061ssword":"${core}`))).not.toContain(core);
  const binary = Buffer.concat([
    Buffer.from([0, 1, 255, 20]),
    Buffer.from('password'),
    Buffer.from([38]),
    Buffer.from(core),
  ]);
  expect(makeExcerpt(binary)).not.toContain(core);
  const noise = Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 97) % 256));
  const excerpt = makeExcerpt(noise);
  expect(excerpt.length).toBeLessThanOrEqual(500);
  expect(excerpt).not.toMatch(/[\p{Cc}\p{Cn}\p{Cs}]/u);
});
