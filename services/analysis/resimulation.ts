import { buildFromBefore, followersOf } from './digraph.ts';
import { MinHeap } from './min-heap.ts';
import { countUpTo } from './robust-statistics.ts';
import type { RunNode, TimedRun } from './timed-run.ts';

/**
 * Plays a recorded execution again with other durations or waits: "how long would it have taken, if". Every task
 * starts when what it waited for is over and, where the pool was full, when a slot is free, plus the delay that it
 * really had beyond that. Slots are given in the order in which tasks really started. Without a change the result is
 * the recording to the millisecond, and making a task shorter never makes the execution longer.
 */
export interface RunModel {
  run: TimedRun;
  /** Topological, and by start where that leaves a choice. */
  order: Int32Array;
  durationMs: Float64Array;
  /** Between the instant at which everything was there and the start. */
  lagMs: Float64Array;
  /** Number of the pool that a node takes a slot of, -1 where slots did not matter. */
  poolOf: Int32Array;
  /** Slots of each such pool. */
  slots: number[];
  poolNames: string[];
  /** Between the end of the last task and that of the execution. */
  closingMs: number;
}

export interface RunChange {
  durationMs?: Float64Array;
  lagMs?: Float64Array;
  slots?: readonly number[];
  /** Nodes that each one waits for, where that is changed too. */
  before?: readonly (readonly number[])[];
}

/** A pool was short of slots if its tasks waited this long, and mostly while it was full of tasks of this execution. @public */
export const slotDefaults = { waitMsLeast: 1000, fullRatioLeast: 0.6, waitingTasksLeast: 2 };

export function modelRun(run: TimedRun): RunModel {
  const { nodes } = run;
  const order = orderByStart(run);
  const { poolOf, slots, poolNames } = findShortPools(nodes);
  const durationMs = Float64Array.from(nodes, (node) => (node.kind === 'gather' ? 0 : node.endMs - node.startMs));
  const lagMs = new Float64Array(nodes.length);
  const free = slots.map(() => new MinHeap());
  let lastMs = run.startMs;
  for (const index of order) {
    const startMs = beginOf(nodes[index]);
    const endMs = startMs + durationMs[index];
    let readyMs = latestEnd(run, run.before[index]);
    const pool = poolOf[index];
    if (pool >= 0) readyMs = Math.max(readyMs, takeSlot(free[pool], slots[pool], endMs));
    lagMs[index] = startMs - readyMs;
    lastMs = Math.max(lastMs, endMs);
  }
  return { run, order, durationMs, lagMs, poolOf, slots, poolNames, closingMs: run.endMs - lastMs };
}

/** What stands for the end of several is there when the last of them is over. */
const beginOf = (node: RunNode): number => (node.kind === 'gather' ? node.endMs : node.startMs);

function latestEnd({ nodes, startMs }: TimedRun, before: readonly number[]): number {
  let latestMs = before.length === 0 ? startMs : Number.NEGATIVE_INFINITY;
  for (const tail of before) latestMs = Math.max(latestMs, nodes[tail].endMs);
  return latestMs;
}

/** When the slot becomes free that is free first; it is taken until `endMs`. */
function takeSlot(busyUntil: MinHeap, slots: number, endMs: number): number {
  let freeMs = Number.NEGATIVE_INFINITY;
  if (busyUntil.size >= slots) {
    freeMs = busyUntil.leastKey;
    busyUntil.pop();
  }
  busyUntil.push(endMs, 0);
  return freeMs;
}

export interface Replay {
  makespanMs: number;
  endMs: Float64Array;
}

export function resimulate(model: RunModel, change: RunChange = {}): Replay {
  const { run, order, poolOf, closingMs } = model;
  const { durationMs = model.durationMs, lagMs = model.lagMs, slots = model.slots, before = run.before } = change;
  const endMs = new Float64Array(order.length);
  const busy = slots.map(() => new MinHeap());
  let lastMs = run.startMs;
  for (const index of order) {
    const tails = before[index];
    let readyMs = tails.length === 0 ? run.startMs : Number.NEGATIVE_INFINITY;
    for (const tail of tails) readyMs = Math.max(readyMs, endMs[tail]);
    const pool = poolOf[index];
    if (pool >= 0 && busy[pool].size >= slots[pool]) {
      readyMs = Math.max(readyMs, busy[pool].leastKey);
      busy[pool].pop();
    }
    endMs[index] = readyMs + lagMs[index] + durationMs[index];
    if (pool >= 0) busy[pool].push(endMs[index], 0);
    lastMs = Math.max(lastMs, endMs[index]);
  }
  return { makespanMs: lastMs + closingMs - run.startMs, endMs };
}

function orderByStart({ nodes, before }: TimedRun): Int32Array {
  const waiting = Int32Array.from(before, (tails) => tails.length);
  const graph = buildFromBefore(before);
  const ready = new MinHeap();
  for (let index = 0; index < nodes.length; index++) if (waiting[index] === 0) ready.push(beginOf(nodes[index]), index);
  const order = new Int32Array(nodes.length);
  for (let place = 0; ready.size > 0; place++) {
    const index = ready.pop();
    order[place] = index;
    for (const head of followersOf(graph, index)) if (--waiting[head] === 0) ready.push(beginOf(nodes[head]), head);
  }
  return order;
}

interface ShortPools {
  poolOf: Int32Array;
  slots: number[];
  poolNames: string[];
}

/** Pools in which tasks waited because tasks of the same execution held all slots that it ever had. */
function findShortPools(nodes: readonly RunNode[]): ShortPools {
  const poolOf = new Int32Array(nodes.length).fill(-1);
  const byPool = new Map<string, number[]>();
  nodes.forEach(({ task, kind, startMs, endMs }, index) => {
    if (kind !== 'task' || task === null || task.pool === '' || endMs <= startMs) return;
    const members = byPool.get(task.pool);
    if (members === undefined) byPool.set(task.pool, [index]);
    else members.push(index);
  });
  const slots: number[] = [];
  const poolNames: string[] = [];
  for (const [name, members] of byPool) {
    const most = findShortage(nodes, members);
    if (most === null) continue;
    for (const member of members) poolOf[member] = slots.length;
    slots.push(most);
    poolNames.push(name);
  }
  return { poolOf, slots, poolNames };
}

function findShortage(nodes: readonly RunNode[], members: readonly number[]): number | null {
  const starts = members.map((index) => nodes[index].startMs).sort((left, right) => left - right);
  const ends = members.map((index) => nodes[index].endMs).sort((left, right) => left - right);
  // Of those that start when others end, the ends come first.
  const runningAt = (ms: number) => countUpTo(starts, ms) - countUpTo(ends, ms);
  let most = 1;
  for (const ms of starts) most = Math.max(most, runningAt(ms));
  let waiting = 0;
  let full = 0;
  for (const index of members) {
    const { startMs, attempts } = nodes[index];
    const { readyAtMs, queuedAtMs } = attempts[0].attempt;
    const sinceMs = readyAtMs ?? queuedAtMs;
    if (sinceMs === null || startMs - sinceMs < slotDefaults.waitMsLeast) continue;
    waiting++;
    if (runningAt(Math.max(sinceMs + 1, (sinceMs + startMs) / 2)) >= most) full++;
  }
  const isShort = waiting >= slotDefaults.waitingTasksLeast && full >= slotDefaults.fullRatioLeast * waiting;
  return isShort ? most : null;
}
