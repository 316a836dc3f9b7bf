import type { RunNode } from './timed-run.ts';

/** Why time passed. Waiting has a cause of its own, so that it is not mistaken for work. */
export const segmentKinds = [
  'run',
  'failed_attempt',
  'retry_delay',
  'scheduling',
  'slot_wait',
  'startup',
  'loop_delay',
  'closing',
  'unknown',
] as const;
export type SegmentKind = (typeof segmentKinds)[number];

export interface PathSegment {
  /** '' for time that belongs to the execution alone. */
  task: string;
  map_index: number;
  loop_iteration: number | null;
  attempt: number | null;
  kind: SegmentKind;
  /** Since the start of the execution. */
  start_ms: number;
  duration_ms: number;
  /** Task whose end freed the slot that was waited for. */
  held_by?: string;
}

/** Instants at which one kind of passing time goes over into the next. */
type Marks = { untilMs: number; kind: SegmentKind; attempt: number | null }[];

/** What a node did up to `untilMs`: attempts, and the delays between them. */
export function describeWork(node: RunNode, untilMs: number, originMs: number): PathSegment[] {
  const marks: Marks = [];
  node.attempts.forEach(({ attempt: { attempt }, startMs, endMs }, place) => {
    const isLast = place === node.attempts.length - 1;
    if (place > 0) marks.push({ untilMs: startMs, kind: 'retry_delay', attempt });
    marks.push({ untilMs: endMs, kind: isLast || !isFailed(node, place) ? 'run' : 'failed_attempt', attempt });
  });
  if (marks.length === 0) marks.push({ untilMs: node.endMs, kind: 'run', attempt: null });
  return cutAt(node, node.startMs, untilMs, marks, originMs);
}

/** An attempt that completed and was followed by another was a repetition, not a failure. */
const isFailed = (node: RunNode, place: number): boolean => node.attempts[place].attempt.state !== 'completed';

/** Why nothing of the path ran between the end of what a node waited for and its own start. */
export function describeWait(node: RunNode, fromMs: number, untilMs: number, originMs: number): PathSegment[] {
  const first = node.attempts[0]?.attempt;
  const marks: Marks = [];
  if (first !== undefined) {
    const { readyAtMs, queuedAtMs, dispatchedAtMs, queueMs, attempt } = first;
    const before: SegmentKind = (node.loopIteration ?? 0) > 0 ? 'loop_delay' : 'scheduling';
    const sinceMs = readyAtMs ?? queuedAtMs ?? (queueMs === null ? null : node.startMs - queueMs);
    if (sinceMs !== null) {
      marks.push({ untilMs: sinceMs, kind: before, attempt });
      marks.push({ untilMs: dispatchedAtMs ?? untilMs, kind: 'slot_wait', attempt });
      marks.push({ untilMs, kind: 'startup', attempt });
    }
  }
  marks.push({ untilMs, kind: 'unknown', attempt: first?.attempt ?? null });
  return cutAt(node, fromMs, untilMs, marks, originMs);
}

/** Pieces that follow each other without a gap and end at `untilMs`, whatever the clocks say. */
function cutAt(node: RunNode, fromMs: number, untilMs: number, marks: Marks, originMs: number): PathSegment[] {
  const segments: PathSegment[] = [];
  let cursorMs = fromMs;
  marks.forEach((mark, place) => {
    const isLast = place === marks.length - 1;
    const endMs = isLast ? untilMs : Math.min(Math.max(mark.untilMs, cursorMs), untilMs);
    if (endMs <= cursorMs) return;
    segments.push({
      task: node.taskId,
      map_index: node.mapIndex,
      loop_iteration: node.loopIteration,
      attempt: mark.attempt,
      kind: mark.kind,
      start_ms: cursorMs - originMs,
      duration_ms: endMs - cursorMs,
    });
    cursorMs = endMs;
  });
  return segments;
}
