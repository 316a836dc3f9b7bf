import type { Buckets, RunWindow } from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertSubject } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { FailureRate } from './detectors/failure-rate.ts';
import { Level, type LevelFinding } from './detectors/level.ts';
import { RecordExcess } from './detectors/record-excess.ts';
import { ReleaseTrial, type TrialFinding } from './detectors/release-trial.ts';
import type { Finding } from './finding.ts';
import type { UsualRun } from './judge-schedules.ts';
import type { EffectiveRule, Rules } from './rules.ts';
import { describeDuration, describeShare, describeTimes } from './wording.ts';

/** Workflows and their tasks: how long they take and wait, and how much of them fails. */
const runDefaults = {
  /** Windows less likely than these are strong, and weak. */
  durationStrong: 1e-4,
  durationWeak: 5e-3,
  /** A version is tried by each of its tasks once, window after window. */
  releaseStrong: 1e-6,
  /** What was found stays so for as long as it is this unlikely. */
  releaseWeak: 1e-4,
  failureStrong: 1e-4,
  failureWeak: 1e-2,
  /** Times the usual rate that failures have to reach. */
  failureEffect: 2,
  /** A wait matters from here on, whatever was usual. */
  leastWaitMs: 20_000,
  /** Values older than this do not help a window that holds few. */
  mostAgeMs: 6 * 3_600_000,
} as const;

/** Half of the growth of a bucket: 2 % wide, as the rollups have them. */
const bucketGrowth = Math.log(1.01 / 0.99);
const leastMs = 0.001;
const zeroBucket = -32_768;

/** What is remembered of one workflow or task. */
class RunMemory {
  readonly durations = new Level();
  /** Of tasks; workflows wait for nothing by themselves. */
  waits: RecordExcess | null = null;
  readonly failures = new FailureRate();
  /** Windows in a row with longer waits than ever. */
  longWaits = 0;
  /** The version that what is usual comes from, and a newer one while it is new. */
  version = '';
  trial: ReleaseTrial | null = null;
  /** Failures of something it calls over its own, the older ones counting less: what most of them are, one alert tells of. */
  dependencyFailures = 0;
  failedMs = 0;
}

/** Tasks that wait for people, or for a time or event. */
export const unhurriedTypes: ReadonlySet<string> = new Set(['human', 'wait', 'decision']);

/** Subjects that were not seen for so long are forgotten. */
const forgottenAfterMs = 14 * 86_400_000;

/** What is usual at this hour, as a factor to be taken out; 0 where nothing recurs. */
export type SeasonOf = (run: RunWindow, atMs: number) => { log: number; baselineId: string };

export class RunJudge {
  readonly #book: Rules;
  readonly #seasonOf: SeasonOf;
  readonly #memories = new Map<string, { memory: RunMemory; seenMs: number }>();

  constructor(book: Rules, seasonOf: SeasonOf) {
    this.#book = book;
    this.#seasonOf = seasonOf;
  }

  get size(): number {
    return this.#memories.size;
  }

  *judge(run: RunWindow, endMs: number, orchestratorId: string): Generator<Finding> {
    const series = runSeries(run);
    const memory = this.#remember(`${run.workspace} ${series}`, endMs);
    noteVersion(memory, run.version, endMs);
    const kind = run.taskId === '' ? ('workflow' as const) : ('task' as const);
    const subject: AlertSubject = {
      workspace: run.workspace,
      source: run.source,
      subjectKind: kind,
      subjectId: kind === 'task' ? `${run.workflowId}/${run.taskId}` : run.workflowId,
      workflowId: run.workflowId,
      executionId: '',
      taskId: run.taskId,
      orchestratorId,
    };
    const ask: Ask = { run, endMs, series, subject, memory };
    yield* this.#judgeFailures(ask);
    // How long people take is no matter of performance.
    if (!unhurriedTypes.has(run.taskType)) yield* this.#judgeDurations(ask);
    if (kind === 'task') yield* this.#judgeWaits(ask);
  }

  /** How long the executions of a workflow usually take; null where nothing is known. */
  usualOf(workspace: string, series: string): UsualRun | null {
    return this.#memories.get(`${workspace} ${series}`)?.memory.durations.usual() ?? null;
  }

  forget(nowMs: number): void {
    for (const [series, { seenMs }] of this.#memories) {
      if (nowMs - seenMs > forgottenAfterMs) this.#memories.delete(series);
    }
  }

