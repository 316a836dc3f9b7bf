import type { ErrorInfo, ExecutionEvent, TaskEvent, TaskState } from '../../schemas/events.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { dependenciesOn, executionEvent, taskEvent } from './canonical-events.ts';
import type { PlantedLoop, PlantedTask, PlantedWorkflow } from './planted-workflow.ts';

/** What was done to a workflow so that it is slow, and which task an analysis has to name. */
export type PlantedCause =
  | { kind: 'slow'; taskId: string; factor: number }
  | { kind: 'slot_wait'; taskId: string; waitMs: number }
  | { kind: 'retries'; taskId: string; failures: number }
  | { kind: 'skewed'; taskId: string; factor: number }
  | { kind: 'starved'; taskId: string; slots: number };

export interface RunNoise {
  /** Share of dependencies that an event does not tell. */
  missingEdges: number;
  /** Share of attempts whose end, or whose start, is never told. */
  missingEnds: number;
  retryRatio: number;
  failureRatio: number;
  /** How far clocks of workers are off, at most. */
  skewMs: number;
  tellsSkipped: boolean;
  tellsDependencies: boolean;
  /** How a repeated task is told: by its iteration, or by one attempt after another that completed. */
  loopsBy: 'iteration' | 'attempt';
}

export const noNoise: RunNoise = {
  missingEdges: 0,
  missingEnds: 0,
  retryRatio: 0,
  failureRatio: 0,
  skewMs: 0,
  tellsSkipped: true,
  tellsDependencies: true,
  loopsBy: 'iteration',
};

export interface RunPlan {
  workflow: PlantedWorkflow;
  executions: number;
  seed: number;
  firstMs: number;
  everyMs: number;
  noise: RunNoise;
  cause: PlantedCause | null;
  /** Executions before this one are without the cause. */
  causeFrom: number;
  /** Makes one execution slower than another as a whole, as more input does. */
  sizeSpread: number;
  /** Whether the input says how large it is. */
  tellsSize?: boolean;
}

export interface PlayedRun {
  events: (ExecutionEvent | TaskEvent)[];
  makespanMs: number;
  state: 'completed' | 'failed';
}

export function playRuns(plan: RunPlan): PlayedRun[] {
  return Array.from({ length: plan.executions }, (_, index) => new Run(plan, index).play());
}

const workers = 8;
const brokenError: ErrorInfo = { type: 'ServiceUnavailable', code: '503', message: 'the service is away', stack: '' };

interface Outcome {
  state: 'completed' | 'failed' | 'skipped';
  endMs: number;
}

interface Instance {
  mapIndex: number;
  iteration: number | null;
  firstAttempt: number;
  readyMs: number;
}

class Run {
  readonly #plan: RunPlan;
  readonly #index: number;
  readonly #startMs: number;
  readonly #sizeFactor: number;
  readonly #events: (ExecutionEvent | TaskEvent)[] = [];
  readonly #outcomes = new Map<string, Outcome>();
  readonly #choices = new Map<string, number>();
  readonly #playedLoops = new Set<string>();
  #failedMs: number | null = null;
  #random: Random;

  constructor(plan: RunPlan, index: number) {
    this.#plan = plan;
    this.#index = index;
    this.#startMs = plan.firstMs + index * plan.everyMs;
    this.#random = createRandom(plan.seed * 7919 + index);
    this.#sizeFactor = this.#random.logNormal(1, plan.sizeSpread);
  }

