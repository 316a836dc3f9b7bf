import { roundMs, roundRatio } from './basis.ts';
import { isEnd } from './execution-trace.ts';
import { describeWait, describeWork, type PathSegment, type SegmentKind } from './path-segments.ts';
import type { RunNode, TimedRun } from './timed-run.ts';

/**
 * What held one execution up: from its end back to its start, always to what the waiting was for. Work and waiting
 * follow each other without a gap, so that the segments sum up to the whole duration.
 *
 * Example: `a` runs from 0 to 10 s, `b` from 0 to 4 s, `c` waits for both and runs from 12 to 20 s. The path is
 * a (10 s), waiting of c (2 s), c (8 s): 20 s. The slack of b is 6 s; that of a and c is 0.
 *
 * After Kelley (1961); on observed times, as CRISP does (Zhang et al., 2022).
 */
export interface CriticalPath {
  execution_id: string;
  workflow_id: string;
  state: string;
  /** Tasks in the order in which they held the execution up. */
  path: string[];
  /** Equal to the sum over the segments. */
  duration: number;
  segments: PathSegment[];
  /** Milliseconds of the path by what they were spent on. */
  by_kind: Partial<Record<SegmentKind, number>>;
  /** Work alone, as a share of the duration. */
  work_ratio: number;
  tasks: TaskSlack[];
  quality: PathQuality;
}

export interface TaskSlack {
  task: string;
  map_index: number;
  loop_iteration: number | null;
  start_ms: number;
  duration_ms: number;
  /** How much later it could have ended without the execution ending later. */
  slack_ms: number;
  critical: boolean;
}

/** What the answer stood on, and what it had to assume. */
export interface PathQuality {
  tasks: number;
  running: boolean;
  /** Nobody told what waits for what; it was read from the times. */
  dependencies_guessed: boolean;
  tasks_without_end: number;
  clock_skew_ms_max: number;
}

export interface PathWalk {
  segments: PathSegment[];
  /** Nodes on the path, from the first to the last. */
  nodes: number[];
}

/** Slacks are listed for so many tasks, those with the least first. @public */
export const criticalPathDefaults = { tasksListedMost: 1000 };

export function findCriticalPath(run: TimedRun): CriticalPath {
  const { trace } = run;
  const { segments, nodes } = walkBack(run);
  return {
    execution_id: trace.executionId,
    workflow_id: trace.workflowId,
    state: trace.state,
    path: listTasks(nodes.map((index) => run.nodes[index])),
    duration: run.endMs - run.startMs,
    segments,
    by_kind: sumByKind(segments),
    work_ratio: roundRatio(sumOf(segments, 'run') / (run.endMs - run.startMs)),
    tasks: listSlacks(run, new Set(nodes)),
    quality: {
      tasks: run.nodes.filter(({ kind }) => kind === 'task').length,
      running: !isEnd(trace.state),
      dependencies_guessed: run.isGuessed,
      tasks_without_end: run.endlessTasks,
      clock_skew_ms_max: roundMs(run.skewMsMost),
    },
  };
}

/** From the end of the execution back to its start. */
export function walkBack(run: TimedRun): PathWalk {
  const { nodes, before, startMs, endMs } = run;
  const pieces: PathSegment[][] = [];
  const path: number[] = [];
  const heldBy = nameHolders(nodes, startMs);
  let untilMs = endMs;
  let index = findLatest(nodes, nodes.keys());
  if (index === null) return { segments: closing(startMs, endMs, startMs), nodes: [] };
  pieces.push(closing(Math.min(nodes[index].endMs, endMs), endMs, startMs));
  untilMs = Math.min(untilMs, nodes[index].endMs);
  while (index !== null) {
    const node: RunNode = nodes[index];
    path.push(index);
    if (node.kind !== 'gather') {
      const fromMs = Math.min(node.startMs, untilMs);
      if (untilMs > fromMs) pieces.push(describeWork(node, untilMs, startMs));
      untilMs = fromMs;
    }
    const previous: number | null = findLatest(nodes, before[index]);
    const readyMs = previous === null ? startMs : Math.min(nodes[previous].endMs, untilMs);
    if (readyMs < untilMs) pieces.push(describeGap(node, readyMs, untilMs, startMs).map(heldBy));
    untilMs = readyMs;
    index = previous;
  }
  return { segments: pieces.reverse().flat(), nodes: path.reverse() };
}

/** A task that holds others lasts longer than they do: that is its own doing, not waiting. */
function describeGap(node: RunNode, fromMs: number, untilMs: number, originMs: number): PathSegment[] {
  const isHolder = node.kind === 'task' && node.attempts.length > 0 && node.attempts[0].startMs < node.startMs;
  return isHolder
    ? describeWork({ ...node, startMs: fromMs, attempts: [] }, untilMs, originMs)
    : describeWait(node, fromMs, untilMs, originMs);
}

function closing(fromMs: number, untilMs: number, originMs: number): PathSegment[] {
  if (untilMs <= fromMs) return [];
  const place = { start_ms: fromMs - originMs, duration_ms: untilMs - fromMs };
  return [{ task: '', map_index: -1, loop_iteration: null, attempt: null, kind: 'closing', ...place }];
}

