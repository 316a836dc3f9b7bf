import { setImmediate as yieldTurn } from 'node:timers/promises';
import type { WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import type { RowReader } from '../../clickhouse/question.ts';
import type { AlertChangeRow, JudgementRow } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId, AlertRuleSetting } from '../../schemas/alerts.ts';
import { Judge } from './judge.ts';
import type { SeasonOf } from './judge-runs.ts';
import { findSettingProblems, RuleBook, ruleOf } from './rules.ts';
import { AlertMachine } from './state.ts';
import { floorWindow, WindowReader } from './window-reader.ts';

/**
 * What a draft of a rule would have done: the judge and the alert machine that run live, over windows of history. So that a
 * draft can be set beside what is there, the other rules are judged too; only the draft's alerts are told of.
 */
export interface Draft {
  workspace: string;
  ruleId: AlertRuleId;
  setting: AlertRuleSetting;
}

/** Something that people know to have happened, for precision and recall; empty fields match anything. */
export interface LabelledIncident {
  fromMs: number;
  toMs: number;
  workflowId?: string;
  taskId?: string;
  subjectId?: string;
}

export interface BackTestAlert {
  alertId: string;
  title: string;
  subjectId: string;
  workflowId: string | null;
  taskId: string | null;
  firedAtMs: number;
  /** Null where it is not over. */
  resolvedAtMs: number | null;
  value: number | null;
  threshold: number | null;
  /** Whether it tells of one of the labelled incidents; null without any. */
  isRight: boolean | null;
}

export interface BackTestResult {
  ruleId: AlertRuleId;
  windows: number;
  /** What is usual is learned until then. */
  toldFromMs: number;
  alerts: BackTestAlert[];
  pagesPerWeek: number;
  /** Null without labelled incidents. */
  precision: number | null;
  recall: number | null;
  /** A threshold that would have told of as much with fewer false alerts; null where the one given is as good as any. */
  suggestedThreshold: number | null;
}

/** History by which what is usual becomes known; alerts of it are not told. */
const warmUpShare = 0.2;
const weekMs = 7 * 86_400_000;

/** Everything that is wrong with the draft; empty where it can be tried. */
export const findDraftProblems = ({ ruleId, setting }: Draft): string[] => findSettingProblems(ruleId, setting);

export function backTest(
  windows: Iterable<WindowInput>,
  draft: Draft,
  incidents: readonly LabelledIncident[] = [],
  seasonOf?: SeasonOf,
): BackTestResult {
  const run = new BackTest(draft, seasonOf);
  for (const window of windows) run.take(window);
  return run.conclude(incidents);
}

/** Takes windows in their order, as they are read: weeks of them need not be held at once. */
class BackTest {
  readonly #draft: Draft;
  readonly #judge: Judge;
  readonly #machine = new AlertMachine();
  readonly #startsMs: number[] = [];
  readonly #changes: AlertChangeRow[] = [];
  #endMs = 0;

  constructor(draft: Draft, seasonOf?: SeasonOf) {
    const book = new RuleBook(new Map([[draft.workspace, new Map([[draft.ruleId, draft.setting]])]]));
    this.#draft = draft;
    this.#judge = new Judge({ bookOf: () => book, ...(seasonOf && { seasonOf }) });
  }

