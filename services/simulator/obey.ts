import type { CommandOutcomeRecord, CommandRecord, CommandRequestRecord } from '../../schemas/records.ts';
import { scalePool } from './scaling.ts';
import type { World } from './world.ts';

/**
 * Commands on `weir.commands` and what becomes of them. Each is carried out at most once: what was answered stands on
 * the same topic, and whoever starts anew reads it first. An acceptance is written before the deed, with the virtual
 * instant of the deed; a restart plays the world again and repeats the deed at that instant, to the same effect.
 */

export interface Verdict {
  /** Carry it out, or only answer. */
  carryOut: boolean;
  outcome: Omit<CommandOutcomeRecord, 'at' | 'reported_by'>;
}

/** An acceptance as it stands on the topic: what was to be done when. */
export interface AcceptedCommand {
  request: CommandRequestRecord;
  workspace: string;
  source: string;
  atMs: number;
  /** Start of the segment whose world it was done in. */
  segmentMs: number;
  isAnswered: boolean;
}

/** All that is known of commands, folded from the topic in its order. */
export class CommandBook {
  readonly #requests = new Map<string, { request: CommandRequestRecord; workspace: string; source: string }>();
  readonly #finals = new Map<string, CommandOutcomeRecord>();
  readonly #accepted = new Map<string, AcceptedCommand>();
  readonly #keys = new Map<string, string>();
  /** Requests read while the topic was folded and not judged yet, by id. */
  readonly #open = new Map<string, CommandRecord>();

  /** Notes a record; answers with the request where it is one. */
  note(record: CommandRecord): CommandRequestRecord | null {
    const { request, outcome } = record;
    if (request != null) {
      const { workspace = 'default', source = 'default' } = record;
      this.#requests.set(request.command_id, { request, workspace, source });
      this.#open.set(request.command_id, record);
      return request;
    }
    if (outcome != null) this.#noteOutcome(outcome);
    return null;
  }

  #noteOutcome(outcome: CommandOutcomeRecord): void {
    const { command_id: id } = outcome;
    if (outcome.outcome === 'accepted') this.#noteAcceptance(outcome);
    else if (isFinal(outcome)) {
      if (!this.#finals.has(id)) this.#finals.set(id, outcome);
      const accepted = this.#accepted.get(id);
      if (accepted !== undefined) accepted.isAnswered = true;
    }
    this.#open.delete(id);
  }

  #noteAcceptance(outcome: CommandOutcomeRecord): void {
    const known = this.#requests.get(outcome.command_id);
    if (known === undefined || this.#accepted.has(outcome.command_id)) return;
    const segmentMs = readSegment(outcome.result);
    this.#accepted.set(outcome.command_id, { ...known, atMs: outcome.at, segmentMs, isAnswered: false });
    const key = known.request.idempotency_key;
    if (key != null && key !== '') this.#keys.set(`${known.workspace} ${key}`, outcome.command_id);
  }

