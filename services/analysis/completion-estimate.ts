import { type Basis, describeBasis, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { type ExecutionTrace, isEnd } from './execution-trace.ts';
import { medianOf, quantileOf, sortAscending } from './robust-statistics.ts';
import type { TaskInRun } from './task-history.ts';
import { type TimedRun, timeRun } from './timed-run.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/**
 * When a running execution will be over: what is over stays as it was, what runs goes on as long as it did in earlier
 * executions that took longer than it has taken until now, and what is to come takes as long, and waits as long, as it
 * did in one of them. Every earlier execution gives one such ending; together they are the answer. So each task that
 * ends moves it.
 */
export interface CompletionEstimate {
  execution_id: string;
  workflow_id: string;
  as_of: string;
  eta: string;
  remaining_ms: number;
  /** Nine of ten endings lie between these. */
  remaining_interval_ms: [number, number];
  elapsed_ms: number;
  /** Elapsed by what it will be altogether. */
  progress_ratio: number;
  tasks_over: number;
  running: { task: string; age_ms: number; stuck_probability: number }[];
  basis: Basis;
}

/** @public */
export const estimateDefaults = {
  executionsLeast: 5,
  level: 0.9,
  endingsMost: 100,
  /** What already took longer than ever takes, in the median, so much of its age more. */
  beyondRatio: 0.2,
  /** Earlier executions that the interval is tried on, and so many tasks of them altogether. */
  calibratedLeast: 10,
  calibratedMost: 60,
  calibratedTasksMost: 40_000,
};

export function estimateCompletion(
  execution: ExecutionTrace,
  workflow: WorkflowRuns,
  nowMs: number,
): CompletionEstimate | Refusal {
  const completed = [...workflow.runs.keys()].filter((run) => workflow.runs[run].trace.state === 'completed');
  if (completed.length < estimateDefaults.executionsLeast) {
    return refuse('an estimate of the end', estimateDefaults.executionsLeast, completed.length, workflow.executions);
  }
  const run = timeRun(execution, { ...workflow.knowledge, nowMs });
  const state = describeState(run, nowMs);
  const order = orderTasks(workflow);
  const chosen = completed.slice(-estimateDefaults.endingsMost);
  const remaining = spreadOf(playEndings(workflow, chosen, state, order, nowMs));
  const elapsedMs = Math.max(0, nowMs - run.startMs);
  const isOver = isEnd(execution.state);
  const remainingMs = Math.max(0, remaining.middle);
  const interval = isOver ? [0, 0] : widen(remaining, workflow, chosen, order, elapsedMs);
  return {
    execution_id: execution.executionId,
    workflow_id: execution.workflowId,
    as_of: new Date(nowMs).toISOString(),
    eta: new Date(isOver ? run.endMs : nowMs + Math.round(remainingMs)).toISOString(),
    remaining_ms: isOver ? 0 : roundMs(remainingMs),
    remaining_interval_ms: [roundMs(interval[0]), roundMs(interval[1])],
    elapsed_ms: roundMs(elapsedMs),
    progress_ratio: isOver || elapsedMs + remainingMs === 0 ? 1 : roundRatio(elapsedMs / (elapsedMs + remainingMs)),
    tasks_over: state.over.size,
    running: [...state.runningSince].map(([task, sinceMs]) => describeRunning(workflow, task, nowMs - sinceMs)),
    basis: describeBasis(workflow.executions),
  };
}

/** Middle and ends of what may be left. */
interface Spread {
  low: number;
  middle: number;
  high: number;
}

const tail = (1 - estimateDefaults.level) / 2;

const spreadOf = (endings: readonly number[]): Spread => ({
  low: quantileOf(endings, tail),
  middle: medianOf(endings),
  high: quantileOf(endings, 1 - tail),
});

/**
 * Endings that are put together from parts of several executions lie nearer to each other than real ones: what makes one task
 * slow often makes the next one slow too. So the same is asked of earlier executions that lasted longer than this one has until
 * now, at the same age and without themselves, and both sides are made as wide as would have held what really came (conformal).
 */
function widen(
  { low, middle, high }: Spread,
  workflow: WorkflowRuns,
  chosen: readonly number[],
  order: readonly string[],
  elapsedMs: number,
): [number, number] {
  const { calibratedLeast, calibratedMost, calibratedTasksMost } = estimateDefaults;
  const most = Math.min(calibratedMost, Math.floor(calibratedTasksMost / Math.max(1, order.length)));
  const longer = chosen.filter((past) => lengthOf(workflow.runs[past]) > elapsedMs).slice(-most);
  const scores = { low: [] as number[], high: [] as number[] };
  for (const past of longer) {
    const { trace, startMs } = workflow.runs[past];
    const nowMs = startMs + elapsedMs;
    const state = describeState(timeRun(cutExecution(trace, nowMs), { ...workflow.knowledge, nowMs }), nowMs);
    const others = chosen.filter((other) => other !== past);
    const said = spreadOf(playEndings(workflow, others, state, order, nowMs));
    const offMs = lengthOf(workflow.runs[past]) - elapsedMs - said.middle;
    scores.low.push(-offMs / Math.max(1, said.middle - said.low));
    scores.high.push(offMs / Math.max(1, said.high - said.middle));
  }
  if (longer.length < calibratedLeast) return [Math.max(0, low), Math.max(0, high)];
  const widthOf = (own: readonly number[]) =>
    Math.max(1, sortAscending(own)[Math.min(own.length, Math.ceil((own.length + 1) * (1 - tail))) - 1]);
  return [
    Math.max(0, middle - widthOf(scores.low) * Math.max(1, middle - low)),
    Math.max(0, middle + widthOf(scores.high) * Math.max(1, high - middle)),
  ];
}

const lengthOf = ({ startMs, endMs }: TimedRun): number => endMs - startMs;

/** One ending for each of these executions: what would be left if all went on as it did there. */
function playEndings(
  workflow: WorkflowRuns,
  chosen: readonly number[],
  state: RunState,
  order: readonly string[],
  nowMs: number,
): number[] {
  const longer = findLonger(workflow, chosen, state, nowMs);
  return chosen.map((past, place) => {
    const spanOf = (task: string, own: TaskInRun | undefined, ageMs: number) =>
      spanBeyond(longer.get(task) ?? [], own, ageMs, (place + 0.5) / chosen.length);
    return playEnding(workflow, past, state, order, nowMs, spanOf) - nowMs;
  });
}

interface RunState {
  startMs: number;
  /** Ends of tasks all of whose instances are over. */
  over: Map<string, number>;
  runningSince: Map<string, number>;
}

function describeState({ nodes, startMs }: TimedRun, nowMs: number): RunState {
  const state: RunState = { startMs, over: new Map(), runningSince: new Map() };
  for (const { kind, taskId, attempts, endMs, task } of nodes) {
    if (kind === 'skipped') state.over.set(taskId, Math.max(state.over.get(taskId) ?? 0, endMs));
    if (kind !== 'task' || attempts.length === 0) continue;
    const isOver = isEnd(task?.state ?? '') && endMs <= nowMs;
    if (isOver) state.over.set(taskId, Math.max(state.over.get(taskId) ?? 0, endMs));
    else state.runningSince.set(taskId, Math.min(state.runningSince.get(taskId) ?? Infinity, attempts[0].startMs));
  }
  for (const task of state.runningSince.keys()) state.over.delete(task);
  return state;
}

/** Tasks by when they usually begin, which is an order along their dependencies. */
function orderTasks({ runs, tasks }: WorkflowRuns): string[] {
  const starts = new Map<string, number[]>();
  runs.forEach(({ nodes, startMs }, run) => {
    for (const { taskId, nodes: own } of tasks[run].values()) {
      const known = starts.get(taskId) ?? [];
      known.push(nodes[own[0]].startMs - startMs);
      starts.set(taskId, known);
    }
  });
  return [...starts]
    .map(([task, own]) => ({ task, atMs: medianOf(own) }))
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ task }) => task);
}