  get #executionId(): string {
    return `${this.#plan.workflow.id}-${this.#index}`;
  }

  play(): PlayedRun {
    const { workflow, seed } = this.#plan;
    workflow.tasks.forEach((task, place) => {
      // A stream of chance for each task, so that a planted cause changes nothing but what it is about.
      this.#random = createRandom((seed * 7919 + this.#index) * 4099 + place);
      if (task.compensates === null) this.#playTask(task);
    });
    if (this.#failedMs !== null) this.#compensate();
    const ends = [...this.#outcomes.values()].map(({ endMs }) => endMs);
    const endMs = Math.max(this.#startMs, ...ends);
    const state = this.#failedMs === null ? 'completed' : 'failed';
    this.#tellExecution(state, endMs);
    this.#events.sort((left, right) => left.eventTimeMs - right.eventTimeMs);
    return { events: this.#events, makespanMs: endMs - this.#startMs, state };
  }

  #tellExecution(state: 'completed' | 'failed', endMs: number): void {
    const { id } = this.#plan.workflow;
    const common = { workflowId: id, workflowName: id, executionId: this.#executionId, startedAtMs: this.#startMs };
    const input = this.#plan.tellsSize ? JSON.stringify({ rows: Math.round(1000 * this.#sizeFactor) }) : '';
    this.#events.push(executionEvent({ ...common, input, state: 'running', eventTimeMs: this.#startMs }));
    const durationUs = (endMs - this.#startMs) * 1000;
    const error = state === 'failed' ? { error: brokenError } : {};
    this.#events.push(executionEvent({ ...common, state, eventTimeMs: endMs, durationUs, ...error }));
  }

  #playTask(task: PlantedTask): void {
    if (task.loopId !== null) {
      this.#playLoop(task.loopId);
      return;
    }
    const before = task.after.map((id) => this.#outcomes.get(id));
    if (before.some((outcome) => outcome === undefined || outcome.state === 'failed')) return;
    const known = before as Outcome[];
    const readyMs = Math.max(this.#startMs, ...known.map(({ endMs }) => endMs));
    const isOtherBranch = task.branch !== null && this.#choices.get(task.branch.switchId) !== task.branch.index;
    if (isOtherBranch || (known.length > 0 && known.every(({ state }) => state === 'skipped'))) {
      this.#skip(task, readyMs);
      return;
    }
    if (task.branches > 0) this.#choices.set(task.id, this.#random.below(task.branches));
    this.#outcomes.set(task.id, this.#playInstances(task, readyMs));
  }

  #skip(task: PlantedTask, atMs: number): void {
    this.#outcomes.set(task.id, { state: 'skipped', endMs: atMs });
    if (this.#plan.noise.tellsSkipped) this.#tell(task, { state: 'skipped', eventTimeMs: atMs, readyAtMs: atMs });
  }

  get #cause(): PlantedCause | null {
    return this.#index >= this.#plan.causeFrom ? this.#plan.cause : null;
  }

  #playInstances(task: PlantedTask, readyMs: number): Outcome {
    if (task.instances === null) {
      return this.#playAttempts(task, { mapIndex: -1, iteration: null, firstAttempt: 1, readyMs });
    }
    const { least, most } = task.instances;
    const count = least + this.#random.below(most - least + 1);
    const slow = this.#random.below(count);
    const cause = this.#cause;
    const slots = cause?.kind === 'starved' && cause.taskId === task.id ? cause.slots : count;
    const freeMs = new Array<number>(Math.min(slots, count)).fill(readyMs);
    let worst: Outcome = { state: 'completed', endMs: readyMs };
    for (let mapIndex = 0; mapIndex < count; mapIndex++) {
      const slot = freeMs.indexOf(Math.min(...freeMs));
      const isSkewed = cause?.kind === 'skewed' && cause.taskId === task.id && mapIndex === slow;
      const instance = { mapIndex, iteration: null, firstAttempt: 1, readyMs };
      const slotWaitMs = freeMs[slot] - readyMs;
      const outcome = this.#playAttempts(task, instance, slotWaitMs, isSkewed ? cause.factor : 1);
      freeMs[slot] = outcome.endMs;
      if (outcome.endMs > worst.endMs || outcome.state === 'failed') {
        worst = {
          state: worst.state === 'failed' ? 'failed' : outcome.state,
          endMs: Math.max(worst.endMs, outcome.endMs),
        };
      }
    }
    return worst;
  }

  #playLoop(loopId: string): void {
    if (this.#playedLoops.has(loopId)) return;
    this.#playedLoops.add(loopId);
    const { workflow, noise } = this.#plan;
    const loop = workflow.loops.find(({ id }) => id === loopId) as PlantedLoop;
    const body = loop.body.map((id) => workflow.tasks.find((task) => task.id === id) as PlantedTask);
    const before = body[0].after.map((id) => this.#outcomes.get(id));
    if (before.some((outcome) => outcome === undefined || outcome.state === 'failed')) return;
    let readyMs = Math.max(...before.map((outcome) => (outcome as Outcome).endMs));
    const times = 2 + this.#random.below(loop.mostTimes - 1);
    const isByIteration = noise.loopsBy === 'iteration';
    for (let iteration = 0; iteration < times; iteration++) {
      for (const task of body) {
        const mark = isByIteration ? { mapIndex: iteration, iteration } : { mapIndex: -1, iteration: null };
        const firstAttempt = isByIteration ? 1 : 1 + iteration * 10;
        const outcome = this.#playAttempts(task, { ...mark, firstAttempt, readyMs });
        this.#outcomes.set(task.id, outcome);
        if (outcome.state === 'failed') return;
        readyMs = outcome.endMs;
      }
    }
  }

  #failuresOf(task: PlantedTask): { failures: number; isFinal: boolean } {
    const { noise } = this.#plan;
    const cause = this.#cause;
    if (this.#random.chance(task.failureRatio + noise.failureRatio)) return { failures: 1, isFinal: true };
    const planted = cause?.kind === 'retries' && cause.taskId === task.id ? cause.failures : 0;
    return { failures: planted + (this.#random.chance(noise.retryRatio) ? 1 : 0), isFinal: false };
  }

  #playAttempts(task: PlantedTask, instance: Instance, slotWaitMs = 0, factor = 1): Outcome {
    const random = this.#random;
    const cause = this.#cause?.taskId === task.id ? this.#cause : null;
    const usualMs = random.logNormal(task.medianMs, task.spread) * this.#sizeFactor;
    const runMs = Math.round(usualMs * factor * (cause?.kind === 'slow' ? cause.factor : 1));
    const plantedWaitMs = cause?.kind === 'slot_wait' ? cause.waitMs * random.between(0.7, 1.3) : 0;
    const { failures, isFinal } = this.#failuresOf(task);
    let readyMs = instance.readyMs;
    for (let failed = 0; ; failed++) {
      const queueMs = Math.round(random.logNormal(300, 0.5) + plantedWaitMs + (failed === 0 ? slotWaitMs : 0));
      const startMs = readyMs + queueMs;
      const isFailure = failed < failures;
      const endMs = startMs + (isFailure ? Math.round(runMs * random.between(0.3, 1)) : runMs);
      const willRetry = isFailure && !isFinal;
      const attempt = instance.firstAttempt + failed;
      this.#tellAttempt(task, instance, { attempt, readyMs, startMs, endMs, isFailure, willRetry });
      if (isFailure && isFinal) {
        this.#failedMs = Math.max(this.#failedMs ?? 0, endMs);
        return { state: 'failed', endMs };
      }
      if (!isFailure) return { state: 'completed', endMs };
      readyMs = endMs + 5000;
    }
  }

  #tellAttempt(
    task: PlantedTask,
    { mapIndex, iteration }: Instance,
    span: {
      attempt: number;
      readyMs: number;
      startMs: number;
      endMs: number;
      isFailure: boolean;
      willRetry: boolean;
    },
  ): void {
    const { noise, seed } = this.#plan;
    const worker = this.#random.below(workers);
    const skewMs = Math.round(createRandom(seed * 31 + worker).between(-noise.skewMs, noise.skewMs));
    const { attempt, readyMs, startMs, endMs, isFailure } = span;
    const common = {
      mapIndex,
      loopIteration: iteration,
      attempt,
      workerId: `worker-${worker}`,
      readyAtMs: readyMs,
      queuedAtMs: readyMs,
      dispatchedAtMs: startMs,
      startedAtMs: startMs + skewMs,
      queueUs: (startMs - readyMs) * 1000,
    };
    const isEndMissing = this.#random.chance(noise.missingEnds);
    const isStartMissing = !isEndMissing && this.#random.chance(noise.missingEnds);
    if (!isStartMissing) this.#tell(task, { ...common, state: 'running', eventTimeMs: startMs + skewMs });
    if (isEndMissing) return;
    const state: TaskState = isFailure ? 'failed' : 'completed';
    const start = isStartMissing ? { startedAtMs: null } : { durationUs: (endMs - startMs) * 1000 };
    const error = isFailure ? { error: brokenError } : {};
    this.#tell(task, { ...common, ...start, ...error, state, eventTimeMs: endMs + skewMs });
    if (span.willRetry) {
      this.#tell(task, { ...common, state: 'retrying', eventTimeMs: endMs + skewMs });
    }
  }

  /** What was done is taken back, the last first. */
  #compensate(): void {
    const { tasks } = this.#plan.workflow;
    let readyMs = this.#failedMs as number;
    for (const task of tasks.filter(({ compensates }) => compensates !== null).reverse()) {
      if (this.#outcomes.get(task.compensates as string)?.state !== 'completed') continue;
      const outcome = this.#playAttempts(
        { ...task, failureRatio: 0 },
        { mapIndex: -1, iteration: null, firstAttempt: 1, readyMs },
      );
      this.#outcomes.set(task.id, outcome);
      readyMs = outcome.endMs;
    }
  }

  #tell(task: PlantedTask, fields: Partial<TaskEvent>): void {
    const { workflow, noise } = this.#plan;
    const told = noise.tellsDependencies ? task.after.filter(() => !this.#random.chance(noise.missingEdges)) : [];
    this.#events.push(
      taskEvent({
        workflowId: workflow.id,
        workflowName: workflow.id,
        executionId: this.#executionId,
        taskId: task.id,
        taskName: task.id,
        taskType: task.type,
        pool: task.pool,
        compensates: noise.tellsDependencies ? (task.compensates ?? '') : '',
        dependencies: dependenciesOn(...told),
        ...fields,
      }),
    );
  }
}
