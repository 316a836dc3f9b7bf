import { afterAll, beforeAll, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { listReadableTables } from '../../../deploy/local/readable-tables.ts';
import { OwnServers } from '../../support/own-servers.ts';
import { Telemetry } from '../../support/pipeline-process.ts';
import { uniqueTopics, useStack } from '../../support/stack.ts';
import { runCommand } from './command-run.ts';

/** What people may do who read as Grafana and analysts do. */

let servers: OwnServers;
let telemetry: Telemetry;
let asReader: Record<string, string>;
let place: string;

beforeAll(async () => {
  servers = await OwnServers.create();
  // The engine learns what readers may see when it starts, so the tables come first.
  await servers.startClickHouse();
  const names = uniqueTopics('readers');
  telemetry = new Telemetry(names, { brokers: useStack().brokers, database: servers.database() }, { partitions: 1 });
  await telemetry.prepare();
  const readable = await listReadableTables(servers.database());
  await servers.clickhouse?.stop();
  const { users } = await servers.startClickHouse(readable);
  asReader = { CLICKHOUSE_USER: users.reader.name, CLICKHOUSE_PASSWORD: users.reader.password };
  await telemetry.startReady();
  await telemetry.send('tasks', [{ key: 'k', value: 'noise' }]);
  await telemetry.waitStored();
  place = `${telemetry.topics.tasks}/0/0`;
});

afterAll(async () => {
  await telemetry.close();
  await servers.stop();
});

it('readers may list dead letters and show each', async () => {
  const listed = await runCommand(telemetry, ['list'], asReader);
  expect(listed.output).toMatch(/^1 dead letter$/m);
  expect(listed.output).toContain('This user may not see which dead letters are replays of others');
  const shown = await runCommand(telemetry, ['show', place], asReader);
  expect(shown.output).toContain('wrong_magic');
  expect([listed.exitCode, shown.exitCode]).toEqual([0, 0]);
});

it('readers see who changed what people set up, and no values, which may hold secrets', async () => {
  const { CLICKHOUSE_USER: user = '', CLICKHOUSE_PASSWORD: password = '' } = asReader;
  const database = new Database({ ...servers.database(), user, password });
  try {
    const seen = 'workspace, collection, key, ver, deleted, changed_by, changed_at';
    expect(await database.rows(`SELECT ${seen} FROM state`)).toEqual([]);
    expect(await database.rows(`SELECT ${seen}, outcome, reason, request_id FROM state_changes`)).toEqual([]);
    for (const table of ['state', 'state_changes']) {
      for (const asked of ['*', 'value', 'length(value)']) {
        await expect(database.rows(`SELECT ${asked} FROM ${table}`), asked).rejects.toThrow(/Not enough privileges/);
      }
    }
  } finally {
    await database.close();
  }
});

it.each([
  ['original bytes', () => ['show', place, '--bytes']],
  ['a replay', () => ['replay']],
])('readers are told who may have %s', async (_, args) => {
  const { exitCode, output } = await runCommand(telemetry, args(), asReader);
  expect(output).toContain('the user weir_reader may not read original bytes, which may hold secrets');
  expect(output).toContain('CLICKHOUSE_USER');
  expect(exitCode).toBe(1);
});
