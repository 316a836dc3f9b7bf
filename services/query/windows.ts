import {
  type DistributionName,
  type FilterName,
  type HistogramColumn,
  isAboutNamed,
  type LargestGroups,
  namedWindowsQuestion,
  partsOf,
  type RollupEnds,
  rollupEndsQuestion,
  type Subject,
  type WindowCount,
  type WindowNeed,
  type WindowSums,
  type WindowsAsk,
  windowSizesQuestion,
  windowsQuestion,
} from '../../clickhouse/queries/windows.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { Sample } from '../analysis/change.ts';
import { toInstant } from './answer-values.ts';
import { ApiError } from './errors.ts';
import { MergedHistogram } from './merged-histogram.ts';
import type { Steps } from './time-range.ts';

/** Rollups as routes ask for them: groups, each with its whole range and its steps. */
export interface WindowsWish {
  subject: Subject;
  steps: Steps;
  filters?: Partial<Record<FilterName, string | undefined>>;
  groupBy?: FilterName | null;
  counts?: readonly WindowCount[];
  distributions?: readonly DistributionName[];
  /** What is read of rows besides how many started and ended, and distributions. */
  needs?: readonly WindowNeed[];
  /** The largest groups rather than all. */
  largest?: LargestGroups;
  /** Of one workflow or task: no more than a size beside something else. */
  isSize?: boolean;
}

export interface WindowGroup {
  key: string;
  whole: WindowRow;
  /** One for each step of the range, undefined where there was no telemetry. */
  steps: (WindowRow | undefined)[];
  /** What it was merged from. */
  rows: readonly WindowSums[];
}

/** One step of one group, or the whole range of a group. What was not asked for is NaN, lest it be taken for none. */
export interface WindowRow {
  started: number;
  completed: number;
  failed: number;
  cancelled: number;
  timeout: number;
  partial: number;
  finished: number;
  retries: number;
  attempts_failed: number;
  cost_n: number;
  cost_sum: number;
  cpu_n: number;
  cpu_ms_sum: number;
  distributions: Map<DistributionName, Distribution>;
}

interface Distribution {
  values: MergedHistogram;
  ms_sum: number;
  ms_min: number | null;
  ms_max: number | null;
}

/** Rows of one answer; charts and tables beyond that are no use to anybody. */
const mostRows = 50_000;
const mostGroups = 500;

/** Groups of a range; with what they were in the range of the same length right before, by their keys. */
interface ComparedGroups {
  groups: WindowGroup[];
  before: Map<string, WindowRow>;
}

export const readWindows = async (reader: WorkspaceReader, wish: WindowsWish): Promise<WindowGroup[]> =>
  (await readRanges(reader, wish, null)).groups;

/** With the range right before, by one question: planning two takes longer than what is read for one of them. */
export async function readRanges(
  reader: WorkspaceReader,
  wish: WindowsWish,
  before: Steps | null,
): Promise<ComparedGroups> {
  const {
    subject,
    steps,
    filters = {},
    groupBy = null,
    distributions = ['duration'],
    needs = [],
    counts,
    largest,
    isSize = false,
  } = wish;
  const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined));
  const [ends] = await reader.ask(rollupEndsQuestion, { subject });
  const ask = {
    ...given,
    ...(ends as RollupEnds),
    subject,
    level: steps.level,
    from: (before ?? steps).fromMs / 1000,
    to: steps.toMs / 1000,
    starts: [...(before?.startsMs ?? []), ...steps.startsMs].map((ms) => ms / 1000),
    counts,
    distributions,
    needs,
    groupBy,
    largest,
  };
  const rows = await askWindows(reader, ask, isSize);
  return compareRanges(rows, steps, distributions, before);
}

async function askWindows(reader: WorkspaceReader, ask: WindowsAsk, isSize: boolean): Promise<readonly WindowSums[]> {
  if (!isAboutNamed(ask)) return await reader.ask(windowsQuestion, ask);
  return await reader.askAbout(isSize ? windowSizesQuestion : namedWindowsQuestion, ask);
}

/** What was made of rows that several are answered by, for as long as these are kept. */
const made = new WeakMap<readonly WindowSums[], ComparedGroups>();

function compareRanges(
  rows: readonly WindowSums[],
  steps: Steps,
  names: readonly DistributionName[],
  before: Steps | null,
): ComparedGroups {
  const known = made.get(rows);
  if (known !== undefined) return known;
  const isBefore = ({ start }: WindowSums) => before !== null && start * 1000 < steps.fromMs;
  const found = {
    groups: collectGroups(before === null ? rows : rows.filter((row) => !isBefore(row)), steps, names),
    before: new Map(
      [...Map.groupBy(rows.filter(isBefore), ({ group_key }) => group_key)].map(
        ([key, own]) => [key, mergeRows(own, names)] as const,
      ),
    ),
  };
  made.set(rows, found);
  return found;
}

function collectGroups(
  rows: readonly WindowSums[],
  { startsMs }: Steps,
  names: readonly DistributionName[],
): WindowGroup[] {
  const groups = Map.groupBy(rows, ({ group_key }) => group_key);
  if (groups.size > mostGroups || rows.length > mostRows) {
    throw new ApiError('too_much_asked', `The answer has ${groups.size} groups.`, { mostGroups });
  }
  return [...groups]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, own]) => {
      const byStart = Map.groupBy(own, ({ start }) => start * 1000);
      const steps = startsMs.map((ms) => {
        const found = byStart.get(ms);
        return found && mergeRows(found, names);
      });
      return { key, whole: mergeRows(own, names), steps, rows: own };
    });
}

