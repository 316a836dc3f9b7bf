import type { Producer } from '../kafka.ts';
import { placeName } from './letters.ts';
import type { ReadyRecord, ReplayBatch } from './replay-batch.ts';

/** What has been sent so far. */
export interface SendTally {
  sent: number;
  bytes: number;
  withoutBytes: number;
  /** Places of records that the broker found too large. */
  tooLarge: { place: string; topic: string; bytes: number }[];
}

/** gzip, which every broker reads: what came in compressed may be too large as it stands. */
const compression = 1;
const everyReplica = -1;
const largeErrors: ReadonlySet<string> = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);

/** Sends batch after batch, each acknowledged by every replica before the next one is read. */
export async function sendAll(
  batches: AsyncIterable<ReplayBatch>,
  producer: Producer,
  isInterrupted: () => boolean,
  progress: (tally: SendTally) => void,
): Promise<SendTally> {
  const tally: SendTally = { sent: 0, bytes: 0, withoutBytes: 0, tooLarge: [] };
  for await (const { records, withoutBytes } of batches) {
    if (isInterrupted()) break;
    tally.withoutBytes += withoutBytes;
    await sendSome(records, producer, tally);
    progress(tally);
  }
  return tally;
}

/** One record too large must not hold up the others, so a refused batch is sent again in two halves. */
async function sendSome(records: ReadyRecord[], producer: Producer, tally: SendTally): Promise<void> {
  const [first] = records;
  if (first === undefined) return;
  try {
    await producer.send({
      topic: first.target.topic,
      acks: everyReplica,
      compression,
      messages: records.map(({ partition, record }) => (partition === null ? record : { ...record, partition })),
    });
    tally.sent += records.length;
    for (const record of records) tally.bytes += sizeOf(record);
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    if (records.length === 1) {
      tally.tooLarge.push({ place: placeName(first.letter), topic: first.target.topic, bytes: sizeOf(first) });
      return;
    }
    const half = Math.ceil(records.length / 2);
    await sendSome(records.slice(0, half), producer, tally);
    await sendSome(records.slice(half), producer, tally);
  }
}

const sizeOf = ({ letter }: ReadyRecord): number => letter.keyBytes + letter.valueBytes;

/** The client may wrap what the broker said. */
function isTooLarge(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { type, cause } = error as Error & { type?: string };
  return (type !== undefined && largeErrors.has(type)) || isTooLarge(cause);
}
