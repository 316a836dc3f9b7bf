import { beforeAll, describe, expect, it } from 'vitest';
import { createRandom, type Random } from '../../../services/simulator/random.ts';
import { QueryStand } from '../../support/query-stand.ts';

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
}
interface Parameter {
  name: string;
  in: 'query' | 'path' | 'header';
  schema: Schema;
}
interface Operation {
  parameters?: Parameter[];
  requestBody?: unknown;
}
interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
}

const stand = await QueryStand.create('robustness', {
  env: { WEIR_API_REQUESTS_PER_MINUTE: '1000000', WEIR_API_MAX_BODY_BYTES: '20000' },
});
let api: OpenApi;

beforeAll(async () => {
  await stand.startService();
  api = await stand.get<OpenApi>('/openapi.json');
});

/** Words of a database that no caller should ever read. */
const inner = /SELECT |FINAL|DB::|Exception|ClickHouseError|node_modules|\.ts:\d|workspace = |UNKNOWN_|SYNTAX_ERROR/;

const oddities = [
  '',
  ' ',
  '0',
  '-1',
  '1e400',
  '9007199254740993',
  'NaN',
  'null',
  'true',
  '[]',
  '{}',
  "'; DROP TABLE chunks; --",
  "' OR 1=1 --",
  '{x: String}',
  '\u0000',
  '\ud83d\ude00',
  '%',
  '%00',
  '../../etc/passwd',
  'x'.repeat(600),
  'x'.repeat(5_000),
  '2026-02-30',
  '2026-11-20T12:00:00Z',
  '9999-12-31T23:59:59Z',
  '0001-01-01',
  '1970-01-01T00:00:00Z',
  'Europe/Berlin',
  'Mars/Olympus',
  '99999d',
  '1m',
  '7d',
  '1000d',
  'constructor',
  '__proto__',
  'toString',
  'execution',
  'task',
  'task_id',
  'duration_ms',
  'queue_ms_p95',
  'WyJhIl0',
  Buffer.from('[1,"a",2,3]').toString('base64url'),
  Buffer.from('[-1,"a",9e15,3]').toString('base64url'),
];

const usual: Record<string, readonly string[]> = {
  subject: ['execution', 'task'],
  collection: ['api-keys', 'commands'],
  kind: ['executions', 'tasks', 'orchestrators'],
  time_range: ['1h', '7d', '400d'],
  step: ['1m', '1h', '1d', '1mo'],
  from: ['2026-11-20', '2026-11-20T12:00:00+02:00'],
  to: ['2026-11-21'],
  time_zone: ['Asia/Kathmandu', 'America/New_York'],
  group_by: ['workflow_id', 'task_id'],
  percentiles: ['0,100', '99.99'],
  status: ['completed', 'running', 'failed'],
  limit: ['1', '500', '501'],
  fresh: ['true', 'false'],
  since: ['2026-11-20', '2026-11-20T12:00:00Z'],
};

function drawValue(random: Random, name: string): string {
  const known = usual[name];
  const list = known !== undefined && random.below(3) > 0 ? known : oddities;
  return list[random.below(list.length)];
}

interface Drawn {
  path: string;
  method: string;
  headers: Record<string, string>;
  body: string | undefined;
}

function drawBody(random: Random): string {
  const bodies = [
    '',
    '{',
    '[]',
    'null',
    '{"events":[]}',
    '{"events":[{}]}',
    '{"events":[{"__proto__":{"a":1}}]}',
    `{"events":[{"kind":${JSON.stringify(oddities[random.below(oddities.length)])}}]}`,
    `{"workflow_id":${JSON.stringify(oddities[random.below(oddities.length)])},"state":"running","tasks":[{}]}`,
    '{"tasks":3}',
    '{"reason":"odd"}',
    `{"kind":"cancel","execution_id":${JSON.stringify(oddities[random.below(oddities.length)])}}`,
    `{"kind":"scale_pool","pool_id":"a","parameters":{"target_workers":${random.below(3) - 1}}}`,
    `{"id":"a","name":3,"tasks":[{"id":${JSON.stringify(oddities[random.below(oddities.length)])},"kind":"work"}]}`,
    `{"events":${'['.repeat(2000)}${']'.repeat(2000)}}`,
    `{"workflow_id":"a","execution_id":"b","state":"completed","event_time":"${'9'.repeat(400)}"}`,
  ];
  return bodies[random.below(bodies.length)];
}

function draw(random: Random): Drawn {
  const paths = Object.entries(api.paths);
  const [template, methods] = paths[random.below(paths.length)];
  const all = Object.entries(methods);
  const [method, operation] = all[random.below(all.length)];
  const headers: Record<string, string> = {};
  const query = new URLSearchParams();
  let path = template;
  for (const { name, in: place } of operation.parameters ?? []) {
    const value = drawValue(random, name);
    if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(value.toWellFormed()));
    else if (place === 'query' && (name === 'subject' || random.below(3) === 0)) query.append(name, value);
    else if (place === 'header' && random.below(6) === 0) headers[name] = encodeURIComponent(value.toWellFormed());
  }
  if (random.below(20) === 0) query.append(oddities[random.below(oddities.length)], 'x');
  const search = query.size === 0 ? '' : `?${query}`;
  const body = operation.requestBody === undefined ? undefined : drawBody(random);
  return { path: `${path}${search}`, method: method.toUpperCase(), headers, body };
}

