import { endBit, timeBits } from '../tables/entities.ts';

/**
 * Executions as lists show them, put together from the columns of their table. The view of them has the same under the same
 * names; but all its columns are planned whichever are asked for, which takes three times as long as reading these. How
 * ranks and starts are made is said where the table is.
 */
export interface ListedExecution extends Record<string, unknown> {
  source: string;
  execution_id: string;
  workflow_id: string;
  workflow_name: string;
  workflow_version: string;
  project: string;
  execution_number: number | null;
  attempts: number;
  state: string;
  progress_ratio: number | null;
  phase: string;
  substatus: string;
  trigger_type: string;
  trigger_source: string;
  triggered_by: string;
  scheduled_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  duration_ms: number | null;
  queue_ms: number | null;
  cost: number | null;
  error_type: string;
  error_code: string;
  error_message: string;
  cancel_reason: string;
  first_seen_at: string;
  last_event_at: string;
  last_ended_at: string | null;
  /** Bits of the details that none of its records tells. */
  untold: number;
}

const plainColumns = [
  ...['source', 'execution_id', 'workflow_name', 'project', 'execution_number'],
  ...['trigger_type', 'trigger_source', 'triggered_by', 'first_seen_at', 'last_event_at', 'untold'],
] as const;
const tupleColumns = ['now', 'workflow', 'last_end'] as const;
/** As text, because they have more digits than a number of JSON keeps. */
const exactColumns = ['earliest_start', 'earliest_queueing', 'earliest_schedule'] as const;

/** The columns of the table that a listed execution is made of. */
const standingColumns = [
  ...plainColumns,
  ...tupleColumns,
  ...exactColumns.map((column) => `toString(${column}) AS ${column}_text`),
  ...['now', 'last_end'].map((tuple) => `toString(tupleElement(${tuple}, 'rank')) AS ${tuple}_rank`),
].join(', ');

/** Of most columns the greatest is what all rows come to. */
const mergedBy: Readonly<Record<string, string>> = { first_seen_at: 'min', untold: 'groupBitAnd' };

/**
 * Executions put together from their rows by their names, where a condition has chosen some. FINAL would give the same, but
 * reads whatever stands beside them in any part, which for a few names takes four times as long; so `final` has to be off.
 */
export const mergedExecutions = (columns: readonly (string | Narrowed)[], where: string): string => {
  const merged = columns.map((column) => {
    const { name, told } = typeof column === 'string' ? { name: column, told: `e.${column}` } : column;
    return `${mergedBy[name] ?? 'max'}(${told}) AS ${name}`;
  });
  return `(SELECT source, execution_id, ${merged.join(', ')} FROM executions AS e ${where} GROUP BY source, execution_id)`;
};

interface Narrowed {
  name: string;
  told: string;
}

/** Of a tuple one text and what decides which is the latest: a whole one is read with all that is beside it. */
export const only = (name: string, text: string): Narrowed => ({
  name,
  told: `CAST((e.${name}.rank, e.${name}.place, e.${name}.${text}), 'Tuple(rank UInt64, place UInt64, ${text} String)')`,
});

/** How rank is made is said where the table is; the index of what is open is of this very expression. */
const isOpen = `bitAnd(tupleElement(now, 'rank'), ${endBit}) = 0`;
const workflows = '{workflows: Array(String)}';
const isOfWorkflow = `(empty(${workflows}) OR tupleElement(workflow, 'workflow_id') IN ${workflows})`;

const namedOpen = (more: string): string =>
  `PREWHERE workspace = {workspace: String} WHERE (source, execution_id) IN (SELECT source, execution_id FROM executions
       PREWHERE workspace = {workspace: String} WHERE ${isOpen} AND ${isOfWorkflow} AND ({source: String} = '' OR source = {source: String}) ${more})`;

/**
 * Executions that have not ended, of some workflows and one source, or of any where none are given. First by name those of which any
 * row says so, which an index finds; FINAL would read the other rows of all that has ended too. What all their rows come to
 * says then which of them have ended since.
 */
export const ofOpen = {
  named: namedOpen(''),
  /** Those alone that had ended before, and run another attempt. */
  namedAgain: namedOpen(`AND tupleElement(now, 'rank') >= ${4 * endBit}`),
  standing: `${isOpen} AND ${isOfWorkflow}`,
};