  #remember(name: string, endMs: number): RunMemory {
    const known = this.#memories.get(name) ?? { memory: new RunMemory(), seenMs: endMs };
    known.seenMs = endMs;
    this.#memories.set(name, known);
    return known.memory;
  }

  #rule(id: AlertRuleId, { workspace, workflowId, orchestratorId }: AlertSubject): EffectiveRule {
    return this.#book.rule(id, workspace, workflowId, orchestratorId);
  }

  *#judgeFailures({ run, endMs, series, subject, memory }: Ask): Generator<Finding> {
    if (run.finished === 0) return;
    const found = memory.failures.judge(run.finished, run.failures, endMs, runDefaults.mostAgeMs);
    const { failureStrong, failureWeak, failureEffect } = runDefaults;
    const ratio = found.failures / found.n;
    noteFailures(memory, run, endMs);
    const ruleId =
      subject.subjectKind === 'workflow'
        ? 'HIGH_FAILURE_RATE'
        : memory.dependencyFailures > 0
          ? 'DEPENDENCY_ISSUES'
          : 'TASK_HIGH_FAILURE_RATE';
    const rule = this.#rule(ruleId, subject);
    const matters = run.failures > 0 && ratio > rule.threshold && found.effect >= failureEffect;
    // What fails because a child failed is told of the child; here it goes on with what is known, and begins nothing.
    const isPlain = found.p < failureStrong && !isChildError(run.error);
    const strength = !matters || found.p >= failureWeak ? 'none' : isPlain ? 'strong' : 'weak';
    const facts = [
      `${found.failures} of ${found.n} ${subject.taskId === '' ? 'executions' : 'attempts'} failed, usual are ${describeShare(found.expected)}`,
    ];
    if (run.error !== '') facts.push(`Most say: ${run.error}`);
    yield {
      ...plain(rule, series, subject, run),
      value: ratio,
      expected: found.expected,
      effect: found.effect,
      facts: [...facts, ...describeVersion(memory, endMs)],
      strength,
      p: found.p,
      errorKey: strength === 'none' ? '' : run.error,
      isTimeout: isOwnTimeout(run.error),
      sinceMs: found.sinceMs,
    };
  }

  *#judgeDurations({ run, endMs, series, subject, memory }: Ask): Generator<Finding> {
    const season = this.#seasonOf(run, endMs);
    const logs = logsOf(run.durations, season.log);
    if (logs.length === 0) return;
    const found = memory.durations.judge(logs, endMs);
    const rule = this.#rule(subject.taskId === '' ? 'EXCESSIVE_DURATION' : 'PERFORMANCE_DEGRADATION', subject);
    // How long a workflow takes depends on what else runs, so a version is tried by its tasks.
    const release = subject.taskId === '' ? null : judgeRelease(memory, run, logs, rule, season.log);
    if (release !== null) {
      yield { ...plain(rule, series, subject, run), baselineId: season.baselineId, ...release };
      return;
    }
    if (found === null) return;
    const expected = found.expected * Math.exp(season.log);
    yield {
      ...plain(rule, series, subject, run),
      ...describeLevel(found, expected, rule, season.baselineId),
      facts: [
        `${describeDuration(expected * found.effect)} over ${found.n} runs, usual are ${describeDuration(expected)}`,
        ...describeVersion(memory, endMs),
        ...describeShift(found),
      ],
    };
  }

  /** Waits depend on what else runs, so they are judged by their records: what was seen before is no news. */
  *#judgeWaits({ run, endMs, series, subject, memory }: Ask): Generator<Finding> {
    const logs = logsOf(run.queues, 0);
    if (logs.length === 0) return;
    const n = logs.reduce((sum, [, count]) => sum + count, 0);
    const waitMs = logs.reduce((sum, [log, count]) => sum + Math.exp(log) * count, 0) / n;
    memory.waits ??= new RecordExcess(1000);
    const found = memory.waits.judge(waitMs, endMs);
    if (found === null) return;
    const rule = this.#rule('RESOURCE_CONSTRAINT', subject);
    const usualMs = Math.max(1, found.high);
    const matters = waitMs >= runDefaults.leastWaitMs && waitMs > rule.threshold * usualMs && found.above > 0.05;
    memory.longWaits = matters ? memory.longWaits + 1 : 0;
    yield {
      ...plain(rule, series, subject, run),
      value: waitMs,
      threshold: Math.max(runDefaults.leastWaitMs, rule.threshold * usualMs),
      expected: usualMs,
      effect: waitMs / usualMs,
      score: found.score,
      p: null,
      strength: memory.longWaits > 3 ? 'strong' : matters && found.above > 1 ? 'weak' : 'none',
      facts: [
        `It waits ${describeDuration(waitMs)} for a slot, usual are up to ${describeDuration(usualMs)}`,
        ...(run.pool === '' ? [] : [`It runs in pool ${run.pool}`]),
      ],
    };
  }
}

interface Ask {
  run: RunWindow;
  endMs: number;
  series: string;
  subject: AlertSubject;
  memory: RunMemory;
}

export function runSeries({ source, workflowId, taskId }: Pick<RunWindow, 'source' | 'workflowId' | 'taskId'>): string {
  return taskId === '' ? `workflow:${source}/${workflowId}` : `task:${source}/${workflowId}/${taskId}`;
}

/** What every finding about the subject begins with. */
function plain(rule: EffectiveRule, series: string, subject: AlertSubject, run: RunWindow) {
  return {
    rule,
    series,
    subject,
    pool: run.pool,
    metric: rule.metric,
    threshold: rule.threshold,
    score: null,
    baselineId: '',
    contributions: run.contributions,
    errorKey: '',
    isIntrinsic: false,
  };
}

