import { ExpressionError, evaluateText, holds } from './expressions.ts';
import { Gate } from './gate.ts';
import { readMapped } from './loop-task.ts';
import type { TaskError } from './play-changes.ts';
import type { PlayContext } from './play-context.ts';
import { type AttemptEnd, TaskAttempt } from './task-attempt.ts';
import { findDownstream, graphOf, type TaskGraph, type TaskNode } from './task-graph.ts';
import { expressionFailure, isFailure, TaskInstance } from './task-instance.ts';
import { leadsTo } from './task-kinds.ts';
import { placeOf } from './task-place.ts';
import { VariableScope } from './variable-scope.ts';
import type { MapSpec, RunOn, TaskDefinition } from './workflow-model.ts';

/** A task with all its instances, among those beside it. */
interface TaskRun {
  node: TaskNode;
  state: 'waiting' | 'active' | AttemptEnd['state'];
  error: TaskError | null;
  output: unknown;
  instances: TaskInstance[];
  instancesOver: number;
  instancesFailed: number;
  failuresTolerated: number;
  /** Counts up when it is played once more, so that nothing left of before counts. */
  generation: number;
  reason: string;
}

export interface StageEnd {
  state: 'completed' | 'partial' | 'failed' | 'cancelled';
  error: TaskError | null;
}

/**
 * Tasks that wait for each other, played until each of them is over: those of a workflow, of one iteration of a loop,
 * or those that handle a failure. It decides which may begin, which are skipped and what their ends amount to.
 */
export class Stage {
  readonly #context: PlayContext;
  readonly #graph: TaskGraph;
  readonly #runs: Map<string, TaskRun>;
  readonly #scope: VariableScope;
  readonly #loopIteration: number | null;
  readonly #over: (end: StageEnd) => void;
  #open: TaskRun[] = [];
  #overCount = 0;
  #isSettling = false;
  #isDone = false;
  #cancelReason: string | null = null;

  constructor(
    context: PlayContext,
    tasks: readonly TaskDefinition[],
    scope: VariableScope,
    loopIteration: number | null,
    over: (end: StageEnd) => void,
  ) {
    this.#context = context;
    this.#graph = graphOf(tasks);
    this.#scope = scope;
    this.#loopIteration = loopIteration;
    this.#over = over;
    this.#runs = new Map(this.#graph.nodes.map((node) => [node.task.id, createRun(node)]));
  }

  get tasksTotal(): number {
    return this.#runs.size;
  }

  get tasksOver(): number {
    return this.#overCount;
  }