function playEnding(
  workflow: WorkflowRuns,
  past: number,
  state: RunState,
  order: readonly string[],
  nowMs: number,
  spanOf: (task: string, own: TaskInRun | undefined, ageMs: number) => number,
): number {
  const { after } = workflow.knowledge;
  const run = workflow.runs[past];
  const tasks = workflow.tasks[past];
  const ends = new Map(state.over);
  let lastMs = Math.max(nowMs, state.startMs);
  for (const task of order) {
    if (ends.has(task)) continue;
    const before = tasks.get(task);
    const sinceMs = state.runningSince.get(task);
    let endMs: number;
    if (sinceMs !== undefined) endMs = sinceMs + spanOf(task, before, nowMs - sinceMs);
    else {
      if (before === undefined || before.isSkipped) continue;
      const readyMs = (after?.get(task) ?? []).reduce(
        (latest, name) => Math.max(latest, ends.get(name) ?? 0),
        state.startMs,
      );
      endMs = Math.max(nowMs, readyMs + lagOf(workflow, run, tasks, before)) + before.spanMs;
    }
    ends.set(task, endMs);
    lastMs = Math.max(lastMs, endMs);
  }
  const lastPastMs = run.nodes.reduce((latest, { endMs }) => Math.max(latest, endMs), run.startMs);
  return lastMs + (run.endMs - lastPastMs);
}

