import { type CronSchedule, nextDue, parseCron } from './cron.ts';
import type { Random } from './random.ts';

/** When runs of a workflow begin. All instants are epoch milliseconds in UTC. */
export type ArrivalPattern =
  /** By the clock. */
  | { kind: 'schedule'; cron: string }
  /** Independent of each other, more of them when people are awake. */
  | { kind: 'poisson'; perDay: number; rhythm: Rhythm }
  /** Several at once, as a file drop or a bulk edit causes them. */
  | { kind: 'bursts'; perDay: number; runsMost: number; rhythm: Rhythm }
  /** When a run of another workflow completed. */
  | { kind: 'chain'; afterWorkflowId: string; on: 'completed' | 'failed' | 'any'; ratio: number };

export type Rhythm = 'flat' | 'office' | 'shop';

/** What a scenario does to the load as time goes by: 1 is an ordinary day. */
export type LoadFactor = (atMs: number) => number;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Load by hour of the day; the mean of each row is 1, so that `perDay` holds whatever the rhythm. */
const hoursOfDay: Record<Rhythm, readonly number[]> = {
  flat: Array.from({ length: 24 }, () => 1),
  office: evenOut([2, 2, 2, 2, 2, 4, 8, 14, 20, 22, 22, 20, 17, 19, 21, 21, 18, 13, 8, 6, 4, 3, 2, 2]),
  shop: evenOut([5, 3, 2, 2, 2, 3, 5, 8, 11, 13, 14, 15, 16, 15, 14, 14, 15, 17, 20, 22, 21, 17, 12, 8]),
};

/** From Sunday on: offices are all but empty at the weekend, shops are full. */
const daysOfWeek: Record<Rhythm, readonly number[]> = {
  flat: [1, 1, 1, 1, 1, 1, 1],
  office: evenOut([2, 12, 13, 13, 13, 11, 3]),
  shop: evenOut([12, 9, 9, 9, 10, 11, 13]),
};

function evenOut(shares: readonly number[]): number[] {
  const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return shares.map((share) => share / mean);
}

/** Months and days on which offices are closed and shops are quiet, every year. */
const holidays = new Set(['01-01', '05-01', '10-03', '12-25', '12-26']);

function isHoliday(atMs: number): boolean {
  return holidays.has(new Date(atMs).toISOString().slice(5, 10));
}

/** The ordinary load of an instant, compared with the mean of a week. */
export function rhythmFactor(rhythm: Rhythm, atMs: number): number {
  const date = new Date(atMs);
  const factor = hoursOfDay[rhythm][date.getUTCHours()] * daysOfWeek[rhythm][date.getUTCDay()];
  return rhythm !== 'flat' && isHoliday(atMs) ? factor * 0.25 : factor;
}

/** The largest value that `rhythmFactor` takes, for drawing from it by rejection. */
const largestFactor: Record<Rhythm, number> = { flat: 1, office: peakOf('office'), shop: peakOf('shop') };

function peakOf(rhythm: Rhythm): number {
  return Math.max(...hoursOfDay[rhythm]) * Math.max(...daysOfWeek[rhythm]);
}

/** The next arrival after an instant, or infinity where none comes by itself; chains come from their workflow. */
export function nextArrival(pattern: ArrivalPattern, afterMs: number, random: Random, load: LoadFactor): number {
  if (pattern.kind === 'schedule') return nextDue(scheduleOf(pattern.cron), afterMs);
  if (pattern.kind === 'chain') return Number.POSITIVE_INFINITY;
  return nextByChance(pattern, afterMs, random, load);
}

const schedules = new Map<string, CronSchedule>();

function scheduleOf(cron: string): CronSchedule {
  const known = schedules.get(cron) ?? parseCron(cron);
  schedules.set(cron, known);
  return known;
}

// A scenario may multiply the load by this much at most; thinning needs a bound.
const loadFactorMost = 12;

/** Thinning: candidates of the highest rate, each kept with the share that its moment has of that rate. */
function nextByChance(
  pattern: Extract<ArrivalPattern, { kind: 'poisson' | 'bursts' }>,
  afterMs: number,
  random: Random,
  load: LoadFactor,
): number {
  if (pattern.perDay <= 0) return Number.POSITIVE_INFINITY;
  const { rhythm } = pattern;
  for (let atMs = afterMs; ; ) {
    // The bound is looked up hour by hour, because a fixed one would draw twelve times as often on every ordinary day.
    const bound = largestFactor[rhythm] * Math.min(loadFactorMost, peakLoad(load, atMs));
    const gapMs = random.exponential(dayMs / (pattern.perDay * bound));
    const hourEndMs = (Math.floor(atMs / hourMs) + 1) * hourMs;
    if (atMs + gapMs >= hourEndMs) {
      // Exponential gaps have no memory: what is left of the gap may be drawn anew in the next hour.
      atMs = hourEndMs;
      continue;
    }
    atMs += gapMs;
    if (random.chance((rhythmFactor(rhythm, atMs) * load(atMs)) / bound)) return Math.round(atMs);
  }
}

/** Scenarios change the load on the quarter hour at the earliest. */
function peakLoad(load: LoadFactor, atMs: number): number {
  const startMs = Math.floor(atMs / hourMs) * hourMs;
  let most = load(atMs);
  for (let quarter = 0; quarter < 4; quarter++) most = Math.max(most, load(startMs + quarter * (hourMs / 4)));
  return most;
}

/** How many runs one arrival brings, and how far they lie apart. */
export function runsOfArrival(pattern: ArrivalPattern, random: Random): number {
  return pattern.kind === 'bursts' ? 1 + random.below(pattern.runsMost) : 1;
}