  /** Ids of the tasks under way. */
  get activeIds(): string[] {
    return [...this.#runs.values()].filter(({ state }) => state === 'active').map(({ node }) => node.task.id);
  }

  start(): void {
    this.#consider([...this.#runs.values()]);
  }

  /** Cancels what is under way and skips what is not, all before this returns. */
  cancel(reason: string): void {
    if (this.#isDone || this.#cancelReason !== null) return;
    this.#cancelReason = reason;
    this.#cancelRuns([...this.#runs.values()], reason);
    this.#consider([...this.#runs.values()]);
  }

  /** Null where there is no such task here. */
  stateOf(taskId: string): TaskRun['state'] | null {
    return this.#runs.get(taskId)?.state ?? null;
  }

  /** The attempts under way of a task. */
  attemptsOf(taskId: string): TaskAttempt[] {
    const attempts = this.#runs.get(taskId)?.instances.map(({ attempt }) => attempt) ?? [];
    return attempts.filter((attempt) => attempt !== null);
  }

  /** Plays a task and all that comes after it once more. */
  restart(taskId: string, reason: string): void {
    const ids = findDownstream(this.#graph, taskId).add(taskId);
    this.#reset(
      [...ids].map((id) => this.#runs.get(id) as TaskRun),
      reason,
    );
  }

  /** Plays once more what did not complete, and what `again` names besides. */
  resume(again: ReadonlySet<string>, reason: string): void {
    const runs = [...this.#runs.values()];
    this.#reset(
      runs.filter(({ state, node }) => state !== 'completed' || again.has(node.task.id)),
      reason,
    );
  }

  #reset(runs: TaskRun[], reason: string): void {
    this.#isDone = false;
    this.#cancelReason = null;
    const stale = runs.flatMap(({ instances }) => instances);
    // All of them first, so that nothing begins because of what is about to be played once more itself.
    for (const run of runs) {
      if (run.state !== 'waiting' && run.state !== 'active') this.#overCount--;
      const again = { generation: run.generation + 1, reason: run.state === 'waiting' ? '' : reason };
      Object.assign(run, createRun(run.node), again);
    }
    this.#context.undoables = this.#context.undoables.filter(({ instance }) => !stale.includes(instance));
    for (const instance of stale) instance.cancel(reason);
    this.#consider(runs);
  }

  /** Works through a list, not by recursion: chains of tasks that take no time may be long. */
  #consider(runs: readonly TaskRun[]): void {
    this.#open.push(...runs);
    if (this.#isSettling) return;
    this.#isSettling = true;
    for (let at = 0; at < this.#open.length; at++) this.#decide(this.#open[at]);
    this.#open = [];
    this.#isSettling = false;
    if (this.#overCount < this.#runs.size || this.#isDone) return;
    this.#isDone = true;
    this.#over(this.#judge());
  }

  #decide(run: TaskRun): void {
    if (run.state !== 'waiting') return;
    try {
      const verdict = this.#cancelReason ?? this.#findObstacle(run);
      if (verdict === 'wait') return;
      if (verdict === null) this.#begin(run);
      else this.#skip(run, verdict);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      const end: AttemptEnd = { state: 'failed', error: expressionFailure(error) };
      this.#tellUnstarted(run, end);
      this.#close(run, end);
    }
  }

  /** Null where it may begin, `wait` where that is open, otherwise why it never will. */
  #findObstacle(run: TaskRun): string | null {
    const { task, after, needed } = run.node;
    const runOn = task.runOn ?? 'success';
    const verdicts = after.map((entry) => this.#isMet(entry, runOn));
    const met = verdicts.filter((verdict) => verdict === true).length;
    const open = verdicts.filter((verdict) => verdict === null).length;
    if (met + open < needed) return this.#explainUnmet(run, verdicts);
    if (met < needed) return 'wait';
    const closed = after.find(({ node }) => this.#isOtherBranch(node, task.id));
    if (closed !== undefined) return `${closed.node.task.id} took another branch`;
    if (this.#context.definition.failFast === true && runOn !== 'done' && runOn !== 'failure' && this.#findFailed()) {
      return 'the execution is failing';
    }
    return task.when === undefined || holds(task.when, this.#scope.get) ? null : `not ${task.when}`;
  }

  /** Null while that is open. */
  #isMet({ node, optional, when }: TaskNode['after'][number], runOn: RunOn): boolean | null {
    const { state } = this.#runs.get(node.task.id) as TaskRun;
    if (state === 'waiting' || state === 'active') return null;
    if (when !== null && !holds(when, this.#scope.get)) return false;
    if (optional || runOn === 'done') return true;
    const hasFailed = state === 'failed' || state === 'timeout';
    if (runOn === 'failure') return hasFailed;
    if (state === 'completed' || (hasFailed && node.task.onError === 'continue')) return true;
    return runOn === 'not_failed' && state === 'skipped';
  }

  #explainUnmet({ node }: TaskRun, verdicts: readonly (boolean | null)[]): string {
    const unmet = node.after.filter((_, index) => verdicts[index] === false);
    const states = unmet.map(({ node: { task } }) => `${task.id} ${this.stateOf(task.id)}`);
    return `waits for ${node.triggerRule}: ${states.join(', ')}`;
  }

  #isOtherBranch({ task }: TaskNode, taskId: string): boolean {
    if (task.kind !== 'switch') return false;
    const { output } = this.#runs.get(task.id) as TaskRun;
    return !leadsTo(task, (output as { branch?: string } | null)?.branch, taskId);
  }

  #begin(run: TaskRun): void {
    const { task, after } = run.node;
    if (task.cancelRest === true) {
      this.#cancelRuns(
        after.map(({ node }) => this.#runs.get(node.task.id) as TaskRun),
        `${task.id} has enough`,
      );
    }
    const map = task.kind === 'work' || task.kind === 'workflow' ? task.map : undefined;
    if (map !== undefined) this.#beginMapped(run, map);
    else this.#startInstances(run, [this.#createInstance(run, -1, null, this.#scope, null)]);
  }

  #beginMapped(run: TaskRun, map: MapSpec): void {
    const items = readMapped(evaluateText(map.over, this.#scope.get));
    run.failuresTolerated = Math.floor((map.toleratedFailureRatio ?? 0) * items.length);
    if (items.length > 0) {
      this.#startInstances(run, this.#mapInstances(run, map, items));
      return;
    }
    this.#tellUnstarted(run, { state: 'skipped', reason: 'there is nothing to map over' });
    this.#close(run, { state: 'completed', output: [] });
  }

  #mapInstances(run: TaskRun, map: MapSpec, items: unknown[]): TaskInstance[] {
    const gate = new Gate(map.maxParallel ?? Number.POSITIVE_INFINITY);
    return items.map((item, index) => {
      const scope = new VariableScope(this.#scope, { index, [map.as ?? 'item']: item });
      return this.#createInstance(run, index, items.length, scope, gate);
    });
  }

  #createInstance(
    run: TaskRun,
    mapIndex: number,
    mapSize: number | null,
    scope: VariableScope,
    mapGate: Gate | null,
  ): TaskInstance {
    const { node, generation, reason } = run;
    const about = { context: this.#context, loopIteration: this.#loopIteration, compensates: '' };
    const place = placeOf({ ...about, node, task: node.task, scope, mapIndex, mapSize });
    const over = (instance: TaskInstance) => {
      if (run.generation === generation) this.#instanceOver(run, instance);
    };
    return new TaskInstance(place, { mapGate, reason, over });
  }

  #startInstances(run: TaskRun, instances: TaskInstance[]): void {
    run.state = 'active';
    run.instances = instances;
    for (const instance of instances) if (instance.end === null) instance.start();
  }

  #instanceOver(run: TaskRun, instance: TaskInstance): void {
    const end = instance.end as AttemptEnd;
    const { task } = run.node;
    run.instancesOver++;
    if (end.state === 'completed' && task.compensation !== undefined) {
      this.#context.undoables.push({ instance, compensation: task.compensation });
    }
    if (isFailure(end)) {
      run.instancesFailed++;
      run.error ??= end.error ?? null;
      this.#context.recordError(task.id, end.error as TaskError);
      if (run.instancesFailed === run.failuresTolerated + 1) this.#cancelOthers(run, task.id);
    }
    if (run.instancesOver === run.instances.length && run.state === 'active') this.#close(run, this.#sumUp(run));
  }

  #cancelOthers(run: TaskRun, taskId: string): void {
    for (const instance of run.instances) instance.cancel(`too many instances of ${taskId} failed`);
  }

  #sumUp(run: TaskRun): AttemptEnd {
    const ends = run.instances.map(({ end }) => end as AttemptEnd);
    if (run.instances[0].place.mapSize === null) return ends[0];
    if (run.instancesFailed > run.failuresTolerated) return { state: 'failed', error: run.error };
    const cancelled = ends.find(({ state }) => state === 'cancelled');
    if (cancelled !== undefined) return cancelled;
    return { state: 'completed', output: ends.map(({ output }) => output ?? null) };
  }

