import { createHash, randomUUID } from 'node:crypto';
import type { Static } from 'typebox';
import {
  type CommandRecordRow,
  commandRecordsQuestion,
  executionTargetQuestion,
  poolTargetQuestion,
} from '../../clickhouse/queries/commands.ts';
import { always, workflowSourcesQuestion } from '../../clickhouse/queries/workflow-executions.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { Command } from '../../schemas/api/commands.ts';
import { type CommandKind, findCommandMistake } from '../../schemas/commands.ts';
import { endStates } from '../../schemas/events.ts';
import type { CommandRequestRecord } from '../../schemas/records.ts';
import { encodeCommand } from '../../schemas/wire.ts';
import { orNull, readJson, toInstant, toMaybeInstant } from './answer-values.ts';
import type { Caller } from './auth.ts';
import { ApiError } from './errors.ts';
import type { Publisher } from './publisher.ts';

/** What somebody wants an orchestrator to do. */
export interface CommandWish {
  kind: CommandKind;
  source?: string;
  orchestrator_id?: string;
  workflow_id?: string;
  execution_id?: string;
  task_id?: string;
  map_index?: number;
  pool_id?: string;
  optimization_id?: string;
  parameters?: Record<string, unknown>;
  reason?: string;
  expires_in_seconds: number;
  approval_required?: boolean;
  dry_run?: boolean;
}

type CommandAnswer = Static<typeof Command>;

interface DeskOptions {
  publisher: Publisher;
  topic: string;
  nowMs: () => number;
}

/** Records of one command that are read: a request, its approval, and a handful of answers. */
const mostRecords = 10_000;

/**
 * Puts commands on their topic and tells what became of them. A command with an idempotency key has an id that follows from
 * the key, so whichever instance is asked again, now or after a restart, it is the same command, which orchestrators
 * carry out once.
 */
export class CommandDesk {
  readonly #options: DeskOptions;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  async ask(reader: WorkspaceReader, caller: Caller, wish: CommandWish, key: string): Promise<CommandAnswer> {
    const mistake = findCommandMistake(wish.kind, wish, wish.parameters ?? {});
    if (mistake !== null) throw new ApiError('invalid_request', `${mistake}.`);
    const { source, state } = await this.#findTarget(reader, wish);
    const request = this.#makeRequest(reader.workspace, caller, wish, key);
    if (key !== '') {
      const known = await readCommand(reader, request.command_id);
      if (known !== null) return this.#repeat(known, request);
    }
    if (wish.kind === 'cancel' && isEnd(state)) {
      throw new ApiError('execution_ended', `The execution cannot be cancelled: it is ${state}.`);
    }
    await this.#publish(reader.workspace, source, request);
    return describeCommand([rowOf(request, source)], this.#options.nowMs());
  }

  /** The same request once more, with who agreed: orchestrators wait for nothing else. */
  async approve(reader: WorkspaceReader, caller: Caller, id: string, isOpen: boolean): Promise<CommandAnswer> {
    const nowMs = this.#options.nowMs();
    const rows = await readCommand(reader, id);
    if (rows === null) throw new ApiError('not_found', 'There is no such command in the workspace.');
    const answer = describeCommand(rows, nowMs);
    if (answer.state !== 'waiting_for_approval') {
      throw new ApiError('command_settled', `The command waits for no approval: it is ${answer.state}.`);
    }
    if (!isOpen && answer.requested_by === caller.name) {
      throw new ApiError('forbidden', 'Whoever asked for a command cannot approve it.');
    }
    const [first] = rows as [CommandRecordRow];
    const request = { ...requestOf(first), approved_by: caller.name, approved_at: nowMs };
    await this.#publish(reader.workspace, first.source, request);
    return describeCommand([...rows, rowOf(request, first.source)], nowMs);
  }

