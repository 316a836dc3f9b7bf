import { roundMs, roundRatio } from './basis.ts';
import { findMedianSlope, findOrderProbability } from './rank-trend.ts';
import { groupBy, medianOf, sortAscending } from './robust-statistics.ts';

/**
 * Whether durations grow or shrink: the median of the slopes between all pairs of days (Theil and Sen) over the
 * logarithms of the days' medians, and how probable as clear an order is by chance (Mann and Kendall). A trend is told
 * only if it is both unlikely by chance and large enough to matter.
 *
 * Example: medians of 100, 110, 121 and 133.1 s on four days have the slope ln 1.1 a day, that is 94.9 % a week.
 */
export interface PerformanceTrend {
  direction: 'improving' | 'degrading' | 'stable' | 'unknown';
  change_per_week_ratio: number;
  p_value: number | null;
  days: number;
  median_ms_first_day: number | null;
  median_ms_last_day: number | null;
}

/** @public */
export const trendDefaults = { daysLeast: 4, pMost: 0.01, changePerWeekLeast: 0.05, daysMost: 90 };

const dayMs = 86_400_000;

export function findPerformanceTrend(durations: readonly { startMs: number; durationMs: number }[]): PerformanceTrend {
  const usable = durations.filter(({ durationMs }) => durationMs > 0);
  const byDay = groupBy(usable, ({ startMs }) => Math.floor(startMs / dayMs));
  const days = sortAscending([...byDay.keys()]).slice(-trendDefaults.daysMost);
  const medians = days.map((day) => medianOf((byDay.get(day) ?? []).map(({ durationMs }) => durationMs)));
  const ends = {
    days: days.length,
    median_ms_first_day: days.length === 0 ? null : roundMs(medians[0]),
    median_ms_last_day: days.length === 0 ? null : roundMs(medians[medians.length - 1]),
  };
  if (days.length < trendDefaults.daysLeast)
    return { direction: 'unknown', change_per_week_ratio: 0, p_value: null, ...ends };
  const logs = medians.map(Math.log);
  const perWeek = Math.exp(7 * findMedianSlope(days, logs)) - 1;
  const pValue = findOrderProbability(logs);
  const isClear = pValue < trendDefaults.pMost && Math.abs(perWeek) >= trendDefaults.changePerWeekLeast;
  const direction = isClear ? (perWeek > 0 ? 'degrading' : 'improving') : 'stable';
  return { direction, change_per_week_ratio: roundRatio(perWeek), p_value: roundRatio(pValue), ...ends };
}
