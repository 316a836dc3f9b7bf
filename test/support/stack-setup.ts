import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { startClickHouse } from '../../deploy/local/clickhouse.ts';
import { startKafka } from '../../deploy/local/kafka.ts';

/** Where the servers of this test run are; test files read it through `stack.ts`. */
export interface Stack {
  brokers: string[];
  clickhouse: { url: string; tcpPort: number | null; user: string; password: string };
}

declare module 'vitest' {
  export interface ProvidedContext {
    stack: Stack;
  }
}

interface Running {
  stop(): Promise<void>;
}

/**
 * One real Kafka and one real ClickHouse for the whole run: embedded ones on free ports and in a
 * folder of their own, or those that KAFKA_BROKERS and CLICKHOUSE_URL name.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'weir-test-'));
  const running: Running[] = [];
  const [kafka, clickhouse] = await Promise.allSettled([
    findBrokers(path.join(dataDir, 'kafka'), running),
    findClickHouse(path.join(dataDir, 'clickhouse'), running),
  ]);
  if (kafka.status === 'rejected' || clickhouse.status === 'rejected') {
    await Promise.all(running.map((server) => server.stop()));
    throw kafka.status === 'rejected' ? kafka.reason : (clickhouse as PromiseRejectedResult).reason;
  }
  project.provide('stack', { brokers: kafka.value, clickhouse: clickhouse.value });
  return async () => {
    await Promise.all(running.map((server) => server.stop()));
    const failed = project.vitest.state.getCountOfFailedTests();
    if (failed > 0 && running.length > 0) console.log(`The servers' data and logs were kept in ${dataDir}`);
    else await rm(dataDir, { recursive: true, force: true });
  };
}

async function findBrokers(dataDir: string, running: Running[]): Promise<string[]> {
  if (process.env.KAFKA_BROKERS) return process.env.KAFKA_BROKERS.split(',');
  const kafka = await startKafka({ dataDir });
  running.push(kafka);
  return [kafka.brokers];
}

async function findClickHouse(dataDir: string, running: Running[]): Promise<Stack['clickhouse']> {
  const { CLICKHOUSE_URL, CLICKHOUSE_USER = 'default', CLICKHOUSE_PASSWORD = '' } = process.env;
  if (CLICKHOUSE_URL) {
    return { url: CLICKHOUSE_URL, tcpPort: null, user: CLICKHOUSE_USER, password: CLICKHOUSE_PASSWORD };
  }
  const server = await startClickHouse({ dataDir });
  running.push(server);
  const { name: user, password } = server.users.writer;
  return { url: server.url, tcpPort: server.tcpPort, user, password };
}
