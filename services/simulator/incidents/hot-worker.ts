import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** Something beside the tasks takes the CPU of one worker, and all that runs there is slow. */
export function plantHotWorker(stage: IncidentStage): Planted {
  const pool = stage.poolOf(targetTask(stage));
  const worker = stage.random.pick([...pool.line.workers.values()]);
  const { id: workerId, speed: speedBefore } = worker;
  const speedFactor = 0.3;
  const record = pool.workers.get(workerId);
  worker.speed = speedBefore * speedFactor;
  if (record !== undefined) Object.assign(record, { stolenCores: worker.cpuCores * 0.9, health: 0.45 });
  const stopWatching = stage.affect({
    durationMs: (moment, drawnMs) => {
      if (moment.worker?.workerId === workerId) stage.touch(moment.executionId);
      return drawnMs;
    },
  });
  return {
    cause: `a log shipper gone wild takes the CPU of ${workerId}`,
    poolId: pool.id,
    workerIds: [workerId],
    parameters: { speed_factor: speedFactor },
    end: () => {
      stopWatching();
      worker.speed = speedBefore;
      if (record !== undefined) Object.assign(record, { stolenCores: 0, health: 1 });
    },
  };
}
