import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** A supplier changed a format: one task meets data that it cannot read, and trying again is useless. */
export function plantBadInput(stage: IncidentStage): Planted {
  const { workflowId, taskId } = targetTask(stage);
  const failureRatio = Math.round(stage.random.between(0.6, 0.9) * 100) / 100;
  const message = 'column amount holds a text where a number was expected';
  const error = {
    type: 'ValueError',
    code: 'EFORMAT',
    message,
    stack: `ValueError: ${message}\n    at parse (${taskId}:52)`,
    retryable: false,
  };
  const end = stage.affect({
    failure: (moment) => {
      if (moment.workflowId !== workflowId || moment.taskId !== taskId) return undefined;
      if (!stage.random.chance(failureRatio)) return undefined;
      stage.touch(moment.executionId);
      return error;
    },
  });
  return {
    cause: `a supplier renamed the columns of the file that ${taskId} reads`,
    workflowIds: [workflowId],
    taskIds: [taskId],
    parameters: { failure_ratio: failureRatio },
    end,
  };
}
