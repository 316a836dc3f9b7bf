import type { Buckets, RunWindow } from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertSubject } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { FailureRate } from './detectors/failure-rate.ts';
import { Level, type LevelFinding } from './detectors/level.ts';
import { RecordExcess } from './detectors/record-excess.ts';
import type { Finding } from './finding.ts';
import type { UsualRun } from './judge-schedules.ts';
import type { EffectiveRule, Rules } from './rules.ts';
import { describeDuration, describeShare, describeTimes } from './wording.ts';

/** Workflows and their tasks: how long they take and wait, and how much of them fails. */
const runDefaults = {
  /** Windows less likely than these are strong, and weak. */
  durationStrong: 1e-4,
  durationWeak: 5e-3,
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
  readonly waits = new RecordExcess(1000);
  readonly failures = new FailureRate();
  /** Windows in a row with longer waits than ever. */
  longWaits = 0;
  version = '';
  versionSinceMs = 0;
  /** Whether its failures were those of something it calls; kept while they last, so that one alert tells of them. */
  dependencyFails = false;
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
    if (run.version !== '' && run.version !== memory.version) {
      if (memory.version !== '') memory.versionSinceMs = endMs;
      memory.version = run.version;
    }
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
    if (run.failures > 0) memory.dependencyFails = isDependencyError(run.error);
    const ruleId =
      subject.subjectKind === 'workflow'
        ? 'HIGH_FAILURE_RATE'
        : memory.dependencyFails
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
    };
  }

  *#judgeDurations({ run, endMs, series, subject, memory }: Ask): Generator<Finding> {
    const season = this.#seasonOf(run, endMs);
    const logs = logsOf(run.durations, season.log);
    if (logs.length === 0) return;
    const found = memory.durations.judge(logs, endMs);
    if (found === null) return;
    const rule = this.#rule(subject.taskId === '' ? 'EXCESSIVE_DURATION' : 'PERFORMANCE_DEGRADATION', subject);
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
  };
}

function describeVersion(memory: RunMemory, endMs: number): string[] {
  const isNew = memory.versionSinceMs > 0 && endMs - memory.versionSinceMs < 6 * 3_600_000;
  return isNew ? [`Version ${memory.version} runs since ${new Date(memory.versionSinceMs).toISOString()}`] : [];
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

/** Errors of what a task calls, rather than of the task itself. */
const dependencyErrors =
  /connection|econn|etimedout|enotfound|unavailable|rate.?limit|too many requests|throttl|bad gateway|gateway timeout|dns|\b(429|502|503|504)\b/i;

const isDependencyError = (error: string): boolean => dependencyErrors.test(error);

/** Errors of an execution that a task started and waited for. */
const isChildError = (error: string): boolean => /^ChildFailed\b/.test(error);
