import type { Static } from 'typebox';
import type { ListedExecution } from '../../../clickhouse/queries/listed-executions.ts';
import { type PayloadRow, readPayloads } from '../../../clickhouse/queries/workflow-executions.ts';
import { answers } from '../../../schemas/api/parts.ts';
import {
  TelemetryExecution,
  TelemetryExecutionPath,
  TelemetryExecutions,
  TelemetryExecutionsQuery,
  TelemetryMetrics,
  TelemetryMetricsQuery,
  TelemetryQuery,
  TelemetryTimeline,
  TelemetryWorkflowPath,
} from '../../../schemas/api/telemetry.ts';
import { orNull, readJson, toInstant, toInstantText, toMaybeInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import { type ExecutionsWish, findSource, readPageSkipping } from '../execution-pages.ts';
import type { App, Family, Services } from '../families.ts';
import { loadCourse, type RecordedRun } from '../recorded-run.ts';
import { afterNow, longestRangeDays, parseRange, wholeRange } from '../time-range.ts';
import { extremesOf, failuresOf, meanOf, readWindows, sumOf, takeOnlySource } from '../windows.ts';

/** Telemetry in the shapes of its document: steps instead of tasks, seconds instead of milliseconds, per cent. */
export const telemetry: Family = {
  prefix: '/api/workflows',
  tag: 'telemetry',
  register(app: App, services: Services): void {
    const { nowMs } = services;
    app.get(
      '/executions/:execution_id/timeline',
      {
        schema: {
          summary: 'Timeline of one execution, step by step',
          params: TelemetryExecutionPath,
          querystring: TelemetryQuery,
          response: answers(TelemetryTimeline),
        },
      },
      async ({ params, query, reader }) =>
        describeTimeline(await loadCourse(reader, params.execution_id, query.source)),
    );
    app.get(
      '/executions/:execution_id',
      {
        schema: {
          summary: 'One execution',
          params: TelemetryExecutionPath,
          querystring: TelemetryQuery,
          response: answers(TelemetryExecution),
        },
      },
      async ({ params, query, reader }) =>
        describeExecution(await loadCourse(reader, params.execution_id, query.source)),
    );
    registerList(app, services);
    app.get(
      '/:workflow_id/metrics',
      {
        schema: {
          summary: 'Metrics of a workflow, over everything that is kept unless a range is given',
          params: TelemetryWorkflowPath,
          querystring: TelemetryMetricsQuery,
          response: answers(TelemetryMetrics),
        },
      },
      async ({ params: { workflow_id }, query: { source, ...range }, reader }) => {
        const steps = wholeRange(parseRange(range, `${longestRangeDays}d`, nowMs()));
        const filters = { workflow_id, source };
        const group = takeOnlySource(
          await readWindows(reader, { subject: 'executions', steps, filters, groupBy: 'source', needs: ['extremes'] }),
        );
        if (group === null) throw new ApiError('not_found', 'The workspace has no telemetry of this workflow.');
        const { whole } = group;
        const { min, max } = extremesOf(whole, 'duration');
        const seconds = (ms: number | null) => (ms === null ? null : ms / 1000);
        return {
          total_duration_seconds: sumOf(whole, 'duration') / 1000,
          success_rate: whole.finished === 0 ? 0 : (100 * whole.completed) / whole.finished,
          total_executions: whole.finished,
          successful_executions: whole.completed,
          failed_executions: failuresOf(whole),
          average_duration_seconds: (meanOf(whole, 'duration') ?? 0) / 1000,
          min_duration_seconds: seconds(min),
          max_duration_seconds: seconds(max),
        };
      },
    );
  },
};

/** Of everything that can still be found, however long ago it ran. */
function registerList(app: App, { nowMs, entityRetentionDays }: Services): void {
  app.get(
    '/:workflow_id/executions',
    {
      schema: {
        summary: 'Executions of a workflow, newest first, and how many there are',
        params: TelemetryWorkflowPath,
        querystring: TelemetryExecutionsQuery,
        response: answers(TelemetryExecutions),
      },
    },
    async ({ params: { workflow_id: workflow }, query, reader }) => {
      const { skip, limit, status = '', source: named = '' } = query;
      const toMs = afterNow(nowMs());
      const wish: ExecutionsWish = {
        workflow,
        status,
        source: named,
        fromMs: toMs - entityRetentionDays * 86_400_000,
        toMs,
      };
      const source = await findSource(reader, wish);
      if (source === null) return { items: [], total: 0, skip, limit };
      const found = { ...wish, source };
      const { rows, total } = await readPageSkipping(reader, found, { skip, limit });
      const payloads = await readPayloads(reader, source, rows);
      const payloadOf = new Map(payloads.map((payload) => [payload.execution_id, payload]));
      return { items: rows.map((row) => describeListed(row, payloadOf.get(row.execution_id))), total, skip, limit };
    },
  );
}

function describeListed(
  row: ListedExecution,
  payload: PayloadRow | undefined,
): Static<typeof TelemetryExecutions>['items'][number] {
  return {
    id: row.execution_id,
    workflow_id: row.workflow_id,
    execution_number: row.execution_number,
    status: row.state,
    started_at: toInstantText(row.started_at),
    completed_at: toInstantText(row.ended_at),
    duration: secondsOf(row.duration_ms),
    input_variables: readJson(payload?.input || payload?.variables || ''),
    results: readJson(payload?.output ?? ''),
    created_at: toInstant(Date.parse(row.first_seen_at)),
    updated_at: toInstant(Date.parse(row.last_event_at)),
  };
}

const secondsOf = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

function describeSteps({ tasks }: RecordedRun): Static<typeof TelemetryTimeline>['step_timeline'] {
  return tasks.map((task, at) => {
    const { report, startedMs, durationMs, attempt } = task.counted;
    return {
      step_id: task.taskId,
      step_name: report.task_name || task.taskId,
      step_order: task.stepOrder ?? at + 1,
      status: task.state,
      started_at: toMaybeInstant(startedMs),
      completed_at: toMaybeInstant(task.endedMs),
      duration_seconds: secondsOf(durationMs),
      retry_count: attempt - 1,
      error_message: orNull(report.error_message),
      input_summary: readJson(report.input),
      output_summary: readJson(report.output),
    };
  });
}

function describeTimeline(run: RecordedRun): Static<typeof TelemetryTimeline> {
  const count = (...states: string[]) => run.tasks.filter(({ state }) => states.includes(state)).length;
  return {
    execution_id: run.id,
    workflow_id: run.workflowId,
    status: run.state,
    started_at: toMaybeInstant(run.startedMs),
    completed_at: toMaybeInstant(run.endedMs),
    total_duration_seconds: secondsOf(run.durationMs),
    step_count: run.tasks.length,
    completed_step_count: count('completed'),
    failed_step_count: count('failed', 'timeout'),
    skipped_step_count: count('skipped'),
    step_timeline: describeSteps(run),
    error_message: orNull(run.latest?.error_message ?? ''),
  };
}

function describeExecution(run: RecordedRun): Static<typeof TelemetryExecution> {
  const { latest, events } = run;
  const instants = [...events, ...run.tasks.map(({ counted }) => counted.report)].map((event) => event.event_time_ms);
  return {
    id: run.id,
    workflow_id: run.workflowId,
    execution_number: latest?.execution_number ?? null,
    status: run.state,
    started_at: toMaybeInstant(run.startedMs),
    completed_at: toMaybeInstant(run.endedMs),
    duration: secondsOf(run.durationMs),
    input_variables: readJson(latest?.input || latest?.variables || ''),
    results: readJson(latest?.output ?? ''),
    error_message: orNull(latest?.error_message ?? ''),
    step_executions: run.tasks.map(({ taskId, mapIndex, state, endedMs, counted }) => ({
      id: mapIndex < 0 ? `${run.id}/${taskId}` : `${run.id}/${taskId}/${mapIndex}`,
      execution_id: run.id,
      step_id: taskId,
      status: state,
      started_at: toMaybeInstant(counted.startedMs),
      completed_at: toMaybeInstant(endedMs),
      duration: secondsOf(counted.durationMs),
      retry_count: counted.attempt - 1,
      output_data: readJson(counted.report.output),
    })),
    created_at: toInstant(run.beganMs),
    updated_at: toInstant(Math.max(run.beganMs, ...instants)),
  };
}
