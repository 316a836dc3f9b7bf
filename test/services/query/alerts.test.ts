import { beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../../clickhouse/block.ts';
import { Database } from '../../../clickhouse/client.ts';
import { alertChangesTable } from '../../../clickhouse/tables/alerts.ts';
import { alertCollections, alertRuleIds } from '../../../schemas/alerts.ts';
import { openWebhook } from '../../../services/alerts/webhook-secret.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { sampleAlert, toChangeRow } from '../alerts/sample-alerts.ts';

const secretsKey = 'a key that only this test has, and nobody guesses';
const stand = await QueryStand.create('alerts', { env: { WEIR_SECRETS_KEY: secretsKey } });
const keys = { viewer: '', operator: '', admin: '' };
const hourMs = 3_600_000;
const nowMs = Date.now();

/** Ended long ago; ended in the last week; fires since two months; fires now; nobody is told of it yet. */
const alerts = [
  sampleAlert({
    alert_id: 'a-old',
    state: 'resolved',
    event_time: nowMs - 20 * 24 * hourMs,
    first_pending_at: nowMs - 21 * 24 * hourMs,
  }),
  sampleAlert({
    alert_id: 'b-ended',
    state: 'resolved',
    event_time: nowMs - 30 * hourMs,
    rule_id: 'QUEUE_BACKLOG',
    severity: 'warning',
  }),
  sampleAlert({ alert_id: 'c-lasting', event_time: nowMs - 60 * 24 * hourMs, workflow_id: 'train_ranker' }),
  sampleAlert({
    alert_id: 'd-firing',
    event_time: nowMs - hourMs,
    rule_id: 'EXECUTION_STUCK',
    execution_id: 'run-1',
    subject_kind: 'execution',
  }),
  sampleAlert({ alert_id: 'e-pending', state: 'pending', event_time: nowMs - 60_000 }),
];

beforeAll(async () => {
  const database = new Database(stand.telemetry.database);
  const rows = alerts.map((alert) => toChangeRow(alert, 2));
  const before = toChangeRow(sampleAlert({ ...alerts[3], state: 'pending', event_time: nowMs - 2 * hourMs }), 1);
  await database.insert(new Block(alertChangesTable, [...rows, before]));
  await database.close();
  for (const role of ['viewer', 'operator', 'admin'] as const) keys[role] = await stand.makeKey(role, ['default']);
  await stand.telemetry.startReady();
  await stand.startService();
});

interface Page {
  items: { alert_id: string; id: string; state: string }[];
  next_cursor: string | null;
}
const idsOf = async (query = '') =>
  (await stand.get<Page>(`/api/v1/alerts${query}`, keys.viewer)).items.map(({ alert_id }) => alert_id);

async function send(method: string, path: string, body: unknown, role: keyof typeof keys = 'operator') {
  const response = await stand.call(path, {
    method,
    key: keys[role],
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('alerts', () => {
  it('are listed by their last change, those that were open in the range', async () => {
    expect(await idsOf()).toEqual(['e-pending', 'd-firing', 'b-ended', 'c-lasting']);
    expect(await idsOf('?time_range=30d')).toEqual(['e-pending', 'd-firing', 'b-ended', 'a-old', 'c-lasting']);
    expect(await idsOf('?state=firing,pending')).toEqual(['e-pending', 'd-firing', 'c-lasting']);
    expect(await idsOf('?severity=warning')).toEqual(['b-ended']);
    expect(await idsOf('?rule_id=EXECUTION_STUCK,QUEUE_BACKLOG')).toEqual(['d-firing', 'b-ended']);
    expect(await idsOf('?workflow_id=train_ranker')).toEqual(['c-lasting']);
    const from = new Date(nowMs - 3 * 24 * hourMs).toISOString();
    const to = new Date(nowMs - 24 * hourMs).toISOString();
    expect(await idsOf(`?from=${from}&to=${to}`)).toEqual(['b-ended', 'c-lasting']);
  });

  it('are read page by page', async () => {
    const seen: string[] = [];
    for (let cursor = ''; ; ) {
      const { items, next_cursor } = await stand.get<Page>(`/api/v1/alerts?limit=2${cursor}`, keys.viewer);
      seen.push(...items.map(({ alert_id }) => alert_id));
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
    }
    expect(seen).toEqual(['e-pending', 'd-firing', 'b-ended', 'c-lasting']);
  });

  it('have a history, and remedies that can be sent as commands', async () => {
    const { changes } = await stand.get<{ changes: { state: string }[] }>(
      '/api/v1/alerts/d-firing/history',
      keys.viewer,
    );
    expect(changes.map(({ state }) => state)).toEqual(['pending', 'firing']);
    const { remedies } = await stand.get<{ remedies: unknown[] }>('/api/v1/alerts/d-firing/remedies', keys.viewer);
    expect(remedies).toMatchObject([
      {
        action: 'restart_task',
        confidence: 0.8,
        approval_required: true,
        command: {
          kind: 'restart_task',
          source: 'airflow',
          execution_id: 'run-1',
          task_id: 'join_orders',
          approval_required: true,
        },
      },
    ]);
  });

  it('are taken on with a comment, and given back; who did it stays in the history', async () => {
    const path = '/api/v1/alerts/d-firing/acknowledge';
    const taken = await send('POST', path, { comment: 'on it' });
    expect(taken).toMatchObject({
      status: 200,
      body: { acknowledgement: { comment: 'on it', by: expect.stringMatching(/^key /) } },
    });
    // Read by anybody else the moment after.
    expect(await stand.get('/api/v1/alerts/d-firing', keys.viewer)).toMatchObject({
      acknowledgement: { comment: 'on it' },
    });
    expect(await send('DELETE', path, undefined)).toMatchObject({ status: 200, body: { acknowledgement: null } });
    expect(await send('DELETE', path, undefined)).toMatchObject({ status: 404 });
    const history = await stand.get<{ acknowledgements: object[] }>('/api/v1/alerts/d-firing/history', keys.viewer);
    expect(history.acknowledgements).toMatchObject([
      { action: 'acknowledged', comment: 'on it' },
      { action: 'taken_back' },
    ]);
    expect(await send('POST', '/api/v1/alerts/a-old/acknowledge', { comment: 'x' })).toMatchObject({
      status: 409,
      body: { error: { code: 'alert_settled' } },
    });
    expect(await send('POST', '/api/v1/alerts/nobody/acknowledge', { comment: 'x' })).toMatchObject({ status: 404 });
    expect(await send('POST', path, { comment: 'x' }, 'viewer')).toMatchObject({ status: 403 });
  });
});

describe('silences', () => {
  it('are made, listed and ended', async () => {
    const body = { match: { workflow_id: 'orders_etl' }, duration_minutes: 30, comment: 'the warehouse moves' };
    const made = await send('POST', '/api/v1/alerts/silences', body);
    expect(made).toMatchObject({ status: 200, body: { state: 'active', match: body.match, comment: body.comment } });
    const { id } = made.body as { id: string };
    const later = {
      match: { severity: 'info' },
      starts_at: '2090-01-01T00:00:00Z',
      ends_at: '2090-01-02T00:00:00+01:00',
      comment: 'x',
    };
    expect(await send('POST', '/api/v1/alerts/silences', later)).toMatchObject({
      status: 200,
      body: { state: 'pending' },
    });
    const listed = async (query: string) =>
      (await stand.get<Page>(`/api/v1/alerts/silences${query}`, keys.viewer)).items;
    expect((await listed('')).map(({ state }) => state)).toEqual(['pending', 'active']);
    expect(await send('DELETE', `/api/v1/alerts/silences/${id}`, undefined)).toMatchObject({
      status: 200,
      body: { state: 'ended' },
    });
    expect(await listed('?state=ended')).toMatchObject([{ id }]);
  });

  it('that cannot work are refused with everything that is wrong', async () => {
    const wrong = { match: {}, starts_at: 'soon', comment: 'x' };
    const { status, body } = await send('POST', '/api/v1/alerts/silences', wrong);
    expect(status).toBe(400);
    const { message } = (body as { error: { message: string } }).error;
    for (const words of ['names nothing', 'starts_at must be', 'either ends_at or']) expect(message).toContain(words);
    const past = {
      match: { task_id: 't' },
      starts_at: '2020-01-01T00:00:00Z',
      ends_at: '2020-01-02T00:00:00Z',
      comment: 'x',
    };
    expect(await send('POST', '/api/v1/alerts/silences', past)).toMatchObject({ status: 400 });
    const long = { match: { task_id: 't' }, ends_at: '2090-01-01T00:00:00Z', comment: 'x' };
    expect(await send('POST', '/api/v1/alerts/silences', long)).toMatchObject({
      body: { error: { message: expect.stringContaining('90 days') } },
    });
    expect(await send('DELETE', '/api/v1/alerts/silences/none', undefined)).toMatchObject({ status: 404 });
  });
});

describe('subscriptions of webhooks', () => {
  const path = '/api/v1/webhooks/subscriptions';
  const url = 'https://hooks.example.com/services/T0KEN?x=hunter2';

  it('show their secret once, and keep it and their address from everybody who reads state', async () => {
    const made = await send('POST', path, { url, events: ['alert.firing'], match: { severity: 'critical' } }, 'admin');
    expect(made).toMatchObject({
      status: 200,
      body: { target: 'https://hooks.example.com', enabled: true, secret: expect.stringMatching(/^whsec_/) },
    });
    const { id, secret } = made.body as { id: string; secret: string };
    const listed = await (await stand.call(path, { key: keys.operator })).text();
    expect(JSON.parse(listed)).toMatchObject({
      items: [{ id, target: 'https://hooks.example.com', events: ['alert.firing'] }],
    });
    const [{ value }] = await stand.telemetry.rows<{ value: string }>(
      `SELECT value FROM state FINAL WHERE collection = '${alertCollections.webhooks}'`,
    );
    for (const hidden of ['T0KEN', 'hunter2', secret]) {
      expect(listed).not.toContain(hidden);
      expect(value).not.toContain(hidden);
    }
    const { sealed } = JSON.parse(value) as { sealed: string };
    expect(openWebhook(secretsKey, { workspace: 'default', id }, sealed)).toEqual({ url, secret });
    expect(await send('DELETE', `${path}/${id}`, undefined, 'admin')).toMatchObject({ status: 200, body: { id } });
    expect((await stand.get<Page>(path, keys.operator)).items).toEqual([]);
  });

  it('are made by administrators only, and lead nowhere inside', async () => {
    expect(await send('POST', path, { url })).toMatchObject({ status: 403 });
    expect((await stand.call(path, { key: keys.viewer })).status).toBe(403);
    const inner = await send('POST', path, { url: 'http://169.254.169.254/latest/meta-data' }, 'admin');
    expect(inner).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('private or loopback') } },
    });
    const unknown = await send('POST', path, { url, events: ['alert.exploded'] }, 'admin');
    expect(unknown).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('alert.firing') } },
    });
  });
});

