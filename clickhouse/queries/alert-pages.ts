import type { AlertRecord } from '../../schemas/records.ts';
import { aMoment } from '../kept-answers.ts';
import type { Question } from '../question.ts';
import { alertColumns } from './active-alerts.ts';

/** Alerts of a workspace that were open at some time of a range, those that changed last first. */
export interface AlertsAsk {
  states: readonly string[];
  severities: readonly string[];
  rules: readonly string[];
  workflowId: string;
  taskId: string;
  orchestratorId: string;
  subjectId: string;
  fromMs: number;
  toMs: number;
  /** The last alert of the page before. */
  afterMs: number;
  afterId: string;
  limit: number;
}

const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}: Int64}, 'UTC')`;
const anyOf = (column: string, name: string): string =>
  `(empty({${name}: Array(String)}) OR ${column} IN {${name}: Array(String)})`;
const orAny = (column: string, name: string): string => `({${name}: String} = '' OR ${column} = {${name}: String})`;

export const alertsQuestion: Question<AlertsAsk, AlertRecord> = {
  name: 'alerts',
  keepMs: aMoment,
  sql: () => `SELECT ${alertColumns} FROM (
  SELECT * FROM alerts
  WHERE workspace = {workspace: String}
    AND ${anyOf('state', 'states')} AND ${anyOf('severity', 'severities')} AND ${anyOf('rule_id', 'rules')}
    AND ${orAny('workflow_id', 'workflowId')} AND ${orAny('task_id', 'taskId')}
    AND ${orAny('orchestrator_id', 'orchestratorId')} AND ${orAny('subject_id', 'subjectId')}
    AND coalesce(first_pending_at, event_time) < ${instant('toMs')} AND (state != 'resolved' OR event_time >= ${instant('fromMs')})
    AND (event_time, alert_id) < (${instant('afterMs')}, {afterId: String})
  ORDER BY event_time DESC, alert_id DESC
  LIMIT {limit: UInt32}
) ORDER BY event_time DESC, alert_id DESC`,
};

/** As the view of alerts has it; of one alert, planning the view would take longer than finding its newest change. */
export const alertQuestion: Question<{ alertId: string }, AlertRecord> = {
  name: 'alert',
  keepMs: aMoment,
  sql: () => `SELECT ${alertColumns} FROM (
  SELECT * FROM alert_changes FINAL WHERE workspace = {workspace: String} AND alert_id = {alertId: String}
  ORDER BY ver DESC LIMIT 1
)`,
};

/** How an alert came to stand as it does, the newest change last. */
export const alertHistoryQuestion: Question<{ alertId: string; limit: number }, AlertRecord> = {
  name: 'alert_history',
  keepMs: aMoment,
  sql: () => `SELECT ${alertColumns} FROM (
  SELECT * FROM alert_changes FINAL WHERE workspace = {workspace: String} AND alert_id = {alertId: String}
  ORDER BY ver DESC LIMIT {limit: UInt32}
) ORDER BY ver`,
};
