import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { QueryStand } from '../../support/query-stand.ts';
import { toMessages } from './sample-runs.ts';

/** What is told of an execution may lie in many days of the raw tables, and in many parts of those of the latest state. */
const hourMs = 3_600_000;
const stand = await QueryStand.create('scattered');
const { telemetry } = stand;
const nowMs = Math.floor(Date.now() / 60_000) * 60_000;

type State = 'running' | 'completed' | 'failed';
const told = (execution_id: string, state: State, hoursAgo: number) => ({
  workspace: 'default',
  workflow_id: 'scattered',
  execution_id,
  state,
  event_time: Math.round(nowMs - hoursAgo * hourMs),
});
const taskTold = (id: string, task_id: string, hoursAgo: number) => {
  return { ...told(id, 'completed', hoursAgo), task_id, task_type: 'io' };
};

beforeAll(async () => {
  await telemetry.startReady();
  await stand.startService();
});

it('tells of an execution what happened on each of its days, also by clocks that are a day off, or to its tasks alone', async () => {
  await telemetry.send('executions', toMessages([told('long', 'running', 72), told('long', 'completed', 24)]));
  const tasks = [taskTold('long', 'before', 96), taskTold('long', 'within', 48), taskTold('long', 'behind', 0.25)];
  const orphans = [taskTold('alone', 'first', 120), taskTold('alone', 'last', 12)];
  await telemetry.send('tasks', toMessages([...tasks, ...orphans]));
  await telemetry.waitStored(60_000);
  for (const [id, names] of [
    ['long', ['before', 'behind', 'within']],
    ['alone', ['first', 'last']],
  ] as const) {
    const answer = await stand.get<{ tasks: { id: string }[] }>(`/api/v1/workflow-analytics/executions/${id}`);
    expect(answer.tasks.map((task) => task.id).toSorted(), id).toEqual(names);
  }
});

it('tells each of many executions that are asked for at once as it tells it alone', async () => {
  const paths = ['long', 'alone', 'never'].flatMap((id) =>
    ['', '/tasks'].map((part) => `/api/v1/workflow-analytics/executions/${id}${part}`),
  );
  const ask = async (path: string) => {
    const response = await fetch(`${stand.address}${path}`);
    const { error, ...told } = (await response.json()) as { error?: { code: string } };
    return { path, status: response.status, told, error: error?.code };
  };
  const alone: Awaited<ReturnType<typeof ask>>[] = [];
  for (const path of paths) alone.push(await ask(path));
  expect(alone.map(({ status }) => status)).toEqual([200, 200, 200, 200, 404, 404]);
  const countAsked = () => stand.service.metric('weir_question_duration_seconds_count', { question: 'run_places' });
  const before = await countAsked();
  const turns = 15;
  const together = await Promise.all(
    Array.from({ length: turns }, () => paths)
      .flat()
      .map(ask),
  );
  expect(together).toEqual(Array.from({ length: turns }, () => alone).flat());
  // Far fewer questions than those who wanted to know.
  expect((await countAsked()) - before).toBeLessThan((turns * paths.length) / 2);
});

it('tells of an execution that goes on what came a second ago, however long it was silent', async () => {
  const path = '/api/v1/workflow-analytics/executions/silent/tasks';
  const tasks = async () => (await stand.get<{ tasks: { id: string }[] }>(path)).tasks.map(({ id }) => id);
  await telemetry.send('executions', toMessages([told('silent', 'running', 30)]));
  await telemetry.send('tasks', toMessages([taskTold('silent', 'early', 29)]));
  await telemetry.waitStored(60_000);
  expect(await tasks()).toEqual(['early']);
  await telemetry.send('tasks', toMessages([taskTold('silent', 'late', 0.01)]));
  await telemetry.waitStored(60_000);
  await sleep(1_000);
  expect(await tasks()).toEqual(['early', 'late']);
});

it('answers those who have the same page open at once by the same questions', async () => {
  const pages = [
    '/api/v1/workflow-analytics/workflows/scattered/executions?time_range=7d',
    '/api/workflows/scattered/executions',
  ];
  const names = ['execution_page', 'execution_page_behind', 'executions_named', 'execution_payloads'];
  const countAsked = async () => {
    const counts = names.map((question) => stand.service.metric('weir_question_duration_seconds_count', { question }));
    return (await Promise.all(counts)).reduce((sum, count) => sum + (count || 0), 0);
  };
  const alone = await Promise.all(pages.map((page) => stand.get<{ items: { id: string }[] }>(page)));
  const before = await countAsked();
  const turns = 20;
  const together = await Promise.all(
    Array.from({ length: turns }, () => pages)
      .flat()
      .map((page) => stand.get<{ items: { id: string }[] }>(page)),
  );
  const idsOf = (answers: typeof alone) => answers.map(({ items }) => items.map(({ id }) => id));
  expect(idsOf(alone).every((ids) => ids.length > 0)).toBe(true);
  expect(idsOf(together)).toEqual(Array.from({ length: turns }, () => idsOf(alone)).flat());
  // Five questions for both pages, and again for who comes when a second or ten are over.
  expect((await countAsked()) - before).toBeLessThanOrEqual(15);
});

