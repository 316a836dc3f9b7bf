import { createDecoder, type LogRecord } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { SchemaRegistry } from '../../pipelines/schema-registry.ts';
import { isOfRun } from '../../pipelines/verify/partition-check.ts';
import { readLog, readLogRanges } from '../../pipelines/verify/read-log.ts';
import {
  type AcceptedRecord,
  acceptedRecord,
  type Recomputation,
  type RecomputeOptions,
  recompute,
} from '../../pipelines/verify/recompute.ts';
import { type AcceptedReport, acceptedReport, recomputeReports } from '../../pipelines/verify/recompute-reports.ts';
import { readTrimmedHistory, readTrimmedReports } from '../../pipelines/verify/trimmed-history.ts';
import type { Kind } from '../support/pipeline-process.ts';
import type { Stand } from './stand.ts';

const maxValueBytes = 5_000_000;

/** What a partition of a stream tells, as far as it can be believed, to be recomputed as often as needed. */
export interface PartitionRecords {
  /** Where the log begins; what is older is known from stored rows. */
  firstOffset: number;
  recompute(options: RecomputeOptions): Recomputation;
}

export const schemaRegistryOf = (stand: Stand): SchemaRegistry =>
  new SchemaRegistry({ url: stand.servers.schemas.url, username: '', password: '' });

/** The log of a partition, decoded; null where the topic has no such partition. */
export async function readPartitionRecords(
  stand: Stand,
  kind: Kind,
  partition: number,
): Promise<PartitionRecords | null> {
  const { telemetry } = stand;
  const topic = telemetry.topics[kind];
  const range = (await readLogRanges(telemetry.admin, topic)).find((candidate) => candidate.partition === partition);
  if (range === undefined) return null;
  const decoder = createDecoder({ kind, registry: schemaRegistryOf(stand), maxValueBytes });
  const runs: AcceptedRecord[] = await readOlder(stand, kind, partition, range.first);
  const reports: AcceptedReport[] = [];
  const place = { stream: stand.streamOf(kind), partition };
  const earlier = kind === 'orchestrators' ? await readTrimmedReports(stand.database, place, range.first) : [];
  await readLog(telemetry.kafka, topic, range, async (messages) => {
    const records = messages.map(({ offset, timestamp, key, value, headers }): LogRecord => {
      return { topic, partition, offset: Number(offset), timestampMs: Number(timestamp), key, value, headers };
    });
    await decoder.prepare(records);
    for (const record of records) {
      const event = decoder.decode(record);
      if (event instanceof Rejection) continue;
      if (isOfRun(event)) runs.push(acceptedRecord(event, record.offset));
      else reports.push(acceptedReport(event, record.offset));
    }
  });
  return {
    firstOffset: range.first,
    recompute: (options) =>
      kind === 'orchestrators' ? recomputeReports(reports, options, earlier) : recompute(runs, options),
  };
}

/** Rows of runs from before an offset, as records. */
export async function readOlder(stand: Stand, kind: Kind, partition: number, below: number): Promise<AcceptedRecord[]> {
  if (kind === 'orchestrators' || below === 0) return [];
  return await readTrimmedHistory(stand.database, kind, { stream: stand.streamOf(kind), partition }, below);
}
