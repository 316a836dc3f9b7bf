import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mostFrameBytes } from '../../../schemas/live.ts';
import { launch } from '../../support/launched.ts';
import type { PipelineProcess } from '../../support/pipeline-process.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { SocketClient, type SocketMessage } from '../../support/socket-client.ts';

const page = 'https://console.example.com';
const stand = await QueryStand.create('live-sockets', {
  env: { WEIR_API_ORIGINS: page, WEIR_LIVE_MAX_SUBSCRIPTIONS: '3', WEIR_LIVE_BUFFER_BYTES: '65536' },
});
const clients: SocketClient[] = [];
/** Another instance, which looks after its clients more often and takes few. */
let strict: PipelineProcess;
let strictAddress: string;

beforeAll(async () => {
  await stand.startService();
  strict = stand.telemetry.start(
    { ...stand.env, WEIR_LIVE_HEARTBEAT_MS: '300', WEIR_LIVE_MAX_CLIENTS: '3', WEIR_LIVE_FRAMES_PER_MINUTE: '30' },
    'services/query/main.ts',
  );
  [, strictAddress = ''] = await strict.launched.waitFor(/"address":"(http:[^"]+)"/, 60_000);
  await strict.ready(60_000);
});
afterAll(() => {
  for (const client of clients) client.close();
});

async function open(path: string, options: Parameters<typeof SocketClient.open>[1] = {}): Promise<SocketClient> {
  const client = await SocketClient.open(path.startsWith('http') ? path : `${stand.address}${path}`, options);
  clients.push(client);
  return client;
}

const report = (execution_id: string, more: object = {}) => ({
  key: execution_id,
  value: JSON.stringify({ workflow_id: 'noisy', execution_id, state: 'running', event_time: Date.now(), ...more }),
});
const isError = (code: string) => (message: SocketMessage) =>
  message.type === 'error' && (message.error as { code: string }).code === code;
const follows = (topic: string) => (message: SocketMessage) => message.type === 'subscribed' && message.topic === topic;
const changes = { snapshot: false };

/** Other than ASCII as an escape, as JSON allows. */
const escapeAll = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

