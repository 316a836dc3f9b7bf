import type { ExecutionChange, TaskError } from './play-changes.ts';
import type { AttemptEnd, TaskAttempt } from './task-attempt.ts';
import { evaluateAll, fullError } from './task-kinds.ts';
import type { WorkflowTask } from './workflow-model.ts';

/** Starts another workflow; its end is the end of the task, unless nobody waits for it. */
export function beginChild(attempt: TaskAttempt, task: WorkflowTask): void {
  const { context, place } = attempt;
  const variables = evaluateAll(task.input ?? {}, place.scope.get);
  const executionId = childIdOf(attempt);
  attempt.facts.input = variables;
  attempt.facts.childExecutionId = executionId;
  attempt.enterRunning();
  const handle = context.startChild({
    workflowId: task.workflow,
    executionId,
    variables,
    priority: task.priority ?? context.priority,
    parentExecutionId: context.options.executionId,
    parentTaskId: task.id,
    rootExecutionId: context.origin.rootExecutionId,
    over: (end) => attempt.finish(endOfChild(end)),
  });
  if (handle === null) {
    attempt.finish({ state: 'failed', error: unknownWorkflow(task.workflow) });
    return;
  }
  context.childExecutionIds.push(executionId);
  if (task.wait === false) attempt.finish({ state: 'completed', output: { executionId } });
  attempt.endAfter(Number.POSITIVE_INFINITY, () => ({ state: 'completed' }));
  attempt.onAbort((reason) => handle.cancel(reason));
}

function childIdOf({ context, place, number }: TaskAttempt): string {
  const { task, mapIndex, loopIteration } = place;
  const parts = [task.id, mapIndex < 0 ? '' : `m${mapIndex}`, loopIteration === null ? '' : `i${loopIteration}`];
  const again = number === 1 ? '' : `a${number}`;
  return [context.options.executionId, ...parts, again].filter((part) => part !== '').join('.');
}

function endOfChild({ executionId, state, output, error, cancelReason }: ExecutionChange): AttemptEnd {
  if (state === 'completed' || state === 'partial') return { state: 'completed', output };
  const why = error?.message ?? cancelReason;
  const message = `execution ${executionId} ended as ${state}${why === '' ? '' : `: ${why}`}`;
  return { state: 'failed', error: fullError({}, 'ChildFailed', message) };
}

function unknownWorkflow(workflowId: string): TaskError {
  return fullError({ retryable: false }, 'UnknownWorkflow', `there is no workflow ${workflowId}`);
}
