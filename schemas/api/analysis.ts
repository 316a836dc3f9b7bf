import { Type } from 'typebox';
import {
  closed,
  Instant,
  maybeInstant,
  maybeNumber,
  maybeText,
  nullable,
  rangeParameters,
  sourceParameter,
} from './parts.ts';

/** Why a workflow is slow, `/api/v1/workflow-analytics`: names of the source's dictionaries, and what was added to them. */

const chosenRuns = {
  ...sourceParameter,
  fresh: Type.Optional(Type.Boolean({ description: 'compute anew instead of answering what was computed last' })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1000, description: 'newest executions to look at; computes anew' }),
  ),
  ...rangeParameters,
};

export const AnalysisQuery = Type.Object(chosenRuns, closed);
export const BottlenecksQuery = Type.Object(
  {
    ...chosenRuns,
    since: Type.Optional(
      Type.String({
        maxLength: 40,
        description: 'ISO 8601: compares executions from then on with those before; computes anew',
      }),
    ),
  },
  closed,
);
const version = (description: string) => Type.Optional(Type.String({ maxLength: 512, description }));
export const GraphQuery = Type.Object(
  {
    ...chosenRuns,
    version: version('version of the workflow; that of its newest executions where left out'),
    compare_to: version('another version; the answer says what changed from it'),
  },
  closed,
);
export const RunAnalysisQuery = Type.Object(
  {
    ...sourceParameter,
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: 'newest executions of the workflow to learn from' }),
    ),
  },
  closed,
);

const Names = Type.Array(Type.String());
const Ratio = Type.Number({ description: '0 to 1' });
const Ms = Type.Number({ description: 'milliseconds' });
const maybeMs = nullable(Ms);
const maybeRatio = nullable(Ratio);
const Evidence = Type.Record(Type.String(), Type.Union([Type.Number(), Type.String()]), {
  description: 'the values that the words stand on',
});

const basis = {
  executions: Type.Integer({ description: 'that were looked at' }),
  task_attempts: Type.Integer(),
  from: nullable(Type.String({ description: 'start of the first execution' })),
  to: nullable(Type.String({ description: 'start of the last one' })),
  usable_executions: Type.Integer({ description: 'finished, with a start, an end and tasks' }),
  missing_ratio: Type.Number({ description: 'attempts whose start or end nobody told, of all that ran' }),
};

const frame = {
  workflow_id: Type.String(),
  source: Type.String(),
  computed_at: Instant,
  from_store: Type.Boolean({ description: 'answered from what was computed last' }),
  refused: Type.Union(
    [Type.Object({ message: Type.String(), needed: Type.Integer(), had: Type.Integer() }), Type.Null()],
    { description: 'why there is no answer, where there is too little to stand on' },
  ),
  basis: Type.Object({
    ...basis,
    executions_left_out: Type.Integer({ description: 'newest executions that are too large to be looked at' }),
  }),
  thresholds: Type.Unknown({ description: 'bounds that the answer was judged by, by name' }),
  cut: Type.Record(Type.String(), Type.Integer(), {
    description: 'lists that were too long for an answer, with their whole lengths',
  }),
};

const Opportunity = Type.Object({
  kind: Type.String({ description: 'tasks or iterations' }),
  tasks: Names,
  gain_ms: Ms,
  gain_ratio: Ratio,
  condition: Type.String({ description: 'what has to be true' }),
});

export const CriticalPathAnswer = Type.Object({
  ...frame,
  path: Type.Array(Type.String(), { description: 'the path that most executions took' }),
  path_share: maybeRatio,
  duration: nullable(Type.Number({ description: 'mean of the executions that took it, milliseconds' })),
  median_makespan_ms: maybeMs,
  tasks: Type.Array(
    Type.Object({
      task: Type.String(),
      criticality_index: Type.Number({ description: 'share of the executions that have it on their path' }),
      path_ms: Type.Number({ description: 'mean time on the path, waiting included' }),
      path_ratio: Ratio,
      slack_ms: Ms,
      cruciality: Type.Number({ description: 'rank correlation of its duration with the whole' }),
      gains: Type.Union([
        Type.Array(Type.Object({ faster_ratio: Ratio, gain_ms: Ms, gain_ratio: Ratio })),
        Type.Null(),
      ]),
    }),
  ),
  by_kind: Type.Record(Type.String(), Ms, { description: 'mean time on the path by what it was spent on' }),
  optimization_potential: Type.Union([
    Type.Object({
      replayed: Type.Integer({ description: 'executions that were played again' }),
      without_waiting_ms: Ms,
      without_retries_ms: Ms,
      least_makespan_ms: Ms,
      reducible_ratio: Ratio,
    }),
    Type.Null(),
  ]),
  parallel_opportunities: Type.Array(Opportunity),
});

