import { endStates } from '../../../schemas/events.ts';
import type { TaskChange } from '../../../services/simulator/play-changes.ts';
import type { WorkerPool } from '../../../services/simulator/resources.ts';
import type { Listener } from './play-stage.ts';

const isEnd = (state: string): boolean => (endStates as readonly string[]).includes(state);
const timesInOrder = ['readyAtMs', 'queuedAtMs', 'dispatchedAtMs', 'startedAtMs', 'endedAtMs'] as const;

/** What every play must keep, whatever is played: each breach is a sentence. */
export function findProblems(listener: Listener, pools: readonly WorkerPool[]): string[] {
  return [
    ...findWrongEnds(listener.tasks),
    ...listener.tasks.flatMap(findWrongTimes),
    ...findBackwards(listener.tasks),
    ...findUnplayed(listener),
    ...pools.flatMap(findLeftovers),
  ];
}

const nameOf = ({ executionId, executionAttempt, taskId, mapIndex, loopIteration, attempt }: TaskChange): string =>
  `${executionId}(${executionAttempt}) ${taskId}/${mapIndex}/${loopIteration} attempt ${attempt}`;

/** Each attempt that was told of ends once, and nothing but a retry is told of it after that. */
function findWrongEnds(changes: readonly TaskChange[]): string[] {
  const ends = new Map<string, number>();
  const problems: string[] = [];
  for (const change of changes) {
    const name = nameOf(change);
    const before = ends.get(name) ?? 0;
    if (before > 0 && change.state !== 'retrying') problems.push(`${name} is told as ${change.state} after its end`);
    ends.set(name, before + (isEnd(change.state) ? 1 : 0));
  }
  for (const [name, count] of ends) if (count !== 1) problems.push(`${name} ended ${count} times`);
  return problems;
}

function findWrongTimes(change: TaskChange): string[] {
  const times = timesInOrder.map((field) => change[field]).filter((time) => time !== null);
  const sorted = times.every((time, index) => index === 0 || times[index - 1] <= time);
  return sorted && times.every((time) => time <= change.atMs) ? [] : [`${nameOf(change)} has times out of order`];
}

function findBackwards(changes: readonly TaskChange[]): string[] {
  const index = changes.findIndex((change, at) => at > 0 && change.atMs < changes[at - 1].atMs);
  return index < 0 ? [] : [`time runs backwards at change ${index}`];
}

/** Every task of an execution that is over has ended or was skipped. */
function findUnplayed({ executions, tasks }: Listener): string[] {
  return executions
    .filter(({ phase }) => phase === 'over')
    .flatMap(({ executionId, definition, tasksTotal, tasksOver, startedAtMs }) => {
      const ended = new Set(
        tasks.filter((one) => one.executionId === executionId && isEnd(one.state)).map((one) => one.taskId),
      );
      const missing = startedAtMs === null ? [] : definition.tasks.filter(({ id }) => !ended.has(id));
      const problems = missing.map(({ id }) => `${executionId} is over, ${id} is not`);
      return tasksOver === tasksTotal || startedAtMs === null
        ? problems
        : [...problems, `${executionId} is over early`];
    });
}

function findLeftovers(pool: WorkerPool): string[] {
  pool.assertConserved();
  if (pool.slotsUsed === 0 && pool.waitingCount === 0) return [];
  return [`pool ${pool.name} has ${pool.slotsUsed} slots in use and ${pool.waitingCount} waiting`];
}
