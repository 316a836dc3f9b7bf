import { type Column, column, instant, name, uint32, uint64, wordPair } from '../columns.ts';

/** Where a row came from in the log; the end of every raw table's sorting key. */
export interface Coordinates {
  stream: string;
  partition: number;
  offset: number;
  recordTimeMs: number;
  foldVersion: number;
}

export const coordinateColumns = <Row extends Coordinates>(): Column<Row>[] => [
  column('stream', name, (row) => row.stream),
  column('partition', uint32, (row) => row.partition),
  column('offset', uint64, (row) => row.offset),
  column('record_time', instant, (row) => row.recordTimeMs),
  column('fold_version', uint32, (row) => row.foldVersion),
];

/** A raw row: an event, its place in the log, and a hash of what it speaks of. */
export interface RawRow<Event> extends Coordinates {
  event: Event;
  thingHash: { low: number; high: number };
}

export const hashColumns = <Event>(): Column<RawRow<Event>>[] => [
  column('thing_hash', wordPair, (row) => row.thingHash),
];
