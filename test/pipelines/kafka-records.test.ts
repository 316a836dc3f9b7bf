import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Consumer, createKafka, createProducer, type Kafka, makeTopics } from '../../pipelines/kafka.ts';
import { groupByPartition, hashKey, sumCrc32c } from '../../pipelines/kafka-records.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { waitUntil } from '../support/launched.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';

const topic = uniqueTopics('kafka-records').tasks;
const dayMs = 86_400_000;
let kafka: Kafka;
let consumer: Consumer | undefined;

beforeAll(async () => {
  const silent = { warn: () => undefined, debug: () => undefined };
  kafka = createKafka({ brokers: useStack().brokers, clientId: 'kafka-records', tls: null, sasl: null }, silent);
  const admin = kafka.admin();
  await admin.connect();
  // Without an end of retention, because some records here are of months ago.
  const configEntries = [{ name: 'retention.ms', value: '-1' }];
  await makeTopics(admin, [{ topic, numPartitions: 1, configEntries }]);
  await admin.disconnect();
});

afterAll(() => consumer?.disconnect());

it('sums as CRC-32C does, whatever the length', () => {
  // The check value of the algorithm's definition, and the vectors of RFC 3720, appendix B.4.
  expect(sumCrc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(sumCrc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(sumCrc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(sumCrc32c(Buffer.from(Array.from({ length: 32 }, (_, at) => at)))).toBe(0x46dd794e);
  expect(sumCrc32c(Buffer.alloc(0))).toBe(0);
});

it('finds the partition of a key as the producers of Kafka do', () => {
  // From the tests of Kafka itself.
  const known: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  expect(known.map(([key]) => [key, hashKey(key)])).toEqual(known);
  expect(hashKey(Buffer.from('abc'))).toBe(hashKey('abc'));
});

it('keeps the order within each partition', () => {
  const messages = Array.from({ length: 100 }, (_, at) => at);
  const partitioner = ({ message }: { message: number }) => message % 3;
  const groups = groupByPartition({ topic, partitionMetadata: [0, 1, 2], messages, partitioner });
  expect(Object.keys(groups)).toEqual(['0', '1', '2']);
  expect(groups[1]).toEqual(messages.filter((message) => message % 3 === 1));
  expect(groupByPartition({ topic, partitionMetadata: [], messages, partitioner })).toEqual({});
});

interface Plain {
  key: string | null;
  value: string | null;
  timestamp: string;
  headers: Record<string, string | string[]>;
}

/** Records of every shape: empty, absent, long and in other scripts, hours and months apart in one batch. */
function makeRecords(): (Omit<Plain, 'key' | 'value'> & { key: Buffer | string | null; value: Buffer | null })[] {
  const random = createRandom(11);
  const nowMs = Date.now();
  const lengths = [0, 1, 63, 64, 127, 128, 8_191, 8_192, 20_000];
  return Array.from({ length: 200 }, (_, at) => ({
    key: random.pick([null, '', `schlüssel-${at}`, Buffer.from([0xff, 0x00, at])]),
    value: random.pick([null, Buffer.alloc(random.pick(lengths), at)]),
    timestamp: String(nowMs - Math.floor(random.next() * random.pick([0, 1_000, dayMs, 90 * dayMs]))),
    headers: random.pick<Plain['headers']>([
      {},
      { place: 'täglich' },
      { empty: '', many: ['one', 'two'], long: 'x'.repeat(300) },
    ]),
  }));
}

const toHex = (value: Buffer | string | null) => (value === null ? null : Buffer.from(value).toString('hex'));

it('writes records that a broker takes and gives back as they were, compressed or not', async () => {
  const records = makeRecords();
  const producer = createProducer(kafka);
  await producer.connect();
  const zstd = 4;
  await producer.send({ topic, acks: -1, messages: records });
  await producer.send({ topic, acks: -1, messages: records, compression: zstd });
  await producer.disconnect();
  const read: Plain[] = [];
  consumer = kafka.consumer({ groupId: `${topic}.group` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message: { key, value, timestamp, headers = {} } }) => {
      const texts = Object.entries(headers).map(([name, found]) => [
        name,
        Array.isArray(found) ? found.map(String) : String(found),
      ]);
      read.push({ key: toHex(key), value: toHex(value), timestamp, headers: Object.fromEntries(texts) });
    },
  });
  await waitUntil(() => read.length >= 2 * records.length, 60_000);
  const expected = records.map((record) => ({ ...record, key: toHex(record.key), value: toHex(record.value) }));
  expect(read).toEqual([...expected, ...expected]);
});
