import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import type { PlannedEvent } from '../../services/simulator/oddities.ts';
import type { Random } from '../../services/simulator/random.ts';
import type { OddTask, OddWorkflow } from './odd-workflows.ts';

export interface RunOptions {
  serial: number;
  startMs: number;
  /** Chance that a finished run is run again under its id. */
  rerunRatio: number;
}

/** What one attempt of a task, or one whole task with its tries, came to. */
interface Outcome {
  endMs: number;
  state: 'completed' | 'failed' | 'skipped' | 'timeout';
}

interface RunState {
  workflow: OddWorkflow;
  random: Random;
  events: PlannedEvent[];
  shared: Shared;
  attempt: number;
  startMs: number;
  costMicros: number;
  cpuMs: number;
  /** Tries of a task go on counting when the run is run again. */
  tries: Map<string, number>;
  outcomes: Map<string, Outcome>;
}

type Shared = Pick<
  ExecutionRecord & TaskRecord,
  | 'project'
  | 'source'
  | 'source_version'
  | 'workflow_id'
  | 'workflow_name'
  | 'workflow_version'
  | 'execution_id'
  | 'environment'
  | 'region'
  | 'correlation_id'
>;

const failures = [
  ['ConnectionError', 'ECONNRESET', 'connection reset by peer while reading the answer'],
  ['TimeoutError', 'ETIMEDOUT', 'no answer within 30 s'],
  ['ValueError', '', 'column amount holds a text where a number was expected'],
  ['OutOfMemory', '137', 'the container was killed: it used more memory than its limit'],
  ['PermissionDenied', '403', 'the role may not write to this bucket'],
  ['RateLimited', '429', 'too many requests, try again in 20 s'],
] as const;

/** Plays one run of a workflow from its trigger to its last end, reruns included; a pure function of its arguments. */
export function planRun(workflow: OddWorkflow, options: RunOptions, random: Random): PlannedEvent[] {
  const state: RunState = {
    workflow,
    random,
    events: [],
    shared: describeRun(workflow, options, random),
    attempt: 1,
    startMs: options.startMs,
    costMicros: 0,
    cpuMs: 0,
    tries: new Map(),
    outcomes: new Map(),
  };
  const end = playAttempt(state, options.serial);
  if (random.chance(options.rerunRatio)) {
    // Half of the sources count attempts of a run; to the others it is simply the same run again.
    if (random.chance(0.5)) state.attempt++;
    state.startMs = end.endMs + Math.round(random.between(15_000, 90_000));
    for (const [task, outcome] of state.outcomes) {
      if (outcome.state !== 'completed' || random.chance(0.3)) state.outcomes.delete(task);
    }
    playAttempt(state, options.serial);
  }
  return state.events;
}

function describeRun(workflow: OddWorkflow, { serial, startMs }: RunOptions, random: Random): Shared {
  const { versions } = workflow;
  const version = random.chance(0.85) ? versions[versions.length - 1] : random.pick(versions);
  return {
    project: workflow.project === '' ? null : workflow.project,
    source: workflow.source,
    source_version: workflow.sourceVersion,
    workflow_id: workflow.id,
    workflow_name: workflow.name,
    workflow_version: version,
    execution_id: workflow.executionId(serial, new Date(startMs).toISOString().slice(0, 19)),
    environment: 'production',
    region: random.chance(0.8) ? 'eu-central' : 'us-east',
    correlation_id: `c-${serial.toString(36)}`,
  };
}

function playAttempt(state: RunState, serial: number): Outcome {
  const { workflow, random } = state;
  const queuedMs = state.startMs;
  const startedMs = queuedMs + Math.round(random.logNormal(300, 0.8));
  const about = {
    attempt: state.attempt,
    execution_number: serial,
    trigger_type: workflow.trigger,
    trigger_source: workflow.trigger === 'scheduled' ? 'scheduler' : 'client',
    trigger_time: queuedMs,
    schedule_cron: workflow.cron === '' ? null : workflow.cron,
    queued_at: queuedMs,
  };
  if (random.chance(0.5)) sendExecution(state, queuedMs, { ...about, state: 'pending' });
  sendExecution(state, startedMs, {
    ...about,
    state: 'running',
    started_at: startedMs,
    queue_ms: startedMs - queuedMs,
  });
  let endMs = startedMs + 20;
  for (const task of workflow.tasks) endMs = Math.max(endMs, playTask(state, task, startedMs));
  const outcome: Outcome = { endMs: endMs + Math.round(random.logNormal(60, 0.5)), state: judgeRun(state) };
  sendExecution(state, outcome.endMs, {
    ...about,
    ...runEnd(state, outcome, startedMs),
    queue_ms: startedMs - queuedMs,
    progress_ratio: outcome.state === 'completed' ? 1 : null,
  });
  return outcome;
}

