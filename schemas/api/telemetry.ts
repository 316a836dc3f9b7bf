import { Type } from 'typebox';
import {
  AnyJson,
  Count,
  closed,
  Id,
  Instant,
  maybeInstant,
  maybeNumber,
  maybeText,
  nullable,
  rangeParameters,
  sourceParameter,
} from './parts.ts';
import { ExecutionStatus } from './workflow-analytics.ts';

/** Telemetry and monitoring, `/api/workflows`: the documented shapes, in seconds and per cent. */

export const TelemetryExecutionPath = Type.Object({ execution_id: Id }, closed);
export const TelemetryWorkflowPath = Type.Object({ workflow_id: Id }, closed);
export const TelemetryQuery = Type.Object(sourceParameter, closed);
export const TelemetryMetricsQuery = Type.Object({ ...rangeParameters, ...sourceParameter }, closed);

export const TelemetryExecutionsQuery = Type.Object(
  {
    ...sourceParameter,
    skip: Type.Integer({
      minimum: 0,
      maximum: 100_000,
      default: 0,
      description: 'executions to leave out, newest first',
    }),
    limit: Type.Integer({ minimum: 1, maximum: 100, default: 10 }),
    status: Type.Optional(ExecutionStatus),
  },
  closed,
);

const stepMembers = {
  step_id: Type.String(),
  status: Type.String({ examples: ['completed'] }),
  started_at: maybeInstant,
  completed_at: maybeInstant,
  retry_count: Count,
};

export const TelemetryTimeline = Type.Object({
  execution_id: Type.String({ examples: ['exec-123'] }),
  workflow_id: Type.String({ examples: ['workflow-456'] }),
  status: Type.String(),
  started_at: maybeInstant,
  completed_at: maybeInstant,
  total_duration_seconds: maybeNumber,
  step_count: Count,
  completed_step_count: Count,
  failed_step_count: Count,
  skipped_step_count: Count,
  step_timeline: Type.Array(
    Type.Object({
      ...stepMembers,
      step_name: Type.String(),
      step_order: Type.Integer(),
      duration_seconds: maybeNumber,
      error_message: maybeText,
      input_summary: AnyJson,
      output_summary: AnyJson,
    }),
  ),
  error_message: maybeText,
});

export const TelemetryMetrics = Type.Object({
  total_duration_seconds: Type.Number(),
  success_rate: Type.Number({ minimum: 0, maximum: 100 }),
  total_executions: Count,
  successful_executions: Count,
  failed_executions: Count,
  average_duration_seconds: Type.Number(),
  min_duration_seconds: maybeNumber,
  max_duration_seconds: maybeNumber,
});

const executionMembers = {
  id: Type.String({ examples: ['exec-001'] }),
  workflow_id: Type.String({ examples: ['workflow-456'] }),
  execution_number: nullable(Type.Integer()),
  status: Type.String({ examples: ['completed'] }),
  started_at: maybeInstant,
  completed_at: maybeInstant,
  duration: nullable(Type.Number({ description: 'seconds' })),
  input_variables: AnyJson,
  results: AnyJson,
  created_at: Instant,
  updated_at: Instant,
};

export const TelemetryExecutions = Type.Object({
  items: Type.Array(Type.Object(executionMembers)),
  total: Count,
  skip: Count,
  limit: Count,
});

export const TelemetryExecution = Type.Object({
  ...executionMembers,
  error_message: maybeText,
  step_executions: Type.Array(
    Type.Object({
      ...stepMembers,
      id: Type.String(),
      execution_id: Type.String(),
      duration: maybeNumber,
      output_data: AnyJson,
    }),
  ),
});
