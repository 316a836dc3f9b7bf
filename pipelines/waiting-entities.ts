import {
  type ExecutionListRow,
  type ExecutionRow,
  executionListTable,
  executionsTable,
  type Standing,
  type TaskAttemptRow,
  type TaskListRow,
  taskAttemptsTable,
  taskListTable,
} from '../clickhouse/tables/entities.ts';
import type { ExecutionEvent, TaskEvent } from '../schemas/events.ts';
import { beginAttempt, beginExecution, type Said, takeAttempt, takeExecution } from './entities.ts';
import { isEnd } from './fold.ts';
import type { Hash64 } from './hash.ts';
import type { RowBatch, Store } from './store.ts';

interface Record extends Said<ExecutionEvent | TaskEvent> {
  /** The same object for records of the same thing, or another one: then it costs a row more, and nothing else. */
  thingHash: Hash64;
}

/** An attempt and the others of the same task. */
interface Attempts {
  row: TaskAttemptRow;
  others: Attempts | null;
}

/** The entities that records waiting for a flush speak of: one row each, however many records there are. */
export class WaitingEntities {
  readonly #store: Store;
  #executions = new Map<Hash64, ExecutionRow>();
  #attempts = new Map<Hash64, Attempts>();

  constructor(store: Store) {
    this.#store = store;
  }

  add({ event, partition, offset, thingHash }: Record): void {
    if (event.kind === 'execution') this.#addExecution({ event, partition, offset }, thingHash);
    else this.#addAttempt({ event, partition, offset }, thingHash);
  }

  #addExecution(said: Said<ExecutionEvent>, thing: Hash64): void {
    const row = this.#executions.get(thing);
    if (row === undefined) this.#executions.set(thing, beginExecution(said));
    else takeExecution(row, said);
  }

  #addAttempt(said: Said<TaskEvent>, thing: Hash64): void {
    const known = this.#attempts.get(thing) ?? null;
    let found = known;
    while (found !== null && found.row.attempt !== said.event.attempt) found = found.others;
    if (found === null) this.#attempts.set(thing, { row: beginAttempt(said), others: known });
    else takeAttempt(found.row, said);
  }

  /** The rows of all entities, and their places in the lists. */
  take(): RowBatch<never>[] {
    const executions = this.#store.createBatch(executionsTable);
    const executionList = this.#store.createBatch(executionListTable);
    const attempts = this.#store.createBatch(taskAttemptsTable);
    const taskList = this.#store.createBatch(taskListTable);
    for (const row of this.#executions.values()) {
      executions.add(row);
      listExecution(row, (entry) => executionList.add(entry));
    }
    for (const first of this.#attempts.values()) {
      for (let next: Attempts | null = first; next !== null; next = next.others) {
        attempts.add(next.row);
        listAttempt(next.row, (entry) => taskList.add(entry));
      }
    }
    this.#executions = new Map();
    this.#attempts = new Map();
    return [executions, executionList, attempts, taskList];
  }
}

/** Completing is what most do: a list of it would be the list of all once more. */
const isListed = (state: string): boolean => isEnd(state) && state !== 'completed';

const timeMsOf = ({ rank }: Standing): number => (rank.high % 2 ** 11) * 2 ** 32 + rank.low;

function listExecution(row: ExecutionRow, list: (entry: ExecutionListRow) => void): void {
  const { workspace, source, executionId, lastEnd, workflow } = row;
  for (const workflowId of ['', workflow.workflowId]) {
    const entry = { workspace, workflowId, source, executionId };
    list({ ...entry, state: '', atMs: row.firstSeenMs, errorType: '' });
    if (isListed(lastEnd.state)) {
      list({ ...entry, state: lastEnd.state, atMs: timeMsOf(lastEnd), errorType: lastEnd.errorType });
    }
  }
}

function listAttempt(attempt: TaskAttemptRow, list: (entry: TaskListRow) => void): void {
  const { workspace, taskId, now } = attempt;
  list({ workspace, taskId, state: '', atMs: attempt.firstSeenMs, attempt, errorType: '' });
  if (!isListed(now.state)) return;
  const end = { workspace, state: now.state, atMs: timeMsOf(now), attempt, errorType: now.errorType };
  list({ ...end, taskId });
  list({ ...end, taskId: '' });
}