  /** The source that has what the command is about: nobody acts on what is of another workspace, or not there at all. */
  async #findTarget(reader: WorkspaceReader, wish: CommandWish): Promise<{ source: string; state: string }> {
    const { source = '', execution_id: execution, workflow_id: workflow, pool_id: pool } = wish;
    if (execution !== undefined) return await findExecution(reader, execution, source);
    if (pool !== undefined) {
      const pools = await reader.ask(poolTargetQuestion, { pool, source });
      return { source: takeOne('worker pool', pools), state: '' };
    }
    if (workflow === undefined) return { source: source === '' ? 'default' : source, state: '' };
    const sources = await reader.ask(workflowSourcesQuestion, { workflow, ...always });
    const own = sources.filter((row) => source === '' || row.source === source);
    return { source: takeOne('workflow', own), state: '' };
  }

  #makeRequest(workspace: string, caller: Caller, wish: CommandWish, key: string): CommandRequestRecord {
    const nowMs = this.#options.nowMs();
    const { kind, parameters = {}, reason, expires_in_seconds: seconds } = wish;
    return {
      command_id: key === '' ? `cmd_${randomUUID().replaceAll('-', '')}` : idOfKey(workspace, caller.name, key),
      idempotency_key: key === '' ? null : `${caller.name} ${key}`,
      kind,
      orchestrator_id: wish.orchestrator_id ?? null,
      workflow_id: wish.workflow_id ?? null,
      execution_id: wish.execution_id ?? null,
      task_id: wish.task_id ?? null,
      map_index: wish.map_index ?? -1,
      pool_id: wish.pool_id ?? null,
      queue_id: null,
      optimization_id: wish.optimization_id ?? null,
      parameters: JSON.stringify(parameters),
      requested_by: caller.name,
      reason: reason ?? null,
      requested_at: nowMs,
      expires_at: nowMs + seconds * 1000,
      approval_required: wish.approval_required ?? false,
      dry_run: wish.dry_run ?? false,
    };
  }

  #repeat(known: CommandRecordRow[], request: CommandRequestRecord): CommandAnswer {
    const [first] = known as [CommandRecordRow];
    const before = requestOf(first);
    const fields = ['kind', 'workflow_id', 'execution_id', 'task_id', 'map_index', 'pool_id', 'parameters'] as const;
    const differs = [...fields, 'reason' as const, 'dry_run' as const].some(
      (field) => before[field] !== request[field],
    );
    if (differs) throw new ApiError('idempotency_conflict', 'The Idempotency-Key was used for another command.');
    return describeCommand(known, this.#options.nowMs());
  }

  async #publish(workspace: string, source: string, request: CommandRequestRecord): Promise<void> {
    const value = encodeCommand({ workspace, source, request, outcome: null });
    await this.#options.publisher.publish([{ topic: this.#options.topic, key: request.command_id, value }]);
  }
}

/** Callers are told apart, so that nobody meets the key of somebody else. */
const idOfKey = (...parts: readonly string[]): string =>
  `cmd_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)}`;

function takeOne(what: string, rows: readonly { source: string }[]): string {
  const [only] = rows;
  if (only === undefined) throw new ApiError('not_found', `There is no such ${what} in the workspace.`);
  if (rows.length === 1) return only.source;
  const sources = rows.map(({ source }) => source);
  throw new ApiError('ambiguous_source', `The id is used by ${rows.length} sources.`, { sources });
}

export async function findExecution(reader: WorkspaceReader, execution: string, source: string) {
  const rows = await reader.ask(executionTargetQuestion, { execution, source });
  takeOne('execution', rows);
  return rows[0] as (typeof rows)[number];
}

/** All records of a command in their order; null where the workspace has no request of that id. */
export async function readCommand(reader: WorkspaceReader, id: string): Promise<CommandRecordRow[] | null> {
  const rows = await reader.ask(commandRecordsQuestion, { ids: [id], limit: mostRecords });
  return rows.some(({ record }) => record === 'request') ? requestFirst(rows) : null;
}

/** Clocks of brokers may put an answer before its request. */
export const requestFirst = (rows: readonly CommandRecordRow[]): CommandRecordRow[] => [
  ...rows.filter(({ record }) => record === 'request'),
  ...rows.filter(({ record }) => record !== 'request'),
];

const isEnd = (state: string): boolean => (endStates as readonly string[]).includes(state);

const orNothing = (text: string): string | null => (text === '' ? null : text);