describe('rules', () => {
  const path = '/api/v1/alerts/rules/QUEUE_BACKLOG';
  interface Rule {
    defaults: { threshold: number };
    effective: { threshold: number; severity: string; enabled: boolean };
    origins: Record<string, string>;
    settings: { scope: string; subject_id: string | null; revision: number }[];
  }

  it('are listed as they are, and as they hold for a workflow or an orchestrator', async () => {
    const { items } = await stand.get<{ items: { rule_id: string }[] }>('/api/v1/alerts/rules', keys.viewer);
    expect(items.map(({ rule_id }) => rule_id).toSorted()).toEqual([...alertRuleIds].toSorted());
    const set = (query: string, body: object) => send('PUT', `${path}${query}`, body, 'admin');
    expect(await set('', { threshold: 5000, severity: 'critical', reason: 'it is a large queue' })).toMatchObject({
      status: 200,
    });
    expect(await set('?orchestrator_id=a%2Fb', { threshold: 9000, enabled: false })).toMatchObject({ status: 200 });
    const wide = await stand.get<Rule>(path, keys.viewer);
    expect(wide).toMatchObject({
      defaults: { threshold: 1000 },
      effective: { threshold: 5000, severity: 'critical', enabled: true },
    });
    const near = await stand.get<Rule>(`${path}?orchestrator_id=a%2Fb`, keys.viewer);
    expect(near.effective).toMatchObject({ threshold: 9000, severity: 'critical', enabled: false });
    expect(near.origins).toEqual({
      enabled: 'orchestrator',
      threshold: 'orchestrator',
      severity: 'workspace',
      for_ms: 'default',
      runbook: 'default',
    });
    expect(near.settings.map(({ scope, subject_id }) => [scope, subject_id])).toEqual([
      ['workspace', null],
      ['orchestrator', 'a/b'],
    ]);
  });

  it('are changed by whoever has seen the newest revision, and what was set is taken back', async () => {
    const { settings } = await stand.get<Rule>(path, keys.viewer);
    const seen = settings.find(({ scope }) => scope === 'workspace')?.revision;
    const late = await send('PUT', path, { threshold: 6000, expected_revision: 0 }, 'admin');
    expect(late).toMatchObject({
      status: 409,
      body: { error: { code: 'revision_conflict', details: { current_revision: seen } } },
    });
    expect(await send('PUT', path, { threshold: 6000, expected_revision: seen }, 'admin')).toMatchObject({
      status: 200,
    });
    expect(await send('DELETE', path, undefined, 'admin')).toMatchObject({
      status: 200,
      body: { effective: { threshold: 1000 } },
    });
    expect(await send('DELETE', path, undefined, 'admin')).toMatchObject({ status: 404 });
    const [change] = await stand.telemetry.rows(
      `SELECT reason, changed_by FROM state_changes FINAL WHERE collection = 'alert-rules' AND value LIKE '%5000%'`,
    );
    expect(change).toMatchObject({ reason: 'it is a large queue', changed_by: expect.stringMatching(/^key /) });
  });

  it('that cannot work are refused with everything that is wrong', async () => {
    const wrong = {
      threshold: -1,
      unit: 'ms',
      metric: 'duration_ms',
      for_ms: 1000,
      severity: 'loud',
      enabled: 'yes',
      colour: 'red',
    };
    const { status, body } = await send('PUT', path, wrong, 'admin');
    expect(status).toBe(400);
    const { problems } = (body as { error: { details: { problems: string[] } } }).error.details;
    for (const name of Object.keys(wrong)) expect(problems.join('\n')).toContain(name);
    expect(await send('PUT', path, {}, 'admin')).toMatchObject({ status: 400 });
    expect(await send('PUT', '/api/v1/alerts/rules/NO_SUCH', { threshold: 1 }, 'admin')).toMatchObject({ status: 404 });
    expect(await send('PUT', `${path}?workflow_id=w&orchestrator_id=o`, { threshold: 7 }, 'admin')).toMatchObject({
      status: 400,
    });
    expect(await send('PUT', path, { threshold: 7 }, 'operator')).toMatchObject({ status: 403 });
  });
});
