import { namesOfExecution, namesOfTask, type ValuesRow, type Wanted } from '../../clickhouse/queries/run-traces.ts';
import type { TaskDependency } from '../../schemas/events.ts';
import {
  type ExecutionTrace,
  type TracedExecutionEvent,
  type TracedTaskEvent,
  TraceGatherer,
  unknownAttempt,
  unknownExecution,
} from '../analysis/execution-trace.ts';

/** Records as they are read, put together to executions. */
export interface ToldRecords {
  ofExecution: Iterable<ValuesRow>;
  ofTasks: Iterable<ValuesRow>;
}

/** For records that come in several answers. */
export class ToldGatherer {
  readonly #wanted: Wanted;
  readonly #gatherer = new TraceGatherer();

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  addTasks(ofTasks: Iterable<ValuesRow>): void {
    for (const { told } of ofTasks) this.#gatherer.add(toTaskEvent(this.#wanted, told));
  }

  addExecutions(ofExecution: Iterable<ValuesRow>): void {
    for (const { told } of ofExecution) this.#gatherer.add(toExecutionEvent(this.#wanted, told));
  }

  finish(): ExecutionTrace[] {
    return this.#gatherer.finish();
  }
}

export function gatherTold(wanted: Wanted, { ofExecution, ofTasks }: ToldRecords): ExecutionTrace[] {
  const gatherer = new ToldGatherer(wanted);
  gatherer.addExecutions(ofExecution);
  gatherer.addTasks(ofTasks);
  return gatherer.finish();
}

type Told = Record<string, unknown>;

/** Hundreds of thousands of records pass here, so this is a plain loop. */
function nameValues(names: readonly string[], values: readonly unknown[]): Told {
  const told: Told = {};
  for (let at = 0; at < names.length; at++) told[names[at]] = values[at];
  return told;
}

/** What is not asked for where times alone are wanted; names of traces are those of events. */
const untoldOfExecution: Told = unknownExecution;
const untoldOfTask: Told = {
  ...unknownAttempt,
  workflowName: '',
  workflowVersion: '',
  taskName: '',
  compensates: '',
  dependencyTypes: [],
  dependencyOptional: [],
  dependencyConditions: [],
};

function toExecutionEvent(wanted: Wanted, values: readonly unknown[]): TracedExecutionEvent {
  const named = nameValues(namesOfExecution[wanted], values);
  const { errorType, ...told } = wanted === 'all' ? named : { ...untoldOfExecution, ...named };
  return { kind: 'execution', ...told, error: { type: errorType } } as TracedExecutionEvent;
}

function toTaskEvent(wanted: Wanted, values: readonly unknown[]): TracedTaskEvent {
  const named = nameValues(namesOfTask[wanted], values);
  const { errorType, errorMessage, dependencyIds, dependencyTypes, dependencyOptional, dependencyConditions, ...told } =
    wanted === 'all' ? named : { ...untoldOfTask, ...named };
  const [types, optional, conditions] = [dependencyTypes, dependencyOptional, dependencyConditions] as [
    string[],
    boolean[],
    string[],
  ];
  const dependencies = (dependencyIds as string[]).map(
    (taskId, at): TaskDependency => ({
      taskId,
      type: types[at] ?? '',
      optional: optional[at] ?? false,
      condition: conditions[at] ?? '',
    }),
  );
  const error = { type: errorType, message: errorMessage };
  return { kind: 'task', ...told, dependencies, error } as TracedTaskEvent;
}
