import type { AlertRuleId, AlertSeverity, AlertState, AlertSubjectKind } from '../../schemas/alerts.ts';
import {
  array,
  type Codec,
  columnsOf,
  float64,
  instant,
  map,
  name,
  nullable,
  second,
  type Table,
  text,
  uint32,
  uint64,
} from '../columns.ts';

export const alertVerdicts = ['breach', 'suspect', 'quiet'] as const;
export type AlertVerdict = (typeof alertVerdicts)[number];

/** What an alert is about; empty texts where it is about no such thing. */
export interface AlertSubject {
  workspace: string;
  source: string;
  subjectKind: AlertSubjectKind;
  subjectId: string;
  workflowId: string;
  executionId: string;
  taskId: string;
  orchestratorId: string;
}

/** How a rule found one window of one series. */
export interface JudgementRow extends AlertSubject {
  ruleId: AlertRuleId;
  series: string;
  windowStartMs: number;
  windowEndMs: number;
  /** Contributions of the window when it was judged. */
  ver: number;
  /** End of the newest window when this was judged. */
  roundMs: number;
  ruleVersion: number;
  verdict: AlertVerdict;
  severity: AlertSeverity;
  forMs: number;
  metric: string;
  value: number | null;
  threshold: number | null;
  expected: number | null;
  score: number | null;
  effect: number | null;
  baselineId: string;
  /** Series of the same workspace that explains this one. */
  cause: string;
  facts: readonly string[];
}

const ofJudgement = columnsOf<JudgementRow>();

export const judgementsTable: Table<JudgementRow> = {
  name: 'alert_judgements',
  columns: [
    ofJudgement('workspace', name, (row) => row.workspace),
    ofJudgement('rule_id', name, (row) => row.ruleId),
    ofJudgement('series', text, (row) => row.series),
    ofJudgement('window_start', second, (row) => row.windowStartMs),
    ofJudgement('ver', uint64, (row) => row.ver),
    ofJudgement('window_end', second, (row) => row.windowEndMs),
    ofJudgement('round', second, (row) => row.roundMs),
    ofJudgement('rule_version', uint32, (row) => row.ruleVersion),
    ofJudgement('verdict', name, (row) => row.verdict),
    ofJudgement('severity', name, (row) => row.severity),
    ofJudgement('for_ms', uint32, (row) => row.forMs),
    ofJudgement('source', name, (row) => row.source),
    ofJudgement('subject_kind', name, (row) => row.subjectKind),
    ofJudgement('subject_id', text, (row) => row.subjectId),
    ofJudgement('workflow_id', name, (row) => row.workflowId),
    ofJudgement('execution_id', text, (row) => row.executionId),
    ofJudgement('task_id', name, (row) => row.taskId),
    ofJudgement('orchestrator_id', name, (row) => row.orchestratorId),
    ofJudgement('metric', name, (row) => row.metric),
    ofJudgement('value', nullable(float64), (row) => row.value),
    ofJudgement('threshold', nullable(float64), (row) => row.threshold),
    ofJudgement('expected', nullable(float64), (row) => row.expected),
    ofJudgement('score', nullable(float64), (row) => row.score),
    ofJudgement('effect', nullable(float64), (row) => row.effect),
    ofJudgement('baseline_id', text, (row) => row.baselineId),
    ofJudgement('cause', text, (row) => row.cause),
    ofJudgement('facts', array(text), (row) => row.facts),
  ],
};

/** A window that an evaluator has judged, with all that followed. */
export interface AlertRoundRow {
  shards: number;
  shard: number;
  roundMs: number;
  series: number;
  breaches: number;
  changes: number;
  durationMs: number;
}

const ofRound = columnsOf<AlertRoundRow>();

export const alertRoundsTable: Table<AlertRoundRow> = {
  name: 'alert_rounds',
  columns: [
    ofRound('shards', uint32, (row) => row.shards),
    ofRound('shard', uint32, (row) => row.shard),
    ofRound('round', second, (row) => row.roundMs),
    ofRound('series', uint32, (row) => row.series),
    ofRound('breaches', uint32, (row) => row.breaches),
    ofRound('changes', uint32, (row) => row.changes),
    ofRound('duration_ms', uint32, (row) => row.durationMs),
  ],
};