describe('frames', () => {
  const bad: [unknown, string, RegExp][] = [
    ['{"action":', 'invalid_json', /no JSON/],
    ['[]', 'invalid_frame', /no JSON object/],
    [{ topic: 'alerts' }, 'invalid_frame', /action is missing/],
    [{ action: 'publish' }, 'invalid_frame', /action must be one of subscribe, unsubscribe, ping/],
    [{ action: 'subscribe' }, 'invalid_frame', /topic is missing/],
    [{ action: 'subscribe', topic: 7 }, 'invalid_frame', /topic must be string/],
    [{ action: 'subscribe', topic: 'alerts', wokflow: 1 }, 'invalid_frame', /wokflow is unknown/],
    [{ action: 'subscribe', topic: 'weather:here' }, 'unknown_topic', /weather:here/],
    [{ action: 'subscribe', topic: 'execution:' }, 'unknown_topic', /execution:/],
    [{ action: 'subscribe', topic: 'alerts:mine' }, 'unknown_topic', /alerts:mine/],
    [{ action: 'unsubscribe', topic: 'alerts' }, 'not_subscribed', /not subscribed/],
  ];

  it.each(bad)('that are wrong are answered with what is: %j', async (frame, code, message) => {
    const client = await open('/ws');
    client.send(frame);
    const answer = await client.find(isError(code));
    expect(answer.error).toMatchObject({
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(/\w/),
    });
    client.send({ action: 'ping' });
    await client.find(({ type }) => type === 'pong');
    client.close();
  });

  it('that are binary or too large are refused', async () => {
    const client = await open('/ws');
    client.socket.send(Buffer.from('{"action":"ping"}'));
    await client.find(isError('invalid_frame'));
    client.send({ action: 'subscribe', topic: 'x'.repeat(mostFrameBytes) });
    await expect.poll(() => client.closed?.code).toBe(1009);
  });

  it('begin and end what is followed, once however often it is asked for', async () => {
    const client = await open('/ws');
    const topic = 'workflow:noisy';
    for (let time = 0; time < 2; time++) client.send({ action: 'subscribe', topic, workflowId: 'noisy', ...changes });
    await expect.poll(() => client.messages.filter(follows(topic)).length).toBe(2);
    await stand.telemetry.send('executions', [report('first')]);
    await client.find(({ payload }) => payload?.id === 'first');
    client.send({ action: 'unsubscribe', topic });
    await client.find(({ type }) => type === 'unsubscribed');
    const watcher = await open('/ws');
    watcher.send({ action: 'subscribe', topic, ...changes });
    await watcher.find(follows(topic));
    await stand.telemetry.send('executions', [report('second')]);
    await watcher.find(({ payload }) => payload?.id === 'second');
    expect(client.told).toHaveLength(1);
  });

  it('may name a source', async () => {
    const client = await open('/ws');
    client.send({ action: 'subscribe', topic: 'workflow:shared', source: 'airflow', ...changes });
    await client.find(follows('workflow:shared'));
    const shared = (source: string) => report(`${source}-run`, { workflow_id: 'shared', source });
    await stand.telemetry.send('executions', [shared('prefect'), shared('airflow')]);
    await client.find(({ payload }) => payload?.id === 'airflow-run');
    expect(client.told.map(({ payload }) => payload?.source)).toEqual(['airflow']);
  });

  it('find ids however a record writes them', async () => {
    const client = await open('/ws');
    const ids = ['grün/😀', '12', 'a"b'];
    for (const id of ids) client.send({ action: 'subscribe', topic: `execution:${id}`, ...changes });
    for (const id of ids) await client.find(follows(`execution:${id}`));
    await stand.telemetry.send('executions', [
      { key: null, value: escapeAll(report('grün/😀').value) },
      { key: null, value: report('12').value.replace('"12"', '1.2e1') },
      { key: null, value: report('a"b').value },
    ]);
    for (const id of ids) await client.find(({ payload }) => payload?.id === id);
  });

  it('cannot ask for more topics than are allowed', async () => {
    const client = await open('/ws');
    for (let at = 0; at < 4; at++) client.send({ action: 'subscribe', topic: `task:${at}`, ...changes });
    const refused = await client.find(isError('too_many_subscriptions'));
    expect(refused.topic).toBe('task:3');
    client.send({ action: 'unsubscribe', topic: 'task:0' });
    client.send({ action: 'subscribe', topic: 'task:3', ...changes });
    await client.find(follows('task:3'));
  });

  it('end the connection when there are too many of them', async () => {
    const client = await open(`${strictAddress}/ws`);
    // Two minutes may share them.
    for (let at = 0; at < 80; at++) client.send({ action: 'ping' });
    await client.find(isError('rate_limited'));
    await expect.poll(() => client.closed?.code).toBe(1008);
  });

  it('change nothing where the address says what is followed', async () => {
    const client = await open('/api/v1/workflows/executions/fixed/ws');
    client.send({ action: 'subscribe', topic: 'alerts' });
    await client.find(isError('fixed_subscription'));
    const events = await open('/ws/workflows/noisy');
    events.send({ action: 'subscribe', topic: 'alerts' });
    const refused = await events.find(({ event }) => event === 'error');
    expect(refused.data).toMatchObject({ error: { code: 'fixed_subscription' } });
  });
});

