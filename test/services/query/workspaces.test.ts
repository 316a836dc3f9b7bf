import { beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { exampleWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { waitUntil } from '../../support/launched.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { executionRecords, makeRuns, taskRecords, toMessages } from './sample-runs.ts';

/** Two workspaces with telemetry of the same form, in which every name bears the mark of its owner. */
const owners = [
  { workspace: 'Acme Ltd', mark: 'acme', runs: 13 },
  { workspace: 'rival', mark: 'rival', runs: 7 },
] as const;
type Owner = (typeof owners)[number];

const stand = await QueryStand.create('workspaces');
const minuteMs = 60_000;
const untilMs = Math.floor(Date.now() / minuteMs) * minuteMs;
const keys = new Map<string, string>();
const keyOf = ({ workspace }: Owner) => keys.get(workspace) ?? '';
let adminKey: string;

beforeAll(async () => {
  const runs = owners.flatMap((owner, at) => makeRuns({ ...owner, seed: at + 1, untilMs, everyMs: minuteMs }));
  await stand.telemetry.send('executions', [
    ...toMessages(runs.flatMap(executionRecords)),
    { key: 'poison', value: 'no telemetry at all' },
    // Far enough to be read that it tells whose it is.
    ...owners.map(({ workspace, mark }) => ({ key: mark, value: JSON.stringify({ workspace, workflow_id: mark }) })),
  ]);
  await stand.telemetry.send('tasks', toMessages(runs.flatMap(taskRecords)));
  for (const owner of owners) keys.set(owner.workspace, await stand.makeKey('admin', [owner.workspace]));
  adminKey = await stand.makeKey('admin', ['*']);
  await stand.telemetry.startReady();
  await stand.telemetry.waitStored(60_000);
  for (const { workspace, mark } of owners) {
    await stand.telemetry.database.query(
      `INSERT INTO dead_letters VALUES ('${workspace}', '${mark}@1', '${mark}-topic', 0, 7, now64(3), 'invalid_json', '${mark}', '${mark}', 1, 1, 1)`,
    );
    await plantAlerts(workspace, mark);
  }
  await stand.startService();
  for (const owner of owners) await setUp(owner);
});

/** As the evaluator, the notifier and the pipelines write them. */
async function plantAlerts(workspace: string, mark: string): Promise<void> {
  const { database } = stand.telemetry;
  await database.query(
    `INSERT INTO alert_changes (workspace, alert_id, ver, notification_id, rule_id, severity, state, series, subject_kind, subject_id, title, event_time, fired_at)
     VALUES ('${workspace}', '${mark}-alert', 1, '${mark}-n', 'QUEUE_BACKLOG', 'warning', 'firing', '${mark}', 'queue', '${mark}-queue', '${mark}', now64(3), now64(3))`,
  );
  await database.query(
    `INSERT INTO webhook_deliveries (workspace, subscription_id, notification_id, alert_id, status, last_tried_at) VALUES ('${workspace}', '${mark}-hook', '${mark}-n', '${mark}-alert', 'dead', now64(3))`,
  );
  await database.query(
    `INSERT INTO scores (workspace, workflow_id, measure, ended_at, execution_id, value, direction) VALUES ('${workspace}', '${mark}-orders', 'duration', now64(3) - 60, '${mark}-run-1', 1, 'usual')`,
  );
  const match = { subject_id: mark };
  const entries = {
    'alert-rules': { runbook: mark },
    'alert-silences': { match, starts_at: Date.now(), ends_at: Date.now() + 1e6, comment: mark },
    'webhook-subscriptions': { target: mark, sealed: '', events: [], match, enabled: true, created_at: Date.now() },
  };
  for (const [collection, value] of Object.entries(entries)) {
    await database.query(
      `INSERT INTO state (workspace, collection, key, ver, value, value_version, changed_by, changed_at) VALUES ('${workspace}', '${collection}', '${collection === 'alert-rules' ? 'QUEUE_BACKLOG' : `${mark}-entry`}', 1, '${JSON.stringify(value)}', 1, '${mark}', now64(3))`,
    );
  }
}
const definition = (id: string, version: string) => ({ ...exampleWorkflows[0], id, version });

/** What an owner sets up and asks for, as the owner would. */
async function setUp(owner: Owner): Promise<void> {
  const { mark } = owner;
  const key = keyOf(owner);
  for (const version of [`${mark}-1`, `${mark}-2`]) {
    const body = JSON.stringify(definition(`${mark}-flow`, version));
    expect((await stand.call(`/api/v1/workflows/${mark}-flow`, { method: 'PUT', key, body })).status).toBe(200);
  }
  const body = JSON.stringify({ kind: 'pause', execution_id: `${mark}-run-1`, reason: mark });
  const asked = await stand.call('/api/v1/commands', { method: 'POST', key, body });
  const { id } = (await asked.json()) as { id: string };
  commandIds.set(owner.workspace, id);
  const isStored = async () => (await stand.call(`/api/v1/commands/${id}`, { key })).status === 200;
  expect(await waitUntil(isStored, 60_000)).toBe(true);
}
const commandIds = new Map<string, string>();
const commandOf = ({ workspace }: Owner) => commandIds.get(workspace) ?? '';

interface Case {
  /** The path as it is called by somebody who knows the owner's names. */
  path: (owner: Owner) => string;
  /** Whether an answer holds telemetry of the owner; by default, whether its mark stands anywhere. */
  holds?: (text: string, owner: Owner) => boolean;
}

const byMark = (text: string, { mark }: Owner) => text.includes(mark);
/** Answers without names are told apart by how many runs each owner has. */
const byCount = (find: (answer: never) => unknown) => (text: string, owner: Owner) =>
  text.startsWith('{"error"') ? false : find(JSON.parse(text) as never) === owner.runs;
const hoursOf = (kind: string) => (answer: { hours: { kind: string; stored: number }[] }) =>
  answer.hours.filter((hour) => hour.kind === kind).reduce((sum, { stored }) => sum + stored, 0) / 3;

/** One case for every route that reads; the test below fails for a route that has none. */
const cases: Record<string, Case> = {
  '/api/v1/workflow-analytics/executions/{execution_id}': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1`,
  },
  '/api/v1/workflow-analytics/executions/{execution_id}/tasks': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1/tasks`,
  },
  '/api/v1/workflow-analytics/executions/{execution_id}/timeline': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1/timeline`,
  },
  '/api/v1/workflow-analytics/workflows/{workflow_id}/performance': {
    path: ({ mark }) => `/api/v1/workflow-analytics/workflows/${mark}-orders/performance`,
  },
  ...Object.fromEntries(
    ['critical-path', 'bottlenecks', 'patterns', 'anti-patterns', 'dependency-graph', 'prediction'].map((analysis) => [
      `/api/v1/workflow-analytics/workflows/{workflow_id}/${analysis}`,
      { path: ({ mark }: Owner) => `/api/v1/workflow-analytics/workflows/${mark}-orders/${analysis}?fresh=true` },
    ]),
  ),
  '/api/v1/workflow-analytics/executions/{execution_id}/critical-path': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1/critical-path`,
  },
  '/api/v1/workflow-analytics/executions/{execution_id}/eta': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1/eta`,
  },
  '/api/v1/workflow-analytics/workflows/{workflow_id}/executions': {
    path: ({ mark }) => `/api/v1/workflow-analytics/workflows/${mark}-orders/executions`,
    holds: byCount((answer: { items: unknown[] }) => answer.items.length),
  },
  '/api/workflows/{workflow_id}/executions': {
    path: ({ mark }) => `/api/workflows/${mark}-orders/executions?limit=100`,
    holds: byCount((answer: { total: number }) => answer.total),
  },
  '/api/workflows/executions/{execution_id}/timeline': {
    path: ({ mark }) => `/api/workflows/executions/${mark}-run-1/timeline`,
  },
  '/api/workflows/executions/{execution_id}': { path: ({ mark }) => `/api/workflows/executions/${mark}-run-1` },
  '/api/workflows/{workflow_id}/metrics': {
    path: ({ mark }) => `/api/workflows/${mark}-orders/metrics`,
    holds: byCount((answer: { total_executions: number }) => answer.total_executions),
  },
  '/api/v1/workflows/analytics/stats': { path: () => '/api/v1/workflows/analytics/stats' },
  '/api/v1/workflows/analytics/performance': { path: () => '/api/v1/workflows/analytics/performance' },
  '/api/v1/workflows/analytics/trends': {
    path: () => '/api/v1/workflows/analytics/trends?time_range=2d',
    holds: byCount((answer: { days: { total_executions: number | null }[] }) =>
      answer.days.reduce((sum, day) => sum + (day.total_executions ?? 0), 0),
    ),
  },
  '/api/v1/workflows/analytics/cost': { path: () => '/api/v1/workflows/analytics/cost' },
  '/api/v1/workflows/monitoring/metrics': {
    path: () => '/api/v1/workflows/monitoring/metrics',
    holds: byCount((answer: { total_executions: number }) => answer.total_executions),
  },
  '/api/v1/percentiles': { path: () => '/api/v1/percentiles?subject=task&group_by=task_id' },
  '/api/v1/trends': { path: () => '/api/v1/trends?subject=execution&metric=finished&group_by=workflow_id' },
  '/api/v1/completeness': { path: () => '/api/v1/completeness', holds: byCount(hoursOf('executions')) },
  '/api/v1/dead-letters': { path: () => '/api/v1/dead-letters' },
  '/api/v1/alerts': { path: () => '/api/v1/alerts' },
  '/api/v1/alerts/{alert_id}': { path: ({ mark }) => `/api/v1/alerts/${mark}-alert` },
  '/api/v1/alerts/{alert_id}/history': {
    path: ({ mark }) => `/api/v1/alerts/${mark}-alert/history`,
    holds: (text, { mark }) => text.includes(`"title":"${mark}"`),
  },
  '/api/v1/alerts/{alert_id}/remedies': { path: ({ mark }) => `/api/v1/alerts/${mark}-alert/remedies` },
  '/api/v1/alerts/rules': {
    path: () => '/api/v1/alerts/rules',
    holds: (text, { mark }) => text.includes(`"runbook":"${mark}"`),
  },
  '/api/v1/alerts/rules/{rule_id}': {
    path: () => '/api/v1/alerts/rules/QUEUE_BACKLOG',
    holds: (text, { mark }) => text.includes(`"runbook":"${mark}"`),
  },
  '/api/v1/alerts/silences': { path: () => '/api/v1/alerts/silences' },
  '/api/v1/scores': { path: () => '/api/v1/scores' },
  '/api/v1/webhooks/subscriptions': { path: () => '/api/v1/webhooks/subscriptions' },
  '/api/v1/webhooks/deliveries': { path: () => '/api/v1/webhooks/deliveries' },
  '/api/v1/commands': { path: () => '/api/v1/commands' },
  '/api/v1/commands/{command_id}': { path: (owner) => `/api/v1/commands/${commandOf(owner)}` },
  '/api/v1/keys': {
    path: () => '/api/v1/keys',
    holds: (text, { workspace }) => text.includes(`"workspaces":["${workspace}"]`),
  },
  '/api/v1/audit': { path: () => '/api/v1/audit' },
  '/api/v1/workflows': { path: () => '/api/v1/workflows' },
  '/api/v1/workflows/{workflow_id}': { path: ({ mark }) => `/api/v1/workflows/${mark}-flow` },
  '/api/v1/workflows/{workflow_id}/versions': { path: ({ mark }) => `/api/v1/workflows/${mark}-flow/versions` },
  '/api/v1/workflows/{workflow_id}/differences': { path: ({ mark }) => `/api/v1/workflows/${mark}-flow/differences` },
  '/api/v1/dead-letters/{topic}/{partition}/{offset}': { path: ({ mark }) => `/api/v1/dead-letters/${mark}-topic/0/7` },
};

interface OpenApi {
  paths: Record<string, Record<string, unknown>>;
}

describe('every route that reads', () => {
  it('is looked at here', async () => {
    const { paths } = await stand.get<OpenApi>('/openapi.json');
    const reading = Object.entries(paths).filter(([, methods]) => 'get' in methods);
    expect(reading.map(([path]) => path).sort()).toEqual(Object.keys(cases).sort());
  });

  it.each(Object.entries(cases))('shows a workspace to its owner only: %s', async (_, { path, holds = byMark }) => {
    for (const owner of owners) {
      const other = owners.find((one) => one !== owner) as Owner;
      const own = await stand.call(path(owner), { key: keyOf(owner) });
      const text = await own.text();
      expect(own.status, text).toBe(200);
      expect(holds(text, owner), text).toBe(true);
      const strange = await (await stand.call(path(owner), { key: keyOf(other) })).text();
      expect(holds(strange, owner), strange).toBe(false);
      const named = { 'x-workspace-id': encodeURIComponent(owner.workspace) };
      const refused = await stand.call(path(owner), { key: keyOf(other), headers: named });
      expect(refused.status).toBe(403);
      expect(byMark(await refused.text(), owner)).toBe(false);
      expect((await stand.call(path(owner))).status).toBe(401);
    }
  });

  it('sees, for the administrator, the workspace that is named by id or by slug', async () => {
    const path = '/api/v1/workflows/analytics/stats';
    const ask = async (headers: Record<string, string>, key = adminKey) =>
      (await stand.call(path, { key, headers })).text();
    expect(await ask({ 'x-workspace-id': encodeURIComponent('Acme Ltd') })).toContain('acme-orders');
    expect(await ask({ 'x-workspace-slug': 'rival' })).toContain('rival-orders');
    expect(await ask({ 'x-workspace-slug': 'acme-ltd' }, keyOf(owners[0]))).toContain('acme-orders');
    expect(await ask({})).not.toMatch(/acme|rival/);
  });
});

interface WriteCase {
  path: (owner: Owner) => string;
  body?: (owner: Owner) => unknown;
  /** What the owner is answered, and what somebody else is who asks in a workspace of their own. */
  own: number;
  strange: number;
}

const event = ({ workspace, mark }: Owner) => ({
  ...{ workspace, workflow_id: `${mark}-orders`, execution_id: `${mark}-open`, state: 'running' },
  event_time: untilMs,
});

/** One case for every route that changes something. */
const writeCases: Record<string, WriteCase> = {
  'post /api/v1/workflow-analytics/executions': {
    path: () => '/api/v1/workflow-analytics/executions',
    body: event,
    own: 202,
    strange: 422,
  },
  'post /api/v1/ingest/{kind}': {
    path: () => '/api/v1/ingest/executions',
    body: (owner) => ({ events: [event(owner)] }),
    own: 202,
    strange: 422,
  },
  'post /api/v1/commands': {
    path: () => '/api/v1/commands',
    body: ({ mark }) => ({ kind: 'pause', execution_id: `${mark}-run-1` }),
    own: 202,
    strange: 404,
  },
  'post /api/v1/commands/{command_id}/approve': {
    path: (owner) => `/api/v1/commands/${commandOf(owner)}/approve`,
    own: 409,
    strange: 404,
  },
  'post /api/v1/workflow-analytics/executions/{execution_id}/cancel': {
    path: ({ mark }) => `/api/v1/workflow-analytics/executions/${mark}-run-1/cancel`,
    body: () => ({ reason: 'test' }),
    own: 409,
    strange: 404,
  },
  'post /api/v1/keys': {
    path: () => '/api/v1/keys',
    body: ({ workspace }) => ({ name: 'made', role: 'viewer', workspaces: [workspace] }),
    own: 201,
    strange: 403,
  },
  'delete /api/v1/keys/{key_id}': {
    path: ({ workspace }) => `/api/v1/keys/${spareKeys.get(workspace)}`,
    own: 200,
    strange: 404,
  },
  'post /api/v1/alerts/{alert_id}/acknowledge': {
    path: ({ mark }) => `/api/v1/alerts/${mark}-alert/acknowledge`,
    body: ({ mark }) => ({ comment: mark }),
    own: 200,
    strange: 404,
  },
  'delete /api/v1/alerts/{alert_id}/acknowledge': {
    path: ({ mark }) => `/api/v1/alerts/${mark}-alert/acknowledge`,
    own: 200,
    strange: 404,
  },
  'post /api/v1/alerts/silences': {
    path: () => '/api/v1/alerts/silences',
    body: ({ mark }) => ({ match: { workflow_id: mark }, duration_minutes: 1, comment: mark }),
    own: 200,
    // In a workspace of their own.
    strange: 200,
  },
  'delete /api/v1/alerts/silences/{silence_id}': {
    path: ({ mark }) => `/api/v1/alerts/silences/${mark}-entry`,
    // Planted beside the log, whose revisions know nothing of it.
    own: 409,
    strange: 404,
  },
  'post /api/v1/webhooks/subscriptions': {
    path: () => '/api/v1/webhooks/subscriptions',
    body: () => ({ url: 'https://example.com/hook' }),
    // No key was set to seal secrets with.
    own: 409,
    strange: 409,
  },
  'delete /api/v1/webhooks/subscriptions/{subscription_id}': {
    path: ({ mark }) => `/api/v1/webhooks/subscriptions/${mark}-entry`,
    own: 409,
    strange: 404,
  },
  'post /api/v1/alerts/rules/{rule_id}/backtest': {
    path: () => '/api/v1/alerts/rules/QUEUE_BACKLOG/backtest?time_range=1h',
    body: () => ({ threshold: 10 }),
    own: 200,
    // Over the history of a workspace of their own.
    strange: 200,
  },
  'put /api/v1/alerts/rules/{rule_id}': {
    path: ({ mark }) => `/api/v1/alerts/rules/EXECUTION_STUCK?workflow_id=${mark}`,
    body: () => ({ severity: 'critical' }),
    own: 200,
    // In a workspace of their own, under the same name.
    strange: 200,
  },
  'delete /api/v1/alerts/rules/{rule_id}': {
    path: ({ mark }) => `/api/v1/alerts/rules/EXECUTION_STUCK?workflow_id=${mark}`,
    // What the other took back before was theirs, or this would be 404.
    own: 200,
    strange: 200,
  },
  'put /api/v1/workflows/{workflow_id}': {
    path: ({ mark }) => `/api/v1/workflows/${mark}-flow`,
    body: ({ mark }) => definition(`${mark}-flow`, `${mark}-3`),
    own: 200,
    // In a workspace of their own, where it is another workflow of the same name.
    strange: 200,
  },
};
const spareKeys = new Map<string, string>();

describe('every route that changes something', () => {
  beforeAll(async () => {
    for (const owner of owners) {
      const text = await stand.makeKey('viewer', [owner.workspace]);
      spareKeys.set(owner.workspace, text.split('_')[1] ?? '');
    }
  });

  it('is looked at here', async () => {
    const { paths } = await stand.get<OpenApi>('/openapi.json');
    const changing = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== 'get')
        .map((method) => `${method} ${path}`),
    );
    expect(changing.sort()).toEqual(Object.keys(writeCases).sort());
  });

  it.each(Object.entries(writeCases))(
    'changes nothing of another workspace: %s',
    async (name, { path, body, ...expected }) => {
      const method = name.split(' ')[0]?.toUpperCase() ?? '';
      for (const owner of owners) {
        const other = owners.find((one) => one !== owner) as Owner;
        const sent = body === undefined ? {} : { body: JSON.stringify(body(owner)) };
        const call = (init: { key?: string; headers?: Record<string, string> }) =>
          stand.call(path(owner), { method, ...sent, ...init });
        const named = { 'x-workspace-id': encodeURIComponent(owner.workspace) };
        expect((await call({})).status).toBe(401);
        expect((await call({ key: keyOf(other), headers: named })).status).toBe(403);
        expect((await call({ key: keyOf(other) })).status).toBe(expected.strange);
        const own = await call({ key: keyOf(owner) });
        expect(own.status, await own.text()).toBe(expected.own);
      }
    },
  );

  it('left what owners have set up as they did', async () => {
    for (const owner of owners) {
      const path = `/api/v1/workflows/${owner.mark}-flow`;
      const { version } = await stand.get<{ version: string }>(path, keyOf(owner));
      expect(version).toBe(`${owner.mark}-3`);
      const { declared } = await stand.get<{ declared: object[] }>(`${path}/versions`, keyOf(owner));
      expect(declared).toHaveLength(3);
    }
  });
});

describe('what belongs to no workspace', () => {
  it('is shown to administrators of all of them, and to nobody else', async () => {
    interface Letters {
      items: { reason: string; workspace: string | null }[];
    }
    const seen = await stand.get<Letters>('/api/v1/dead-letters', adminKey);
    expect(seen.items).toMatchObject([{ reason: 'wrong_magic', workspace: null }]);
    for (const owner of owners) {
      const { items } = await stand.get<Letters>('/api/v1/dead-letters', keyOf(owner));
      expect(items.map(({ reason }) => reason).sort()).toEqual(['invalid_json', 'missing_time']);
      expect(items.every(({ workspace }) => workspace === owner.workspace)).toBe(true);
      const { ledger } = await stand.get<{ ledger: unknown }>('/api/v1/completeness', keyOf(owner));
      expect(ledger).toBeNull();
    }
    const whole = await stand.get<{ ledger: unknown[] }>('/api/v1/completeness', adminKey);
    expect(whole.ledger.length).toBeGreaterThan(0);
  });
});

describe('ClickHouse', () => {
  it('keeps workspaces apart although a question forgot to', async () => {
    const database = stand.reader();
    const sql = 'SELECT DISTINCT workspace FROM execution_events';
    const named = { log_comment: JSON.stringify({ workspace: 'rival' }) };
    expect(await database.rows(sql, {}, named)).toEqual([{ workspace: 'rival' }]);
    expect(await database.rows(sql)).toEqual([]);
    await database.close();
  });
});

describe('a caller who hangs up', () => {
  it('ends the question in ClickHouse', async () => {
    const setting = 'cancel_http_readonly_queries_on_client_close';
    const reader = stand.reader();
    expect(await reader.rows(`SELECT getSetting('${setting}') AS isOn`)).toEqual([{ isOn: true }]);
    await reader.close();
    // As that user may, but with numbers enough to go on far longer than this test waits.
    const database = new Database(stand.telemetry.database);
    const leaving = new AbortController();
    const settings = { readonly: 1, [setting]: 1, max_execution_time: 120 };
    const long = 'SELECT sum(number) AS much FROM numbers(1000000000000)';
    const asked = expect(database.ask(long, {}, settings, leaving.signal)).rejects.toMatchObject({ code: 'aborted' });
    const running = () =>
      stand.telemetry.database.query(
        "SELECT count() FROM system.processes WHERE query LIKE '%AS much%' AND query NOT LIKE '%system.processes%'",
      );
    await expect.poll(running, { timeout: 10_000 }).toBe('1');
    leaving.abort();
    await asked;
    await expect.poll(running, { timeout: 20_000 }).toBe('0');
    await database.close();
  });
});

describe('keys', () => {
  const path = '/api/v1/workflows/analytics/stats';

  it('are refused when they are unknown, changed, expired or no keys', async () => {
    const key = keyOf(owners[0]);
    const expired = await stand.makeKey('admin', ['*'], Date.now() - 1);
    const bad = [`${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`, expired, 'weir_0', 'x.y.z'];
    for (const text of bad) expect((await stand.call(path, { key: text })).status, text).toBe(401);
    const basic = await stand.call(path, { headers: { authorization: `Basic ${key}` } });
    expect(basic.status).toBe(401);
    expect(basic.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('may do what their role may', async () => {
    const viewer = await stand.makeKey('viewer', ['rival']);
    await expect.poll(async () => (await stand.call(path, { key: viewer })).status, { timeout: 30_000 }).toBe(200);
    const body = JSON.stringify({ events: [{}] });
    const refused = await stand.call('/api/v1/ingest/tasks', { key: viewer, method: 'POST', body });
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: { code: 'forbidden' } });
  });

  it('are taken as X-Api-Key as well', async () => {
    const headers = { 'x-api-key': keyOf(owners[1]) };
    expect(await (await stand.call(path, { headers })).text()).toContain('rival-orders');
  });
});
