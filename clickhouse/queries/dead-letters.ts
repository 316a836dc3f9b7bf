import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';

/** Dead letters of one workspace, newest first; '' holds those that could not be told whose they are. */
export interface DeadLettersAsk {
  topic: string;
  reason: string;
  fromMs: number;
  toMs: number;
  /** The last letter of the page before. */
  afterMs: number;
  afterStream: string;
  afterPartition: number;
  afterOffset: number;
  limit: number;
}

export interface DeadLetterRow {
  workspace: string;
  stream: string;
  topic: string;
  partition: number;
  offset: number;
  record_time_ms: number;
  reason: string;
  detail: string;
  excerpt: string;
  key_bytes: number;
  value_bytes: number;
}

const columns = `workspace, stream, topic, partition, offset, toUnixTimestamp64Milli(record_time) AS record_time_ms,
  reason, detail, excerpt, key_bytes, value_bytes`;
const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;

export const deadLettersQuestion: Question<DeadLettersAsk, DeadLetterRow> = {
  name: 'dead_letters',
  keepMs: aMoment,
  sql: () => `SELECT ${columns}
FROM dead_letters FINAL
WHERE workspace = {workspace: String}
  AND record_time >= ${instant('fromMs')} AND record_time < ${instant('toMs')}
  AND ({topic: String} = '' OR topic = {topic: String}) AND ({reason: String} = '' OR reason = {reason: String})
  AND (record_time, stream, partition, offset) < (${instant('afterMs')}, {afterStream: String}, {afterPartition: UInt32}, {afterOffset: UInt64})
ORDER BY record_time DESC, stream DESC, partition DESC, offset DESC
LIMIT {limit: UInt32}`,
};

export interface LetterPlace {
  topic: string;
  partition: number;
  offset: number;
}

export const deadLetterQuestion: Question<LetterPlace, DeadLetterRow> = {
  name: 'dead_letter',
  keepMs: aMoment,
  sql: () => `SELECT ${columns}
FROM dead_letters FINAL
WHERE workspace = {workspace: String} AND topic = {topic: String} AND partition = {partition: UInt32} AND offset = {offset: UInt64}
ORDER BY record_time DESC LIMIT 1`,
};
