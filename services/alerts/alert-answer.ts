import type { Static } from 'typebox';
import type { AlertAnswer } from '../../schemas/api/alerts.ts';
import type { AlertRecord } from '../../schemas/records.ts';

const instant = (ms: number): string => new Date(ms).toISOString();
const maybeInstant = (ms: number | null | undefined): string | null => (ms == null ? null : instant(ms));

/** A change of an alert as the API and webhooks tell it. */
export function describeAlert(record: AlertRecord): Static<typeof AlertAnswer> {
  return {
    alert_id: record.alert_id,
    notification_id: record.notification_id,
    rule_id: record.rule_id,
    type: alertType(record.rule_id),
    severity: record.severity,
    state: record.state,
    previous_state: record.previous_state ?? null,
    series: record.series,
    source: record.source ?? null,
    subject_kind: record.subject_kind,
    subject_id: record.subject_id,
    workflow_id: record.workflow_id ?? null,
    execution_id: record.execution_id ?? null,
    task_id: record.task_id ?? null,
    orchestrator_id: record.orchestrator_id ?? null,
    metric: record.metric ?? null,
    value: record.value ?? null,
    threshold: record.threshold ?? null,
    score: record.score ?? null,
    baseline_id: record.baseline_id ?? null,
    window_start: maybeInstant(record.window_start),
    window_end: maybeInstant(record.window_end),
    title: record.title,
    description: record.description ?? null,
    recommendations: record.recommendations ?? [],
    labels: record.labels ?? {},
    changed_at: instant(record.event_time),
    first_pending_at: maybeInstant(record.first_pending_at),
    fired_at: maybeInstant(record.fired_at),
    acknowledged_at: maybeInstant(record.acknowledged_at),
    acknowledged_by: record.acknowledged_by ?? null,
    resolved_at: maybeInstant(record.resolved_at),
    silenced_by: record.silenced_by ?? null,
    cause_alert_id: record.cause_alert_id ?? null,
  };
}

/** Rules of tasks that are named like one of workflows carry their family in the id only. */
const alertType = (ruleId: string): string => ruleId.replace(/^TASK_/, '');
