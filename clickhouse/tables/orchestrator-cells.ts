import {
  array,
  bigUint64,
  column,
  columnsOf,
  instant,
  int64,
  millionths,
  name,
  nullable,
  second,
  type Table,
  text,
  tuple,
  uint32,
  uint64,
  type Whole,
} from '../columns.ts';
import { type CellPlace, type Histogram, histogramCodec } from './cells.ts';

/**
 * One row for each measure, not a table for each kind with columns for all of them: eight kinds, three window lengths and
 * a hundred and fifty measures of four types would be two dozen tables of hundreds of columns, most of them empty. So one
 * statement rolls them all up, a new measure is a line in a list, and a question reads the rows of its measure only.
 */
export const orchestratorDimensions = [
  'workspace',
  'project',
  'source',
  'kind',
  'orchestrator_id',
  'pool_id',
  'subject',
  'measure',
  'label',
  'outcome',
] as const;

/** A value at an instant. Later is what has the later instant, then the greater offset, in whatever order they come. */
export interface Reading {
  atMs: number;
  offset: number;
  value: Whole;
}

/** One measure of one window, of one chunk of the log. Values are millionths of the measure's unit. */
export interface MeasureRow {
  place: CellPlace;
  /** All but the last three, which differ between the measures of one report. */
  dims: readonly string[];
  measure: string;
  label: string;
  outcome: string;
  windowStartMs: number;
  n: number;
  sum: Whole;
  min: Whole | null;
  max: Whole | null;
  histogram: Histogram;
  last: Reading;
  /** Readings of a counter or a state in the order of time: how it went between them shows only when all are known. */
  readings: readonly Reading[];
}

const ofReading = columnsOf<Reading>();
const readingCodec = tuple([
  ofReading('at', instant, (reading) => reading.atMs),
  ofReading('offset', uint64, (reading) => reading.offset),
  ofReading('value', millionths, (reading) => reading.value),
]);
const ofCell = columnsOf<MeasureRow>();
const freeTexts: ReadonlySet<string> = new Set(['subject']);

export const orchestratorCellsTable: Table<MeasureRow> = {
  name: 'orchestrator_cells',
  columns: [
    ...orchestratorDimensions
      .slice(0, -3)
      .map((dimension, index) =>
        column<MeasureRow, string>(
          dimension,
          freeTexts.has(dimension) ? text : name,
          (row) => row.dims[index] as string,
        ),
      ),
    ofCell('measure', name, (row) => row.measure),
    ofCell('label', name, (row) => row.label),
    ofCell('outcome', name, (row) => row.outcome),
    ofCell('window_start', second, (row) => row.windowStartMs),
    ofCell('stream', name, ({ place }) => place.stream),
    ofCell('partition', uint32, ({ place }) => place.partition),
    ofCell('chunk', uint64, ({ place }) => place.chunk),
    ofCell('fold_version', uint32, ({ place }) => place.foldVersion),
    ofCell('ver', bigUint64, ({ place }) => place.ver),
    ofCell('n', int64, (row) => row.n),
    ofCell('value_sum', millionths, (row) => row.sum),
    ofCell('value_min', nullable(millionths), (row) => row.min),
    ofCell('value_max', nullable(millionths), (row) => row.max),
    ofCell('value_hist', histogramCodec, (row) => row.histogram),
    ofCell('last', readingCodec, (row) => row.last),
    ofCell('readings', array(readingCodec), (row) => row.readings),
  ],
};
