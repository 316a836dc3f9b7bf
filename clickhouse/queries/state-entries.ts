import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** An entry of state as the API reads it. */
export interface StateEntryRow {
  key: string;
  revision: number;
  value: string;
  deleted: boolean;
  changed_by: string;
  changed_at_ms: number;
}

const columns = 'key, ver AS revision, value, deleted, changed_by, toUnixTimestamp64Milli(changed_at) AS changed_at_ms';

export const stateEntryQuestion: Question<{ collection: string; key: string }, StateEntryRow> = {
  name: 'state_entry',
  sql: () =>
    `SELECT ${columns} FROM state FINAL WHERE workspace = {workspace: String} AND collection = {collection: String} AND key = {key: String}`,
};

/** Entries of a collection that are there, by their key. */
export const stateEntriesQuestion: Question<{ collection: string; limit: number }, StateEntryRow> = {
  name: 'state_entries',
  sql: () => `SELECT ${columns} FROM state FINAL
WHERE workspace = {workspace: String} AND collection = {collection: String} AND NOT deleted ORDER BY key LIMIT {limit: UInt32}`,
};

/** The same for a page: whoever changes an entry has all of the workspace asked anew. */
export const shownEntriesQuestion: typeof stateEntriesQuestion = { ...stateEntriesQuestion, keepMs: aMoment };

/** One change that counted. */
export interface StateChangeAnswerRow extends StateEntryRow {
  reason: string;
}

export const stateChangesQuestion: Question<{ collection: string; key: string; limit: number }, StateChangeAnswerRow> =
  {
    name: 'state_changes',
    keepMs: aMoment,
    sql: () => `SELECT ${columns}, reason FROM state_changes FINAL
WHERE workspace = {workspace: String} AND collection = {collection: String} AND key = {key: String} AND outcome = 'applied'
ORDER BY ver DESC LIMIT {limit: UInt32}`,
  };
