import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DatabaseError } from '../../../clickhouse/client.ts';
import { AnalysisThreads, type ThreadsOptions } from '../../../services/insight/analysis-threads.ts';

/** A server that takes connections and never says a word: an analysis that asks it does not end by itself. */
let silent: Server;
const sockets = new Set<Socket>();
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

it('a database that is away is told as such', async () => {
  const threads = open({}, 'http://127.0.0.1:1');
  const failure = await threads.run(askFor('one')).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(DatabaseError);
  expect(failure).toMatchObject({ code: 'connection', retryable: true });
});
