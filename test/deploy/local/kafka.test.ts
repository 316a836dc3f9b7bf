import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EmbeddedKafka, startKafka } from '../../../deploy/local/kafka.ts';
import { createKafka, createTopics } from '../../../pipelines/kafka.ts';
import { findProcesses, launch, waitUntil } from '../../support/launched.ts';

let dataDir: string;
let kafka: EmbeddedKafka;

const silent = { warn() {}, debug() {} };

async function withAdmin<Result>(use: (admin: ReturnType<ReturnType<typeof createKafka>['admin']>) => Promise<Result>) {
  const admin = createKafka({ brokers: [kafka.brokers], clientId: 'test', tls: null, sasl: null }, silent).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'weir-kafka-'));
  kafka = await startKafka({ dataDir });
});
afterAll(async () => {
  await kafka?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test('a broker that has started takes topics at once, and listens on loopback only', async () => {
  await withAdmin(async (admin) => {
    await createTopics(admin, [{ topic: 'first', partitions: 2, retentionMs: -1 }]);
    const { brokers } = await admin.describeCluster();
    expect(brokers).toMatchObject([{ host: '127.0.0.1', port: kafka.port }]);
  });
  expect(await readFile(path.join(dataDir, 'server.properties'), 'utf8')).toMatch(
    /^listeners=PLAINTEXT:\/\/127\.0\.0\.1:\d+,CONTROLLER:\/\/127\.0\.0\.1:\d+$/m,
  );
});

test('topics outlive an orderly stop and kill -9', async () => {
  await kafka.stop();
  expect((await kafka.exited).expected).toBe(true);
  kafka = await startKafka({ dataDir, port: kafka.port, controllerPort: kafka.controllerPort });
  kafka.kill();
  await kafka.exited;
  kafka = await startKafka({ dataDir, port: kafka.port, controllerPort: kafka.controllerPort });
  expect(await withAdmin((admin) => admin.listTopics())).toContain('first');
});

test('neither a JVM nor a ClickHouse outlives its parent, even by kill -9', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'weir-orphans-'));
  const parent = launch(path.join(import.meta.dirname, '../../support/server-parent.ts'), { args: [folder] });
  await parent.waitFor(/both run/);
  expect(findProcesses(folder).length).toBeGreaterThanOrEqual(3);
  parent.child.kill('SIGKILL');
  await parent.exited;
  expect(await waitUntil(() => findProcesses(folder).length === 0, 8_000)).toBe(true);
  await rm(folder, { recursive: true, force: true });
});