  /** Requests that nobody has answered, in the order in which they came. */
  get open(): readonly CommandRecord[] {
    return [...this.#open.values()];
  }

  /** By the instant of the deed. */
  get accepted(): readonly AcceptedCommand[] {
    return [...this.#accepted.values()].toSorted((one, other) => one.atMs - other.atMs);
  }

  judge({ workspace = 'default', request }: CommandRecord, nowMs: number): Verdict {
    if (request == null) throw new Error('only requests are judged');
    const { command_id } = request;
    const answer = (outcome: string, message: string, reason: string): Verdict => ({
      carryOut: false,
      outcome: { command_id, outcome, message, result: JSON.stringify({ reason }) },
    });
    const final = this.#finals.get(command_id);
    if (final !== undefined) {
      return answer(
        final.outcome,
        `delivered again: it was ${final.outcome} before, and nothing more was done`,
        'repeated',
      );
    }
    if (this.#accepted.has(command_id))
      return answer('accepted', 'delivered again while it is carried out', 'repeated');
    const twin = this.#twinOf(workspace, request);
    if (twin !== undefined) return answer('rejected', `the same as command ${twin}, which was carried out`, 'same_key');
    if (request.expires_at <= nowMs)
      return answer('expired', 'it came after its expiry, and nothing was done', 'expired');
    if (request.approval_required === true && request.approved_by == null) {
      return answer(
        'rejected',
        'it needs an approval, and nothing was done; it is carried out once approved',
        'not_approved',
      );
    }
    if (!commandKinds.includes(request.kind))
      return answer('rejected', `no orchestrator here obeys ${request.kind}`, 'unknown_kind');
    return { carryOut: true, outcome: { command_id, outcome: 'accepted', message: 'it is carried out', result: null } };
  }

  #twinOf(workspace: string, { idempotency_key: key, command_id }: CommandRequestRecord): string | undefined {
    if (key == null || key === '') return undefined;
    const twin = this.#keys.get(`${workspace} ${key}`);
    return twin === command_id ? undefined : twin;
  }
}

/** Whoever asks for an approval waits for the same request once more, so that is no end. */
function isFinal({ outcome, result }: CommandOutcomeRecord): boolean {
  return outcome !== 'accepted' && !(result ?? '').includes('"not_approved"') && !(result ?? '').includes('"repeated"');
}

/** Acceptances say in which segment the deed is done. */
export const acceptanceResult = (segmentMs: number): string => JSON.stringify({ segment_ms: segmentMs });

function readSegment(result: string | null | undefined): number {
  return Number((JSON.parse(result || '{}') as { segment_ms?: number }).segment_ms ?? 0);
}

export type Deed = { outcome: 'done' | 'failed'; message: string; result: Record<string, unknown> };

const done = (message: string, result: Record<string, unknown> = {}): Deed => ({ outcome: 'done', message, result });
const failed = (message: string): Deed => ({ outcome: 'failed', message, result: {} });

type Obey = (world: World, request: CommandRequestRecord, parameters: Record<string, unknown>) => Deed;

const deeds: Record<string, Obey> = {
  cancel: (world, { execution_id, reason }) =>
    onRun(world, execution_id, (play) => play.cancel(reason || 'cancelled by command'), 'cancelled'),
  retry: (world, { execution_id, reason }) =>
    onRun(world, execution_id, (play) => play.retry(reason || 'retried by command'), 'started again'),
  restart_task: (world, { execution_id, task_id, reason }) =>
    onRun(
      world,
      execution_id,
      (play) => play.restartTask(task_id ?? '', reason || 'restarted by command'),
      'restarted',
    ),
  pause: pauseOrResume('pause'),
  resume: pauseOrResume('resume'),
  scale_pool: obeyScale,
  change_concurrency: obeyConcurrency,
};
const commandKinds: readonly string[] = Object.keys(deeds);

/** Does what is asked for, at this instant of the world. */
export function obey(world: World, request: CommandRequestRecord): Deed {
  const deed = deeds[request.kind];
  if (deed === undefined) return failed(`no orchestrator here obeys ${request.kind}`);
  const parameters = readParameters(request.parameters);
  if (parameters === null) return failed('its parameters are no JSON object');
  if (request.dry_run === true) return done('only checked, nothing was done', { dry_run: true });
  return deed(world, request, parameters);
}

function readParameters(text: string | undefined): Record<string, unknown> | null {
  try {
    const value = JSON.parse(text || '{}') as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function onRun(
  world: World,
  executionId: string | null | undefined,
  act: (play: {
    cancel(reason: string): boolean;
    retry(reason: string): boolean;
    restartTask(taskId: string, reason: string): boolean;
    pause(): boolean;
    resume(): boolean;
  }) => boolean,
  what: string,
): Deed {
  const run = world.runs.get(executionId ?? '');
  if (run === undefined) return failed(`execution ${executionId ?? ''} is not known here any more`);
  const before = run.play.state;
  if (!act(run.play)) return failed(`execution ${executionId} is ${before}, which does not allow it`);
  return done(`execution ${executionId} was ${what}`, {
    execution_id: executionId,
    state_before: before,
    state: run.play.state,
  });
}

function pauseOrResume(verb: 'pause' | 'resume'): Obey {
  return (world, { execution_id, workflow_id }) => {
    const what = verb === 'pause' ? 'paused' : 'resumed';
    if (execution_id != null && execution_id !== '') return onRun(world, execution_id, (play) => play[verb](), what);
    const id = workflow_id ?? '';
    const isDone = verb === 'pause' ? world.pauseWorkflow(id) : world.resumeWorkflow(id);
    return isDone
      ? done(`workflow ${id} was ${what}`, { workflow_id: id })
      : failed(`workflow ${id} cannot be ${what} now`);
  };
}

function obeyScale(world: World, request: CommandRequestRecord, parameters: Record<string, unknown>): Deed {
  const place = findPool(world, request);
  const target = Number(parameters.target_workers);
  if (place === null) return failed(`pool ${request.pool_id ?? ''} is not known here`);
  const { owner, pool } = place;
  const { workersMin, workersMax } = pool.spec;
  if (!Number.isInteger(target) || target < workersMin || target > workersMax) {
    return failed(`target_workers has to be a whole number from ${workersMin} to ${workersMax}`);
  }
  const workersBefore = pool.line.workers.size;
  scalePool(owner, pool, {
    to: target,
    reason: request.reason || 'asked for by a command',
    commandId: request.command_id,
  });
  return done(`pool ${pool.id} goes from ${workersBefore} to ${target} workers`, {
    workers_from: workersBefore,
    workers_to: target,
  });
}

function obeyConcurrency(world: World, request: CommandRequestRecord, parameters: Record<string, unknown>): Deed {
  const concurrency = Number(parameters.concurrency);
  if (!Number.isInteger(concurrency) || concurrency < 1) return failed('concurrency has to be a whole number from 1');
  if (request.pool_id != null && request.pool_id !== '') {
    const place = findPool(world, request);
    if (place === null) return failed(`pool ${request.pool_id} is not known here`);
    place.pool.slotLimit = concurrency;
    place.pool.line.setSlots(concurrency);
    return done(`pool ${request.pool_id} uses ${concurrency} slots at most`, { concurrency });
  }
  const workflowId = request.workflow_id ?? '';
  if (!world.hasWorkflow(workflowId)) return failed(`workflow ${workflowId} is not known here`);
  world.setConcurrency(workflowId, concurrency);
  return done(`${concurrency} runs of workflow ${workflowId} go at once`, { concurrency });
}

function findPool(world: World, { pool_id, orchestrator_id }: CommandRequestRecord) {
  for (const owner of world.orchestrators.values()) {
    if (orchestrator_id != null && orchestrator_id !== '' && owner.spec.id !== orchestrator_id) continue;
    for (const pool of owner.pools.values()) if (pool.id === pool_id || pool.name === pool_id) return { owner, pool };
  }
  return null;
}
