import type { ExecutionEvent, TaskEvent } from '../../../schemas/events.ts';

/**
 * Executions read off their events in the plainest way, and played again task by task, to hold what explanations say
 * against. It shares no code with the analyses, and knows only what planted workflows without loops tell: clocks that
 * agree, every dependency, and the end of every attempt.
 */
export interface PlainInstance {
  task: string;
  mapIndex: number;
  isSkipped: boolean;
  readyMs: number;
  after: string[];
  attempts: { startMs: number; endMs: number; isFailed: boolean }[];
  startMs: number;
  endMs: number;
}

export interface PlainRun {
  startMs: number;
  endMs: number;
  instances: PlainInstance[];
}

export function readPlainRuns(events: readonly (ExecutionEvent | TaskEvent)[]): PlainRun[] {
  const runs = new Map<string, PlainRun>();
  for (const event of events) {
    const run = runs.get(event.executionId) ?? { startMs: 0, endMs: 0, instances: [] };
    runs.set(event.executionId, run);
    if (event.kind === 'task') addTask(run.instances, event);
    else if (event.state === 'completed') {
      run.startMs = event.startedAtMs as number;
      run.endMs = event.eventTimeMs;
    }
  }
  return [...runs.values()];
}

function addTask(instances: PlainInstance[], event: TaskEvent): void {
  const { taskId, mapIndex, state, eventTimeMs } = event;
  if (!['completed', 'failed', 'skipped'].includes(state)) return;
  const startMs = event.startedAtMs ?? eventTimeMs;
  let instance = instances.find((known) => known.task === taskId && known.mapIndex === mapIndex);
  if (instance === undefined) {
    const after = event.dependencies.map((dependency) => dependency.taskId);
    const place = { task: taskId, mapIndex, isSkipped: state === 'skipped', readyMs: event.readyAtMs as number };
    instance = { ...place, after, attempts: [], startMs, endMs: eventTimeMs };
    instances.push(instance);
  }
  if (state === 'skipped') return;
  instance.attempts.push({ startMs, endMs: eventTimeMs, isFailed: state === 'failed' });
  instance.endMs = eventTimeMs;
}

export const ranOf = (run: PlainRun, task: string): PlainInstance[] =>
  run.instances.filter((instance) => instance.task === task && !instance.isSkipped);

/** What an instance waited for: all instances of the tasks that it names. */
const beforeOf = (run: PlainRun, after: readonly string[]): PlainInstance[] =>
  run.instances.filter(({ task }) => after.includes(task));

const lastEnd = (run: PlainRun, before: readonly PlainInstance[]): number =>
  Math.max(...(before.length === 0 ? [run.startMs] : before.map(({ endMs }) => endMs)));

export const makespanOf = ({ startMs, endMs }: PlainRun): number => endMs - startMs;

export const durationOf = ({ startMs, endMs }: PlainInstance): number => endMs - startMs;

/** Between the end of the last thing that was waited for and the start. */
export const lagOf = (run: PlainRun, instance: PlainInstance): number =>
  instance.startMs - lastEnd(run, beforeOf(run, instance.after));

/** From each failed attempt to the start of the next. */
export const retryLossOf = ({ attempts }: PlainInstance): number =>
  attempts.slice(1).reduce((sum, { startMs }, place) => sum + startMs - attempts[place].startMs, 0);

export interface PlainChange {
  duration?: (instance: PlainInstance, run: PlainRun) => number;
  lag?: (instance: PlainInstance, run: PlainRun) => number;
  after?: (instance: PlainInstance) => readonly string[];
}

/** How long the execution would have taken: everything begins its lag after the last thing that it waits for. */
export function playAgain(run: PlainRun, change: PlainChange): number {
  const ends = new Map<PlainInstance, number>();
  const endOf = (instance: PlainInstance): number => {
    const known = ends.get(instance);
    if (known !== undefined) return known;
    const before = beforeOf(run, change.after?.(instance) ?? instance.after);
    const readyMs = Math.max(...(before.length === 0 ? [run.startMs] : before.map(endOf)));
    const lagMs = change.lag?.(instance, run) ?? lagOf(run, instance);
    const endMs = readyMs + lagMs + (change.duration?.(instance, run) ?? durationOf(instance));
    ends.set(instance, endMs);
    return endMs;
  };
  return Math.max(...run.instances.map(endOf)) - run.startMs;
}

/** How much shorter the executions would have been, on average. */
export const gainOf = (runs: readonly PlainRun[], change: PlainChange): number =>
  mean(runs.map((run) => makespanOf(run) - playAgain(run, change)));

/** From the end of the execution back to its start, always to what ended last of what was waited for. */
export function walkPlainPath(run: PlainRun): PlainInstance[] {
  const path: PlainInstance[] = [];
  for (let open = run.instances; open.length > 0; open = beforeOf(run, path[0].after)) {
    const latestMs = Math.max(...open.map(({ endMs }) => endMs));
    const latest = open.filter(({ endMs }) => endMs === latestMs);
    path.unshift(latest.find(({ isSkipped }) => !isSkipped) ?? latest[0]);
  }
  return path;
}

/** How much longer an instance could have taken without the execution ending later. */
export function slackOf(run: PlainRun, late: PlainInstance): number {
  const lateMs = 1e9;
  const duration = (instance: PlainInstance) => durationOf(instance) + (instance === late ? lateMs : 0);
  return lateMs - (playAgain(run, { duration }) - makespanOf(run));
}

export const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted.length === 0 ? 0 : (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

/** Of the ranks of two lists; equal values share theirs. */
export function correlateRanks(left: readonly number[], right: readonly number[]): number {
  const rankOf = (values: readonly number[], own: number) =>
    values.filter((value) => value < own).length + values.filter((value) => value === own).length / 2;
  const offsOf = (values: readonly number[]) => values.map((own) => rankOf(values, own) - values.length / 2);
  const productOf = (one: readonly number[], other: readonly number[]) =>
    one.reduce((sum, value, index) => sum + value * other[index], 0);
  const [one, other] = [offsOf(left), offsOf(right)];
  return productOf(one, other) / Math.sqrt(productOf(one, one) * productOf(other, other));
}
