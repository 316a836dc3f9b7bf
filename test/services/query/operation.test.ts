import { beforeAll, describe, expect, it } from 'vitest';
import { stateRecordKey } from '../../../schemas/state.ts';
import { decodeCommand, encodeCommand, encodeStateRecord } from '../../../schemas/wire.ts';
import { registerDefinition } from '../../../services/simulator/seed-records.ts';
import { exampleWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { executionRecords, makeRuns, taskRecords, toMessages } from './sample-runs.ts';

const stand = await QueryStand.create('operation');
const untilMs = Date.now();
const runs = makeRuns({ workspace: 'default', mark: 'own', runs: 12, seed: 3, untilMs, everyMs: 60_000 });
const open = ['open-1', 'open-2', 'open-3'];
const { topics, producer } = stand.telemetry;
let admin: string;
let boss: string;
let operator: string;
const requests: string[] = [];

beforeAll(async () => {
  const running = { workspace: 'default', workflow_id: 'own-orders', state: 'running', event_time: untilMs - 1_000 };
  const started = open.map((execution_id) => ({ ...running, execution_id, started_at: untilMs - 1_000 }));
  await stand.telemetry.send('executions', toMessages([...runs.flatMap(executionRecords), ...started]));
  await stand.telemetry.send('tasks', toMessages(runs.flatMap(taskRecords)));
  const pool = { kind: 'worker_pool', orchestrator_id: 'o', pool_id: 'o/p', event_time: untilMs, workers_total: 3 };
  await stand.telemetry.send('orchestrators', [{ key: 'o', value: JSON.stringify(pool) }]);
  [admin, boss] = [await stand.makeKey('admin', ['*']), await stand.makeKey('admin', ['default'])];
  operator = await stand.makeKey('operator', ['default']);
  await stand.telemetry.startReady();
  await stand.telemetry.waitStored(60_000);
  await stand.startService();
  await listen();
});

/** Ids of requests as orchestrators see them, one for each record. */
async function listen(): Promise<void> {
  const consumer = stand.telemetry.kafka.consumer({ groupId: `${topics.group}-listener` });
  await consumer.connect();
  await consumer.subscribe({ topic: topics.commands, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message: { value } }) => {
      const { request } = decodeCommand(value as Buffer);
      if (request != null) requests.push(request.command_id);
    },
  });
  stopListening = () => consumer.disconnect();
}
let stopListening = async () => {};

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: Answers of every shape are looked into here.
  body: any;
}

async function send(
  method: string,
  path: string,
  body?: unknown,
  more: { key?: string; once?: string } = {},
): Promise<Answer> {
  const { key = operator, once } = more;
  const headers = once === undefined ? {} : { 'idempotency-key': once };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await stand.call(path, { method, key, headers, ...sent });
  return { status: response.status, body: await response.json() };
}

/** As an orchestrator answers. */
async function answer(command_id: string, outcome: string, more: { message?: string; result?: string } = {}) {
  const record = { workspace: 'default', outcome: { command_id, outcome, at: Date.now(), reported_by: 'o', ...more } };
  await producer.send({
    topic: topics.commands,
    acks: -1,
    messages: [{ key: command_id, value: encodeCommand(record) }],
  });
}

const stateOf = async (id: string) => (await send('GET', `/api/v1/commands/${id}`)).body?.state;
const becomes = (id: string, state: string) => expect.poll(() => stateOf(id), { timeout: 30_000 }).toBe(state);
const countOf = (id: string) => requests.filter((request) => request === id).length;

