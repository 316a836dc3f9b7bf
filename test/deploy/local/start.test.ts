import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClickHouseUsers } from '../../../deploy/local/clickhouse-users.ts';

import { findProcesses, type Launched, launch, waitUntil } from '../../support/launched.ts';
import { createTestDatabase, uniqueTopics, useStack } from '../../support/stack.ts';

const script = path.join(import.meta.dirname, '../../../deploy/local/start.ts');
/** Ports of its own for each start, and a history that does not keep the machine busy for minutes. */
const freePorts: Record<string, string> = Object.fromEntries(
  [
    'KAFKA',
    'KAFKA_CONTROLLER',
    'CLICKHOUSE_HTTP',
    'CLICKHOUSE_TCP',
    'METRICS',
    'DEMO_METRICS',
    'API',
    'API_METRICS',
    'ALERTS_METRICS',
    'INSIGHT_METRICS',
  ].map((name) => [`WEIR_${name}_PORT`, '0']),
);
freePorts.WEIR_DEMO_HISTORY_DAYS = '1';

let parent: string;
let dataDir: string;
let weir: Launched;
let busy: Server;
let busyPort: number;

// A calm demo, so that the history it begins with is small.
const calm = { ...freePorts, WEIR_DEMO_RATE: '10' };

const start = (env: Record<string, string> = {}) =>
  launch(script, { args: ['--data', dataDir], env: { ...calm, ...env } });

const isReady = /^ready$/m;

/** What runs for this data folder: the servers name it in their command line, our processes in none. */
function findPid(text: string): number {
  const [pid = 0] = findProcesses(dataDir).filter((candidate) => findProcesses(text).includes(candidate));
  return pid;
}

async function ask(sql: string, userName: keyof ClickHouseUsers = 'writer', settings = ''): Promise<string> {
  const users = JSON.parse(await readFile(path.join(dataDir, 'clickhouse/users.json'), 'utf8')) as ClickHouseUsers;
  const url = /ClickHouse +(http:\S+),/.exec(weir.output())?.[1];
  const { name, password } = users[userName];
  const headers = { 'X-ClickHouse-User': name, 'X-ClickHouse-Key': password };
  const answer = await fetch(`${url}/?database=weir&${settings}`, { method: 'POST', body: sql, headers });
  return (await answer.text()).trim();
}

beforeAll(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'weir-start-'));
  dataDir = path.join(parent, 'data');
  busy = createServer();
  await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
  const address = busy.address();
  busyPort = typeof address === 'object' && address ? address.port : 0;
  weir = start({ WEIR_CLICKHOUSE_HTTP_PORT: String(busyPort) });
  await weir.waitFor(isReady, 120_000);
});

afterAll(async () => {
  busy.close();
  weir.child.kill('SIGKILL');
  await waitUntil(() => findProcesses(dataDir).length === 0, 8_000);
  await rm(parent, { recursive: true, force: true });
});

