import type { StateRecord } from '../../schemas/records.ts';

/** One change that counts, or does not, as the order of the log alone decides it. All fields by the names of their columns. */
export interface StateChange {
  workspace: string;
  collection: string;
  key: string;
  ver: number;
  deleted: boolean;
  value: string;
  value_version: number;
  changed_by: string;
  changed_at_ms: number;
  outcome: string;
  previous_ver: number;
  expected_ver: number | null;
  reason: string;
  request_id: string;
}

export const entryNameOf = ({ workspace, collection, key }: Pick<StateChange, 'workspace' | 'collection' | 'key'>) =>
  JSON.stringify([workspace, collection, key]);

/**
 * Replays a log of changes by looking, for each, through all that came before it. That is slow and plain, and owes nothing
 * to the code that it checks: an entry is its last applied change, and a request counts once for each entry.
 */
export class ExpectedState {
  readonly #applied = new Map<string, StateChange[]>();

  /** A change of which only what is stored tells, because the log has it no more. Only those that count matter. */
  remember(change: StateChange): void {
    const name = entryNameOf(change);
    const known = this.#applied.get(name);
    if (known === undefined) this.#applied.set(name, [change]);
    else known.push(change);
  }

  add(record: StateRecord, ver: number): StateChange {
    const { collection, key, workspace = 'default' } = record;
    const isRemoval = record.deleted === true || record.value === null || record.value === undefined;
    const change: StateChange = {
      workspace,
      collection,
      key,
      ver,
      deleted: isRemoval,
      value: isRemoval ? '' : (record.value as string),
      value_version: record.value_version ?? 1,
      changed_by: record.changed_by,
      changed_at_ms: record.changed_at,
      outcome: 'applied',
      previous_ver: 0,
      expected_ver: record.revision ?? null,
      reason: record.reason ?? '',
      request_id: record.request_id ?? '',
    };
    const before = this.#applied.get(entryNameOf(change)) ?? [];
    change.previous_ver = before.at(-1)?.ver ?? 0;
    change.outcome = outcomeOf(change, before);
    if (change.outcome === 'applied') this.remember(change);
    return change;
  }

  /** The newest change of each entry that counts. */
  *entries(): Generator<StateChange> {
    for (const changes of this.#applied.values()) yield changes.at(-1) as StateChange;
  }
}

function outcomeOf({ request_id: request, expected_ver: seen }: StateChange, before: readonly StateChange[]): string {
  if (request !== '' && before.some((earlier) => earlier.request_id === request)) return 'repeated';
  const newest = before.at(-1);
  // Who expects that there is nothing is right where the entry was removed, too.
  const isGone = newest === undefined || newest.deleted;
  if (seen === null || seen === (newest?.ver ?? 0) || (seen === 0 && isGone)) return 'applied';
  return 'conflict';
}
