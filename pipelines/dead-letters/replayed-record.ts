import type { Origin } from '../../schemas/events.ts';
import { originHeaders } from '../../schemas/wire.ts';
import { readOrigin } from '../decode.ts';
import type { Letter, LetterBytes } from './letters.ts';

/** What is sent again for a dead letter: its bytes, and where the record first stood. */
export interface ReplayedRecord {
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | Buffer[]>;
}

const ownHeaders: ReadonlySet<string> = new Set(Object.values(originHeaders));

/**
 * The identity of a republished record is its first origin: a replay of a replay, or of what an adapter published, keeps the
 * headers that it has, so that it counts once however often it goes round. What a producer wrote into headers of these
 * names without meaning an origin is replaced.
 */
export function replayedRecord(
  letter: Pick<Letter, 'topic' | 'partition' | 'offset' | 'recordTimeMs'>,
  bytes: LetterBytes,
): ReplayedRecord {
  const headers = groupHeaders(bytes.headers);
  const judged: { recordTimeMs: number; origin: Origin | null } = { recordTimeMs: letter.recordTimeMs, origin: null };
  readOrigin(headers, judged);
  const { topic, partition, offset, item } = judged.origin ?? { ...letter, item: 0 };
  const kept = Object.entries(headers).filter(([name]) => !ownHeaders.has(name));
  const own = {
    [originHeaders.topic]: topic,
    [originHeaders.partition]: partition,
    [originHeaders.offset]: offset,
    [originHeaders.item]: item,
    [originHeaders.timestamp]: judged.recordTimeMs,
  };
  const written = Object.entries(own).map(([name, value]): [string, Buffer] => [name, Buffer.from(String(value))]);
  return { key: bytes.key, value: bytes.value, headers: Object.fromEntries([...kept, ...written]) };
}

/** A name may stand more than once, in an order that matters. */
function groupHeaders(entries: LetterBytes['headers']): Record<string, Buffer | Buffer[]> {
  const groups = new Map<string, Buffer[]>();
  for (const { name, value } of entries) groups.set(name, [...(groups.get(name) ?? []), value]);
  return Object.fromEntries([...groups].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}
