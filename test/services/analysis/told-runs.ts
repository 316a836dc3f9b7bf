import type { ExecutionEvent, TaskEvent } from '../../../schemas/events.ts';
import { type ExecutionTrace, gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import type { Random } from '../../../services/simulator/random.ts';
import { dependenciesOn, executionEvent, taskEvent } from '../../support/canonical-events.ts';

/** One task as a test writes it down; seconds, because examples are easier to read so. */
export interface ToldTask {
  id: string;
  after?: string[];
  ready?: number;
  start: number;
  end: number | null;
  state?: TaskEvent['state'];
  fields?: Partial<TaskEvent>;
}

export interface ToldRun {
  id?: string;
  start?: number;
  end: number | null;
  state?: ExecutionEvent['state'];
  tasks: ToldTask[];
  fields?: Partial<ExecutionEvent>;
}

const originMs = Date.UTC(2026, 0, 5);

export const at = (seconds: number): number => originMs + Math.round(seconds * 1000);

function tellRun({
  id = 'run-1',
  start = 0,
  end,
  state = 'completed',
  tasks,
  fields,
}: ToldRun): (ExecutionEvent | TaskEvent)[] {
  const own = { executionId: id, ...fields };
  const events: (ExecutionEvent | TaskEvent)[] = [
    executionEvent({ ...own, state: 'running', eventTimeMs: at(start), startedAtMs: at(start) }),
  ];
  for (const task of tasks) events.push(...tellTask(id, start, task));
  if (end !== null)
    events.push(executionEvent({ ...own, state, eventTimeMs: at(start + end), startedAtMs: at(start) }));
  return events;
}

function tellTask(
  executionId: string,
  origin: number,
  { id, after = [], ready, start, end, state, fields }: ToldTask,
): TaskEvent[] {
  const readyAtMs = ready === undefined ? null : at(origin + ready);
  const startedAtMs = at(origin + start);
  const common = {
    executionId,
    taskId: id,
    taskName: id,
    dependencies: dependenciesOn(...after),
    readyAtMs,
    ...fields,
  };
  const events = [taskEvent({ ...common, state: 'running', eventTimeMs: startedAtMs, startedAtMs })];
  if (end === null) return events;
  const eventTimeMs = at(origin + end);
  const durationUs = (end - start) * 1e6;
  events.push(taskEvent({ ...common, state: state ?? 'completed', eventTimeMs, startedAtMs, durationUs }));
  return events;
}

export const gatherRuns = (...runs: ToldRun[]): ExecutionTrace[] => gatherExecutions(runs.flatMap(tellRun));

export const gatherOne = (run: ToldRun): ExecutionTrace => gatherRuns(run)[0];

/** A graph at random whose tasks start when everything before them is over, after a delay. */
export function drawRun(random: Random, mostTasks: number): ToldRun {
  const count = 1 + random.below(mostTasks);
  const tasks: (ToldTask & { end: number })[] = [];
  for (let index = 0; index < count; index++) {
    const before = tasks.filter(() => random.chance(2 / (index + 1)));
    const ready = Math.max(0, ...before.map(({ end }) => end));
    const start = ready + (random.chance(0.5) ? 0 : random.below(20));
    const after = before.map(({ id }) => id);
    tasks.push({ id: `t${index}`, after, ready, start, end: start + 1 + random.below(50) });
  }
  const end = Math.max(...tasks.map((task) => task.end)) + random.below(5);
  return { end, tasks };
}