/** One change of one alert: what an AlertRecord of the topic says, and its number among the changes of its alert. */
export interface AlertChangeRow {
  workspace: string;
  alertId: string;
  ver: number;
  notificationId: string;
  source: string | null;
  ruleId: AlertRuleId;
  ruleVersion: number;
  severity: AlertSeverity;
  state: AlertState;
  previousState: AlertState | null;
  series: string;
  subjectKind: AlertSubjectKind;
  subjectId: string;
  workflowId: string | null;
  executionId: string | null;
  taskId: string | null;
  orchestratorId: string | null;
  metric: string | null;
  value: number | null;
  threshold: number | null;
  score: number | null;
  baselineId: string | null;
  windowStartMs: number | null;
  windowEndMs: number | null;
  windowVersion: number | null;
  title: string;
  description: string | null;
  recommendations: readonly string[];
  labels: Readonly<Record<string, string>>;
  eventTimeMs: number;
  firstPendingAtMs: number | null;
  firedAtMs: number | null;
  acknowledgedAtMs: number | null;
  acknowledgedBy: string | null;
  resolvedAtMs: number | null;
  silencedBy: string | null;
  causeAlertId: string | null;
}

/** Few different texts, any of which may be missing. */
const nullableName: Codec<string | null> = {
  ...nullable(text),
  type: 'LowCardinality(Nullable(String))',
};

const ofChange = columnsOf<AlertChangeRow>();

export const alertChangesTable: Table<AlertChangeRow> = {
  name: 'alert_changes',
  columns: [
    ofChange('workspace', name, (row) => row.workspace),
    ofChange('alert_id', text, (row) => row.alertId),
    ofChange('ver', uint64, (row) => row.ver),
    ofChange('notification_id', text, (row) => row.notificationId),
    ofChange('source', nullableName, (row) => row.source),
    ofChange('rule_id', name, (row) => row.ruleId),
    ofChange('rule_version', uint32, (row) => row.ruleVersion),
    ofChange('severity', name, (row) => row.severity),
    ofChange('state', name, (row) => row.state),
    ofChange('previous_state', nullableName, (row) => row.previousState),
    ofChange('series', text, (row) => row.series),
    ofChange('subject_kind', name, (row) => row.subjectKind),
    ofChange('subject_id', text, (row) => row.subjectId),
    ofChange('workflow_id', nullableName, (row) => row.workflowId),
    ofChange('execution_id', nullable(text), (row) => row.executionId),
    ofChange('task_id', nullableName, (row) => row.taskId),
    ofChange('orchestrator_id', nullableName, (row) => row.orchestratorId),
    ofChange('metric', nullableName, (row) => row.metric),
    ofChange('value', nullable(float64), (row) => row.value),
    ofChange('threshold', nullable(float64), (row) => row.threshold),
    ofChange('score', nullable(float64), (row) => row.score),
    ofChange('baseline_id', nullable(text), (row) => row.baselineId),
    ofChange('window_start', nullable(instant), (row) => row.windowStartMs),
    ofChange('window_end', nullable(instant), (row) => row.windowEndMs),
    ofChange('window_version', nullable(uint64), (row) => row.windowVersion),
    ofChange('title', text, (row) => row.title),
    ofChange('description', nullable(text), (row) => row.description),
    ofChange('recommendations', array(text), (row) => row.recommendations),
    ofChange('labels', map(text, text), (row) => row.labels),
    ofChange('event_time', instant, (row) => row.eventTimeMs),
    ofChange('first_pending_at', nullable(instant), (row) => row.firstPendingAtMs),
    ofChange('fired_at', nullable(instant), (row) => row.firedAtMs),
    ofChange('acknowledged_at', nullable(instant), (row) => row.acknowledgedAtMs),
    ofChange('acknowledged_by', nullable(text), (row) => row.acknowledgedBy),
    ofChange('resolved_at', nullable(instant), (row) => row.resolvedAtMs),
    ofChange('silenced_by', nullable(text), (row) => row.silencedBy),
    ofChange('cause_alert_id', nullable(text), (row) => row.causeAlertId),
  ],
};
