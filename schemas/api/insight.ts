import { Type } from 'typebox';
import {
  Change,
  Count,
  closed,
  Instant,
  maybeNumber,
  nullable,
  PercentileMethod,
  Range,
  Reasons,
  rangeParameters,
} from './parts.ts';

/** Execution insight, `/api/v1/workflows`: statistics over all workflows, or one. */

export const InsightQuery = Type.Object(
  { ...rangeParameters, workflow_id: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })) },
  closed,
);

export const StatsAnswer = Type.Object({
  range: Range,
  total_executions: Type.Integer({ description: 'finished in the range' }),
  started_executions: Type.Integer(),
  successful_executions: Type.Integer(),
  failed_executions: Type.Integer({ description: 'failed or timed out' }),
  cancelled_executions: Type.Integer(),
  partial_executions: Type.Integer(),
  success_rate: maybeNumber,
  failure_rate: maybeNumber,
  average_duration_ms: maybeNumber,
  retries: Type.Integer(),
  workflows: Type.Array(
    Type.Object({
      workflow_id: Type.String(),
      total_executions: Type.Integer(),
      success_rate: maybeNumber,
      average_duration_ms: maybeNumber,
      p95_duration_ms: maybeNumber,
    }),
  ),
});

const spread = Type.Object({
  count: Type.Integer(),
  mean_ms: maybeNumber,
  min_ms: maybeNumber,
  max_ms: maybeNumber,
  p50_ms: maybeNumber,
  p90_ms: maybeNumber,
  p95_ms: maybeNumber,
  p99_ms: maybeNumber,
});

export const InsightPerformanceAnswer = Type.Object({
  range: Range,
  percentiles: PercentileMethod,
  duration: spread,
  completed_duration: spread,
  queue: spread,
  tasks: spread,
  slowest_tasks: Type.Array(
    Type.Object({ task_id: Type.String(), count: Type.Integer(), p95_ms: maybeNumber, failure_rate: maybeNumber }),
  ),
});

export const InsightTrendsAnswer = Type.Object({
  range: Range,
  days: Type.Array(
    Type.Object({
      day: Type.String({ format: 'date' }),
      total_executions: nullable(Type.Integer({ description: 'null: no telemetry on that day' })),
      successful_executions: nullable(Type.Integer()),
      failed_executions: nullable(Type.Integer()),
      success_rate: maybeNumber,
      average_duration_ms: maybeNumber,
      p95_duration_ms: maybeNumber,
      cost: maybeNumber,
    }),
  ),
  change: Type.Object({ duration: Change, failure_rate: Change }),
});

export const CostAnswer = Type.Object({
  range: Range,
  total_cost: maybeNumber,
  average_cost: maybeNumber,
  executions_with_cost: Count,
  cpu_ms: maybeNumber,
  workflows: Type.Array(
    Type.Object({ workflow_id: Type.String(), total_cost: maybeNumber, average_cost: maybeNumber, share: maybeNumber }),
  ),
  days: Type.Array(Type.Object({ day: Type.String({ format: 'date' }), cost: maybeNumber })),
  reasons: Reasons,
});

export const MonitoringAnswer = Type.Object({
  range: Range,
  total_executions: Type.Integer(),
  success_rate: maybeNumber,
  failure_rate: maybeNumber,
  average_duration_ms: maybeNumber,
  throughput_per_hour: maybeNumber,
  error_count: Type.Integer({ description: 'executions that failed or timed out' }),
  task_error_count: Type.Integer({ description: 'attempts of tasks that failed or timed out' }),
  trends: Type.Array(
    Type.Object({
      time: Instant,
      executions: nullable(Type.Integer()),
      errors: nullable(Type.Integer()),
      average_duration_ms: maybeNumber,
    }),
  ),
});
