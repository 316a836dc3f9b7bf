import { peerTaskCountsQuestion } from '../../clickhouse/queries/run-traces.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { type KeptAnalysis, keptAnalyses } from '../../clickhouse/tables/analyses.ts';
import { type Analysis, WorkflowHistory } from '../analysis/analysis-answers.ts';
import { antiPatternDefaults } from '../analysis/anti-patterns.ts';
import { type Basis, describeBasis, isRefusal } from '../analysis/basis.ts';
import { bottleneckDefaults } from '../analysis/bottlenecks.ts';
import { estimateCompletion, estimateDefaults } from '../analysis/completion-estimate.ts';
import { findCriticalPath } from '../analysis/critical-path.ts';
import { graphDefaults } from '../analysis/dependency-graph.ts';
import { predictionDefaults } from '../analysis/duration-prediction.ts';
import { type ExecutionTrace, startOf } from '../analysis/execution-trace.ts';
import { groupBy } from '../analysis/robust-statistics.ts';
import { type RunKnowledge, timeRun } from '../analysis/timed-run.ts';
import { workflowPathDefaults } from '../analysis/workflow-critical-path.ts';
import { patternDefaults } from '../analysis/workflow-patterns.ts';
import { frameAnswer } from './kept-answer.ts';
import { loadPast, type PastRuns, pastDefaults } from './past-runs.ts';
import { writePast } from './past-text.ts';
import { type FoundRun, loadOneRun, loadRecentRuns, type RecentRuns, type RunsWish } from './recent-runs.ts';

/** Newest executions that analyses look at, where nobody asks for others. */
export const defaultRunLimit = 200;

/** What the job makes of a workflow: its analyses, and beside them the executions that one of it learns from. */
export type MadeKind = KeptAnalysis | 'past_executions';

/** What may be asked of the executions of a workflow, or of one of them. */
export interface WorkflowAsk extends RunsWish {
  about: 'workflow';
  analyses: readonly MadeKind[];
  /** Bottlenecks: executions from then on, compared with those before. */
  sinceMs: number | null;
}

export interface ExecutionAsk {
  about: 'execution';
  analysis: 'execution_path' | 'eta';
  executionId: string;
  run: FoundRun;
  nowMs: number;
  /** Newest executions of its workflow to learn from. */
  limit: number;
}

export type AnalysisAsk = WorkflowAsk | ExecutionAsk;

/** One answer as it is kept and sent. */
export interface MadeAnswer {
  analysis: MadeKind | ExecutionAsk['analysis'];
  /** Of dependency graphs. */
  workflowVersion: string;
  source: string;
  refused: string;
  basis: Basis;
  /** JSON; of past executions what they teach from. */
  text: string;
}

export function makeAnswers(reader: WorkspaceReader, ask: AnalysisAsk, past: PastRuns): Promise<MadeAnswer[]> {
  return ask.about === 'workflow' ? answerWorkflow(reader, ask) : answerExecution(reader, ask, past);
}

/** How the analyses of the API are called where they answer from files, and what they judge by. */
const methods: Record<KeptAnalysis, { name: Analysis; thresholds: object }> = {
  critical_path: { name: 'critical-path', thresholds: workflowPathDefaults },
  bottlenecks: { name: 'bottlenecks', thresholds: bottleneckDefaults },
  patterns: { name: 'patterns', thresholds: patternDefaults },
  anti_patterns: { name: 'anti-patterns', thresholds: antiPatternDefaults },
  dependency_graph: { name: 'graph', thresholds: graphDefaults },
  prediction: { name: 'predict', thresholds: predictionDefaults },
};

const peerWeeksMs = 14 * 86_400_000;

async function answerWorkflow(reader: WorkspaceReader, ask: WorkflowAsk): Promise<MadeAnswer[]> {
  const runs = await loadRecentRuns(reader, ask);
  const peerAsk = { workflow: ask.workflowId, fromMs: Math.max(0, ask.toMs - peerWeeksMs) };
  const peers = ask.analyses.includes('anti_patterns') ? await reader.ask(peerTaskCountsQuestion, peerAsk) : [];
  const history = historyOf(
    runs.executions,
    runs,
    peers.map(({ tasks }) => tasks),
    ask.sinceMs,
  );
  const made = keptAnalyses
    .filter((analysis) => ask.analyses.includes(analysis))
    .flatMap((analysis) =>
      analysis === 'dependency_graph'
        ? graphEachVersion(runs, ask.workflowId)
        : [make(analysis, history.answer(methods[analysis].name), runs, ask.workflowId, '')],
    );
  return ask.analyses.includes('past_executions') ? [...made, await writeDownPast(reader, runs, ask)] : made;
}

