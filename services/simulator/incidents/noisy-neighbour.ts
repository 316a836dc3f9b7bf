import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** Somebody else's bulk job takes most of the slots of a pool, and slows down whoever gets one. */
export function plantNoisyNeighbour(stage: IncidentStage): Planted {
  const pool = stage.poolOf(targetTask(stage));
  const slots = Math.max(1, Math.floor(pool.line.slotsTotal * 0.7));
  const slowdown = 1.6;
  const ids = Array.from({ length: slots }, (_, index) => `${stage.planned.id}|neighbour|${index}`);
  const granted = new Set<string>();
  let isOver = false;
  for (const id of ids) {
    pool.line.request({
      id,
      cpuCores: 0.5,
      memoryBytes: 2 ** 29,
      priority: 1_000,
      fairKey: id,
      expectedMs: 1,
      granted: () => {
        if (isOver) pool.line.release(id);
        else granted.add(id);
      },
      lost: () => void granted.delete(id),
    });
  }
  const stopAffecting = stage.affect({
    durationMs: (moment, drawnMs) => {
      if (moment.worker?.pool !== pool.name || pool.line.workers.get(moment.worker.workerId) === undefined)
        return drawnMs;
      stage.touch(moment.executionId);
      return drawnMs * slowdown;
    },
  });
  return {
    cause: `a back-fill of another team holds ${slots} slots of ${pool.id}`,
    poolId: pool.id,
    parameters: { slots, slowdown_factor: slowdown },
    end: () => {
      isOver = true;
      stopAffecting();
      for (const id of ids) if (!pool.line.withdraw(id) && granted.delete(id)) pool.line.release(id);
    },
  };
}
