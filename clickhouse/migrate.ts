import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Settings } from '../schemas/settings.ts';
import { Database, type DatabaseOptions } from './client.ts';
import { despiteRaces, refineGranules } from './granules.ts';

/** How long each kind of row is kept, in days. */
export interface Retention {
  rawDays: number;
  cellDays: number;
  hourDays: number;
  dayDays: number;
  entityDays: number;
  deadLetterDays: number;
  deadLetterBytesDays: number;
}

export interface MigrateOptions {
  retention: Retention;
  /** Wait for the disk on every insert, so that acknowledged rows survive a loss of power. */
  fsync: boolean;
  dryRun?: boolean;
  folder?: string;
}

/** What the settings say of the schema: how long rows are kept, and whether inserts wait for the disk. */
export function migrateOptions(settings: Settings): MigrateOptions {
  return {
    fsync: settings.clickhouseFsync,
    retention: {
      rawDays: settings.rawRetentionDays,
      cellDays: settings.cellsRetentionDays,
      hourDays: settings.hourRetentionDays,
      dayDays: settings.dayRetentionDays,
      entityDays: settings.entityRetentionDays,
      deadLetterDays: settings.deadLetterRetentionDays,
      deadLetterBytesDays: settings.deadLetterBytesRetentionDays,
    },
  };
}

export interface MigrationReport {
  applied: string[];
  already: string[];
  /** Statements of granules, retention and durability that had to be run. */
  adjusted: string[];
}

export class MigrationRefused extends Error {
  override name = 'MigrationRefused';
}

interface Migration {
  name: string;
  checksum: string;
  statements: string[];
}

const defaultFolder = path.join(import.meta.dirname, 'migrations');

/** The migrations in order. A statement ends at a semicolon that ends its line. */
function readMigrations(folder = defaultFolder): Migration[] {
  return readdirSync(folder)
    .filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file))
    .sort()
    .map((file) => {
      const body = readFileSync(path.join(folder, file), 'utf8');
      const statements = body
        .split(/;[ \t]*$/m)
        .map((statement) => statement.trim())
        .filter((statement) => statement.replace(/^--.*$/gm, '').trim() !== '');
      return { name: file, checksum: createHash('sha256').update(body).digest('hex'), statements };
    });
}

const historyTable = `CREATE TABLE IF NOT EXISTS schema_migrations
(
    name       String                 COMMENT 'file of the migration',
    checksum   String                 COMMENT 'SHA-256 of the file when it was applied',
    applied_at DateTime DEFAULT now() COMMENT 'when it was applied'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'Migrations that this database has had.'`;

/** A statement that goes through a large table says nothing until it is done. */
const longestStatementMs = 6 * 3_600_000;

const quoteName = (name: string) => `\`${name.replaceAll('`', '')}\``;

