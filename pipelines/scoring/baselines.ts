import type { BaselineEstimate, BaselineMeasure } from '../../clickhouse/tables/baselines.ts';
import { bucketValue } from '../histogram.ts';
import { HourlyValues, type SeasonLimits, type SlotValues, seasonAt, seasonDefaults } from './season.ts';
import { type Weighted, WeightedColumns } from './weighted.ts';

/**
 * What is usual, estimated from hours of a rollup. Medians and the deviation from them, because the very runs that are to be
 * found would pull a mean and a standard deviation after them; durations as logarithms, because they vary by
 * factors; seasons where the hour of the day or of the week foretells something.
 */
export const baselineDefaults = {
  /** With fewer runs, or hours, there is no baseline. */
  leastRuns: 20,
  leastHours: 24,
  /** Before anything is known, one failure in 31 runs. */
  priorFailures: 1,
  priorSuccesses: 30,
  leastDispersion: 0.002,
  mostDispersion: 0.2,
} as const;

/** Raise it whenever the same hours would give other estimates. */
export const baselineMethodVersion = 1;

/** What one workflow or task did in one hour of the week, lately or before. */
export interface HourSample {
  slot: number;
  isRecent: boolean;
  durations: Readonly<Record<string, number>>;
  queues: Readonly<Record<string, number>>;
  windows: readonly (readonly [startSeconds: number, finished: number, failures: number])[];
}

/** The hours that are looked at, in seconds; recent ones judge whether what recurred before still does. */
export interface HourRange {
  recentSeconds: number;
  throughSeconds: number;
}

const hourSeconds = 3600;
const weekSeconds = 168 * hourSeconds;
/** 1970 began on a Thursday. */
const mondaySeconds = 4 * 24 * hourSeconds;
/** A duration of nothing has no logarithm; a microsecond stands for it. */
const leastMs = 0.001;

/** Hour of the week, from Monday 0:00 UTC. */
export const slotOf = (seconds: number): number =>
  Math.floor(((seconds - mondaySeconds + weekSeconds) % weekSeconds) / hourSeconds);

/** By bucket: there are some thousands of them, and hours tell of the same ones again and again. */
const logsOfBuckets = new Map<string, number>();

function logMs(bucket: string): number {
  const known = logsOfBuckets.get(bucket);
  if (known !== undefined) return known;
  const log = Math.log(Math.max(leastMs, bucketValue(Number(bucket)) / 1000));
  logsOfBuckets.set(bucket, log);
  return log;
}

function logsOf(histogram: Readonly<Record<string, number>>): WeightedColumns {
  const buckets = Object.keys(histogram);
  const logs = WeightedColumns.withRoomFor(buckets.length);
  for (let at = 0; at < buckets.length; at++) {
    const bucket = buckets[at] as string;
    logs.values[at] = logMs(bucket);
    logs.weights[at] = histogram[bucket] as number;
  }
  return logs;
}

/** Every baseline that these samples are enough for. */
export function estimateBaselines(
  samples: readonly HourSample[],
  range: HourRange,
): { measure: BaselineMeasure; estimate: BaselineEstimate }[] {
  const estimates: Record<BaselineMeasure, BaselineEstimate | null> = {
    duration: estimateDurations(samples, ({ durations }) => durations),
    queue: estimateDurations(samples, ({ queues }) => queues),
    failure_ratio: estimateFailures(samples),
    finished_per_hour: estimateThroughput(samples, range),
  };
  return Object.entries(estimates).flatMap(([measure, estimate]) =>
    estimate === null ? [] : [{ measure: measure as BaselineMeasure, estimate }],
  );
}

const countWindows = (samples: readonly HourSample[]) => new Set(listWindows(samples).map(([start]) => start)).size;
const listWindows = (samples: readonly HourSample[]) => samples.flatMap(({ windows }) => windows);

function estimateDurations(
  samples: readonly HourSample[],
  take: (sample: HourSample) => HourSample['durations'],
): BaselineEstimate | null {
  const slots = samples.map((sample): SlotValues => {
    const values = logsOf(take(sample));
    return { slot: sample.slot, isRecent: sample.isRecent, starts: sample.windows.map(([start]) => start), values };
  });
  const n = slots.reduce((sum, { values }) => sum + values.total, 0);
  if (n < baselineDefaults.leastRuns) return null;
  const windows = countWindows(samples.filter((sample) => Object.keys(take(sample)).length > 0));
  return { n, windows, ...describe(slots, Math.exp) };
}