describe('a command', () => {
  const cancel = (id: string) => `/api/v1/workflow-analytics/executions/${id}/cancel`;

  it('is one record however often it is asked for with one key, and its outcome can be read back', async () => {
    const ask = () => send('POST', cancel(open[0]), { reason: 'wrong input' }, { once: 'k-1' });
    const [first, second] = await Promise.all([ask(), ask()]);
    expect(first).toMatchObject({
      status: 202,
      body: { kind: 'cancel', state: 'sent', execution_id: open[0], reason: 'wrong input', outcome: null },
    });
    expect(Date.parse(first.body.expires_at) - Date.parse(first.body.requested_at)).toBe(600_000);
    expect(second.body.id).toBe(first.body.id);
    await becomes(first.body.id, 'sent');
    expect((await ask()).body.id).toBe(first.body.id);
    const other = await send('POST', cancel(open[0]), { reason: 'another' }, { once: 'k-1' });
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'idempotency_conflict' } } });
    await answer(first.body.id, 'accepted');
    await becomes(first.body.id, 'accepted');
    await answer(first.body.id, 'done', { message: 'it was cancelled', result: '{"state":"cancelled"}' });
    await answer(first.body.id, 'done', { message: 'again', result: '{"reason": "repeated"}' });
    await becomes(first.body.id, 'done');
    const { body } = await send('GET', `/api/v1/commands/${first.body.id}`);
    expect(body.outcome).toMatchObject({
      outcome: 'done',
      message: 'it was cancelled',
      result: { state: 'cancelled' },
    });
    expect(countOf(first.body.id)).toBe(1);
  });

  it('is known by its key after the service was started anew', async () => {
    const { body } = await send('POST', `${cancel(open[1])}?reason=late`, undefined, { once: 'k-2' });
    expect(body.reason).toBe('late');
    await becomes(body.id, 'sent');
    await stand.service.stop();
    await stand.startService();
    const again = await send('POST', `${cancel(open[1])}?reason=late`, undefined, { once: 'k-2' });
    expect(again).toMatchObject({ status: 202, body: { id: body.id } });
    const differs = await send('POST', `${cancel(open[1])}?reason=early`, undefined, { once: 'k-2' });
    expect(differs.status).toBe(409);
    expect(countOf(body.id)).toBe(1);
    // Without a key it is another one.
    const { id } = (await send('POST', cancel(open[1]))).body;
    expect(id).not.toBe(body.id);
    await expect.poll(() => countOf(id), { timeout: 30_000 }).toBe(1);
  });

  it('is refused for what is not there, has ended, or lacks what it needs', async () => {
    expect((await send('POST', cancel('nobody'), {})).status).toBe(404);
    const ended = await send('POST', cancel(runs[0].id), {});
    expect(ended).toMatchObject({ status: 409, body: { error: { code: 'execution_ended' } } });
    const mistakes: [object, number, string][] = [
      [{ kind: 'fly' }, 400, 'body kind must be one of cancel, retry'],
      [{ kind: 'cancel' }, 400, 'cancel needs execution_id'],
      [{ kind: 'restart_task', execution_id: open[0] }, 400, 'execution_id and task_id'],
      [{ kind: 'scale_pool', pool_id: 'o/p' }, 400, 'parameters.target_workers'],
      [{ kind: 'scale_pool', pool_id: 'o/p', parameters: { target_workers: 1.5 } }, 400, 'a whole number from 0'],
      [{ kind: 'scale_pool', pool_id: 'other', parameters: { target_workers: 1 } }, 404, 'no such worker pool'],
      [{ kind: 'pause', workflow_id: 'other' }, 404, 'no such workflow'],
      [{ kind: 'pause', workflow_id: 'own-orders', speed: 3 }, 400, 'body speed is unknown'],
    ];
    for (const [body, status, words] of mistakes) {
      const refused = await send('POST', '/api/v1/commands', body);
      expect(refused.status, JSON.stringify(body)).toBe(status);
      expect(refused.body.error.message).toContain(words);
    }
  });

  it('waits for an approval where it is said so, by an administrator who did not ask for it', async () => {
    const wish = { kind: 'scale_pool', pool_id: 'o/p', parameters: { target_workers: 5 }, approval_required: true };
    const { body } = await send('POST', '/api/v1/commands', wish, { key: boss });
    expect(body).toMatchObject({ state: 'waiting_for_approval', approval: { required: true, approved_by: null } });
    await becomes(body.id, 'waiting_for_approval');
    await answer(body.id, 'rejected', { result: '{"reason":"not_approved"}' });
    const approve = (key: string) => send('POST', `/api/v1/commands/${body.id}/approve`, undefined, { key });
    expect((await approve(operator)).status).toBe(403);
    expect((await approve(boss)).body.error.message).toContain('cannot approve');
    const approved = await approve(admin);
    expect(approved).toMatchObject({ status: 202, body: { state: 'sent', approval: { required: true } } });
    await becomes(body.id, 'sent');
    expect((await approve(admin)).body.error).toMatchObject({ code: 'command_settled' });
    await expect.poll(() => countOf(body.id), { timeout: 30_000 }).toBe(2);
    await answer(body.id, 'done');
    await becomes(body.id, 'done');
  });

  it('stands in a list, newest first, page by page', async () => {
    const all = (await send('GET', '/api/v1/commands')).body.items;
    const times = all.map(({ requested_at }: { requested_at: string }) => Date.parse(requested_at));
    expect(times).toEqual(times.toSorted((one: number, other: number) => other - one));
    expect(all.map(({ id }: { id: string }) => id).sort()).toEqual([...new Set(requests)].sort());
    const ids: string[] = [];
    for (let cursor = ''; ; ) {
      const { items, next_cursor } = (await send('GET', `/api/v1/commands?limit=2${cursor}`)).body;
      ids.push(...items.map(({ id }: { id: string }) => id));
      if (next_cursor === null) break;
      cursor = `&cursor=${next_cursor}`;
    }
    expect(ids).toEqual(all.map(({ id }: { id: string }) => id));
    const cancels = (await send('GET', `/api/v1/commands?kind=cancel&execution_id=${open[1]}`)).body.items;
    expect(cancels).toHaveLength(2);
    await stopListening();
  });
});

