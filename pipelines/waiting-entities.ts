import type { ExecutionTold, TaskTold } from '../clickhouse/queries/entity-sources.ts';
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
import {
  beginAttempt,
  beginExecution,
  type Said,
  takeAttempt,
  takeExecution,
  type WaitingAttempt,
} from './entities.ts';
import { isEnd } from './fold.ts';
import type { RowBatch, Store } from './store.ts';

/** What records speak of, as the fold remembers it. What waits of it hangs on it, where a map would have to be searched. */
export interface Subject {
  waiting: ExecutionRow | WaitingAttempt | null;
}

interface RecordOf<Event> extends Said<Event> {
  /** The same object for records of the same thing, or another one: then it costs a row more, and nothing else. */
  thingHash: Subject;
}

/** The entities that records waiting for a flush speak of: one row each, however many records there are. */
export class WaitingEntities {
  readonly #store: Store;
  #executions: ExecutionRow[] = [];
  #attempts: WaitingAttempt[] = [];
  #subjects: Subject[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  addExecution(record: RecordOf<ExecutionTold>): void {
    const row = record.thingHash.waiting as ExecutionRow | null;
    if (row !== null) {
      takeExecution(row, record);
      return;
    }
    const begun = beginExecution(record);
    this.#executions.push(begun);
    this.#hang(record.thingHash, begun);
  }

  addTask(record: RecordOf<TaskTold>): void {
    const known = record.thingHash.waiting as WaitingAttempt | null;
    let found = known;
    while (found !== null && found.attempt !== record.event.attempt) found = found.others;
    if (found !== null) {
      takeAttempt(found, record);
      return;
    }
    const begun = beginAttempt(record);
    begun.others = known;
    this.#attempts.push(begun);
    this.#hang(record.thingHash, begun);
  }

  #hang(subject: Subject, row: ExecutionRow | WaitingAttempt): void {
    if (subject.waiting === null) this.#subjects.push(subject);
    subject.waiting = row;
  }

  /** The rows of all entities, and their places in the lists. */
  take(): RowBatch<never>[] {
    const executions = this.#store.createBatch(executionsTable);
    const executionList = this.#store.createBatch(executionListTable);
    const attempts = this.#store.createBatch(taskAttemptsTable);
    const taskList = this.#store.createBatch(taskListTable);
    executions.addAll(this.#executions);
    executionList.addAll(this.#executions.flatMap(listExecution));
    attempts.addAll(this.#attempts);
    taskList.addAll(this.#attempts.flatMap(listAttempt));
    for (const subject of this.#subjects) subject.waiting = null;
    this.#executions = [];
    this.#attempts = [];
    this.#subjects = [];
    return [executions, executionList, attempts, taskList];
  }
}

/** Completing is what most do: a list of it would be the list of all once more. */
const isListed = (state: string): boolean => isEnd(state) && state !== 'completed';

const timeMsOf = ({ rank }: Standing): number => (rank.high % 2 ** 11) * 2 ** 32 + rank.low;

function listExecution(row: ExecutionRow): ExecutionListRow[] {
  const { workspace, source, executionId, lastEnd, workflow } = row;
  return ['', workflow.workflowId].flatMap((workflowId) => {
    const entry = { workspace, workflowId, state: '', atMs: row.firstSeenMs, source, executionId, errorType: '' };
    if (!isListed(lastEnd.state)) return [entry];
    return [entry, { ...entry, state: lastEnd.state, atMs: timeMsOf(lastEnd), errorType: lastEnd.errorType }];
  });
}

function listAttempt(attempt: TaskAttemptRow): TaskListRow[] {
  const { workspace, taskId, now } = attempt;
  const entry = { workspace, taskId, state: '', atMs: attempt.firstSeenMs, attempt, errorType: '' };
  if (!isListed(now.state)) return [entry];
  const end = { ...entry, state: now.state, atMs: timeMsOf(now), errorType: now.errorType };
  return [entry, end, { ...end, taskId: '' }];
}
