import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { makeTopics, stateTopicSpec } from '../../../pipelines/kafka.ts';
import { verifyState } from '../../../pipelines/verify/state-check.ts';
import type { StateRecord } from '../../../schemas/records.ts';
import { stateRevision } from '../../../schemas/state.ts';
import { encodeStateRecord } from '../../../schemas/wire.ts';
import { waitUntil } from '../../support/launched.ts';
import { createTelemetry, type Telemetry } from '../../support/pipeline-process.ts';

const patientMs = 60_000;
vi.setConfig({ testTimeout: 3 * patientMs, hookTimeout: 3 * patientMs });

let telemetry: Telemetry;
let database: Database;

const record = (key: string, fields: Partial<StateRecord> = {}): Buffer =>
  encodeStateRecord({
    workspace: 'acme',
    collection: 'silences',
    key,
    value: '1',
    changed_by: 'ann',
    changed_at: Date.UTC(2026, 5, 1),
    ...fields,
  });

const revision = (offset: number) => stateRevision(1, offset);

/** One record of each fate; the offsets are those of the list. */
const values: (Buffer | null)[] = [
  record('plain', { value: '{"a":"ä"}', reason: 'first' }),
  record('plain', { value: '2', revision: revision(0) }),
  record('plain', { value: '3', revision: revision(0) }),
  record('asked', { request_id: 'request' }),
  record('asked', { value: '4' }),
  record('asked', { value: '5', request_id: 'request' }),
  record('gone', { value: '6' }),
  record('gone', { value: null, deleted: true }),
  record('gone', { value: '7', revision: 0 }),
  Buffer.from('noise'),
  null,
  record('elsewhere', { workspace: 'other', value: null }),
  record('plain', { workspace: 'other', revision: 0 }),
];

beforeAll(async () => {
  telemetry = await createTelemetry('verify_state');
  database = new Database(telemetry.database);
  const { topic, partitions: numPartitions, retentionMs } = stateTopicSpec(telemetry.topics.state);
  const configEntries = [{ name: 'retention.ms', value: String(retentionMs) }];
  const topics = [{ topic, numPartitions, replicationFactor: 1, configEntries }];
  await makeTopics(telemetry.admin, topics);
  const messages = values.map((value) => ({ key: 'any', value }));
  await telemetry.producer.send({ topic, acks: -1, messages });
  await telemetry.startReady();
  const isStored = async () => {
    const [row] = await telemetry.rows<{ n: number }>('SELECT toUInt32(count()) AS n FROM state_changes FINAL');
    return row?.n === values.length - 2;
  };
  if (!(await waitUntil(isStored, patientMs))) throw new Error(telemetry.logs);
});
afterAll(() => database?.close());

const verify = (waitMs = patientMs) => {
  const { kafka, admin, topics } = telemetry;
  const limits = { maxValueBytes: 1_000_000, deadLetterRetentionDays: 60 };
  return verifyState({ kafka, admin, database, topic: topics.state, epoch: 1, ...limits, waitMs });
};
const linesOf = async () => (await verify()).flatMap((list) => list.lines());
const alter = (statement: string) => telemetry.database.query(`${statement} SETTINGS mutations_sync = 2`);

it('finds changes, dead letters and entries as the log tells them', async () => {
  const outcomes = await telemetry.rows<{ outcome: string }>(
    'SELECT outcome, count() FROM state_changes FINAL GROUP BY outcome ORDER BY outcome',
  );
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['applied', 'conflict', 'repeated']);
  expect(await linesOf()).toEqual([
    `${telemetry.topics.state} changes: rows ${values.length}, different 0`,
    `${telemetry.topics.state} entries: rows 5, different 0`,
  ]);
});

const alterations = [
  {
    what: 'the value of an entry',
    table: 'state',
    set: "value = '9'",
    undo: "value = '2'",
    where: "workspace = 'acme' AND key = 'plain'",
    named: /\["acme","silences","plain"\] value: expected "2", found "9"/,
  },
  {
    what: 'the outcome of a change',
    table: 'state_changes',
    set: "outcome = 'applied'",
    undo: "outcome = 'conflict'",
    where: `ver = ${revision(2)}`,
    named: /offset 2 \[.*\] outcome: expected "conflict", found "applied"/,
  },
  {
    what: 'the author of a change',
    table: 'state_changes',
    set: "changed_by = 'eve'",
    undo: "changed_by = 'ann'",
    where: `ver = ${revision(4)}`,
    named: /offset 4 \[.*\] changed_by: expected "ann", found "eve"/,
  },
  {
    what: 'the reason of a dead letter',
    table: 'dead_letters',
    set: "reason = 'empty_value'",
    undo: "reason = 'wrong_magic'",
    where: 'offset = 9',
    named: /offset 9 dead letter: expected wrong_magic, found empty_value/,
  },
];

it.each(alterations)('names $what that was altered', async ({ table, set, undo, where, named }) => {
  await alter(`ALTER TABLE ${table} UPDATE ${set} WHERE ${where}`);
  const lines = await linesOf();
  await alter(`ALTER TABLE ${table} UPDATE ${undo} WHERE ${where}`);
  expect(lines.join('\n')).toMatch(named);
  expect(lines.filter((line) => line.startsWith('  '))).toHaveLength(1);
});

it('finds changes and entries that nobody made', async () => {
  await telemetry.database.query(
    `INSERT INTO state (workspace, collection, key, ver, value) VALUES ('acme', 'silences', 'forged', ${revision(1)}, '1')`,
  );
  const stream = `${telemetry.topics.state}@1`;
  await telemetry.database.query(
    `INSERT INTO state_changes (workspace, collection, key, ver, stream, offset, outcome) VALUES ('acme', 'silences', 'forged', ${revision(9)}, '${stream}', 9, 'conflict')`,
  );
  const lines = await linesOf();
  for (const table of ['state', 'state_changes']) await alter(`ALTER TABLE ${table} DELETE WHERE key = 'forged'`);
  expect(lines.join('\n')).toMatch(/offset 9: expected none \(wrong_magic\), found a change/);
  expect(lines.join('\n')).toMatch(/\["acme","silences","forged"\]: expected no entry, found revision/);
});

it('takes what the log no longer holds from the audit trail, and says so', async () => {
  const partitions = [{ partition: 0, offset: '5' }];
  await telemetry.admin.deleteTopicRecords({ topic: telemetry.topics.state, partitions });
  expect(await linesOf()).toEqual([
    `${telemetry.topics.state} changes: rows ${values.length - 5}, different 0`,
    '  note: 4 changes that the log no longer holds are taken as they are stored',
    `${telemetry.topics.state} entries: rows 5, different 0`,
  ]);
});