/** Median, spread and season on the scale that is scored; quantiles on the plain one. */
function describe(
  slots: readonly SlotValues[],
  toPlain: (value: number) => number,
  limits: SeasonLimits = seasonDefaults,
) {
  const hours = HourlyValues.of(slots);
  const season = hours.findSeason(limits);
  const residuals = hours.residuals(season);
  const center = residuals.median();
  return { center, spread: residuals.spreadFrom(center), ...quantilesOf(hours.pool(), toPlain), season };
}

function quantilesOf(values: WeightedColumns, toPlain: (value: number) => number) {
  const found = [0.05, 0.25, 0.5, 0.75, 0.95].map((share) => toPlain(values.quantile(share)));
  const [p05, p25, p50, p75, p95] = found as [number, number, number, number, number];
  return { p05, p25, p50, p75, p95 };
}

/** Hours without a run count too, from the first one on in which there was any. */
function estimateThroughput(samples: readonly HourSample[], range: HourRange): BaselineEstimate | null {
  const finished = new Map<number, number>();
  for (const [start, n] of listWindows(samples)) finished.set(start, (finished.get(start) ?? 0) + n);
  const first = Math.min(...finished.keys());
  const n = Math.floor((range.throughSeconds - first) / hourSeconds);
  if (!(n >= baselineDefaults.leastHours)) return null;
  const slots = Array.from({ length: n }, (_, index): SlotValues => {
    const start = first + index * hourSeconds;
    const values = WeightedColumns.of([[finished.get(start) ?? 0, 1]]);
    return { slot: slotOf(start), isRecent: start >= range.recentSeconds, starts: [start], values };
  });
  // An hour is one value here, however many runs it had.
  const limits = { ...seasonDefaults, leastValuesPerSlot: seasonDefaults.leastWindowsPerSlot };
  return { n, windows: finished.size, ...describe(slots, (value) => value, limits) };
}

/** Share of failures, and how much more it varies between hours than chance alone would make it. */
function estimateFailures(samples: readonly HourSample[]): BaselineEstimate | null {
  const { leastRuns, priorFailures, priorSuccesses, leastDispersion, mostDispersion } = baselineDefaults;
  const hours = mergeHours(samples).filter(({ finished }) => finished > 0);
  const n = hours.reduce((sum, { finished }) => sum + finished, 0);
  if (n < leastRuns) return null;
  const failures = hours.reduce((sum, hour) => sum + hour.failures, 0);
  const center = (priorFailures + failures) / (priorFailures + priorSuccesses + n);
  const excess = hours.map(({ finished, failures: failed }) => {
    return (failed - finished * center) ** 2 / (finished * center * (1 - center)) - 1;
  });
  // An hour of one run varies as chance does, whatever the dispersion: it says nothing, in either sum.
  const telling = hours.map(({ finished }, index) => (finished > 1 ? (excess[index] as number) : 0));
  const freedom = hours.reduce((sum, { finished }) => sum + finished - 1, 0);
  const dispersion = freedom === 0 ? 0 : telling.reduce((sum, some) => sum + some, 0) / freedom;
  const spread = Math.min(mostDispersion, Math.max(leastDispersion, dispersion));
  const ratios = hours.map((hour): Weighted => [hour.failures / hour.finished, 1]);
  return {
    n,
    windows: hours.length,
    center,
    spread,
    ...quantilesOf(WeightedColumns.of(ratios), (value) => value),
    season: [],
  };
}

/** Versions share hours of the calendar. */
function mergeHours(samples: readonly HourSample[]): { finished: number; failures: number }[] {
  const hours = new Map<number, { finished: number; failures: number }>();
  for (const [start, finished, failures] of listWindows(samples)) {
    const hour = hours.get(start) ?? { finished: 0, failures: 0 };
    hours.set(start, { finished: hour.finished + finished, failures: hour.failures + failures });
  }
  return [...hours.entries()].toSorted(([left], [right]) => left - right).map(([, hour]) => hour);
}

/** What a baseline expects at an instant, on the scale that is scored. */
export function expectAt({ center, season }: Pick<BaselineEstimate, 'center' | 'season'>, instantMs: number): number {
  return center + seasonAt(season, slotOf(instantMs / 1000));
}
