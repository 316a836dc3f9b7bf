import { bigUint64, columnsOf, name, second, type Table, uint32 } from '../columns.ts';
import { executionDimensions, taskDimensions } from './cells.ts';
import { counts, distributions, quantities } from './measures.ts';
import { orchestratorDimensions } from './orchestrator-cells.ts';

const hourSeconds = 3600;

type RollupKind = 'execution' | 'task' | 'orchestrator';

/** How a measure of a window is made of the same measure of finer rows. */
export interface MeasureMerge {
  column: string;
  merge: 'sum' | 'min' | 'max' | 'histogram' | 'first' | 'increase';
}

/** A table that the roll-up job fills: sums of the rows of a finer one, over windows of this length. */
export interface Rollup {
  target: `${RollupKind}_hours` | `${RollupKind}_days`;
  source: `${RollupKind}_cells` | `${RollupKind}_hours`;
  dimensions: readonly string[];
  /** Dimensions by which one window is cut where it is too much for one statement; they lead the key. */
  cutBy: readonly string[];
  measures: readonly MeasureMerge[];
  windowSeconds: number;
  /** Hours come from cells, of which a window has one for each minute and chunk; days from hours. */
  fromCells: boolean;
}

interface RollupShape {
  kind: RollupKind;
  dimensions: readonly string[];
  cutBy: readonly string[];
  measures: readonly MeasureMerge[];
}

const hours = ({ kind, ...shape }: RollupShape): Rollup => ({
  target: `${kind}_hours`,
  source: `${kind}_cells`,
  ...shape,
  windowSeconds: hourSeconds,
  fromCells: true,
});
const days = ({ kind, ...shape }: RollupShape): Rollup => ({
  target: `${kind}_days`,
  source: `${kind}_hours`,
  ...shape,
  windowSeconds: 24 * hourSeconds,
  fromCells: false,
});

/** Of executions and tasks, by the columns of their cells. */
const runMerges: readonly MeasureMerge[] = [
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

/** Of orchestrators: readings, which are in order in a cell, become the first one and what happened up to the last. */
const reportMerges: readonly MeasureMerge[] = [
  { column: 'n', merge: 'sum' },
  { column: 'value_sum', merge: 'sum' },
  { column: 'value_min', merge: 'min' },
  { column: 'value_max', merge: 'max' },
  { column: 'value_hist', merge: 'histogram' },
  { column: 'first', merge: 'first' },
  { column: 'last', merge: 'max' },
  { column: 'increase', merge: 'increase' },
];

const runShape = { cutBy: ['workspace', 'workflow_id'], measures: runMerges };
const shapes: readonly RollupShape[] = [
  { kind: 'execution', dimensions: executionDimensions, ...runShape },
  { kind: 'task', dimensions: taskDimensions, ...runShape },
  {
    kind: 'orchestrator',
    dimensions: orchestratorDimensions,
    // One orchestrator may have twenty thousand workers.
    cutBy: ['workspace', 'kind', 'orchestrator_id', 'pool_id', 'subject'],
    measures: reportMerges,
  },
];

/** Hours before the days that are made of them. */
export const rollupPairs: readonly { hours: Rollup; days: Rollup }[] = shapes.map((shape) => ({
  hours: hours(shape),
  days: days(shape),
}));

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
