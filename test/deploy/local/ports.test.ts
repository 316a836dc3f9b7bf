import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { choosePorts, findFreePort } from '../../../deploy/local/ports.ts';

const none = {
  api: 0,
  apiMetrics: 0,
  alertsMetrics: 0,
  kafka: 0,
  kafkaController: 0,
  clickhouseHttp: 0,
  clickhouseTcp: 0,
  metrics: 0,
  demoMetrics: 0,
  insightMetrics: 0,
};

test('a wanted port that is free is taken, and nothing is said', async () => {
  const kafka = await findFreePort();
  const { ports, notes } = await choosePorts({ ...none, kafka });
  expect(ports.kafka).toBe(kafka);
  expect(notes).toEqual([]);
  expect(new Set(Object.values(ports)).size).toBe(10);
});

test('a busy port is replaced by a free one, and that is said', async () => {
  const busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const address = busy.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { ports, notes } = await choosePorts({ ...none, clickhouseHttp: port });
  expect(ports.clickhouseHttp).not.toBe(port);
  expect(notes).toEqual([`port ${port} (clickhouseHttp) is busy, using ${ports.clickhouseHttp} instead`]);
  busy.close();
});

test('ports that are found are none that a system gives to outgoing connections, and differ where many look at once', async () => {
  const found = await Promise.all(Array.from({ length: 5 }, () => findFreePort()));
  expect(Math.max(...found)).toBeLessThan(32_768);
  expect(new Set(found).size).toBe(5);
});