describe('keys', () => {
  const path = '/api/v1/keys';
  const stats = (key: string) => stand.call('/api/v1/workflows/analytics/stats', { key });

  it('are made, shown once, and revoked', async () => {
    const body = { name: 'grafana', role: 'viewer', workspaces: ['default'], expires_in_days: 9 };
    const made = await send('POST', path, body, { key: boss });
    expect(made).toMatchObject({ status: 201, body: { name: 'grafana', role: 'viewer', revoked_at: null } });
    expect((await stats(made.body.key)).status).toBe(200);
    const listed = (await send('GET', path, undefined, { key: boss })).body.items;
    const { key: _, ...rest } = made.body;
    expect(listed).toContainEqual(rest);
    expect(JSON.stringify(listed)).not.toContain(made.body.key.split('_')[2]);
    const revoked = await send('DELETE', `${path}/${made.body.id}?reason=lost`, undefined, { key: boss });
    expect(revoked).toMatchObject({ status: 200, body: { revoked_at: expect.any(String) } });
    expect((await stats(made.body.key)).status).toBe(401);
  });

  it('are for administrators, and for no more than what is theirs', async () => {
    expect((await send('GET', path)).status).toBe(403);
    const wide = { name: 'n', role: 'viewer', workspaces: ['*'] };
    expect((await send('POST', path, wide, { key: boss })).status).toBe(403);
    expect((await send('POST', path, { ...wide, workspaces: ['rival'] }, { key: boss })).status).toBe(403);
    const rival = await send('POST', path, { ...wide, workspaces: ['rival'] }, { key: admin });
    expect(rival.status).toBe(201);
    const seen = (await send('GET', path, undefined, { key: boss })).body.items;
    expect(seen.map(({ id }: { id: string }) => id)).not.toContain(rival.body.id);
    expect((await send('DELETE', `${path}/${rival.body.id}`, undefined, { key: boss })).status).toBe(404);
  });
});

describe('definitions of workflows', () => {
  const definition = { ...exampleWorkflows[3], id: 'declared' };
  const path = '/api/v1/workflows/declared';

  it('are declared, read back at once, and told apart', async () => {
    const first = await send('PUT', path, definition);
    expect(first).toMatchObject({ status: 200, body: { project: 'default', previous_revision: null } });
    const read = (await send('GET', path)).body;
    expect(read).toMatchObject({ origin: 'declared', revision: first.body.revision, version: '1' });
    expect(read.definition).toEqual({ ...definition, project: 'default' });
    const [one] = definition.tasks;
    const expected = `?expected_revision=${first.body.revision}&reason=faster`;
    const sound = {
      ...definition,
      version: '2',
      tasks: definition.tasks.map((task) => (task === one ? { ...task, timeoutMs: 77 } : task)),
    };
    const second = await send('PUT', `${path}${expected}`, sound);
    expect(second).toMatchObject({ status: 200, body: { previous_revision: first.body.revision } });
    const late = await send('PUT', `${path}${expected}`, sound);
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'revision_conflict' } } });
    const { declared } = (await send('GET', `${path}/versions`)).body;
    expect(declared).toMatchObject([
      { revision: second.body.revision, version: '2', reason: 'faster', removed: false },
      { revision: first.body.revision, version: '1', reason: null },
    ]);
    expect((await send('GET', `${path}/differences`)).body).toMatchObject({
      from: first.body.revision,
      to: second.body.revision,
      differences: expect.arrayContaining([
        { path: 'version', change: 'changed', before: '1', after: '2' },
        { path: `tasks[${one.id}].timeoutMs`, change: expect.any(String), before: one.timeoutMs ?? null, after: 77 },
      ]),
    });
  });

  it('with mistakes are refused, each mistake with its place', async () => {
    const tasks = [{ ...definition.tasks[0], after: ['nobody'], retry: { attempts: 'many' } }];
    const { status, body } = await send('PUT', '/api/v1/workflows/other', { ...definition, tasks });
    expect({ status, code: body.error.code }).toEqual({ status: 422, code: 'definition_refused' });
    const places = body.error.details.problems.map(({ path: place }: { path: string }) => place);
    expect(places).toEqual(expect.arrayContaining(['id', 'tasks[0].after[0]', 'tasks[0].retry.attempts']));
  });

  it('are learned from telemetry where nobody declared them', async () => {
    const { body } = await send('GET', '/api/v1/workflows/own-orders');
    expect(body).toMatchObject({ origin: 'learned', revision: null, basis: { executions: 15 } });
    const after = Object.fromEntries(
      body.definition.tasks.map(({ id, after: names = [] }: { id: string; after?: string[] }) => [
        id,
        [...names].sort(),
      ]),
    );
    expect(after).toEqual(
      Object.fromEntries(runs[0].tasks.map(({ id, dependencies }) => [id, [...dependencies].sort()])),
    );
    const durations = runs
      .map(({ tasks }) => tasks[0].attempts[0])
      .map(({ startedMs, endedMs }) => endedMs - startedMs);
    const sorted = durations.toSorted((one, other) => one - other);
    const learned = body.definition.tasks.find(({ id }: { id: string }) => id === 'own-extract').durationMs;
    expect([sorted[5], sorted[6]]).toContain(learned);
    expect((await send('GET', '/api/v1/workflows/nobody')).status).toBe(404);
  });

  it('that were seeded are there, each in its project', async () => {
    const target = { workspace: 'default', project: 'examples', nowMs: Date.now() };
    const records = exampleWorkflows.map((one) => registerDefinition(one, target));
    const messages = records.map((record) => ({ key: stateRecordKey(record), value: encodeStateRecord(record) }));
    await producer.send({ topic: topics.state, acks: -1, messages });
    const list = async (query = '') => (await send('GET', `/api/v1/workflows${query}`)).body;
    const ids = async () =>
      (await list('?project=examples')).items.map((item: { workflow_id: string }) => item.workflow_id);
    await expect.poll(ids, { timeout: 30_000 }).toEqual(exampleWorkflows.map(({ id }) => id).toSorted());
    const all = (await list()).items.map(
      ({ workflow_id, origin }: Record<string, string>) => `${workflow_id} ${origin}`,
    );
    expect(all).toEqual(expect.arrayContaining(['declared declared', 'own-orders learned', 'basic_sequence declared']));
    const first = await list('?limit=2');
    const second = await list(`?limit=2&cursor=${first.next_cursor}`);
    const names = [...first.items, ...second.items].map(({ workflow_id }) => workflow_id);
    expect(names).toEqual([...new Set(all.map((text: string) => text.split(' ')[0]))].slice(0, 4));
  });
});