describe('whatever is asked', () => {
  it.each([1, 2, 3, 4])(
    'is answered in words that show nothing of the inside: seed %i',
    async (seed) => {
      const random = createRandom(seed);
      for (let at = 0; at < 150; at++) {
        const { path, method, headers, body } = draw(random);
        const response = await stand.call(path, { method, headers, ...(body === undefined ? {} : { body }) });
        const text = await response.text();
        const what = `seed ${seed}: ${method} ${path} ${body ?? ''} answered ${response.status} ${text.slice(0, 500)}`;
        expect(response.status, what).toBeLessThan(500);
        expect(text, what).not.toMatch(inner);
        if (response.status < 400) continue;
        const { error } = JSON.parse(text) as { error: Record<string, unknown> };
        expect(Object.keys(error), what).toEqual(expect.arrayContaining(['code', 'message', 'remedy', 'request_id']));
      }
    },
    180_000,
  );

  const mistakes: [string, number, string, string][] = [
    ['/api/v1/percentiles', 400, 'invalid_request', 'parameter subject is missing'],
    ['/api/v1/percentiles?subject=execution&wfid=3', 400, 'invalid_request', 'parameter wfid is unknown'],
    ['/api/v1/percentiles?subject=execution&pool=3', 400, 'invalid_request', 'pool is none of the subject execution'],
    ['/api/v1/percentiles?subject=execution&metric=x', 400, 'invalid_request', 'duration_ms, completed_duration_ms'],
    ['/api/v1/trends?subject=task&step=2h', 400, 'invalid_request', '1m, 5m, 15m'],
    ['/api/v1/trends?subject=task&step=1m&time_range=30d', 422, 'too_much_asked', '1500 steps'],
    ['/api/v1/trends?subject=task&time_range=2000d', 422, 'too_much_asked', '1100 days'],
    ['/api/v1/trends?subject=task&time_range=soon', 400, 'invalid_request', 'time_range must look like'],
    ['/api/v1/dead-letters?limit=501', 400, 'invalid_request', 'parameter limit must be <= 500'],
    ['/api/v1/workflow-analytics/workflows/w/executions?limit=201', 400, 'invalid_request', 'limit must be <= 200'],
    ['/api/v1/workflow-analytics/workflows/w/executions?status=odd', 400, 'invalid_request', 'status must be one of'],
    ['/api/v1/workflow-analytics/workflows/w/executions?cursor=WzFd', 400, 'invalid_cursor', 'cursor'],
    ['/api/workflows/w/executions?limit=101', 400, 'invalid_request', 'parameter limit must be <= 100'],
    ['/api/workflows/w/executions', 404, 'not_found', 'no telemetry of this workflow'],
    ['/api/v1/dead-letters?cursor=abc', 400, 'invalid_cursor', 'cursor'],
    ['/api/v1/nothing', 404, 'no_such_route', 'no such route'],
  ];

  it.each(mistakes)('names the mistake: %s', async (path, status, code, words) => {
    const response = await stand.call(path);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect({ status: response.status, code: error.code }).toEqual({ status, code });
    expect(error.message).toContain(words);
  });

  it('is refused when it is no JSON, or too large', async () => {
    const post = (body: string, type = 'application/json') =>
      fetch(`${stand.address}/api/v1/ingest/tasks`, { method: 'POST', body, headers: { 'content-type': type } });
    expect((await post('{')).status).toBe(400);
    expect((await post('{"events":[{}]}', 'text/plain')).status).toBe(415);
    expect((await post(JSON.stringify({ events: [{ a: 'x'.repeat(20_001) }] }))).status).toBe(413);
  });
});

describe('without keys', () => {
  it('only names of this machine are answered, so that no page can be lured here', async () => {
    const { request } = await import('node:http');
    const ask = (host: string) =>
      new Promise<number>((resolve, reject) => {
        const { hostname, port } = new URL(stand.address);
        const headers = { host };
        request({ hostname, port, path: '/api/v1/workflows/analytics/stats', headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
    expect(await ask('localhost:1')).toBe(200);
    expect(await ask('weir.example.com')).toBe(403);
  });

  it('the service refuses to listen elsewhere, and says what to do', async () => {
    const env = { ...stand.env, WEIR_API_HOST: '0.0.0.0' };
    const process = stand.telemetry.start(env, 'services/query/main.ts');
    expect((await process.launched.exited).code).toBe(2);
    expect(process.output()).toContain('make a key with npm run keys');
  });
});

describe('while ClickHouse is away', () => {
  it('answers 503 with the time to wait, is not ready, and goes on afterwards', async () => {
    await stand.servers.clickhouse?.stop();
    const path = '/api/v1/workflows/analytics/stats';
    const response = await stand.call(path);
    expect(response.status).toBe(503);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ error: { code: 'store_unavailable' } });
    await expect.poll(() => stand.service.whyNotReady(), { timeout: 30_000 }).toContain('ClickHouse');
    await stand.startClickHouse();
    await expect.poll(async () => (await stand.call(path)).status, { timeout: 60_000 }).toBe(200);
    await stand.service.ready();
  });
});

describe('the process', () => {
  it('says what it did, by route and question, and stops in order', async () => {
    await stand.call('/api/v1/workflows/analytics/stats');
    const route = '/api/v1/workflows/analytics/stats';
    expect(await stand.service.metric('weir_http_request_duration_seconds_count', { route })).toBeGreaterThan(0);
    expect(await stand.service.metric('weir_question_duration_seconds_count', { question: 'windows' })).toBeGreaterThan(
      0,
    );
    expect(await stand.service.stop()).toBe(0);
  });
});
