import type { Static } from 'typebox';
import type { RowReader, WorkspaceReader } from '../../../clickhouse/question.ts';
import type { AlertRuleSetting } from '../../../schemas/alerts.ts';
import { BackTestAnswer, BackTestBody, BackTestQuery, backTestBounds, RulePath } from '../../../schemas/api/alerts.ts';
import { answers } from '../../../schemas/api/parts.ts';
import {
  type BackTestResult,
  backTestHistory,
  findDraftProblems,
  type LabelledIncident,
} from '../../alerts/back-test.ts';
import { toInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange } from '../time-range.ts';
import { findRule } from './alert-rules.ts';

/** What a draft of a rule would have told, by the very functions that judge what happens now. */
export const alertBackTests: Family = {
  prefix: '/api/v1',
  tag: 'alerts',
  register(app: App, { nowMs }: Services): void {
    let isBusy = false;
    app.post(
      '/alerts/rules/:rule_id/backtest',
      {
        config: { role: 'operator' },
        schema: {
          summary: 'What a rule would have told in stored history, with what a draft changes of it',
          description:
            'Nothing is set, and nobody is told. The first fifth of the range is learned from. With incidents that are known to have happened it says ' +
            'how right the alerts are, and which threshold would have told of as much with fewer false ones. One at a time.',
          params: RulePath,
          querystring: BackTestQuery,
          body: BackTestBody,
          response: answers(BackTestAnswer),
        },
      },
      async ({ params, query, body, reader }) => {
        const { fromMs, toMs } = parseRange(query, '7d', nowMs());
        const { mostDays } = backTestBounds;
        if (toMs - fromMs > mostDays * 86_400_000)
          throw new ApiError('too_much_asked', `A back-test looks at ${mostDays} days at most.`);
        const rule = findRule(params.rule_id);
        const { incidents = [], ...setting } = body;
        const draft = { workspace: reader.workspace, ruleId: rule.id, setting: setting as AlertRuleSetting };
        const problems = findDraftProblems(draft);
        if (problems.length > 0) throw new ApiError('invalid_request', `body: ${problems.join('; ')}.`, { problems });
        const labelled = incidents.map(readIncident);
        if (isBusy) throw new ApiError('rate_limited', 'Another back-test is under way.');
        isBusy = true;
        try {
          return describe(await backTestHistory(readerOf(reader), { fromMs, toMs }, draft, labelled));
        } finally {
          isBusy = false;
        }
      },
    );
  },
};

/** The bounds of the user that reads hold; it may not set others. */
function readerOf(reader: WorkspaceReader): RowReader {
  const { rows } = reader.named('back_test');
  return { rows: (question, params) => rows(question, params) };
}

type Incident = NonNullable<Static<typeof BackTestBody>['incidents']>[number];

function readIncident({ from, to, workflow_id, task_id, subject_id }: Incident, at: number): LabelledIncident {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  if (!(fromMs < toMs))
    throw new ApiError('invalid_request', `body/incidents/${at}: from and to must be instants, one after the other.`);
  return {
    fromMs,
    toMs,
    ...(workflow_id !== undefined && { workflowId: workflow_id }),
    ...(task_id !== undefined && { taskId: task_id }),
    ...(subject_id !== undefined && { subjectId: subject_id }),
  };
}

function describe(result: BackTestResult): Static<typeof BackTestAnswer> {
  return {
    rule_id: result.ruleId,
    windows: result.windows,
    told_from: toInstant(result.toldFromMs),
    alerts: result.alerts.map((alert) => ({
      alert_id: alert.alertId,
      title: alert.title,
      subject_id: alert.subjectId,
      workflow_id: alert.workflowId,
      task_id: alert.taskId,
      fired_at: toInstant(alert.firedAtMs),
      resolved_at: alert.resolvedAtMs === null ? null : toInstant(alert.resolvedAtMs),
      value: alert.value,
      threshold: alert.threshold,
      is_right: alert.isRight,
    })),
    pages_per_week: result.pagesPerWeek,
    precision: result.precision,
    recall: result.recall,
    suggested_threshold: result.suggestedThreshold,
  };
}
