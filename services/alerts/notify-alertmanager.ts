import { setTimeout as sleep } from 'node:timers/promises';
import type { AlertRecord } from '../../schemas/records.ts';
import type { NotifyMetrics } from './notify-metrics.ts';

interface AlertmanagerOptions {
  /** Where an Alertmanager listens, without the path of its API. */
  url: string;
  /** Where people read about an alert: the address of the API. */
  apiUrl: string;
  /** Alerts that fire or ended since an instant. */
  read(endedSinceMs: number): Promise<AlertRecord[]>;
  resendMs: number;
  metrics: NotifyMetrics;
  log: { warn(fields: object, message: string): void };
  nowMs(): number;
}

/** As its API v2 takes an alert. */
interface PostedAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  startsAt: string;
  endsAt: string;
  generatorURL: string;
}

const timeoutMs = 10_000;
const alertsPerRequest = 500;
/** An end is told again for so long, in case that an Alertmanager was away when it came. */
const endToldForMs = 15 * 60_000;
/** An alert of which nothing is heard any more for so many turns is over. */
const turnsUntilOver = 4;
/** Alerts of which is remembered what was heard last. */
const mostHeard = 50_000;
/** Changes that come together are sent together. */
const gatherMs = 500;

/**
 * Keeps one Alertmanager up to date. It holds alerts for as long as they are repeated, so every turn sends all that fire, and
 * nothing has to be remembered here: what it missed while it was away comes with the next turn. Changes are sent at once besides.
 */
export class NotifyAlertmanager {
  readonly #options: AlertmanagerOptions;
  readonly #closing = new AbortController();
  /** Changes since the last request, the newest of each alert. */
  #fresh = new Map<string, { change: AlertRecord; recordTimeMs: number }>();
  /** What was heard last of each alert: the store may be a moment behind, and would tell of one that has ended as of one that fires. */
  readonly #heard = new Map<string, AlertRecord>();
  #isGathering = false;
  #turning: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AlertmanagerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#turn();
    this.#timer = setInterval(() => this.#turn(), this.#options.resendMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#turning;
  }

  note(change: AlertRecord, recordTimeMs: number): void {
    const name = nameOf(change);
    // Deleted first, so that the oldest stand in front.
    this.#heard.delete(name);
    this.#heard.set(name, change);
    if (!isTold(change)) return;
    this.#fresh.set(name, { change, recordTimeMs });
    if (this.#isGathering) return;
    this.#isGathering = true;
    void sleep(gatherMs, undefined, { signal: this.#closing.signal, ref: false })
      .then(() => this.#sendFresh())
      .catch(() => undefined)
      .finally(() => {
        this.#isGathering = false;
      });
  }

  /** One after the other, so that an older picture never follows a newer one. */
  #turn(): void {
    this.#forget();
    this.#turning = this.#turning.then(async () => {
      const { read, nowMs, log, url } = this.#options;
      if (this.#closing.signal.aborted) return;
      try {
        const stored = await read(nowMs() - endToldForMs);
        await this.#send(stored.map((alert) => this.#newest(alert)).filter(isTold));
      } catch (error) {
        log.warn(
          { err: error, alertmanager: url },
          'Alertmanager was not told of the alerts that fire; the next turn tells all of them',
        );
      }
    });
  }

  #forget(): void {
    for (const [name, { event_time: atMs }] of this.#heard) {
      if (atMs < this.#options.nowMs() - endToldForMs || this.#heard.size > mostHeard) this.#heard.delete(name);
    }
  }

  #newest(alert: AlertRecord): AlertRecord {
    const heard = this.#heard.get(nameOf(alert));
    return heard !== undefined && heard.event_time > alert.event_time ? heard : alert;
  }

  #sendFresh(): void {
    this.#turning = this.#turning.then(async () => {
      const fresh = [...this.#fresh.values()];
      this.#fresh = new Map();
      if (fresh.length === 0 || this.#closing.signal.aborted) return;
      const { metrics, nowMs, log, url } = this.#options;
      try {
        await this.#send(fresh.map(({ change }) => change));
        metrics.notifications.inc({ channel: 'alertmanager', outcome: 'delivered' }, fresh.length);
        for (const { recordTimeMs } of fresh) {
          metrics.delaySeconds.observe({ channel: 'alertmanager' }, Math.max(0, nowMs() - recordTimeMs) / 1000);
        }
      } catch (error) {
        log.warn(
          { err: error, alertmanager: url },
          'Alertmanager was not told of changes; the next turn tells how alerts stand',
        );
      }
    });
  }

  async #send(alerts: readonly AlertRecord[]): Promise<void> {
    const { url, apiUrl, nowMs, resendMs, metrics } = this.#options;
    for (let from = 0; from < alerts.length; from += alertsPerRequest) {
      const some = alerts.slice(from, from + alertsPerRequest);
      const posted = some.map((alert) =>
        toPostedAlert(alert, { apiUrl, untilMs: nowMs() + turnsUntilOver * resendMs }),
      );
      let outcome = 'failed';
      try {
        await this.#post(`${url}/api/v2/alerts`, posted);
        outcome = 'succeeded';
      } finally {
        metrics.attempts.inc({ channel: 'alertmanager', outcome });
      }
    }
  }

  async #post(address: string, posted: readonly PostedAlert[]): Promise<void> {
    const answer = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(posted),
      redirect: 'error',
      signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`it answered ${answer.status}: ${text.slice(0, 300)}`);
  }
}