/** Of each task that runs, the earlier durations that were longer than it has taken until now, in ascending order. */
function findLonger(
  { tasks }: WorkflowRuns,
  chosen: readonly number[],
  { runningSince }: RunState,
  nowMs: number,
): Map<string, number[]> {
  const longer = new Map<string, number[]>();
  for (const [task, sinceMs] of runningSince) {
    const spans = chosen.map((past) => tasks[past].get(task)?.spanMs ?? 0).filter((ms) => ms > nowMs - sinceMs);
    longer.set(task, sortAscending(spans));
  }
  return longer;
}

/**
 * How long it took in that execution, if that was longer than it has been until now. Else one of those that were, by the
 * place of the ending among all, so that endings lie as far apart as those durations do.
 */
function spanBeyond(longer: readonly number[], own: TaskInRun | undefined, ageMs: number, place: number): number {
  if (own !== undefined && own.spanMs > ageMs) return own.spanMs;
  // Longer than ever: nothing is known but that such things take as long again as a fraction of their age.
  if (longer.length === 0) return ageMs * (1 + estimateDefaults.beyondRatio * -Math.log2(1 - place));
  return longer[Math.floor(place * longer.length)];
}

function lagOf(
  { knowledge }: WorkflowRuns,
  { nodes, startMs }: TimedRun,
  tasks: ReadonlyMap<string, TaskInRun>,
  own: TaskInRun,
): number {
  const beganMs = own.nodes.reduce(
    (least, node) => Math.min(least, nodes[node].attempts[0]?.startMs ?? Infinity),
    Infinity,
  );
  const names = knowledge.after?.get(own.taskId) ?? [];
  const readyMs = names.reduce((latest, name) => {
    return (tasks.get(name)?.nodes ?? []).reduce((most, node) => Math.max(most, nodes[node].endMs), latest);
  }, startMs);
  return Number.isFinite(beganMs) ? Math.max(0, beganMs - readyMs) : 0;
}

function describeRunning(workflow: WorkflowRuns, task: string, ageMs: number) {
  const spans = workflow.tasks.map((run) => run.get(task)).filter((own) => own !== undefined && !own.isSkipped);
  const longer = spans.filter((own) => (own?.spanMs ?? 0) > ageMs).length;
  // As if one more had been as long: never certain from what was seen.
  const stuck = 1 - (longer + 1) / (spans.length + 1);
  return { task, age_ms: roundMs(ageMs), stuck_probability: roundRatio(Math.max(0, stuck)) };
}

/** The same execution as it was known at an earlier instant. */
export function cutExecution(execution: ExecutionTrace, nowMs: number): ExecutionTrace {
  const tasks = execution.tasks.flatMap((task) => {
    const attempts = task.attempts
      .filter(({ startedAtMs, firstSeenMs }) => (startedAtMs ?? firstSeenMs) <= nowMs)
      .map((attempt) => {
        const isKnown = attempt.endedAtMs !== null && attempt.endedAtMs <= nowMs;
        return isKnown ? attempt : { ...attempt, endedAtMs: null, durationMs: null, state: 'running' };
      });
    return attempts.length === 0 ? [] : [{ ...task, attempts, state: attempts[attempts.length - 1].state }];
  });
  return { ...execution, tasks, endedAtMs: null, state: 'running', lastSeenMs: nowMs };
}