  take(window: WindowInput): void {
    this.#startsMs.push(window.startMs);
    this.#endMs = window.endMs;
    const changes = this.#machine.play({ roundMs: window.endMs, judgements: this.#judge.judge(window) });
    for (const change of changes) if (change.ruleId === this.#draft.ruleId) this.#changes.push(change);
  }

  conclude(incidents: readonly LabelledIncident[]): BackTestResult {
    const draft = this.#draft;
    const fromMs = this.#startsMs[Math.floor(this.#startsMs.length * warmUpShare)] ?? 0;
    const endMs = this.#startsMs.length === 0 ? fromMs : this.#endMs;
    const alerts = collectAlerts(this.#changes, draft).filter(({ firedAtMs }) => firedAtMs >= fromMs);
    const judged = label(alerts, incidents);
    const known = incidents.filter(({ toMs }) => toMs >= fromMs);
    const right = judged.filter(({ isRight }) => isRight === true).length;
    const found = known.filter((incident) => judged.some((alert) => tellsOf(alert, incident))).length;
    return {
      ruleId: draft.ruleId,
      windows: this.#startsMs.length,
      toldFromMs: fromMs,
      alerts: judged,
      pagesPerWeek: endMs > fromMs ? (judged.length * weekMs) / (endMs - fromMs) : 0,
      precision: known.length === 0 || judged.length === 0 ? null : right / judged.length,
      recall: known.length === 0 ? null : found / known.length,
      suggestedThreshold: suggestThreshold(judged, draft),
    };
  }
}

/** Stored history, as far as the reader sees it, window after window. */
export interface BackTestRange {
  fromMs: number;
  toMs: number;
}

/** What the command and the API answer: history is read in parts, so others have their turn in between. */
export async function backTestHistory(
  reader: RowReader,
  range: BackTestRange,
  draft: Draft,
  incidents: readonly LabelledIncident[] = [],
): Promise<BackTestResult> {
  const history = new WindowReader(reader);
  const run = new BackTest(draft, history.seasonOf);
  for await (const windows of history.readFrom(floorWindow(range.fromMs), floorWindow(range.toMs))) {
    for (const window of windows) {
      run.take(window);
      await yieldTurn();
    }
  }
  return run.conclude(incidents);
}

/** Alerts from a log of judgements, exactly as the evaluator computes them. */
export function playRounds(
  rounds: readonly { roundMs: number; judgements: readonly JudgementRow[] }[],
): AlertChangeRow[] {
  const machine = new AlertMachine();
  return rounds.flatMap((round) => machine.play(round));
}

function collectAlerts(changes: readonly AlertChangeRow[], draft: Draft): BackTestAlert[] {
  const alerts = new Map<string, BackTestAlert>();
  for (const change of changes) {
    if (change.ruleId !== draft.ruleId || change.workspace !== draft.workspace) continue;
    const known = alerts.get(change.alertId);
    if (change.state === 'firing' && known === undefined) alerts.set(change.alertId, toAlert(change));
    else if (known !== undefined) known.resolvedAtMs = change.resolvedAtMs;
  }
  return [...alerts.values()];
}

const toAlert = (change: AlertChangeRow): BackTestAlert => ({
  alertId: change.alertId,
  title: change.title,
  subjectId: change.subjectId,
  workflowId: change.workflowId,
  taskId: change.taskId,
  firedAtMs: change.eventTimeMs,
  resolvedAtMs: null,
  value: change.value,
  threshold: change.threshold,
  isRight: null,
});

function label(alerts: readonly BackTestAlert[], incidents: readonly LabelledIncident[]): BackTestAlert[] {
  if (incidents.length === 0) return [...alerts];
  return alerts.map((alert) => ({ ...alert, isRight: incidents.some((incident) => tellsOf(alert, incident)) }));
}

function tellsOf(alert: BackTestAlert, { fromMs, toMs, workflowId, taskId, subjectId }: LabelledIncident): boolean {
  const isThen = alert.firedAtMs <= toMs && (alert.resolvedAtMs ?? Number.POSITIVE_INFINITY) >= fromMs;
  return (
    isThen &&
    (workflowId === undefined || workflowId === alert.workflowId) &&
    (taskId === undefined || taskId === alert.taskId) &&
    (subjectId === undefined || subjectId === alert.subjectId)
  );
}

/** Between the false alerts and the right ones, where a threshold tells them apart. */
function suggestThreshold(alerts: readonly BackTestAlert[], { ruleId, setting }: Draft): number | null {
  const { breaches, threshold: usual, unit, range } = ruleOf(ruleId);
  const scale = (alert: BackTestAlert): number | null => {
    if (alert.value === null) return null;
    // A threshold in times was applied to what was usual for each subject.
    const times = alert.threshold === null || alert.threshold === 0 ? null : alert.value / alert.threshold;
    return unit === 'times' ? (times === null ? null : times * (setting.threshold ?? usual)) : alert.value;
  };
  const sign = breaches === 'above' ? 1 : -1;
  const values = (isRight: boolean) =>
    alerts.filter((alert) => alert.isRight === isRight).flatMap((alert) => scale(alert) ?? []);
  const [wrong, right] = [values(false), values(true)];
  if (wrong.length === 0 || right.length === 0) return null;
  const leastRight = Math.min(...right.map((value) => sign * value));
  const beaten = wrong.map((value) => sign * value).filter((value) => value < leastRight);
  if (beaten.length === 0) return null;
  const between = (sign * (Math.max(...beaten) + leastRight)) / 2;
  return Math.min(range[1], Math.max(range[0], Number(between.toPrecision(3))));
}