describe('what repeats itself on Kafka', () => {
  it('is told once, and starts are told once however often they are reported', async () => {
    const [typed, events] = [await open('/ws'), await open('/ws/workflows/again')];
    typed.send({ action: 'subscribe', topic: 'workflow:again', ...changes });
    await typed.find(follows('workflow:again'));
    const about = { workflow_id: 'again', event_time: Date.now() - 20_000 };
    const started = report('again', { ...about, started_at: about.event_time });
    const goesOn = report('again', { ...about, started_at: about.event_time, event_time: about.event_time + 10_000 });
    const ended = report('again', { ...about, state: 'completed', event_time: about.event_time + 15_000 });
    await stand.telemetry.send('executions', [started, started, goesOn, started, ended, ended]);
    await events.find(({ event }) => event === 'workflow_completed');
    expect(events.messages.map(({ event }) => event)).toEqual(['workflow_started', 'workflow_completed']);
    await typed.find(({ payload }) => (payload?.status as { state: string })?.state === 'completed');
    expect(typed.told).toHaveLength(3);
  });
});

describe('a client that reads too slowly', () => {
  it('misses messages, is told how many, and goes on, while others get everything', async () => {
    const [slow, fast] = [await open('/ws'), await open('/ws')];
    for (const client of [slow, fast]) {
      client.send({ action: 'subscribe', topic: 'workflow:flood', ...changes });
      await client.find(follows('workflow:flood'));
    }
    slow.socket.pause();
    const total = 6_000;
    const message = 'x '.repeat(1_900);
    for (let at = 0; at < total; at += 100) {
      const flood = (id: number) =>
        report(`f-${id}`, { workflow_id: 'flood', state: 'failed', started_at: Date.now(), error_message: message });
      await stand.telemetry.send(
        'executions',
        Array.from({ length: 100 }, (_, index) => flood(at + index)),
      );
    }
    await expect.poll(() => fast.told.length, { timeout: 60_000 }).toBe(total);
    slow.socket.resume();
    const missed = await slow.find(({ type }) => type === 'missed');
    const n = missed.n as number;
    expect(missed.topics).toEqual(['workflow:flood']);
    await expect.poll(() => slow.told.length, { timeout: 60_000 }).toBe(total - n + 1);
    // Most of these 25 MB were never kept for it: the kernel's own buffers hold a few.
    expect(n).toBeGreaterThan(total / 2);
    expect(await stand.service.metric('weir_live_missed_total')).toBe(n);
    await stand.telemetry.send('executions', [report('after', { workflow_id: 'flood' })]);
    await slow.find(({ payload }) => payload?.id === 'after');
    expect(slow.told.filter(({ type }) => type === 'missed')).toHaveLength(1);
  });
});

