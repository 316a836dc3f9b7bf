import { type Weighted, weightedMedian } from './weighted.ts';

/** What was seen in one hour of the week, lately or before, on the scale that is scored. */
export interface SlotValues {
  /** Hour of the week, 0 to 167, from Monday 0:00 UTC. */
  slot: number;
  isRecent: boolean;
  /** Hours of the calendar that these values come from; versions share them. */
  starts: readonly number[];
  values: readonly Weighted[];
}

export const seasonDefaults = {
  /** Fewer values than these say nothing about an hour, nor do values of fewer days or weeks. */
  leastValuesPerSlot: 10,
  leastWindowsPerSlot: 3,
  /** Values needed before the last days, and in them, to tell whether anything recurs. */
  leastValues: 20,
  /** A season has to lower the error by this much, or the plainer answer stays. */
  gain: 0.05,
} as const;

export type SeasonLimits = { [Name in keyof typeof seasonDefaults]: number };

const hoursOfDay = 24;
const hoursOfWeek = 168;

const countValues = (values: readonly Weighted[]) => values.reduce((sum, [, weight]) => sum + weight, 0);
const poolValues = (slots: readonly SlotValues[]): Weighted[] => slots.flatMap(({ values }) => values);

/** How far each hour's median lies from the median of all; null for hours of which too little is known. */
function findOffsets(slots: readonly SlotValues[], period: number, limits: SeasonLimits): (number | null)[] {
  const all = weightedMedian(poolValues(slots));
  const byHour = Array.from({ length: period }, () => ({ starts: new Set<number>(), values: [] as Weighted[] }));
  for (const { slot, starts, values } of slots) {
    const hour = byHour[slot % period] as (typeof byHour)[number];
    for (const start of starts) hour.starts.add(start);
    hour.values.push(...values);
  }
  return byHour.map(({ starts, values }) => {
    const isKnown = starts.size >= limits.leastWindowsPerSlot && countValues(values) >= limits.leastValuesPerSlot;
    return isKnown ? weightedMedian(values) - all : null;
  });
}

/** Offsets by hour of the day, or by hour of the week with those of the day where the week says too little. */
function fitSeason(slots: readonly SlotValues[], period: 24 | 168, limits: SeasonLimits): number[] {
  const daily = findOffsets(slots, hoursOfDay, limits);
  if (period === hoursOfDay) return daily.map((offset) => offset ?? 0);
  return findOffsets(slots, hoursOfWeek, limits).map((offset, slot) => offset ?? daily[slot % hoursOfDay] ?? 0);
}

export const seasonAt = (season: readonly number[], slot: number): number =>
  season.length === 0 ? 0 : (season[slot % season.length] as number);

export function removeSeason(slots: readonly SlotValues[], season: readonly number[]): Weighted[] {
  return slots.flatMap(({ slot, values }) => {
    const offset = seasonAt(season, slot);
    return values.map(([value, weight]) => [value - offset, weight] as const);
  });
}

/** Mean absolute error of what earlier values would have said of the recent ones. */
function errorOf(season: readonly number[], earlier: readonly SlotValues[], recent: readonly SlotValues[]): number {
  const center = weightedMedian(removeSeason(earlier, season));
  const errors = removeSeason(recent, season).map(([value, weight]) => Math.abs(value - center) * weight);
  return errors.reduce((sum, error) => sum + error, 0);
}

/**
 * What recurs by the hour, or nothing. Within the values that it was fitted to every season looks good, so days and weeks
 * have to prove themselves: fitted to earlier values, they must foretell the recent ones better than without. Only then
 * are they fitted to all.
 */
export function findSeason(slots: readonly SlotValues[], limits: SeasonLimits = seasonDefaults): number[] {
  const earlier = slots.filter(({ isRecent }) => !isRecent);
  const recent = slots.filter(({ isRecent }) => isRecent);
  const enough = (some: readonly SlotValues[]) => countValues(poolValues(some)) >= limits.leastValues;
  if (!enough(earlier) || !enough(recent)) return [];
  let best: { period: 24 | 168 | null; error: number } = { period: null, error: errorOf([], earlier, recent) };
  for (const period of [hoursOfDay, hoursOfWeek] as const) {
    const error = errorOf(fitSeason(earlier, period, limits), earlier, recent);
    if (error < best.error * (1 - limits.gain)) best = { period, error };
  }
  return best.period === null ? [] : fitSeason(slots, best.period, limits);
}
