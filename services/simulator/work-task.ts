import { drawDurationMs } from './durations.ts';
import { evaluateText } from './expressions.ts';
import type { TaskError } from './play-changes.ts';
import { drawUsage, needsDefaults } from './resource-usage.ts';
import type { SlotRequest, WorkerPool, WorkerSlot } from './resources.ts';
import type { AttemptEnd, TaskAttempt } from './task-attempt.ts';
import { evaluateAll, fullError, pickWeighted, recordedOf } from './task-kinds.ts';
import { describePlace } from './task-place.ts';
import type { ErrorSpec, Produced, WorkTask } from './workflow-model.ts';

const costPerHourDefault = 0.08;
const unnamedError: ErrorSpec = { type: 'TaskFailed', message: 'the work ended with exit code 1' };

/** Work looks for a cached result first; without one it waits for a slot, starts up, runs and gives the slot back. */
export function beginWork(attempt: TaskAttempt, task: WorkTask): void {
  const { scope } = attempt.place;
  if (task.input !== undefined) attempt.facts.input = evaluateAll(task.input, scope.get);
  attempt.measure = (ranMs, end) => measureWork(attempt, task, ranMs, end);
  if (task.cache === undefined || !takeCached(attempt, task)) waitForSlot(attempt, task);
}

/** An earlier result ends the attempt at once; what it took then is what is saved now. */
function takeCached(attempt: TaskAttempt, task: WorkTask): boolean {
  const { options, engine } = attempt.context;
  if (options.cache === undefined) {
    attempt.facts.cacheStatus = 'bypass';
    return false;
  }
  const key = cacheKeyOf(attempt, task);
  const found = options.cache.get(key, engine.nowMs);
  attempt.facts.cacheStatus = found === undefined ? 'miss' : 'hit';
  if (found === undefined) return false;
  attempt.facts.cacheSavedMs = found.durationMs;
  attempt.measure = null;
  attempt.enterRunning();
  return attempt.finish({ state: 'completed', output: found.output });
}

function cacheKeyOf({ context, place }: TaskAttempt, task: WorkTask): string {
  const value = evaluateText(task.cache?.key ?? '', place.scope.get);
  return `${context.definition.id}/${task.id}/${JSON.stringify(value)}`;
}

function waitForSlot(attempt: TaskAttempt, task: WorkTask): void {
  const { context, place, facts } = attempt;
  const { cpuCores, memoryBytes } = { ...needsDefaults, ...task.resources };
  facts.cpuAllocatedCores = cpuCores;
  facts.memoryAllocatedBytes = memoryBytes;
  const pool = context.options.pools(task.pool);
  attempt.enterQueue();
  const { expectedMs, priority } = describePlace(place);
  const id = `${context.options.executionId}/${place.key}/${attempt.number}`;
  const { fairKey } = context;
  const holding = holdSlot(attempt, pool, id);
  const granted = (worker: WorkerSlot) => {
    holding.state = 'granted';
    startUp(attempt, task, worker);
  };
  const lost = (worker: WorkerSlot) => {
    holding.state = 'lost';
    attempt.finish({ state: 'failed', error: workerLost(worker) });
  };
  const request: SlotRequest = { id, cpuCores, memoryBytes, priority, fairKey, expectedMs, granted, lost };
  pool.request(request);
}

/** However the attempt ends, what it asked for is taken back and what it got is released, once. */
function holdSlot(attempt: TaskAttempt, pool: WorkerPool, id: string): { state: 'asked' | 'granted' | 'lost' } {
  const holding: { state: 'asked' | 'granted' | 'lost' } = { state: 'asked' };
  attempt.onEnd(() => {
    if (holding.state === 'granted') pool.release(id);
    if (holding.state === 'asked') pool.withdraw(id);
  });
  return holding;
}

function workerLost({ workerId, pool }: WorkerSlot): TaskError {
  return fullError({ code: 'WORKER_LOST' }, 'WorkerLost', `worker ${workerId} of pool ${pool} is gone`);
}