/** More of it takes as long to take apart as the executions take to be read. */
const pastTextMost = 1_000_000;

/** Those that one of them learns from, so that whoever asks about one need not read all others. */
async function writeDownPast(
  reader: WorkspaceReader,
  { source, executions }: RecentRuns,
  { workflowId, toMs, limit }: WorkflowAsk,
): Promise<MadeAnswer> {
  const nowMs = toMs - 1;
  const ended = executions.filter(({ endedAtMs }) => endedAtMs !== null && endedAtMs <= nowMs);
  const isEnough = ended.length >= pastDefaults.limit || executions.length < limit;
  const ask = { workflowId, source, limit: pastDefaults.limit, nowMs };
  const past = isEnough ? ended.slice(-pastDefaults.limit) : (await loadPast(reader, ask)).executions;
  const text = writePast(past);
  const kept = text.length <= pastTextMost ? { past, text } : { past: [], text: '' };
  const about = { analysis: 'past_executions', workflowVersion: '', source, refused: '' } as const;
  return { ...about, basis: describeBasis(kept.past), text: kept.text };
}

const historyOf = (
  own: readonly ExecutionTrace[],
  { children }: RecentRuns,
  peerTaskCounts: readonly number[],
  sinceMs: number | null,
) => new WorkflowHistory({ own, one: null, children, peerTaskCounts, asOfMs: null, sinceMs });

/** The newest version comes first; of too many the newest are enough. */
const versionsMost = 20;

function graphEachVersion(runs: RecentRuns, workflowId: string): MadeAnswer[] {
  const versions = groupBy(runs.executions.toReversed(), ({ workflowVersion }) => workflowVersion);
  if (versions.size === 0) versions.set('', []);
  return [...versions].slice(0, versionsMost).map(([version, own]) => {
    const found = historyOf(own.toReversed(), runs, [], null).answer('graph');
    return make('dependency_graph', isRefusal(found) ? found : { ...found, version }, runs, workflowId, version);
  });
}

function make(
  analysis: KeptAnalysis,
  found: object,
  { source, leftOut }: Pick<RecentRuns, 'source' | 'leftOut'>,
  workflowId: string,
  workflowVersion: string,
): MadeAnswer {
  const frame = { workflowId, source, leftOut, thresholds: methods[analysis].thresholds };
  const answer = frameAnswer(analysis, found, frame);
  const { refused, basis } = answer;
  return { analysis, workflowVersion, source, refused: refused?.message ?? '', basis, text: JSON.stringify(answer) };
}

/** Endings of earlier executions, or what they teach of this one's tasks. */
async function answerExecution(reader: WorkspaceReader, ask: ExecutionAsk, pastRuns: PastRuns): Promise<MadeAnswer[]> {
  const { executionId, run, nowMs, limit } = ask;
  const { source, workflow_id: workflowId } = run.place;
  const { execution, children } = await loadOneRun(reader, executionId, run);
  const past = await pastRuns.learn(reader, executionId, { workflowId, source, limit, nowMs });
  const found =
    ask.analysis === 'eta'
      ? estimateCompletion(execution, past.timed, nowMs)
      : describePath(execution, { ...past.knowledge, children, nowMs });
  const thresholds = ask.analysis === 'eta' ? estimateDefaults : workflowPathDefaults;
  const about = { ...found, execution_id: executionId };
  const answer = frameAnswer(ask.analysis, about, { workflowId, source, leftOut: past.leftOut, thresholds });
  const { refused, basis } = answer;
  const text = JSON.stringify(answer);
  return [
    { analysis: ask.analysis, workflowVersion: '', source, refused: refused?.message ?? '', basis, text },
  ] satisfies MadeAnswer[];
}

function describePath(execution: ExecutionTrace, knowledge: RunKnowledge): object {
  const basis = describeBasis([execution]);
  if (execution.tasks.length === 0) {
    const refused = 'a critical path needs at least 1 task; nothing was told of tasks of this execution';
    return { refused, needed: 1, had: 0, basis };
  }
  const path = findCriticalPath(timeRun(execution, knowledge));
  return { ...path, started_at: new Date(startOf(execution)).toISOString(), basis };
}
