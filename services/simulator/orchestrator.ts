import type { OrchestratorBodies, OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import { Coordination } from './coordination.ts';
import type { Engine } from './engine.ts';
import { type OrchestratorSpec, type PoolSpec, placeId, poolSpecOf } from './fleet.ts';
import { newWorkerLedger, OrchestratorLedger, PoolLedger, QueueLedger, type WorkerLedger } from './ledgers.ts';
import type { ExecutionChange, TaskChange } from './play-changes.ts';
import type { Random } from './random.ts';
import { type SlotRequest, WorkerPool } from './resources.ts';

export interface OrchestratorOptions {
  engine: Engine;
  spec: OrchestratorSpec;
  poolNames: readonly string[];
  /** Slots of each worker, compared with the ordinary. */
  slotFactor: number;
  random: Random;
  /** Distinguishes ids made here from those of other days. */
  idTag: string;
  emit: (record: OrchestratorRecord) => void;
}

/** A pool with what its orchestrator knows of it. */
export interface Pool {
  id: string;
  name: string;
  spec: PoolSpec;
  /** What scaling aims at. */
  workersTarget: number;
  line: WorkerPool;
  ledger: PoolLedger;
  workers: Map<string, WorkerLedger>;
  nextWorker: number;
  /** Slots of the pool where somebody limited them. */
  slotLimit: number | null;
}

/**
 * The reference orchestrator: it hands out slots, counts what it does, and can be disturbed. What it tells of itself
 * is made in reports.ts; how it agrees with its peers stands in coordination.ts.
 */
export class Orchestrator {
  readonly spec: OrchestratorSpec;
  readonly engine: Engine;
  readonly random: Random;
  readonly coordination: Coordination;
  readonly pools = new Map<string, Pool>();
  readonly queues = new Map<string, QueueLedger>();
  readonly ledger = new OrchestratorLedger();
  readonly startedAtMs: number;
  readonly #emit: OrchestratorOptions['emit'];
  readonly #slotFactor: number;
  readonly #idTag: string;
  readonly #decisions = new Map<string, number>();
  /** Above 1 while the scheduler is slow. */
  decisionSlowdown = 1;
  /** While nobody leads, nothing is handed out until then. */
  leaderlessUntilMs = 0;
  #ids = 0;

  constructor(options: OrchestratorOptions) {
    const { engine, spec, random, idTag } = options;
    this.spec = spec;
    this.engine = engine;
    this.random = random;
    this.#emit = options.emit;
    this.#slotFactor = options.slotFactor;
    this.#idTag = idTag;
    // Deployed every few weeks, always at the same hour; days ago, whatever day this is.
    this.startedAtMs = Math.floor(engine.nowMs / 1_209_600_000) * 1_209_600_000 - 36_000_000;
    this.coordination = new Coordination(spec.coordination, `${spec.id}-${idTag}`, engine.nowMs, random);
    for (const name of options.poolNames) this.#addPool(name);
  }

  /** Pools that nobody named before are made when something asks for them. */
  poolNamed(name: string): Pool {
    return this.pools.get(name) ?? this.#addPool(name);
  }

  #addPool(name: string): Pool {
    const ordinary = poolSpecOf(this.spec, name);
    const factor = this.#slotFactor;
    const { slots, cpuCores, memoryBytes } = ordinary;
    const spec = { ...ordinary, slots: slots * factor, cpuCores: cpuCores * factor, memoryBytes: memoryBytes * factor };
    const id = placeId(this.spec.id, name);
    const line = new WorkerPool(this.engine, {
      name,
      discipline: this.spec.discipline,
      workers: [],
      dispatchMs: (request) => this.#decide(request, pool),
    });
    const pool: Pool = {
      id,
      name,
      spec,
      workersTarget: spec.workers,
      line,
      ledger: new PoolLedger(),
      workers: new Map(),
      nextWorker: 0,
      slotLimit: null,
    };
    this.pools.set(name, pool);
    for (let worker = 0; worker < spec.workers; worker++) this.addWorker(pool);
    return pool;
  }

  /** Machines are not quite alike: some are a tenth faster or slower than others. */
  addWorker(pool: Pool): string {
    const { slots, cpuCores, memoryBytes } = pool.spec;
    const id = `${this.spec.id}-${pool.name}-${pool.nextWorker++}`;
    const speed = Math.round(this.random.between(0.92, 1.08) * 100) / 100;
    pool.workers.set(id, newWorkerLedger(this.engine.nowMs));
    pool.line.addWorker({ id, slots, cpuCores, memoryBytes, speed });
    return id;
  }

  removeWorker(pool: Pool, workerId: string, mode: 'drain' | 'kill'): string[] {
    const lost = pool.line.removeWorker(workerId, mode);
    if (mode === 'kill') pool.workers.delete(workerId);
    return lost;
  }

  nextId(kind: string): string {
    return `${this.spec.id}-${kind}-${this.#idTag}-${++this.#ids}`;
  }

  send<Kind extends keyof OrchestratorBodies>(
    kind: Kind,
    body: OrchestratorBodies[Kind],
    atMs = this.engine.nowMs,
  ): void {
    const { spec, coordination } = this;
    const header = {
      workspace: spec.workspace,
      project: 'platform',
      source: spec.source,
      source_version: spec.sourceVersion,
      orchestrator_id: spec.id,
      orchestrator_type: spec.type,
      instance_id: `${spec.id}-${coordination.leader}`,
      cluster_name: spec.cluster,
      event_time: Math.round(atMs),
      environment: 'production',
      region: spec.region,
      labels: { team: 'platform' },
    };
    this.#emit({ ...header, kind, body } as OrchestratorRecord);
  }

  /** What one decision takes: longer the more waits, and as long as nobody leads. */
  #decide(request: SlotRequest, pool: Pool): number {
    const { decisionMsMedian } = this.spec;
    const { waitingCount } = pool.line;
    const crowd = 1 + waitingCount / 400;
    const ownMs = this.random.logNormal(decisionMsMedian, 0.45) * this.decisionSlowdown * crowd;
    const leaderlessMs = Math.max(0, this.leaderlessUntilMs - this.engine.nowMs);
    const latencyMs = Math.round(ownMs + leaderlessMs);
    if (waitingCount > 0) this.ledger.contentions++;
    this.ledger.decisions.add(latencyMs);
    this.#decisions.set(request.id, latencyMs);
    const load = pool.line.slotsUsed / Math.max(1, pool.line.slotsTotal);
    pool.ledger.loadPeak = Math.max(pool.ledger.loadPeak, load);
    this.ledger.loadPeak = Math.max(this.ledger.loadPeak, load);
    return latencyMs;
  }

  /** How long the decision about a request took; forgotten once it has been told. */
  takeDecision(change: TaskChange): number | null {
    const requestId = requestIdOf(change);
    const latencyMs = this.#decisions.get(requestId) ?? null;
    this.#decisions.delete(requestId);
    return latencyMs;
  }

  queueOf(name: string): QueueLedger {
    let queue = this.queues.get(name);
    if (queue === undefined) {
      queue = new QueueLedger();
      this.queues.set(name, queue);
    }
    return queue;
  }

  /** Keeps the counts in step with a run. */
  countExecution(change: ExecutionChange, before: string | null): void {
    const { ledger } = this;
    if (before === 'pending') ledger.pending--;
    if (before === 'running') ledger.running--;
    if (before === 'suspended') ledger.suspended--;
    if (change.state === 'pending') ledger.pending++;
    if (change.state === 'running') ledger.running++;
    if (change.state === 'suspended') ledger.suspended++;
    if (change.endedAtMs === null) return;
    if (change.state === 'completed') ledger.runsCompleted++;
    if (change.state === 'failed' || change.state === 'timeout') ledger.runsFailed++;
    if (change.startedAtMs !== null) ledger.runDurations.add(change.atMs - change.startedAtMs);
  }

  /** Keeps the counts in step with an attempt of a task. */
  countTask(change: TaskChange): void {
    if (change.pool === null) return;
    const key = requestIdOf(change);
    const queue = this.queueOf(change.queue ?? change.pool);
    if (change.state === 'queued' && !queue.waiting.has(key)) {
      queue.enqueued++;
      queue.waiting.set(key, { sinceMs: change.atMs, priority: change.priority });
      return;
    }
    const waiting = queue.waiting.get(key);
    if (waiting !== undefined && change.state !== 'queued') {
      queue.waiting.delete(key);
      queue.waits.add(change.atMs - waiting.sinceMs);
      this.ledger.waits.add(change.atMs - waiting.sinceMs);
      this.pools.get(change.pool ?? '')?.ledger.waits.add(change.atMs - waiting.sinceMs);
    }
    if (change.worker === null) return;
    if (change.state === 'running') this.#countStart(change);
    else if (change.endedAtMs !== null) this.#countEnd(change, queue);
  }

  #countStart({ pool, worker, taskId, executionId, usage }: TaskChange): void {
    const record = this.pools.get(pool ?? '')?.workers.get(worker ?? '');
    if (record !== undefined) record.currentTask = `${executionId}/${taskId}`;
    this.ledger.bytesReceived += Math.round((usage?.networkBytes ?? 4096) * 0.4);
  }

  #countEnd(change: TaskChange, queue: QueueLedger): void {
    const isFailed = change.state === 'failed' || change.state === 'timeout';
    const pool = this.pools.get(change.pool ?? '');
    const worker = pool?.workers.get(change.worker ?? '');
    const durationMs = change.startedAtMs === null ? 0 : change.atMs - change.startedAtMs;
    queue.processed++;
    queue.processing.add(durationMs);
    this.ledger.tasksEndedSince++;
    this.ledger.bytesSent += Math.round(change.usage?.networkBytes ?? 0);
    pool?.ledger.durations.add(durationMs);
    if (worker !== undefined) worker.currentTask = '';
    if (change.state === 'completed') {
      this.ledger.tasksCompleted++;
      if (pool !== undefined) pool.ledger.completed++;
      if (worker !== undefined) worker.completed++;
    }
    if (!isFailed) return;
    this.ledger.tasksFailed++;
    queue.failedSince++;
    // What failed for the last time is put aside for people to look at.
    if (change.attempt >= change.maxAttempts) queue.deadLetters++;
    if (change.error?.retryable === false) queue.poison++;
    if (pool !== undefined) {
      pool.ledger.failed++;
      pool.ledger.failedSince++;
    }
    if (worker !== undefined) worker.failed++;
  }
}

/** The id under which an attempt asks for a slot. */
function requestIdOf({ executionId, taskId, mapIndex, loopIteration, attempt }: TaskChange): string {
  return `${executionId}/${taskId}/${mapIndex}/${loopIteration ?? ''}/${attempt}`;
}

/** The execution of a request; ids of executions may hold slashes themselves. */
export function executionOfRequest(requestId: string): string {
  return requestId.split('/').slice(0, -4).join('/');
}
