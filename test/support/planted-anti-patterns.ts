import type { ErrorInfo, ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { dependenciesOn, executionEvent, taskEvent } from './canonical-events.ts';

/**
 * Executions of a workflow with one bad habit, or with none. They are played on pools of slots that all executions
 * share, and are written from what the habits mean alone, without sight of what finds them.
 */
export const plantedHabits = ['god_workflow', 'bottleneck_cascade', 'retry_storm', 'resource_starvation'] as const;
export type PlantedHabit = (typeof plantedHabits)[number];

interface PlannedTask {
  id: string;
  after: string[];
  medianMs: number;
  pool: string;
}

interface Behaviour {
  /** Arrivals lie so far apart. */
  everyMs: number;
  executions: number;
  slots: Record<string, number>;
  /** Chance that an attempt that starts at this moment fails. */
  failureRatio(task: PlannedTask, atMs: number): number;
  attemptsMost: number;
  retryDelayMs: number;
  /** What a task of an execution takes beside what is usual, and how long it waits although slots are free. */
  change(task: PlannedTask, ends: ReadonlyMap<string, PlayedTask>): { factor: number; waitMs: number };
}

interface PlayedTask {
  spanMs: number;
  endMs: number;
}

const firstMs = Date.UTC(2026, 0, 5);
const minuteMs = 60_000;
const awayError: ErrorInfo = { type: 'ServiceUnavailable', code: '503', message: 'the service is away', stack: '' };

const calm: Behaviour = {
  everyMs: 20 * minuteMs,
  executions: 40,
  slots: {},
  failureRatio: () => 0.005,
  attemptsMost: 4,
  retryDelayMs: 5_000,
  change: () => ({ factor: 1, waitMs: 0 }),
};

export interface HabitCase {
  seed: number;
  habit: PlantedHabit | null;
  events: (ExecutionEvent | TaskEvent)[];
}

export function makeHabitCase(seed: number, habit: PlantedHabit | null): HabitCase {
  const random = createRandom(seed * 31 + 7);
  // Whether a task is slow, without a past, shows beside others only.
  const chainsLeast = habit === 'bottleneck_cascade' ? 3 : 1;
  const tasks = habit === 'god_workflow' ? drawGod(random) : drawWorkflow(random, chainsLeast);
  const behaviour = habit === null ? drawHealthy(random) : drawBehaviour(habit, tasks, random);
  return { seed, habit, events: new Stage(`habit-${seed}`, tasks, behaviour, random).play() };
}

const drawTask = (id: string, after: string[], random: Random): PlannedTask => ({
  id,
  after,
  medianMs: random.between(20_000, 60_000),
  pool: 'main',
});

/** A first and a last task with a few chains between them. */
function drawWorkflow(random: Random, chainsLeast: number): PlannedTask[] {
  const tasks = [drawTask('begin', [], random)];
  const ends: string[] = [];
  const chains = chainsLeast + random.below(3);
  for (let chain = 0; chain < chains; chain++) {
    let before = 'begin';
    for (let step = 0; step < 2 + random.below(3); step++) {
      const task = drawTask(`chain_${chain}_${step}`, [before], random);
      tasks.push(task);
      before = task.id;
    }
    ends.push(before);
  }
  return [...tasks, drawTask('end', ends, random)];
}

/** Parts of a dozen tasks that know each other well, and one link from part to part. */
function drawGod(random: Random): PlannedTask[] {
  const tasks: PlannedTask[] = [];
  const parts = 6 + random.below(6);
  for (let part = 0; part < parts; part++) {
    const size = 12 + random.below(8);
    const link = tasks.at(-1)?.id;
    for (let index = 0; index < size; index++) {
      const earlier = tasks.slice(-index).slice(0, index);
      const after = new Set<string>();
      for (let edge = 0; edge < Math.min(index, 3); edge++) after.add(earlier[random.below(earlier.length)].id);
      if (index === 0 && link !== undefined) after.add(link);
      tasks.push(drawTask(`part_${part}_${index}`, [...after], random));
    }
  }
  return tasks;
}

/** Nothing wrong, though it may look so: flaky all the time, or waiting although slots are free. */
function drawHealthy(random: Random): Behaviour {
  switch (random.below(3)) {
    case 0:
      return { ...calm, everyMs: 2 * minuteMs, executions: 80, failureRatio: () => 0.08 };
    case 1:
      return { ...calm, change: () => ({ factor: 1, waitMs: 2_000 + 4_000 * random.next() }) };
    default:
      return calm;
  }
}

function drawBehaviour(habit: PlantedHabit, tasks: PlannedTask[], random: Random): Behaviour {
  switch (habit) {
    case 'god_workflow':
      return { ...calm, executions: 15 };
    case 'bottleneck_cascade':
      return drawCascade(tasks, random);
    case 'retry_storm':
      return drawStorm(tasks, random);
    case 'resource_starvation':
      return drawStarvation(tasks, random);
  }
}

/** One task is very slow, and one behind it waits the longer the slower that was. */
function drawCascade(tasks: readonly PlannedTask[], random: Random): Behaviour {
  const first = tasks[1];
  const waitShare = random.between(0.6, 1);
  const factor = (random.between(4, 6) * 40_000) / first.medianMs;
  return {
    ...calm,
    change: (task, ends) => {
      if (task.id === first.id) return { factor: factor * random.logNormal(1, 0.35), waitMs: 0 };
      if (task.id !== 'end') return { factor: 1, waitMs: 0 };
      return { factor: 1, waitMs: waitShare * (ends.get(first.id)?.spanMs ?? 0) * random.between(0.9, 1.1) };
    },
  };
}

/** For a quarter of an hour what one task calls is away, and every attempt is followed by another at once. */
function drawStorm(tasks: readonly PlannedTask[], random: Random): Behaviour {
  const target = tasks[random.below(tasks.length)];
  const executions = 90;
  const everyMs = 2 * minuteMs;
  const fromMs = firstMs + Math.round(random.between(0.3, 0.7) * executions) * everyMs;
  const untilMs = fromMs + random.between(12, 20) * minuteMs;
  return {
    ...calm,
    everyMs,
    executions,
    attemptsMost: 8,
    retryDelayMs: 2_000,
    failureRatio: ({ id }, atMs) => (id === target.id && atMs >= fromMs && atMs < untilMs ? 0.85 : 0.01),
  };
}

/** More work arrives than a pool of few slots can do. */
function drawStarvation(tasks: PlannedTask[], random: Random): Behaviour {
  const inPool = tasks.filter(({ id }) => id !== 'begin' && id !== 'end');
  for (const task of inPool) task.pool = 'small';
  const workMs = inPool.reduce((sum, { medianMs }) => sum + medianMs, 0);
  const slots = 1 + random.below(2);
  return { ...calm, executions: 60, slots: { small: slots }, everyMs: (random.between(0.75, 0.95) * workMs) / slots };
}

interface Attempt {
  execution: number;
  task: PlannedTask;
  attempt: number;
  readyMs: number;
  beganMs: number;
}

const unlimited = 10_000;

/** Plays all executions together: whoever is ready first gets the next slot of its pool. */
class Stage {
  readonly #id: string;
  readonly #tasks: readonly PlannedTask[];
  readonly #behaviour: Behaviour;
  readonly #random: Random;
  readonly #events: (ExecutionEvent | TaskEvent)[] = [];
  readonly #ends: Map<string, PlayedTask>[] = [];
  readonly #freeMs = new Map<string, number[]>();
  readonly #waiting: Attempt[] = [];

  constructor(id: string, tasks: readonly PlannedTask[], behaviour: Behaviour, random: Random) {
    this.#id = id;
    this.#tasks = tasks;
    this.#behaviour = behaviour;
    this.#random = random;
  }

  play(): (ExecutionEvent | TaskEvent)[] {
    const { executions } = this.#behaviour;
    for (let execution = 0; execution < executions; execution++) {
      this.#ends.push(new Map());
      const startMs = this.#startOf(execution);
      this.#tellExecution(execution, 'running', startMs);
      this.#enable(execution, startMs);
    }
    while (this.#waiting.length > 0) this.#playAttempt(this.#takeFirst());
    return this.#events.sort((left, right) => left.eventTimeMs - right.eventTimeMs);
  }

  #startOf = (execution: number): number => firstMs + Math.round(execution * this.#behaviour.everyMs);

  #takeFirst(): Attempt {
    let best = 0;
    for (let at = 1; at < this.#waiting.length; at++) {
      if (this.#waiting[at].readyMs < this.#waiting[best].readyMs) best = at;
    }
    return this.#waiting.splice(best, 1)[0];
  }

  /** Tasks all of whose dependencies are over, and that were not begun. */
  #enable(execution: number, nowMs: number): void {
    const ends = this.#ends[execution];
    for (const task of this.#tasks) {
      const isKnown =
        ends.has(task.id) || this.#waiting.some((own) => own.execution === execution && own.task === task);
      if (isKnown || task.after.some((id) => !ends.has(id))) continue;
      const readyMs = task.after.reduce((latest, id) => Math.max(latest, ends.get(id)?.endMs ?? 0), nowMs);
      this.#waiting.push({ execution, task, attempt: 1, readyMs, beganMs: readyMs });
    }
  }

  #playAttempt({ execution, task, attempt, readyMs, beganMs }: Attempt): void {
    const { change, failureRatio, attemptsMost, retryDelayMs } = this.#behaviour;
    const { factor, waitMs } = change(task, this.#ends[execution]);
    const slots = this.#slotsOf(task.pool);
    const slot = slots.indexOf(Math.min(...slots));
    const startMs = Math.round(Math.max(readyMs + waitMs, slots[slot]) + 200 + 300 * this.#random.next());
    const isFailure = attempt < attemptsMost && this.#random.chance(failureRatio(task, startMs));
    const runMs = task.medianMs * factor * this.#random.logNormal(1, 0.2) * (isFailure ? 0.3 : 1);
    const endMs = Math.round(startMs + runMs);
    slots[slot] = endMs;
    this.#tellAttempt(execution, task, { attempt, readyMs, startMs, endMs, isFailure });
    if (isFailure) {
      this.#waiting.push({ execution, task, attempt: attempt + 1, readyMs: endMs + retryDelayMs, beganMs });
      return;
    }
    const ends = this.#ends[execution];
    ends.set(task.id, { spanMs: endMs - beganMs, endMs });
    if (ends.size === this.#tasks.length) this.#tellExecution(execution, 'completed', endMs);
    else this.#enable(execution, endMs);
  }

  #slotsOf(pool: string): number[] {
    const known = this.#freeMs.get(pool) ?? new Array<number>(this.#behaviour.slots[pool] ?? unlimited).fill(0);
    this.#freeMs.set(pool, known);
    return known;
  }

  #about = (execution: number) => ({ workflowId: this.#id, executionId: `${this.#id}-${execution}` });

  #tellExecution(execution: number, state: 'running' | 'completed', atMs: number): void {
    const startedAtMs = this.#startOf(execution);
    this.#events.push(executionEvent({ ...this.#about(execution), state, startedAtMs, eventTimeMs: atMs }));
  }

  #tellAttempt(
    execution: number,
    { id: taskId, after, pool }: PlannedTask,
    span: { attempt: number; readyMs: number; startMs: number; endMs: number; isFailure: boolean },
  ): void {
    const { attempt, readyMs, startMs, endMs, isFailure } = span;
    const common = {
      ...this.#about(execution),
      taskId,
      pool,
      attempt,
      readyAtMs: readyMs,
      queuedAtMs: readyMs,
      dispatchedAtMs: startMs,
      startedAtMs: startMs,
      queueUs: (startMs - readyMs) * 1000,
      dependencies: dependenciesOn(...after),
    };
    this.#events.push(
      taskEvent({
        ...common,
        state: isFailure ? 'failed' : 'completed',
        eventTimeMs: endMs,
        durationUs: (endMs - startMs) * 1000,
        ...(isFailure ? { error: awayError } : {}),
      }),
    );
  }
}