/** The largest groups, and all of them as one: a fleet may have more workflows than an answer has room for. */
export async function readLargest(
  reader: WorkspaceReader,
  wish: WindowsWish,
  by: LargestGroups['by'],
): Promise<{ groups: WindowGroup[]; all: WindowGroup | undefined }> {
  const groups = await readWindows(reader, { ...wish, largest: { groups: mostGroups, by } });
  if (groups.length < mostGroups) return { groups, all: joinGroups(groups, wish) };
  const [all] = await readWindows(reader, { ...wish, groupBy: null });
  return { groups, all };
}

/** All groups of an answer as one, without asking again. */
function joinGroups(
  groups: readonly WindowGroup[],
  { steps, distributions = ['duration'] }: Pick<WindowsWish, 'steps' | 'distributions'>,
): WindowGroup | undefined {
  const rows = groups.flatMap((group) => group.rows.map((row) => ({ ...row, group_key: '' })));
  return collectGroups(rows, steps, distributions)[0];
}

/** Rows of different windows or tables, in any order. */
function mergeRows(rows: readonly WindowSums[], names: readonly DistributionName[]): WindowRow {
  const sum = (column: NumberColumn): number => rows.reduce((merged, row) => merged + (row[column] ?? Number.NaN), 0);
  const [completed, failed, cancelled, timeout, partial] = countedEnds.map(sum) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    ...{ completed, failed, cancelled, timeout, partial },
    started: sum('started'),
    finished: completed + failed + cancelled + timeout + partial,
    retries: sum('retries'),
    attempts_failed: sum('attempt_failed') + sum('attempt_timeout'),
    cost_n: sum('cost_micros_n'),
    cost_sum: sum('cost_micros_sum') / 1e6,
    cpu_n: sum('cpu_us_n'),
    cpu_ms_sum: sum('cpu_us_sum') / 1000,
    distributions: new Map(names.map((name) => [name, mergeDistribution(rows, name)])),
  };
}

/** How something may have ended. */
export const countedEnds = ['completed', 'failed', 'cancelled', 'timeout', 'partial'] as const;
type NumberColumn = {
  [Column in keyof WindowSums]-?: WindowSums[Column] extends number | undefined ? Column : never;
}[keyof WindowSums];

function mergeDistribution(rows: readonly WindowSums[], name: DistributionName): Distribution {
  const merged: Distribution = { values: new MergedHistogram(), ms_sum: 0, ms_min: null, ms_max: null };
  for (const row of rows) {
    for (const part of partsOf[name]) {
      merged.values.add(row[`${part}_hist`] as HistogramColumn);
      merged.ms_sum += (row[`${part}_sum`] as number) / 1000;
      merged.ms_min = pick(Math.min, merged.ms_min, row[`${part}_min`]);
      merged.ms_max = pick(Math.max, merged.ms_max, row[`${part}_max`]);
    }
  }
  return merged;
}

const pick = (
  choose: (one: number, other: number) => number,
  knownMs: number | null,
  us: number | null | undefined,
): number | null => (us == null ? knownMs : choose(us / 1000, knownMs ?? us / 1000));

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

export const countOf = (row: WindowRow | undefined, name: DistributionName): number =>
  row?.distributions.get(name)?.values.n ?? 0;

export const sumOf = (row: WindowRow | undefined, name: DistributionName): number =>
  row?.distributions.get(name)?.ms_sum ?? 0;

/** Least and greatest ever told; of a row that was asked for its extremes. */
export function extremesOf(
  row: WindowRow | undefined,
  name: DistributionName,
): { min: number | null; max: number | null } {
  const { ms_min: min = null, ms_max: max = null } = row?.distributions.get(name) ?? {};
  return { min, max };
}

export const meanOf = (row: WindowRow | undefined, name: DistributionName): number | null =>
  ratioOf(sumOf(row, name), countOf(row, name));

/** Rounded to what a histogram can tell. */
export function percentileOf(row: WindowRow | undefined, name: DistributionName, percent: number): number | null {
  const value = row?.distributions.get(name)?.values.percentile(percent) ?? null;
  return value === null ? null : Math.round(value * 1000) / 1000;
}

/** Producers' costs are kept in millionths; what floating point adds to a sum is not theirs. */
export const costOf = (row: WindowRow | undefined): number | null =>
  row === undefined || row.cost_n === 0 ? null : Math.round(row.cost_sum * 1e6) / 1e6;

/** Number, mean and variance, the latter from the histogram and so within its error. */
export function sampleOf(row: WindowRow | undefined, name: DistributionName): Sample {
  const n = countOf(row, name);
  if (n <= 0) return { n: 0, mean: 0, variance: 0 };
  const mean = sumOf(row, name) / n;
  const squares = row?.distributions.get(name)?.values.sumOfSquares ?? 0;
  return { n, mean, variance: Math.max(0, squares / n - mean * mean) };
}

/** The one source of what was asked, or the answer that names the choices; null where there is nothing at all. */
export function takeOnlySource(groups: readonly WindowGroup[]): WindowGroup | null {
  if (groups.length > 1) {
    const sources = groups.map(({ key }) => key);
    throw new ApiError('ambiguous_source', `The id is used by ${groups.length} sources.`, { sources });
  }
  return groups[0] ?? null;
}
