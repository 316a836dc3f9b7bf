/**
 * What was usual, computed anew from stored hours, plainly: every step walks through all values, and nothing is shared with the
 * code that published it.
 */

/** One workflow or task of one version in one hour of the calendar; histograms by log bucket of microseconds. */
export interface StoredHour {
  version: string;
  startSeconds: number;
  durations: Record<string, number>;
  queues: Record<string, number>;
  finished: number;
  failures: number;
}

export interface ExpectedBaseline {
  n: number;
  windows: number;
  center: number;
  spread: number;
  p05: number;
  p25: number;
  p50: number;
  p75: number;
  p95: number;
  season: number[];
}

export interface BaselineRange {
  throughSeconds: number;
  /** Hours from here on judge whether what recurred before does so still. */
  recentSeconds: number;
}

/** A value, how often, and the hours of the calendar that it may come from. */
interface Group {
  hourOfWeek: number;
  isRecent: boolean;
  starts: Set<number>;
  values: [value: number, weight: number][];
}

const hourSeconds = 3600;
const leastRuns = 20;
const leastHours = 24;
const leastWindowsOfSlot = 3;
const leastRunsOfSlot = 10;
const seasonGain = 0.05;

/** Baselines of all versions together ('') and, where there are several, of each that has a name; by version and measure. */
export function expectBaselines(
  hours: readonly StoredHour[],
  range: BaselineRange,
): Map<string, Map<string, ExpectedBaseline>> {
  const versions = [...new Set(hours.map(({ version }) => version))];
  const named = versions.length > 1 ? versions.filter((version) => version !== '') : [];
  const expected = new Map([['', expectMeasures(hours, range)]]);
  for (const version of named) {
    const own = hours.filter((hour) => hour.version === version);
    expected.set(version, expectMeasures(own, range));
  }
  return expected;
}

function expectMeasures(hours: readonly StoredHour[], range: BaselineRange): Map<string, ExpectedBaseline> {
  const measures = {
    duration: expectTimes(hours, range, 'durations'),
    queue: expectTimes(hours, range, 'queues'),
    failure_ratio: expectFailures(hours),
    finished_per_hour: expectThroughput(hours, range),
  };
  return new Map(Object.entries(measures).flatMap(([name, found]) => (found === null ? [] : [[name, found] as const])));
}

const hourOfWeekOf = (seconds: number): number => {
  const instant = new Date(seconds * 1000);
  return ((instant.getUTCDay() + 6) % 7) * 24 + instant.getUTCHours();
};

function expectTimes(
  hours: readonly StoredHour[],
  range: BaselineRange,
  field: 'durations' | 'queues',
): ExpectedBaseline | null {
  const groups = [...groupHours(hours, range).values()].map((some): Group => {
    const [first] = some as [StoredHour];
    const place = { hourOfWeek: hourOfWeekOf(first.startSeconds), isRecent: first.startSeconds >= range.recentSeconds };
    const starts = new Set(some.map(({ startSeconds }) => startSeconds));
    return { ...place, starts, values: mergeBuckets(some.map((hour) => hour[field])) };
  });
  const n = weightOf(groups);
  if (n < leastRuns) return null;
  const windows = new Set(groups.filter(({ values }) => values.length > 0).flatMap(({ starts }) => [...starts])).size;
  return { n, windows, ...describe(groups, leastRunsOfSlot, Math.exp) };
}

/** Hours that are one hour of the week, before or lately, of one version. */
const groupHours = (hours: readonly StoredHour[], { recentSeconds }: BaselineRange) =>
  Map.groupBy(hours, ({ version, startSeconds }) =>
    JSON.stringify([version, hourOfWeekOf(startSeconds), startSeconds >= recentSeconds]),
  );

/** Logarithms of milliseconds; buckets that corrections have emptied say nothing. */
function mergeBuckets(histograms: readonly Record<string, number>[]): Group['values'] {
  const sums = new Map<string, number>();
  for (const histogram of histograms) {
    for (const [bucket, count] of Object.entries(histogram)) sums.set(bucket, (sums.get(bucket) ?? 0) + count);
  }
  return [...sums].filter(([, count]) => count > 0).map(([bucket, count]) => [logOfBucket(Number(bucket)), count]);
}

/** A duration of nothing counts as a microsecond. */
function logOfBucket(bucket: number): number {
  const micros = bucket === -32768 ? 0 : 0.99 * (1.01 / 0.99) ** bucket;
  return Math.log(Math.max(micros, 1) / 1000);
}

const weightOf = (groups: readonly Group[]): number =>
  groups.reduce((sum, { values }) => sum + values.reduce((some, [, weight]) => some + weight, 0), 0);

/** Nearest rank. */
function rank(values: readonly (readonly [number, number])[], share: number): number {
  const sorted = [...values].sort((left, right) => left[0] - right[0]);
  let left = Math.max(1, Math.ceil(share * sorted.reduce((sum, [, weight]) => sum + weight, 0)));
  for (const [value, weight] of sorted) {
    left -= weight;
    if (left <= 0) return value;
  }
  return Number.NaN;
}

