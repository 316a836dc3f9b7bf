import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { batchClassOf, batchDecoderOf, FetchedRecord, noHeaders, RecordCursor } from '../../pipelines/kafka-fetch.ts';
import { encodeRecord } from '../../pipelines/kafka-records.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';

/** The client's own modules, as they are where nothing has replaced them. */
const client = createRequire(import.meta.url);
const ofClient = (name: string) => client(`kafkajs/src/${name}`);
const ClientDecoder = ofClient('protocol/decoder');
const decodeByClient = ofClient('protocol/recordBatch/v0/decoder');
const ClientBatch = ofClient('consumer/batch');
const hideByClient = ofClient('consumer/filterAbortedMessages');

const decode = batchDecoderOf({
  partialBatch: (message) => Object.assign(new Error(message), { name: 'KafkaJSPartialMessageError' }),
  findCodec: ofClient('protocol/message/compression').lookupCodecByAttributes,
});

const gzip = 1;
const dayMs = 86_400_000;

interface BatchOptions {
  firstOffset?: number;
  attributes?: number;
  producerId?: number;
  firstTimestampMs?: number;
  maxTimestampMs?: number;
}

function frame(body: Buffer, count: number, options: BatchOptions): Buffer {
  const { firstOffset = 7, attributes = 0, producerId = -1, firstTimestampMs = 0, maxTimestampMs = 0 } = options;
  const head = Buffer.alloc(61);
  head.writeBigInt64BE(BigInt(firstOffset), 0);
  head.writeInt32BE(49 + body.length, 8);
  head.writeInt8(2, 16);
  head.writeInt16BE(attributes, 21);
  head.writeInt32BE(count - 1, 23);
  head.writeBigInt64BE(BigInt(firstTimestampMs), 27);
  head.writeBigInt64BE(BigInt(maxTimestampMs), 35);
  head.writeBigInt64BE(BigInt(producerId), 43);
  head.writeInt32BE(count, 57);
  return Buffer.concat([head, body]);
}

const bytesOf = (random: Random): Buffer | null =>
  random.chance(0.2) ? null : Buffer.alloc(random.pick([0, 1, 63, 64, 8_191, 8_192]), random.below(256));

function makeBatch(random: Random): Buffer {
  const count = random.pick([0, 1, 2, 40]);
  const records = Array.from(
    { length: count },
    (_, at) =>
      encodeRecord({
        key: bytesOf(random),
        value: bytesOf(random),
        headers: random.pick([{}, { a: 'b' }, { many: ['1', '2', '3'], empty: '', täglich: 'ü', __proto__x: 'y' }]),
        timestampDelta: Math.floor((random.next() - 0.5) * random.pick([0, 100, dayMs, 400 * dayMs])),
        offsetDelta: at * random.pick([1, 70, 2 ** 20]),
      }).buffer,
  );
  const isCompressed = random.chance(0.3);
  const body = Buffer.concat(records);
  return frame(isCompressed ? gzipSync(body) : body, count, {
    firstOffset: random.pick([0, 12, 2 ** 31 + 5, 2 ** 45]),
    attributes: (isCompressed ? gzip : 0) + random.pick([0, 0x8, 0x10, 0x20, 0x30]),
    producerId: random.pick([-1, 0, 2 ** 40]),
    firstTimestampMs: random.pick([-1, 0, 1_790_000_000_000]),
    maxTimestampMs: 1_790_000_000_123,
  });
}

/** What anything of ours or of the client reads of a record. */
function plainOf(record: Record<string, unknown>) {
  const { offset, timestamp, attributes, key, value, headers, isControlRecord, magicByte, batchContext } = record;
  const { producerId, inTransaction } = batchContext as Record<string, unknown>;
  return { offset, timestamp, attributes, key, value, headers, isControlRecord, magicByte, producerId, inTransaction };
}