/** Some runs end in the rarer ways, whatever their tasks did. */
function judgeRun({ random, outcomes, workflow }: RunState): 'completed' | 'failed' | 'timeout' {
  const isFailed = workflow.tasks.some(({ id }) => !outcomes.has(id) || outcomes.get(id)?.state === 'failed');
  if (isFailed) return 'failed';
  return random.chance(0.01) ? 'timeout' : 'completed';
}

function runEnd(
  { random, costMicros, cpuMs }: RunState,
  outcome: Outcome,
  startedMs: number,
): Partial<ExecutionRecord> & { state: string } {
  const totals = { cost: costMicros / 1e6, cpu_ms: cpuMs, ...startOfEnd(random, startedMs, outcome.endMs) };
  if (outcome.state === 'failed' && random.chance(0.1)) return { ...totals, state: 'partial' };
  if (outcome.state === 'failed' && random.chance(0.1)) {
    return { ...totals, state: 'cancelled', cancel_reason: 'stopped by the operator on duty' };
  }
  if (outcome.state !== 'failed') return { ...totals, state: outcome.state };
  return { ...totals, state: 'failed', error_type: 'TaskFailed', error_message: 'a task failed in its last attempt' };
}

/** Good sources say on an end when the run began; a quarter of the ends here leave it to be found. */
function startOfEnd(random: Random, startedMs: number, endMs: number): Pick<TaskRecord, 'started_at' | 'duration_ms'> {
  const style = random.next();
  if (style < 0.25) return {};
  if (style < 0.5) return { started_at: startedMs };
  return { started_at: startedMs, duration_ms: endMs - startedMs };
}

/** All instances of a task; answers when the last of them was over. What it waits for must have been played. */
function playTask(state: RunState, task: OddTask, runStartedMs: number): number {
  const { outcomes, random } = state;
  const known = outcomes.get(task.id);
  if (known !== undefined) return runStartedMs;
  const upstream = task.after.map((id) => outcomes.get(id));
  // What stands behind a failure never runs, and nobody says so.
  if (upstream.some((outcome) => outcome === undefined || outcome.state === 'failed')) return runStartedMs;
  const readyMs = Math.max(runStartedMs, ...upstream.map((outcome) => outcome?.endMs ?? 0)) + 15;
  if (random.chance(task.skipRatio)) {
    outcomes.set(task.id, { endMs: readyMs, state: 'skipped' });
    // Half of the tools report a skipped task, the others leave it out.
    if (random.chance(0.5)) sendTask(state, task, readyMs, { state: 'skipped' });
    return readyMs;
  }
  const instances = task.mapped === null ? 1 : Math.round(random.between(...task.mapped));
  let outcome: Outcome = { endMs: readyMs, state: 'completed' };
  for (let instance = 0; instance < instances; instance++) {
    const one = playInstance(state, task, task.mapped === null ? null : instance, readyMs);
    outcome = {
      endMs: Math.max(outcome.endMs, one.endMs),
      state: outcome.state === 'failed' ? 'failed' : one.state,
    };
  }
  outcomes.set(task.id, outcome);
  return outcome.endMs;
}

/** One instance with all its tries: a failure may be followed by a retry, and nothing says that one will follow. */
function playInstance(state: RunState, task: OddTask, mapIndex: number | null, readyMs: number): Outcome {
  const { random, tries } = state;
  const key = `${task.id} ${mapIndex}`;
  let outcome: Outcome = { endMs: readyMs, state: 'failed' };
  for (let left = task.attempts; left > 0; left--) {
    const attempt = (tries.get(key) ?? 0) + 1;
    tries.set(key, attempt);
    const about = { attempt, max_attempts: task.attempts, ...(mapIndex === null ? {} : { map_index: mapIndex }) };
    // What failed once is likely to fail again: the cause is seldom gone a moment later.
    const failureRatio = left === task.attempts ? task.failureRatio : Math.max(task.failureRatio, 0.45);
    outcome = playTry(state, task, about, outcome.endMs, failureRatio);
    if (outcome.state !== 'failed' || left === 1) break;
    const retryMs = outcome.endMs + task.retryDelayMs;
    if (random.chance(0.3)) {
      sendTask(state, task, outcome.endMs + 5, { ...about, state: 'retrying', next_retry_at: retryMs });
    }
    outcome.endMs = retryMs;
  }
  return outcome;
}

