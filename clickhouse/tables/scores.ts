import { columnsOf, second, type Table, uint32, uint64 } from '../columns.ts';

/** Scores themselves are written by ClickHouse, see queries/scores.ts. */
export interface ScoredRangeRow {
  shards: number;
  shard: number;
  throughMs: number;
  scores: number;
}

const ofRange = columnsOf<ScoredRangeRow>();

export const scoredRangesTable: Table<ScoredRangeRow> = {
  name: 'scored_ranges',
  columns: [
    ofRange('shards', uint32, (row) => row.shards),
    ofRange('shard', uint32, (row) => row.shard),
    ofRange('through', second, (row) => row.throughMs),
    ofRange('scores', uint64, (row) => row.scores),
  ],
};