const nameOf = ({ workspace = 'default', alert_id }: AlertRecord): string => JSON.stringify([workspace, alert_id]);

/** Silenced ones are told to nobody, and what never fired has nothing to end. */
const isTold = ({ state, fired_at, silenced_by }: AlertRecord): boolean =>
  state !== 'pending' && fired_at != null && (silenced_by ?? '') === '';

/**
 * Labels are what an alert is known by, so they hold only what stays the same while it lasts; the severity is among them
 * although it may rise, because routes need it: the alert of the lower one is over a few turns later.
 */
function toPostedAlert(alert: AlertRecord, { apiUrl, untilMs }: { apiUrl: string; untilMs: number }): PostedAlert {
  const { workspace = 'default', fired_at, resolved_at, state } = alert;
  const { effects, ...labels } = alert.labels ?? {};
  const startsAtMs = fired_at ?? alert.event_time;
  const endsAtMs = state === 'resolved' ? Math.max(startsAtMs, resolved_at ?? alert.event_time) : untilMs;
  return {
    labels: pickTexts({
      ...labels,
      alertname: alert.rule_id,
      severity: alert.severity,
      workspace,
      alert_id: alert.alert_id,
      subject_kind: alert.subject_kind,
      subject_id: alert.subject_id,
      workflow_id: alert.workflow_id,
      execution_id: alert.execution_id,
      task_id: alert.task_id,
      orchestrator_id: alert.orchestrator_id,
    }),
    annotations: pickTexts({
      summary: alert.title,
      description: alert.description,
      recommendations: (alert.recommendations ?? []).join('\n'),
      acknowledged_by: alert.acknowledged_by,
      caused_by: alert.cause_alert_id,
      effects,
    }),
    startsAt: new Date(startsAtMs).toISOString(),
    endsAt: new Date(endsAtMs).toISOString(),
    generatorURL: `${apiUrl}/api/v1/alerts/${encodeURIComponent(alert.alert_id)}`,
  };
}

/** Names as Prometheus has them, and no empty values. */
function pickTexts(texts: Readonly<Record<string, string | null | undefined>>): Record<string, string> {
  const named = Object.entries(texts).flatMap(([name, value]) =>
    value == null || value === '' ? [] : [[name.replace(/^[^a-zA-Z_]|[^a-zA-Z0-9_]/g, '_'), value] as const],
  );
  return Object.fromEntries(named);
}