function requestOf(row: CommandRecordRow): CommandRequestRecord {
  return {
    command_id: row.command_id,
    idempotency_key: orNothing(row.idempotency_key),
    kind: row.kind,
    orchestrator_id: orNothing(row.orchestrator_id),
    workflow_id: orNothing(row.workflow_id),
    execution_id: orNothing(row.execution_id),
    task_id: orNothing(row.task_id),
    map_index: row.map_index,
    pool_id: orNothing(row.pool_id),
    queue_id: orNothing(row.queue_id),
    optimization_id: orNothing(row.optimization_id),
    parameters: row.parameters,
    requested_by: row.requested_by,
    reason: orNothing(row.reason),
    requested_at: row.requested_at_ms,
    expires_at: row.expires_at_ms,
    approval_required: row.approval_required,
    approved_by: orNothing(row.approved_by),
    approved_at: row.approved_at_ms,
    dry_run: row.dry_run,
  };
}

/** A request as it will be read back. */
function rowOf(request: CommandRequestRecord, source: string): CommandRecordRow {
  const text = (value: string | null | undefined) => value ?? '';
  return {
    command_id: request.command_id,
    record: 'request',
    source,
    kind: request.kind,
    orchestrator_id: text(request.orchestrator_id),
    workflow_id: text(request.workflow_id),
    execution_id: text(request.execution_id),
    task_id: text(request.task_id),
    map_index: request.map_index ?? -1,
    pool_id: text(request.pool_id),
    queue_id: '',
    optimization_id: text(request.optimization_id),
    parameters: request.parameters ?? '{}',
    idempotency_key: text(request.idempotency_key),
    requested_by: request.requested_by,
    reason: text(request.reason),
    requested_at_ms: request.requested_at,
    expires_at_ms: request.expires_at,
    approval_required: request.approval_required ?? false,
    approved_by: text(request.approved_by),
    approved_at_ms: request.approved_at ?? null,
    dry_run: request.dry_run ?? false,
    outcome: '',
    message: '',
    reported_by: '',
    at_ms: request.requested_at,
    result: '',
  };
}

/** Answers that tell of something else than what became of it: that it came again, or is not approved yet. */
const isAside = ({ result }: CommandRecordRow): boolean => /"reason":\s*"(repeated|not_approved)"/.test(result);
const settled: readonly string[] = ['done', 'failed', 'rejected', 'expired'];

/** A command as its records tell it, the requests first. */
export function describeCommand(rows: readonly CommandRecordRow[], nowMs: number): CommandAnswer {
  const requests = rows.filter(({ record }) => record === 'request');
  const [first] = requests as [CommandRecordRow];
  const approval = requests.find(({ approved_by }) => approved_by !== '');
  const answers = rows.filter((row) => row.record === 'outcome' && !isAside(row));
  const outcome = answers.find((row) => settled.includes(row.outcome)) ?? answers.at(-1);
  const isWaiting = first.approval_required && approval === undefined;
  const unanswered = nowMs >= first.expires_at_ms ? 'expired' : isWaiting ? 'waiting_for_approval' : 'sent';
  return {
    id: first.command_id,
    kind: first.kind,
    state: outcome?.outcome ?? unanswered,
    source: first.source,
    orchestrator_id: orNull(first.orchestrator_id),
    workflow_id: orNull(first.workflow_id),
    execution_id: orNull(first.execution_id),
    task_id: orNull(first.task_id),
    map_index: first.map_index < 0 ? null : first.map_index,
    pool_id: orNull(first.pool_id),
    optimization_id: orNull(first.optimization_id),
    parameters: readJson(first.parameters),
    requested_by: first.requested_by,
    reason: orNull(first.reason),
    requested_at: toInstant(first.requested_at_ms),
    expires_at: toInstant(first.expires_at_ms),
    approval: {
      required: first.approval_required,
      approved_by: approval?.approved_by ?? null,
      approved_at: toMaybeInstant(approval?.approved_at_ms),
    },
    dry_run: first.dry_run,
    outcome: outcome === undefined ? null : describeOutcome(outcome),
  };
}

const describeOutcome = ({ outcome, message, reported_by, at_ms, result }: CommandRecordRow) => ({
  outcome,
  message: orNull(message),
  reported_by: orNull(reported_by),
  at: toInstant(at_ms),
  result: readJson(result),
});
