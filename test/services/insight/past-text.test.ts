import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cutExecution, estimateCompletion } from '../../../services/analysis/completion-estimate.ts';
import { findCriticalPath } from '../../../services/analysis/critical-path.ts';
import { readEventFile } from '../../../services/analysis/event-file.ts';
import { type ExecutionTrace, startOf } from '../../../services/analysis/execution-trace.ts';
import { timeRun } from '../../../services/analysis/timed-run.ts';
import { Past } from '../../../services/insight/past-runs.ts';
import { readPast, writePast } from '../../../services/insight/past-text.ts';
import { dayMs, dayStartMs, sendSegment } from '../simulator/simulated-days.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'weir-past-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What a whole simulated fleet ran in eight hours, by workflow. */
const ran = new Map<string, ExecutionTrace[]>();

beforeAll(async () => {
  const endMs = dayStartMs + dayMs / 3;
  const place = { startMs: dayStartMs, endMs, gridEndMs: endMs, firstMs: dayStartMs, seed: 31 };
  const lines: string[] = [];
  for (const { topic, record } of sendSegment('quiet-fleet', place)) {
    if (topic !== 'orchestrators') lines.push(JSON.stringify(record));
  }
  const file = path.join(folder, 'events.jsonl');
  writeFileSync(file, lines.join('\n'));
  const { executions } = await readEventFile(file);
  for (const execution of executions) {
    const key = `${execution.workspace}/${execution.workflowId}`;
    ran.set(key, [...(ran.get(key) ?? []), execution].slice(-61));
  }
}, 60_000);

function takeApart(text: string): ExecutionTrace[] {
  const executions = readPast(text);
  if (executions === null) throw new Error('not readable');
  return executions;
}

test('executions that were written down teach what they taught themselves', () => {
  let [paths, ends] = [0, 0];
  for (const [workflow, runs] of ran) {
    const [one, past] = [runs[runs.length - 1], runs.slice(0, -1)];
    const themselves = new Past({ executions: past, leftOut: 0 });
    const written = new Past({ executions: takeApart(writePast(past)), leftOut: 0 });
    const knowing = ({ knowledge }: Past) => findCriticalPath(timeRun(one, knowledge));
    expect(knowing(written), workflow).toEqual(knowing(themselves));
    if (one.tasks.length > 0) paths++;
    const nowMs = Math.round(startOf(one) + ((one.endedAtMs ?? one.lastSeenMs) - startOf(one)) / 2);
    const running = cutExecution(one, nowMs);
    const expected = estimateCompletion(running, themselves.timed, nowMs);
    expect(estimateCompletion(running, written.timed, nowMs), workflow).toEqual(expected);
    if (!('refused' in expected)) ends++;
  }
  // Of nothing both would say the same.
  expect(paths).toBeGreaterThan(5);
  expect(ends).toBeGreaterThan(5);
});

test('ends that nobody told are learned of in the same way', () => {
  for (const [workflow, runs] of ran) {
    const [one, past] = [runs[runs.length - 1], runs.slice(0, -1)];
    const tasks = one.tasks.map((task) => ({
      ...task,
      dependencies: [],
      attempts: task.attempts.map((attempt) => ({ ...attempt, endedAtMs: null, durationMs: null, state: 'running' })),
    }));
    const knowing = ({ knowledge }: Past) => findCriticalPath(timeRun({ ...one, tasks }, knowledge));
    const themselves = knowing(new Past({ executions: past, leftOut: 0 }));
    expect(knowing(new Past({ executions: takeApart(writePast(past)), leftOut: 0 })), workflow).toEqual(themselves);
  }
});

/** Without what is not written down. */
const forget = (execution: ExecutionTrace): ExecutionTrace => ({
  ...execution,
  ...{ workflowName: '', workflowVersion: '', triggerType: '', parentExecutionId: '', parentTaskId: '' },
  ...{ input: '', inputBytes: null, costMicros: null, errorType: '' },
  tasks: execution.tasks.map((task) => ({
    ...task,
    ...{ taskName: '', compensates: '' },
    dependencies: task.dependencies.map(({ taskId }) => ({ taskId, type: '', optional: false, condition: '' })),
    attempts: task.attempts.map((attempt) => ({
      ...attempt,
      ...{ costMicros: null, cpuUs: null, ioWaitUs: null, cpuRatioMean: null },
      ...{ memoryPeakBytes: null, memoryAllocatedBytes: null, errorType: '', errorMessage: '' },
    })),
  })),
});

test('every instant and every word comes back as it was', () => {
  const past = [...ran.values()].flat();
  expect(takeApart(writePast(past))).toEqual(past.map(forget));
});

test('an attempt takes few bytes', () => {
  const past = [...ran.values()].flat();
  const attempts = past.flatMap(({ tasks }) => tasks.flatMap((task) => task.attempts)).length;
  expect(attempts).toBeGreaterThan(1000);
  expect(writePast(past).length / attempts).toBeLessThan(150);
});

test('what another version wrote is not read', () => {
  const text = writePast([]);
  expect(readPast(text)).toEqual([]);
  expect(readPast(text.replace('"format":1', '"format":2'))).toBeNull();
});