  #skip(run: TaskRun, reason: string): void {
    this.#tellUnstarted(run, { state: 'skipped', reason });
    this.#close(run, { state: 'skipped', reason });
  }

  /** What never began still has its end told, once and as a whole. */
  #tellUnstarted({ node }: TaskRun, end: AttemptEnd): void {
    const about = { context: this.#context, loopIteration: this.#loopIteration, scope: this.#scope, compensates: '' };
    const place = placeOf({ ...about, node, task: node.task, mapIndex: -1, mapSize: null });
    if (isFailure(end)) this.#context.recordError(node.task.id, end.error as TaskError);
    const number = isFailure(end) ? this.#context.countAttempt(place.key) : this.#context.attemptsOf(place.key) + 1;
    new TaskAttempt(place, number, '', () => {}).finish(end);
  }

  #close(run: TaskRun, end: AttemptEnd): void {
    const { task } = run.node;
    run.state = end.state;
    run.output = end.output ?? null;
    run.error = end.error ?? null;
    this.#overCount++;
    this.#context.tasks[task.id] = { state: run.state, output: run.output, error: run.error };
    if (run.state === 'completed') this.#context.lastCheckpoint = task.id;
    if (isFailing(run) && this.#context.definition.failFast === true) {
      this.#cancelRuns([...this.#runs.values()], `${task.id} failed`);
    }
    this.#consider(run.node.dependents.map((node) => this.#runs.get(node.task.id) as TaskRun));
  }

  #cancelRuns(runs: readonly TaskRun[], reason: string): void {
    for (const { state, instances } of runs) {
      if (state === 'active') for (const instance of instances) instance.cancel(reason);
    }
  }

  #findFailed(): TaskRun | undefined {
    return [...this.#runs.values()].find(isFailing);
  }

  #judge(): StageEnd {
    if (this.#cancelReason !== null) return { state: 'cancelled', error: null };
    const failed = this.#findFailed();
    if (failed !== undefined) return { state: 'failed', error: failed.error };
    const hasGoneOn = [...this.#runs.values()].some(
      ({ state, node }) => (state === 'failed' || state === 'timeout') && node.task.onError === 'continue',
    );
    return { state: hasGoneOn ? 'partial' : 'completed', error: null };
  }
}

function createRun(node: TaskNode): TaskRun {
  const counts = { instancesOver: 0, instancesFailed: 0, failuresTolerated: 0, generation: 0 };
  return { node, state: 'waiting', error: null, output: null, instances: [], ...counts, reason: '' };
}

/** Whether it makes the execution fail. */
function isFailing({ state, node }: TaskRun): boolean {
  const { onError = 'fail' } = node.task;
  return (state === 'failed' || state === 'timeout') && onError === 'fail';
}
