import type { Database } from '../../clickhouse/client.ts';
import { executionCellsTable, taskCellsTable } from '../../clickhouse/tables/cells.ts';
import { orchestratorCellsTable } from '../../clickhouse/tables/orchestrator-cells.ts';
import { orchestratorEventsTable } from '../../clickhouse/tables/orchestrator-events.ts';
import { executionEventsTable, taskEventsTable } from '../../clickhouse/tables/runs.ts';
import type { Decoder, LogRecord, TopicKind } from '../decode.ts';
import type { Admin, Kafka, KafkaMessage } from '../kafka.ts';
import { Rejection, type RejectReason } from '../rejections.ts';
import { type Coverage, coverageOf, lastCellPosition } from './compare.ts';
import { EntityCheck } from './entity-check.ts';
import { type Decoded, isOfRun, PartitionCheck } from './partition-check.ts';
import { type LogRange, readLog, readLogRanges } from './read-log.ts';
import { TopicReport } from './report.ts';
import { readCells, readLedger, readPartitions, readRefused, type StoredTable } from './stored.ts';
import { readTrimmedHistory, readTrimmedReports } from './trimmed-history.ts';

export interface TopicCheck {
  kafka: Kafka;
  admin: Admin;
  database: Database;
  decoder: Decoder;
  kind: TopicKind;
  topic: string;
  epoch: number;
  /** How long executions and attempts live after their last event. */
  entityRetentionDays: number;
  /** How long to wait until the ledger covers the log end seen at the beginning. */
  waitMs: number;
}

const tablesOf: Record<TopicCheck['kind'], { raw: StoredTable; cells: StoredTable }> = {
  executions: { raw: executionEventsTable, cells: executionCellsTable },
  tasks: { raw: taskEventsTable, cells: taskCellsTable },
  orchestrators: { raw: orchestratorEventsTable, cells: orchestratorCellsTable },
};
const pollMs = 250;

/**
 * The order of reading lets a live pipeline be verified: the ledger first, then cells, which can only be ahead of
 * it, then the log up to where the furthest cell stands.
 */
export async function verifyTopic(check: TopicCheck): Promise<TopicReport> {
  const report = new TopicReport(check.topic);
  const ranges = await readLogRanges(check.admin, check.topic);
  const coverages = await awaitCoverage(check, ranges, report);
  await findStrangers(check, ranges, report);
  // One partition is held in memory at a time.
  for (const coverage of coverages) await verifyPartition(check, coverage, report);
  return report;
}

