import type { TaskDependency } from '../../schemas/events.ts';
import {
  type AttemptTrace,
  type ExecutionTrace,
  type TaskTrace,
  unknownAttempt,
  unknownExecution,
} from '../analysis/execution-trace.ts';

/**
 * Executions as text, with what says when everything happened and what waited for what, and nothing else: some ninety
 * bytes for an attempt. Values stand in lists in the order of the fields below, words are told once, and instants count from
 * the first that was heard of an execution.
 */
interface PastText {
  format: typeof format;
  words: string[];
  /** Dependencies of a task by their words; most tasks have the same in every execution. */
  waits: number[][];
  executions: Cells[];
}

/** Raised when what is written could not be read any more. */
const format = 1;

type Cells = unknown[];
type How = 'word' | 'instant' | 'value';
type Fields<Item> = Partial<Record<keyof Item, How>>;

const ofExecution = {
  executionId: 'value',
  workspace: 'word',
  source: 'word',
  workflowId: 'word',
  attempt: 'value',
  state: 'word',
  queuedAtMs: 'instant',
  startedAtMs: 'instant',
  endedAtMs: 'instant',
  lastSeenMs: 'instant',
} as const satisfies Fields<ExecutionTrace>;

const ofTask = {
  taskId: 'word',
  taskType: 'word',
  operator: 'word',
  mapIndex: 'value',
  loopIteration: 'value',
  pool: 'word',
  triggerRule: 'word',
  childExecutionId: 'value',
  state: 'word',
} as const satisfies Fields<TaskTrace>;

const ofAttempt = {
  attempt: 'value',
  state: 'word',
  workerId: 'word',
  readyAtMs: 'instant',
  queuedAtMs: 'instant',
  dispatchedAtMs: 'instant',
  startedAtMs: 'instant',
  endedAtMs: 'instant',
  firstSeenMs: 'instant',
  queueMs: 'value',
  durationMs: 'value',
} as const satisfies Fields<AttemptTrace>;

export function writePast(executions: readonly ExecutionTrace[]): string {
  const words = new Numbered<string>();
  const waits = new Numbered<string>();
  const fold = <Item extends object>(fields: Fields<Item>, item: Item, baseMs: number): Cells =>
    (Object.entries(fields) as [keyof Item, How][]).map(([field, how]) => {
      const value = item[field];
      if (how === 'word') return words.of(value as string);
      return how === 'instant' && value !== null ? (value as number) - baseMs : value;
    });
  const foldTask = (task: TaskTrace, baseMs: number): Cells => [
    ...fold<TaskTrace>(ofTask, task, baseMs),
    waits.of(JSON.stringify(task.dependencies.map(({ taskId }) => words.of(taskId)))),
    task.attempts.map((attempt) => fold<AttemptTrace>(ofAttempt, attempt, baseMs)),
  ];
  const folded = executions.map((execution) => [
    ...fold<ExecutionTrace>(ofExecution, execution, execution.firstSeenMs),
    execution.firstSeenMs,
    execution.tasks.map((task) => foldTask(task, execution.firstSeenMs)),
  ]);
  const known = waits.all.map((text) => JSON.parse(text) as number[]);
  return JSON.stringify({ format, words: words.all, waits: known, executions: folded } satisfies PastText);
}

/** Null for what was written by another version. */
export function readPast(text: string): ExecutionTrace[] | null {
  const past = JSON.parse(text) as PastText;
  if (past.format !== format) return null;
  const { words } = past;
  const waits = past.waits.map((names) => names.map((word) => waitFor(words[word])));
  const unfold = (fields: Fields<object>, cells: Cells, baseMs: number): Record<string, unknown> => {
    const item: Record<string, unknown> = {};
    let place = 0;
    for (const field in fields) {
      const cell = cells[place++];
      const how = (fields as Record<string, How>)[field];
      item[field] =
        how === 'word' ? words[cell as number] : how === 'value' || cell === null ? cell : (cell as number) + baseMs;
    }
    return item;
  };
  const unfoldTask = (cells: Cells, baseMs: number): TaskTrace => {
    const [wait, attempts] = cells.slice(-2) as [number, Cells[]];
    const own = attempts.map(
      (attempt) => ({ ...unknownAttempt, ...unfold(ofAttempt, attempt, baseMs) }) as AttemptTrace,
    );
    return { ...unknownTask, ...unfold(ofTask, cells, baseMs), dependencies: waits[wait], attempts: own } as TaskTrace;
  };
  return past.executions.map((cells) => {
    const [firstSeenMs, tasks] = cells.slice(-2) as [number, Cells[]];
    const own = tasks.map((task) => unfoldTask(task, firstSeenMs));
    const about = unfold(ofExecution, cells, firstSeenMs);
    return { ...unknownExecution, ...about, firstSeenMs, tasks: own } as ExecutionTrace;
  });
}

const unknownTask = { taskName: '', compensates: '' } satisfies Partial<TaskTrace>;

const waitFor = (taskId: string): TaskDependency => ({ taskId, type: '', optional: false, condition: '' });

/** Each value once, by the number at which it stands. */
class Numbered<Value> {
  readonly all: Value[] = [];
  readonly #places = new Map<Value, number>();

  of(value: Value): number {
    const known = this.#places.get(value);
    if (known !== undefined) return known;
    this.#places.set(value, this.all.length);
    return this.all.push(value) - 1;
  }
}
