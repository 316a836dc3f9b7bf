import type { AntiPattern } from './anti-patterns.ts';
import { roundMs, roundRatio } from './basis.ts';
import { countUpTo, groupBy } from './robust-statistics.ts';
import { slotWaitOf } from './task-history.ts';
import type { RunNode, TimedRun } from './timed-run.ts';

/** Tasks wait longer than they run, while a pool has all its slots taken, again and again. */
export const starvationDefaults = {
  windowMs: 600_000,
  waitShareAbove: 0.5,
  /** Of the most slots that the pool was ever seen to have. */
  busyRatioLeast: 0.95,
  /** Share of the waiting that has to fall into such times. */
  busyWaitLeast: 0.6,
  windowsLeast: 3,
  waitMsLeast: 1000,
};

export function findStarvation(runs: readonly TimedRun[]): AntiPattern | null {
  const nodes = runs.flatMap((run) =>
    run.nodes.filter(({ kind, task }) => kind === 'task' && task !== null && task.pool !== ''),
  );
  const starved = [...groupBy(nodes, ({ task }) => task?.pool ?? '')]
    .map(([pool, own]) => describePool(pool, own))
    .filter(({ windows }) => windows >= starvationDefaults.windowsLeast)
    .sort((left, right) => right.waitMs - left.waitMs);
  if (starved.length === 0) return null;
  const [worst] = starved;
  return {
    type: 'resource_starvation',
    severity: worst.waitShare > 0.75 ? 'high' : 'medium',
    description: `tasks of ${worst.pool} spend ${Math.round(100 * worst.waitShare)} % of their time waiting while all its slots are taken`,
    recommendation: 'Give the pool more slots, or spread its load over time.',
    resources: starved.map(({ pool }) => pool),
    tasks: worst.tasks,
    evidence: {
      pool: worst.pool,
      slots_seen: worst.slots,
      windows: worst.windows,
      wait_share: roundRatio(worst.waitShare),
      wait_ms: roundMs(worst.waitMs),
    },
  };
}

interface PoolUse {
  pool: string;
  slots: number;
  windows: number;
  waitShare: number;
  waitMs: number;
  tasks: string[];
}

function describePool(pool: string, nodes: readonly RunNode[]): PoolUse {
  const starts = nodes
    .flatMap(({ attempts }) => attempts.map(({ startMs }) => startMs))
    .sort((left, right) => left - right);
  const ends = nodes.flatMap(({ attempts }) => attempts.map(({ endMs }) => endMs)).sort((left, right) => left - right);
  const runningAt = (ms: number) => countUpTo(starts, ms) - countUpTo(ends, ms);
  let slots = 1;
  for (const ms of starts) slots = Math.max(slots, runningAt(ms));
  const isBusy = (ms: number) => runningAt(ms) >= starvationDefaults.busyRatioLeast * slots;
  const windows = groupBy(nodes, ({ startMs }) => Math.floor(startMs / starvationDefaults.windowMs));
  const judged = [...windows.values()].map((own) => judgeWindow(own, isBusy)).filter(({ isStarved }) => isStarved);
  const [waitMs, runMs] = [sum(judged.map((window) => window.waitMs)), sum(judged.map((window) => window.runMs))];
  const tasks = [...new Set(judged.flatMap((window) => [...window.tasks]))].slice(0, 10);
  return {
    pool,
    slots,
    windows: judged.length,
    waitMs,
    waitShare: waitMs + runMs === 0 ? 0 : waitMs / (waitMs + runMs),
    tasks,
  };
}

function judgeWindow(nodes: readonly RunNode[], isBusy: (ms: number) => boolean) {
  let [waitMs, runMs, busyMs] = [0, 0, 0];
  const tasks = new Set<string>();
  for (const node of nodes) {
    const ownMs = slotWaitOf(node);
    waitMs += ownMs;
    runMs += node.endMs - node.startMs;
    if (ownMs < starvationDefaults.waitMsLeast) continue;
    tasks.add(node.taskId);
    // Looked at in the middle of the waiting: at its ends others begin and end as well.
    if (isBusy(node.attempts[0].startMs - ownMs / 2)) busyMs += ownMs;
  }
  const isLong = waitMs > starvationDefaults.waitShareAbove * (waitMs + runMs);
  return {
    waitMs,
    runMs,
    tasks,
    isStarved: isLong && tasks.size > 0 && busyMs >= starvationDefaults.busyWaitLeast * waitMs,
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
