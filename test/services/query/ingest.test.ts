import { beforeAll, describe, expect, it } from 'vitest';
import { QueryStand } from '../../support/query-stand.ts';

const stand = await QueryStand.create('http_ingest');
const nowMs = Date.now();

beforeAll(async () => {
  await stand.telemetry.startReady();
  await stand.startService();
});

interface Answer {
  status: number;
  body: { accepted?: number; error?: { code: string; message: string; details?: { events: { reason: string }[] } } };
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await stand.call(`/api/v1${path}`, { method: 'POST', body: JSON.stringify(body), headers });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

const run = (id: string, more: object = {}) => ({
  workflow_id: 'posted',
  execution_id: id,
  state: 'completed',
  started_at: nowMs - 5_000,
  event_time: nowMs - 1_000,
  ...more,
});

const stored = async (id: string) => {
  await stand.telemetry.waitStored(60_000, ['executions', 'tasks']);
  return stand.telemetry.rows<{ state: string; workspace: string; variables: string }>(
    `SELECT state, workspace, variables FROM execution_events FINAL WHERE execution_id = '${id}'`,
  );
};

/** Records on a topic of the test, by the log itself. */
async function countRecords(kind: 'executions' | 'tasks' | 'orchestrators'): Promise<number> {
  const offsets = await stand.telemetry.admin.fetchTopicOffsets(stand.telemetry.topics[kind]);
  return offsets.reduce((sum, { high }) => sum + Number(high), 0);
}

describe('events over HTTP', () => {
  it('are on Kafka when they are accepted, and in answers soon after', async () => {
    const before = await countRecords('executions');
    const { status, body } = await post('/workflow-analytics/executions', {
      workflowId: 'posted',
      id: 'with-tasks',
      status: { state: 'completed' },
      startTime: new Date(nowMs - 5_000).toISOString(),
      endTime: new Date(nowMs - 1_000).toISOString(),
      tasks: [
        { task_id: 'one', state: 'completed', started_at: nowMs - 4_000, event_time: nowMs - 3_000 },
        { task_id: 'two', state: 'failed', started_at: nowMs - 3_000, event_time: nowMs - 2_000 },
      ],
    });
    expect({ status, body }).toMatchObject({ status: 202, body: { accepted: 3, executions: 1, tasks: 2 } });
    expect(await countRecords('executions')).toBe(before + 1);
    await stand.telemetry.waitStored(60_000);
    const answer = await stand.get<object>('/api/v1/workflow-analytics/executions/with-tasks');
    expect(answer).toMatchObject({
      workflowId: 'posted',
      status: { state: 'completed' },
      duration: 4_000,
      tasks: [
        { id: 'one', status: { state: 'completed' }, duration: 1_000 },
        { id: 'two', status: { state: 'failed' } },
      ],
    });
  });

  it('come in batches of every kind', async () => {
    const pool = { kind: 'worker_pool', orchestrator_id: 'o', pool_id: 'p', event_time: nowMs, workers_total: 3 };
    const before = await countRecords('orchestrators');
    expect(await post('/ingest/orchestrators', { events: [pool] })).toMatchObject({ status: 202 });
    expect(await countRecords('orchestrators')).toBe(before + 1);
    const events = ['b-1', 'b-2', 'b-3'].map((id) => run(id));
    expect(await post('/ingest/executions', { events })).toMatchObject({ status: 202, body: { accepted: 3 } });
    for (const { execution_id } of events) expect(await stored(execution_id)).toHaveLength(1);
  });

  it('count once however often they are sent', async () => {
    for (let time = 0; time < 3; time++)
      expect((await post('/ingest/executions', { events: [run('again')] })).status).toBe(202);
    expect(await stored('again')).toHaveLength(1);
    const { status, body } = await post('/ingest/executions', { events: [run('again', { state: 'odd' })] });
    expect(status).toBe(422);
    expect(body.error?.details?.events).toMatchObject([{ event: 'events.0', reason: 'unknown_state' }]);
  });

  it('are refused by the rules of the topic, all of a request or none', async () => {
    const before = await countRecords('executions');
    const events = [
      run('kept-out'),
      run('late', { event_time: nowMs - 8 * 86_400_000, started_at: undefined }),
      run('ahead', { event_time: nowMs + 3_600_000 }),
      run('', {}),
      run('password=hunter2hunter2'),
    ];
    const { status, body } = await post('/ingest/executions', { events });
    expect(status).toBe(422);
    expect(body.error?.code).toBe('event_refused');
    expect(body.error?.message).not.toContain('hunter2');
    const reasons = body.error?.details?.events.map(({ reason }) => reason);
    expect(reasons).toEqual(['too_late', 'future', 'missing_id', 'secret_in_id']);
    expect(await countRecords('executions')).toBe(before);
  });

  it('belong to the workspace of the request, whatever they say', async () => {
    const { status, body } = await post('/ingest/executions', { events: [run('stolen', { workspace: 'other' })] });
    expect(status).toBe(422);
    expect(body.error?.details?.events).toMatchObject([{ reason: 'other_workspace' }]);
    const other = await post('/ingest/executions', { events: [run('given')] }, { 'x-workspace-id': 'other' });
    expect(other.status).toBe(202);
    expect(await stored('given')).toMatchObject([{ workspace: 'other' }]);
    expect((await stand.call('/api/v1/workflow-analytics/executions/given')).status).toBe(404);
  });

  it('are stored without their secrets', async () => {
    const variables = { password: 'correct-horse-battery', city: 'Bern' };
    expect((await post('/ingest/executions', { events: [run('secretive', { variables })] })).status).toBe(202);
    const [row] = await stored('secretive');
    expect(row.variables).toContain('Bern');
    expect(row.variables).not.toContain('correct-horse');
  });
});

describe('an Idempotency-Key', () => {
  it('repeats the answer without sending again, and refuses another body', async () => {
    const headers = { 'idempotency-key': 'k-1' };
    const first = await post('/ingest/executions', { events: [run('idem')] }, headers);
    const before = await countRecords('executions');
    expect(await post('/ingest/executions', { events: [run('idem')] }, headers)).toEqual(first);
    expect(await countRecords('executions')).toBe(before);
    const other = await post('/ingest/executions', { events: [run('idem-2')] }, headers);
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'idempotency_conflict' } } });
  });

  it('forgets a request that failed', async () => {
    const headers = { 'idempotency-key': 'k-2' };
    expect((await post('/ingest/executions', { events: [run('', {})] }, headers)).status).toBe(422);
    expect((await post('/ingest/executions', { events: [run('mended')] }, headers)).status).toBe(202);
  });
});
