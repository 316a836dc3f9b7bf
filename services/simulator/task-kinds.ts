import { beginChild } from './child-task.ts';
import { drawDurationMs } from './durations.ts';
import { evaluateText, holds, type ResolveName } from './expressions.ts';
import { beginLoop } from './loop-task.ts';
import type { MockedResult } from './play.ts';
import type { TaskError } from './play-changes.ts';
import type { AttemptEnd, TaskAttempt } from './task-attempt.ts';
import { attemptKey } from './task-instance.ts';
import { beginWork } from './work-task.ts';
import type { HumanTask, SwitchTask, TaskDefinition, TransformTask, WaitTask } from './workflow-model.ts';

/** Sets going what an attempt is about. It ends by `finish`, now or later in virtual time. */
export function beginTask(attempt: TaskAttempt): void {
  const { task, context } = attempt.place;
  const mock = context.options.mocks?.[task.id];
  if (mock === undefined) beginKind(attempt, task);
  else beginMocked(attempt, mock);
}

function beginKind(attempt: TaskAttempt, task: TaskDefinition): void {
  if (task.kind === 'work') beginWork(attempt, task);
  else if (task.kind === 'transform') beginTransform(attempt, task);
  else if (task.kind === 'switch') beginSwitch(attempt, task);
  else if (task.kind === 'wait') beginWait(attempt, task);
  else if (task.kind === 'human') beginHuman(attempt, task);
  else if (task.kind === 'workflow') beginChild(attempt, task);
  else beginLoop(attempt, task);
}

function beginMocked(attempt: TaskAttempt, mock: MockedResult): void {
  const { state = 'completed', output = null, durationMs = 0 } = mock;
  const error = state === 'completed' ? null : fullError(mock.error ?? {}, 'MockedError', 'mocked to fail');
  attempt.enterRunning();
  attempt.later(durationMs, () => attempt.finish({ state, output: state === 'completed' ? output : null, error }));
}

export function fullError(error: Partial<TaskError>, type: string, message: string): TaskError {
  return { type, code: '', message, stack: '', retryable: true, ...error };
}

function beginTransform(attempt: TaskAttempt, task: TransformTask): void {
  const { scope, context } = attempt.place;
  attempt.enterRunning();
  const target = task.scope === 'loop' ? scope : context.variables;
  const output: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(task.set)) {
    output[name] = evaluateText(text, scope.get);
    target.set(name, output[name]);
  }
  attempt.finish({ state: 'completed', output });
}

function beginSwitch(attempt: TaskAttempt, task: SwitchTask): void {
  attempt.enterRunning();
  const branch = task.cases.find(({ when }) => holds(when, attempt.place.scope.get))?.name ?? 'otherwise';
  attempt.finish({ state: 'completed', output: { branch } });
}

/** Whether a switch that took `branch` leads to a task; it says nothing of tasks that no branch names. */
export function leadsTo(task: SwitchTask, branch: unknown, taskId: string): boolean {
  const { cases, otherwise = [] } = task;
  const isNamed = otherwise.includes(taskId) || cases.some((one) => one.leadsTo.includes(taskId));
  const taken = cases.find(({ name }) => name === branch)?.leadsTo ?? otherwise;
  return !isNamed || taken.includes(taskId);
}

/** What waits gives its slot away, so it counts as suspended from the start. */
function beginWait(attempt: TaskAttempt, task: WaitTask): void {
  attempt.enterRunning();
  attempt.tell('suspended');
  attempt.endAfter(...planWait(attempt, task, () => ({ state: 'completed' })));
}

function beginHuman(attempt: TaskAttempt, task: HumanTask): void {
  attempt.enterRunning();
  attempt.facts.input = { assignees: task.assignees, answers: task.answers.map(({ answer }) => answer) };
  attempt.tell('suspended');
  const answer = pickWeighted(task.answers, attempt.random.next()).answer;
  const by = attempt.random.pick(task.assignees);
  const { answerOnTimeout } = task;
  const [waitMs, makeEnd] = planWait(attempt, task, () => ({ state: 'completed', output: { answer, by } }));
  const output = { answer: answerOnTimeout, by: 'timeout' };
  const onTimeout = answerOnTimeout === undefined ? undefined : () => ({ state: 'completed', output }) as const;
  attempt.endAfter(waitMs, makeEnd, onTimeout);
}

/** How long it takes and what it comes to: as an earlier play recorded it, or as incidents leave what is drawn. */
function planWait(
  attempt: TaskAttempt,
  task: WaitTask | HumanTask,
  makeEnd: () => AttemptEnd,
): [waitMs: number, makeEnd: () => AttemptEnd] {
  const { options } = attempt.context;
  const recorded = recordedOf(attempt);
  if (recorded !== undefined) return [recorded.runMs, () => recorded];
  const drawnMs = Math.round(drawDurationMs(task.durationMs, attempt.random));
  const waitMs = options.effects?.durationMs?.(attempt.moment, drawnMs) ?? drawnMs;
  const failure = options.effects?.failure?.(attempt.moment);
  return [Math.round(waitMs), failure == null ? makeEnd : () => ({ state: 'failed', error: failure })];
}

export function recordedOf({ context, place, number }: TaskAttempt) {
  return context.options.recording?.get(attemptKey(context.options.executionId, place.key, number));
}

/** Where `drawn` falls, from 0 to 1, when each item takes room by its weight. */
export function pickWeighted<Item extends { weight?: number }>(items: readonly Item[], drawn: number): Item {
  let left = drawn * items.reduce((sum, { weight = 1 }) => sum + weight, 0);
  for (const item of items) {
    left -= item.weight ?? 1;
    if (left < 0) return item;
  }
  return items[items.length - 1];
}

export function evaluateAll(texts: Readonly<Record<string, string>>, resolve: ResolveName): Record<string, unknown> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, evaluateText(text, resolve)]));
}
