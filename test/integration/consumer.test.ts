import { afterAll, expect, it } from 'vitest';
import { type Consumer, createKafka, createProducer, makeTopics } from '../../pipelines/kafka.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';

const said: string[] = [];
const say = (_fields: object, message: string) => void said.push(message);
const kafka = createKafka(
  { brokers: useStack().brokers, clientId: 'consumer-test', tls: null, sasl: null },
  { warn: say, debug: () => undefined },
);
const consumers: Consumer[] = [];
/** As the client marks what it does not try again. */
const finalError = Object.assign(new Error('the end of it'), { name: 'KafkaJSNonRetriableError', retriable: false });

afterAll(async () => {
  await Promise.all(consumers.map((consumer) => consumer.disconnect()));
});

it('a consumer that the client gave up for good begins again where it was, until it is disconnected', async () => {
  const { tasks: topic, group: groupId } = uniqueTopics('consumer');
  const [admin, producer, consumer] = [kafka.admin(), createProducer(kafka), kafka.consumer({ groupId })];
  consumers.push(consumer);
  await Promise.all([admin.connect(), producer.connect(), consumer.connect()]);
  await makeTopics(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }]);
  await consumer.subscribe({ topic, fromBeginning: true });
  const read: string[] = [];
  const crashes: boolean[] = [];
  consumer.on(consumer.events.CRASH, ({ payload }) => void crashes.push(payload.restart));
  await consumer.run({
    eachMessage: async ({ message }) => {
      const value = String(message.value);
      if (value === 'fatal' && crashes.length < 2) throw finalError;
      read.push(value);
    },
  });
  await producer.send({ topic, messages: ['first', 'fatal', 'last'].map((value) => ({ value })) });

  await expect.poll(() => read.includes('last')).toBe(true);
  expect(read.filter((value) => value !== 'first')).toEqual(['fatal', 'last']);
  // Both times the client itself would not have gone on.
  expect(crashes).toEqual([false, false]);
  expect(said.filter((line) => line.includes('the end of it; beginning again'))).toHaveLength(2);

  await consumer.disconnect();
  await producer.send({ topic, messages: [{ value: 'too late' }] });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
  expect(read).not.toContain('too late');
});