function startUp(attempt: TaskAttempt, task: WorkTask, worker: WorkerSlot): void {
  const { context, facts } = attempt;
  facts.dispatchedAtMs = context.engine.nowMs;
  facts.worker = worker;
  context.noteAllocation(facts.cpuAllocatedCores ?? 0, facts.memoryAllocatedBytes ?? 0);
  const drawnMs = drawDurationMs(task.startupMs ?? 0, attempt.random);
  const alteredMs = context.options.effects?.startupMs?.(attempt.moment, drawnMs) ?? drawnMs;
  const startupMs = recordedOf(attempt)?.startupMs ?? Math.round(alteredMs);
  if (startupMs === 0) run(attempt, task, worker);
  else attempt.later(startupMs, () => run(attempt, task, worker));
}

function run(attempt: TaskAttempt, task: WorkTask, worker: WorkerSlot): void {
  attempt.enterRunning();
  const recorded = recordedOf(attempt);
  if (recorded === undefined) runDrawn(attempt, task, worker);
  else attempt.later(recorded.runMs, () => attempt.finish(recorded));
}

function runDrawn(attempt: TaskAttempt, task: WorkTask, worker: WorkerSlot): void {
  const { effects } = attempt.context.options;
  const drawnMs = drawDurationMs(task.durationMs, attempt.random) / worker.speed;
  const fullMs = effects?.durationMs?.(attempt.moment, drawnMs) ?? drawnMs;
  const drawnError = drawError(attempt, task);
  const planted = effects?.failure?.(attempt.moment);
  const error = planted === undefined ? drawnError : planted;
  // Drawn in any case, so that a planted error leaves the rest of the attempt's chance where it was.
  const shareUntilError = attempt.random.between(0.05, 1);
  const runMs = Math.round(error === null ? fullMs : fullMs * shareUntilError);
  attempt.endAfter(runMs, () => (error === null ? complete(attempt, task) : { state: 'failed', error }));
}

function drawError({ random }: TaskAttempt, task: WorkTask): TaskError | null {
  const isFailing = random.next() < (task.failureRatio ?? 0);
  const drawn = random.next();
  if (!isFailing) return null;
  const { type, code, message, retryable } = pickWeighted(task.errors ?? [unnamedError], drawn);
  const stack = `${type}: ${message}\n    at ${task.operator}.execute (${task.id})`;
  return { type, code: code ?? '', message, stack, retryable: retryable ?? true };
}

function complete(attempt: TaskAttempt, task: WorkTask): AttemptEnd {
  const { options, engine } = attempt.context;
  const produced = produce(attempt, task.produces);
  const output = options.effects?.output?.(attempt.moment, produced) ?? produced;
  if (task.cache !== undefined && options.cache !== undefined) {
    const result = { output, durationMs: engine.nowMs - (attempt.facts.startedAtMs ?? 0) };
    options.cache.set(cacheKeyOf(attempt, task), result, engine.nowMs + task.cache.ttlMs);
  }
  return { state: 'completed', output };
}

function produce(attempt: TaskAttempt, produces: WorkTask['produces']): Record<string, unknown> | null {
  if (produces === undefined) return null;
  const entries = Object.entries(produces).map(([name, produced]) => [name, produceOne(attempt, produced)]);
  return Object.fromEntries(entries);
}

function produceOne({ random, place }: TaskAttempt, { value, from, between, oneOf }: Produced): unknown {
  if (from !== undefined) return evaluateText(from, place.scope.get);
  if (between !== undefined) return Math.round(random.between(...between));
  return oneOf === undefined ? value : random.pick(oneOf);
}

function measureWork(attempt: TaskAttempt, task: WorkTask, ranMs: number, end: AttemptEnd) {
  const { effects } = attempt.context.options;
  const recorded = recordedOf(attempt);
  if (recorded?.usage != null) return { usage: recorded.usage, cost: recorded.cost ?? 0 };
  const doneRatio = end.state === 'completed' ? 1 : attempt.random.between(0.1, 0.9);
  const drawn = drawUsage(task, ranMs, doneRatio, attempt.random);
  const usage = effects?.usage?.(attempt.moment, drawn) ?? drawn;
  return { usage, cost: ((task.costPerHour ?? costPerHourDefault) * ranMs) / 3_600_000 };
}
