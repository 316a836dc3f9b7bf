import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** Far more runs begin within minutes than the pool can take, as after an import that was done twice. */
export function plantBacklog(stage: IncidentStage): Planted {
  const target = targetTask(stage);
  const pool = stage.poolOf(target);
  const lastsMs = stage.planned.endMs - stage.nowMs;
  const inPool = stage.workTasks.filter(
    ({ workflowId, pool: name }) => workflowId === target.workflowId && name === target.pool,
  );
  const workMs = inPool.reduce((sum, { expectedMs }) => sum + expectedMs, 0);
  // Enough to keep the pool at work for half of the time.
  const runs = Math.max(60, Math.min(500, Math.round((0.5 * lastsMs * pool.line.slotsTotal) / Math.max(1, workMs))));
  const withinMs = Math.min(600_000, lastsMs / 4);
  for (let run = 0; run < runs; run++) {
    stage.at(stage.nowMs + Math.round((run * withinMs) / runs), () => {
      const executionId = stage.startRun(target.workflowId, 'bulk-import');
      if (executionId !== null) stage.touch(executionId);
    });
  }
  return {
    cause: `an import was published twice and started ${runs} runs of ${target.workflowId} at once`,
    workflowIds: [target.workflowId],
    poolId: pool.id,
    parameters: { runs, within_ms: withinMs },
    end: () => {},
  };
}
