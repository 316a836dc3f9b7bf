import { aMoment } from '../kept-answers.ts';
import type { GatheredQuestion, Question } from '../question.ts';

/** Rollups by subject and by length of their windows. */
export const subjects = ['executions', 'tasks'] as const;
export type Subject = (typeof subjects)[number];
export const levels = ['1m', '1h', '1d'] as const;
export type Level = (typeof levels)[number];

/** Durations whose distribution the rollups keep. */
export const distributions = ['duration', 'completed_duration', 'other_duration', 'queue', 'attempt_duration'] as const;
export type DistributionName = (typeof distributions)[number];

/** Columns that an answer may be restricted to, or split by. */
export const executionFilters = ['project', 'source', 'workflow_id', 'workflow_version', 'trigger_type'] as const;
export const taskFilters = [
  'project',
  'source',
  'workflow_id',
  'workflow_version',
  'task_id',
  'task_type',
  'pool',
] as const;
export type FilterName = (typeof executionFilters)[number] | (typeof taskFilters)[number];

export const filtersOf: Record<Subject, readonly FilterName[]> = { executions: executionFilters, tasks: taskFilters };

const filterNames = [...new Set<FilterName>([...executionFilters, ...taskFilters])];

/** Where the roll-up job has come to, as epoch seconds: windows from there on are read from finer tables. */
export interface RollupEnds {
  hoursEnd: number;
  daysEnd: number;
}

/** What it was a while ago is as good: it only moves on, and the finer rows beyond it stay. */
export const rollupEndsQuestion: Question<{ subject: Subject }, RollupEnds> = {
  name: 'rollup_ends',
  keepMs: 30_000,
  sql: ({ subject }) => `SELECT toUnixTimestamp(maxIf(boundary, target = '${kindOf(subject)}_hours')) AS hoursEnd,
  toUnixTimestamp(maxIf(boundary, target = '${kindOf(subject)}_days')) AS daysEnd FROM rollup_cursors`,
};

/** What an answer may hold besides how many started and ended; each column takes as long to plan as to read. */
export const windowNeeds = ['cost', 'cpu', 'attempts', 'extremes'] as const;
export type WindowNeed = (typeof windowNeeds)[number];

export interface WindowsAsk extends Partial<Record<FilterName, string>>, RollupEnds {
  subject: Subject;
  level: Level;
  /** Epoch seconds, at windows of the level. */
  from: number;
  to: number;
  /** Where each step begins, in order; the first is not after `from`. */
  starts: readonly number[];
  /** All where it is not said which. */
  counts?: readonly WindowCount[] | undefined;
  distributions: readonly DistributionName[];
  needs: readonly WindowNeed[];
  groupBy: FilterName | null;
  /** Of the groups only so many, those with the most. */
  largest?: LargestGroups | undefined;
}

export interface LargestGroups {
  groups: number;
  by: 'ends' | 'cost';
}

/** The columns of the rollups that a distribution is made of. */
export const partsOf = {
  duration: ['completed_duration_us', 'other_duration_us'],
  completed_duration: ['completed_duration_us'],
  other_duration: ['other_duration_us'],
  queue: ['queue_us'],
  attempt_duration: ['attempt_duration_us'],
} as const satisfies Record<DistributionName, readonly string[]>;
export type DistributionPart = (typeof partsOf)[DistributionName][number];

/** Buckets in order, and how many values each holds. */
export type HistogramColumn = [buckets: number[], counts: number[]];

const countColumns = ['started', 'completed', 'failed', 'cancelled', 'timeout', 'partial', 'retries'] as const;
export type WindowCount = (typeof countColumns)[number];
const needColumns = {
  cost: ['cost_micros_n', 'cost_micros_sum'],
  cpu: ['cpu_us_n', 'cpu_us_sum'],
  attempts: ['attempt_failed', 'attempt_timeout'],
  extremes: [],
} as const satisfies Record<WindowNeed, readonly string[]>;
type NeedColumn = (typeof needColumns)[WindowNeed][number];

