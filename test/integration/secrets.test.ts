import type { Type } from 'avsc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ReadableTable } from '../../deploy/local/clickhouse-users.ts';
import { listReadableTables } from '../../deploy/local/readable-tables.ts';
import { encodeExecutionEvent, encodeTaskEvent, executionType, taskType } from '../../schemas/wire.ts';
import { OwnServers } from '../support/own-servers.ts';
import {
  type RunKind as Kind,
  type OutgoingRecord,
  type PipelineProcess,
  Telemetry,
} from '../support/pipeline-process.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';

/**
 * Secrets of every shape in every text that a record can hold, in good records and in broken ones. Each is another one
 * and begins with the same mark, so that a piece of one is found too, and the one it came from is named.
 */

const nowMs = Date.now() - 30_000;
const mark = 'zx9q';
const kinds = ['executions', 'tasks'] as const;
const types: Record<Kind, Type> = { executions: executionType, tasks: taskType };
const encode = { executions: encodeExecutionEvent, tasks: encodeTaskEvent } as const;

let servers: OwnServers;
let telemetry: Telemetry;
let pipeline: PipelineProcess;
let readable: ReadableTable[];
/** Where each secret was planted, by its number. */
const planted: string[] = [];
/** Values that must have become dead letters. */
const broken: { kind: Kind; what: string; value: Buffer }[] = [];
const outgoing: Record<Kind, OutgoingRecord[]> = { executions: [], tasks: [] };

function makeSecret(where: string): string {
  planted.push(where);
  return `${mark}${String(planted.length - 1).padStart(6, '0')}Tr0ub4dor`;
}

/** Texts that hold a secret, as people and programs write them. */
const shapes: Record<string, (secret: string) => string> = {
  pair: (secret) => `login failed with password=${secret} for the reporting user`,
  'user and password in a URL': (secret) => `https://svc:${secret}@db.example.org:5432/orders?sslmode=require`,
  'token as user in a URL': (secret) => `cloning https://${secret}@git.example.org/team/repo.git`,
  'parameter of a URL': (secret) => `GET https://api.example.org/v1/items?page=2&api_key=${secret}&sort=asc 401`,
  'authorization header': (secret) => `curl -H "Authorization: Bearer ${secret}" https://example.org`,
  'basic authorization': (secret) => `> authorization: Basic ${secret}==`,
  'access key': (secret) => `credentials AKIA${secret.toUpperCase()} were refused`,
  'web token': (secret) => `session of eyJhbGciOiJIUzI1NiJ9.${secret}.c2lnbmF0dXJl has ended`,
  'platform token': (secret) => `remote: ghp_${secret}ABCDEFGHIJ was revoked`,
  'JSON in text': (secret) => JSON.stringify({ db: { user: 'etl', password: secret }, retries: 3 }),
  'JSON in JSON': (secret) => JSON.stringify({ body: JSON.stringify({ client_secret: secret }) }),
  'command line': (secret) => `exec pg_dump --password ${secret} --host db`,
  'stack trace': (secret) =>
    `OperationalError: connection refused\n  File "etl.py", line 7, in connect\n    dsn = "postgres://etl:${secret}@db/x"\n    at run (main.js:3:1)`,
  'private key': (secret) => `-----BEGIN RSA PRIVATE KEY-----\n${secret}\nMIIEow\n-----END RSA PRIVATE KEY-----`,
  environment: (secret) => `AWS_SECRET_ACCESS_KEY=${secret} PATH=/usr/bin`,
};

const identifiers = new Set(['workspace', 'source', 'workflow_id', 'execution_id', 'task_id']);
let serial = 0;

function blank(kind: Kind): Record<string, unknown> {
  const id = `run-${++serial}`;
  const base = {
    workspace: 'acme',
    workflow_id: 'orders',
    execution_id: id,
    state: 'completed',
    event_time: nowMs,
    duration_ms: 5,
  };
  return kind === 'tasks' ? { ...base, task_id: 'load' } : base;
}

type Plant = { path: string; build(text: string): unknown };

/** Every text within a type of the contract: fields, items of lists, values and names of maps, members of records. */
function* listTexts(type: unknown, path: string): Generator<Plant> {
  if (Array.isArray(type)) {
    for (const branch of type) yield* listTexts(branch, path);
    return;
  }
  if (type === 'string') yield { path, build: (text) => text };
  if (typeof type !== 'object' || type === null) return;
  const { type: name, items, values, fields } = type as Record<string, unknown>;
  if (name === 'array')
    for (const item of listTexts(items, path)) yield { path: item.path, build: (text) => [item.build(text)] };
  if (name === 'map') {
    yield { path: `${path} (name)`, build: (text) => ({ [text]: values === 'string' ? 'x' : 1 }) };
    for (const value of listTexts(values, path)) yield { path, build: (text) => ({ note: value.build(text) }) };
  }
  if (name === 'record') {
    const members = fields as { name: string; type: unknown }[];
    for (const member of members) {
      const required = Object.fromEntries(
        members.filter((other) => other.type === 'string').map((other) => [other.name, 'plain']),
      );
      for (const text of listTexts(member.type, `${path}.${member.name}`)) {
        yield { path: text.path, build: (value) => ({ ...required, [member.name]: text.build(value) }) };
      }
    }
  }
}