describe('npm start', () => {
  test('says which port was busy and what it took instead', () => {
    expect(weir.output()).toMatch(new RegExp(`port ${busyPort} \\(clickhouseHttp\\) is busy, using \\d+ instead`));
  });

  test('prints four commands that work as they stand', async () => {
    const commands = weir.output().match(/^ {2}curl .*$/gm) ?? [];
    expect(commands.length).toBe(4);
    const [minutes, ledger, stats, metrics] = commands.map((command) =>
      execFileSync('sh', ['-c', command], { encoding: 'utf8' }),
    );
    expect(minutes).toContain('duration_ms_p95');
    expect(ledger).toContain('telemetry.executions@1');
    expect(JSON.parse(stats)).toMatchObject({ total_executions: expect.any(Number), workflows: expect.any(Array) });
    expect(metrics).toContain('weir_records_total');
  });

  test('shows the API the rows of one workspace only, and the original bytes of nothing', async () => {
    const workspace = await ask('SELECT workspace FROM executions_1m LIMIT 1');
    const count = 'SELECT count() > 0 FROM executions_1m';
    const naming = (name: string) => `log_comment=${encodeURIComponent(JSON.stringify({ workspace: name }))}`;
    expect(await ask(count, 'api')).toBe('0');
    expect(await ask(count, 'api', naming('another'))).toBe('0');
    expect(await ask(count, 'api', naming(workspace))).toBe('1');
    for (const user of ['api', 'reader'] as const) {
      expect(await ask('SELECT * FROM dead_letter_bytes', user)).toContain('ACCESS_DENIED');
    }
  });

  test('refuses a second start on the same data', async () => {
    const second = start();
    expect((await second.exited).code).toBe(1);
    expect(second.output()).toContain(`Weir already runs on ${dataDir} (process ${weir.pid})`);
  });

  test('starts again whatever dies, says so, and goes on storing', async () => {
    const from = weir.output().length;
    process.kill(findPid('kafka.Kafka'), 'SIGKILL');
    process.kill(findPid('clickhouse-child'), 'SIGKILL');
    for (const name of ['Kafka', 'ClickHouse']) {
      await weir.waitFor(new RegExp(`^${name} ended \\(.*\\), starting it again`, 'm'), 30_000, from);
      await weir.waitFor(new RegExp(`^${name} runs again$`, 'm'), 60_000, from);
    }
    const stored = async () => Number(await ask('SELECT sum(stored) FROM chunks FINAL'));
    const before = await stored();
    expect(await waitUntil(async () => (await stored()) > before, 20_000)).toBe(true);
  });

  test('stops everything in order within ten seconds on Ctrl-C', async () => {
    const beganAtMs = Date.now();
    weir.child.kill('SIGINT');
    expect(await weir.exited).toEqual({ code: 0, signal: null });
    expect(Date.now() - beganAtMs).toBeLessThan(10_000);
    // Who was killed a moment ago, or is in the midst of loading history, may have to be killed to keep the time.
    expect(weir.output()).toMatch(/stopping \(SIGINT\)\n(?:\w+ did not stop within [\d.]+ s, killing it\n)*stopped\n$/);
    expect(findProcesses(dataDir)).toEqual([]);
  });

  test('goes on where it stopped, and leaves no orphan when it is killed', async () => {
    weir = start();
    await weir.waitFor(isReady, 120_000);
    const pipelines = findProcesses('pipelines/main.ts').filter((pid) => readParent(pid) === weir.pid);
    expect(pipelines.length).toBe(1);
    expect(Number(await ask('SELECT min(first_offset) FROM chunks FINAL WHERE stored > 0'))).toBe(0);
    weir.child.kill('SIGKILL');
    await weir.exited;
    expect(await waitUntil(() => findProcesses(dataDir).length === 0, 10_000)).toBe(true);
    const orphans = () => findProcesses('pipelines/main.ts').filter((pid) => pipelines.includes(pid));
    expect(await waitUntil(() => orphans().length === 0, 10_000)).toBe(true);
  });

  test('uses servers that one already has, and starts none', async () => {
    const { brokers, clickhouse } = useStack();
    const topics = uniqueTopics('start');
    const { database } = await createTestDatabase('start');
    const other = path.join(parent, 'own-servers');
    const env = {
      ...freePorts,
      KAFKA_BROKERS: brokers.join(','),
      CLICKHOUSE_URL: clickhouse.url,
      CLICKHOUSE_USER: clickhouse.user,
      CLICKHOUSE_PASSWORD: clickhouse.password,
      CLICKHOUSE_DATABASE: database,
      WEIR_TOPIC_EXECUTIONS: topics.executions,
      WEIR_TOPIC_TASKS: topics.tasks,
      WEIR_TOPIC_ORCHESTRATORS: topics.orchestrators,
      WEIR_GROUP_ID: topics.group,
    };
    const own = launch(script, { args: ['--no-demo', '--data', other], env });
    await own.waitFor(isReady, 90_000);
    expect(own.output()).toContain('(yours)');
    expect(own.output()).not.toContain(clickhouse.password);
    expect(findProcesses(other)).toEqual([own.pid]);
    own.child.kill('SIGINT');
    expect((await own.exited).code).toBe(0);
  });

  test('refuses unknown options and wrong settings with exit code 2', async () => {
    const unknown = launch(script, { args: ['--frobnicate'] });
    expect((await unknown.exited).code).toBe(2);
    expect(unknown.output()).toContain('--no-demo');
    const wrong = launch(script, { args: ['--data', dataDir], env: { WEIR_RAW_RETENTION_DAYS: '31' } });
    expect((await wrong.exited).code).toBe(2);
    expect(wrong.output()).toContain('raise WEIR_RAW_RETENTION_DAYS to 46');
  });

  test('says what is missing when there is no Java, and leaves nothing running', async () => {
    const other = path.join(parent, 'no-java');
    const without = launch(script, { args: ['--data', other], env: { ...freePorts, PATH: '/nowhere', JAVA_HOME: '' } });
    expect((await without.exited).code).toBe(1);
    expect(without.output()).toContain('The embedded Kafka needs Java 17 or newer, and no Java was found');
    expect(findProcesses(other)).toEqual([]);
  });

  test('can be stopped in the midst of starting', async () => {
    const other = path.join(parent, 'hasty');
    const hasty = launch(script, { args: ['--data', other], env: freePorts });
    expect(await waitUntil(() => findProcesses(`${other}/kafka`).length > 0, 60_000)).toBe(true);
    hasty.child.kill('SIGINT');
    expect((await hasty.exited).code).toBe(0);
    expect(findProcesses(other)).toEqual([]);
  });

  test('deletes with --reset only a folder of its own', async () => {
    const other = path.join(parent, 'somebody');
    await rm(other, { recursive: true, force: true });
    await writeFile(path.join(parent, 'file'), 'mine');
    const refused = launch(script, { args: ['--reset', '--data', parent], env: freePorts });
    expect((await refused.exited).code).toBe(1);
    expect(refused.output()).toContain('was not made by Weir');
    expect(await readFile(path.join(parent, 'file'), 'utf8')).toBe('mine');
  });
});

function readParent(pid: number): number {
  return Number(execFileSync('sh', ['-c', `cut -d' ' -f4 /proc/${pid}/stat`], { encoding: 'utf8' }));
}