/** One step of one group in one table. A step may lie in two tables, and has a row of each. It holds what was asked for. */
export interface WindowSums
  extends Partial<Record<WindowCount | NeedColumn | `${DistributionPart}_sum`, number>>,
    Partial<Record<`${DistributionPart}_${'min' | 'max'}`, number | null>>,
    Partial<Record<`${DistributionPart}_hist`, HistogramColumn>> {
  group_key: string;
  /** Epoch seconds. */
  start: number;
}

const kindOf = (subject: Subject): 'execution' | 'task' => (subject === 'executions' ? 'execution' : 'task');

/** Nothing but sums: whatever is made of them is made of them by whoever asks, for the planning of it would take longest of all. */
function summedColumns({ counts = countColumns, distributions: names, needs }: WindowsAsk): string[] {
  const parts = [...new Set(names.flatMap((name): readonly DistributionPart[] => partsOf[name]))];
  return [
    ...[...counts, ...needs.flatMap((need): readonly string[] => needColumns[need])].map(
      (column) => `sum(w.${column}) AS ${column}`,
    ),
    ...parts.flatMap((part) => [
      `sum(w.${part}_sum) AS ${part}_sum`,
      `sumMap(mapKeys(w.${part}_hist), mapValues(w.${part}_hist)) AS ${part}_hist`,
      ...(needs.includes('extremes') ? [`min(w.${part}_min) AS ${part}_min`, `max(w.${part}_max) AS ${part}_max`] : []),
    ]),
  ];
}

interface Stretch {
  table: 'cells' | 'hours' | 'days';
  from: number;
  to: number;
}

/** Tables from coarse to fine, each from where the coarser one ends: what the roll-up job has not come to is read finer. */
function listStretches({ level, from, to, hoursEnd, daysEnd }: WindowsAsk): Stretch[] {
  const daysTo = level === '1d' ? daysEnd : 0;
  const hoursTo = level === '1m' ? 0 : hoursEnd;
  const stretches: Stretch[] = [
    { table: 'days', from, to: Math.min(to, daysTo) },
    { table: 'hours', from: Math.max(from, daysTo), to: Math.min(to, hoursTo) },
    { table: 'cells', from: Math.max(from, daysTo, hoursTo), to },
  ];
  return stretches.filter((stretch) => stretch.from < stretch.to);
}

/** Equalities for those filters that were given; names come from the list above, values are bound. */
function conditionsOf(ask: WindowsAsk): string {
  return filterNames
    .filter((name) => ask[name] !== undefined && filtersOf[ask.subject].includes(name))
    .map((name) => ` AND w.${name} = {${name}: String}`)
    .join('');
}

/** What rollups of a workflow, or of a task of it, are found by. */
const nameColumns = ['workflow_id', 'task_id'] as const;
const namesOf = (ask: WindowsAsk): readonly (typeof nameColumns)[number][] =>
  nameColumns.filter((name) => ask[name] !== undefined && filtersOf[ask.subject].includes(name));

/**
 * The tables behind the views of rollups, with the columns that are needed: a question that goes through a view is
 * planned with all columns of it, which takes several times as long as the answer.
 */
function sumTable(ask: WindowsAsk, stretch: Stretch): string {
  return `SELECT ${keyOf(ask)} AS group_key, roundDown(toUnixTimestamp(w.window_start), {starts: Array(UInt32)}) AS start,
  ${summedColumns(ask).join(', ')}
${sourceOf(ask, stretch)}
GROUP BY group_key, start`;
}

