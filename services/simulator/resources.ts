import type { Engine, Scheduled } from './engine.ts';
import { createLine, type QueueDiscipline, type Waiting, type WaitingLine } from './waiting-lines.ts';

export type { QueueDiscipline };

/** The worker that a request was given. */
export interface WorkerSlot {
  readonly workerId: string;
  readonly pool: string;
  /** 2 is twice as fast as 1. */
  readonly speed: number;
}

export interface SlotRequest {
  /** Unique among the requests that wait or run. */
  id: string;
  cpuCores: number;
  memoryBytes: number;
  priority: number;
  /** Whose share it counts against where the discipline is fair. */
  fairKey: string;
  expectedMs: number;
  granted(worker: WorkerSlot): void;
  /** The worker was killed under it; there is nothing left to release. */
  lost?(worker: WorkerSlot): void;
}

export interface WorkerOptions {
  id: string;
  slots: number;
  cpuCores: number;
  memoryBytes: number;
  speed: number;
}

export interface WorkerPoolOptions {
  name: string;
  discipline: QueueDiscipline;
  workers: readonly WorkerOptions[];
  /** What the scheduler takes to hand out a slot, which is occupied meanwhile; nothing without it. */
  dispatchMs?: (request: SlotRequest, pool: WorkerPool) => number;
}

/** A worker as the pool sees it; the speed may be set and holds for what is granted from then on. */
export interface WorkerState extends Readonly<Omit<WorkerOptions, 'speed'>> {
  speed: number;
  readonly slotsUsed: number;
  readonly cpuCoresUsed: number;
  readonly memoryBytesUsed: number;
  /** Takes nothing more and leaves when it is empty. */
  readonly isDraining: boolean;
  /** Ids of the requests that it holds. */
  readonly holds: ReadonlySet<string>;
}

/** A request that has a slot. */
export interface RunningRequest {
  readonly request: SlotRequest;
  readonly worker: WorkerState;
  readonly queuedAtMs: number;
  /** Null while the scheduler is still handing it out. */
  readonly grantedAtMs: number | null;
}

/** What became of all requests so far: made = waiting + running + withdrawn + released + lost. */
export interface PoolCounts {
  made: number;
  granted: number;
  withdrawn: number;
  released: number;
  lost: number;
}

interface Worker extends WorkerState {
  slotsUsed: number;
  cpuCoresUsed: number;
  memoryBytesUsed: number;
  isDraining: boolean;
  holds: Set<string>;
}

interface Queued extends Waiting {
  request: SlotRequest;
  queuedAtMs: number;
}

interface Running extends RunningRequest {
  worker: Worker;
  grantedAtMs: number | null;
  granting: Scheduled | null;
}

// Sums of fractions of cores drift by rounding errors.
const epsilon = 1e-9;

/**
 * Workers with slots, cores and memory, and the line of those who wait for them. The first in line goes to the
 * worker with most free slots, and nobody overtakes it while it waits for room; only what no worker could hold even
 * when idle steps aside, as a pod stays pending, until the workers change.
 */
export class WorkerPool {
  readonly name: string;
  readonly discipline: QueueDiscipline;
  readonly counts: PoolCounts = { made: 0, granted: 0, withdrawn: 0, released: 0, lost: 0 };
  readonly #engine: Engine;
  readonly #dispatchMs: WorkerPoolOptions['dispatchMs'];
  readonly #workers = new Map<string, Worker>();
  readonly #line: WaitingLine<Queued>;
  readonly #waiting = new Map<string, Queued>();
  readonly #running = new Map<string, Running>();
  readonly #runningByKey = new Map<string, number>();
  #aside: Queued[] = [];
  #slotLimit = Number.POSITIVE_INFINITY;
  #turns = 0;
  #isDispatching = false;

  constructor(engine: Engine, options: WorkerPoolOptions) {
    this.#engine = engine;
    this.name = options.name;
    this.discipline = options.discipline;
    this.#dispatchMs = options.dispatchMs;
    this.#line = createLine(options.discipline, (key) => this.#runningByKey.get(key) ?? 0);
    for (const worker of options.workers) this.#putWorker(worker);
  }

