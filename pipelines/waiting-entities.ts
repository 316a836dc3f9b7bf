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
import { beginAttempt, beginExecution, type Said, takeAttempt, takeExecution } from './entities.ts';
import { isEnd } from './fold.ts';
import type { RowBatch, Store } from './store.ts';

/** What records speak of, as the fold remembers it. What waits of it hangs on it, where a map would have to be searched. */
export interface Subject {
  waiting: ExecutionRow | WaitingAttempt | null;
}

/** An attempt, and the others of the same task. */
interface WaitingAttempt {
  readonly row: TaskAttemptRow;
  readonly subject: Subject;
  others: WaitingAttempt | null;
  hasEnded: boolean;
}

interface RecordOf<Event> extends Omit<Said<Event>, 'untold'> {
  /** The same object for records of the same thing, or another one: then it costs a row more, and nothing else. */
  thingHash: Subject;
}

/**
 * So many attempts that have ended are encoded together. A row that waits for the flush is copied by the collector again and
 * again, while nearly all attempts end soon after they began and are heard of no more; a later record of one costs a row more.
 */
const settledTogether = 256;

/** The entities that records waiting for a flush speak of: one row each, however many records there are. */
export class WaitingEntities {
  readonly #store: Store;
  readonly #settledTogether: number;
  #executions: ExecutionRow[] = [];
  #subjects: Subject[] = [];
  #attempts: WaitingAttempt[] = [];
  #ended = 0;
  #attemptRows: RowBatch<TaskAttemptRow>;
  #taskList: RowBatch<TaskListRow>;

  constructor(store: Store, together = settledTogether) {
    this.#store = store;
    this.#settledTogether = together;
    this.#attemptRows = store.createBatch(taskAttemptsTable);
    this.#taskList = store.createBatch(taskListTable);
  }

  /** Who does not know which details a record does not tell says of none. */
  addExecution({ thingHash, event, partition, offset }: RecordOf<ExecutionTold>, untold = 0): void {
    const said = { event, partition, offset, untold };
    const row = thingHash.waiting as ExecutionRow | null;
    if (row !== null) {
      takeExecution(row, said);
      return;
    }
    const begun = beginExecution(said);
    this.#executions.push(begun);
    this.#subjects.push(thingHash);
    thingHash.waiting = begun;
  }

  addTask({ thingHash: subject, event, partition, offset }: RecordOf<TaskTold>, untold = 0): void {
    const said = { event, partition, offset, untold };
    let attempt = subject.waiting as WaitingAttempt | null;
    while (attempt !== null && attempt.row.attempt !== event.attempt) attempt = attempt.others;
    if (attempt !== null) {
      takeAttempt(attempt.row, said);
    } else {
      attempt = {
        row: beginAttempt(said),
        subject,
        others: subject.waiting as WaitingAttempt | null,
        hasEnded: false,
      };
      subject.waiting = attempt;
      this.#attempts.push(attempt);
    }
    if (attempt.hasEnded || !isEnd(attempt.row.now.state)) return;
    attempt.hasEnded = true;
    this.#ended++;
    // Half of all at least, so that those which go on are passed over seldom.
    if (this.#ended >= this.#settledTogether && this.#ended * 2 >= this.#attempts.length) this.#settle();
  }

  #settle(): void {
    const ended = this.#attempts.filter(({ hasEnded }) => hasEnded);
    this.#attempts = this.#attempts.filter(({ hasEnded }) => !hasEnded);
    this.#ended = 0;
    this.#encode(ended);
    for (const attempt of ended) takeOff(attempt);
  }

  #encode(attempts: readonly WaitingAttempt[]): void {
    this.#attemptRows.addAll(attempts.map(({ row }) => row));
    this.#taskList.addAll(attempts.flatMap(({ row }) => listAttempt(row)));
  }

  /** The rows of all entities, and their places in the lists. */
  take(): RowBatch<never>[] {
    const executions = this.#store.createBatch(executionsTable);
    const executionList = this.#store.createBatch(executionListTable);
    executions.addAll(this.#executions);
    executionList.addAll(this.#executions.flatMap(listExecution));
    this.#encode(this.#attempts);
    const attemptRows = this.#attemptRows;
    const taskList = this.#taskList;
    for (const subject of this.#subjects) subject.waiting = null;
    for (const { subject } of this.#attempts) subject.waiting = null;
    this.#executions = [];
    this.#subjects = [];
    this.#attempts = [];
    this.#ended = 0;
    this.#attemptRows = this.#store.createBatch(taskAttemptsTable);
    this.#taskList = this.#store.createBatch(taskListTable);
    return [executions, executionList, attemptRows, taskList];
  }
}

/** What is encoded must not change any more. */
function takeOff(attempt: WaitingAttempt): void {
  const { subject, others } = attempt;
  let before = subject.waiting as WaitingAttempt;
  if (before === attempt) {
    subject.waiting = others;
    return;
  }
  while (before.others !== attempt) before = before.others as WaitingAttempt;
  before.others = others;
}

/** Completing is what most attempts do: a list of it would be the list of all once more. */
const isListedEnd = (state: string): boolean => isEnd(state) && state !== 'completed';

const timeMsOf = ({ rank }: Standing): number => (rank.high % 2 ** 11) * 2 ** 32 + rank.low;

function listExecution(row: ExecutionRow): ExecutionListRow[] {
  const { workspace, source, executionId, lastEnd, workflow } = row;
  return ['', workflow.workflowId].flatMap((workflowId) => {
    const entry = { workspace, workflowId, state: '', atMs: row.firstSeenMs, source, executionId, errorType: '' };
    // A page of completed ones would otherwise look up all that runs, which stands before them in the list of all.
    if (!isEnd(lastEnd.state)) return [entry];
    return [entry, { ...entry, state: lastEnd.state, atMs: timeMsOf(lastEnd), errorType: lastEnd.errorType }];
  });
}

function listAttempt(attempt: TaskAttemptRow): TaskListRow[] {
  const { workspace, taskId, now } = attempt;
  const entry = { workspace, taskId, state: '', atMs: attempt.firstSeenMs, attempt, errorType: '' };
  if (!isListedEnd(now.state)) return [entry];
  const end = { ...entry, state: now.state, atMs: timeMsOf(now), errorType: now.errorType };
  return [entry, end, { ...end, taskId: '' }];
}
