import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** A new version of a workflow is slower and fails more often, until it is taken back. */
export function plantVersionRegression(stage: IncidentStage): Planted {
  const { workflowId, taskId } = targetTask(stage);
  const goodVersion = stage.versionOf(workflowId);
  const badVersion = `${goodVersion}.1`;
  const durationFactor = Math.round(stage.random.between(1.7, 2.6) * 10) / 10;
  const failureRatio = 0.12;
  const message = 'cannot read property "amount" of undefined';
  const error = {
    type: 'TypeError',
    code: '',
    message,
    stack: `TypeError: ${message}\n    at ${taskId}`,
    retryable: false,
  };
  stage.release(workflowId, badVersion);
  // Runs of the bad version stay bad, however long they take; nothing else has this version.
  stage.affect({
    durationMs: (moment, drawnMs) => {
      if (moment.workflowVersion !== badVersion || moment.workflowId !== workflowId) return drawnMs;
      stage.touch(moment.executionId);
      return moment.taskId === taskId ? drawnMs * durationFactor : drawnMs;
    },
    failure: (moment) => {
      if (moment.workflowVersion !== badVersion || moment.workflowId !== workflowId) return undefined;
      return moment.taskId === taskId && stage.random.chance(failureRatio) ? error : undefined;
    },
  });
  return {
    cause: `version ${badVersion} of ${workflowId} parses every record twice`,
    workflowIds: [workflowId],
    taskIds: [taskId],
    parameters: {
      good_version: goodVersion,
      bad_version: badVersion,
      duration_factor: durationFactor,
      failure_ratio: failureRatio,
    },
    end: () => stage.release(workflowId, goodVersion),
  };
}
