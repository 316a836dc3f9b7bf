import { createHash } from 'node:crypto';
import { Engine } from '../../../services/simulator/engine.ts';
import { Play, type PlayOptions } from '../../../services/simulator/play.ts';
import type { ExecutionChange, PlayObserver, TaskChange } from '../../../services/simulator/play-changes.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { WorkerPool } from '../../../services/simulator/resources.ts';
import type { TaskDefinition, WorkflowDefinition, WorkTask } from '../../../services/simulator/workflow-model.ts';

export const startMs = Date.UTC(2026, 10, 2);

/** Work of exactly one second unless said otherwise, so that times in tests can be counted on the fingers. */
export function work(id: string, rest: Partial<WorkTask> = {}): WorkTask {
  return { id, name: id, kind: 'work', type: 'compute', operator: 'Test', pool: 'default', durationMs: 1000, ...rest };
}

export function workflow(tasks: TaskDefinition[], rest: Partial<WorkflowDefinition> = {}): WorkflowDefinition {
  const about = { id: 'w', name: 'W', version: '1', description: 'for a test', trigger: { type: 'manual' } } as const;
  return { ...about, variables: {}, tasks, ...rest };
}

/** Hears everything, and can say what became of a task. */
export class Listener implements PlayObserver {
  readonly executions: ExecutionChange[] = [];
  readonly tasks: TaskChange[] = [];
  readonly #hash = createHash('sha256');

  execution(change: ExecutionChange): void {
    this.executions.push(change);
    this.#hash.update(JSON.stringify(change));
  }

  task(change: TaskChange): void {
    this.tasks.push(change);
    this.#hash.update(JSON.stringify(change));
  }

  /** Of everything that was heard; the listener hears nothing after that. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  statesOf(taskId: string): string[] {
    return this.tasks.filter((change) => change.taskId === taskId).map(({ state }) => state);
  }

  endsOf(taskId: string): TaskChange[] {
    return this.tasks.filter((change) => change.taskId === taskId && change.endedAtMs !== null);
  }

  /** The last end of a task. */
  endOf(taskId: string): TaskChange {
    const end = this.endsOf(taskId).at(-1);
    if (end === undefined) throw new Error(`${taskId} has not ended`);
    return end;
  }

  /** When attempts of a task started, in seconds since the beginning. */
  startsOf(taskId: string): number[] {
    const started = this.tasks.filter((change) => change.taskId === taskId && change.state === 'running');
    return started.map(({ atMs }) => (atMs - startMs) / 1000);
  }

  get last(): ExecutionChange {
    return this.executions.at(-1) as ExecutionChange;
  }
}

/** A play with pools that are made when they are asked for. */
export class PlayStage {
  readonly engine = new Engine(startMs);
  readonly listener = new Listener();
  readonly pools = new Map<string, WorkerPool>();
  readonly play: Play;
  readonly #slots: number;

  constructor(definition: WorkflowDefinition, rest: Partial<PlayOptions> & { seed?: number; slots?: number } = {}) {
    const { seed = 1, slots = 1000, ...options } = rest;
    this.#slots = slots;
    this.play = new Play({
      engine: this.engine,
      definition,
      executionId: 'run-1',
      random: createRandom(seed),
      pools: (name) => this.pool(name),
      observer: this.listener,
      ...options,
    });
  }

  pool(name: string): WorkerPool {
    const known = this.pools.get(name);
    if (known !== undefined) return known;
    const room = { cpuCores: 1e6, memoryBytes: 2 ** 50, speed: 1 };
    const workers = [{ id: `${name}-0`, slots: this.#slots, ...room }];
    const pool = new WorkerPool(this.engine, { name, discipline: 'fifo', workers });
    this.pools.set(name, pool);
    return pool;
  }

  /** Seconds since the beginning. */
  get seconds(): number {
    return (this.engine.nowMs - startMs) / 1000;
  }

  runFor(seconds: number): this {
    this.engine.runUntil(this.engine.nowMs + seconds * 1000);
    return this;
  }

  /** Plays until nothing is left to happen. */
  runToEnd(): this {
    this.engine.runUntil(Number.POSITIVE_INFINITY);
    return this;
  }

  startToEnd(): this {
    this.play.start();
    return this.runToEnd();
  }
}

export function playToEnd(
  definition: WorkflowDefinition,
  rest: Partial<PlayOptions> & { seed?: number; slots?: number } = {},
): Listener {
  return new PlayStage(definition, rest).startToEnd().listener;
}
