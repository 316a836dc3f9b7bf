import { isFailure } from './execution-trace.ts';
import type { RunNode, TimedRun } from './timed-run.ts';

/** What one task of the workflow came to in one execution, all instances and iterations together. */
export interface TaskInRun {
  taskId: string;
  nodes: number[];
  instances: number;
  iterations: number;
  /** From the first start to the last end, loops without what lies between iterations. */
  spanMs: number;
  /** Longest final attempt of an instance. */
  longestMs: number;
  /** Final attempts of all instances. */
  runMs: number;
  /** Failed attempts and the delays after them. */
  retryMs: number;
  retries: number;
  /** Longest wait of an instance for its slot. */
  slotWaitMs: number;
  isSkipped: boolean;
  isFailed: boolean;
}

export function summariseTasks({ nodes }: TimedRun): Map<string, TaskInRun> {
  const byTask = new Map<string, TaskInRun>();
  nodes.forEach((node, index) => {
    if (node.kind !== 'task' && node.kind !== 'skipped') return;
    const known = byTask.get(node.taskId) ?? beginSummary(node.taskId);
    byTask.set(node.taskId, known);
    known.nodes.push(index);
    if (node.kind === 'task') addInstance(known, node);
  });
  for (const summary of byTask.values()) {
    summary.isSkipped = summary.instances === 0;
    summary.spanMs = findSpan(summary, nodes);
  }
  return byTask;
}

function beginSummary(taskId: string): TaskInRun {
  const sums = { instances: 0, iterations: 0, spanMs: 0, longestMs: 0, runMs: 0, retryMs: 0, retries: 0 };
  return { taskId, nodes: [], ...sums, slotWaitMs: 0, isSkipped: false, isFailed: false };
}

function addInstance(summary: TaskInRun, node: RunNode): void {
  const last = node.attempts[node.attempts.length - 1];
  const lastMs = last.endMs - last.startMs;
  summary.instances++;
  if (node.loopIteration !== null) summary.iterations++;
  summary.longestMs = Math.max(summary.longestMs, lastMs);
  summary.runMs += lastMs;
  if (node.attempts.length > 1) {
    summary.iterations += countRepetitions(node);
    summary.retries += node.attempts.filter((own) => own !== last && own.attempt.state !== 'completed').length;
    summary.retryMs += retryLossOf(node);
  }
  summary.slotWaitMs = Math.max(summary.slotWaitMs, slotWaitOf(node));
  if (isFailure(node.task?.state ?? '')) summary.isFailed = true;
}

/** Failed attempts that were followed by another, with the delays after them. */
export function retryLossOf({ attempts }: RunNode): number {
  let lostMs = 0;
  for (let place = 0; place + 1 < attempts.length; place++) {
    if (attempts[place].attempt.state === 'completed') continue;
    lostMs += Math.max(0, attempts[place + 1].startMs - attempts[place].startMs);
  }
  return lostMs;
}

/** Attempts after one that completed: the task was run again, not retried. */
function countRepetitions({ attempts }: RunNode): number {
  const completed = attempts.filter(({ attempt }) => attempt.state === 'completed').length;
  return completed > 1 ? completed : 0;
}

export function slotWaitOf({ attempts }: RunNode): number {
  const first = attempts[0];
  if (first === undefined) return 0;
  const { readyAtMs, queuedAtMs, dispatchedAtMs, queueMs } = first.attempt;
  const sinceMs = readyAtMs ?? queuedAtMs;
  if (sinceMs === null) return Math.max(0, queueMs ?? 0);
  return Math.max(0, Math.min(first.startMs, dispatchedAtMs ?? first.startMs) - sinceMs);
}

function findSpan({ nodes: own, iterations }: TaskInRun, nodes: readonly RunNode[]): number {
  let [sumMs, firstMs, lastMs] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const index of own) {
    const { attempts, endMs } = nodes[index];
    if (attempts.length === 0) continue;
    const [{ startMs }] = attempts;
    sumMs += endMs - startMs;
    firstMs = Math.min(firstMs, startMs);
    lastMs = Math.max(lastMs, endMs);
  }
  if (firstMs === Number.POSITIVE_INFINITY) return 0;
  return iterations > 1 ? sumMs : Math.max(firstMs, lastMs) - firstMs;
}
