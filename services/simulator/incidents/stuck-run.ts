import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** One run waits for ever on one task, until somebody cancels it. */
export function plantStuckRun(stage: IncidentStage): Planted {
  const { workflowId, taskId } = targetTask(
    stage,
    stage.workTasks.filter(({ hasTimeout }) => !hasTimeout),
  );
  let stuck: string | null = null;
  const release = stage.affect({
    durationMs: (moment, drawnMs) => {
      if (moment.workflowId !== workflowId || moment.taskId !== taskId) return drawnMs;
      if (stuck !== null) return drawnMs;
      stuck = moment.executionId;
      stage.touch(moment.executionId);
      return Number.POSITIVE_INFINITY;
    },
  });
  return {
    cause: `task ${taskId} waits for a lock that nobody will ever release`,
    workflowIds: [workflowId],
    taskIds: [taskId],
    parameters: { runs: 1 },
    end: () => {
      release();
      if (stuck !== null) stage.cancel(stuck, 'stuck; stopped by the operator on duty');
    },
  };
}