const shift = (groups: readonly Group[], season: readonly number[]): [number, number][] =>
  groups.flatMap(({ hourOfWeek, values }) => {
    const by = season.length === 0 ? 0 : (season[hourOfWeek % season.length] as number);
    return values.map(([value, weight]): [number, number] => [value - by, weight]);
  });

function describe(groups: readonly Group[], leastOfSlot: number, toPlain: (value: number) => number) {
  const season = expectSeason(groups, leastOfSlot);
  const rest = shift(groups, season);
  const center = rank(rest, 0.5);
  const off = rest.map(([value, weight]): [number, number] => [Math.abs(value - center), weight]);
  return { center, spread: rank(off, 0.5), ...quantilesOf(shift(groups, []), toPlain), season };
}

function quantilesOf(values: [number, number][], toPlain: (value: number) => number) {
  const at = (share: number) => toPlain(rank(values, share));
  return { p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95) };
}

/** A season stands only where the earlier hours foretell the recent ones better with it than without. */
function expectSeason(groups: readonly Group[], leastOfSlot: number): number[] {
  const earlier = groups.filter(({ isRecent }) => !isRecent);
  const recent = groups.filter(({ isRecent }) => isRecent);
  if (weightOf(earlier) < leastRuns || weightOf(recent) < leastRuns) return [];
  const missBy = (season: readonly number[]) => {
    const center = rank(shift(earlier, season), 0.5);
    return shift(recent, season).reduce((sum, [value, weight]) => sum + Math.abs(value - center) * weight, 0);
  };
  const plain = missBy([]);
  const daily = missBy(fitHours(earlier, 24, leastOfSlot));
  const isDaily = daily < plain * (1 - seasonGain);
  const weekly = missBy(fitHours(earlier, 168, leastOfSlot));
  if (weekly < (isDaily ? daily : plain) * (1 - seasonGain)) return fitHours(groups, 168, leastOfSlot);
  return isDaily ? fitHours(groups, 24, leastOfSlot) : [];
}

/** How far each hour lies from the whole; an hour of the week of which little is known is as that hour of the day. */
function fitHours(groups: readonly Group[], period: 24 | 168, leastOfSlot: number): number[] {
  const all = rank(shift(groups, []), 0.5);
  const offsetOf = (hour: number, of: 24 | 168): number | null => {
    const some = groups.filter(({ hourOfWeek }) => hourOfWeek % of === hour);
    const windows = new Set(some.flatMap(({ starts }) => [...starts])).size;
    const isKnown = windows >= leastWindowsOfSlot && weightOf(some) >= leastOfSlot;
    return isKnown ? rank(shift(some, []), 0.5) - all : null;
  };
  const daily = Array.from({ length: 24 }, (_, hour) => offsetOf(hour, 24) ?? 0);
  if (period === 24) return daily;
  return Array.from({ length: 168 }, (_, hour) => offsetOf(hour, 168) ?? (daily[hour % 24] as number));
}

/** Finished runs and failures of each hour of the calendar, oldest first, all versions together. */
function sumHours(hours: readonly StoredHour[]): [start: number, finished: number, failures: number][] {
  const sums = new Map<number, [number, number, number]>();
  for (const { startSeconds, finished, failures } of hours) {
    const [, some, bad] = sums.get(startSeconds) ?? [startSeconds, 0, 0];
    sums.set(startSeconds, [startSeconds, some + finished, bad + failures]);
  }
  return [...sums.values()].sort((left, right) => left[0] - right[0]);
}

function expectThroughput(hours: readonly StoredHour[], range: BaselineRange): ExpectedBaseline | null {
  const sums = sumHours(hours);
  const first = sums[0]?.[0] ?? range.throughSeconds;
  const finished = new Map(sums.map(([start, n]) => [start, n]));
  const groups: Group[] = [];
  for (let start = first; start + hourSeconds <= range.throughSeconds; start += hourSeconds) {
    const place = { hourOfWeek: hourOfWeekOf(start), isRecent: start >= range.recentSeconds };
    groups.push({ ...place, starts: new Set([start]), values: [[finished.get(start) ?? 0, 1]] });
  }
  if (groups.length < leastHours) return null;
  return { n: groups.length, windows: finished.size, ...describe(groups, leastWindowsOfSlot, (value) => value) };
}

function expectFailures(hours: readonly StoredHour[]): ExpectedBaseline | null {
  const sums = sumHours(hours).filter(([, finished]) => finished > 0);
  const n = sums.reduce((sum, [, finished]) => sum + finished, 0);
  if (n < leastRuns) return null;
  const center = (1 + sums.reduce((sum, [, , failures]) => sum + failures, 0)) / (31 + n);
  let excess = 0;
  let freedom = 0;
  for (const [, finished, failures] of sums) {
    if (finished === 1) continue;
    excess += (failures - finished * center) ** 2 / (finished * center * (1 - center)) - 1;
    freedom += finished - 1;
  }
  const spread = Math.min(0.2, Math.max(0.002, freedom === 0 ? 0 : excess / freedom));
  const ratios = sums.map(([, finished, failures]): [number, number] => [failures / finished, 1]);
  return { n, windows: sums.length, center, spread, ...quantilesOf(ratios, (value) => value), season: [] };
}
