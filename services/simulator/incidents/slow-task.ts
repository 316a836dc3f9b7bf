import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** One task of one workflow takes several times as long, for instance because a table lost its index. */
export function plantSlowTask(stage: IncidentStage): Planted {
  const { workflowId, taskId } = targetTask(stage);
  const factor = Math.round(stage.random.between(3, 6) * 10) / 10;
  const end = stage.affect({
    durationMs: (moment, drawnMs) => {
      if (moment.workflowId !== workflowId || moment.taskId !== taskId) return drawnMs;
      stage.touch(moment.executionId);
      return drawnMs * factor;
    },
  });
  return {
    cause: `task ${taskId} reads a table that lost its index`,
    workflowIds: [workflowId],
    taskIds: [taskId],
    parameters: { duration_factor: factor },
    end,
  };
}