function playTry(
  state: RunState,
  task: OddTask,
  about: Partial<TaskRecord>,
  readyMs: number,
  failureRatio: number,
): Outcome {
  const { random } = state;
  const startedMs = readyMs + Math.round(random.logNormal(task.pool === 'gpu' ? 6_000 : 180, 0.9));
  const endMs = startedMs + Math.max(1, Math.round(random.logNormal(task.durationMsMedian, task.durationSigma)));
  const worker = { pool: task.pool, queue: task.queue, worker_id: `${task.pool}-${random.below(8)}` };
  const start = { ...about, ...worker, queued_at: readyMs, queue_ms: startedMs - readyMs };
  if (random.chance(0.6))
    sendTask(state, task, readyMs, { ...about, state: 'queued', queue: task.queue, pool: task.pool });
  sendTask(state, task, startedMs, { ...start, state: 'running', started_at: startedMs });
  // Whoever waits for people or for other systems gives its slot away meanwhile, where the tool can do that.
  if ((task.type === 'human' || task.type === 'wait') && random.chance(0.5)) {
    sendTask(state, task, startedMs + Math.round((endMs - startedMs) / 10), { ...about, state: 'suspended' });
  }
  const isFailed = random.chance(failureRatio);
  const durationMs = endMs - startedMs;
  const used = measureTry(state, task, durationMs);
  const end = { ...start, ...used, ...startOfEnd(random, startedMs, endMs) };
  if (isFailed) {
    const [type, code, message] = random.pick(failures);
    const error = { error_type: type, error_code: code === '' ? null : code, error_message: message };
    sendTask(state, task, endMs, { ...end, ...error, state: 'failed', error_retryable: type !== 'ValueError' });
  } else {
    sendTask(state, task, endMs, { ...end, state: 'completed' });
  }
  return { endMs, state: isFailed ? 'failed' : 'completed' };
}

function measureTry(state: RunState, task: OddTask, durationMs: number): Partial<TaskRecord> {
  const { random } = state;
  const costMicros = Math.round((durationMs / 3_600_000) * task.costPerHour * 1e6);
  const cpuMs = Math.round(durationMs * task.cpuRatio * random.between(0.7, 1.1));
  state.costMicros += costMicros;
  state.cpuMs += cpuMs;
  return {
    cost: costMicros / 1e6,
    cpu_ms: cpuMs,
    memory_peak_bytes: Math.round(task.memoryBytes * random.between(0.3, 0.95)),
    cpu_ratio_mean: Math.round(task.cpuRatio * random.between(0.7, 1) * 1000) / 1000,
    io_read_bytes: task.type === 'io' ? Math.round(random.logNormal(2e6, 1)) : null,
    cache_status: random.chance(0.1) ? 'hit' : null,
  };
}

// Sources report a start 0.4 s after it, because a worker has to come up first, and an end at once.
const delayMsMedian = { start: 400, other: 35 } as const;

function sendAt({ random }: RunState, eventMs: number, isStart: boolean): number {
  return eventMs + Math.round(random.logNormal(isStart ? delayMsMedian.start : delayMsMedian.other, 0.9));
}

function sendExecution(state: RunState, eventMs: number, fields: Partial<ExecutionRecord> & { state: string }): void {
  state.events.push({
    topic: 'executions',
    sendAtMs: sendAt(state, eventMs, fields.state === 'running'),
    record: { ...state.shared, ...fields, event_time: eventMs },
  });
}

function sendTask(
  state: RunState,
  task: OddTask,
  eventMs: number,
  fields: Partial<TaskRecord> & { state: string },
): void {
  state.events.push({
    topic: 'tasks',
    sendAtMs: sendAt(state, eventMs, fields.state === 'running'),
    record: {
      ...state.shared,
      task_id: task.id,
      task_type: task.type,
      operator: task.operator,
      dependencies: task.after.map((id) => ({ task_id: id })),
      ...fields,
      event_time: eventMs,
    },
  });
}