  /** In the order of arrival. */
  get waiting(): readonly SlotRequest[] {
    return [...this.#waiting.values()].map(({ request }) => request);
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** When the one that waits longest came; null where nobody waits. */
  get oldestQueuedAtMs(): number | null {
    for (const { queuedAtMs } of this.#waiting.values()) return queuedAtMs;
    return null;
  }

  get running(): ReadonlyMap<string, RunningRequest> {
    return this.#running;
  }

  get workers(): ReadonlyMap<string, WorkerState> {
    return this.#workers;
  }

  /** Slots of all workers that take work, at most the limit. */
  get slotsTotal(): number {
    let slots = 0;
    for (const worker of this.#workers.values()) slots += worker.isDraining ? 0 : worker.slots;
    return Math.min(slots, this.#slotLimit);
  }

  get slotsUsed(): number {
    return this.#running.size;
  }

  request(request: SlotRequest): void {
    if (this.#waiting.has(request.id) || this.#running.has(request.id)) {
      throw new Error(`pool ${this.name} knows request ${request.id} already`);
    }
    const { priority, fairKey, expectedMs } = request;
    const queuedAtMs = this.#engine.nowMs;
    const queued = { request, queuedAtMs, turn: this.#turns++, priority, fairKey, expectedMs, isGone: false };
    this.counts.made++;
    this.#waiting.set(request.id, queued);
    this.#line.add(queued);
    this.#dispatch();
  }

  /** Takes back a request that has not been granted; false where it has been, or is unknown. */
  withdraw(id: string): boolean {
    const queued = this.#waiting.get(id);
    if (queued !== undefined) {
      this.#waiting.delete(id);
      queued.isGone = true;
    } else {
      const running = this.#running.get(id);
      if (running === undefined || running.granting === null) return false;
      this.#engine.cancel(running.granting);
      this.#free(running);
    }
    this.counts.withdrawn++;
    // Whoever stood behind it may fit where it did not.
    this.#dispatch();
    return true;
  }

  release(id: string): void {
    const running = this.#running.get(id);
    if (running === undefined || running.granting !== null) {
      throw new Error(`pool ${this.name} has not granted request ${id}, or it was released before`);
    }
    this.#free(running);
    this.counts.released++;
    this.#dispatch();
  }

  addWorker(options: WorkerOptions): void {
    this.#putWorker(options);
    for (const queued of this.#aside) this.#line.add(queued);
    this.#aside = [];
    this.#dispatch();
  }

  /** Drained, a worker leaves when what it runs is over; killed, it leaves at once. The ids of what was killed. */
  removeWorker(id: string, mode: 'drain' | 'kill'): string[] {
    const worker = this.#workers.get(id);
    if (worker === undefined) return [];
    worker.isDraining = true;
    const lost: string[] = [];
    // One at a time: whoever loses a request may let go of others that stood on the same worker.
    for (const held of mode === 'kill' ? [...worker.holds] : []) {
      const run = this.#running.get(held);
      if (run === undefined) continue;
      if (run.granting !== null) this.#engine.cancel(run.granting);
      this.#free(run);
      this.counts.lost++;
      lost.push(held);
      run.request.lost?.(slotOf(worker, this.name));
    }
    this.#dropIfEmpty(worker);
    this.#dispatch();
    return lost;
  }

  /** Slots of the whole pool, whatever its workers have; what runs beyond a lower limit runs on. */
  setSlots(total: number): void {
    if (!(total >= 0)) throw new Error(`pool ${this.name} cannot have ${total} slots`);
    this.#slotLimit = total;
    this.#dispatch();
  }

  /** Throws where slots were lost, made or over-committed: a mistake of ours. */
  assertConserved(): void {
    const { made, withdrawn, released, lost } = this.counts;
    const accounted = this.#waiting.size + this.#running.size + withdrawn + released + lost;
    if (made !== accounted) throw new Error(`pool ${this.name}: ${made} requests, ${accounted} accounted for`);
    let held = 0;
    for (const worker of this.#workers.values()) {
      assertWithin(worker, this.name);
      held += worker.slotsUsed;
    }
    if (held !== this.#running.size) throw new Error(`pool ${this.name}: ${held} slots, ${this.#running.size} running`);
  }

  #putWorker(options: WorkerOptions): void {
    if (this.#workers.has(options.id)) throw new Error(`pool ${this.name} has a worker ${options.id} already`);
    const used = { slotsUsed: 0, cpuCoresUsed: 0, memoryBytesUsed: 0, isDraining: false, holds: new Set<string>() };
    this.#workers.set(options.id, { ...options, ...used });
  }

  /** Hands out slots while the first in line fits; what is granted at once may ask for more meanwhile. */
  #dispatch(): void {
    if (this.#isDispatching) return;
    this.#isDispatching = true;
    try {
      while (this.#running.size < this.#slotLimit && this.#place(this.#line.first()));
    } finally {
      this.#isDispatching = false;
    }
  }

  #place(queued: Queued | undefined): boolean {
    if (queued === undefined) return false;
    const worker = this.#findWorker(queued.request);
    if (worker !== undefined) {
      this.#line.takeFirst();
      this.#assign(queued, worker);
      return true;
    }
    if (this.#couldEverFit(queued.request)) return false;
    this.#line.takeFirst();
    this.#aside.push(queued);
    return true;
  }

  #findWorker(request: SlotRequest): Worker | undefined {
    let best: Worker | undefined;
    for (const worker of this.#workers.values()) {
      if (!hasRoom(worker, request)) continue;
      if (best === undefined || worker.slots - worker.slotsUsed > best.slots - best.slotsUsed) best = worker;
    }
    return best;
  }

  #couldEverFit({ cpuCores, memoryBytes }: SlotRequest): boolean {
    if (this.#workers.size === 0) return true;
    for (const worker of this.#workers.values()) {
      if (worker.slots > 0 && cpuCores <= worker.cpuCores + epsilon && memoryBytes <= worker.memoryBytes) return true;
    }
    return false;
  }

  #assign({ request, queuedAtMs }: Queued, worker: Worker): void {
    this.#waiting.delete(request.id);
    const running: Running = { request, worker, queuedAtMs, grantedAtMs: null, granting: null };
    this.#running.set(request.id, running);
    worker.slotsUsed++;
    worker.cpuCoresUsed += request.cpuCores;
    worker.memoryBytesUsed += request.memoryBytes;
    worker.holds.add(request.id);
    this.#runningByKey.set(request.fairKey, (this.#runningByKey.get(request.fairKey) ?? 0) + 1);
    assertWithin(worker, this.name);
    const delayMs = this.#dispatchMs?.(request, this) ?? 0;
    if (delayMs > 0) running.granting = this.#engine.after(delayMs, () => this.#grant(running));
    else this.#grant(running);
  }

  #grant(running: Running): void {
    running.granting = null;
    running.grantedAtMs = this.#engine.nowMs;
    this.counts.granted++;
    running.request.granted(slotOf(running.worker, this.name));
  }

  #free({ request, worker }: Running): void {
    this.#running.delete(request.id);
    worker.holds.delete(request.id);
    worker.slotsUsed--;
    // An idle worker has nothing in use, whatever rounding left behind.
    worker.cpuCoresUsed = worker.slotsUsed === 0 ? 0 : worker.cpuCoresUsed - request.cpuCores;
    worker.memoryBytesUsed -= request.memoryBytes;
    const left = (this.#runningByKey.get(request.fairKey) ?? 1) - 1;
    if (left === 0) this.#runningByKey.delete(request.fairKey);
    else this.#runningByKey.set(request.fairKey, left);
    this.#dropIfEmpty(worker);
  }

  #dropIfEmpty(worker: Worker): void {
    if (worker.isDraining && worker.slotsUsed === 0) this.#workers.delete(worker.id);
  }
}

const slotOf = ({ id, speed }: Worker, pool: string): WorkerSlot => ({ workerId: id, pool, speed });

function hasRoom(worker: Worker, { cpuCores, memoryBytes }: SlotRequest): boolean {
  return (
    !worker.isDraining &&
    worker.slotsUsed < worker.slots &&
    worker.cpuCoresUsed + cpuCores <= worker.cpuCores + epsilon &&
    worker.memoryBytesUsed + memoryBytes <= worker.memoryBytes
  );
}

function assertWithin(worker: Worker, pool: string): void {
  const { id, slots, slotsUsed, cpuCores, cpuCoresUsed, memoryBytes, memoryBytesUsed } = worker;
  const isWithin =
    slotsUsed >= 0 &&
    slotsUsed <= slots &&
    cpuCoresUsed <= cpuCores + epsilon &&
    memoryBytesUsed >= 0 &&
    memoryBytesUsed <= memoryBytes;
  if (!isWithin) throw new Error(`worker ${id} of pool ${pool} is over-committed`);
}
