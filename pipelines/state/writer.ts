import { Block } from '../../clickhouse/block.ts';
import type { Database } from '../../clickhouse/client.ts';
import type { Table } from '../../clickhouse/columns.ts';
import { deadLetterBytesTable, deadLettersTable } from '../../clickhouse/tables/bookkeeping.ts';
import { type StateChangeRow, stateChangesTable, stateTable } from '../../clickhouse/tables/state.ts';
import type { RejectedRecord } from '../steady-reading.ts';
import { headersOf } from '../writer.ts';

/** A record of the state topic that is no change. */
/** Named points between the steps, where a test may let the process die. */
export type StatePoint = 'entries' | 'changes';

/** Every version of this code makes the same rows of a record, so there is nothing to tell apart. */
const foldVersion = 1;

async function insertAll<Row>(database: Database, table: Table<Row>, rows: readonly Row[]): Promise<void> {
  await database.insert(new Block(table, rows));
}

/**
 * Writes what was made of some records, in an order that lets every step be repeated blindly:
 *
 * 1. entries as they are now, and dead letters;
 * 2. changes, in the order of the log: reading goes on behind the newest of them after a restart.
 *
 * Dying before 2 leaves rows that are written again under the same keys and versions.
 */
export async function writeState(
  database: Database,
  stream: string,
  changes: readonly StateChangeRow[],
  rejected: readonly RejectedRecord[],
  reached: (point: StatePoint) => void = () => undefined,
): Promise<void> {
  const applied = changes.filter(({ outcome }) => outcome === 'applied');
  await Promise.all([insertAll(database, stateTable, applied), insertLetters(database, stream, rejected)]);
  reached('entries');
  await insertAll(database, stateChangesTable, changes);
  reached('changes');
}

/** What could not be read, with its bytes; of any topic of ours that is not telemetry. */
export async function insertLetters(
  database: Database,
  stream: string,
  rejected: readonly RejectedRecord[],
): Promise<void> {
  const letters = rejected.map(({ record, rejection }) => {
    const { topic, partition, offset, timestampMs: recordTimeMs, key, value } = record;
    const { reason, detail, excerpt } = rejection;
    const place = { stream, partition, offset, recordTimeMs, foldVersion };
    const sizes = { keyBytes: key?.length ?? 0, valueBytes: value?.length ?? 0 };
    return {
      letter: { ...place, ...sizes, workspace: '', topic, reason, detail, excerpt },
      bytes: { ...place, key, value, headers: headersOf(record) },
    };
  });
  await Promise.all([
    insertAll(
      database,
      deadLettersTable,
      letters.map(({ letter }) => letter),
    ),
    insertAll(
      database,
      deadLetterBytesTable,
      letters.map(({ bytes }) => bytes),
    ),
  ]);
}
