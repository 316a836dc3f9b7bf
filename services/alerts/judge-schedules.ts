import type { OpenRun, RunWindow, ScheduledWorkflow, WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertSubject } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { latestInstantMs } from '../../schemas/events.ts';
import { Throughput, type ThroughputFinding } from './detectors/throughput.ts';
import type { Finding } from './finding.ts';
import { runSeries, unhurriedTypes } from './judge-runs.ts';
import type { Rules } from './rules.ts';
import { ScheduleTimes } from './schedule-times.ts';
import { describeDuration, describeShare, rounded } from './wording.ts';

/** What ought to have begun or ended, and what began unasked. */
const scheduleDefaults = {
  /** An execution is not stuck before this age, whatever is usual. */
  leastAgeMs: 600_000,
  /** Runs that have to be known before the longest of them means anything. */
  leastRuns: 20,
  surgeBelow: 1e-7,
  surgeTimes: 3,
  leastSurge: 10,
  /** Times the most that ever began in one window; and from where it is a surge whatever chance says of bursts. */
  surgeRecords: 1.5,
  plainSurgeRecords: 2.5,
  /** Runs of an hour; where no more may run at once than usual, a surge shows in how long it goes on. */
  leastPooledSurge: 20,
  dropBelow: 1e-7,
  dropShare: 0.25,
  leastExpected: 10,
} as const;

/** What is known of how long a workflow takes. */
export interface UsualRun {
  n: number;
  medianMs: number;
  longestMs: number;
  /** Share of runs longer than this. */
  shareBeyond(ms: number): number;
}

/** Windows are not kept beyond their round, so what is remembered names what it is about. */
type WorkflowNames = Pick<RunWindow, 'workspace' | 'source' | 'workflowId'>;

export type UsualOf = (workspace: string, workflowSeries: string) => UsualRun | null;

const forgottenAfterMs = 14 * 86_400_000;
export class ScheduleJudge {
  readonly #book: Rules;
  readonly #usualOf: UsualOf;
  readonly #times = new ScheduleTimes();
  readonly #starts = new Map<
    string,
    { throughput: Throughput; workflow: WorkflowNames; seenMs: number; isScheduled: boolean }
  >();
  /** Findings of executions that may have to be ended when these have. */
  readonly #openBefore = new Map<string, Finding>();

  constructor(book: Rules, usualOf: UsualOf) {
    this.#book = book;
    this.#usualOf = usualOf;
  }

  *judge(window: WindowInput, orchestratorOf: (run: WorkflowNames) => string): Generator<Finding> {
    const scheduled = new Map(
      window.scheduled.map((one) => [`${one.workspace} ${runSeries({ ...one, taskId: '' })}`, one]),
    );
    for (const workflow of window.scheduled)
      yield* this.#judgeMissing(workflow, window.endMs, orchestratorOf(workflow));
    yield* this.#judgeStarts(window, scheduled, orchestratorOf);
    yield* this.#judgeOpen(window, scheduled, orchestratorOf);
  }

