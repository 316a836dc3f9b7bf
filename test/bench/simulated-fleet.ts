import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readEventFile } from '../../services/analysis/event-file.ts';
import type { ExecutionTrace } from '../../services/analysis/execution-trace.ts';
import type { TruthRecord } from '../../services/simulator/truth.ts';

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
