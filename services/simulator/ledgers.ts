/**
 * What an orchestrator counts while it works, and reports now and then. Counts only grow; spans since the last
 * report are kept as they come and forgotten with it.
 */

/** Values since the last report. Past a bound every further value replaces an older one, which keeps memory small. */
class Span {
  #values: number[] = [];
  #count = 0;
  #sum = 0;
  #most = 0;

  add(value: number): void {
    if (this.#values.length < spanValuesMost) this.#values.push(value);
    else this.#values[this.#count % spanValuesMost] = value;
    this.#count++;
    this.#sum += value;
    this.#most = Math.max(this.#most, value);
  }

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get most(): number {
    return this.#most;
  }

  /** Nearest rank, over the values that are kept. */
  quantile(share: number): number {
    if (this.#values.length === 0) return 0;
    const sorted = this.#values.toSorted((one, other) => one - other);
    return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  }

  variance(): number {
    if (this.#values.length < 2) return 0;
    const mean = this.#values.reduce((sum, value) => sum + value, 0) / this.#values.length;
    return this.#values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / this.#values.length;
  }

  clear(): void {
    this.#values = [];
    this.#count = 0;
    this.#sum = 0;
    this.#most = 0;
  }
}

const spanValuesMost = 512;

/** Counts of one pool. */
export class PoolLedger {
  completed = 0;
  failed = 0;
  restarts = 0;
  communicationErrors = 0;
  exhaustions = 0;
  redistributions = 0;
  healthChecks = 0;
  healthCheckFailures = 0;
  failovers = 0;
  failoverMsTotal = 0;
  readonly durations = new Span();
  readonly waits = new Span();
  failedSince = 0;
  loadPeak = 0;
  /** Workers that were lost and not yet replaced. */
  workersLost = 0;
  /** Workers ordered and not there yet. */
  workersPending = 0;

  closeSpan(): void {
    this.durations.clear();
    this.waits.clear();
    this.failedSince = 0;
  }
}

/** Counts of one worker. */
export interface WorkerLedger {
  bornMs: number;
  completed: number;
  failed: number;
  currentTask: string;
  /** Memory that was not given back. */
  leakedBytes: number;
  /** 1 is well. */
  health: number;
  /** Cores that something else on its machine takes. */
  stolenCores: number;
}

export const newWorkerLedger = (bornMs: number): WorkerLedger => ({
  bornMs,
  completed: 0,
  failed: 0,
  currentTask: '',
  leakedBytes: 0,
  health: 1,
  stolenCores: 0,
});

/** Counts of one queue, with what waits in it in the order of arrival. */
export class QueueLedger {
  enqueued = 0;
  processed = 0;
  deadLetters = 0;
  poison = 0;
  failedSince = 0;
  readonly waiting = new Map<string, { sinceMs: number; priority: number }>();
  readonly waits = new Span();
  readonly processing = new Span();

  closeSpan(): void {
    this.waits.clear();
    this.processing.clear();
    this.failedSince = 0;
  }

  get oldestMs(): number | null {
    for (const { sinceMs } of this.waiting.values()) return sinceMs;
    return null;
  }
}

/** Counts of a whole orchestrator. */
export class OrchestratorLedger {
  pending = 0;
  running = 0;
  suspended = 0;
  runsCompleted = 0;
  runsFailed = 0;
  tasksCompleted = 0;
  tasksFailed = 0;
  schedulingFailures = 0;
  contentions = 0;
  affinityMisses = 0;
  affinityViolations = 0;
  preemptions = 0;
  restarts = 0;
  bytesReceived = 0;
  bytesSent = 0;
  networkErrors = 0;
  storeErrors = 0;
  loadPeak = 0;
  unavailableMs = 0;
  readonly decisions = new Span();
  readonly waits = new Span();
  readonly runDurations = new Span();
  tasksEndedSince = 0;
  readonly recentErrors: { type: string; code: string; message: string; component: string; atMs: number }[] = [];

  closeSpan(): void {
    this.decisions.clear();
    this.waits.clear();
    this.runDurations.clear();
    this.tasksEndedSince = 0;
    this.loadPeak = 0;
    this.recentErrors.splice(0, Math.max(0, this.recentErrors.length - 8));
  }
}