  #start(ruleId: AlertRuleId, series: string, subject: AlertSubject): Finding {
    const rule = this.#book.rule(ruleId, subject.workspace, subject.workflowId, subject.orchestratorId);
    return {
      rule,
      series,
      subject,
      pool: '',
      metric: rule.metric,
      value: null,
      threshold: rule.threshold,
      expected: null,
      score: null,
      effect: null,
      baselineId: '',
      facts: [],
      contributions: 1,
      strength: 'none',
      p: null,
      errorKey: '',
      isIntrinsic: false,
    };
  }

  *#judgeMissing(workflow: ScheduledWorkflow, endMs: number, orchestratorId: string): Generator<Finding> {
    const dueMs = this.#times.nextDue(workflow.cron, workflow.timeZone, workflow.lastStartMs);
    if (dueMs === null) return;
    const series = runSeries({ ...workflow, taskId: '' });
    const finding = this.#start('MISSING_RUN', series, workflowSubject(workflow, orchestratorId));
    const lateMs = endMs - dueMs;
    yield {
      ...finding,
      value: Math.max(0, lateMs),
      strength: lateMs >= finding.rule.threshold ? 'strong' : 'none',
      isIntrinsic: true,
      facts: [
        `It was due at ${new Date(Math.min(dueMs, latestInstantMs)).toISOString()} (${[workflow.cron, workflow.timeZone].join(' ').trim()})`,
        `It last began at ${new Date(workflow.lastStartMs).toISOString()}`,
      ],
    };
  }

  *#judgeStarts(
    window: WindowInput,
    scheduled: ReadonlyMap<string, ScheduledWorkflow>,
    orchestratorOf: (run: WorkflowNames) => string,
  ): Generator<Finding> {
    const begun = new Map<string, number>();
    for (const run of window.runs) {
      if (run.taskId !== '') continue;
      const key = `${run.workspace} ${runSeries(run)}`;
      begun.set(key, run.started);
      const known = this.#starts.get(key);
      const isScheduled = scheduled.has(key);
      if (known === undefined) {
        const { workspace, source, workflowId } = run;
        const workflow = { workspace, source, workflowId };
        this.#starts.set(key, { throughput: new Throughput(), workflow, seenMs: window.endMs, isScheduled });
      } else Object.assign(known, { seenMs: window.endMs, isScheduled });
    }
    for (const [key, known] of this.#starts) {
      if (window.endMs - known.seenMs > forgottenAfterMs) this.#starts.delete(key);
      const found = known.throughput.judge(begun.get(key) ?? 0, window.endMs);
      if (found === null) continue;
      const isSurge = isFarAbove(found);
      const isLongSurge = !isSurge && isLongAbove(found);
      // What does not begin by the clock is told as a missing run.
      const isDrop = !known.isScheduled && isFarBelow(found);
      const isPooled = isDrop || isLongSurge;
      const count = isPooled ? found.pooledCount : found.count;
      const expected = isDrop ? found.pooledLeast : isPooled ? found.pooledExpected : found.expected;
      const finding = this.#start(
        'ANOMALY',
        runSeries({ ...known.workflow, taskId: '' }),
        workflowSubject(known.workflow, orchestratorOf(known.workflow)),
      );
      yield {
        ...finding,
        metric: 'started_count',
        value: count,
        expected,
        threshold: null,
        effect: count / expected,
        strength: isSurge || isPooled ? 'strong' : 'none',
        p: Math.min(found.pHigh, found.pLow, found.pPooledHigh),
        facts: [
          `${rounded(count)} runs began in ${isPooled ? 'an hour' : 'five minutes'}, usual are ${rounded(expected)}`,
        ],
      };
    }
  }

  *#judgeOpen(
    window: WindowInput,
    scheduled: ReadonlyMap<string, ScheduledWorkflow>,
    orchestratorOf: (run: OpenRun) => string,
  ): Generator<Finding> {
    const ended = new Map(this.#openBefore);
    for (const run of window.open) {
      const workflow = runSeries({ ...run, taskId: '' });
      const usual = this.#usualOf(run.workspace, workflow);
      if (usual === null || usual.n < scheduleDefaults.leastRuns) continue;
      const subject = executionSubject(run, orchestratorOf(run));
      const series = `execution:${run.source}/${run.workflowId}/${run.executionId}`;
      const ageMs = window.endMs - run.startedAtMs;
      const findings = [this.#judgeStuck(run, usual, ageMs, window.endMs, series, subject)];
      const plan = scheduled.get(`${run.workspace} ${workflow}`);
      if (plan !== undefined) findings.push(this.#judgeDeadline(plan, run, usual, ageMs, series, subject));
      for (const finding of findings) {
        const name = `${finding.rule.id} ${run.workspace} ${series}`;
        ended.delete(name);
        if (finding.strength !== 'none') this.#openBefore.set(name, finding);
        if (finding.strength !== 'none' || this.#openBefore.has(name)) yield finding;
      }
    }
    for (const [name, finding] of ended) {
      this.#openBefore.delete(name);
      // It is over; told once, and what was said of it no longer holds.
      yield { ...finding, strength: 'none', facts: ['It has ended'] };
    }
  }

  #judgeStuck(
    run: OpenRun,
    usual: UsualRun,
    ageMs: number,
    endMs: number,
    series: string,
    subject: AlertSubject,
  ): Finding {
    const finding = this.#start('EXECUTION_STUCK', series, subject);
    const boundMs = Math.max(scheduleDefaults.leastAgeMs, finding.rule.threshold * usual.longestMs);
    const silentMs = endMs - run.lastEventAtMs;
    // Who waits for a person, a time or another workflow does what it is meant to do.
    const isStuck = ageMs > boundMs && silentMs > usual.medianMs && !unhurriedTypes.has(run.taskType);
    return {
      ...finding,
      value: ageMs,
      threshold: boundMs,
      expected: usual.medianMs,
      effect: ageMs / usual.medianMs,
      strength: isStuck ? 'strong' : 'none',
      facts: [
        `It runs for ${describeDuration(ageMs)}, usual are ${describeDuration(usual.medianMs)}, the longest took ${describeDuration(usual.longestMs)}`,
        ...(run.taskId === '' ? [] : [`It waits for task ${run.taskId}`]),
        `Nothing was heard of it for ${describeDuration(silentMs)}`,
      ],
    };
  }

  #judgeDeadline(
    plan: ScheduledWorkflow,
    run: OpenRun,
    usual: UsualRun,
    ageMs: number,
    series: string,
    subject: AlertSubject,
  ): Finding {
    const finding = this.#start('DEADLINE_MISS_PREDICTED', series, subject);
    const dueMs = this.#times.nextDue(plan.cron, plan.timeZone, run.startedAtMs + 60_000);
    if (dueMs === null) return finding;
    const deadlineMs = dueMs - run.startedAtMs;
    const beyondAge = usual.shareBeyond(ageMs);
    // Older than all that is known, it may end at any time; that it does so in time is then as likely as what is left.
    const probability = beyondAge > 0 ? usual.shareBeyond(deadlineMs) / beyondAge : Math.min(1, ageMs / deadlineMs);
    return {
      ...finding,
      value: probability,
      strength: probability >= finding.rule.threshold && ageMs > usual.medianMs ? 'strong' : 'none',
      facts: [
        `The next run is due ${describeDuration(deadlineMs)} after its start; it runs for ${describeDuration(ageMs)}`,
        `It misses that with a probability of ${describeShare(probability)}`,
      ],
    };
  }
}

function isFarAbove({ count, expected, pHigh, highest }: ThroughputFinding): boolean {
  const { surgeBelow, surgeTimes, leastSurge, surgeRecords, plainSurgeRecords } = scheduleDefaults;
  return (
    count >= leastSurge &&
    count >= surgeTimes * expected &&
    count >= (pHigh < surgeBelow ? surgeRecords : plainSurgeRecords) * highest
  );
}

function isLongAbove({ pooledCount, pooledExpected, pPooledHigh, pooledHighest }: ThroughputFinding): boolean {
  const { surgeBelow, surgeTimes, leastPooledSurge, surgeRecords } = scheduleDefaults;
  return (
    pPooledHigh < surgeBelow &&
    pooledCount >= leastPooledSurge &&
    pooledCount >= surgeTimes * pooledExpected &&
    pooledCount >= surgeRecords * pooledHighest
  );
}

function isFarBelow({ pooledCount, pooledLeast, pLow }: ThroughputFinding): boolean {
  const { dropBelow, dropShare, leastExpected } = scheduleDefaults;
  return pLow < dropBelow && pooledLeast >= leastExpected && pooledCount <= dropShare * pooledLeast;
}

function workflowSubject(names: WorkflowNames, orchestratorId: string): AlertSubject {
  const { workspace, source, workflowId } = names;
  const none = { executionId: '', taskId: '' };
  return { workspace, source, subjectKind: 'workflow', subjectId: workflowId, workflowId, orchestratorId, ...none };
}

function executionSubject(run: OpenRun, orchestratorId: string): AlertSubject {
  const { workspace, source, workflowId, executionId, taskId } = run;
  return {
    workspace,
    source,
    subjectKind: 'execution',
    subjectId: executionId,
    workflowId,
    executionId,
    taskId,
    orchestratorId,
  };
}
