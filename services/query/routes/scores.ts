import { scoresQuestion } from '../../../clickhouse/queries/scores.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { ScoresAnswer, ScoresQuery } from '../../../schemas/api/scores.ts';
import { orNull, toInstant } from '../answer-values.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange } from '../time-range.ts';

/** How unusual finished executions and attempts were, and why. */
export const scores: Family = {
  prefix: '/api/v1',
  tag: 'alerts',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/scores',
      {
        schema: {
          summary: 'How unusual finished executions and task attempts were, the newest first',
          description:
            'What was measured, beside what is usual for the workflow or task at that hour. Ends are scored some minutes later, when nothing more is expected of that time.',
          querystring: ScoresQuery,
          response: answers(ScoresAnswer),
        },
      },
      async ({ query, reader }) => {
        const { fromMs, toMs } = parseRange(query, '24h', nowMs());
        const rows = await reader.ask(scoresQuestion, {
          workflowId: query.workflow_id ?? '',
          taskId: query.task_id ?? '',
          executionId: query.execution_id ?? '',
          measure: query.measure ?? '',
          direction: query.direction ?? '',
          fromMs,
          toMs,
          limit: query.limit,
        });
        return {
          items: rows.map(({ task_id, map_index, workflow_version, ended_at, ...score }) => ({
            ...score,
            task_id: orNull(task_id),
            map_index: map_index < 0 ? null : map_index,
            workflow_version: orNull(workflow_version),
            ended_at: toInstant(Date.parse(ended_at)),
          })),
        };
      },
    );
  },
};
