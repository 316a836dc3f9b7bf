import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Database, DatabaseError } from '../../clickhouse/client.ts';
import { refineGranules } from '../../clickhouse/granules.ts';
import { createTestDatabase } from '../support/stack.ts';

const target = await createTestDatabase('granules');
const database = new Database(target);
afterAll(() => database.close());

const rows = 20_000;
const names = async () => {
  const tables = await database.rows<{ name: string }>(
    'SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name',
  );
  return tables.map(({ name }) => name);
};
const insert = (from: number, count: number, table = 'task_events') =>
  database.command(
    `INSERT INTO ${table} SELECT number, '2026-11-01'::Date + intDiv(number, 5000), toString(number) FROM numbers(${from}, ${count})`,
  );
const told = async (table = 'task_events') => {
  const [row] = await database.rows<{ n: number; different: number; sum: number }>(
    `SELECT count() AS n, uniqExact(a) AS different, sum(a) AS sum FROM ${table}`,
  );
  return row;
};
const expected = (count: number) => ({ n: count, different: count, sum: (count * (count - 1)) / 2 });
const definition = async (table = 'task_events') => {
  const [row] = await database.rows<{ text: string }>(
    'SELECT create_table_query AS text FROM system.tables WHERE database = currentDatabase() AND name = {table: String}',
    { table },
  );
  return row?.text ?? '';
};
const made = () => `CREATE TABLE IF NOT EXISTS task_events_fine ${coarse.replace('8192', '1024')}`;
const coarse = `(a UInt64, day Date, s String COMMENT 'text' CODEC(ZSTD(3)), INDEX s_seen s TYPE bloom_filter GRANULARITY 1)
  ENGINE = ReplacingMergeTree PARTITION BY day ORDER BY a TTL day + toIntervalDay(400) SETTINGS index_granularity = 8192 COMMENT 'a table'`;

beforeEach(async () => {
  for (const name of await names()) await database.command(`DROP TABLE ${name} SYNC`);
  await database.command(`CREATE TABLE task_events ${coarse}`);
  await insert(0, rows);
});

async function expectRefined(count = rows): Promise<void> {
  expect(await names()).toEqual(['task_events']);
  expect(await told()).toEqual(expected(count));
  expect(await definition()).toContain('index_granularity = 1024');
}

describe('a table with coarse granules', () => {
  it('gets fine ones, and keeps its rows and all else that it is', async () => {
    const before = await definition();
    expect(await refineGranules(database, false)).toEqual(['EXCHANGE TABLES task_events AND task_events_fine']);
    await expectRefined();
    expect(await definition()).toBe(before.replace('8192', '1024'));
    const granules = async () => {
      const [row] = await database.rows<{ n: number }>(
        "SELECT sum(marks) AS n FROM system.parts WHERE active AND database = currentDatabase() AND table = 'task_events'",
      );
      return row?.n;
    };
    // Parts move as they are; those that are written whole by a merge have finer granules: four days of 5 000 rows, with a mark at the end.
    expect(await granules()).toBe(8);
    await database.command('OPTIMIZE TABLE task_events FINAL');
    expect(await granules()).toBe(4 * 6);
    expect(await refineGranules(database, false)).toEqual([]);
  });

  it('is left alone by a dry run, which says what would be done', async () => {
    expect(await refineGranules(database, true)).toEqual(['EXCHANGE TABLES task_events AND task_events_fine']);
    expect(await names()).toEqual(['task_events']);
    expect(await definition()).toContain('8192');
  });

  it('of a name that is asked for in no such way stays as it is', async () => {
    await database.command(`CREATE TABLE alert_changes ${coarse}`);
    await refineGranules(database, false);
    expect(await definition('alert_changes')).toContain('8192');
  });
});

/** What is done in the order in which it is, up to a crash; and what is written after it. */
const steps = [
  made,
  () => 'EXCHANGE TABLES task_events AND task_events_fine',
  () => 'RENAME TABLE task_events_fine TO task_events_coarse',
  () => "ALTER TABLE task_events_coarse MOVE PARTITION '2026-11-02' TO TABLE task_events",
];

describe('what a crash has left', () => {
  it.each([1, 2, 3, 4])('after %i steps is brought to its end, with what was written since', async (crashAfter) => {
    for (const step of steps.slice(0, crashAfter)) await database.command(step());
    await insert(rows, 1000);
    expect(await refineGranules(database, false)).toHaveLength(1);
    await expectRefined(rows + 1000);
  });

  it('where two have made each other exchange the tables twice is brought to its end', async () => {
    for (const step of [made, steps[1], steps[1]]) await database.command(step?.() ?? '');
    // What came between the two is in the table that is not in its place.
    await insert(rows, 1000, 'task_events_fine');
    await refineGranules(database, false);
    await expectRefined(rows + 1000);
  });

  it('where a former table is there while the table is coarse is brought to its end', async () => {
    await database.command(`CREATE TABLE task_events_coarse ${coarse}`);
    await insert(rows, 1000, 'task_events_coarse');
    await refineGranules(database, false);
    await expectRefined(rows + 1000);
  });
});

/** As pipelines write: again where an error may pass, which is one while another table takes the place of this one. */
async function repeatedly(write: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof DatabaseError && error.retryable)) throw error;
    }
  }
}

it('loses nothing while several refine at once and others write', async () => {
  for (let turn = 0; turn < 3; turn++) {
    if (turn > 0) {
      await database.command('DROP TABLE task_events SYNC');
      await database.command(`CREATE TABLE task_events ${coarse}`);
      await insert(0, rows);
    }
    let written = rows;
    let isOver = false;
    const write = async () => {
      while (!isOver) {
        const from = written;
        written += 100;
        await repeatedly(() => insert(from, 100));
      }
    };
    const writers = [write(), write(), write()];
    await Promise.all([1, 2, 3, 4].map(() => refineGranules(database, false)));
    isOver = true;
    await Promise.all(writers);
    expect(written).toBeGreaterThan(rows);
    await expectRefined(written);
  }
});
