import type { Static } from 'typebox';
import type { KeptAnalysis } from '../../../clickhouse/tables/analyses.ts';
import {
  AnalysisQuery,
  AntiPatternsAnswer,
  BottlenecksAnswer,
  BottlenecksQuery,
  CriticalPathAnswer,
  DependencyGraphAnswer,
  EtaAnswer,
  ExecutionPathAnswer,
  GraphQuery,
  PatternsAnswer,
  PredictionAnswer,
  RunAnalysisQuery,
} from '../../../schemas/api/analysis.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { ExecutionPath, WorkflowPath } from '../../../schemas/api/workflow-analytics.ts';
import type { DependencyGraph } from '../../analysis/dependency-graph.ts';
import { compareGraphs } from '../../analysis/graph-difference.ts';
import { pastDefaults } from '../../insight/past-runs.ts';
import { type KeptAnswer, planRuns } from '../analyst.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';

/** Why a workflow is slow: what was computed last, or computed anew. */
export const analysis: Family = {
  prefix: '/api/v1/workflow-analytics',
  tag: 'workflow analytics',
  register(app: App, services: Services): void {
    for (const { path, kind, summary, description, query, answer } of workflowRoutes) {
      const response = answers(answer);
      const schema = { summary, description, params: WorkflowPath, querystring: query, response };
      app.get(`/workflows/:workflow_id/${path}`, { schema }, async ({ params, query: asked, reader, id }) => {
        const runs = planRuns(params.workflow_id, asked, services.nowMs());
        const [found] = await services.analyst.askWorkflow(reader, id, kind, runs);
        // What was computed has the shape of the answer: the same schema describes both.
        return found as KeptAnswer as never;
      });
    }
    registerGraph(app, services);
    registerExecution(app, services);
  },
};

const kept =
  'Answered from what a job computed last of the newest executions; `fresh=true`, another range or another limit compute anew.';

const workflowRoutes: {
  path: string;
  kind: KeptAnalysis;
  summary: string;
  description: string;
  query: typeof AnalysisQuery | typeof BottlenecksQuery;
  answer:
    | typeof CriticalPathAnswer
    | typeof BottlenecksAnswer
    | typeof PatternsAnswer
    | typeof AntiPatternsAnswer
    | typeof PredictionAnswer;
}[] = [
  {
    path: 'critical-path',
    kind: 'critical_path',
    summary: 'What usually holds a workflow up',
    description: `The path that most executions took, how often each task is on it, and what would be gained: recorded executions are played again with the change made. ${kept}`,
    query: AnalysisQuery,
    answer: CriticalPathAnswer,
  },
  {
    path: 'bottlenecks',
    kind: 'bottlenecks',
    summary: 'Tasks that make a workflow slower than it need be',
    description: `A task is one if executions without what is unusual about it would be shorter by a bound that the answer names; a task that is merely long is none. ${kept}`,
    query: BottlenecksQuery,
    answer: BottlenecksAnswer,
  },
  {
    path: 'patterns',
    kind: 'patterns',
    summary: 'What is regular about the executions of a workflow',
    description: `Structures, periods, failures of one kind, resources, joins, trend and variants. ${kept}`,
    query: AnalysisQuery,
    answer: PatternsAnswer,
  },
  {
    path: 'anti-patterns',
    kind: 'anti_patterns',
    summary: 'Habits that make a workflow slow or fragile',
    description: `God workflow, bottleneck cascade, retry storm and resource starvation. ${kept}`,
    query: AnalysisQuery,
    answer: AntiPatternsAnswer,
  },
  {
    path: 'prediction',
    kind: 'prediction',
    summary: 'How long the next execution takes',
    description: `With an interval as wide as the errors that were really made. ${kept}`,
    query: AnalysisQuery,
    answer: PredictionAnswer,
  },
];

function registerGraph(app: App, { analyst, nowMs }: Services): void {
  const schema = {
    summary: 'What waits for what in a workflow, for each version',
    description: `Edges are those that its source told, else read from the times of many executions. ${kept}`,
    params: WorkflowPath,
    querystring: GraphQuery,
    response: answers(DependencyGraphAnswer),
  };
  app.get('/workflows/:workflow_id/dependency-graph', { schema }, async ({ params, query, reader, id }) => {
    const { version, compare_to, ...asked } = query;
    const runs = planRuns(params.workflow_id, asked, nowMs());
    const graphs = await analyst.askWorkflow(reader, id, 'dependency_graph', runs);
    return describeGraph(graphs, version, compare_to) as never;
  });
}

function describeGraph(
  graphs: readonly KeptAnswer[],
  version: string | undefined,
  compareTo: string | undefined,
): Static<typeof DependencyGraphAnswer> {
  const versions = graphs.map((graph) => graph.version as string);
  const choose = (wanted: string) => {
    const found = graphs.find((graph) => graph.version === wanted);
    if (found !== undefined) return found;
    throw new ApiError('not_found', `No execution that was looked at is of version ${wanted}.`, { versions });
  };
  const graph = version === undefined ? graphs[0] : choose(version);
  const before = compareTo === undefined ? null : choose(compareTo);
  const isComparable = before !== null && before.refused === null && graph.refused === null;
  const asGraph = (one: KeptAnswer) => one as unknown as DependencyGraph;
  const difference = isComparable ? compareGraphs(asGraph(before), asGraph(graph)) : null;
  return { ...(graph as unknown as Static<typeof DependencyGraphAnswer>), versions, difference };
}

function registerExecution(app: App, { analyst, nowMs }: Services): void {
  const ask = (executionId: string, asked: { source?: string; limit?: number }) => ({
    executionId,
    source: asked.source ?? '',
    limit: asked.limit ?? pastDefaults.limit,
    nowMs: nowMs(),
  });
  const shared = { params: ExecutionPath, querystring: RunAnalysisQuery };
  const path = {
    ...shared,
    summary: 'What held one execution up',
    description: 'Work and every kind of waiting along the critical path; they sum up to the whole duration.',
    response: answers(ExecutionPathAnswer),
  };
  app.get('/executions/:execution_id/critical-path', { schema: path }, async ({ params, query, reader, id }) => {
    const wish = ask(params.execution_id, query);
    return (await analyst.askExecution(reader, id, { ...wish, analysis: 'execution_path' })) as never;
  });
  const eta = {
    ...shared,
    summary: 'When a running execution will be over',
    description: 'From how earlier executions went on from there; it moves with each task that ends.',
    response: answers(EtaAnswer),
  };
  app.get('/executions/:execution_id/eta', { schema: eta }, async ({ params, query, reader, id }) => {
    const wish = ask(params.execution_id, query);
    return (await analyst.askExecution(reader, id, { ...wish, analysis: 'eta' })) as never;
  });
}