function describeLevel(found: LevelFinding, expectedMs: number, rule: EffectiveRule, baselineId: string) {
  const { durationStrong, durationWeak } = runDefaults;
  // What is over shows in the longer looks for a while, so the newest runs have to be slow too.
  const matters = Math.min(found.effect, found.latest) >= rule.threshold;
  const strength: Finding['strength'] =
    !matters || found.pHigh >= durationWeak ? 'none' : found.pHigh < durationStrong ? 'strong' : 'weak';
  return {
    value: expectedMs * found.effect,
    threshold: expectedMs * rule.threshold,
    expected: expectedMs,
    score: found.score,
    effect: found.effect,
    baselineId,
    strength,
    p: found.pHigh,
    sinceMs: found.sinceMs,
  };
}

/** Runs of the version before end while the new one begins, so windows of either come by turns. */
function noteVersion(memory: RunMemory, version: string, endMs: number): void {
  const { trial } = memory;
  if (trial?.isOver(endMs)) {
    if (version === trial.version) memory.version = version;
    memory.trial = null;
  }
  if (version === '' || version === memory.version || version === memory.trial?.version) return;
  const usual = memory.version === '' ? null : memory.durations.describe();
  if (usual === null) memory.version = version;
  else memory.trial = new ReleaseTrial(version, endMs, { ...usual, failureRatio: memory.failures.expected });
}

type ReleaseFinding = Pick<
  Finding,
  'value' | 'threshold' | 'expected' | 'score' | 'effect' | 'strength' | 'p' | 'facts' | 'sinceMs'
>;

/** What a window adds to what is known of a new version; null where that is no worse. */
function judgeRelease(
  { trial, failures, version }: RunMemory,
  run: RunWindow,
  logs: readonly (readonly [number, number])[],
  rule: EffectiveRule,
  season: number,
): ReleaseFinding | null {
  if (trial === null || run.version !== trial.version) return null;
  const found = trial.add(logs, run.finished, run.failures, (...counts) => failures.tail(...counts));
  const { releaseStrong, releaseWeak } = runDefaults;
  const bound = trial.isFound ? releaseWeak : releaseStrong;
  if (found === null || found.p >= bound || found.effect < rule.threshold) return null;
  trial.isFound = true;
  return describeRelease(found, trial, version, rule, season);
}

function describeRelease(
  { n, effect, score, expected }: TrialFinding,
  trial: ReleaseTrial,
  before: string,
  rule: EffectiveRule,
  season: number,
): ReleaseFinding {
  const expectedMs = expected * Math.exp(season);
  return {
    value: expectedMs * effect,
    threshold: expectedMs * rule.threshold,
    expected: expectedMs,
    score,
    effect,
    strength: 'strong',
    // Few are tried, and each once: what may be said falsely is bounded by that.
    p: null,
    sinceMs: trial.beganMs,
    facts: [
      `Version ${trial.version} takes ${describeDuration(expectedMs * effect)} over ${n} runs, version ${before} took ${describeDuration(expectedMs)}`,
      `It runs since ${new Date(trial.beganMs).toISOString()}`,
    ],
  };
}

function describeVersion({ trial }: RunMemory, endMs: number): string[] {
  if (trial === null || endMs - trial.beganMs > 6 * 3_600_000) return [];
  return [`Version ${trial.version} runs since ${new Date(trial.beganMs).toISOString()}`];
}

function describeShift({ shift }: LevelFinding): string[] {
  if (shift === null) return [];
  const { from, to } = shift;
  return [`The level has changed for good, ${describeTimes(to / from)}; ${describeDuration(to)} is the new usual`];
}

/** Logarithms of milliseconds with their counts. */
function logsOf(buckets: Buckets, season: number): [log: number, n: number][] {
  const logs: [number, number][] = [];
  for (const [bucket, n] of Object.entries(buckets)) {
    const number = Number(bucket);
    // What took no time at all was not run, but found in a cache.
    if (n <= 0 || number === zeroBucket) continue;
    const ms = (0.99 * Math.exp(number * bucketGrowth)) / 1000;
    logs.push([Math.log(Math.max(leastMs, ms)) - season, n]);
  }
  return logs;
}

const failureHalfLifeMs = 30 * 60_000;

function noteFailures(memory: RunMemory, { failures, error }: RunWindow, endMs: number): void {
  if (failures === 0) return;
  const left = memory.dependencyFailures * 0.5 ** ((endMs - memory.failedMs) / failureHalfLifeMs);
  memory.dependencyFailures = left + (isDependencyError(error) ? failures : -failures);
  memory.failedMs = endMs;
}

/** Errors of what a task calls, rather than of the task itself. */
const dependencyErrors =
  /connection|econn|etimedout|enotfound|unavailable|rate.?limit|too many requests|throttl|bad gateway|gateway timeout|dns|\b(429|502|503|504)\b/i;

/** The task itself took longer than it may. */
const isOwnTimeout = (error: string): boolean => /^\w*TaskTimeout\b|StartToClose|DeadlineExceeded/.test(error);

const isDependencyError = (error: string): boolean => dependencyErrors.test(error) && !isOwnTimeout(error);

/** Errors of an execution that a task started and waited for. */
const isChildError = (error: string): boolean => /^ChildFailed\b/.test(error);
