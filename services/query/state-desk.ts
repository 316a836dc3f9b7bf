import {
  shownEntriesQuestion,
  stateEntriesQuestion,
  stateEntryQuestion,
} from '../../clickhouse/queries/state-entries.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import {
  StateFailure,
  type StateFailureCode,
  type StatePublisher,
  type StateReceipt,
} from '../../pipelines/state/publisher.ts';
import type { Caller } from './auth.ts';
import { ApiError, type ApiErrorCode } from './errors.ts';

/** What somebody sets up, by its value as JSON stands for it. */
export interface SetUp<Value> {
  key: string;
  value: Value;
  revision: number;
  changedBy: string;
  changedAtMs: number;
}

/** Who changes what, in whose name. */
export interface ChangeBy {
  reader: WorkspaceReader;
  caller: Caller;
  requestId: string;
}

interface Entry {
  collection: string;
  key: string;
}

interface ChangeOptions {
  reason?: string | undefined;
  /** What the author has seen; left out, the change overwrites whatever is there. */
  expectedRevision?: number | undefined;
}

/** Entries of one collection are few: people make them. */
const mostEntries = 10_000;

const errorCodes: Record<StateFailureCode, ApiErrorCode> = {
  invalid: 'invalid_request',
  conflict: 'revision_conflict',
  unconfirmed: 'broker_unavailable',
  not_visible: 'change_pending',
  rejected: 'internal',
};

/** Changes what people set up, and reads it. A change is answered when it can be read back; nothing is written but its record. */
export class StateDesk {
  readonly #publisher: StatePublisher;

  constructor(publisher: StatePublisher) {
    this.#publisher = publisher;
  }

  async put(
    { reader, caller, requestId }: ChangeBy,
    entry: Entry,
    value: object,
    options: ChangeOptions = {},
  ): Promise<StateReceipt> {
    return await tell(reader, () =>
      this.#publisher.put({ ...describe(reader, caller, requestId, entry, options), value }),
    );
  }

  async remove(
    { reader, caller, requestId }: ChangeBy,
    entry: Entry,
    options: ChangeOptions = {},
  ): Promise<StateReceipt> {
    return await tell(reader, () => this.#publisher.remove(describe(reader, caller, requestId, entry, options)));
  }
}

function describe(reader: WorkspaceReader, caller: Caller, requestId: string, entry: Entry, options: ChangeOptions) {
  const { reason, expectedRevision } = options;
  return {
    workspace: reader.workspace,
    ...entry,
    changedBy: caller.name,
    requestId,
    ...(reason === undefined ? {} : { reason }),
    ...(expectedRevision === undefined ? {} : { expectedRevision }),
  };
}

async function tell(reader: WorkspaceReader, change: () => Promise<StateReceipt>): Promise<StateReceipt> {
  try {
    const receipt = await change();
    reader.forgetKept();
    return receipt;
  } catch (error) {
    if (!(error instanceof StateFailure)) throw error;
    const details = error.currentRevision === null ? undefined : { current_revision: error.currentRevision };
    throw new ApiError(errorCodes[error.code], `${error.message}.`, details);
  }
}

/** Null where there is no such entry, or not any more. */
export async function readSetUp<Value>(
  reader: WorkspaceReader,
  { collection, key }: Entry,
): Promise<SetUp<Value> | null> {
  const [row] = await reader.ask(stateEntryQuestion, { collection, key });
  return row === undefined || row.deleted ? null : (readRow<Value>(row) ?? null);
}

/** Entries that are there, as they were a moment ago. */
export const listSetUp = <Value>(reader: WorkspaceReader, collection: string): Promise<SetUp<Value>[]> =>
  readEntries(reader, shownEntriesQuestion, collection);

/** As they are, for whoever decides by them. */
export const listSetUpNow = <Value>(reader: WorkspaceReader, collection: string): Promise<SetUp<Value>[]> =>
  readEntries(reader, stateEntriesQuestion, collection);

/** What is no JSON object was written by nobody of ours and is left out. */
async function readEntries<Value>(
  reader: WorkspaceReader,
  question: typeof stateEntriesQuestion,
  collection: string,
): Promise<SetUp<Value>[]> {
  const rows = await reader.ask(question, { collection, limit: mostEntries });
  return rows.flatMap((row) => readRow<Value>(row) ?? []);
}

function readRow<Value>(row: {
  key: string;
  value: string;
  revision: number;
  changed_by: string;
  changed_at_ms: number;
}): SetUp<Value> | null {
  const { key, revision, changed_by: changedBy, changed_at_ms: changedAtMs } = row;
  try {
    const value = JSON.parse(row.value) as Value;
    return typeof value === 'object' && value !== null ? { key, value, revision, changedBy, changedAtMs } : null;
  } catch {
    return null;
  }
}
