import type { IncidentStage, Planted } from '../incident-stage.ts';
import { targetTask } from '../incident-stage.ts';
import { executionOfRequest, type Pool } from '../orchestrator.ts';

const stepMs = 60_000;
/** Beyond this share of its memory a worker is killed. */
const fullShare = 0.85;

/** Workers give no memory back; they grow slower as they fill up, and are killed when nothing is left. */
export function plantMemoryLeak(stage: IncidentStage): Planted {
  const pool = stage.poolOf(targetTask(stage));
  const steps = Math.max(4, Math.floor((stage.planned.endMs - stage.nowMs) / stepMs));
  // The first is full at two thirds of the time, so that the kill and what follows belong to the incident.
  const bytesPerStep = Math.round((pool.spec.memoryBytes * fullShare) / (steps * 0.66));
  const workerIds: string[] = [];
  const stopLeaking = leakEvery(stage, pool, bytesPerStep, workerIds);
  const shareOf = (workerId: string) => (pool.workers.get(workerId)?.leakedBytes ?? 0) / pool.spec.memoryBytes;
  const stopAffecting = stage.affect({
    durationMs: ({ worker, executionId }, drawnMs) => {
      const share = worker === null ? 0 : shareOf(worker.workerId);
      if (share > 0) stage.touch(executionId);
      return drawnMs * (1 + 1.5 * share * share);
    },
    usage: ({ worker }, usage) => {
      const share = worker === null ? 0 : shareOf(worker.workerId);
      const leakedBytes = (share * pool.spec.memoryBytes) / pool.spec.slots;
      return {
        ...usage,
        memoryPeakBytes: usage.memoryPeakBytes + leakedBytes,
        memoryMeanBytes: usage.memoryMeanBytes + leakedBytes,
        gcPauseMs: usage.gcPauseMs + usage.cpuMs * 0.3 * share,
      };
    },
  });
  return {
    cause: `a client library on the workers of ${pool.id} never closes its buffers`,
    poolId: pool.id,
    workerIds,
    parameters: { leaked_bytes_per_minute: bytesPerStep },
    end: () => {
      stopLeaking();
      stopAffecting();
      for (const record of pool.workers.values()) Object.assign(record, { leakedBytes: 0, health: 1 });
    },
  };
}

function leakEvery(stage: IncidentStage, pool: Pool, bytesPerStep: number, workerIds: string[]): () => void {
  let isOver = false;
  const step = () => {
    if (isOver) return;
    for (const workerId of [...pool.line.workers.keys()]) {
      if (!workerIds.includes(workerId)) workerIds.push(workerId);
      leakOnce(stage, pool, workerId, bytesPerStep);
    }
    if (stage.nowMs + stepMs <= stage.planned.endMs) stage.at(stage.nowMs + stepMs, step);
  };
  step();
  return () => {
    isOver = true;
  };
}

function leakOnce(stage: IncidentStage, pool: Pool, workerId: string, bytesPerStep: number): void {
  const record = pool.workers.get(workerId);
  if (record === undefined) return;
  // Not all of them do the same work.
  record.leakedBytes += bytesPerStep * stage.random.between(0.6, 1);
  const share = record.leakedBytes / pool.spec.memoryBytes;
  record.health = Math.max(0.2, 1 - share);
  if (share <= fullShare) return;
  for (const held of pool.line.workers.get(workerId)?.holds ?? []) stage.touch(executionOfRequest(held));
  stage.owner.removeWorker(pool, workerId, 'kill');
  pool.ledger.exhaustions++;
  pool.ledger.restarts++;
  stage.owner.addWorker(pool);
}
