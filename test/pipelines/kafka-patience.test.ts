import { type AddressInfo, connect, createServer } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKafka, makeTopics } from '../../pipelines/kafka.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';

const metadataKey = 3;
const { tasks: topic, group: groupId } = uniqueTopics('patience');
const said: string[] = [];
const log = { warn: (_: object, message: string) => void said.push(message), debug: () => undefined };

/** Before the real broker; hangs up at the first questions about topics. */
let hangsUp = 2;
const proxy = createServer((client) => {
  const [host = '', port = ''] = useStack().brokers[0]?.split(':') ?? [];
  const broker = connect(Number(port), host);
  client.on('data', (request) => {
    if (request.readInt16BE(4) === metadataKey && hangsUp-- > 0) client.end();
    else broker.write(request);
  });
  broker.on('data', (answer) => client.write(answer));
  for (const [one, other] of [
    [client, broker],
    [broker, client],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
});

beforeAll(async () => {
  const kafka = createKafka({ brokers: useStack().brokers, clientId: 'patience', tls: null, sasl: null }, log);
  const admin = kafka.admin();
  await admin.connect();
  await makeTopics(admin, [{ topic, numPartitions: 1, replicationFactor: 1 }]);
  await admin.disconnect();
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});

afterAll(() => {
  proxy.close();
});

it('a consumer outlasts a broker that goes away while it is asked about topics', async () => {
  const { port } = proxy.address() as AddressInfo;
  const brokers = [`127.0.0.1:${port}`];
  const consumer = createKafka({ brokers, clientId: 'patience', tls: null, sasl: null }, log).consumer({ groupId });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
  await consumer.run({ eachBatch: async () => undefined });
  await joined;
  expect(hangsUp).toBeLessThanOrEqual(0);
  expect(said.filter((line) => line.startsWith('asking about topics: Closed connection'))).toHaveLength(2);
  await consumer.disconnect();
});
