import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** A task fails again and again with errors that look temporary, and clients start every failed run anew at once. */
export function plantRetryStorm(stage: IncidentStage): Planted {
  const { workflowId, taskId } = targetTask(stage);
  const failureRatio = 0.75;
  const error = {
    type: 'RateLimited',
    code: '429',
    message: 'too many requests, try again',
    stack: 'RateLimited: too many requests, try again\n    at throttle (gateway:88)',
    retryable: true,
  };
  const stopFailing = stage.affect({
    failure: (moment) => {
      if (moment.workflowId !== workflowId || moment.taskId !== taskId) return undefined;
      if (!stage.random.chance(failureRatio)) return undefined;
      stage.touch(moment.executionId);
      return error;
    },
  });
  const stopClients = stage.onRunEnd((endedWorkflowId, state) => {
    if (endedWorkflowId !== workflowId || state !== 'failed') return;
    const executionId = stage.startRun(workflowId, 'client-retry');
    if (executionId !== null) stage.touch(executionId);
  });
  return {
    cause: `the service behind ${taskId} throttles, and clients retry without pause`,
    workflowIds: [workflowId],
    taskIds: [taskId],
    parameters: { failure_ratio: failureRatio },
    end: () => {
      stopFailing();
      stopClients();
    },
  };
}
