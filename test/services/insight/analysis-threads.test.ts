import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { DatabaseError } from '../../../clickhouse/client.ts';
import { namesOfExecution } from '../../../clickhouse/queries/run-traces.ts';
import { AnalysisThreads, type ThreadAsk, type ThreadsOptions } from '../../../services/insight/analysis-threads.ts';

/** A server that takes connections and never says a word: an analysis that asks it does not end by itself. */
let silent: Server;
const sockets = new Set<Socket>();
const empties: HttpServer[] = [];
let url = '';
const all: AnalysisThreads[] = [];

beforeAll(async () => {
  silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
});

afterAll(async () => {
  await Promise.all(all.map((threads) => threads.close()));
  for (const socket of sockets) socket.destroy();
  silent.close();
  for (const empty of empties) empty.close();
});

function open(options: Partial<ThreadsOptions>, at = url): AnalysisThreads {
  const database = { url: at, user: 'u', password: 'p', database: 'weir' };
  const threads = new AnalysisThreads({
    database,
    threads: 1,
    waitingMost: 1,
    timeoutMs: 60_000,
    heapMb: 200,
    ...options,
  });
  all.push(threads);
  return threads;
}

const askFor = (workflowId: string) => ({
  workspace: 'default',
  requestId: 'test',
  ask: {
    about: 'workflow' as const,
    analyses: ['patterns' as const],
    workflowId,
    source: '',
    fromMs: 0,
    toMs: 1,
    limit: 1,
    sinceMs: null,
  },
});

it('an analysis that does not end is ended, and the next one has a thread of its own', async () => {
  const threads = open({ timeoutMs: 5_000 });
  for (const workflow of ['one', 'two']) {
    await expect(threads.run(askFor(workflow))).rejects.toMatchObject({ kind: 'timeout' });
  }
});

it('more than may wait are refused at once, and whoever asks for the same waits for the same', async () => {
  const threads = open({});
  const first = threads.run(askFor('one'));
  expect(threads.run(askFor('one'))).toBe(first);
  const second = threads.run(askFor('two'));
  await expect(threads.run(askFor('three'))).rejects.toMatchObject({ kind: 'busy' });
  const ends = Promise.allSettled([first, second]);
  await threads.close();
  expect((await ends).map((end) => end.status === 'rejected' && (end.reason as { kind: string }).kind)).toEqual([
    'closed',
    'closed',
  ]);
  await expect(threads.run(askFor('four'))).rejects.toMatchObject({ kind: 'closed' });
});

/** Tells no rows, a moment later; takes down what was asked. */
async function openEmpty(): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const empty = createHttpServer((request, response) => {
    const comment = new URL(request.url ?? '', 'http://x').searchParams.get('log_comment') ?? '{}';
    const { query } = JSON.parse(comment) as { query: string };
    asked.push(query);
    setTimeout(() => response.end(), 10);
  });
  empties.push(empty);
  await new Promise<void>((resolve) => empty.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(empty.address() as AddressInfo).port}`, asked };
}

const aboutExecution = (workflow_id: string, executionId: string): ThreadAsk => {
  const event = { workspace: 'default', source: 'airflow', executionId, workflowId: workflow_id, attempt: 1 };
  const record: Record<string, unknown> = { ...event, state: 'running', eventTimeMs: 1, startedAtMs: 1, errorType: '' };
  const place = {
    source: 'airflow',
    workflow_id,
    first_ms: 1,
    last_ms: 1,
    is_over: false,
    ...{ execution_untold: 0, tasks_untold: 0 },
  };
  const ofExecution = [{ told: namesOfExecution.times.map((name) => record[name] ?? null) }];
  const run = { place, told: { ofExecution, ofTasks: [] } };
  return {
    workspace: 'default',
    requestId: 'test',
    ask: { about: 'execution', analysis: 'eta', executionId, run, nowMs: 5, limit: 60 },
  };
};

it('executions of a workflow are looked at by the thread that knows it', async () => {
  const { url: at, asked } = await openEmpty();
  const threads = open({ threads: 2, waitingMost: 64 }, at);
  const ask = (workflow: string, turn: number) => threads.run(aboutExecution(workflow, `${workflow}/${turn}`));
  // Both threads are there by then, and each knows one.
  await Promise.all([ask('orders', 0), ask('bills', 0)]);
  await Promise.all(Array.from({ length: 8 }, (_, turn) => [ask('orders', turn + 1), ask('bills', turn + 1)]).flat());
  expect(asked.filter((question) => question === 'recent_runs')).toHaveLength(2);
});

it('but by another one while that is busy for long', async () => {
  const threads = open({ threads: 2, waitingMost: 64 });
  const connections = sockets.size;
  const ends = [1, 2].map((turn) => threads.run(aboutExecution('orders', `orders/${turn}`)).catch(() => null));
  await vi.waitFor(() => expect(sockets.size).toBe(connections + 2), 20_000);
  await threads.close();
  expect(await Promise.all(ends)).toEqual([null, null]);
});

it('a database that is away is told as such', async () => {
  const threads = open({}, 'http://127.0.0.1:1');
  const failure = await threads.run(askFor('one')).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatabaseError);
  expect(failure).toMatchObject({ code: 'connection', retryable: true });
});
