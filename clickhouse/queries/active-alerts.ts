import type { AlertRecord } from '../../schemas/records.ts';
import type { Database } from '../client.ts';

const nullable = (column: string): string => `toUnixTimestamp64Milli(${column}) AS ${column}`;

/** Columns of the view of alerts as an AlertRecord has them. The view is named, because an alias would hide its columns. */
export const alertColumns = `workspace, source, alert_id, notification_id, rule_id, severity, state, previous_state, series, subject_kind,
  subject_id, workflow_id, execution_id, task_id, orchestrator_id, metric, value, threshold, score, baseline_id, title, description,
  recommendations, labels, acknowledged_by, silenced_by, cause_alert_id,
  ${['window_start', 'window_end', 'event_time', 'first_pending_at', 'fired_at', 'acknowledged_at', 'resolved_at'].map(nullable).join(', ')}`;

/** Alerts of all workspaces that fire or are acknowledged, and those that ended not long ago. */
export async function readTellingAlerts(database: Database, endedSinceMs: number): Promise<AlertRecord[]> {
  return await database.rows<AlertRecord>(
    `SELECT ${alertColumns}
     FROM (SELECT * FROM alerts
           WHERE state IN ('firing', 'acknowledged')
              OR (state = 'resolved' AND resolved_at >= fromUnixTimestamp64Milli({since: Int64}, 'UTC')))`,
    { since: endedSinceMs },
  );
}

export interface AlertCount {
  rule: string;
  severity: string;
  state: string;
  isSilenced: boolean;
  alerts: number;
}

/** How many alerts of all workspaces are not resolved. */
export async function countOpenAlerts(database: Database): Promise<AlertCount[]> {
  return await database.rows<AlertCount>(
    `SELECT rule_id AS rule, severity, state, coalesce(silenced_by, '') != '' AS isSilenced, toUInt32(count()) AS alerts
     FROM alerts WHERE state != 'resolved' GROUP BY rule, severity, state, isSilenced`,
  );
}
