import { bigUint64, columnsOf, name, second, type Table, uint32 } from '../columns.ts';
import { executionDimensions, taskDimensions } from './cells.ts';
import { counts, distributions, quantities } from './measures.ts';

const hourSeconds = 3600;

/** A table that the roll-up job fills: sums of the rows of a finer one, over windows of this length. */
export interface Rollup {
  target: 'execution_hours' | 'execution_days' | 'task_hours' | 'task_days';
  source: 'execution_cells' | 'execution_hours' | 'task_cells' | 'task_hours';
  dimensions: readonly string[];
  windowSeconds: number;
  /** Hours come from cells, of which a window has one for each minute and chunk; days from hours. */
  fromCells: boolean;
}

const hours = (kind: 'execution' | 'task', dimensions: readonly string[]): Rollup => ({
  target: `${kind}_hours`,
  source: `${kind}_cells`,
  dimensions,
  windowSeconds: hourSeconds,
  fromCells: true,
});
const days = (kind: 'execution' | 'task', dimensions: readonly string[]): Rollup => ({
  target: `${kind}_days`,
  source: `${kind}_hours`,
  dimensions,
  windowSeconds: 24 * hourSeconds,
  fromCells: false,
});

/** Hours before the days that are made of them. */
export const rollupPairs: readonly { hours: Rollup; days: Rollup }[] = [
  { hours: hours('execution', executionDimensions), days: days('execution', executionDimensions) },
  { hours: hours('task', taskDimensions), days: days('task', taskDimensions) },
];

/** How each measure of a cell is merged, by its column. */
export const measureMerges: readonly { column: string; merge: 'sum' | 'min' | 'max' | 'histogram' }[] = [
  ...counts.map((column) => ({ column, merge: 'sum' as const })),
  ...distributions.flatMap((distribution) => [
    { column: `${distribution}_sum`, merge: 'sum' as const },
    { column: `${distribution}_min`, merge: 'min' as const },
    { column: `${distribution}_max`, merge: 'max' as const },
    { column: `${distribution}_hist`, merge: 'histogram' as const },
  ]),
  ...quantities.flatMap((quantity) => [
    { column: `${quantity}_n`, merge: 'sum' as const },
    { column: `${quantity}_sum`, merge: 'sum' as const },
    { column: `${quantity}_max`, merge: 'max' as const },
  ]),
];

/** How far the job has come with one table. What a row says holds by itself, whatever other rows say. */
export interface CursorRow {
  target: string;
  jobVersion: number;
  boundaryMs: number;
  readThroughMs: number;
  completeAtMs: number;
}

const ofCursor = columnsOf<CursorRow>();

export const rollupCursorsTable: Table<CursorRow> = {
  name: 'rollup_cursors',
  columns: [
    ofCursor('target', name, (row) => row.target),
    ofCursor('job_version', uint32, (row) => row.jobVersion),
    ofCursor('boundary', second, (row) => row.boundaryMs),
    ofCursor('read_through', second, (row) => row.readThroughMs),
    ofCursor('complete_at', second, (row) => row.completeAtMs),
    ofCursor('ver', bigUint64, (row) => BigInt(row.boundaryMs / 1000) * 2n ** 32n + BigInt(row.readThroughMs / 1000)),
  ],
};
