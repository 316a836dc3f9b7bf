import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readEventFile } from '../../services/analysis/event-file.ts';
import type { ExecutionTrace } from '../../services/analysis/execution-trace.ts';
import type { TruthRecord } from '../../services/simulator/truth.ts';
import { allWorkflows } from '../../services/simulator/workflow-catalogue.ts';

const simulate = path.join(import.meta.dirname, '../../services/simulator/simulate.ts');

/** A day of the simulated fleet by workflow, and what was planted in it. */
export async function simulateFleet(
  scenario: string,
  seed: number,
): Promise<{ histories: ExecutionTrace[][]; truths: TruthRecord[] }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'weir-insight-'));
  try {
    const out = path.join(folder, 'fleet.jsonl');
    execFileSync(process.execPath, [simulate, '--scenario', scenario, '--seed', `${seed}`, '--out', out], {
      stdio: 'ignore',
    });
    const { executions } = await readEventFile(out);
    const truthLines = readFileSync(path.join(folder, 'fleet.truth.jsonl'), 'utf8').split('\n');
    const truths = truthLines.filter((line) => line !== '').map((line) => JSON.parse(line) as TruthRecord);
    return { histories: [...Map.groupBy(executions, ({ workflowId }) => workflowId).values()], truths };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A slow answer holds nothing up where what follows goes on with the first few of several. */
export function isWaitedFor(workflowId: string | undefined, taskId: string | undefined): boolean {
  const definition = allWorkflows.find(({ id }) => id === workflowId);
  if (definition === undefined) throw new Error(`the simulator has no workflow ${workflowId}`);
  const waiting = definition.tasks.filter(({ after = [] }) =>
    after.some((before) => (typeof before === 'string' ? before : before.task) === taskId),
  );
  return waiting.length === 0 || waiting.some(({ join = 'all' }) => join === 'all');
}

/** How much of the run's time the slowest instance of this task takes. */
export function shareOfRun({ startedAtMs, endedAtMs, tasks }: ExecutionTrace, taskId: string | undefined): number {
  const attempts = tasks.filter((task) => task.taskId === taskId).flatMap((task) => task.attempts);
  const longestMs = Math.max(0, ...attempts.map((attempt) => attempt.durationMs ?? 0));
  return longestMs / Math.max(1, (endedAtMs ?? 0) - (startedAtMs ?? 0));
}
