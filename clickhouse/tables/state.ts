import type { StateOutcome } from '../../schemas/state.ts';
import { bool, columnsOf, hash64, instant, name, nullable, type Table, text, uint32, uint64 } from '../columns.ts';

/** Which entry a change is about. */
export interface StateEntryName {
  workspace: string;
  collection: string;
  key: string;
}

/** One change of an entry, as the audit trail keeps it. */
export interface StateChangeRow extends StateEntryName {
  ver: number;
  stream: string;
  partition: number;
  offset: number;
  recordTimeMs: number;
  recordHash: ArrayLike<number>;
  outcome: StateOutcome;
  previousVer: number;
  expectedVer: number | null;
  deleted: boolean;
  value: string;
  valueVersion: number;
  changedBy: string;
  changedAtMs: number;
  reason: string;
  requestId: string;
}

const ofChange = columnsOf<StateChangeRow>();

const entryColumns = [
  ofChange('workspace', name, (row) => row.workspace),
  ofChange('collection', name, (row) => row.collection),
  ofChange('key', text, (row) => row.key),
  ofChange('ver', uint64, (row) => row.ver),
  ofChange('deleted', bool, (row) => row.deleted),
  ofChange('value', text, (row) => row.value),
  ofChange('value_version', uint32, (row) => row.valueVersion),
  ofChange('changed_by', text, (row) => row.changedBy),
  ofChange('changed_at', instant, (row) => row.changedAtMs),
];

/** What entries are now; written from the changes that count. */
export const stateTable: Table<StateChangeRow> = { name: 'state', columns: entryColumns };

export const stateChangesTable: Table<StateChangeRow> = {
  name: 'state_changes',
  columns: [
    ...entryColumns,
    ofChange('stream', name, (row) => row.stream),
    ofChange('partition', uint32, (row) => row.partition),
    ofChange('offset', uint64, (row) => row.offset),
    ofChange('record_time', instant, (row) => row.recordTimeMs),
    ofChange('record_hash', hash64, (row) => row.recordHash),
    ofChange('outcome', name, (row) => row.outcome),
    ofChange('previous_ver', uint64, (row) => row.previousVer),
    ofChange('expected_ver', nullable(uint64), (row) => row.expectedVer),
    ofChange('reason', text, (row) => row.reason),
    ofChange('request_id', text, (row) => row.requestId),
  ],
};
