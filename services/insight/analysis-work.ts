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
import { timeRun } from '../analysis/timed-run.ts';
import { workflowPathDefaults } from '../analysis/workflow-critical-path.ts';
import { patternDefaults } from '../analysis/workflow-patterns.ts';
import { timeWorkflow, type WorkflowRuns } from '../analysis/workflow-runs.ts';
import { frameAnswer } from './kept-answer.ts';
import type { PastRuns } from './past-runs.ts';
import { type FoundRun, loadOneRun, loadRecentRuns, type RecentRuns, type RunsWish } from './recent-runs.ts';

/** Newest executions that analyses look at, where nobody asks for others. */
export const defaultRunLimit = 200;

/** What may be asked of the executions of a workflow, or of one of them. */
export interface WorkflowAsk extends RunsWish {
  about: 'workflow';
  analyses: readonly KeptAnalysis[];
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
  analysis: KeptAnalysis | ExecutionAsk['analysis'];
  /** Of dependency graphs. */
  workflowVersion: string;
  source: string;
  refused: string;
  basis: Basis;
  /** JSON. */
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
  return keptAnalyses
    .filter((analysis) => ask.analyses.includes(analysis))
    .flatMap((analysis) =>
      analysis === 'dependency_graph'
        ? graphEachVersion(runs, ask.workflowId)
        : [make(analysis, history.answer(methods[analysis].name), runs, ask.workflowId, '')],
    );
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
  const learned = await pastRuns.learn(reader, executionId, { workflowId, source, limit, nowMs });
  const { past, leftOut } = learned;
  const found =
    ask.analysis === 'eta'
      ? estimateCompletion(execution, past, nowMs)
      : describePath(execution, past, new Map([...learned.children, ...children]), nowMs);
  const thresholds = ask.analysis === 'eta' ? estimateDefaults : workflowPathDefaults;
  const about = { ...found, execution_id: executionId };
  const answer = frameAnswer(ask.analysis, about, { workflowId, source, leftOut, thresholds });
  const { refused, basis } = answer;
  const text = JSON.stringify(answer);
  return [
    { analysis: ask.analysis, workflowVersion: '', source, refused: refused?.message ?? '', basis, text },
  ] satisfies MadeAnswer[];
}

function describePath(
  execution: ExecutionTrace,
  past: WorkflowRuns,
  children: ReadonlyMap<string, ExecutionTrace>,
  nowMs: number,
): object {
  const basis = describeBasis([execution]);
  if (execution.tasks.length === 0) {
    const refused = 'a critical path needs at least 1 task; nothing was told of tasks of this execution';
    return { refused, needed: 1, had: 0, basis };
  }
  const { knowledge } = children.size === 0 ? past : timeWorkflow(past.executions, { children });
  const path = findCriticalPath(timeRun(execution, { ...knowledge, children, nowMs }));
  return { ...path, started_at: new Date(startOf(execution)).toISOString(), basis };
}