async function awaitCoverage(check: TopicCheck, ranges: LogRange[], report: TopicReport): Promise<Coverage[]> {
  const { database, topic, epoch, waitMs } = check;
  const givenUpMs = performance.now() + waitMs;
  for (;;) {
    const ledger = await readLedger(database, `${topic}@${epoch}`);
    // Only the last look at the ledger may report what is wrong with it.
    const attempt = new TopicReport(topic);
    const coverages = ranges.map(({ partition, first }) => coverageOf(partition, first, ledger, attempt));
    const missing = ranges.map(({ end }, index) => Math.max(0, end - 1 - coverages[index].lastOffset));
    const isCovered = missing.every((records, index) => records === 0 || ranges[index].first === ranges[index].end);
    if (isCovered || performance.now() >= givenUpMs) {
      ranges.forEach(({ partition, first, end }, index) => {
        coverageOf(partition, first, ledger, report);
        if (first > 0)
          report.notes.push(`partition ${partition} begins at offset ${first}; chunks before it are not checked`);
        if (missing[index] === 0 || first === end) return;
        // Asked not to wait, the verifier was asked about what is there.
        if (waitMs > 0) report.differ(`partition ${partition}: ledger covers`, end - 1, coverages[index].lastOffset);
        else report.notes.push(`partition ${partition}: ${missing[index]} records are not folded yet`);
      });
      return coverages;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Rows under partitions that the topic does not have. */
async function findStrangers(check: TopicCheck, ranges: LogRange[], report: TopicReport): Promise<void> {
  const { raw, cells } = tablesOf[check.kind];
  const known = new Set(ranges.map(({ partition }) => partition));
  for (const table of ['chunks', 'drops', 'dead_letters', raw.name, cells.name]) {
    for (const partition of await readPartitions(check.database, table, `${check.topic}@${check.epoch}`)) {
      if (!known.has(partition)) report.differ(`${table}: rows of partition ${partition}`, 'none', 'some');
    }
  }
}

async function verifyPartition(check: TopicCheck, coverage: Coverage, report: TopicReport): Promise<void> {
  const { database, topic, epoch, kind } = check;
  const { partition, firstOffset } = coverage;
  const stream = `${topic}@${epoch}`;
  const cells = await readCells(database, tablesOf[kind].cells, { stream, partition });
  const end = Math.max(coverage.lastOffset, lastCellPosition(cells, coverage.chunkRecords)) + 1;
  const logEnd = (await readLogRanges(check.admin, topic)).find((range) => range.partition === partition)?.end ?? end;
  const source = { database, stream, rawTable: tablesOf[kind].raw, coverage, cells, report };
  const partitionCheck = new PartitionCheck(source);
  if (firstOffset > 0) {
    const place = { stream, partition };
    if (kind === 'orchestrators')
      partitionCheck.rememberReports(await readTrimmedReports(database, place, firstOffset));
    else partitionCheck.remember(await readTrimmedHistory(database, kind, place, firstOffset));
  }
  const { lastOffset } = coverage;
  // A day less, so that nothing expires while it is compared.
  const keptSinceMs = Date.now() - (check.entityRetentionDays - 1) * 86_400_000;
  const of = { database, stream, partition, firstOffset, lastOffset, keptSinceMs, report };
  const entityCheck = kind === 'orchestrators' ? null : new EntityCheck({ ...of, kind });
  const range = { partition, first: firstOffset, end: Math.min(end, logEnd) };
  const standing = await readStanding(database, stream, range);
  let believed = 0;
  await readLog(check.kafka, topic, range, async (records) => {
    for (const record of await decodeRecords(check.decoder, topic, partition, records)) {
      const reason = standing.get(record.offset);
      if (reason !== undefined && 'event' in record) believed++;
      await partitionCheck.add(reason === undefined ? record : refuse(record, reason));
      if (reason !== undefined || !('event' in record)) continue;
      if (isOfRun(record.event)) entityCheck?.add(record.event, record.offset);
    }
  });
  const duplicates = await partitionCheck.finish();
  await entityCheck?.compare(duplicates);
  if (believed > 0) {
    report.notes.push(`partition ${partition}: ${believed} dead letters could be read by now; replay brings them in`);
  }
}

/** What a registry, a setting or the release decides besides the record. All else has to be found wrong again. */
const reasonsOutside: ReadonlySet<string> = new Set<RejectReason>([
  'registry_missing',
  'unknown_schema',
  'unreadable_schema',
  'unknown_fingerprint',
  'too_large',
]);

/** Dead letters that rightly stand even where the record can be read by now: the pipeline never decides anew. */
async function readStanding(
  database: Database,
  stream: string,
  { partition, first, end }: LogRange,
): Promise<Map<number, string>> {
  const offsets = { first, last: Math.max(first, end - 1) };
  const deadLetters = await readRefused(database, 'dead_letters', { stream, partition }, offsets);
  return new Map(
    deadLetters.filter(({ reason }) => reasonsOutside.has(reason)).map(({ offset, reason }) => [offset, reason]),
  );
}

const refuse = ({ offset, recordTimeMs }: Decoded, reason: string): Decoded => ({
  offset,
  recordTimeMs,
  refusal: { outcome: 'dead', reason },
});

async function decodeRecords(
  decoder: Decoder,
  topic: string,
  partition: number,
  messages: readonly KafkaMessage[],
): Promise<Decoded[]> {
  const records = messages.map(
    ({ offset, timestamp, key, value, headers }): LogRecord => ({
      topic,
      partition,
      offset: Number(offset),
      timestampMs: Number(timestamp),
      key,
      value,
      headers,
    }),
  );
  await decoder.prepare(records);
  return records.map((record) => {
    const { offset, timestampMs: recordTimeMs } = record;
    const decoded = decoder.decode(record);
    if (decoded instanceof Rejection) {
      return { offset, recordTimeMs, refusal: { outcome: decoded.outcome, reason: decoded.reason } };
    }
    return { offset, recordTimeMs, event: decoded };
  });
}
