import type { AlertChangeRow } from '../../clickhouse/tables/alerts.ts';
import { createProducer, type Kafka, type Producer } from '../../pipelines/kafka.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { encodeAlert } from '../../schemas/wire.ts';

/** Puts changes of alerts on their topic, all changes of an alert in one partition and in order. */
export class Announcer {
  readonly #producer: Producer;
  readonly #topic: string;
  #isConnected = false;

  constructor(kafka: Kafka, topic: string) {
    this.#producer = createProducer(kafka);
    this.#topic = topic;
  }

  async publish(changes: readonly AlertChangeRow[]): Promise<void> {
    if (!this.#isConnected) await this.#producer.connect();
    this.#isConnected = true;
    const messages = changes.map((change) => ({ key: change.alertId, value: encodeAlert(toAlertRecord(change)) }));
    await this.#producer.send({ topic: this.#topic, acks: -1, messages });
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}

export function toAlertRecord(change: AlertChangeRow): AlertRecord {
  return {
    workspace: change.workspace,
    source: change.source,
    alert_id: change.alertId,
    notification_id: change.notificationId,
    rule_id: change.ruleId,
    rule_version: change.ruleVersion % 0x7fffffff,
    severity: change.severity,
    state: change.state,
    previous_state: change.previousState,
    series: change.series,
    subject_kind: change.subjectKind,
    subject_id: change.subjectId,
    workflow_id: change.workflowId,
    execution_id: change.executionId,
    task_id: change.taskId,
    orchestrator_id: change.orchestratorId,
    metric: change.metric,
    value: change.value,
    threshold: change.threshold,
    score: change.score,
    baseline_id: change.baselineId,
    window_start: change.windowStartMs,
    window_end: change.windowEndMs,
    window_version: change.windowVersion,
    title: change.title,
    description: change.description,
    recommendations: [...change.recommendations],
    labels: { ...change.labels },
    event_time: change.eventTimeMs,
    first_pending_at: change.firstPendingAtMs,
    fired_at: change.firedAtMs,
    acknowledged_at: change.acknowledgedAtMs,
    acknowledged_by: change.acknowledgedBy,
    resolved_at: change.resolvedAtMs,
    silenced_by: change.silencedBy,
    cause_alert_id: change.causeAlertId,
  };
}
