import { expect, test } from 'vitest';
import { namesOfExecution, namesOfTask } from '../../../clickhouse/queries/run-traces.ts';
import type { Question, WorkspaceReader } from '../../../clickhouse/question.ts';
import { PastRuns, pastDefaults } from '../../../services/insight/past-runs.ts';

const startMs = Date.UTC(2026, 10, 1);
const runs = Array.from({ length: 8 }, (_, at) => ({ id: `run-${at}`, beganMs: startMs + at * 60_000 }));
const nowMs = startMs + runs.length * 60_000;

const toldIn = (names: readonly string[], told: Record<string, unknown>) =>
  names.map((name) => told[name] ?? (name === 'dependencyIds' ? [] : null));

/** Executions of ten seconds with one task each; takes down what was asked for. */
function readerOf(workspace: string, asked: string[]): WorkspaceReader {
  const shared = { workspace, source: 'airflow', workflowId: 'orders', attempt: 1, state: 'completed', errorType: '' };
  const ended = runs.map(({ id, beganMs }) => {
    return { ...shared, executionId: id, startedAtMs: beganMs, eventTimeMs: beganMs + 10_000, durationUs: 10_000_000 };
  });
  const rows: Record<string, object[]> = {
    workflow_sources: [{ source: 'airflow', listed: runs.length }],
    recent_runs: runs.map(({ id, beganMs }) => ({ execution_id: id, at_ms: beganMs })),
    run_sizes: runs.map(({ id }) => ({ execution_id: id, records: 1 })),
    execution_traces: ended.map((told) => ({ told: toldIn(namesOfExecution.times, told) })),
    task_traces: ended.map((told) => ({
      told: toldIn(namesOfTask.times, { ...told, taskId: 'load', mapIndex: -1, childExecutionId: '' }),
    })),
  };
  const ask = async ({ name }: Question<object, object>) => {
    asked.push(name);
    return rows[name] ?? [];
  };
  return { workspace, ask } as unknown as WorkspaceReader;
}

const orders = { workflowId: 'orders', source: 'airflow', limit: 60, nowMs };

test('what earlier executions teach is loaded once for a while, for each workspace', async () => {
  const past = new PastRuns();
  const asked: string[] = [];
  const reader = readerOf('a', asked);
  const first = await past.learn(reader, 'another', orders);
  expect(first.timed.runs).toHaveLength(runs.length);
  const questions = asked.length;
  const again = await past.learn(reader, 'another', { ...orders, nowMs: nowMs + pastDefaults.keptMs - 1 });
  expect(again.timed.runs).toHaveLength(runs.length);
  expect(asked).toHaveLength(questions);
  await past.learn(readerOf('b', asked), 'another', orders);
  expect(asked).toHaveLength(2 * questions);
  await past.learn(reader, 'another', { ...orders, nowMs: nowMs + pastDefaults.keptMs });
  expect(asked).toHaveLength(3 * questions);
});

test('an execution learns neither from itself nor from what was not over by then', async () => {
  const past = new PastRuns();
  const reader = readerOf('a', []);
  const idsOf = async (executionId: string, untilMs: number) => {
    const learned = await past.learn(reader, executionId, { ...orders, nowMs: untilMs });
    return learned.executions.map((run) => run.executionId);
  };
  const ids = runs.map(({ id }) => id);
  expect(await idsOf('run-3', nowMs)).toEqual(ids.filter((id) => id !== 'run-3'));
  expect(await idsOf('another', nowMs)).toEqual(ids);
  expect(await idsOf('another', startMs + 7 * 60_000 + 9_999)).toEqual(ids.slice(0, 7));
});
