import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startGuarded } from '../../../deploy/local/guarded-process.ts';
import { readStartTime } from '../../../deploy/local/instance-lock.ts';
import { Supervisor } from '../../../deploy/local/supervise.ts';
import { waitUntil } from '../../support/launched.ts';

let folder: string;
let said: string[];
let supervisor: Supervisor;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'weir-supervise-'));
  said = [];
  supervisor = new Supervisor({ say: (line) => said.push(line), firstBackoffMs: 20, longestBackoffMs: 80 });
});
afterEach(async () => {
  supervisor.killAll();
  await rm(folder, { recursive: true, force: true });
});

function service(name: string, script: string, stopTimeoutMs = 5_000) {
  const start = () =>
    startGuarded({
      command: '/bin/sh',
      args: ['-c', script],
      cwd: folder,
      logFile: path.join(folder, `${name}.log`),
      graceSeconds: 30,
    });
  return { name, stopTimeoutMs, start };
}

const sleeper = 'sleep 100 & wait';

async function findPid(name: string): Promise<number> {
  return (await supervisor.pids()).find((entry) => entry.name === name)?.pid ?? 0;
}

test('a service that dies is started again, and both are said', async () => {
  const first = await supervisor.start(service('Kafka', sleeper));
  process.kill(first.pid, 'SIGKILL');
  expect(await waitUntil(() => said.length === 2, 5_000)).toBe(true);
  expect(said).toEqual(['Kafka ended (exit code 137), starting it again in 0.02 s', 'Kafka runs again']);
  expect(await findPid('Kafka')).not.toBe(first.pid);
});

test('one that keeps dying waits twice as long each time, up to a bound', async () => {
  await supervisor.start(service('demo', 'exit 3'));
  const waits = () => said.flatMap((line) => /again in ([\d.]+) s/.exec(line)?.[1] ?? []);
  expect(await waitUntil(() => waits().length >= 4, 5_000)).toBe(true);
  expect(waits().slice(0, 4)).toEqual(['0.02', '0.04', '0.08', '0.08']);
});

test('a start that fails is tried again, with the reason said', async () => {
  let fails = 2;
  const { start, ...spec } = service('ClickHouse', sleeper);
  const first = await supervisor.start({ ...spec, start });
  // From here on the same specification fails twice.
  const failing = {
    ...spec,
    name: 'flaky',
    start: () => (fails-- > 0 ? Promise.reject(new Error('no room')) : start()),
  };
  fails = 0;
  const flaky = await supervisor.start(failing);
  fails = 2;
  process.kill(flaky.pid, 'SIGKILL');
  expect(await waitUntil(() => said.includes('flaky runs again'), 5_000)).toBe(true);
  expect(said.filter((line) => line === 'flaky did not start: no room').length).toBe(2);
  expect(first.pid).toBe(await findPid('ClickHouse'));
});

test('all are stopped in the reverse order of their start, and stay stopped', async () => {
  const ended: string[] = [];
  for (const name of ['Kafka', 'ClickHouse', 'pipelines', 'demo']) {
    const running = await supervisor.start(service(name, sleeper));
    running.onExit(() => ended.push(name));
  }
  await supervisor.stopAll();
  expect(ended).toEqual(['demo', 'pipelines', 'ClickHouse', 'Kafka']);
  expect(said).toEqual([]);
});

test('one that does not stop in time is killed, and that is said', async () => {
  await supervisor.start(service('stubborn', 'trap "" TERM; touch up; while true; do sleep 0.1; done', 300));
  expect(await waitUntil(() => existsSync(path.join(folder, 'up')), 5_000)).toBe(true);
  await supervisor.stopAll();
  expect(said).toEqual(['stubborn did not stop within 0.3 s, killing it']);
});

test('a stop during a back-off does not wait for it', async () => {
  const slow = new Supervisor({ say: (line) => said.push(line), firstBackoffMs: 60_000 });
  const running = await slow.start(service('Kafka', sleeper));
  process.kill(running.pid, 'SIGKILL');
  expect(await waitUntil(() => said.length === 1, 5_000)).toBe(true);
  await slow.stopAll();
  expect(said.length).toBe(1);
});

test('a program whose guard is killed is killed too, so that its successor finds the ports free', async () => {
  const running = await supervisor.start(service('Kafka', sleeper));
  expect(running.guardPid).not.toBe(running.pid);
  process.kill(running.guardPid, 'SIGKILL');
  expect(await waitUntil(() => said.includes('Kafka runs again'), 5_000)).toBe(true);
  expect(readStartTime(running.pid)).toBeUndefined();
});