export const ExecutionPathAnswer = Type.Object({
  ...frame,
  execution_id: Type.String(),
  state: maybeText,
  started_at: maybeInstant,
  path: Names,
  duration: nullable(Type.Number({ description: 'equal to the sum of the segments, milliseconds' })),
  segments: Type.Array(
    Type.Object({
      task: Type.String({ description: 'empty for the execution itself' }),
      map_index: Type.Integer(),
      loop_iteration: nullable(Type.Integer()),
      attempt: nullable(Type.Integer()),
      kind: Type.String(),
      start_ms: Type.Number({ description: 'since the start of the execution' }),
      duration_ms: Ms,
      held_by: Type.Optional(Type.String({ description: 'task whose end made room' })),
    }),
  ),
  by_kind: Type.Record(Type.String(), Ms),
  work_ratio: maybeRatio,
  tasks: Type.Array(
    Type.Object({
      task: Type.String(),
      map_index: Type.Integer(),
      loop_iteration: nullable(Type.Integer()),
      start_ms: Ms,
      duration_ms: Ms,
      slack_ms: Type.Number({ description: 'how much later it could have ended without the execution ending later' }),
      critical: Type.Boolean(),
    }),
  ),
  quality: Type.Union([
    Type.Object({
      tasks: Type.Integer(),
      running: Type.Boolean(),
      dependencies_guessed: Type.Boolean({ description: 'nobody told them; they were read from the times' }),
      tasks_without_end: Type.Integer(),
      clock_skew_ms_max: Ms,
    }),
    Type.Null(),
  ]),
});

export const BottlenecksAnswer = Type.Object({
  ...frame,
  bottlenecks: Type.Array(
    Type.Object({
      task: Type.String(),
      score: Type.Number({ description: 'gain by that of the first bottleneck' }),
      impact: Type.Object({ gain_ms: Ms, gain_ratio: Ratio }),
      reasons: Type.Array(Type.Object({ reason: Type.String(), detail: Type.String(), evidence: Evidence })),
      recommendations: Type.Array(
        Type.Object({ action: Type.String(), detail: Type.String(), expected_gain_ms: Ms, expected_gain_ratio: Ratio }),
      ),
      halved_gain_ms: Ms,
    }),
  ),
  examined: Type.Integer({ description: 'tasks that were looked at' }),
  mean_makespan_ms: maybeMs,
  compared_with: nullable(Type.String({ description: 'earlier executions or other tasks' })),
  baseline: Type.Union([Type.Object(basis), Type.Null()], { description: 'the executions before `since`' }),
});

const Pattern = Type.Object({
  id: Type.String(),
  patternType: Type.String({
    description: 'sequential, parallel, conditional, loop, map_reduce, scatter_gather or saga',
  }),
  tasks: Names,
  split: maybeText,
  join: maybeText,
  confidence: Ratio,
  frequency: Type.Integer({ description: 'executions in which any of its tasks ran' }),
  frequencyRatio: Ratio,
  avgDuration: Ms,
  successRate: Ratio,
  resourceEfficiency: Ratio,
  commonErrors: Type.Array(Type.Object({ type: Type.String(), count: Type.Integer() })),
  optimizationOpportunities: Type.Array(Type.Object({ hint: Type.String(), evidence: Evidence })),
});

export const PatternsAnswer = Type.Object({
  ...frame,
  patterns: Type.Array(Pattern),
  temporal_patterns: Type.Array(
    Type.Object({
      type: Type.String({ description: 'periodic, time_of_day or burst' }),
      description: Type.String(),
      confidence: Ratio,
      period_seconds: Type.Optional(Type.Number()),
      peak_hours: Type.Optional(Type.Array(Type.Integer())),
      evidence: Evidence,
    }),
  ),
  failure_patterns: Type.Array(
    Type.Object({
      task: Type.String(),
      error_type: Type.String(),
      template: Type.String({ description: 'message with numbers and ids masked' }),
      count: Type.Integer(),
      share: Ratio,
      executions: Type.Integer(),
      recovered_ratio: Ratio,
      attempt_ms_median: Ms,
      related: Type.Array(
        Type.Object({
          attribute: Type.String(),
          value: Type.String(),
          lift: Type.Number(),
          p_value: Type.Number(),
        }),
      ),
      first_seen: Instant,
      last_seen: Instant,
    }),
  ),
  resource_patterns: Type.Array(
    Type.Object({
      task: Type.String(),
      attempts: Type.Integer(),
      bound_by: Type.String({ description: 'cpu, io, mixed or unknown' }),
      cpu_cores_median: maybeNumber,
      io_wait_ratio_median: maybeNumber,
      memory_peak_bytes_p99: maybeNumber,
      memory_allocated_bytes: maybeNumber,
      memory_used_ratio: maybeNumber,
      finding: Type.String({ description: 'over_provisioned, near_limit, fits or unknown' }),
      cost_mean: maybeNumber,
    }),
  ),
  dependency_patterns: Type.Array(
    Type.Object({ task: Type.String(), waits_for: Type.String(), share: Ratio, straggling_ms: Ms }),
  ),
  performance_trends: Type.Union([
    Type.Object({
      direction: Type.String({ description: 'improving, degrading, stable or unknown' }),
      change_per_week_ratio: Type.Number(),
      p_value: maybeNumber,
      days: Type.Integer(),
      median_ms_first_day: maybeMs,
      median_ms_last_day: maybeMs,
    }),
    Type.Null(),
  ]),
  variants: Type.Array(
    Type.Object({
      tasks: Names,
      executions: Type.Integer(),
      share: Ratio,
      median_duration_ms: Ms,
      success_rate: Ratio,
    }),
  ),
});

