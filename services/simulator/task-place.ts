import type { taskTypes } from '../../schemas/events.ts';
import { meanDurationMs } from './durations.ts';
import type { TaskChange } from './play-changes.ts';
import type { PlayContext } from './play-context.ts';
import type { TaskNode } from './task-graph.ts';
import type { VariableScope } from './variable-scope.ts';
import type { TaskDefinition } from './workflow-model.ts';

/** Where one instance of a task stands in its execution. */
export interface TaskPlace {
  context: PlayContext;
  node: TaskNode;
  /** That of the node, or what undoes it. */
  task: TaskDefinition;
  scope: VariableScope;
  mapIndex: number;
  mapSize: number | null;
  loopIteration: number | null;
  compensates: string;
  /** Tells it from every other instance of the execution. */
  key: string;
  /** What of a change is the same for all of its changes. */
  described: ReturnType<typeof describeAll> | null;
}

export function placeOf(place: Omit<TaskPlace, 'key' | 'described'>): TaskPlace {
  const { task, mapIndex, loopIteration } = place;
  return { ...place, key: placeKey(task.id, mapIndex, loopIteration), described: null };
}

export function placeKey(taskId: string, mapIndex: number, loopIteration: number | null): string {
  return `${taskId}/${mapIndex}/${loopIteration ?? ''}`;
}

/** What is known of it before anything happens. */
export function describePlace(place: TaskPlace): ReturnType<typeof describeAll> {
  place.described ??= describeAll(place);
  return place.described;
}

function describeAll(place: TaskPlace) {
  const { context, node, task, mapIndex, mapSize, loopIteration, compensates } = place;
  const { definition, options } = context;
  const isWork = task.kind === 'work';
  const isUndoing = compensates !== '';
  return {
    executionId: options.executionId,
    workflowId: definition.id,
    workflowVersion: definition.version,
    taskId: task.id,
    taskName: task.name,
    kind: task.kind,
    type: typeOf(task),
    mapIndex,
    mapSize,
    loopIteration,
    maxAttempts: task.retry?.attempts ?? 1,
    expectedMs: expectedMsOf(task),
    pool: isWork ? task.pool : null,
    queue: isWork ? (task.queue ?? task.pool) : null,
    operator: isWork ? task.operator : null,
    group: task.group ?? null,
    priority: task.priority ?? context.priority,
    stepOrder: node.stepOrder,
    triggerRule: isUndoing ? 'compensation' : node.triggerRule,
    dependencies: isUndoing ? [] : node.dependencies,
    dependents: isUndoing ? [] : node.dependentIds,
    compensates,
  } satisfies Partial<TaskChange>;
}

function expectedMsOf(task: TaskDefinition): number {
  return 'durationMs' in task ? meanDurationMs(task.durationMs) : 0;
}

function typeOf(task: TaskDefinition): (typeof taskTypes)[number] {
  switch (task.kind) {
    case 'work':
      return task.type;
    case 'switch':
      return 'decision';
    case 'human':
      return 'human';
    case 'wait':
    case 'workflow':
      return 'wait';
    default:
      return 'compute';
  }
}
