/**
 * What the evaluator of alerts, the API, receivers and the console agree on. A change of an alert is an AlertRecord
 * (records.ts) on the topic of alerts and a row of `alert_changes`; what people set up are entries of state, in the
 * collections below.
 */

/** From the least to the most urgent. */
export const alertSeverities = ['info', 'warning', 'critical'] as const;
export type AlertSeverity = (typeof alertSeverities)[number];

/** A silence is no state of its own: a silenced alert goes on changing, and nobody is told. */
export const alertStates = ['pending', 'firing', 'acknowledged', 'resolved'] as const;
export type AlertState = (typeof alertStates)[number];

/**
 * What rules watch for. Two of them are named alike in the families of workflows and tasks; `type` in answers is that name,
 * the id tells them apart.
 */
export const alertRuleIds = [
  'EXECUTION_STUCK',
  'EXCESSIVE_DURATION',
  'HIGH_FAILURE_RATE',
  'RESOURCE_EXHAUSTION',
  'PERFORMANCE_DEGRADATION',
  'TASK_HIGH_FAILURE_RATE',
  'RESOURCE_CONSTRAINT',
  'DEPENDENCY_ISSUES',
  'ORCHESTRATOR_UNHEALTHY',
  'CAPACITY_CRITICAL',
  'HIGH_SCHEDULING_LATENCY',
  'QUEUE_BACKLOG',
  'ANOMALY',
  'MISSING_RUN',
  'DEADLINE_MISS_PREDICTED',
] as const;
export type AlertRuleId = (typeof alertRuleIds)[number];

export const alertSubjectKinds = [
  'execution',
  'workflow',
  'task',
  'queue',
  'worker_pool',
  'worker',
  'orchestrator',
] as const;
export type AlertSubjectKind = (typeof alertSubjectKinds)[number];

/** Collections of state that alerts stand on. */
export const alertCollections = {
  /** Key: rule id for a workspace, or rule id, slash, `workflow` or `orchestrator`, slash, its id. Value: AlertRuleSetting. */
  rules: 'alert-rules',
  /** Key: id of the silence. Value: AlertSilence. */
  silences: 'alert-silences',
  /** Key: id of the alert. Value: AlertAcknowledgement. */
  acknowledgements: 'alert-acknowledgements',
  /** Key: id of the subscription. Value: WebhookSubscription. */
  webhooks: 'webhook-subscriptions',
} as const;

/** What a workspace, workflow or orchestrator changes of a rule; what is left out stays as the rule has it. */
export interface AlertRuleSetting {
  enabled?: boolean;
  severity?: AlertSeverity;
  /** In the unit of the rule's threshold. */
  threshold?: number;
  /** What the author takes the rule's metric and its unit to be; a setting that is mistaken about them is refused. */
  metric?: string;
  unit?: string;
  /** How long the condition must hold before the alert fires. */
  for_ms?: number;
  /** Where to read what to do. */
  runbook?: string;
}

/** Everything that is given must match; ids of an alert's subject, rule, or workflow. */
export interface AlertMatcher {
  rule_id?: string;
  severity?: AlertSeverity;
  workflow_id?: string;
  task_id?: string;
  orchestrator_id?: string;
  subject_id?: string;
}

export interface AlertSilence {
  match: AlertMatcher;
  /** Epoch ms. */
  starts_at: number;
  ends_at: number;
  comment: string;
}

export interface AlertAcknowledgement {
  /** Epoch ms. */
  at: number;
  comment: string;
}

/** What webhooks may be told of. */
export const webhookEvents = ['alert.pending', 'alert.firing', 'alert.acknowledged', 'alert.resolved'] as const;

/** Where changes of alerts are sent. */
export interface WebhookSubscription {
  /** What people are shown of the address: scheme, host and port. The rest of it is often as good as a password. */
  target: string;
  /** The whole address and the secret of its signature, closed with the key of the installation: this entry is read by many. */
  sealed: string;
  /** Some of `webhookEvents`, or `alert.*` for all. */
  events: string[];
  match?: AlertMatcher;
  enabled: boolean;
  description?: string;
  /** Epoch ms; of what happened before nobody is told. */
  created_at: number;
}

/** What may be done about an alert; actions are kinds of commands. */
export interface AlertRemedy {
  action: string;
  target: string;
  /** What would be done, for people. */
  description: string;
  parameters: Record<string, string | number | boolean>;
  /** 0 to 1. */
  confidence: number;
  approval_required: boolean;
  /** Whether an orchestrator can be asked for it; otherwise a person must do it. */
  is_command: boolean;
}
