import { readFile, writeFile } from 'node:fs/promises';
import { Database, type DatabaseOptions } from '../../clickhouse/client.ts';
import type { ReadableTable } from './clickhouse-users.ts';

/** Holds the original bytes of rejected records, secrets included. */
const closedTables = ['dead_letter_bytes'];

/**
 * What the API and readers may see, taken from the database itself after its migrations: every table and view but
 * the closed ones. So no list has to be kept in step, and a table with a workspace column is never without its filter.
 */
export async function listReadableTables(target: DatabaseOptions): Promise<ReadableTable[]> {
  const database = new Database(target);
  try {
    const tables = await database.rows<{ readable_table: string; workspace_columns: number }>(
      `SELECT table AS readable_table, toUInt32(countIf(name = 'workspace')) AS workspace_columns
       FROM system.columns WHERE database = {database: String} GROUP BY table ORDER BY table`,
      { database: target.database },
    );
    return tables
      .map((row) => ({ name: row.readable_table, hasWorkspace: row.workspace_columns > 0 }))
      .filter(({ name }) => /^\w+$/.test(name) && !closedTables.includes(name));
  } finally {
    await database.close();
  }
}

/** The list of the last start, which the engine is given before it can be asked. */
export async function loadReadableTables(file: string): Promise<ReadableTable[]> {
  return readFile(file, 'utf8').then(
    (content) => JSON.parse(content) as ReadableTable[],
    () => [],
  );
}

export async function saveReadableTables(file: string, tables: readonly ReadableTable[]): Promise<void> {
  await writeFile(file, `${JSON.stringify(tables, null, 2)}\n`);
}
