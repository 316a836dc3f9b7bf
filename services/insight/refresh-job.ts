import type { Database } from '../../clickhouse/client.ts';
import { type DueWorkflow, listDueWorkflows, storeAnalyses } from '../../clickhouse/queries/analyses.ts';
import { storePastExecutions } from '../../clickhouse/queries/past-executions.ts';
import { type AnalysisRow, type KeptAnalysis, keptAnalyses } from '../../clickhouse/tables/analyses.ts';
import type { PastExecutionsRow } from '../../clickhouse/tables/past-executions.ts';
import { type JobLog, JobTurns } from '../../pipelines/job-turns.ts';
import { describeBasis } from '../analysis/basis.ts';
import { AnalysisFailure } from './analysis-failure.ts';
import type { AnalysisThreads } from './analysis-threads.ts';
import type { MadeAnswer, WorkflowAsk } from './analysis-work.ts';
import type { InsightMetrics } from './insight-metrics.ts';
import { frameAnswer } from './kept-answer.ts';

/** Raised when answers would differ for the same executions: everything is then computed again. */
const analysisMethodVersion = 2;

/** Named points between the steps, where a test may let the process die. */
export type RefreshPoint = 'due' | 'computed' | 'stored';

export interface RefreshJobOptions {
  database: Database;
  threads: AnalysisThreads;
  metrics: InsightMetrics;
  log: JobLog;
  nowMs: () => number;
  /** A workflow is computed again after this time at the soonest, and only if something new was heard of it. */
  refreshMs: number;
  /** Newest executions that are looked at. */
  limit: number;
  /** Tells instances apart, so that they begin with different workflows. */
  instance: number;
  reached?(point: RefreshPoint): void;
}

/** Looking for what is due reads every execution's newest event, so it is done for several workflows at once. */
const dueListed = 32;
const intervalMs = 10_000;

/**
 * Keeps the analyses of every workflow up to date. What is due is told by the rows alone: whatever was computed before
 * the workflow's newest event, the longest ago first. So nothing is remembered between turns, dying anywhere leaves
 * a workflow due, and instances that happen to compute the same one write the same answers, of which one stays.
 */
export class RefreshJob {
  readonly #options: RefreshJobOptions;
  readonly #turns: JobTurns;

  constructor(options: RefreshJobOptions) {
    this.#options = options;
    const { log, metrics } = options;
    this.#turns = new JobTurns({
      name: 'the job of analyses',
      intervalMs,
      log,
      turn: () => this.run(),
      failed: () => metrics.failures.inc(),
    });
  }

  start(): void {
    this.#turns.start();
  }

  async stop(): Promise<void> {
    await this.#turns.stop();
  }

  /** Runs until nothing is due; for a run by hand. */
  async runToEnd(): Promise<void> {
    while (!(await this.run()));
  }

  /** Computes some of the workflows that are due; true when none was. */
  async run(): Promise<boolean> {
    const { database, metrics, nowMs, refreshMs, instance } = this.#options;
    const beforeMs = nowMs() - refreshMs;
    const soonMs = nowMs() - refreshMs / 8;
    const ask = { beforeMs, soonMs: Math.round(soonMs), methodVersion: analysisMethodVersion, limit: dueListed };
    const due = await listDueWorkflows(database, ask);
    metrics.lagSeconds.set(due.length === 0 ? 0 : Math.max(0, (beforeMs - waitingSinceMs(due[0])) / 1000));
    this.#reach('due');
    // A few at a time and each instance from another place on, so that several seldom compute the same.
    const from = due.length === 0 ? 0 : instance % due.length;
    const own = [...due.slice(from), ...due.slice(0, from)].slice(0, Math.ceil(due.length / 4));
    for (const workflow of own) {
      if (this.#turns.isStopped) return true;
      await this.#refresh(workflow);
    }
    return due.length === 0;
  }

  async #refresh(workflow: DueWorkflow): Promise<void> {
    const { database, metrics, nowMs } = this.#options;
    const startedMs = nowMs();
    const made = await this.#compute(workflow, startedMs);
    this.#reach('computed');
    if (made === null) return;
    const computeMs = nowMs() - startedMs;
    const past = made.find(({ analysis }) => analysis === 'past_executions');
    // Before the analyses, which say that nothing of the workflow is due any more.
    if (past !== undefined) await storePastExecutions(database, toPastRow(workflow, past, startedMs));
    await storeAnalyses(
      database,
      made
        .filter((answer) => answer !== past)
        .map((answer) => toRow(workflow, answer, { computeMs, computedAtMs: startedMs })),
    );
    metrics.refreshed.inc();
    metrics.seconds.observe(computeMs / 1000);
    this.#reach('stored');
  }

  /** What cannot be computed is kept as refused, so that it is tried again when its time comes and not at once. */
  async #compute(workflow: DueWorkflow, atMs: number): Promise<MadeAnswer[] | null> {
    const { threads, log, limit } = this.#options;
    const { workspace, source, workflowId } = workflow;
    const runs = { workflowId, source, fromMs: 0, toMs: atMs + 1, limit, sinceMs: null };
    const ask: WorkflowAsk = { about: 'workflow', analyses: [...keptAnalyses, 'past_executions'], ...runs };
    try {
      return await threads.run({ workspace, requestId: 'insight', ask });
    } catch (error) {
      if (!(error instanceof AnalysisFailure) || error.kind === 'closed') throw error;
      log.warn({ workspace, source, workflowId, error: error.message }, 'a workflow could not be analysed');
      return keptAnalyses.map((analysis) => refuse(analysis, workflow, error.message));
    }
  }

  #reach(point: RefreshPoint): void {
    this.#options.reached?.(point);
  }
}

const waitingSinceMs = ({ computedAtMs, lastEventMs }: DueWorkflow): number =>
  computedAtMs === 0 ? lastEventMs : computedAtMs;

function refuse(analysis: KeptAnalysis, { workflowId, source }: DueWorkflow, message: string): MadeAnswer {
  const basis = describeBasis([]);
  const refusal = { refused: message.replace(/\.$/, ''), needed: 1, had: 0, basis };
  const answer = frameAnswer(analysis, refusal, { workflowId, source, leftOut: 0, thresholds: {} });
  return { analysis, workflowVersion: '', source, refused: message, basis, text: JSON.stringify(answer) };
}

const toPastRow = (
  { workspace, source, workflowId, project }: DueWorkflow,
  { basis, text }: MadeAnswer,
  computedAtMs: number,
): PastExecutionsRow => ({
  workspace,
  workflowId,
  source,
  project,
  executions: basis.executions,
  told: text,
  computedAtMs,
});

function toRow(
  { workspace, source, workflowId, project, lastEventMs }: DueWorkflow,
  { analysis, workflowVersion, refused, basis, text }: MadeAnswer,
  { computeMs, computedAtMs }: { computeMs: number; computedAtMs: number },
): AnalysisRow {
  return {
    workspace,
    workflowId,
    source,
    // What else is made of a workflow has a table of its own.
    analysis: analysis as KeptAnalysis,
    workflowVersion,
    project,
    refused,
    executions: basis.executions,
    usableExecutions: basis.usable_executions,
    taskAttempts: basis.task_attempts,
    missingPct: 100 * basis.missing_ratio,
    rangeFromMs: basis.from === null ? 0 : Date.parse(basis.from),
    rangeToMs: basis.to === null ? 0 : Date.parse(basis.to),
    seenUntilMs: lastEventMs,
    methodVersion: analysisMethodVersion,
    computeMs,
    answer: text,
    computedAtMs,
  };
}
