import { isFailure } from './execution-trace.ts';
import type { StructuralPattern } from './structural-patterns.ts';
import type { TimedRun } from './timed-run.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

export interface Saga {
  pattern: StructuralPattern;
  /** The tasks that take something back. */
  undoing: string[];
}

/** @public */
export const sagaDefaults = { failedRunsLeast: 3, agreementLeast: 0.9 };

const undoVerbs =
  /^(undo|cancel|release|refund|revert|roll_?back|compensate|void|reverse|delete|remove|unbook|unreserve)/i;

/** Tasks that ran in failed executions only, and that nothing of the usual course waits for. */
export function findUnusual(workflow: WorkflowRuns): string[] {
  const { learned, runs, tasks } = workflow;
  const connected = new Set(learned.told.flatMap(({ from, to, inferred }) => (inferred ? [] : [from, to])));
  const failed = runs.map((run) => didFail(run));
  if (!failed.includes(true) || !failed.includes(false)) return [];
  return [...learned.tasks.keys()].filter((name) => {
    if (connected.has(name)) return false;
    const ran = tasks.map((run) => run.get(name)?.isSkipped === false);
    return ran.includes(true) && ran.every((did, run) => !did || failed[run]);
  });
}

const didFail = ({ trace, nodes }: TimedRun): boolean =>
  isFailure(trace.state) ||
  trace.state === 'partial' ||
  trace.state === 'cancelled' ||
  nodes.some(({ task }) => isFailure(task?.state ?? ''));

/** Pairs of a task and the one that takes it back: told by the source, or read from what runs after failures. */
export function findSagas(workflow: WorkflowRuns): Saga[] {
  const told = findTold(workflow);
  const pairs = told.size > 0 ? told : readFromFailures(workflow);
  if (pairs.size === 0) return [];
  const tasks = [...new Set([...pairs.values(), ...pairs.keys()])];
  const confidence = told.size > 0 ? 1 : measureReverse(workflow, pairs);
  const pattern: StructuralPattern = { kind: 'saga', tasks, split: null, join: null, confidence };
  return [{ pattern, undoing: [...pairs.keys()] }];
}

/** What each undoing task takes back. */
type Pairs = Map<string, string>;

function findTold({ executions }: WorkflowRuns): Pairs {
  const pairs: Pairs = new Map();
  for (const { tasks } of executions) {
    for (const { taskId, compensates } of tasks) if (compensates !== '') pairs.set(taskId, compensates);
  }
  return pairs;
}

/**
 * A task takes another back if it runs in exactly those failed executions in which the other had completed. Several
 * earlier tasks may fit; the last of them is meant.
 */
function readFromFailures(workflow: WorkflowRuns): Pairs {
  const { runs, tasks } = workflow;
  const unusual = findUnusual(workflow);
  const failed = [...runs.keys()].filter((run) => didFail(runs[run]));
  const pairs: Pairs = new Map();
  if (failed.length < sagaDefaults.failedRunsLeast) return pairs;
  const isUnusual = new Set(unusual);
  const usual = [...workflow.learned.tasks.keys()].filter((name) => !isUnusual.has(name));
  for (const name of unusual) {
    const didRun = failed.map((run) => tasks[run].get(name)?.isSkipped === false);
    // What every failure calls for tells somebody; it takes nothing back.
    const isNamedSo = undoVerbs.test(name);
    if (didRun.filter(Boolean).length < 2 || (!didRun.includes(false) && !isNamedSo)) continue;
    const fitting = usual.filter((other) => fits(workflow, failed, didRun, other));
    const [last] = fitting.sort((left, right) => usualEnd(workflow, failed, right) - usualEnd(workflow, failed, left));
    if (last !== undefined) pairs.set(name, last);
  }
  const isClear =
    pairs.size >= 2
      ? measureReverse(workflow, pairs) >= sagaDefaults.agreementLeast
      : [...pairs.keys()].some((name) => undoVerbs.test(name));
  return isClear ? pairs : new Map();
}

function fits({ tasks }: WorkflowRuns, failed: readonly number[], didRun: readonly boolean[], other: string): boolean {
  let agreeing = 0;
  failed.forEach((run, place) => {
    const own = tasks[run].get(other);
    const isDone = own !== undefined && !own.isSkipped && !own.isFailed;
    if (isDone === didRun[place]) agreeing++;
  });
  return agreeing >= sagaDefaults.agreementLeast * failed.length;
}

function usualEnd({ runs, tasks }: WorkflowRuns, failed: readonly number[], name: string): number {
  for (const run of failed) {
    const node = tasks[run].get(name)?.nodes.at(-1);
    if (node !== undefined) return runs[run].nodes[node].endMs - runs[run].startMs;
  }
  return 0;
}

/** Share of the executions with two or more of them in which what was done last was taken back first. */
function measureReverse({ runs, tasks }: WorkflowRuns, pairs: Pairs): number {
  let several = 0;
  let reversed = 0;
  runs.forEach(({ nodes }, run) => {
    const ends = [...pairs].flatMap(([undo, done]) => {
      const [undoing, doing] = [tasks[run].get(undo), tasks[run].get(done)];
      if (undoing === undefined || doing === undefined || undoing.isSkipped || doing.isSkipped) return [];
      return [{ doneMs: nodes[doing.nodes[0]].endMs, undoMs: nodes[undoing.nodes[0]].startMs }];
    });
    if (ends.length < 2) return;
    several++;
    ends.sort((left, right) => left.undoMs - right.undoMs);
    if (ends.every(({ doneMs }, place) => place === 0 || doneMs <= ends[place - 1].doneMs)) reversed++;
  });
  return several === 0 ? 0 : reversed / several;
}