describe('the example', () => {
  it('follows what it is told to', async () => {
    const example = launch(path.resolve('schemas/examples/follow.ts'), {
      args: ['workflow:example', 'scaling-events'],
      env: { WEIR_LIVE_URL: `${stand.address.replace('http', 'ws')}/ws` },
    });
    await example.waitFor(/"subscribed","topic":"scaling-events"/);
    // There is no pipeline here, so snapshots take their time.
    await stand.telemetry.send('executions', [report('shown', { workflow_id: 'example' })]);
    await example.waitFor(/"execution_update","topic":"workflow:example","payload":\{"id":"shown"/, 60_000);
    example.child.kill('SIGTERM');
    await example.exited;
  });
});

describe('who may connect', () => {
  const refusal = async (path: string, options: Parameters<typeof SocketClient.open>[1] = {}): Promise<string> =>
    open(path, options).then(
      () => 'opened',
      (error: Error) => error.message,
    );

  it('are pages of this origin and of those that are named', async () => {
    expect(await refusal('/ws', { headers: { origin: 'https://evil.example.com' } })).toMatch(/403.*origin_forbidden/);
    expect(await refusal('/ws', { headers: { origin: 'null' } })).toMatch(/403.*origin_forbidden/);
    expect(await refusal('/ws', { headers: { host: 'evil.example.com' } })).toMatch(/403.*host_forbidden/);
    expect(await refusal('/ws', { headers: { origin: page } })).toBe('opened');
    expect(await refusal('/ws', { headers: { origin: stand.address } })).toBe('opened');
  });

  it('are told over plain HTTP, and at addresses that are none, what to do', async () => {
    const plain = await stand.call('/ws');
    expect([plain.status, await plain.json()]).toMatchObject([426, { error: { code: 'upgrade_required' } }]);
    expect(await refusal('/ws/nowhere')).toMatch(/404.*no_such_route/);
    expect(await refusal('/ws?wrkspace=a')).toMatch(/400.*wrkspace is unknown/);
  });

  it('are as many as the instance takes', async () => {
    const taken = await Promise.all([1, 2, 3].map(() => open(`${strictAddress}/ws`)));
    expect(await refusal(`${strictAddress}/ws`)).toMatch(/503.*too_many_clients/);
    for (const client of taken) client.close();
    await expect.poll(() => strict.metric('weir_live_clients')).toBe(0);
  });

  it('are those that answer: who does not is cut off', async () => {
    const [dead, alive] = [await open(`${strictAddress}/ws`), await open(`${strictAddress}/ws`)];
    dead.socket.pong = () => undefined;
    await expect.poll(() => dead.closed?.code).toBe(1006);
    expect(alive.closed).toBeNull();
    alive.close();
  });

  it('have a key once there is one, which browsers offer as a protocol and nobody writes down', async () => {
    const key = await stand.makeKey('viewer', ['acme', 'Büro']);
    const withKey = { protocols: ['weir.live.v1', `bearer.${key}`] };
    await expect.poll(() => refusal('/ws')).toMatch(/401.*unauthenticated/);
    expect(await refusal('/ws?workspace_id=acme', { protocols: ['weir.live.v1', 'bearer.weir_no'] })).toMatch(/401/);
    expect(await refusal('/ws?workspace_id=rival', withKey)).toMatch(/403.*workspace_forbidden/);
    const client = await open('/ws?workspace_id=B%C3%BCro', withKey);
    expect(client.socket.protocol).toBe('weir.live.v1');
    client.send({ action: 'subscribe', topic: 'workflow:noisy', ...changes });
    await client.find(follows('workflow:noisy'));
    await stand.telemetry.send('executions', [
      report('elsewhere', { workspace: 'acme' }),
      report('here', { workspace: 'Büro' }),
    ]);
    await client.find(({ payload }) => payload?.id === 'here');
    expect(client.told).toHaveLength(1);
    expect(stand.service.output()).not.toContain(key.slice(-20));
  });

  it('lose their socket with their key', async () => {
    const key = await stand.makeKey('viewer', ['acme']);
    await expect.poll(() => refusal(`${strictAddress}/ws`, { key })).toBe('opened');
    const client = clients.at(-1) as SocketClient;
    await stand.revokeKey(key);
    await expect.poll(() => client.closed?.code).toBe(4401);
  });
});

describe('an instance that stops', () => {
  it('tells its clients to go elsewhere, and leaves no group behind', async () => {
    const key = await stand.makeKey('viewer', ['acme']);
    let client: SocketClient | null = null;
    await expect
      .poll(async () => {
        client = await open(`${strictAddress}/ws`, { key }).catch(() => null);
        return client !== null;
      })
      .toBe(true);
    const inUse = await listLiveGroups('Stable');
    expect(await strict.stop()).toBe(0);
    await expect
      .poll(() => (client as SocketClient | null)?.closed)
      .toEqual({
        code: 1001,
        reason: 'the service is stopping',
      });
    // Others that share the broker may have been killed, which leaves theirs.
    expect(inUse.length).toBeGreaterThan(0);
    expect((await listLiveGroups('Empty')).filter((groupId) => inUse.includes(groupId))).toEqual([]);
  });

  async function listLiveGroups(wanted: string): Promise<string[]> {
    const { groups } = await stand.telemetry.admin.listGroups();
    const ids = groups.map(({ groupId }) => groupId).filter((groupId) => groupId.startsWith('weir-live-'));
    const described = await stand.telemetry.admin.describeGroups(ids);
    return described.groups.filter(({ state }) => state === wanted).map(({ groupId }) => groupId);
  }
});
