import { randomBytes } from 'node:crypto';
import { afterAll, inject } from 'vitest';
import type { Stack } from './stack-setup.ts';

interface TestTopics {
  executions: string;
  tasks: string;
  orchestrators: string;
  state: string;
  alerts: string;
  commands: string;
  group: string;
}

export interface TestDatabase {
  url: string;
  user: string;
  password: string;
  database: string;
  /** Runs one statement and gives its answer as text, to look at a database with nothing of ours between. */
  query(statement: string): Promise<string>;
}

/** The addresses of the servers that this test run shares. */
export function useStack(): Stack {
  return inject('stack');
}

/** Names of topics and of a consumer group that no other test file has; the test creates what it needs. */
export function uniqueTopics(name: string): TestTopics {
  const prefix = `${name}.${randomBytes(4).toString('hex')}`;
  return {
    executions: `${prefix}.telemetry.executions`,
    tasks: `${prefix}.telemetry.tasks`,
    orchestrators: `${prefix}.telemetry.orchestrators`,
    state: `${prefix}.weir.state`,
    alerts: `${prefix}.weir.alerts`,
    commands: `${prefix}.weir.commands`,
    group: `${prefix}.group`,
  };
}

/**
 * An empty database of the test file's own. It is dropped when the file has passed; when a test of the
 * file failed it stays, to be looked into, and its name is printed.
 */
export async function createTestDatabase(name: string): Promise<TestDatabase> {
  const { url, user, password } = useStack().clickhouse;
  const database = `weir_test_${name.replaceAll(/\W/g, '_')}_${randomBytes(4).toString('hex')}`;
  const query = (statement: string) => runStatement(url, user, password, statement);
  await query(`CREATE DATABASE ${database}`);
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from this pattern which fixtures a hook wants.
  afterAll(async ({}, suite) => {
    if (hasFailed(suite)) console.log(`database ${database} was kept`);
    else await query(`DROP DATABASE IF EXISTS ${database} SYNC`);
  });
  const inDatabase = (statement: string) => runStatement(`${url}/?database=${database}`, user, password, statement);
  return { url, user, password, database, query: inDatabase };
}

interface Task {
  result?: { state?: string } | undefined;
  tasks?: readonly Task[];
}

function hasFailed(task: Task): boolean {
  return task.result?.state === 'fail' || (task.tasks ?? []).some(hasFailed);
}

async function runStatement(url: string, user: string, password: string, statement: string): Promise<string> {
  const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password };
  const answer = await fetch(url, { method: 'POST', body: statement, headers });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`ClickHouse refused ${statement.slice(0, 200)}: ${text.slice(0, 500)}`);
  return text.trimEnd();
}