it('counts what has ended as that while another part of the table still says that it runs', async () => {
  await telemetry.database.query('SYSTEM STOP MERGES executions');
  await telemetry.send('executions', toMessages([told('over', 'running', 3), told('open', 'running', 2)]));
  await telemetry.waitStored(60_000);
  await telemetry.send('executions', toMessages([told('over', 'completed', 1)]));
  await telemetry.waitStored(60_000);
  for (const [status, ids] of [
    ['completed', ['over', 'long']],
    ['running', ['open', 'silent']],
  ] as const) {
    const answer = await stand.get<{ items: { id: string }[]; total: number }>(
      `/api/workflows/scattered/executions?status=${status}`,
    );
    expect(answer.items.map(({ id }) => id)).toEqual(ids);
    expect(answer.total).toBe(ids.length);
  }
});

it('counts no end of what runs again, of this workflow alone', async () => {
  const again = (id: string) => [told(id, 'failed', 3), { ...told(id, 'running', 2), attempt: 2 }];
  const others = [
    ...again('other-1'),
    ...again('other-2'),
    told('other-3', 'failed', 1),
    told('other-4', 'failed', 1.5),
  ];
  const records = [...again('again'), told('lost', 'failed', 4), told('lost-too', 'failed', 5)];
  await telemetry.send(
    'executions',
    toMessages([...records, ...others.map((record) => ({ ...record, workflow_id: 'other' }))]),
  );
  await telemetry.waitStored(60_000);
  for (const [workflow, ids] of [
    ['scattered', ['lost', 'lost-too']],
    ['other', ['other-3', 'other-4']],
  ] as const) {
    // A page with room left knows by itself how many there are.
    const page = `/api/workflows/${workflow}/executions?status=failed&limit=1`;
    const isTold = async () => (await stand.get<{ total: number }>(page)).total === ids.length;
    // How many there are is kept for some seconds.
    await expect.poll(isTold, { timeout: 15_000, interval: 500 }).toBe(true);
    expect((await stand.get<{ items: { id: string }[] }>(page)).items.map(({ id }) => id)).toEqual(ids.slice(0, 1));
  }
});

it('tells what runs of each of several workflows that are asked for at once', async () => {
  const more = Array.from({ length: 12 }, (_, at) => `more-${at}`);
  await telemetry.send(
    'executions',
    toMessages(
      more.flatMap((workflow_id) => [
        { ...told(`${workflow_id}-1`, 'running', 4), workflow_id },
        { ...told(`${workflow_id}-2`, 'running', 5), workflow_id },
      ]),
    ),
  );
  await telemetry.waitStored(60_000);
  // How many there are is kept for five seconds.
  await sleep(5_000);
  const expected: Record<string, string[]> = {
    scattered: ['again', 'open', 'silent'],
    other: ['other-1', 'other-2'],
    ...Object.fromEntries(more.map((workflow) => [workflow, [`${workflow}-1`, `${workflow}-2`]])),
  };
  const countAsked = async (question: string) =>
    (await stand.service.metric('weir_question_duration_seconds_count', { question })) || 0;
  const before = [await countAsked('open_names'), await countAsked('open_counts')];
  const read = async (workflow: string) => {
    const page = `/api/workflows/${workflow}/executions?status=running&limit=2`;
    const [first, rest] = await Promise.all([
      stand.get<{ items: { id: string }[]; total: number }>(page),
      stand.get<{ items: { id: string }[] }>(`${page}&skip=2`),
    ]);
    return { ids: [...first.items, ...rest.items].map(({ id }) => id).toSorted(), total: first.total };
  };
  const found = await Promise.all(Object.keys(expected).map(read));
  expect(found).toEqual(Object.values(expected).map((ids) => ({ ids, total: ids.length })));
  // The first goes by itself, and those who come meanwhile together: of two pages and a count of each.
  expect((await countAsked('open_counts')) - (before[1] ?? 0)).toBeLessThan(found.length / 2);
  expect((await countAsked('open_names')) - (before[0] ?? 0)).toBeLessThan(found.length);
});

it('says of an execution whose records are gone that they are', async () => {
  await telemetry.send('executions', toMessages([told('gone', 'completed', 5)]));
  await telemetry.waitStored(60_000);
  await telemetry.database.query("DELETE FROM execution_events WHERE execution_id = 'gone'");
  for (const part of ['', '/tasks', '/timeline', '/critical-path', '/eta']) {
    const response = await stand.call(`/api/v1/workflow-analytics/executions/gone${part}`);
    expect(response.status, part).toBe(404);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message, part).toContain('no longer kept');
  }
});

it('tells the timeline of what the page of an execution has just been told, and the same by itself', async () => {
  const justNow = (nowMs - (Date.now() - 60_000)) / hourMs;
  await telemetry.send('executions', toMessages([told('page', 'completed', justNow)]));
  await telemetry.send('tasks', toMessages([taskTold('page', 'one', 1), taskTold('page', 'other', justNow)]));
  await telemetry.waitStored(60_000);
  const page = '/api/v1/workflow-analytics/executions/page';
  const countAsked = async () => {
    const names = ['execution_course', 'task_course'];
    const count = (question: string) => stand.service.metric('weir_question_duration_seconds_count', { question });
    return (await Promise.all(names.map(count))).reduce((sum, asked) => sum + (asked || 0), 0);
  };
  const before = await countAsked();
  await stand.get(page);
  const timeline = await stand.get<{ tasks: object[] }>(`${page}/timeline`);
  expect(await countAsked()).toBe(before);
  expect(timeline.tasks).toHaveLength(2);
  // Longer than what was told of something that was over a minute ago may be told again.
  await sleep(2_500);
  expect(await stand.get(`${page}/timeline`)).toEqual(timeline);
  expect(await countAsked()).toBe(before + 2);
});