describe('the audit trail', () => {
  interface Entry {
    time: string;
    collection: string;
    action: string;
    author: string;
    reason: string | null;
  }
  const read = async (query: string, key: string): Promise<{ items: Entry[]; next_cursor: string | null }> =>
    (await send('GET', `/api/v1/audit${query}`, undefined, { key })).body;

  it('tells who did what and why, newest first, page by page', async () => {
    const { items } = await read('?limit=500', boss);
    const times = items.map(({ time }) => time);
    expect(times).toEqual(times.toSorted().toReversed());
    const has = (collection: string, action: string, reason: string | null) =>
      expect(items).toContainEqual(
        expect.objectContaining({ collection, action, reason, author: expect.stringMatching(/^(key|o|seed)/) }),
      );
    has('workflow-definitions', 'made', null);
    has('workflow-definitions', 'changed', 'faster');
    has('workflow-definitions', 'conflict', 'faster');
    has('commands', 'requested', 'wrong input');
    has('commands', 'approved', null);
    has('commands', 'done', 'it was cancelled');
    const paged: Entry[] = [];
    for (let cursor = ''; ; ) {
      const page = await read(`?limit=5${cursor}`, boss);
      paged.push(...page.items);
      if (page.next_cursor === null) break;
      cursor = `&cursor=${page.next_cursor}`;
    }
    expect(paged).toEqual(items);
  });

  it('shows a change to whoever made it, however often others look meanwhile', async () => {
    let isMade = false;
    const making = send('PUT', '/api/v1/workflows/audited', { ...exampleWorkflows[3], id: 'audited' }).finally(() => {
      isMade = true;
    });
    while (!isMade) await read('?limit=20', boss);
    expect((await making).status).toBe(200);
    const { items } = await read('?limit=20', boss);
    expect(items).toContainEqual(expect.objectContaining({ action: 'made', key: expect.stringContaining('audited') }));
  });

  it('shows changes of keys to administrators of everything, without their hashes', async () => {
    expect((await read('?collection=api-keys', boss)).items).toEqual([]);
    const { items } = await read('?collection=api-keys', admin);
    expect(items).toContainEqual(expect.objectContaining({ reason: 'lost', action: 'changed' }));
    expect(JSON.stringify(items)).not.toContain('secretHash');
    expect((await send('GET', '/api/v1/audit')).status).toBe(403);
  });
});
