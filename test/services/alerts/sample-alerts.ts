import type { AlertChangeRow } from '../../../clickhouse/tables/alerts.ts';
import type { AlertRecord } from '../../../schemas/records.ts';

let made = 0;

/** A change of an alert as the evaluator tells it; every call is another alert unless it is told which. */
export function sampleAlert(given: Partial<AlertRecord> = {}): AlertRecord {
  made++;
  const eventTimeMs = given.event_time ?? Date.now();
  const alertId = given.alert_id ?? `alert-${made}`;
  const state = given.state ?? 'firing';
  return {
    workspace: 'default',
    source: 'airflow',
    alert_id: alertId,
    notification_id: `${alertId}-${state}`,
    rule_id: 'TASK_HIGH_FAILURE_RATE',
    rule_version: 1,
    severity: 'critical',
    state,
    previous_state: 'pending',
    series: `task airflow/orders_etl/join_orders`,
    subject_kind: 'task',
    subject_id: 'join_orders',
    workflow_id: 'orders_etl',
    task_id: 'join_orders',
    metric: 'failure_ratio',
    value: 0.23,
    threshold: 0.1,
    window_start: eventTimeMs - 300_000,
    window_end: eventTimeMs,
    title: 'Task join_orders failure rate at 23%',
    recommendations: ['Look at the errors of the task.'],
    labels: {},
    event_time: eventTimeMs,
    first_pending_at: eventTimeMs - 60_000,
    fired_at: state === 'pending' ? null : eventTimeMs,
    resolved_at: state === 'resolved' ? eventTimeMs : null,
    ...given,
  };
}

/** The same as a row of the table of changes, as the evaluator writes it. */
export function toChangeRow(record: AlertRecord, ver: number): AlertChangeRow {
  return {
    workspace: record.workspace ?? 'default',
    alertId: record.alert_id,
    ver,
    notificationId: record.notification_id,
    source: record.source ?? null,
    ruleId: record.rule_id as AlertChangeRow['ruleId'],
    ruleVersion: record.rule_version ?? 1,
    severity: record.severity as AlertChangeRow['severity'],
    state: record.state as AlertChangeRow['state'],
    previousState: (record.previous_state ?? null) as AlertChangeRow['previousState'],
    series: record.series,
    subjectKind: record.subject_kind as AlertChangeRow['subjectKind'],
    subjectId: record.subject_id,
    workflowId: record.workflow_id ?? null,
    executionId: record.execution_id ?? null,
    taskId: record.task_id ?? null,
    orchestratorId: record.orchestrator_id ?? null,
    metric: record.metric ?? null,
    value: record.value ?? null,
    threshold: record.threshold ?? null,
    score: record.score ?? null,
    baselineId: record.baseline_id ?? null,
    windowStartMs: record.window_start ?? null,
    windowEndMs: record.window_end ?? null,
    windowVersion: record.window_version ?? null,
    title: record.title,
    description: record.description ?? null,
    recommendations: record.recommendations ?? [],
    labels: record.labels ?? {},
    eventTimeMs: record.event_time,
    firstPendingAtMs: record.first_pending_at ?? null,
    firedAtMs: record.fired_at ?? null,
    acknowledgedAtMs: record.acknowledged_at ?? null,
    acknowledgedBy: record.acknowledged_by ?? null,
    resolvedAtMs: record.resolved_at ?? null,
    silencedBy: record.silenced_by ?? null,
    causeAlertId: record.cause_alert_id ?? null,
  };
}
