import { createHash } from 'node:crypto';
import type { AlertChangeRow, JudgementRow } from '../../clickhouse/tables/alerts.ts';
import {
  type AlertAcknowledgement,
  type AlertMatcher,
  type AlertSeverity,
  type AlertSilence,
  type AlertState,
  alertSeverities,
} from '../../schemas/alerts.ts';
import { describeChange, titleOf } from './announcement.ts';
import { causeName } from './causes.ts';

/**
 * Alerts as a function of what was judged and of what people did about it: the same judgements give the same alerts with the
 * same ids, live, after a restart and in a back-test. Judgements come round by round, a round being the windows that
 * were judged together; time is the end of the round.
 */
const stateDefaults = {
  /** Quiet windows in a row after which an alert is over. */
  quietWindows: 2,
  /** Without any judgement for as long, it is over too: what it was about no longer runs. */
  silentMs: 2 * 3_600_000,
  /** A breach this soon after the end goes on with the same alert. */
  reopenMs: 30 * 60_000,
  /** What an alert explains, from its end on: as long as causes are looked for. */
  explainsMs: 12 * 3_600_000,
  /** Growth of the effect that is told again. */
  escalationTimes: 2,
  /** While nobody acknowledges a critical alert, it is told again. */
  reminderMs: 24 * 3_600_000,
} as const;

/** What people did, by workspace: acknowledgements by alert, silences by id. */
export interface PeopleActs {
  acknowledgements: ReadonlyMap<string, AlertAcknowledgement & { by: string }>;
  silences: ReadonlyMap<string, AlertSilence>;
}

export type ActsOf = (workspace: string) => PeopleActs;

export interface Round {
  roundMs: number;
  judgements: readonly JudgementRow[];
}

interface Alert {
  id: string;
  /** Rule and series, by which judgements find it. */
  name: string;
  state: AlertState;
  changes: number;
  severity: AlertSeverity;
  firstPendingAtMs: number;
  firedAtMs: number | null;
  acknowledgedAtMs: number | null;
  acknowledgedBy: string | null;
  resolvedAtMs: number | null;
  silencedBy: string | null;
  causeAlertId: string | null;
  quiet: number;
  lastJudgedMs: number;
  lastToldMs: number;
  toldEffect: number;
  /** The breach that is told of: the newest one. */
  judgement: JudgementRow;
  /** Other rules and series that it explains. */
  effects: Set<string>;
  toldEffects: number;
}

const none: PeopleActs = { acknowledgements: new Map(), silences: new Map() };

export class AlertMachine {
  readonly #alerts = new Map<string, Alert>();
  readonly #actsOf: ActsOf;

  constructor(actsOf: ActsOf = () => none) {
    this.#actsOf = actsOf;
  }

