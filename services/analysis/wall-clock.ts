/**
 * Splits a stretch of wall clock by what was going on. At any instant several things may go on at once: a run counts as
 * running while any task of it runs, as starting while one starts and none runs, and so on down the list. Every
 * millisecond belongs to exactly one part, so the parts add up to the whole.
 *
 *     0        10        20        30
 *     |--queue--|---run----|         |      queue 10, run 11, retry back-off 4, idle 5
 *          |----run----|--back-off-|        (run: 5 to 21; back-off: 17 to 25)
 */
export const activities = ['run', 'startUp', 'retryBackoff', 'queueWait', 'schedulingDelay', 'dependencyWait'] as const;
export type Activity = (typeof activities)[number];

/** Whole milliseconds, the end not included. */
export interface Stretch {
  activity: Activity;
  fromMs: number;
  toMs: number;
}

export type WallClock = Record<`${Activity | 'idle'}Ms`, number> & { totalMs: number };

/** What lies outside of the range is left out; stretches that end before they begin are none. */
export function splitWallClock(stretches: readonly Stretch[], fromMs: number, toMs: number): WallClock {
  const end = Math.max(fromMs, toMs);
  const parts: WallClock = {
    totalMs: end - fromMs,
    dependencyWaitMs: 0,
    schedulingDelayMs: 0,
    queueWaitMs: 0,
    startUpMs: 0,
    runMs: 0,
    retryBackoffMs: 0,
    idleMs: 0,
  };
  const edges = findEdges(stretches, fromMs, end);
  const open = new Map<Activity, number>(activities.map((activity) => [activity, 0]));
  let atMs = fromMs;
  for (const { ms, activity, change } of edges) {
    parts[nameOf(open)] += ms - atMs;
    atMs = ms;
    open.set(activity, (open.get(activity) ?? 0) + change);
  }
  parts[nameOf(open)] += end - atMs;
  return parts;
}

interface Edge {
  ms: number;
  activity: Activity;
  change: 1 | -1;
}

function findEdges(stretches: readonly Stretch[], fromMs: number, toMs: number): Edge[] {
  const edges: Edge[] = [];
  for (const { activity, ...stretch } of stretches) {
    const begin = Math.max(fromMs, stretch.fromMs);
    const end = Math.min(toMs, stretch.toMs);
    if (!(end > begin)) continue;
    edges.push({ ms: begin, activity, change: 1 }, { ms: end, activity, change: -1 });
  }
  return edges.sort((one, other) => one.ms - other.ms);
}

/** The first activity of the list that goes on. */
function nameOf(open: ReadonlyMap<Activity, number>): `${Activity | 'idle'}Ms` {
  const activity = activities.find((candidate) => (open.get(candidate) ?? 0) > 0);
  return `${activity ?? 'idle'}Ms`;
}
