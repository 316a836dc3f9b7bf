/**
 * How records are written into a batch of Kafka, version 2 of its format. The client's own way allocates half a kilobyte
 * for each record, copies the list of records once for each of them and computes numbers in objects: a quarter of all
 * that a producer does which sends as fast as it can. The bytes are the same.
 */

interface WritableMessage {
  key?: Buffer | string | null;
  value: Buffer | string | null;
  headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>;
  /** Milliseconds after the first record of its batch; records need not be sorted. */
  timestampDelta?: number;
  offsetDelta?: number;
}

/** What the client takes for one of its own encoders. */
interface EncodedRecord {
  buf: Buffer;
  buffer: Buffer;
  size(): number;
}

/** No number of a record takes more bytes than this. */
const mostVarIntBytes = 10;

export function encodeRecord(message: WritableMessage): EncodedRecord {
  const { timestampDelta = 0, offsetDelta = 0 } = message;
  const key = toBytes(message.key);
  const value = toBytes(message.value);
  const headers = listHeaders(message.headers);
  let mostBytes = 1 + 5 * mostVarIntBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) {
    mostBytes += 2 * mostVarIntBytes + header.key.length + (header.value?.length ?? 0);
  }
  // The length stands before the body and has as many bytes as it needs, so the body is written behind room for it.
  const out = Buffer.allocUnsafe(mostVarIntBytes + mostBytes);
  let at = mostVarIntBytes;
  // Attributes of records have no meaning yet.
  out[at++] = 0;
  at = writeVarInt(out, at, timestampDelta);
  at = writeVarInt(out, at, offsetDelta);
  at = writeBytes(out, at, key);
  at = writeBytes(out, at, value);
  at = writeVarInt(out, at, headers.length);
  for (const header of headers) at = writeBytes(out, writeBytes(out, at, header.key), header.value);
  const bodyBytes = at - mostVarIntBytes;
  const start = mostVarIntBytes - countVarIntBytes(bodyBytes);
  writeVarInt(out, start, bodyBytes);
  const buffer = out.subarray(start, at);
  return { buf: buffer, buffer, size: () => buffer.length };
}

function listHeaders(headers: WritableMessage['headers'] = {}): { key: Buffer; value: Buffer | null }[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) => ({ key: Buffer.from(name), value: toBytes(value) })),
  );
}

function toBytes(value: Buffer | string | null | undefined): Buffer | null {
  if (value == null) return null;
  return Buffer.isBuffer(value) ? value : Buffer.from(String(value));
}

function writeBytes(out: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarInt(out, at, -1);
  const end = writeVarInt(out, at, bytes.length);
  out.set(bytes, end);
  return end + bytes.length;
}

/** By arithmetic, not by bits: times apart from each other by more than three weeks do not fit 32 of them. */
function writeVarInt(out: Buffer, from: number, value: number): number {
  let at = from;
  let rest = zigZag(value);
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out[at++] = (rest % 128) | 0x80;
  out[at++] = rest;
  return at;
}

function countVarIntBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigZag(value); rest > 0x7f; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

const zigZag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);

interface Grouping<Message> {
  topic: string;
  partitionMetadata: unknown[];
  messages: readonly Message[];
  partitioner(of: { topic: string; partitionMetadata: unknown[]; message: Message }): number;
}

/** The messages of each partition, in their order. */
export function groupByPartition<Message>(of: Grouping<Message>): Record<number, Message[]> {
  const { topic, partitionMetadata, messages, partitioner } = of;
  const groups: Record<number, Message[]> = {};
  if (partitionMetadata.length === 0) return groups;
  for (const message of messages) {
    const partition = partitioner({ topic, partitionMetadata, message });
    groups[partition] ??= [];
    groups[partition].push(message);
  }
  return groups;
}

/** The polynomial of Castagnoli, its bits from the lowest to the highest. */
const polynomial = 0x82f63b78;
const tables = makeTables();

/** Table n holds what a byte does to the sum when n more bytes follow it. */
function makeTables(): Int32Array[] {
  const [first, ...rest] = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1) === 1 ? (sum >>> 1) ^ polynomial : sum >>> 1;
    first[byte] = sum;
  }
  let before = first;
  for (const table of rest) {
    for (let byte = 0; byte < 256; byte++) table[byte] = (before[byte] >>> 8) ^ first[before[byte] & 0xff];
    before = table;
  }
  return [first, ...rest];
}

/** CRC-32C, eight bytes at a time. */
export function sumCrc32c(bytes: Buffer): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  const { length } = bytes;
  let sum = -1;
  let at = 0;
  for (; at + 8 <= length; at += 8) {
    const low = sum ^ (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
    sum =
      t7[low & 0xff] ^
      t6[(low >>> 8) & 0xff] ^
      t5[(low >>> 16) & 0xff] ^
      t4[low >>> 24] ^
      t3[bytes[at + 4]] ^
      t2[bytes[at + 5]] ^
      t1[bytes[at + 6]] ^
      t0[bytes[at + 7]];
  }
  for (; at < length; at++) sum = t0[(sum ^ bytes[at]) & 0xff] ^ (sum >>> 8);
  return ~sum >>> 0;
}

const murmurSeed = 0x9747b28c;
const murmurFactor = 0x5bd1e995;

/** Murmur2 of 32 bits as Kafka's own producers compute it, so that a key goes to the same partition whoever sends it. */
export function hashKey(key: Buffer | string): number {
  const bytes = Buffer.isBuffer(key) ? key : Buffer.from(String(key));
  const { length } = bytes;
  const tail = length & ~3;
  let hash = murmurSeed ^ length;
  for (let at = 0; at < tail; at += 4) {
    const word = Math.imul(bytes.readInt32LE(at), murmurFactor);
    hash = Math.imul(hash, murmurFactor) ^ Math.imul(word ^ (word >>> 24), murmurFactor);
  }
  if (tail < length) {
    for (let at = length - 1; at >= tail; at--) hash ^= bytes[at] << (8 * (at - tail));
    hash = Math.imul(hash, murmurFactor);
  }
  hash = Math.imul(hash ^ (hash >>> 13), murmurFactor);
  return hash ^ (hash >>> 15);
}
