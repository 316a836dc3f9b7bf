import { type KeptRow, keptAnalysisQuestion } from '../../clickhouse/queries/analyses.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { KeptAnalysis } from '../../clickhouse/tables/analyses.ts';
import { AnalysisFailure } from '../insight/analysis-failure.ts';
import type { AnalysisThreads } from '../insight/analysis-threads.ts';
import { type AnalysisAsk, defaultRunLimit, type ExecutionAsk, type MadeAnswer } from '../insight/analysis-work.ts';
import type { AnswerFrame } from '../insight/kept-answer.ts';
import { findOneRun } from '../insight/recent-runs.ts';
import { toInstant } from './answer-values.ts';
import { ApiError, type ApiErrorCode } from './errors.ts';
import { parseInstantParameter, parseRange, type RangeQuery } from './time-range.ts';

/** An answer with when it was computed; its other members depend on the analysis. */
export type KeptAnswer = AnswerFrame & { computed_at: string; from_store: boolean } & Record<string, unknown>;

interface RunsQuery extends RangeQuery {
  source?: string;
  fresh?: boolean;
  limit?: number;
  since?: string;
}

/** Which executions an answer is to stand on; what was computed last stands on the newest ones. */
export interface PlannedRuns {
  workflowId: string;
  source: string;
  isFresh: boolean;
  fromMs: number;
  toMs: number;
  limit: number;
  sinceMs: number | null;
}

export function planRuns(workflowId: string, query: RunsQuery, nowMs: number): PlannedRuns {
  const { source = '', fresh = false, limit, since, ...range } = query;
  const hasRange = Object.values(range).some((value) => value !== undefined);
  const { fromMs, toMs } = hasRange ? parseRange(range, '7d', nowMs) : { fromMs: 0, toMs: nowMs + 1 };
  const sinceMs = since === undefined ? null : parseInstantParameter(since, 'since', query.time_zone);
  const isFresh = fresh || hasRange || limit !== undefined || sinceMs !== null;
  return { workflowId, source, isFresh, fromMs, toMs, limit: limit ?? defaultRunLimit, sinceMs };
}

/** Answers from what was computed last, or has it computed without holding anybody else up. */
export class Analyst {
  readonly #threads: AnalysisThreads;
  readonly #nowMs: () => number;

  constructor(threads: AnalysisThreads, nowMs: () => number) {
    this.#threads = threads;
    this.#nowMs = nowMs;
  }

  /** One answer; of dependency graphs one for each version, the newest first. */
  async askWorkflow(
    reader: WorkspaceReader,
    requestId: string,
    analysis: KeptAnalysis,
    { isFresh, ...runs }: PlannedRuns,
  ): Promise<KeptAnswer[]> {
    const keptAsk = { workflow: runs.workflowId, analysis, source: runs.source };
    const kept = isFresh ? [] : takeOneSource(await reader.ask(keptAnalysisQuestion, keptAsk));
    if (kept.length > 0) return kept.map(({ answer, computed_at_ms }) => stamp(answer, computed_at_ms, true));
    return await this.#compute(reader, requestId, { about: 'workflow', ...runs, analyses: [analysis] });
  }

  async askExecution(
    reader: WorkspaceReader,
    requestId: string,
    { source, ...ask }: Omit<ExecutionAsk, 'about' | 'run'> & { source: string },
  ): Promise<KeptAnswer> {
    const run = await orApiError(findOneRun(reader, ask.executionId, source));
    const [made] = await this.#compute(reader, requestId, { about: 'execution', ...ask, run });
    return made;
  }

  async #compute({ workspace, note }: WorkspaceReader, requestId: string, ask: AnalysisAsk): Promise<KeptAnswer[]> {
    const made = await orApiError(this.#threads.run({ workspace, requestId, ask }, note));
    return made.map(({ text }: MadeAnswer) => stamp(text, this.#nowMs(), false));
  }
}

async function orApiError<Found>(finding: Promise<Found>): Promise<Found> {
  try {
    return await finding;
  } catch (error) {
    throw error instanceof AnalysisFailure ? toApiError(error) : error;
  }
}

function takeOneSource(rows: readonly KeptRow[]): readonly KeptRow[] {
  const sources = [...new Set(rows.map(({ source }) => source))];
  if (sources.length < 2) return rows;
  throw new ApiError('ambiguous_source', `The id is used by ${sources.length} sources.`, { sources });
}

const stamp = (text: string, computedAtMs: number, from_store: boolean): KeptAnswer => ({
  ...(JSON.parse(text) as AnswerFrame & Record<string, unknown>),
  computed_at: toInstant(computedAtMs),
  from_store,
});

const codes: Record<AnalysisFailure['kind'], ApiErrorCode> = {
  not_found: 'not_found',
  ambiguous_source: 'ambiguous_source',
  too_large: 'too_much_asked',
  timeout: 'analysis_timeout',
  busy: 'analysis_busy',
  closed: 'stopping',
};

const toApiError = ({ kind, message, details }: AnalysisFailure): ApiError =>
  new ApiError(codes[kind], message, details);
