import type { StateHead } from '../../clickhouse/queries/state.ts';
import type { StateChangeRow, StateEntryName } from '../../clickhouse/tables/state.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { isDeletion, type StateOutcome, stateRevision } from '../../schemas/state.ts';

/** A change with its place in the log. */
export interface PlacedChange {
  record: StateRecord;
  offset: number;
  recordTimeMs: number;
  recordHash: ArrayLike<number>;
}

export interface StateStream {
  stream: string;
  partition: number;
  epoch: number;
}

const entryKey = ({ workspace, collection, key }: StateEntryName): string =>
  JSON.stringify([workspace, collection, key]);

export const entryOf = ({ workspace = 'default', collection, key }: StateRecord): StateEntryName => ({
  workspace,
  collection,
  key,
});

/**
 * Decides in the order of the log which changes count. `heads` says what the entries were before the first of them, so
 * that the outcome is a function of the log alone, whoever folds it, and however often.
 */
export function foldState(
  changes: readonly PlacedChange[],
  heads: readonly StateHead[],
  source: StateStream,
): StateChangeRow[] {
  const known = new Map(heads.map((head) => [entryKey(head), { ...head, requests: new Set(head.requests) }]));
  return changes.map((change) => {
    const { record } = change;
    const entry = entryOf(record);
    const ver = stateRevision(source.epoch, change.offset);
    const head = known.get(entryKey(entry)) ?? { ...entry, ver: 0, isDeleted: true, requests: new Set<string>() };
    const requestId = record.request_id ?? '';
    const expectedVer = record.revision ?? null;
    const outcome = judge(head, requestId, expectedVer);
    const previousVer = head.ver;
    if (outcome === 'applied') {
      if (requestId !== '') head.requests.add(requestId);
      known.set(entryKey(entry), { ...head, ver, isDeleted: isDeletion(record) });
    }
    return toRow(change, source, { ver, outcome, previousVer, expectedVer, requestId });
  });
}

/** Whoever expects nothing may also take the place of what was removed. */
function judge(
  head: { ver: number; isDeleted: boolean; requests: ReadonlySet<string> },
  requestId: string,
  expectedVer: number | null,
): StateOutcome {
  if (head.requests.has(requestId)) return 'repeated';
  const isSeen = expectedVer === null || expectedVer === head.ver || (expectedVer === 0 && head.isDeleted);
  return isSeen ? 'applied' : 'conflict';
}

function toRow(
  { record, offset, recordTimeMs, recordHash }: PlacedChange,
  { stream, partition }: StateStream,
  decided: Pick<StateChangeRow, 'ver' | 'outcome' | 'previousVer' | 'expectedVer' | 'requestId'>,
): StateChangeRow {
  const deleted = isDeletion(record);
  return {
    ...entryOf(record),
    ...decided,
    stream,
    partition,
    offset,
    recordTimeMs,
    recordHash,
    deleted,
    value: deleted ? '' : (record.value ?? ''),
    valueVersion: record.value_version ?? 1,
    changedBy: record.changed_by,
    changedAtMs: record.changed_at,
    reason: record.reason ?? '',
  };
}
