import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type MigrationReport, migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { launch, pause } from '../support/launched.ts';
import { createTestDatabase, type TestDatabase } from '../support/stack.ts';
import { defaultSettings } from './default-settings.ts';

const migrationsFolder = path.join(import.meta.dirname, '../../clickhouse/migrations');
const command = path.join(import.meta.dirname, '../../clickhouse/migrate-command.ts');
const allNames = readdirSync(migrationsFolder).sort();
const usual = migrateOptions(defaultSettings());
const nothingLeft: MigrationReport = { applied: [], already: allNames, adjusted: [] };

const scratch = mkdtempSync(path.join(tmpdir(), 'weir-migrations-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A copy of the migrations that a test may change. */
function copyMigrations(name: string): string {
  const folder = path.join(scratch, name);
  cpSync(migrationsFolder, folder, { recursive: true });
  return folder;
}

/** Everything that is stored about the tables, and every row of the history but when it was written. */
async function describeDatabase(database: TestDatabase): Promise<string> {
  const tables = await database.query(
    'SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name',
  );
  const history = tables.includes('schema_migrations')
    ? await database.query('SELECT DISTINCT name, checksum FROM schema_migrations ORDER BY name')
    : '';
  return `${tables}\n${history}`;
}

const readDefinition = (database: TestDatabase, table: string) =>
  database.query(
    `SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = '${table}'`,
  );

describe('migrations', async () => {
  const database = await createTestDatabase('migrate');

  it('are applied in order, once', async () => {
    const first = await migrate(database, usual);
    expect(first).toMatchObject({ applied: allNames, already: [] });
    const state = await describeDatabase(database);
    expect(await migrate(database, usual)).toEqual(nothingLeft);
    expect(await describeDatabase(database)).toBe(state);
  });

  it('may be repeated where a crash came between a migration and its note', async () => {
    const state = await describeDatabase(database);
    const last = allNames.at(-1);
    await database.query(`DELETE FROM schema_migrations WHERE name = '${last}'`);
    expect(await migrate(database, usual)).toMatchObject({ applied: [last], adjusted: [] });
    expect(await describeDatabase(database)).toBe(state);
  });

  it('make a database that does not exist', async () => {
    const other = { ...database, database: `${database.database}_made` };
    expect(await migrate(other, usual)).toMatchObject({ applied: allNames });
    expect(await migrate(other, usual)).toEqual(nothingLeft);
    await database.query(`DROP DATABASE ${other.database} SYNC`);
  });
});

describe('migrations by several processes at once', async () => {
  const database = await createTestDatabase('migrate_at_once');
  const alone = await createTestDatabase('migrate_alone');

  it('do no harm', async () => {
    await Promise.all([1, 2, 3].map(() => migrate(database, usual)));
    expect(await migrate(database, usual)).toEqual(nothingLeft);
    await migrate(alone, usual);
    const state = await describeDatabase(alone);
    expect(await describeDatabase(database)).toBe(state.replaceAll(alone.database, database.database));
  }, 300_000);
});

describe('a database that holds rows already', async () => {
  const database = await createTestDatabase('migrate_filled');
  /** The last release that kept a hash of what a record says, and compressed as the server does by itself. */
  const lastOfOld = '0019_baselines.sql';
  const codecs = (table: string) =>
    database.query(
      `SELECT DISTINCT default_compression_codec FROM system.parts WHERE database = currentDatabase() AND active AND table = '${table}'`,
    );

  it('keeps them, and stores them as newer ones from their next merge on', async () => {
    const folder = copyMigrations('older-release');
    for (const name of allNames) if (name > lastOfOld) rmSync(path.join(folder, name));
    await migrate(database, { ...usual, folder });
    const insert = (offsets: string, hash: string) =>
      database.query(
        `INSERT INTO task_events (workspace, execution_id, task_id, event_time, offset ${hash === '' ? '' : ', identity_hash'})
         SELECT 'acme', concat('run-', toString(intDiv(number, 9))), 'load', toDateTime64('2026-11-01 00:00:00', 3, 'UTC'), number ${hash}
         FROM numbers(${offsets})`,
      );
    await insert('0, 3000', ', number * 7');
    expect(await codecs('task_events')).toBe('LZ4');
    await migrate(database, usual);
    await insert('3000, 3000', '');
    const told = 'SELECT count(), uniqExact(offset), uniqExact(execution_id), sum(offset) FROM task_events FINAL';
    const expected = ['6000', '6000', '667', '17997000'].join('\t');
    expect(await database.query(told)).toBe(expected);
    await database.query('OPTIMIZE TABLE task_events FINAL');
    expect(await database.query(told)).toBe(expected);
    expect(await codecs('task_events')).toBe('ZSTD(1)');
    expect(await readDefinition(database, 'task_events')).not.toContain('identity_hash');
  });
});

describe('a dry run', async () => {
  const database = await createTestDatabase('migrate_dry');

  it('says what would be applied and changes nothing, in an empty database', async () => {
    expect(await migrate(database, { ...usual, dryRun: true })).toMatchObject({ applied: allNames, already: [] });
    expect(await database.query('SHOW TABLES')).toBe('');
  });

  it('makes no database', async () => {
    const other = { ...database, database: `${database.database}_never` };
    expect(await migrate(other, { ...usual, dryRun: true })).toMatchObject({ applied: allNames });
    expect(await database.query(`SELECT name FROM system.databases WHERE name = '${other.database}'`)).toBe('');
  });

  it('says what would be adjusted and changes nothing, in a migrated database', async () => {
    await migrate(database, usual);
    const state = await describeDatabase(database);
    const options = migrateOptions(defaultSettings({ WEIR_RAW_RETENTION_DAYS: '77' }));
    const report = await migrate(database, { ...options, dryRun: true });
    expect(report.adjusted).toContain('ALTER TABLE task_events MODIFY TTL event_time + toIntervalDay(77)');
    expect(await describeDatabase(database)).toBe(state);
  });
});

describe('migrations are refused', async () => {
  const database = await createTestDatabase('migrate_refused');
  await migrate(database, usual);
  const state = await describeDatabase(database);

  async function expectRefusal(folder: string, message: string): Promise<void> {
    await expect(migrate(database, { ...usual, folder })).rejects.toThrow(message);
    await expect(migrate(database, { ...usual, folder, dryRun: true })).rejects.toThrow(message);
    expect(await describeDatabase(database)).toBe(state);
  }

  it('when one was edited after it had been applied', async () => {
    const folder = copyMigrations('edited');
    const [file] = allNames;
    writeFileSync(path.join(folder, file), `${readFileSync(path.join(folder, file), 'utf8')}\n-- one more thought\n`);
    await expectRefusal(
      folder,
      `${file} was edited after it had been applied; restore it and put the change into a new file`,
    );
  });

  it('when the database has had one that this release does not know', async () => {
    const folder = copyMigrations('older');
    const newest = allNames.at(-1) as string;
    rmSync(path.join(folder, newest));
    await expectRefusal(folder, `${newest} was applied but is no longer in the folder; this release is older`);
  });

  it('when a new one has a number below one that was applied', async () => {
    const folder = copyMigrations('out-of-order');
    writeFileSync(path.join(folder, '0003_afterthought.sql'), 'CREATE TABLE afterthought (a Int8) ENGINE = Memory;\n');
    await expectRefusal(folder, `0003_afterthought.sql comes before ${allNames.at(-1)}, which has been applied`);
  });

  it('with all reasons at once', async () => {
    const folder = copyMigrations('several');
    writeFileSync(path.join(folder, allNames[0]), 'SELECT 1;\n');
    writeFileSync(path.join(folder, allNames[1]), 'SELECT 1;\n');
    await expectRefusal(folder, `${allNames[0]} was edited`);
    await expectRefusal(folder, `${allNames[1]} was edited`);
  });
});

describe('retention', async () => {
  const database = await createTestDatabase('migrate_retention');
  const changed = defaultSettings({
    WEIR_RAW_RETENTION_DAYS: '70',
    WEIR_CELLS_RETENTION_DAYS: '80',
    WEIR_HOUR_RETENTION_DAYS: '300',
    WEIR_DAY_RETENTION_DAYS: '900',
    WEIR_ENTITY_RETENTION_DAYS: '95',
    WEIR_DEAD_LETTER_RETENTION_DAYS: '50',
    WEIR_DEAD_LETTER_BYTES_RETENTION_DAYS: '5',
  });
  const days: Record<string, string> = {
    execution_events: 'event_time + toIntervalDay(70)',
    task_events: 'event_time + toIntervalDay(70)',
    orchestrator_events: 'event_time + toIntervalDay(70)',
    execution_cells: 'toDateTime64(written_at, 0) + toIntervalDay(80)',
    task_cells: 'toDateTime64(written_at, 0) + toIntervalDay(80)',
    orchestrator_cells: 'toDateTime64(written_at, 0) + toIntervalDay(80)',
    execution_hours: 'toDateTime64(written_at, 0) + toIntervalDay(300)',
    task_hours: 'toDateTime64(written_at, 0) + toIntervalDay(300)',
    orchestrator_hours: 'toDateTime64(written_at, 0) + toIntervalDay(300)',
    execution_days: 'toDateTime64(written_at, 0) + toIntervalDay(900)',
    task_days: 'toDateTime64(written_at, 0) + toIntervalDay(900)',
    orchestrator_days: 'toDateTime64(written_at, 0) + toIntervalDay(900)',
    executions: 'last_event_at + toIntervalDay(95)',
    task_attempts: 'last_event_at + toIntervalDay(95)',
    execution_list: 'at + toIntervalDay(95)',
    task_list: 'at + toIntervalDay(95)',
    baselines: 'toDateTime64(valid_from, 0) + toIntervalDay(70)',
    baseline_generations: 'toDateTime64(valid_from, 0) + toIntervalDay(70)',
    scores: 'ended_at + toIntervalDay(70)',
    resource_baselines: 'toDateTime64(valid_from, 0) + toIntervalDay(70)',
    scored_ranges: 'toDateTime64(through, 0) + toIntervalDay(70)',
    alert_judgements: 'toDateTime64(window_start, 0) + toIntervalDay(70)',
    alert_rounds: 'toDateTime64(round, 0) + toIntervalDay(70)',
    alert_changes: 'event_time + toIntervalDay(300)',
    webhook_deliveries: 'last_tried_at + toIntervalDay(50)',
    workflow_analyses: 'computed_at + toIntervalDay(95)',
    past_executions: 'computed_at + toIntervalDay(95)',
    drops: 'record_time + toIntervalDay(50)',
    dead_letters: 'record_time + toIntervalDay(50)',
    dead_letter_bytes: 'record_time + toIntervalDay(5)',
    idle_partitions: 'idle_through + toIntervalDay(70)',
  };

  it('follows the settings, table by table, and settles', async () => {
    await migrate(database, usual);
    const report = await migrate(database, migrateOptions(changed));
    expect(report.adjusted).toHaveLength(Object.keys(days).length);
    for (const [table, ttl] of Object.entries(days))
      expect(await readDefinition(database, table)).toContain(`TTL ${ttl} `);
    expect(await readDefinition(database, 'chunks')).not.toContain('TTL');
    expect(await migrate(database, migrateOptions(changed))).toEqual(nothingLeft);
  });

  it('that is made longer also keeps the rows that are already there', async () => {
    await database.query('SYSTEM STOP TTL MERGES drops');
    await database.query(
      "INSERT INTO drops (stream, offset, record_time) SELECT 'kept@1', 7, now64(3) - toIntervalDay(50) + toIntervalSecond(8)",
    );
    await migrate(database, usual);
    // Now the row has expired by the retention of the last test, and lives on by the longer one.
    await pause(9_000);
    await database.query('SYSTEM START TTL MERGES drops');
    await database.query('OPTIMIZE TABLE drops FINAL');
    expect(await database.query("SELECT offset FROM drops WHERE stream = 'kept@1'")).toBe('7');
  });

  it('removes what is older', async () => {
    await database.query(
      "INSERT INTO drops (stream, offset, record_time) SELECT 'expired@1', 8, now64(3) - toIntervalDay(61)",
    );
    await database.query('OPTIMIZE TABLE drops FINAL');
    expect(await database.query("SELECT count() FROM drops WHERE stream = 'expired@1'")).toBe('0');
  });

  it('may be as long as the settings allow', async () => {
    const days = 36_500;
    const longest = {
      rawDays: days,
      cellDays: days,
      hourDays: days,
      dayDays: days,
      entityDays: days,
      deadLetterDays: days,
      deadLetterBytesDays: days,
    };
    await migrate(database, { ...usual, retention: longest });
    const inserts = {
      drops: "INSERT INTO drops (stream, record_time) SELECT 'long@1', now()",
      execution_events: "INSERT INTO execution_events (stream, event_time) SELECT 'long@1', now()",
      execution_cells: "INSERT INTO execution_cells (stream, window_start) SELECT 'long@1', now()",
    };
    for (const [table, statement] of Object.entries(inserts)) {
      await database.query(statement);
      await database.query(`OPTIMIZE TABLE ${table} FINAL`);
      expect(await database.query(`SELECT count() FROM ${table} WHERE stream = 'long@1'`), table).toBe('1');
    }
  });
});

describe('waiting for the disk', async () => {
  const database = await createTestDatabase('migrate_durable');
  const tables = ['chunks', 'execution_events', 'task_cells', 'dead_letters'];

  it('is turned on for every table, and off again', async () => {
    await migrate(database, { ...usual, fsync: true });
    for (const table of tables) {
      const definition = await readDefinition(database, table);
      expect(definition, table).toContain('fsync_after_insert = 1, fsync_part_directory = 1');
      expect(definition, table).toContain('min_rows_to_fsync_after_merge = 1');
      expect(definition, table).toContain('old_parts_lifetime = 480');
    }
    expect(await migrate(database, { ...usual, fsync: true })).toEqual(nothingLeft);
    const report = await migrate(database, usual);
    expect(report.adjusted.every((statement) => statement.includes('RESET SETTING'))).toBe(true);
    for (const table of tables) expect(await readDefinition(database, table)).not.toContain('fsync');
    expect(await migrate(database, usual)).toEqual(nothingLeft);
  });

  it('takes rows', async () => {
    await migrate(database, { ...usual, fsync: true });
    await database.query("INSERT INTO chunks (stream, partition, chunk) VALUES ('fsync@1', 0, 0)");
    expect(await database.query("SELECT count() FROM chunks WHERE stream = 'fsync@1'")).toBe('1');
  });
});

describe('npm run migrate', async () => {
  const database = await createTestDatabase('migrate_command');
  const env = {
    CLICKHOUSE_URL: database.url,
    CLICKHOUSE_USER: database.user,
    CLICKHOUSE_PASSWORD: database.password,
    CLICKHOUSE_DATABASE: database.database,
  };

  async function run(args: readonly string[] = [], more: Record<string, string> = {}) {
    const launched = launch(command, { args, env: { ...env, ...more } });
    return { ...(await launched.exited), output: launched.output() };
  }

  it('says what it would do, does it, and then has nothing to do', async () => {
    const dry = await run(['--dry-run']);
    expect(dry.output).toBe(allNames.map((name) => `would apply ${name}\n`).join(''));
    expect(await database.query('SHOW TABLES')).toBe('');
    const real = await run();
    for (const name of allNames) expect(real.output).toContain(`applied ${name}\n`);
    expect(real.output).toContain('ran ALTER TABLE drops (MODIFY TTL');
    const again = await run();
    expect(again.output).toBe(`nothing to do: all ${allNames.length} migrations have been applied\n`);
    expect([dry.code, real.code, again.code]).toEqual([0, 0, 0]);
  });

  it('refuses with the reason and exit code 1', async () => {
    await database.query("INSERT INTO schema_migrations (name, checksum) VALUES ('9999_tomorrow.sql', 'unknown')");
    const refused = await run();
    expect(refused.output).toBe(
      'Migrations refused:\n  9999_tomorrow.sql was applied but is no longer in the folder; this release is older than the database\n',
    );
    expect(refused.code).toBe(1);
  });

  it('says in one line why a server refuses it or cannot be reached', async () => {
    const wrong = await run([], { CLICKHOUSE_PASSWORD: 'not-the-password' });
    expect(wrong.output).toMatch(/Authentication failed/);
    expect(wrong.output).not.toContain('not-the-password');
    const away = await run([], { CLICKHOUSE_URL: 'http://127.0.0.1:1' });
    expect(away.output).toMatch(/^ClickHouse cannot be reached: .*\n$/);
    expect([wrong.code, away.code]).toEqual([1, 1]);
  });

  it('refuses wrong usage with exit code 2', async () => {
    const unknown = await run(['--force']);
    expect(unknown.output).toContain('--dry-run');
    const nowhere = await run([], { CLICKHOUSE_URL: '' });
    expect(nowhere.output).toContain('CLICKHOUSE_URL is not set');
    const wrong = await run([], { WEIR_RAW_RETENTION_DAYS: '0' });
    expect(wrong.output).toContain('WEIR_RAW_RETENTION_DAYS');
    expect([unknown.code, nowhere.code, wrong.code]).toEqual([2, 2, 2]);
  });
});
