import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** Who did what in one workspace: changes of what people set up, and commands with what became of them. */
export interface AuditAsk {
  collection: string;
  key: string;
  author: string;
  /** Entries of this collection are left out; '' for none. */
  hidden: string;
  fromMs: number;
  toMs: number;
  /** The last entry of the page before. */
  afterMs: number;
  afterPlace: string;
  limit: number;
}

export interface AuditRow {
  at_ms: number;
  place: string;
  collection: string;
  key: string;
  action: string;
  author: string;
  reason: string;
  revision: number | null;
  previous_revision: number | null;
  request_id: string;
  value: string;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;
const inRange = `workspace = {workspace: String} AND record_time >= ${instant('fromMs')} AND record_time < ${instant('toMs')}`;

const changes = `SELECT toUnixTimestamp64Milli(record_time) AS at_ms,
    concat(stream, '/', toString(partition), '/', leftPad(toString(offset), 20, '0')) AS place, collection, key,
    if(outcome != 'applied', outcome, multiIf(deleted, 'removed', previous_ver = 0, 'made', 'changed')) AS action,
    changed_by AS author, reason, toNullable(ver) AS revision, nullIf(previous_ver, 0) AS previous_revision, request_id, value
  FROM state_changes FINAL WHERE ${inRange} AND collection != {hidden: String}`;

const commands = `SELECT toUnixTimestamp64Milli(record_time) AS at_ms,
    concat(topic, '/', toString(partition), '/', leftPad(toString(offset), 20, '0')) AS place, 'commands' AS collection, command_id AS key,
    multiIf(record = 'outcome', outcome, approved_by != '', 'approved', 'requested') AS action,
    multiIf(record = 'outcome', reported_by, approved_by != '', approved_by, requested_by) AS author,
    if(record = 'outcome', message, reason) AS reason, NULL AS revision, NULL AS previous_revision, '' AS request_id,
    if(record = 'outcome', result, toJSONString(map('kind', kind, 'execution_id', execution_id, 'workflow_id', workflow_id,
      'task_id', task_id, 'pool_id', pool_id, 'parameters', parameters))) AS value
  FROM commands FINAL WHERE ${inRange}`;

/**
 * By when the log took them, which no clock of an author can change. Offsets are padded, so that places of one instant
 * are in the order of the log.
 */
const auditOf = (parts: readonly string[]) => (): string =>
  `SELECT * FROM (
  ${parts.join('\n  UNION ALL\n  ')}
)
WHERE ({collection: String} = '' OR collection = {collection: String}) AND ({key: String} = '' OR key = {key: String})
  AND ({author: String} = '' OR author = {author: String})
  AND (at_ms, place) < ({afterMs: Int64}, {afterPlace: String})
ORDER BY at_ms DESC, place DESC LIMIT {limit: UInt32}`;

export const auditQuestion: Question<AuditAsk, AuditRow> = {
  name: 'audit',
  keepMs: aMoment,
  sql: auditOf([changes, commands]),
};

/** Where nobody gives commands. */
export const changesQuestion: Question<AuditAsk, AuditRow> = {
  name: 'audit_changes',
  keepMs: aMoment,
  sql: auditOf([changes]),
};