  /** Alerts that are not over. */
  get open(): number {
    let open = 0;
    for (const { state } of this.#alerts.values()) if (state !== 'resolved') open++;
    return open;
  }

  /** How many alerts stand as they do, by rule and state. */
  count(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { state, judgement } of this.#alerts.values()) {
      const key = `${judgement.ruleId} ${state}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }

  /** Changes of alerts by what was judged in one round. */
  play({ roundMs, judgements }: Round): AlertChangeRow[] {
    const changes: AlertChangeRow[] = [];
    const tell = (alert: Alert, state: AlertState, previous: AlertState | null) =>
      changes.push(this.#change(alert, state, previous, roundMs));
    const ordered = judgements.toSorted(
      (one, other) =>
        one.windowStartMs - other.windowStartMs ||
        Number(one.cause !== '') - Number(other.cause !== '') ||
        (nameOf(one) < nameOf(other) ? -1 : 1),
    );
    for (const judgement of ordered) this.#take(judgement, roundMs, tell);
    for (const alert of this.#alerts.values()) this.#settle(alert, roundMs, tell);
    this.#forget(roundMs);
    return changes;
  }

  #take(judgement: JudgementRow, roundMs: number, tell: Tell): void {
    const name = nameOf(judgement);
    const alert = this.#alerts.get(name);
    if (judgement.verdict === 'quiet') {
      if (alert !== undefined && judgement.windowStartMs > alert.judgement.windowStartMs) {
        alert.quiet++;
        alert.lastJudgedMs = roundMs;
      }
      return;
    }
    if (alert !== undefined && alert.state !== 'resolved') {
      alert.quiet = 0;
      alert.lastJudgedMs = roundMs;
    }
    if (judgement.verdict === 'suspect') return;
    const cause = judgement.cause === '' ? undefined : this.#alerts.get(`${judgement.workspace} ${judgement.cause}`);
    if (cause !== undefined && this.#explains(cause, roundMs)) this.#addEffect(cause, judgement, alert, tell);
    else if (alert === undefined || !this.#goesOn(alert, roundMs)) this.#begin(judgement, roundMs, tell);
    else this.#goOn(alert, judgement, roundMs, tell);
  }

  #explains(cause: Alert, roundMs: number): boolean {
    return cause.resolvedAtMs === null || roundMs - cause.resolvedAtMs <= stateDefaults.explainsMs;
  }

  #goesOn(alert: Alert, roundMs: number): boolean {
    return (
      alert.resolvedAtMs === null ||
      (alert.causeAlertId === null && roundMs - alert.resolvedAtMs <= stateDefaults.reopenMs)
    );
  }

  /** What another alert explains is told with that one; an alert of its own that was too fast is closed by it. */
  #addEffect(cause: Alert, judgement: JudgementRow, own: Alert | undefined, tell: Tell): void {
    cause.effects.add(causeName(judgement));
    if (own === undefined || own.state === 'resolved') return;
    own.causeAlertId = cause.id;
    for (const effect of own.effects) cause.effects.add(effect);
    this.#end(own, judgement.roundMs, tell);
  }

  #begin(judgement: JudgementRow, roundMs: number, tell: Tell): void {
    const alert: Alert = {
      id: hash(judgement.workspace, judgement.ruleId, judgement.series, String(judgement.windowStartMs)),
      name: nameOf(judgement),
      state: 'pending',
      changes: 0,
      severity: judgement.severity,
      firstPendingAtMs: roundMs,
      firedAtMs: null,
      acknowledgedAtMs: null,
      acknowledgedBy: null,
      resolvedAtMs: null,
      silencedBy: null,
      causeAlertId: null,
      quiet: 0,
      lastJudgedMs: roundMs,
      lastToldMs: roundMs,
      toldEffect: 0,
      judgement,
      effects: new Set(),
      toldEffects: 0,
    };
    this.#alerts.set(alert.name, alert);
    if (judgement.forMs === 0) this.#fire(alert, null, roundMs, tell);
    else tell(alert, 'pending', null);
  }

  #goOn(alert: Alert, judgement: JudgementRow, roundMs: number, tell: Tell): void {
    const isWorse = rank(judgement.severity) > rank(alert.severity);
    // A window that was judged again, long after, says how bad it was, and calls nobody.
    if (judgement.windowStartMs >= alert.judgement.windowStartMs) alert.judgement = judgement;
    if (isWorse) alert.severity = judgement.severity;
    alert.quiet = 0;
    alert.lastJudgedMs = roundMs;
    if (alert.state === 'resolved') {
      alert.resolvedAtMs = null;
      this.#fire(alert, 'resolved', roundMs, tell);
    } else if (alert.state === 'pending') {
      if (roundMs - alert.firstPendingAtMs >= judgement.forMs) this.#fire(alert, 'pending', roundMs, tell);
    } else if (isWorse || Math.abs(judgement.effect ?? 0) >= stateDefaults.escalationTimes * alert.toldEffect) {
      this.#fire(alert, alert.state, roundMs, tell);
    } else if (
      alert.state === 'firing' &&
      alert.severity === 'critical' &&
      roundMs - alert.lastToldMs >= stateDefaults.reminderMs
    ) {
      this.#fire(alert, 'firing', roundMs, tell);
    }
  }

  #fire(alert: Alert, previous: AlertState | null, roundMs: number, tell: Tell): void {
    alert.state = 'firing';
    alert.firedAtMs ??= roundMs;
    alert.acknowledgedAtMs = null;
    alert.acknowledgedBy = null;
    alert.lastToldMs = roundMs;
    // An effect of nothing would be doubled by anything.
    alert.toldEffect = Math.max(Math.abs(alert.judgement.effect ?? 0), 1);
    alert.silencedBy = this.#findSilence(alert, roundMs);
    tell(alert, 'firing', previous);
  }

  #end(alert: Alert, roundMs: number, tell: Tell): void {
    const previous = alert.state;
    alert.state = 'resolved';
    alert.resolvedAtMs = roundMs;
    tell(alert, 'resolved', previous);
  }

  /** What time and people do to an alert. */
  #settle(alert: Alert, roundMs: number, tell: Tell): void {
    if (alert.state === 'resolved') return;
    const { quietWindows, silentMs } = stateDefaults;
    const isOver = alert.quiet >= quietWindows || roundMs - alert.lastJudgedMs >= silentMs;
    if (isOver) this.#end(alert, roundMs, tell);
    else if (alert.state !== 'pending') this.#obey(alert, roundMs, tell);
  }

  #obey(alert: Alert, roundMs: number, tell: Tell): void {
    const acts = this.#actsOf(alert.judgement.workspace);
    const taken = acts.acknowledgements.get(alert.id);
    if (alert.state === 'firing' && taken !== undefined && taken.at <= roundMs && taken.at > alert.lastToldMs - 1) {
      alert.state = 'acknowledged';
      alert.acknowledgedAtMs = taken.at;
      alert.acknowledgedBy = taken.by;
      tell(alert, 'acknowledged', 'firing');
    }
    const silence = this.#findSilence(alert, roundMs);
    if (alert.silencedBy !== null && silence === null && alert.state === 'firing') {
      this.#fire(alert, 'firing', roundMs, tell);
    }
    alert.silencedBy = silence;
  }

  #findSilence({ judgement }: Alert, roundMs: number): string | null {
    for (const [id, silence] of this.#actsOf(judgement.workspace).silences) {
      if (silence.starts_at <= roundMs && roundMs < silence.ends_at && matches(silence.match, judgement)) return id;
    }
    return null;
  }

  /** What is over and explains nothing any more. */
  #forget(roundMs: number): void {
    for (const [name, { resolvedAtMs }] of this.#alerts) {
      if (resolvedAtMs !== null && roundMs - resolvedAtMs > stateDefaults.explainsMs) this.#alerts.delete(name);
    }
  }

  #change(alert: Alert, state: AlertState, previousState: AlertState | null, roundMs: number): AlertChangeRow {
    const { judgement } = alert;
    alert.changes++;
    alert.toldEffects = alert.effects.size;
    const text = (value: string) => (value === '' ? null : value);
    return {
      workspace: judgement.workspace,
      alertId: alert.id,
      ver: alert.changes,
      notificationId: hash(judgement.workspace, judgement.ruleId, judgement.series, String(roundMs), state),
      source: text(judgement.source),
      ruleId: judgement.ruleId,
      ruleVersion: judgement.ruleVersion,
      severity: alert.severity,
      state,
      previousState,
      series: judgement.series,
      subjectKind: judgement.subjectKind,
      subjectId: judgement.subjectId,
      workflowId: text(judgement.workflowId),
      executionId: text(judgement.executionId),
      taskId: text(judgement.taskId),
      orchestratorId: text(judgement.orchestratorId),
      metric: text(judgement.metric),
      value: judgement.value,
      threshold: judgement.threshold,
      score: judgement.score,
      baselineId: text(judgement.baselineId),
      windowStartMs: judgement.windowStartMs,
      windowEndMs: judgement.windowEndMs,
      windowVersion: judgement.ver,
      title: titleOf(judgement),
      ...describeChange(judgement, alert.effects),
      eventTimeMs: roundMs,
      firstPendingAtMs: alert.firstPendingAtMs,
      firedAtMs: alert.firedAtMs,
      acknowledgedAtMs: alert.acknowledgedAtMs,
      acknowledgedBy: alert.acknowledgedBy,
      resolvedAtMs: alert.resolvedAtMs,
      silencedBy: alert.silencedBy,
      causeAlertId: alert.causeAlertId,
    };
  }
}

type Tell = (alert: Alert, state: AlertState, previous: AlertState | null) => void;

const nameOf = (judgement: JudgementRow): string => `${judgement.workspace} ${causeName(judgement)}`;
const rank = (severity: AlertSeverity): number => alertSeverities.indexOf(severity);

/** Ids are hashes of what they stand for, so whoever computes them again finds the same. */
function hash(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24);
}

/** Everything that is given must match. */
function matches(matcher: AlertMatcher, judgement: JudgementRow): boolean {
  const values: Required<AlertMatcher> = {
    rule_id: judgement.ruleId,
    severity: judgement.severity,
    workflow_id: judgement.workflowId,
    task_id: judgement.taskId,
    orchestrator_id: judgement.orchestratorId,
    subject_id: judgement.subjectId,
  };
  return Object.entries(matcher).every(
    ([name, wanted]) => wanted === undefined || values[name as keyof AlertMatcher] === wanted,
  );
}
