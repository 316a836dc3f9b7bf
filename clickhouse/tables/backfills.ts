import { bool, columnsOf, instant, name, type Table, text, uint64 } from '../columns.ts';

/** How far a run of a command that makes tables anew has come. */
export interface BackfillCursorRow {
  backfill: string;
  beganAtMs: number;
  kind: string;
  day: string;
  lastKey: string;
  rowsRead: number;
  finished: boolean;
}

const ofCursor = columnsOf<BackfillCursorRow>();

export const backfillCursorsTable: Table<BackfillCursorRow> = {
  name: 'backfill_cursors',
  columns: [
    ofCursor('backfill', name, (row) => row.backfill),
    ofCursor('began_at', instant, (row) => row.beganAtMs),
    ofCursor('kind', name, (row) => row.kind),
    ofCursor('day', text, (row) => row.day),
    ofCursor('last_key', text, (row) => row.lastKey),
    ofCursor('rows_read', uint64, (row) => row.rowsRead),
    ofCursor('finished', bool, (row) => row.finished),
  ],
};