/** The one that ended last; of several, one that ran before one that did not, and the one that ran longest. */
function findLatest(nodes: readonly RunNode[], candidates: Iterable<number>): number | null {
  let best: number | null = null;
  for (const index of candidates) {
    if (best === null || isLater(nodes[index], nodes[best])) best = index;
  }
  return best;
}

function isLater(left: RunNode, right: RunNode): boolean {
  if (left.endMs !== right.endMs) return left.endMs > right.endMs;
  if ((left.kind === 'skipped') !== (right.kind === 'skipped')) return right.kind === 'skipped';
  // Gathered instances stand for the longest of them.
  if ((left.kind === 'gather') !== (right.kind === 'gather')) return left.kind === 'gather';
  return left.startMs < right.startMs;
}

interface Ending {
  endMs: number;
  taskId: string;
}

/** Names, for time waited for a slot, the task of the same pool whose end made room. */
function nameHolders(nodes: readonly RunNode[], originMs: number): (segment: PathSegment) => PathSegment {
  const poolOf = new Map<string, string>();
  const ends = new Map<string, Ending[]>();
  for (const { task, taskId, kind, endMs } of nodes) {
    if (kind !== 'task' || task === null || task.pool === '') continue;
    poolOf.set(taskId, task.pool);
    const own = ends.get(task.pool);
    if (own === undefined) ends.set(task.pool, [{ endMs, taskId }]);
    else own.push({ endMs, taskId });
  }
  for (const own of ends.values()) own.sort((left, right) => left.endMs - right.endMs);
  return (segment) => {
    if (segment.kind !== 'slot_wait') return segment;
    const fromMs = segment.start_ms + originMs;
    const last = findLastEnding(ends.get(poolOf.get(segment.task) ?? '') ?? [], fromMs + segment.duration_ms);
    return last === null || last.endMs <= fromMs ? segment : { ...segment, held_by: last.taskId };
  };
}

function findLastEnding(sorted: readonly Ending[], byMs: number): Ending | null {
  let least = 0;
  let most = sorted.length;
  while (least < most) {
    const middle = (least + most) >> 1;
    if (sorted[middle].endMs <= byMs) least = middle + 1;
    else most = middle;
  }
  return least === 0 ? null : sorted[least - 1];
}

function listTasks(nodes: readonly RunNode[]): string[] {
  const path: string[] = [];
  for (const { taskId, kind } of nodes) {
    if (kind !== 'gather' && kind !== 'begin' && path.at(-1) !== taskId) path.push(taskId);
  }
  return path;
}

function sumByKind(segments: readonly PathSegment[]): CriticalPath['by_kind'] {
  const sums: CriticalPath['by_kind'] = {};
  for (const { kind, duration_ms } of segments) sums[kind] = (sums[kind] ?? 0) + duration_ms;
  return sums;
}

const sumOf = (segments: readonly PathSegment[], wanted: SegmentKind): number =>
  segments.reduce((sum, { kind, duration_ms }) => sum + (kind === wanted ? duration_ms : 0), 0);

/** How much later each node could have ended, with the delays that really were. */
export function findSlacks({ nodes, before, order, startMs }: TimedRun): Float64Array {
  const lastMs = nodes.reduce((latest, { endMs }) => Math.max(latest, endMs), startMs);
  const latestEndMs = new Float64Array(nodes.length).fill(lastMs);
  for (let place = order.length - 1; place >= 0; place--) {
    const head = order[place];
    const { startMs: headStartMs, endMs, kind } = nodes[head];
    const tails = before[head];
    let readyMs = Number.NEGATIVE_INFINITY;
    for (const tail of tails) readyMs = Math.max(readyMs, nodes[tail].endMs);
    const slackMs = latestEndMs[head] - endMs;
    const lagMs = kind === 'gather' ? 0 : headStartMs - readyMs;
    const beginMs = kind === 'gather' ? endMs : headStartMs;
    for (const tail of tails) latestEndMs[tail] = Math.min(latestEndMs[tail], beginMs + slackMs - lagMs);
  }
  return latestEndMs.map((ms, index) => Math.max(0, ms - nodes[index].endMs));
}

function listSlacks(run: TimedRun, critical: ReadonlySet<number>): TaskSlack[] {
  const slacks = findSlacks(run);
  const listed = [...run.nodes.keys()].filter((index) => run.nodes[index].kind === 'task');
  listed.sort((left, right) => slacks[left] - slacks[right] || run.nodes[left].startMs - run.nodes[right].startMs);
  return listed.slice(0, criticalPathDefaults.tasksListedMost).map((index) => {
    const { taskId, mapIndex, loopIteration, attempts, endMs } = run.nodes[index];
    const beganMs = attempts[0].startMs;
    const span = { start_ms: beganMs - run.startMs, duration_ms: endMs - beganMs };
    const place = { task: taskId, map_index: mapIndex, loop_iteration: loopIteration };
    return { ...place, ...span, slack_ms: slacks[index], critical: critical.has(index) };
  });
}
