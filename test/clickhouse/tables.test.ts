import { beforeAll, describe, expect, it } from 'vitest';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { alertChangesTable, alertRoundsTable, judgementsTable } from '../../clickhouse/tables/alerts.ts';
import { analysesTable } from '../../clickhouse/tables/analyses.ts';
import { backfillCursorsTable } from '../../clickhouse/tables/backfills.ts';
import { baselinesTable, generationsTable } from '../../clickhouse/tables/baselines.ts';
import {
  chunksTable,
  deadLetterBytesTable,
  deadLettersTable,
  dropsTable,
  idlePartitionsTable,
} from '../../clickhouse/tables/bookkeeping.ts';
import {
  executionCellsTable,
  executionDimensions,
  taskCellsTable,
  taskDimensions,
} from '../../clickhouse/tables/cells.ts';
import { commandsTable } from '../../clickhouse/tables/commands.ts';
import {
  executionListTable,
  executionsTable,
  taskAttemptsTable,
  taskListTable,
} from '../../clickhouse/tables/entities.ts';
import { orchestratorCellsTable, orchestratorDimensions } from '../../clickhouse/tables/orchestrator-cells.ts';
import { orchestratorEventsTable } from '../../clickhouse/tables/orchestrator-events.ts';
import { pastExecutionsTable } from '../../clickhouse/tables/past-executions.ts';
import { rollupCursorsTable, rollupPairs } from '../../clickhouse/tables/rollups.ts';
import { executionEventsTable, taskEventsTable } from '../../clickhouse/tables/runs.ts';
import { scoredRangesTable } from '../../clickhouse/tables/scores.ts';
import { stateChangesTable, stateTable } from '../../clickhouse/tables/state.ts';
import { webhookDeliveriesTable } from '../../clickhouse/tables/webhook-deliveries.ts';
import { createTestDatabase } from '../support/stack.ts';
import { defaultSettings } from './default-settings.ts';

const database = await createTestDatabase('tables');

beforeAll(async () => {
  await migrate(database, migrateOptions(defaultSettings()));
});

const tables = [
  chunksTable,
  dropsTable,
  deadLettersTable,
  deadLetterBytesTable,
  idlePartitionsTable,
  executionEventsTable,
  taskEventsTable,
  executionCellsTable,
  taskCellsTable,
  orchestratorEventsTable,
  orchestratorCellsTable,
];
/** Keyed by an entry, and by its revision, which is a place in the log. */
const entries = [stateTable, stateChangesTable, commandsTable];
/** Keyed by what they are about, and by time. */
const published = [
  baselinesTable,
  generationsTable,
  judgementsTable,
  alertRoundsTable,
  alertChangesTable,
  webhookDeliveriesTable,
  analysesTable,
  pastExecutionsTable,
  scoredRangesTable,
];
/** Keyed by what they speak of; any row may be written again. */
const entities = [executionsTable, executionListTable, taskAttemptsTable, taskListTable];
/** Filled by the roll-up job inside ClickHouse; their rows are no place in the log. */
const rolledUp = rollupPairs.flatMap(({ hours, days }) => [hours, days]);

/** Written by statements that select what they write. */
const computed = ['scores', 'resource_baselines'];

const readLines = async (statement: string) => (await database.query(statement)).split('\n');

describe('the columns that we write', () => {
  it.each(
    [...tables, ...entities, ...entries, ...published, rollupCursorsTable, backfillCursorsTable].map(
      (table) => [table.name, table] as const,
    ),
  )('are those of the table %s', async (name, table) => {
    const stored = await readLines(
      `SELECT name, type FROM system.columns
       WHERE database = currentDatabase() AND table = '${name}' AND default_kind = '' ORDER BY name FORMAT TSVRaw`,
    );
    expect(table.columns.map((entry) => `${entry.name}\t${entry.type}`).sort()).toEqual(stored.sort());
  });

  it('belong to every table there is', async () => {
    const stored = await readLines(
      "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'schema_migrations' ORDER BY name",
    );
    const known = [
      ...[...tables, ...entities, ...entries, ...published].map((table) => table.name),
      ...rolledUp.map(({ target }) => target),
      rollupCursorsTable.name,
      ...computed,
      backfillCursorsTable.name,
    ];
    expect(known.sort()).toEqual(stored);
  });
});

describe('every column', () => {
  it('of a table says what it means', async () => {
    const silent = await database.query(
      `SELECT concat(table, '.', name) FROM system.columns WHERE database = currentDatabase() AND comment = ''
       AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')`,
    );
    expect(silent).toBe('');
  });
});

describe('an hour and a day', () => {
  it.each(rolledUp)('have one row for each window in $target, with the measures of $source', async (rollup) => {
    const [key] = await readLines(
      `SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = '${rollup.target}'`,
    );
    expect(key.split(', ').sort()).toEqual([...rollup.dimensions, 'window_start'].sort());
    expect(key.split(', ').slice(0, rollup.cutBy.length)).toEqual(rollup.cutBy);
    // The views put the rows of both beside each other, column by column.
    const measures = (table: string) =>
      readLines(
        `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${table}'
         AND name NOT IN ('stream', 'partition', 'chunk', 'fold_version', 'ver') ORDER BY position FORMAT TSVRaw`,
      );
    const source = await measures(rollup.source);
    const target = await measures(rollup.target);
    if (rollup.source !== 'orchestrator_cells') return expect(target).toEqual(source);
    // What readings come to stands in two columns.
    const summaries = /^(first|increase|readings)\t/;
    expect(target.filter((entry) => !summaries.test(entry))).toEqual(source.filter((entry) => !summaries.test(entry)));
    expect(target.filter((entry) => summaries.test(entry))).toHaveLength(2);
  });
});

describe('a row is unique by its place in the log', () => {
  it.each(tables.map((table) => table.name))('in %s', async (name) => {
    const [key] = await readLines(
      `SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = '${name}'`,
    );
    const place = name === 'chunks' || name.endsWith('_cells') ? 'chunk' : 'offset';
    // Of idle partitions every row is kept; the largest value counts.
    const last = name === 'idle_partitions' ? ['log_end', 'idle_through'] : [place];
    expect(key).toMatch(new RegExp(`(^|, )${['stream', 'partition', ...last].join(', ')}$`));
  });

  it.each([
    ['execution_cells', executionDimensions],
    ['task_cells', taskDimensions],
    ['orchestrator_cells', orchestratorDimensions],
  ] as const)('and the key of %s holds every dimension and the window', async (name, dimensions) => {
    const [key] = await readLines(
      `SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = '${name}'`,
    );
    expect(key.split(', ').sort()).toEqual([...dimensions, 'window_start', 'stream', 'partition', 'chunk'].sort());
  });
});
