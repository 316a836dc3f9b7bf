import { beforeAll, expect, it, vi } from 'vitest';
import { createTelemetry, type OutgoingRecord, type Telemetry } from '../../support/pipeline-process.ts';

const patientMs = 60_000;
vi.setConfig({ testTimeout: 3 * patientMs, hookTimeout: 3 * patientMs });

const chunkRecords = 64;
const beganMs = Date.now() - 3_600_000;
let telemetry: Telemetry;

function task(run: string, state: string, atMs: number, fields: object = {}): OutgoingRecord {
  const record = { workflow_id: 'etl', execution_id: run, task_id: 'load', state, event_time: atMs, ...fields };
  return { key: run, value: JSON.stringify(record), timestampMs: atMs, partition: 0 };
}

/** Each of the second half stands on one of the first: an end on its start, a correction on an end, a repetition on itself. */
const count = chunkRecords;
const first = Array.from({ length: count }, (_, index) => {
  if (index % 3 === 0) return task(`joined-${index}`, 'running', beganMs + index);
  return task(`ended-${index}`, 'failed', beganMs + index, { duration_ms: 5 });
});
const second = Array.from({ length: count }, (_, index) => {
  if (index % 3 === 0) return task(`joined-${index}`, 'completed', beganMs + 600_000 + index);
  if (index % 3 === 1)
    return task(`ended-${index}`, 'completed', beganMs + 600_000 + index, { duration_ms: 7, attempt: 2 });
  return first[index] as OutgoingRecord;
});

const report = (size: number, atMs: number): OutgoingRecord => {
  const body = { orchestrator_id: 'airflow', queue_id: 'default', queue_name: 'default', size, event_time: atMs };
  return { key: 'airflow', value: JSON.stringify({ kind: 'queue_metrics', ...body }), timestampMs: atMs, partition: 0 };
};
/** Chunks of reports are shorter; the second half says half of the first again. */
const reportCount = 8;
const firstReports = Array.from({ length: reportCount }, (_, index) => report(index, beganMs + index * 1_000));
const secondReports = firstReports.map((said, index) =>
  index % 2 === 0 ? said : report(index, beganMs + 600_000 + index * 1_000),
);

beforeAll(async () => {
  telemetry = await createTelemetry('verify_trimmed', {
    partitions: 1,
    env: { WEIR_CHUNK_RECORDS: String(chunkRecords) },
  });
  await telemetry.startReady();
  await telemetry.send('tasks', [...first, ...second]);
  await telemetry.send('orchestrators', [...firstReports, ...secondReports]);
  await telemetry.waitStored(patientMs);
});

it('of a log that begins later, what repeats, joins or revises earlier records is told from their rows', async () => {
  const { topics, admin, database } = telemetry;
  await admin.deleteTopicRecords({ topic: topics.tasks, partitions: [{ partition: 0, offset: String(count) }] });
  const verdict = await telemetry.verify();
  expect(verdict, verdict.output).toMatchObject({ exitCode: 0, different: 0 });
  const duplicate = second.filter((_, index) => index % 3 === 2).length;
  expect(verdict.totals[topics.tasks]).toMatchObject({ records: count, stored: count - duplicate, duplicate });
  expect(verdict.totals[topics.tasks]?.cells).toBeGreaterThan(0);
  expect(verdict.output).toContain(`partition 0 begins at offset ${count}; chunks before it are not checked`);
  // The cells that are checked would be others without the earlier records.
  const altered = 'ALTER TABLE task_cells UPDATE joined = joined - 1 WHERE joined > 0 SETTINGS mutations_sync = 2';
  await database.query(altered);
  const other = await telemetry.verify();
  expect(other.exitCode, other.output).toBe(1);
  expect(other.output).toMatch(/ joined: expected \d+, found \d+/);
});

it('of reports, too, what repeats earlier ones is told from their rows', async () => {
  const { topics, admin } = telemetry;
  const partitions = [{ partition: 0, offset: String(reportCount) }];
  await admin.deleteTopicRecords({ topic: topics.orchestrators, partitions });
  const verdict = await telemetry.verify();
  const totals = { records: reportCount, stored: reportCount / 2, duplicate: reportCount / 2 };
  expect(verdict.totals[topics.orchestrators], verdict.output).toMatchObject({ ...totals, different: 0 });
});
