import type { Buckets, RunWindow, WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import { bucketValue } from '../../pipelines/histogram.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { ScheduleTimes } from '../../services/alerts/schedule-times.ts';
import { namesCause, type ToldAlert } from './alert-matching.ts';
import { isTold } from './alert-tally.ts';
import type { SimulatedStretch } from './alert-weeks.ts';

/**
 * What one would set up without statistics: a fixed threshold for each measure, or so many standard deviations beyond its mean.
 * Both see the same windows and tell of the same subjects; each measure has the bound, or is left out, that makes
 * both methods as good as they can be on the stretches that they are tuned on.
 */
export const naiveMethods = ['fixed threshold', 'mean plus k sigma'] as const;
export type NaiveMethod = (typeof naiveMethods)[number];

const minuteMs = 60_000;
/** What is measured of each rule, and the fixed bounds that are tried. */
const measures: Record<string, { ruleId: AlertRuleId; bounds: readonly number[] }> = {
  task_ms: { ruleId: 'PERFORMANCE_DEGRADATION', bounds: [1, 5, 10, 30, 60, 120].map((n) => n * minuteMs) },
  task_failures: { ruleId: 'TASK_HIGH_FAILURE_RATE', bounds: [0.1, 0.2, 0.5, 0.8, 0.99] },
  task_wait_ms: { ruleId: 'RESOURCE_CONSTRAINT', bounds: [0.5, 1, 5, 10, 30].map((n) => n * minuteMs) },
  workflow_ms: { ruleId: 'EXCESSIVE_DURATION', bounds: [10, 30, 60, 120, 240].map((n) => n * minuteMs) },
  workflow_failures: { ruleId: 'HIGH_FAILURE_RATE', bounds: [0.2, 0.5, 0.8, 0.99] },
  slots_load: { ruleId: 'CAPACITY_CRITICAL', bounds: [0.8, 0.9, 0.95, 0.99] },
  lost_share: { ruleId: 'CAPACITY_CRITICAL', bounds: [0.05, 0.1, 0.2, 0.3] },
  memory_load: { ruleId: 'RESOURCE_EXHAUSTION', bounds: [0.4, 0.5, 0.6, 0.7, 0.85] },
  queue_size: { ruleId: 'QUEUE_BACKLOG', bounds: [10, 50, 100, 300, 1000] },
  scheduling_ms: { ruleId: 'HIGH_SCHEDULING_LATENCY', bounds: [500, 1000, 2000, 5000] },
  orchestrator_illness: { ruleId: 'ORCHESTRATOR_UNHEALTHY', bounds: [0.1, 0.3, 0.5] },
  worker_illness: { ruleId: 'ANOMALY', bounds: [0.1, 0.3, 0.5] },
  age_ms: { ruleId: 'EXECUTION_STUCK', bounds: [20, 60, 120, 240, 480].map((n) => n * minuteMs) },
  late_ms: { ruleId: 'MISSING_RUN', bounds: [4, 10, 30].map((n) => n * minuteMs) },
};
const sigmaBounds = [3, 4, 5, 6, 8, 12, 20, 40];
/** Windows of a series that its mean and deviation are computed from, before any are compared with it. */
const leastKnown = 50;
const quietWindowsMs = 10 * minuteMs;
const silentMs = 2 * 60 * minuteMs;
const times = new ScheduleTimes();

type Subject = Pick<ToldAlert, 'subjectKind' | 'subjectId'> &
  Partial<Pick<ToldAlert, 'workflowId' | 'taskId' | 'executionId' | 'orchestratorId'>>;

interface Point {
  endMs: number;
  value: number;
  /** Standard deviations above the mean of what was before; minus infinity while too little is known. */
  sigmas: number;
}

/** One measure of one subject, over a stretch. */
export interface NaiveSeries {
  measure: string;
  subject: Subject;
  points: Point[];
  known: { n: number; mean: number; squares: number };
}

export function measureStretch({ windows }: SimulatedStretch): NaiveSeries[] {
  const all = new Map<string, NaiveSeries>();
  for (const window of windows) {
    for (const [measure, subject, value] of measureWindow(window)) {
      const key = `${measure} ${subject.subjectKind} ${subject.subjectId}`;
      const series = all.get(key) ?? { measure, subject, points: [], known: { n: 0, mean: 0, squares: 0 } };
      all.set(key, series);
      addPoint(series, window.endMs, value);
    }
  }
  return [...all.values()];
}

function addPoint({ points, known }: NaiveSeries, endMs: number, value: number): void {
  const deviation = Math.sqrt(known.squares / Math.max(1, known.n - 1));
  // A series that never varied has no deviation to count in; a thousandth of its mean stands for it.
  const least = Math.max(1e-6, 1e-3 * Math.abs(known.mean));
  const sigmas = known.n < leastKnown ? Number.NEGATIVE_INFINITY : (value - known.mean) / Math.max(deviation, least);
  points.push({ endMs, value, sigmas });
  known.n++;
  const before = known.mean;
  known.mean += (value - before) / known.n;
  known.squares += (value - before) * (value - known.mean);
}

type Measured = readonly [measure: string, subject: Subject, value: number];

function* measureWindow({ runs, reports, open, scheduled, endMs }: WindowInput): Generator<Measured> {
  for (const run of runs) yield* measureRun(run);
  for (const { kind, id, orchestratorId, measures: seen } of reports) {
    const subject = { subjectKind: kind, subjectId: id, orchestratorId };
    const { slots_load, memory_load, workers_failed, workers_total, size, health_score } = seen;
    if (kind === 'worker_pool') {
      if (slots_load !== undefined) yield ['slots_load', subject, slots_load];
      if (memory_load !== undefined) yield ['memory_load', subject, memory_load];
      if (workers_total) yield ['lost_share', subject, (workers_failed ?? 0) / workers_total];
    } else if (kind === 'queue' && size !== undefined) yield ['queue_size', subject, size];
    else if (kind === 'worker' && health_score !== undefined) yield ['worker_illness', subject, 1 - health_score];
    else if (kind === 'orchestrator') {
      if (health_score !== undefined) yield ['orchestrator_illness', subject, 1 - health_score];
      if (seen.scheduling_latency_ms_mean !== undefined)
        yield ['scheduling_ms', subject, seen.scheduling_latency_ms_mean];
    }
  }
  for (const { executionId, workflowId, startedAtMs } of open) {
    yield [
      'age_ms',
      { subjectKind: 'execution', subjectId: executionId, executionId, workflowId },
      endMs - startedAtMs,
    ];
  }
  for (const { workflowId, cron, timeZone, lastStartMs } of scheduled) {
    const lateMs = Math.max(0, endMs - (times.nextDue(cron, timeZone, lastStartMs) ?? endMs));
    yield ['late_ms', { subjectKind: 'workflow', subjectId: workflowId, workflowId }, lateMs];
  }
}

function* measureRun({ workflowId, taskId, finished, failures, durations, queues }: RunWindow): Generator<Measured> {
  const isTask = taskId !== '';
  const subject = isTask
    ? { subjectKind: 'task', subjectId: `${workflowId}/${taskId}`, workflowId, taskId }
    : { subjectKind: 'workflow', subjectId: workflowId, workflowId };
  const durationMs = meanMs(durations);
  if (durationMs !== null) yield [isTask ? 'task_ms' : 'workflow_ms', subject, durationMs];
  const waitMs = meanMs(queues);
  if (isTask && waitMs !== null) yield ['task_wait_ms', subject, waitMs];
  if (finished > 0) yield [isTask ? 'task_failures' : 'workflow_failures', subject, failures / finished];
}

function meanMs(buckets: Buckets): number | null {
  let [sum, n] = [0, 0];
  for (const [bucket, count] of Object.entries(buckets)) {
    sum += (bucketValue(Number(bucket)) / 1000) * count;
    n += count;
  }
  return n === 0 ? null : sum / n;
}

/** Which bound each measure has; those without one are left out. */
export type Bounds = ReadonlyMap<string, number>;

export function tellNaively(all: readonly NaiveSeries[], method: NaiveMethod, bounds: Bounds): ToldAlert[] {
  return all.flatMap((series) => {
    const bound = bounds.get(series.measure);
    return bound === undefined ? [] : [...tellSeries(series, method, bound)].filter(isTold);
  });
}

/** One alert for each stretch beyond the bound, as long as no two windows are within it. */
function* tellSeries({ measure, subject, points }: NaiveSeries, method: NaiveMethod, bound: number) {
  let alert: ToldAlert | null = null;
  let beyondMs = 0;
  for (const { endMs, value, sigmas } of points) {
    const isBeyond = (method === 'fixed threshold' ? value : sigmas) > bound;
    if (alert !== null && (endMs - beyondMs > silentMs || (!isBeyond && endMs - beyondMs >= quietWindowsMs))) {
      yield { ...alert, endMs: Math.min(endMs, beyondMs + quietWindowsMs) };
      alert = null;
    }
    if (!isBeyond) continue;
    beyondMs = endMs;
    alert ??= startAlert(measure, subject, endMs);
  }
  if (alert !== null) yield { ...alert, endMs: beyondMs };
}

function startAlert(measure: string, subject: Subject, firedMs: number): ToldAlert {
  return {
    workflowId: '',
    taskId: '',
    orchestratorId: '',
    executionId: '',
    ...subject,
    id: '',
    ruleId: measures[measure]?.ruleId as AlertRuleId,
    effects: '0',
    firedMs,
    endMs: firedMs,
    causeAlertId: null,
    title: '',
    description: '',
  };
}

/** What one bound of one measure would tell of, on the stretches that are tuned on. */
interface Trial {
  measure: string;
  bound: number;
  told: number;
  right: number;
  found: ReadonlySet<string>;
}

/** The bounds with the best harmonic mean of precision and recall; measure after measure, until nothing helps. */
export function tuneBounds(stretches: readonly SimulatedStretch[], method: NaiveMethod): Bounds {
  const measured = stretches.map((stretch) => measureStretch(stretch));
  const visible = stretches.flatMap(({ incidents }) => incidents.filter(({ visibleMs }) => visibleMs !== null)).length;
  const trials = Map.groupBy(
    Object.entries(measures).flatMap(([measure, { bounds }]) =>
      (method === 'fixed threshold' ? bounds : sigmaBounds).map((bound) =>
        tryBound(stretches, measured, method, measure, bound),
      ),
    ),
    ({ measure }) => measure,
  );
  const chosen = new Map<string, Trial>();
  for (let pass = 0; pass < 3; pass++) {
    for (const [measure, candidates] of trials) {
      chosen.delete(measure);
      let best = goodness([...chosen.values()], visible);
      for (const candidate of candidates) {
        const good = goodness([...chosen.values(), candidate].filter(isLastOf), visible);
        if (good > best) {
          best = good;
          chosen.set(measure, candidate);
        }
      }
    }
  }
  return new Map([...chosen].map(([measure, { bound }]) => [measure, bound]));
}

/** Of two trials of one measure the later one counts. */
const isLastOf = ({ measure }: Trial, at: number, all: readonly Trial[]): boolean =>
  all.findLastIndex((other) => other.measure === measure) === at;

function tryBound(
  stretches: readonly SimulatedStretch[],
  measured: readonly (readonly NaiveSeries[])[],
  method: NaiveMethod,
  measure: string,
  bound: number,
): Trial {
  const found = new Set<string>();
  let [told, right] = [0, 0];
  for (const [at, { incidents }] of stretches.entries()) {
    const alerts = tellNaively(measured[at] as NaiveSeries[], method, new Map([[measure, bound]]));
    told += alerts.length;
    for (const alert of alerts) {
      const named = incidents.filter(({ truth }) => namesCause(alert, truth));
      if (named.length > 0) right++;
      for (const { truth } of named) found.add(`${at} ${truth.id}`);
    }
  }
  return { measure, bound, told, right, found };
}

function goodness(trials: readonly Trial[], visible: number): number {
  const told = trials.reduce((sum, trial) => sum + trial.told, 0);
  const right = trials.reduce((sum, trial) => sum + trial.right, 0);
  if (right === 0) return 0;
  const found = new Set(trials.flatMap((trial) => [...trial.found])).size;
  const [precision, recall] = [right / told, found / visible];
  return (2 * precision * recall) / (precision + recall);
}
