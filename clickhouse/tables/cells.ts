import {
  bigInt64,
  bigUint64,
  type Codec,
  type Column,
  column,
  entries,
  int16,
  int64,
  name,
  nullable,
  second,
  type Table,
  uint32,
  uint64,
  type Whole,
} from '../columns.ts';
import { counts, distributions, quantities } from './measures.ts';

/** Bucket counts by bucket number: the mergeable form of a distribution. */
export interface Histogram extends Iterable<readonly [bucket: number, count: number]> {
  readonly size: number;
}

export const histogramCodec: Codec<Histogram> = entries(int16, int64);

/** The chunk of a log that cells stand for, up to which record and by which code. */
export interface CellPlace {
  stream: string;
  partition: number;
  chunk: number;
  foldVersion: number;
  ver: bigint;
}

/** One cell as it is stored: dimensions, window, absolute values of one chunk, and the position they stand for. */
export interface CellRow {
  place: CellPlace;
  dims: readonly string[];
  windowStartMs: number;
  count(index: number): number;
  sum(index: number): Whole;
  min(index: number): number | null;
  max(index: number): number | null;
  reported(index: number): number;
  histogram(index: number): Histogram;
}

export const executionDimensions = [
  'workspace',
  'project',
  'source',
  'workflow_id',
  'workflow_version',
  'trigger_type',
] as const;
export const taskDimensions = [
  'workspace',
  'project',
  'source',
  'workflow_id',
  'workflow_version',
  'task_id',
  'task_type',
  'pool',
] as const;

const optionalInt = nullable(int64);

/** Sums come first by distribution, then by quantity, in the order of measures.ts. */
function measureColumns(): Column<CellRow>[] {
  const columns: Column<CellRow>[] = counts.map((count, index) => column(count, int64, (row) => row.count(index)));
  distributions.forEach((distribution, index) => {
    columns.push(
      column(`${distribution}_sum`, bigInt64, (row) => row.sum(index)),
      column(`${distribution}_min`, optionalInt, (row) => row.min(index)),
      column(`${distribution}_max`, optionalInt, (row) => row.max(index)),
      column(`${distribution}_hist`, histogramCodec, (row) => row.histogram(index)),
    );
  });
  quantities.forEach((quantity, position) => {
    const index = distributions.length + position;
    columns.push(
      column(`${quantity}_n`, int64, (row) => row.reported(position)),
      column(`${quantity}_sum`, bigInt64, (row) => row.sum(index)),
      column(`${quantity}_max`, optionalInt, (row) => row.max(index)),
    );
  });
  return columns;
}

function cellsTable(tableName: string, dimensions: readonly string[]): Table<CellRow> {
  return {
    name: tableName,
    columns: [
      ...dimensions.map((dimension, index) =>
        column<CellRow, string>(dimension, name, (row) => row.dims[index] as string),
      ),
      column('window_start', second, (row) => row.windowStartMs),
      column('stream', name, ({ place }) => place.stream),
      column('partition', uint32, ({ place }) => place.partition),
      column('chunk', uint64, ({ place }) => place.chunk),
      column('fold_version', uint32, ({ place }) => place.foldVersion),
      column('ver', bigUint64, ({ place }) => place.ver),
      ...measureColumns(),
    ],
  };
}

export const executionCellsTable = cellsTable('execution_cells', executionDimensions);
export const taskCellsTable = cellsTable('task_cells', taskDimensions);
