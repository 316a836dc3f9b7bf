import type { StateOutcome } from '../../schemas/state.ts';
import type { Database } from '../client.ts';
import type { StateEntryName } from '../tables/state.ts';

/** The newest record of a log that is stored, with all that comes before it. */
export interface StateFrontier {
  offset: number;
  recordHash: Int32Array;
}

export async function readStateFrontier(database: Database, stream: string): Promise<StateFrontier | null> {
  const [row] = await database.rows<{ offset: number; low: number; high: number }>(
    `SELECT offset, toInt32(toUInt32(bitAnd(record_hash, 4294967295))) AS low, toInt32(toUInt32(bitShiftRight(record_hash, 32))) AS high
     FROM state_changes WHERE stream = {stream: String} ORDER BY ver DESC LIMIT 1`,
    { stream },
  );
  return row === undefined ? null : { offset: row.offset, recordHash: Int32Array.of(row.low, row.high) };
}

/** What an entry was before a place of the log. */
export interface StateHead extends StateEntryName {
  ver: number;
  isDeleted: boolean;
  /** Those of the requests asked about that have changed the entry. */
  requests: string[];
}

/** Keys travel in the address of the request, which servers bound. */
const keysPerQuestion = 100;

/** Entries as they were before a revision; those that have never been there are left out. */
export async function readStateHeads(
  database: Database,
  wanted: readonly (StateEntryName & { requestId: string })[],
  beforeVer: number,
): Promise<StateHead[]> {
  const heads: StateHead[] = [];
  for (let from = 0; from < wanted.length; from += keysPerQuestion) {
    const some = wanted.slice(from, from + keysPerQuestion);
    const rows = await database.rows<StateHead>(
      `SELECT workspace, collection, key, max(ver) AS head_ver, head_ver AS ver, argMax(deleted, state_changes.ver) AS isDeleted,
         groupUniqArrayIf(request_id, request_id IN {requests: Array(String)}) AS requests
       FROM state_changes
       WHERE workspace IN {workspaces: Array(String)} AND collection IN {collections: Array(String)}
         AND key IN {keys: Array(String)} AND state_changes.ver < {before: UInt64} AND outcome = 'applied'
       GROUP BY workspace, collection, key`,
      {
        workspaces: [...new Set(some.map(({ workspace }) => workspace))],
        collections: [...new Set(some.map(({ collection }) => collection))],
        keys: [...new Set(some.map(({ key }) => key))],
        requests: [...new Set(some.map(({ requestId }) => requestId))].filter((request) => request !== ''),
        before: beforeVer,
      },
    );
    heads.push(...rows);
  }
  return heads;
}

/** What became of one change. */
export interface StateVerdict {
  outcome: StateOutcome;
  previousVer: number;
  /** Revision that the request of this change gave the entry when it counted, 0 where it never did. */
  requestVer: number;
}

/** The query service's user sees the workspace that it names in each query's comment, and nothing without. */
const inWorkspace = (workspace: string, requestId: string) => ({
  log_comment: JSON.stringify({ workspace, query: 'state-change', request: requestId }),
});

/** Null where the change is not stored yet. */
export async function readStateVerdict(
  database: Database,
  { workspace, collection, key }: StateEntryName,
  ver: number,
  requestId: string,
): Promise<StateVerdict | null> {
  const entry = 'workspace = {workspace: String} AND collection = {collection: String} AND key = {key: String}';
  const [row] = await database.rows<StateVerdict>(
    `SELECT outcome, previous_ver AS previousVer,
       (SELECT max(c.ver) FROM state_changes AS c WHERE ${entry} AND outcome = 'applied'
          AND request_id = {request: String} AND request_id != '' AND c.ver <= {ver: UInt64}) AS requestVer
     FROM state_changes WHERE ${entry} AND ver = {ver: UInt64} LIMIT 1`,
    { workspace, collection, key, ver, request: requestId },
    inWorkspace(workspace, requestId),
  );
  return row ?? null;
}

/** Why a record of the log became no change, null where it did not or is not stored yet. */
export async function readStateRejection(
  database: Database,
  stream: string,
  offset: number,
): Promise<{ reason: string; detail: string } | null> {
  const [row] = await database.rows<{ reason: string; detail: string }>(
    'SELECT reason, detail FROM dead_letters WHERE stream = {stream: String} AND partition = 0 AND offset = {offset: UInt64} LIMIT 1',
    { stream, offset },
  );
  return row ?? null;
}

export interface StateEntry {
  revision: number;
  /** JSON text; empty where the entry was removed. */
  value: string;
  valueVersion: number;
  isDeleted: boolean;
  changedBy: string;
  changedAtMs: number;
}

/** An entry as it is now; null where it has never been. */
export async function readStateEntry(
  database: Database,
  { workspace, collection, key }: StateEntryName,
): Promise<StateEntry | null> {
  const [row] = await database.rows<StateEntry>(
    `SELECT ver AS revision, value, value_version AS valueVersion, deleted AS isDeleted, changed_by AS changedBy,
       toUnixTimestamp64Milli(changed_at) AS changedAtMs
     FROM state FINAL
     WHERE workspace = {workspace: String} AND collection = {collection: String} AND key = {key: String}`,
    { workspace, collection, key },
    inWorkspace(workspace, ''),
  );
  return row ?? null;
}
