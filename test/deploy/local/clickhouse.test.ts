import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedClickHouse, startClickHouse } from '../../../deploy/local/clickhouse.ts';
import type { Credentials } from '../../../deploy/local/clickhouse-users.ts';
import { createTestDatabase } from '../../support/stack.ts';

const readable = [
  { name: 'executions', hasWorkspace: true },
  { name: 'executions_per_workspace', hasWorkspace: false },
  { name: 'chunks', hasWorkspace: false },
  { name: 'state', hasWorkspace: true, readerColumns: ['workspace', 'key', 'ver'] },
];
const workspaceA = `log_comment=${encodeURIComponent('{"workspace":"a"}')}`;

let dataDir: string;
let server: EmbeddedClickHouse;

async function ask(user: Credentials | undefined, statement: string, settings = ''): Promise<string> {
  const headers: Record<string, string> = user
    ? { 'X-ClickHouse-User': user.name, 'X-ClickHouse-Key': user.password }
    : {};
  const answer = await fetch(`${server.url}/?${settings}`, { method: 'POST', body: statement, headers });
  return (await answer.text()).trim();
}

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'weir-clickhouse-'));
  server = await startClickHouse({ dataDir, readable });
  const statements = [
    'CREATE DATABASE weir',
    'CREATE TABLE weir.executions (workspace String, id Int64) ENGINE = ReplacingMergeTree ORDER BY (workspace, id)',
    'CREATE TABLE weir.chunks (id Int64) ENGINE = MergeTree ORDER BY id',
    'CREATE TABLE weir.dead_letter_bytes (bytes String) ENGINE = MergeTree ORDER BY tuple()',
    'CREATE VIEW weir.executions_per_workspace AS SELECT workspace, count() AS runs FROM weir.executions FINAL GROUP BY workspace',
    "INSERT INTO weir.executions VALUES ('a', 1), ('a', 2), ('b', 3)",
    "INSERT INTO weir.dead_letter_bytes VALUES ('secret')",
    'CREATE TABLE weir.state (workspace String, key String, ver UInt64, value String) ENGINE = ReplacingMergeTree(ver) ORDER BY (workspace, key)',
    "INSERT INTO weir.state VALUES ('a', 'k', 1, 'secret')",
  ];
  for (const statement of statements) expect(await ask(server.users.writer, statement)).toBe('');
});

afterAll(async () => {
  await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

describe('the API user', () => {
  test('sees nothing until the query names a workspace', async () => {
    expect(await ask(server.users.api, 'SELECT * FROM executions')).toBe('');
    expect(await ask(server.users.api, 'SELECT * FROM executions_per_workspace')).toBe('');
  });

  test('sees the rows of the named workspace only, through views as well', async () => {
    expect(await ask(server.users.api, 'SELECT id FROM executions ORDER BY id', workspaceA)).toBe('1\n2');
    expect(await ask(server.users.api, 'SELECT * FROM executions_per_workspace', workspaceA)).toBe('a\t2');
  });

  test('cannot lift its limits, yet may send the settings that our client always sends', async () => {
    expect(await ask(server.users.api, 'SELECT 1 SETTINGS max_execution_time = 0')).toContain('READONLY');
    const usual = 'date_time_output_format=iso&output_format_json_quote_64bit_integers=0';
    expect(await ask(server.users.api, 'SELECT 1', usual)).toBe('1');
    // A page of a list is read from its end, which FINAL would turn into reading all of it.
    expect(await ask(server.users.api, 'SELECT 1', 'final=0')).toBe('1');
  });
});

describe('the reader', () => {
  test('reads every workspace', async () => {
    const rows = await ask(server.users.reader, 'SELECT * FROM executions_per_workspace ORDER BY workspace');
    expect(rows).toBe('a\t2\nb\t1');
  });

  test('may change harmless settings but not lift its bounds, not even with zero', async () => {
    expect(await ask(server.users.reader, 'SELECT 1 SETTINGS max_threads = 1, max_execution_time = 10')).toBe('1');
    for (const bound of ['max_execution_time', 'max_memory_usage', 'max_rows_to_read', 'max_result_rows']) {
      const answer = await ask(server.users.reader, `SELECT 1 SETTINGS ${bound} = 0`);
      expect(answer, bound).toContain('SETTING_CONSTRAINT_VIOLATION');
    }
  });
});

describe('a column that may hold secrets', () => {
  test('is closed to readers, in every way of asking for it', async () => {
    expect(await ask(server.users.reader, 'SELECT workspace, key, ver FROM state')).toBe('a\tk\t1');
    const ways = ['*', 'value', 'length(value)', 'count() FROM state WHERE value LIKE', 'cityHash64(*)'];
    for (const way of ways) {
      const question = way.includes(' FROM ') ? `SELECT ${way} 's%'` : `SELECT ${way} FROM state`;
      expect(await ask(server.users.reader, question), question).toContain('ACCESS_DENIED');
    }
  });

  test('is open to the API within its workspace', async () => {
    expect(await ask(server.users.api, 'SELECT value FROM state', workspaceA)).toBe('secret');
    expect(await ask(server.users.api, 'SELECT value FROM state')).toBe('');
  });
});

describe('whoever is not the writer', () => {
  const forbidden = [
    'SELECT * FROM weir.dead_letter_bytes',
    'INSERT INTO weir.chunks VALUES (1)',
    'CREATE TABLE weir.more (id Int8) ENGINE = Memory',
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
    "SELECT * FROM file('users.xml', 'LineAsString', 'line String')",
    'SELECT query FROM system.processes',
    'SYSTEM STOP LISTEN HTTP',
  ];

  test.each(forbidden)('is refused: %s', async (statement) => {
    for (const user of [server.users.api, server.users.reader, undefined]) {
      expect(await ask(user, statement), user?.name).toMatch(/ACCESS_DENIED|READONLY|QUOTA_EXCEEDED/);
    }
  });

  test('finds the passwords in a file for its owner only', async () => {
    for (const file of ['users.json', 'users.xml']) {
      expect((await stat(path.join(dataDir, file))).mode & 0o777).toBe(0o600);
    }
  });
});

test('writes down what goes wrong, and not each step of what goes well', async () => {
  const log = path.join(dataDir, 'clickhouse.log');
  const { size: before } = await stat(log);
  expect(await ask(server.users.writer, 'SELECT count() FROM weir.executions')).toBe('3');
  expect(await ask(server.users.writer, 'SELECT count() FROM weir.nothing')).toMatch(/UNKNOWN_TABLE/);
  await expect.poll(() => readFile(log, 'utf8')).toContain('weir.nothing');
  expect((await readFile(log, 'utf8')).slice(before)).not.toContain('<Trace>');
});

test('acknowledged rows survive kill -9, and the passwords stay', async () => {
  const { users } = server;
  await ask(users.writer, 'INSERT INTO weir.chunks SELECT number FROM numbers(1000)');
  server.kill();
  expect((await server.exited).signal).toBe('SIGKILL');
  server = await startClickHouse({ dataDir, readable });
  expect(server.users).toEqual(users);
  expect(await ask(users.writer, 'SELECT count() FROM weir.chunks')).toBe('1000');
});

test('a second server on the same data is refused with the reason', async () => {
  await expect(startClickHouse({ dataDir, readable })).rejects.toThrow(/ended while starting/);
});

test('each test file has a database of its own in the shared server', async () => {
  const database = await createTestDatabase('clickhouse');
  expect(await database.query('SELECT currentDatabase()')).toBe(database.database);
});
