import {
  type DistributionName,
  type FilterName,
  type Subject,
  type WindowRow,
  windowsQuestion,
} from '../../clickhouse/queries/windows.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { Sample } from '../analysis/change.ts';
import { toInstant } from './answer-values.ts';
import { ApiError } from './errors.ts';
import type { Steps } from './time-range.ts';

/** Rollups as routes ask for them: groups, each with its whole range and its steps. */
export interface WindowsWish {
  subject: Subject;
  steps: Steps;
  filters?: Partial<Record<FilterName, string | undefined>>;
  groupBy?: FilterName | null;
  distributions?: readonly DistributionName[];
  /** In per cent. */
  percentiles?: readonly number[];
}

export interface WindowGroup {
  key: string;
  whole: WindowRow;
  /** One for each step of the range, undefined where there was no telemetry. */
  steps: (WindowRow | undefined)[];
}

export const standardPercentiles = [50, 90, 95, 99] as const;
/** Rows of one answer; charts and tables beyond that are no use to anybody. */
const mostRows = 50_000;
const mostGroups = 500;

export async function readWindows(reader: WorkspaceReader, wish: WindowsWish): Promise<WindowGroup[]> {
  const { subject, steps, filters = {}, groupBy = null } = wish;
  const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined));
  const rows = await reader.ask(windowsQuestion, {
    ...given,
    subject,
    level: steps.level,
    from: steps.fromMs / 1000,
    to: steps.toMs / 1000,
    starts: steps.startsMs.map((ms) => ms / 1000),
    ranks: (wish.percentiles ?? standardPercentiles).map((percent) => Math.round(percent * 100)),
    distributions: wish.distributions ?? ['duration'],
    groupBy,
  });
  return collectGroups(rows, steps);
}

function collectGroups(rows: readonly WindowRow[], { startsMs }: Steps): WindowGroup[] {
  const wholes = rows.filter((row) => row.is_whole === 1);
  if (wholes.length > mostGroups || rows.length > mostRows) {
    throw new ApiError('too_much_asked', `The answer has ${wholes.length} groups.`, { mostGroups });
  }
  const places = new Map(startsMs.map((ms, at) => [ms / 1000, at]));
  const groups = new Map<string, WindowGroup>();
  for (const whole of wholes) {
    groups.set(whole.group_key, { key: whole.group_key, whole, steps: startsMs.map(() => undefined) });
  }
  for (const row of rows) {
    const group = groups.get(row.group_key);
    const at = places.get(row.start);
    if (row.is_whole === 0 && group !== undefined && at !== undefined) group.steps[at] = row;
  }
  return [...groups.values()];
}

export const describeRange = ({ fromMs, toMs, level }: Steps) => ({
  from: toInstant(fromMs),
  to: toInstant(toMs),
  resolution: level,
});

/** Half the width of a bucket; see the histograms of the rollups. */
const relativeError = 0.01;
export const describeMethod = ({ level }: Steps) => ({
  method: 'histogram',
  resolution: level,
  relative_error: relativeError,
});

export const ratioOf = (part: number, of: number): number | null => (of === 0 ? null : part / of);

export const failuresOf = (row: WindowRow | undefined): number => (row === undefined ? 0 : row.failed + row.timeout);

export const meanOf = (row: WindowRow | undefined, name: DistributionName): number | null =>
  row === undefined ? null : ratioOf(row[`${name}_ms_sum`], row[`${name}_n`]);

/** By its place among the percentiles that were asked for; rounded to what a histogram can tell. */
export function percentileOf(row: WindowRow | undefined, name: DistributionName, at: number): number | null {
  const value = row?.[`${name}_quantiles_ms`]?.[at] ?? null;
  return value === null ? null : Math.round(value * 1000) / 1000;
}

/** Producers' costs are kept in millionths; what floating point adds to a sum is not theirs. */
export const costOf = (row: WindowRow | undefined): number | null =>
  row === undefined || row.cost_n === 0 ? null : Math.round(row.cost_sum * 1e6) / 1e6;

/** Number, mean and variance, the latter from the histogram and so within its error. */
export function sampleOf(row: WindowRow | undefined, name: DistributionName): Sample {
  const n = row?.[`${name}_n`] ?? 0;
  if (row === undefined || n <= 0) return { n: 0, mean: 0, variance: 0 };
  const mean = row[`${name}_ms_sum`] / n;
  return { n, mean, variance: Math.max(0, row[`${name}_ms_squares`] / n - mean * mean) };
}

/** The one source of what was asked, or the answer that names the choices; null where there is nothing at all. */
export function takeOnlySource(groups: readonly WindowGroup[]): WindowGroup | null {
  if (groups.length > 1) {
    const sources = groups.map(({ key }) => key);
    throw new ApiError('ambiguous_source', `The id is used by ${groups.length} sources.`, { sources });
  }
  return groups[0] ?? null;
}
