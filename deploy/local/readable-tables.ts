import { readFile, writeFile } from 'node:fs/promises';
import { Database, type DatabaseOptions } from '../../clickhouse/client.ts';
import type { ReadableTable } from './clickhouse-users.ts';

/** Holds the original bytes of rejected records, secrets included. */
const closedTables = ['dead_letter_bytes'];
/**
 * What people set up includes hashes of API keys and the secrets of webhooks. Readers see who changed what and when, whatever
 * the collection: one that is added later is closed from its first day. The API needs the values, and shows its users what
 * each of them may see.
 */
const closedToReaders: Readonly<Record<string, readonly string[]>> = { state: ['value'], state_changes: ['value'] };

/**
 * What the API and readers may see, taken from the database itself after its migrations: every table and view but
 * the closed ones. So no list has to be kept in step, and a table with a workspace column is never without its filter.
 */
export async function listReadableTables(target: DatabaseOptions): Promise<ReadableTable[]> {
  const database = new Database(target);
  try {
    const tables = await database.rows<{ readable_table: string; column_names: string[] }>(
      `SELECT table AS readable_table, groupArray(name) AS column_names
       FROM system.columns WHERE database = {database: String} GROUP BY table ORDER BY table`,
      { database: target.database },
    );
    return tables
      .map(({ readable_table: name, column_names: columns }): ReadableTable => {
        const table = { name, hasWorkspace: columns.includes('workspace') };
        const closed = closedToReaders[name];
        return closed === undefined
          ? table
          : { ...table, readerColumns: columns.filter((column) => !closed.includes(column)).sort() };
      })
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
