import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../clickhouse/block.ts';
import { Database, DatabaseError, type DatabaseOptions } from '../../clickhouse/client.ts';
import { columnsOf, type Table, text, uint32 } from '../../clickhouse/columns.ts';
import { createTestDatabase } from '../support/stack.ts';

const target = await createTestDatabase('client');
const database = new Database(target);

interface DayRow {
  day: number;
}

const ofDay = columnsOf<DayRow>();
const daysTable: Table<DayRow> = { name: 'days', columns: [ofDay('day', uint32, (row) => row.day)] };

/** A server that takes connections and never answers. */
let silent: Server;
let silentUrl: string;

beforeAll(async () => {
  await target.query('CREATE TABLE days (day UInt32) ENGINE = MergeTree PARTITION BY day ORDER BY day');
  silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  silentUrl = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
});

afterAll(async () => {
  silent.close();
  await database.close();
});

async function failWith(attempt: Promise<unknown>): Promise<DatabaseError> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DatabaseError);
  return error as DatabaseError;
}

/** What a question fails with when it is put to the server in another way. */
async function failAs(options: Partial<DatabaseOptions>, question = 'SELECT 1'): Promise<DatabaseError> {
  const other = new Database({ ...target, ...options });
  try {
    return await failWith(other.rows(question));
  } finally {
    await other.close();
  }
}

function blockOfDays(days: number, table: Table<DayRow> = daysTable): Block<DayRow> {
  return new Block(
    table,
    Array.from({ length: days }, (_, day) => ({ day })),
  );
}

describe('an error that repeating cannot cure', () => {
  it.each([
    ['60', 'an unknown table', 'SELECT * FROM nowhere'],
    ['47', 'an unknown column', 'SELECT colour FROM days'],
    ['46', 'an unknown function', 'SELECT colour_of(1)'],
    ['115', 'an unknown setting', 'SELECT 1 SETTINGS colour = 1'],
    ['62', 'a syntax error', 'SELEC 1'],
    ['81', 'an unknown database', 'SELECT * FROM nowhere_at_all.days'],
  ])('%s is %s', async (code, _, question) => {
    expect(await failWith(database.rows(question))).toMatchObject({ code, retryable: false });
    expect(await failWith(database.command(question))).toMatchObject({ code, retryable: false });
    expect(await failWith(database.stream(question))).toMatchObject({ code, retryable: false });
  });

  it('is a table or a column that an insert does not find', async () => {
    const insert = (table: Table<DayRow>) => failWith(database.insert(blockOfDays(1, table)));
    expect(await insert({ ...daysTable, name: 'nowhere' })).toMatchObject({ code: '60', retryable: false });
    const renamed = { name: 'days', columns: [ofDay('date', uint32, (row) => row.day)] };
    expect(await insert(renamed)).toMatchObject({ code: '16', retryable: false });
  });

  it('is rows that are not what their columns say', async () => {
    const words = { name: 'days', columns: [ofDay('day', text, () => 'Monday')] };
    expect(await failWith(database.insert(blockOfDays(1, words)))).toMatchObject({ retryable: false });
  });

  it('is a wrong user or password, which the message does not repeat', async () => {
    const wrong = await failAs({ password: 'guessed-password' });
    expect(wrong).toMatchObject({ code: '516', retryable: false });
    expect(`${wrong.message} ${String(wrong.cause)}`).not.toContain('guessed-password');
    expect(await failAs({ user: 'nobody' })).toMatchObject({ code: '516', retryable: false });
  });
});

describe('an error that passes', () => {
  it('is a server that is down', async () => {
    const error = await failAs({ url: 'http://127.0.0.1:1' });
    expect(error).toMatchObject({ code: 'connection', retryable: true });
    expect(error.message).toContain('ClickHouse cannot be reached');
  });

  it('is a server that does not answer in time', async () => {
    expect(await failAs({ url: silentUrl, requestTimeoutMs: 300 })).toMatchObject({
      code: 'connection',
      retryable: true,
    });
  });

  it('is an insert that touches too many partitions, and is load', async () => {
    expect(await failWith(database.insert(blockOfDays(101)))).toMatchObject({ code: '252', retryable: true });
  });

  it('is a question that takes too long or too much memory', async () => {
    const slow = failWith(database.rows('SELECT sleep(2)', {}, { max_execution_time: 1 }));
    expect(await slow).toMatchObject({ code: '159', retryable: true });
    const large = failWith(
      database.rows('SELECT groupArray(number) FROM numbers(10000000)', {}, { max_memory_usage: 1_000_000 }),
    );
    expect(await large).toMatchObject({ code: '241', retryable: true });
  });
});

describe('an answer', () => {
  it('says how large it is and what was read for it', async () => {
    const { rows, ...told } = await database.ask("SELECT repeat('x', 1000) AS text FROM numbers(100)", {}, {});
    expect(rows).toHaveLength(100);
    expect(told.bytes).toBeGreaterThanOrEqual(100_000);
    expect(told).toMatchObject({ readRows: 100, readBytes: 800 });
  });
});

describe('rows', () => {
  it('are told apart whatever stands in their values', async () => {
    const texts = ['two\nlines', '', '},\n{"text":"no row"}', 'a\r\nb\u2028c'];
    const found = await database.ask('SELECT arrayJoin({texts: Array(String)}) AS text', { texts }, {});
    expect(found.rows).toEqual(texts.map((text) => ({ text })));
    expect((await database.ask('SELECT 1 WHERE 0', {}, {})).rows).toEqual([]);
  });
});

describe('the message', () => {
  it('is one line of bounded length', async () => {
    const error = await failWith(database.rows(`SELECT ${'nowhere, '.repeat(1000)} 1`));
    expect(error.message).not.toContain('\n');
    expect(error.message.length).toBeLessThanOrEqual(500);
  });
});

describe('inserts', () => {
  it('of the same rows are all kept: nothing but the rows own keys tells repeats', async () => {
    await database.insert(blockOfDays(3));
    await database.insert(blockOfDays(3));
    expect(await database.rows('SELECT count() AS n FROM days')).toEqual([{ n: 6 }]);
  });

  it('of nothing ask the server for nothing', async () => {
    await database.insert(blockOfDays(0, { ...daysTable, name: 'nowhere' }));
  });
});