async function applied(database: Database): Promise<Map<string, string>> {
  const rows = await database.rows<{ name: string; checksum: string }>(
    'SELECT name, argMin(checksum, applied_at) AS checksum FROM schema_migrations GROUP BY name',
  );
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

function refuseChanged(migrations: Migration[], done: Map<string, string>): void {
  const known = new Set(migrations.map((migration) => migration.name));
  const problems = migrations
    .filter((migration) => done.has(migration.name) && done.get(migration.name) !== migration.checksum)
    .map(
      (migration) =>
        `${migration.name} was edited after it had been applied; restore it and put the change into a new file`,
    );
  for (const name of done.keys()) {
    if (!known.has(name))
      problems.push(`${name} was applied but is no longer in the folder; this release is older than the database`);
  }
  const newest = [...done.keys()].sort().at(-1);
  for (const migration of migrations) {
    if (newest !== undefined && migration.name < newest && !done.has(migration.name)) {
      problems.push(`${migration.name} comes before ${newest}, which has been applied; give it a higher number`);
    }
  }
  if (problems.length > 0) throw new MigrationRefused(`Migrations refused:\n  ${problems.join('\n  ')}`);
}

/** Brings the database to the newest schema. Running it again, or twice at once, changes nothing. */
export async function migrate(target: DatabaseOptions, options: MigrateOptions): Promise<MigrationReport> {
  const migrations = readMigrations(options.folder);
  const report: MigrationReport = { applied: [], already: [], adjusted: [] };
  const dryRun = options.dryRun ?? false;
  const server = new Database({ ...target, database: 'default' });
  try {
    const exists = await server.rows('SELECT name FROM system.databases WHERE name = {name: String}', {
      name: target.database,
    });
    if (exists.length === 0 && dryRun) return { ...report, applied: migrations.map((migration) => migration.name) };
    await server.command(`CREATE DATABASE IF NOT EXISTS ${quoteName(target.database)}`);
  } finally {
    await server.close();
  }
  const database = new Database({ ...target, requestTimeoutMs: longestStatementMs });
  try {
    if (!dryRun) await database.command(historyTable);
    const done =
      dryRun && !(await hasTable(database, 'schema_migrations')) ? new Map<string, string>() : await applied(database);
    refuseChanged(migrations, done);
    // What was begun before is ended before tables change.
    const refinedBefore = await refineGranules(database, dryRun);
    for (const migration of migrations) {
      if (done.has(migration.name)) {
        report.already.push(migration.name);
        continue;
      }
      report.applied.push(migration.name);
      if (dryRun) continue;
      for (const statement of migration.statements) await despiteRaces(() => database.command(statement));
      await database.command(
        `INSERT INTO schema_migrations (name, checksum) VALUES ('${migration.name}', '${migration.checksum}')`,
      );
    }
    const refined = dryRun ? [] : await refineGranules(database, dryRun);
    report.adjusted = [...refinedBefore, ...refined, ...(await adjustTables(database, options, dryRun))];
    return report;
  } finally {
    await database.close();
  }
}

async function hasTable(database: Database, table: string): Promise<boolean> {
  const rows = await database.rows(
    'SELECT name FROM system.tables WHERE database = currentDatabase() AND name = {table: String}',
    { table },
  );
  return rows.length > 0;
}

/**
 * Retention is a setting, so it stands outside the migrations: the wanted TTL is compared with the table's own and
 * changed where it differs. Rows of the log expire by their own time, cells by when they were written, so
 * that an event a week late never makes an hour be computed from half its cells, nor a day from half its hours. All instants are DateTime64: a
 * DateTime ends in 2106, and a retention that reaches past it would come round to 1970 and expire every row at once.
 */
function wantedRetention(retention: Retention): Record<string, string> {
  const after = (instant: string, days: number) => `${instant} + toIntervalDay(${days})`;
  return {
    execution_events: after('event_time', retention.rawDays),
    task_events: after('event_time', retention.rawDays),
    orchestrator_events: after('event_time', retention.rawDays),
    execution_cells: after('toDateTime64(written_at, 0)', retention.cellDays),
    task_cells: after('toDateTime64(written_at, 0)', retention.cellDays),
    orchestrator_cells: after('toDateTime64(written_at, 0)', retention.cellDays),
    execution_hours: after('toDateTime64(written_at, 0)', retention.hourDays),
    task_hours: after('toDateTime64(written_at, 0)', retention.hourDays),
    orchestrator_hours: after('toDateTime64(written_at, 0)', retention.hourDays),
    execution_days: after('toDateTime64(written_at, 0)', retention.dayDays),
    task_days: after('toDateTime64(written_at, 0)', retention.dayDays),
    orchestrator_days: after('toDateTime64(written_at, 0)', retention.dayDays),
    executions: after('last_event_at', retention.entityDays),
    task_attempts: after('last_event_at', retention.entityDays),
    execution_list: after('at', retention.entityDays),
    task_list: after('at', retention.entityDays),
    // A score says which baseline it stood on; so these live as long as the rows that are scored.
    baselines: after('toDateTime64(valid_from, 0)', retention.rawDays),
    baseline_generations: after('toDateTime64(valid_from, 0)', retention.rawDays),
    scores: after('ended_at', retention.rawDays),
    resource_baselines: after('toDateTime64(valid_from, 0)', retention.rawDays),
    scored_ranges: after('toDateTime64(through, 0)', retention.rawDays),
    alert_judgements: after('toDateTime64(window_start, 0)', retention.rawDays),
    alert_rounds: after('toDateTime64(round, 0)', retention.rawDays),
    // How often something failed last year is asked long after its telemetry is gone.
    alert_changes: after('event_time', retention.hourDays),
    webhook_deliveries: after('last_tried_at', retention.deadLetterDays),
    workflow_analyses: after('computed_at', retention.entityDays),
    past_executions: after('computed_at', retention.entityDays),
    drops: after('record_time', retention.deadLetterDays),
    dead_letters: after('record_time', retention.deadLetterDays),
    dead_letter_bytes: after('record_time', retention.deadLetterBytesDays),
    idle_partitions: after('idle_through', retention.rawDays),
  };
}

const fsyncSettings: Record<string, number> = {
  fsync_after_insert: 1,
  fsync_part_directory: 1,
  min_rows_to_fsync_after_merge: 1,
  min_compressed_bytes_to_fsync_after_merge: 1,
  old_parts_lifetime: 480,
};

/** How newer servers are told to merge, and what else they do by themselves that takes more of them here than it gives. */
const tuning = {
  /**
   * Statistics of every column, for their planner. Questions here go by keys, and merges pay for them: 7 percent of their CPU for cells,
   * 12 for raw rows, 26 for attempts. Only what has a retention has many rows.
   */
  statistics: { name: 'auto_statistics_types', value: "''" },
  /**
   * Leaving out small parts at the end of what is to be merged. A part of half a megabyte and five that one second each has
   * written are chosen, of which then two are left: so the whole of a young table is written again every second rather than
   * every five or six, which at 300 events a second was a third of all that the server did.
   */
  hastyMerges: { name: 'merge_selector_enable_heuristic_to_remove_small_parts_at_right', value: '0' },
  /**
   * However few rows there are, each column costs a merge its time, and as long as a part is small it is written again with each: so they are
   * merged ten parts at a time rather than five. At 1 000 events a second merges take 0.17 s of each second instead of 0.44, and write 18 700
   * rows instead of 54 000; the server is busy by 40 percent of a core instead of 50. There are a dozen small parts of a table instead of seven.
   */
  wideMerges: { name: 'merge_selector_base', value: '10' },
};

function tuningOf(hasRetention: boolean): { name: string; value: string }[] {
  const { statistics, hastyMerges, wideMerges } = tuning;
  return [hastyMerges, ...(hasRetention ? [statistics, wideMerges] : [])];
}

async function listKnown(database: Database): Promise<Set<string>> {
  const names = Object.values(tuning).map(({ name }) => name);
  const question = 'SELECT name FROM system.merge_tree_settings WHERE name IN {names: Array(String)}';
  return new Set((await database.rows<{ name: string }>(question, { names })).map(({ name }) => name));
}

async function adjustTables(database: Database, options: MigrateOptions, dryRun: boolean): Promise<string[]> {
  const tables = await database.rows<{ name: string; definition: string }>(
    "SELECT name, create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
  );
  const wanted = wantedRetention(options.retention);
  const known = await listKnown(database);
  const statements: string[] = [];
  for (const { name, definition } of tables) {
    const ttl = wanted[name];
    const changes = ttl === undefined || definition.includes(`TTL ${ttl}`) ? [] : [`MODIFY TTL ${ttl}`];
    const settings = tuningOf(ttl !== undefined)
      .filter((setting) => known.has(setting.name) && !definition.includes(setting.name))
      .map((setting) => `${setting.name} = ${setting.value}`);
    if (settings.length > 0) changes.push(`MODIFY SETTING ${settings.join(', ')}`);
    // Parentheses keep lists of several changes apart.
    const listed = changes.length > 1 ? changes.map((change) => `(${change})`) : changes;
    if (changes.length > 0) statements.push(`ALTER TABLE ${name} ${listed.join(', ')}`);
    const synced = definition.includes('fsync_after_insert = 1');
    if (options.fsync && !synced) {
      const settings = Object.entries(fsyncSettings).map(([key, value]) => `${key} = ${value}`);
      statements.push(`ALTER TABLE ${name} MODIFY SETTING ${settings.join(', ')}`);
    }
    if (!options.fsync && synced) {
      statements.push(`ALTER TABLE ${name} RESET SETTING ${Object.keys(fsyncSettings).join(', ')}`);
    }
  }
  if (dryRun) return statements;
  // Each part remembers when it expires. Unless that is computed again, a longer retention comes too late for every
  // row that is already there. It costs little where TTLs drop whole parts: only the column of the TTL is read.
  for (const statement of statements) {
    await despiteRaces(() => database.command(statement, { materialize_ttl_after_modify: 1 }));
  }
  return statements;
}
