import { createDecoder, type Decoder, type LogRecord, type TopicKind } from '../decode.ts';
import { Rejection } from '../rejections.ts';
import type { SchemaRegistry } from '../schema-registry.ts';
import type { ReadyRecord, ReplayBatch } from './replay-batch.ts';

/** What today's pipeline would make of dead letters. */
export interface TrialResult {
  accepted: number;
  /** By reason. */
  rejected: Map<string, number>;
  withoutBytes: number;
}

/** Decodes what would be sent exactly as the pipeline would, and sends nothing. */
export async function tryReplay(
  batches: AsyncIterable<ReplayBatch>,
  registry: SchemaRegistry | null,
  maxValueBytes: number,
  isInterrupted: () => boolean,
): Promise<TrialResult> {
  const decoders = new Map<TopicKind, Decoder>();
  const result: TrialResult = { accepted: 0, rejected: new Map(), withoutBytes: 0 };
  for await (const { records, withoutBytes } of batches) {
    if (isInterrupted()) break;
    result.withoutBytes += withoutBytes;
    const [first] = records;
    if (first !== undefined) {
      const { kind } = first.target;
      const decoder = decoders.get(kind) ?? createDecoder({ kind, registry, maxValueBytes });
      decoders.set(kind, decoder);
      await countOutcomes(decoder, records.map(recordToDecode), result);
    }
  }
  return result;
}

async function countOutcomes(decoder: Decoder, records: LogRecord[], result: TrialResult): Promise<void> {
  await decoder.prepare(records);
  for (const record of records) {
    const outcome = decoder.decode(record);
    if (!(outcome instanceof Rejection)) result.accepted++;
    else result.rejected.set(outcome.reason, (result.rejected.get(outcome.reason) ?? 0) + 1);
  }
}

/** As the decoder will meet it; its new place in the log is not known yet, and decides nothing. */
const recordToDecode = ({ letter, target, record }: ReadyRecord): LogRecord => ({
  topic: target.topic,
  partition: letter.partition,
  offset: 0,
  timestampMs: letter.recordTimeMs,
  ...record,
});