describe('a batch of records', () => {
  it('reads as the client itself reads it, seed by seed', async () => {
    for (let seed = 1; seed <= 400; seed++) {
      const bytes = Buffer.concat([makeBatch(createRandom(seed)), Buffer.from('what follows')]);
      const [ours, theirs] = [new ClientDecoder(bytes), new ClientDecoder(bytes)];
      const { records } = await decode(ours);
      const expected = await decodeByClient(theirs);
      expect(
        records.map((record) => plainOf(record as never)),
        `seed ${seed}`,
      ).toEqual(expected.records.map(plainOf));
      expect(ours.offset, `seed ${seed}`).toBe(theirs.offset);
      for (const { position, offset, timestampMs, timestamp } of records) {
        expect([String(position), String(timestampMs)]).toEqual([offset, timestamp]);
      }
    }
  });

  it('that was cut off is left for the next fetch', async () => {
    const whole = makeBatch(createRandom(4));
    for (const bytes of [whole.subarray(0, -1), whole.subarray(0, 61)]) {
      await expect(decode(new ClientDecoder(bytes))).rejects.toMatchObject({ name: 'KafkaJSPartialMessageError' });
    }
  });

  it('may have fields of a later time at the end of its records', async () => {
    const [record, next] = [encodeRecord({ value: 'one' }).buffer, encodeRecord({ value: 'two' }).buffer];
    const longer = Buffer.concat([record, Buffer.from('later')]);
    longer[0] = (longer[0] as number) + 2 * 'later'.length;
    const { records } = await decode(new ClientDecoder(frame(Buffer.concat([longer, next]), 2, {})));
    expect(records.map(({ value }) => String(value))).toEqual(['one', 'two']);
  });

  it('with a number that never ends is refused', () => {
    const cursor = new RecordCursor(Buffer.alloc(20, 0xff));
    expect(() => cursor.readVarInt()).toThrow('more than ten bytes');
  });
});

describe('what the consumer is handed', () => {
  const Batch = batchClassOf(ClientBatch, hideByClient);
  const abortMarker = Buffer.alloc(4);

  /** Offsets 10 to 12 of an aborted transaction, its marker at 13, and a record of nobody's at 14. */
  async function fetchAborted(): Promise<FetchedRecord[]> {
    const three = Buffer.concat([0, 1, 2].map((offsetDelta) => encodeRecord({ value: 'x', offsetDelta }).buffer));
    const batches = [
      frame(three, 3, { firstOffset: 10, attributes: 0x10, producerId: 5 }),
      frame(encodeRecord({ key: abortMarker, value: null }).buffer, 1, {
        firstOffset: 13,
        attributes: 0x30,
        producerId: 5,
      }),
      frame(encodeRecord({ value: 'kept' }).buffer, 1, { firstOffset: 14 }),
    ];
    return (await Promise.all(batches.map((bytes) => decode(new ClientDecoder(bytes))))).flatMap(
      ({ records }) => records,
    );
  }

  it.each([0, 11, 13, 14, 15])('is what the client would hand over, fetched from %i', async (from) => {
    const messages = await fetchAborted();
    const data = { partition: 0, highWatermark: '15', abortedTransactions: [{ producerId: '5', firstOffset: '10' }] };
    const [ours, theirs] = [Batch, ClientBatch].map((Class) => new Class('t', String(from), { ...data, messages }));
    const told = (batch: typeof theirs) => ({
      messages: batch.messages.map(({ offset }: FetchedRecord) => offset),
      within: batch.messagesWithinOffset.length,
      empty: [batch.isEmpty(), batch.isEmptyIncludingFiltered(), batch.isEmptyControlRecord()],
      ends: [batch.firstOffset(), batch.lastOffset(), batch.offsetLag(), batch.offsetLagLow()],
      compacted: batch.isEmptyDueToLogCompactedMessages(),
      filtered: batch.isEmptyDueToFiltering(),
    });
    expect(told(ours as never)).toEqual(told(theirs));
  });

  it('is left to the client where the records are of an older format', () => {
    const messages = [
      { offset: '3', value: Buffer.from('old') },
      { offset: '4', value: Buffer.from('older') },
    ];
    const batch = new Batch('t', '4', { messages, abortedTransactions: null, highWatermark: '5' } as never);
    expect(batch).toMatchObject({ messages: [messages[1]] });
  });

  it('says for all records without headers that they have none', async () => {
    const { records } = await decode(new ClientDecoder(frame(encodeRecord({ value: 'x' }).buffer, 1, {})));
    expect(records[0]).toBeInstanceOf(FetchedRecord);
    expect(records[0]?.headers).toBe(noHeaders);
  });
});
