import type { Static } from 'typebox';
import type { ListedExecution } from '../../../clickhouse/queries/listed-executions.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { ExecutionsAnswer, ExecutionsQuery, WorkflowPath } from '../../../schemas/api/workflow-analytics.ts';
import { orNull, toInstant, toInstantText } from '../answer-values.ts';
import { findSource, readPageBehind } from '../execution-pages.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange, roundUpNow } from '../time-range.ts';

/** Executions of a workflow, newest first, page by page. */
export const executionLists: Family = {
  prefix: '/api/v1/workflow-analytics',
  tag: 'workflow analytics',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/workflows/:workflow_id/executions',
      {
        schema: {
          summary: 'Executions of a workflow, newest first',
          description:
            'By when they were first seen; those that ended in the state that is asked for by when they did. Pages do not ' +
            'shift while executions come in: a cursor names the last one, and the next page begins behind it.',
          params: WorkflowPath,
          querystring: ExecutionsQuery,
          response: answers(ExecutionsAnswer),
        },
      },
      async ({ params: { workflow_id }, query, reader }) => {
        const { status = '', source = '', limit, cursor, ...rest } = query;
        const range = parseRange(rest, '24h', roundUpNow(nowMs()));
        const wish = { workflow: workflow_id, status, source, fromMs: range.fromMs, toMs: range.toMs } as const;
        // Where the cursor comes from, the source was looked up already.
        const only = cursor === undefined ? await findSource(reader, wish) : null;
        const { rows, nextCursor } = await readPageBehind(reader, wish, { cursor, limit });
        return {
          workflowId: workflow_id,
          source: orNull(rows[0]?.source ?? only ?? source),
          range: { from: toInstant(range.fromMs), to: toInstant(range.toMs) },
          items: rows.map(describeListed),
          nextCursor,
        };
      },
    );
  },
};

function describeListed(row: ListedExecution): Static<typeof ExecutionsAnswer>['items'][number] {
  const { error_type: type, error_code: code, error_message: message } = row;
  return {
    id: row.execution_id,
    workflowId: row.workflow_id,
    workflowName: row.workflow_name || row.workflow_id,
    workflowVersion: row.workflow_version,
    source: row.source,
    project: row.project,
    executionNumber: row.execution_number,
    attempt: row.attempts,
    status: {
      state: row.state,
      progress: row.progress_ratio,
      phase: row.phase,
      substatus: orNull(row.substatus),
    },
    trigger: { type: row.trigger_type, source: row.trigger_source, triggeredBy: orNull(row.triggered_by) },
    scheduledTime: toInstantText(row.scheduled_at),
    startTime: toInstantText(row.started_at),
    endTime: toInstantText(row.ended_at),
    duration: row.duration_ms,
    queueTime: row.queue_ms,
    cost: row.cost,
    error: type === '' && code === '' && message === '' ? null : { type, code, message },
    cancelReason: orNull(row.cancel_reason),
    firstSeenTime: toInstant(Date.parse(row.first_seen_at)),
    lastEventTime: toInstant(Date.parse(row.last_event_at)),
  };
}