/** Sources and names of all that is open of one `workflow` and `source`. */
export const namesOfOpen =
  `SELECT source, execution_id FROM ${mergedExecutions([only('now', 'state'), only('workflow', 'workflow_id')], ofOpen.named)} WHERE ${ofOpen.standing}`.replaceAll(
    workflows,
    '[{workflow: String}]',
  );

/** Rows of what is chosen by names, for `describeListed`. */
export const standingExecutions = (where: string): string => {
  const told = plainColumns.filter((column) => column !== 'source' && column !== 'execution_id');
  return `SELECT ${standingColumns} FROM ${mergedExecutions([...told, ...tupleColumns, ...exactColumns], where)}`;
};

export interface StandingRow
  extends Pick<ListedExecution, (typeof plainColumns)[number]>,
    Record<`${(typeof exactColumns)[number]}_text` | 'now_rank' | 'last_end_rank', string> {
  now: Pick<ListedExecution, 'state' | 'progress_ratio' | 'phase' | 'substatus'>;
  workflow: Pick<ListedExecution, 'workflow_id' | 'workflow_version'>;
  last_end: Pick<ListedExecution, 'error_type' | 'error_code' | 'error_message' | 'cancel_reason'> &
    Record<'duration_us' | 'cost_micros' | 'queue_us', number | null>;
}

const timeMask = BigInt(timeBits);
const endMask = BigInt(endBit);

/** Attempt and time of a start: the earlier one is the greater number, so that the greatest is the earliest. */
function readStart(text: string): { attempt: number; ms: number } | null {
  const value = BigInt(text);
  return value === 0n ? null : { attempt: Number(value / (timeMask + 1n)), ms: Number(timeMask - (value & timeMask)) };
}

function readRank(text: string): { attempt: number; isEnd: boolean; ms: number } {
  const value = BigInt(text);
  const attempt = Number(value / (2n * endMask));
  return { attempt, isEnd: (value & endMask) !== 0n, ms: Number(value & timeMask) };
}

export function describeListed(row: StandingRow): ListedExecution {
  const { now, workflow, last_end: end } = row;
  const { attempt: attempts, isEnd, ms: toldMs } = readRank(row.now_rank);
  const isOpen = !isEnd;
  const ended = row.last_end_rank === '0' ? null : readRank(row.last_end_rank);
  const [start, queueing] = [readStart(row.earliest_start_text), readStart(row.earliest_queueing_text)];
  const startedMs = start?.attempt === attempts ? start.ms : null;
  const queuedMs = queueing?.attempt === attempts ? queueing.ms : null;
  // An end that says neither its start nor how long it took is joined with the start that was told apart.
  const joinedMs = start !== null && start.attempt === ended?.attempt ? between(start.ms, ended.ms) : null;
  return {
    source: row.source,
    execution_id: row.execution_id,
    workflow_id: workflow.workflow_id,
    workflow_name: row.workflow_name,
    workflow_version: workflow.workflow_version,
    project: row.project,
    execution_number: row.execution_number,
    attempts,
    state: now.state,
    progress_ratio: now.progress_ratio,
    phase: now.phase,
    substatus: now.substatus,
    trigger_type: row.trigger_type,
    trigger_source: row.trigger_source,
    triggered_by: row.triggered_by,
    scheduled_at: toText(readStart(row.earliest_schedule_text)?.ms ?? null),
    started_at: toText(startedMs),
    ended_at: isOpen ? null : toText(toldMs),
    duration_ms: isOpen || ended === null ? null : (scale(end.duration_us, 1e3) ?? joinedMs),
    queue_ms: (isOpen ? null : scale(end.queue_us, 1e3)) ?? between(queuedMs, startedMs),
    cost: isOpen ? null : scale(end.cost_micros, 1e6),
    error_type: isOpen ? '' : end.error_type,
    error_code: isOpen ? '' : end.error_code,
    error_message: isOpen ? '' : end.error_message,
    cancel_reason: isOpen ? '' : end.cancel_reason,
    first_seen_at: row.first_seen_at,
    last_event_at: row.last_event_at,
    last_ended_at: toText(ended?.ms ?? null),
    untold: row.untold,
  };
}

const toText = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

const scale = (value: number | null, by: number): number | null => (value === null ? null : value / by);

const between = (fromMs: number | null, toMs: number | null): number | null =>
  fromMs === null || toMs === null || fromMs > toMs ? null : toMs - fromMs;