/** The same of several, whose names stand beside it. */
function sumTableOfNamed(ask: WindowsAsk, stretch: Stretch): string {
  const names = namesOf(ask);
  const others = { ...ask, ...Object.fromEntries(names.map((name) => [name, undefined])) };
  const columns = names.map((name) => `w.${name}`);
  const arrays = names.map((name) => `{${name}s: Array(String)}`);
  const isNamed = names.length === 1 ? `${columns[0]} IN ${arrays[0]}` : `(${columns}) IN arrayZip(${arrays})`;
  return `SELECT ${names.map((name) => `w.${name} AS ${name}`).join(', ')}, ${keyOf(ask)} AS group_key,
  roundDown(toUnixTimestamp(w.window_start), {starts: Array(UInt32)}) AS start, ${summedColumns(ask).join(', ')}
${sourceOf(others, stretch)} AND ${isNamed}
GROUP BY ${columns.join(', ')}, group_key, start`;
}

const keyOf = ({ groupBy }: WindowsAsk): string => (groupBy === null ? "''" : `toString(w.${groupBy})`);

const sourceOf = (ask: WindowsAsk, { table, from, to }: Stretch): string =>
  `FROM ${kindOf(ask.subject)}_${table} AS w FINAL
WHERE w.workspace = {workspace: String} AND w.window_start >= fromUnixTimestamp(${from}) AND w.window_start < fromUnixTimestamp(${to})${conditionsOf(ask)}`;

const sizes: Record<LargestGroups['by'], string> = {
  ends: 'w.completed + w.failed + w.cancelled + w.timeout + w.partial',
  cost: 'w.cost_micros_sum',
};

/** Keys of the largest groups; distributions of all others are not even read. */
function largestKeys(ask: WindowsAsk, { groups, by }: LargestGroups): string {
  const parts = listStretches(ask).map(
    (stretch) =>
      `SELECT ${keyOf(ask)} AS group_key, sum(${sizes[by]}) AS size ${sourceOf(ask, stretch)} GROUP BY group_key`,
  );
  return `SELECT group_key FROM (${parts.join(' UNION ALL ')}) GROUP BY group_key ORDER BY sum(size) DESC, group_key LIMIT ${groups}`;
}

/**
 * Counts and distributions by step, from the rollup of one level and from finer ones where it ends. Steps are given by where
 * they begin, so days of any time zone and months are steps like others.
 */
export const windowsQuestion: Question<WindowsAsk, WindowSums> = {
  name: 'windows',
  keepMs: aMoment,
  sql: (ask) => {
    const sums = listStretches(ask)
      .map((stretch) => sumTable(ask, stretch))
      .join('\nUNION ALL\n');
    if (ask.largest === undefined || sums === '') return sums;
    return `SELECT * FROM (${sums}) WHERE group_key IN (${largestKeys(ask, ask.largest)})`;
  },
};

/** Rollups of one workflow, or of one task of it. */
export const isAboutNamed = (ask: WindowsAsk): boolean => ask.workflow_id !== undefined && ask.largest === undefined;

interface NamedSums extends WindowSums {
  workflow_id: string;
  task_id?: string;
}

export const namedWindowsQuestion: GatheredQuestion<WindowsAsk, NamedSums> = {
  name: 'named_windows',
  keepMs: (_ask, ...answered) => aMoment(...answered),
  sql: ([ask]) =>
    ask === undefined
      ? ''
      : listStretches(ask)
          .map((stretch) => sumTableOfNamed(ask, stretch))
          .join('\nUNION ALL\n'),
  params: (asks) => ({
    ...asks[0],
    ...Object.fromEntries(nameColumns.map((name) => [`${name}s`, asks.map((ask) => ask[name] ?? '')])),
  }),
  alike: (ask) => [namesOf(ask), { ...ask, workflow_id: '', task_id: '' }],
  keyOfAsk: (ask) => JSON.stringify(namesOf(ask).map((name) => ask[name])),
  keyOfRow: ({ workflow_id, task_id }) =>
    JSON.stringify(task_id === undefined ? [workflow_id] : [workflow_id, task_id]),
};

/** Of one workflow or task too, for a size beside something else, which need not be of this second. */
export const windowSizesQuestion: GatheredQuestion<WindowsAsk, NamedSums> = {
  ...namedWindowsQuestion,
  name: 'window_sizes',
  keepMs: 5_000,
};
