import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** A service that tasks of several workflows call is away: they fail, and what waits for them never runs. */
export function plantFailingDependency(stage: IncidentStage): Planted {
  const target = targetTask(
    stage,
    stage.workTasks.filter(({ type }) => type === 'network'),
  );
  const callers = stage.workTasks.filter(({ operator, pool }) => operator === target.operator && pool === target.pool);
  const keys = new Set(callers.map(({ workflowId, taskId }) => `${workflowId} ${taskId}`));
  const failureRatio = Math.round(stage.random.between(0.85, 0.98) * 100) / 100;
  const service = `${target.operator.toLowerCase()}-backend`;
  const error = {
    type: 'ConnectionError',
    code: 'ECONNREFUSED',
    message: `${service}: connection refused`,
    stack: `ConnectionError: ${service}: connection refused\n    at connect (${service}/client:211)`,
    retryable: true,
  };
  const end = stage.affect({
    failure: (moment) => {
      if (!keys.has(`${moment.workflowId} ${moment.taskId}`) || !stage.random.chance(failureRatio)) return undefined;
      stage.touch(moment.executionId);
      return error;
    },
  });
  return {
    cause: `${service} refuses connections`,
    workflowIds: [...new Set(callers.map(({ workflowId }) => workflowId))],
    taskIds: [...new Set(callers.map(({ taskId }) => taskId))],
    parameters: { failure_ratio: failureRatio, service },
    end,
  };
}
