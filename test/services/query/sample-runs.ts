import type { ExecutionRecord, TaskRecord } from '../../../schemas/records.ts';
import { createRandom } from '../../../services/simulator/random.ts';

/** Runs of a small workflow as plain data, the records that tell of them, and nothing of how they are computed. */
export interface SampleTask {
  id: string;
  dependencies: string[];
  attempts: { readyMs: number; queuedMs: number; startedMs: number; endedMs: number; state: string }[];
}

export interface SampleRun {
  workspace: string;
  workflow: string;
  id: string;
  state: string;
  queuedMs: number;
  startedMs: number;
  endedMs: number;
  cost: number | null;
  tasks: SampleTask[];
}

interface SampleOptions {
  workspace: string;
  /** Stands in every name, so that it shows wherever a name of this workspace does. */
  mark: string;
  runs: number;
  seed: number;
  /** The newest run ends before this instant. */
  untilMs: number;
  everyMs: number;
}

const graph: { id: string; dependencies: string[] }[] = [
  { id: 'extract', dependencies: [] },
  { id: 'transform', dependencies: ['extract'] },
  { id: 'check', dependencies: ['extract'] },
  { id: 'load', dependencies: ['transform', 'check'] },
];

export function makeRuns({ workspace, mark, runs, seed, untilMs, everyMs }: SampleOptions): SampleRun[] {
  const random = createRandom(seed);
  const workflow = `${mark}-orders`;
  return Array.from({ length: runs }, (_, at) => {
    const queuedMs = untilMs - (runs - at) * everyMs - 240_000;
    const startedMs = queuedMs + random.below(4_000);
    const fails = at % 7 === 3;
    const tasks: SampleTask[] = [];
    let endedMs = startedMs;
    for (const { id, dependencies } of graph) {
      const name = `${mark}-${id}`;
      const needs = dependencies.map((dependency) => `${mark}-${dependency}`);
      const before = tasks.filter((task) => needs.includes(task.id)).map((task) => task.attempts.at(-1)?.endedMs ?? 0);
      const attempts = [];
      let readyMs = Math.max(startedMs, ...before) + random.below(50);
      const tries = at % 5 === 1 && id === 'check' ? 2 : 1;
      for (let attempt = 1; attempt <= tries; attempt++) {
        const beganMs = readyMs + 20 + random.below(900);
        const overMs = beganMs + 1 + random.below(20_000);
        const state = attempt < tries || (fails && id === 'load') ? 'failed' : 'completed';
        attempts.push({ readyMs, queuedMs: readyMs + 20, startedMs: beganMs, endedMs: overMs, state });
        readyMs = overMs + 500;
      }
      tasks.push({ id: name, dependencies: needs, attempts });
      endedMs = Math.max(endedMs, attempts.at(-1)?.endedMs ?? 0);
    }
    const cost = at % 4 === 0 ? null : Math.round(random.below(1_000_000)) / 1e6;
    const state = fails ? 'failed' : 'completed';
    return {
      workspace,
      workflow,
      id: `${mark}-run-${at}`,
      state,
      queuedMs,
      startedMs,
      endedMs: endedMs + 5,
      cost,
      tasks,
    };
  });
}

export function executionRecords(run: SampleRun): ExecutionRecord[] {
  const about = {
    workspace: run.workspace,
    workflow_id: run.workflow,
    execution_id: run.id,
    queued_at: run.queuedMs,
    trigger_type: 'scheduled',
    input: JSON.stringify({ batch: run.id }),
  };
  const error = run.state === 'failed' ? { error_type: 'LoadError', error_message: `${run.id} broke` } : {};
  return [
    { ...about, state: 'pending', event_time: run.queuedMs },
    { ...about, state: 'running', event_time: run.startedMs, started_at: run.startedMs },
    { ...about, ...error, state: run.state, event_time: run.endedMs, started_at: run.startedMs, cost: run.cost },
  ];
}

export function taskRecords(run: SampleRun): TaskRecord[] {
  return run.tasks.flatMap((task) =>
    task.attempts.flatMap(({ readyMs, queuedMs, startedMs, endedMs, state }, at) => {
      const about = {
        workspace: run.workspace,
        workflow_id: run.workflow,
        execution_id: run.id,
        task_id: task.id,
        task_type: 'compute',
        attempt: at + 1,
        ready_at: readyMs,
        queued_at: queuedMs,
        dependencies: task.dependencies.map((task_id) => ({ task_id })),
      };
      return [
        { ...about, state: 'queued', event_time: queuedMs },
        { ...about, state: 'running', event_time: startedMs, started_at: startedMs },
        { ...about, state, event_time: endedMs, started_at: startedMs },
      ];
    }),
  );
}

export const toMessages = (records: readonly (ExecutionRecord | TaskRecord)[]) =>
  records.map((record) => ({
    key: record.execution_id,
    value: JSON.stringify(record),
    timestampMs: record.event_time,
  }));

/** Nearest rank over all values: the definition, without a histogram. */
export function exactPercentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(1, Math.ceil((percent * sorted.length) / 100 - 1e-9)) - 1];
}