const isText = (name: unknown): boolean => name === 'string';

function plantInFields(kind: Kind): void {
  const { fields } = types[kind].schema({ exportAttrs: true }) as unknown as {
    fields: { name: string; type: unknown }[];
  };
  for (const field of fields) {
    for (const { path, build } of listTexts(field.type, field.name)) {
      for (const [shape, write] of Object.entries(shapes)) {
        for (const encoding of ['avro', 'json'] as const) {
          const where = `${kind} ${path}, ${shape}, ${encoding}`;
          const record = { ...blank(kind), [field.name]: build(write(makeSecret(where))) };
          const value = encoding === 'avro' ? encode[kind](record as never) : Buffer.from(JSON.stringify(record));
          outgoing[kind].push({ value, timestampMs: nowMs });
          const isRefused = isText(field.type) && (identifiers.has(field.name) || field.name === 'state');
          if (isRefused) broken.push({ kind, what: where, value });
        }
      }
    }
  }
}

/** Names that give a secret away although the value looks like nothing; JSON keeps extra fields as labels. */
function plantUnderNames(kind: Kind): void {
  const names = [
    'password',
    'db_password',
    'apiKey',
    'X-Api-Key',
    'client_secret',
    'Authorization',
    'access_token',
    'Set-Cookie',
    'connectionString',
    'ssh-key',
    'passphrase',
  ];
  for (const name of names) {
    const secret = (what: string) => makeSecret(`${kind} ${what} ${name}`);
    const labels = { ...blank(kind), labels: { [name]: secret('label in Avro') } };
    outgoing[kind].push({ value: encode[kind](labels as never), timestampMs: nowMs });
    const loose = {
      ...blank(kind),
      [name]: secret('extra field'),
      labels: { [name]: secret('label in JSON') },
      config: { nested: { [name]: secret('nested extra field'), list: [{ [name]: secret('in a list') }] } },
      input: { [name]: secret('input object'), deep: [{ [name]: { value: secret('deep input') } }] },
      output: JSON.stringify({ [name]: [secret('list in output text')] }),
    };
    outgoing[kind].push({ value: JSON.stringify(loose), timestampMs: nowMs });
  }
}

/** Records that nobody can read any more, with secrets where they were cut or broken. */
function plantInBrokenRecords(kind: Kind): void {
  for (const [shape, write] of Object.entries(shapes)) {
    const text = (what: string) => write(makeSecret(`${kind} broken: ${what}, ${shape}`));
    const json = (changes: object) => Buffer.from(JSON.stringify({ ...blank(kind), ...changes }));
    const avro = (changes: object) => encode[kind]({ ...blank(kind), ...changes } as never);
    const cutAfter = (value: Buffer, piece: string) => value.subarray(0, value.indexOf(piece) + piece.length);
    const values: Record<string, Buffer> = {
      'JSON cut off': cutAfter(json({ error_message: text('JSON cut off') }), 'Tr0ub'),
      'Avro cut off': cutAfter(
        avro({ error_message: text('Avro cut off') }),
        shape === 'access key' ? 'TR0UB' : 'Tr0ub',
      ),
      'JSON with a comma too many': Buffer.from(
        String(json({ error_message: text('a comma too many') })).replace('{', '{,'),
      ),
      'Avro behind another byte': Buffer.concat([
        Buffer.from([0x11]),
        avro({ error_stack: text('behind another byte') }),
      ]),
      'Avro with bytes left over': Buffer.concat([avro({}), Buffer.from(text('bytes left over'))]),
      'plain text': Buffer.from(`no JSON: ${text('plain text')}`),
      'JSON that is no UTF-8': Buffer.concat([
        Buffer.from('{"a":"\xe9",', 'latin1'),
        json({ output: text('no UTF-8') }).subarray(1),
      ]),
      'a list': Buffer.from(JSON.stringify([text('list')])),
      'a bare text': Buffer.from(JSON.stringify(text('bare text'))),
      'a time that is text': json({ event_time: text('event time') }),
      'a number that is text': json({ duration_ms: text('duration') }),
      'an attempt that is text': json({ attempt: text('attempt') }),
      'a state': json({ state: text('state') }),
      'an unknown fingerprint': Buffer.from(avro({ error_message: text('unknown fingerprint') }).fill(0xa5, 2, 10)),
      'an event too late': json({ event_time: Date.UTC(2016, 1), error_message: text('too late') }),
      'a value too large': json({ error_message: text('too large'), output: 'x'.repeat(5000) }),
    };
    for (const [what, value] of Object.entries(values)) {
      const secret = makeSecret(`${kind} key and headers of ${what}`);
      outgoing[kind].push({
        value,
        timestampMs: nowMs,
        key: `token=${secret}`,
        headers: { authorization: `Bearer ${secret}`, 'weir-origin-topic': `password=${secret}` },
      });
      broken.push({ kind, what: `${what}, ${shape}`, value });
    }
  }
}

