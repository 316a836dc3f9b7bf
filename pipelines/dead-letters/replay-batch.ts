import type { DeadLetters, Letter } from './letters.ts';
import type { Hindrance, Planned } from './replay-plan.ts';
import { type ReplayedRecord, replayedRecord } from './replayed-record.ts';

export interface ReadyRecord extends Planned {
  record: ReplayedRecord;
}

/** Letters of one partition with their bytes, as many as may be held and sent at once. */
export interface ReplayBatch {
  records: ReadyRecord[];
  /** Letters whose bytes are gone. */
  withoutBytes: number;
}

export interface Selection {
  letters: number;
  bytes: number;
  topics: Set<string>;
  hindered: Map<Hindrance, number>;
}

const mostLetters = 500;
/** Half of what brokers take in one batch unless they are told otherwise; larger records travel alone. */
const mostBytes = 512 * 1024;

const sizeOf = ({ keyBytes, valueBytes }: Letter): number => keyBytes + valueBytes + 200;

/** Counts what would be sent, and what would not and why. */
export async function select(planned: AsyncIterable<Planned | Hindrance>): Promise<Selection> {
  const selection: Selection = { letters: 0, bytes: 0, topics: new Set(), hindered: new Map() };
  for await (const plan of planned) {
    if (typeof plan === 'string') {
      selection.hindered.set(plan, (selection.hindered.get(plan) ?? 0) + 1);
      continue;
    }
    selection.letters++;
    selection.bytes += plan.letter.keyBytes + plan.letter.valueBytes;
    selection.topics.add(plan.target.topic);
  }
  return selection;
}

/**
 * Applies the plan to letters in the order of the log, and ends after so many that are to be sent. What has come back since the
 * start is passed over, or a record that is rejected each time would be sent for ever.
 */
export async function* planAll(
  letters: AsyncIterable<Letter>,
  plan: (letter: Letter) => Planned | Hindrance,
  { limit, startedMs }: { limit: number; startedMs: number },
): AsyncGenerator<Planned | Hindrance> {
  let left = limit;
  for await (const letter of letters) {
    if (letter.replays > 0 && letter.recordTimeMs >= startedMs) continue;
    const planned = plan(letter);
    yield planned;
    if (typeof planned !== 'string' && --left <= 0) return;
  }
}

/** Cuts what is to be sent into batches that are bounded by bytes, and fetches the bytes of one at a time. */
export async function* readBatches(
  planned: AsyncIterable<Planned | Hindrance>,
  deadLetters: DeadLetters,
): AsyncGenerator<ReplayBatch> {
  let waiting: Planned[] = [];
  let bytes = 0;
  for await (const plan of planned) {
    if (typeof plan === 'string') continue;
    const [first] = waiting;
    const isOfOther = first?.letter.stream !== plan.letter.stream || first.letter.partition !== plan.letter.partition;
    const isFull = waiting.length >= mostLetters || bytes + sizeOf(plan.letter) > mostBytes;
    if (first !== undefined && (isOfOther || isFull)) {
      yield await fetchBytes(waiting, deadLetters);
      waiting = [];
      bytes = 0;
    }
    waiting.push(plan);
    bytes += sizeOf(plan.letter);
  }
  if (waiting.length > 0) yield await fetchBytes(waiting, deadLetters);
}

async function fetchBytes(planned: Planned[], deadLetters: DeadLetters): Promise<ReplayBatch> {
  const [
    {
      letter: { stream, partition },
    },
  ] = planned as [Planned];
  const found = await deadLetters.readBytes(
    stream,
    partition,
    planned.map(({ letter }) => letter.offset),
  );
  const records = planned.flatMap((plan): ReadyRecord[] => {
    const bytes = found.get(plan.letter.offset);
    return bytes === undefined ? [] : [{ ...plan, record: replayedRecord(plan.letter, bytes) }];
  });
  return { records, withoutBytes: planned.length - records.length };
}