export const AntiPatternsAnswer = Type.Object({
  ...frame,
  anti_patterns: Type.Array(
    Type.Object({
      type: Type.String({ description: 'god_workflow, bottleneck_cascade, retry_storm or resource_starvation' }),
      severity: Type.String(),
      description: Type.String(),
      recommendation: Type.String(),
      tasks: Type.Optional(Names),
      resources: Type.Optional(Names),
      evidence: Evidence,
    }),
  ),
});

const Ends = Type.Object({ from: Type.String(), to: Type.String() });

const GraphDifference = Type.Object({
  from: Type.String({ description: 'version before' }),
  to: Type.String({ description: 'version after' }),
  nodesAdded: Names,
  nodesRemoved: Names,
  edgesAdded: Type.Array(Ends),
  edgesRemoved: Type.Array(Ends),
  durationsChanged: Type.Array(Type.Object({ id: Type.String(), beforeMs: Ms, afterMs: Ms, ratio: Type.Number() })),
  criticalPathMsBefore: Ms,
  criticalPathMsAfter: Ms,
  certain: Type.Boolean({ description: 'edges were told, not inferred' }),
});

export const DependencyGraphAnswer = Type.Object({
  ...frame,
  workflowId: Type.String(),
  version: Type.String(),
  versions: Type.Array(Type.String(), { description: 'versions that have a graph' }),
  nodes: Type.Array(
    Type.Object({
      id: Type.String(),
      taskName: Type.String(),
      taskType: Type.String(),
      avgDuration: Ms,
      medianDuration: Ms,
      variance: Type.Number(),
      criticality: Type.Number({ description: '1 on the critical path, less with more slack' }),
      parallelizable: Type.Boolean(),
      resourceRequirements: Type.Object({ memoryBytes: maybeNumber, cpuCores: maybeNumber }),
      runRatio: Ratio,
      depth: Type.Integer(),
      slackMs: Ms,
    }),
  ),
  edges: Type.Array(
    Type.Object({
      from: Type.String(),
      to: Type.String(),
      dependencyType: Type.String(),
      weight: Type.Number({ description: 'share of the executions with both that tell it or show it' }),
      optional: Type.Boolean(),
      condition: Type.Optional(Type.String()),
      inferred: Type.Boolean(),
    }),
  ),
  criticalPath: Names,
  criticalPathMs: maybeMs,
  parallelizationFactor: maybeNumber,
  maxDepth: nullable(Type.Integer()),
  maxWidth: nullable(Type.Integer()),
  bottlenecks: Type.Array(Type.Object({ id: Type.String(), share: Ratio })),
  cycles: Type.Array(Names),
  inferred: nullable(Type.Boolean({ description: 'edges were read from the times, because nobody told them' })),
  difference: Type.Union([GraphDifference, Type.Null()], { description: 'where `compare_to` asks for it' }),
});

const MsInterval = Type.Array(maybeMs, { minItems: 2, maxItems: 2 });

export const PredictionAnswer = Type.Object({
  ...frame,
  predicted_duration: nullable(Type.Number({ description: 'of the next execution, milliseconds' })),
  confidence_interval: MsInterval,
  interval_level: maybeRatio,
  interval_coverage: nullable(Type.Number({ description: 'share of past executions that such intervals held' })),
  confidence: Type.String({ description: 'low, medium or high' }),
  method: maybeText,
  factors: Type.Array(Type.Object({ name: Type.String(), factor: Type.Number() }), {
    description: 'they multiply the usual duration to the predicted one',
  }),
  usual_duration: maybeMs,
  mean_error_ratio: maybeNumber,
});

export const EtaAnswer = Type.Object({
  ...frame,
  execution_id: Type.String(),
  as_of: maybeInstant,
  eta: maybeInstant,
  remaining_ms: maybeMs,
  remaining_interval_ms: MsInterval,
  elapsed_ms: maybeMs,
  progress_ratio: maybeRatio,
  tasks_over: nullable(Type.Integer()),
  running: Type.Array(Type.Object({ task: Type.String(), age_ms: Ms, stuck_probability: Ratio })),
});