beforeAll(async () => {
  servers = await OwnServers.create();
  // The engine learns what readers may see when it starts, so the tables come first: as at the first `npm start`.
  await servers.startClickHouse();
  telemetry = new Telemetry(
    uniqueTopics('secrets'),
    { brokers: useStack().brokers, database: servers.database() },
    { partitions: 1, env: { WEIR_LOG_LEVEL: 'trace', WEIR_MAX_VALUE_BYTES: '5000' } },
  );
  await telemetry.prepare();
  readable = await listReadableTables(servers.database());
  await servers.clickhouse?.stop();
  await servers.startClickHouse(readable);
  for (const kind of kinds) {
    plantInFields(kind);
    plantUnderNames(kind);
    plantInBrokenRecords(kind);
  }
  pipeline = await telemetry.startReady();
  for (const kind of kinds) {
    for (let from = 0; from < outgoing[kind].length; from += 200) {
      await telemetry.send(kind, outgoing[kind].slice(from, from + 200));
    }
  }
  await telemetry.waitStored(60_000);
});

afterAll(async () => {
  await telemetry.close();
  await servers.stop();
});

/** Where the secrets were planted that stand in a text, each once, at most ten. */
function findSecrets(text: string): string[] {
  const found = new Set<string>();
  for (const [piece, number] of text.matchAll(new RegExp(`${mark}(\\d{0,6})`, 'gi'))) {
    const around = text.slice(Math.max(0, text.indexOf(piece) - 60), text.indexOf(piece) + 60);
    found.add(`${planted[Number(number)] ?? 'a piece of one'}: ...${around}...`);
    if (found.size === 10) break;
  }
  return [...found];
}

describe('secrets in telemetry', () => {
  it('were planted in every text of both contracts, and everything was stored one way or the other', async () => {
    expect(planted.length).toBeGreaterThan(3_000);
    const [counts] = await telemetry.rows<{ stored: number; dead: number }>(
      'SELECT (SELECT count() FROM execution_events FINAL) + (SELECT count() FROM task_events FINAL) AS stored, (SELECT count() FROM dead_letters FINAL) AS dead',
    );
    const sent = outgoing.executions.length + outgoing.tasks.length;
    expect(counts?.stored).toBeGreaterThan(sent / 2);
    expect((counts?.stored ?? 0) + (counts?.dead ?? 0)).toBe(sent);
    expect(counts?.dead).toBeGreaterThanOrEqual(broken.length);
  });

  it('reach no table or view that readers see', async () => {
    const reader = servers.clickhouse?.users.reader;
    const database = servers.database(reader);
    expect(readable.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['task_events', 'execution_events', 'dead_letters', 'drops', 'task_cells', 'chunks']),
    );
    // The values of what people set up are for no reader; the rest of those rows is.
    const columnsOf = (name: string) => (/^state(_changes)?$/.test(name) ? '* EXCEPT (value)' : '*');
    for (const { name } of readable) {
      const content = await database.query(`SELECT ${columnsOf(name)} FROM ${name} FORMAT JSONEachRow`);
      expect(findSecrets(content), name).toEqual([]);
    }
  });

  it('reach no line of the log and no metric', async () => {
    expect(findSecrets(pipeline.output())).toEqual([]);
    expect(findSecrets(await pipeline.metricsText())).toEqual([]);
    expect(await pipeline.metric('weir_records_total', { outcome: 'dead_letter' })).toBeGreaterThan(0);
  });

  it('stay in the original bytes of dead letters, byte for byte', async () => {
    const rows = await telemetry.rows<{ value: string; key: string | null; headers: string }>(
      'SELECT hex(value) AS value, key, toString(headers) AS headers FROM dead_letter_bytes FINAL',
    );
    const kept = new Set(rows.map(({ value }) => value));
    const missing = broken.filter(({ value }) => !kept.has(value.toString('hex').toUpperCase()));
    expect(missing.map(({ kind, what }) => `${kind} ${what}`)).toEqual([]);
    expect(rows.filter(({ key, headers }) => key?.includes(mark) && headers.includes(mark)).length).toBeGreaterThan(
      100,
    );
  });

  it('cannot be read there by readers or by the API', async () => {
    const users = servers.clickhouse?.users;
    for (const user of [users?.reader, users?.api]) {
      const database = servers.database(user, user === users?.api ? { log_comment: '{"workspace": "acme"}' } : {});
      await expect(database.query('SELECT count() FROM dead_letter_bytes')).rejects.toThrow(/ACCESS_DENIED/);
      await expect(database.query('SELECT value FROM weir.dead_letter_bytes')).rejects.toThrow(/ACCESS_DENIED/);
      await expect(database.query('SELECT count() FROM dead_letters')).resolves.toMatch(/^\d+$/);
    }
  });
});
