import { parseArgs } from 'node:util';
import { Judge } from '../../services/alerts/judge.ts';
import { RuleBook } from '../../services/alerts/rules.ts';
import { AlertMachine } from '../../services/alerts/state.ts';
import type { TruthRecord } from '../../services/simulator/truth.ts';
import {
  collectAlerts,
  firstVisibleMs,
  isSymptom,
  namesCause,
  type ToldAlert,
  windowsBetween,
} from './alert-matching.ts';
import { type SimulatedStretch, simulateStretch, stretchStartMs } from './alert-weeks.ts';
import { type Bar, finishBench, median, round } from './report.ts';

/**
 * How right alerts are, on simulated weeks with incidents planted at known places: judge and alert machine are driven as the
 * evaluator drives them. An alert is right where its rule, subject and time are those of an incident; one that tells of something that
 * an incident brought about, without naming it, is a symptom, and counts as wrong like one that tells of nothing.
 */
const { values: options } = parseArgs({
  options: { weeks: { type: 'string', default: '30' }, seed: { type: 'string', default: '5001' } },
});
/** Each stretch: a week to learn what is usual, one with incidents, a quiet one, one with incidents. */
const weeksOfStretch = 4;
const weekDays = 7;
const incidentsPerDay = (day: number): number => ([1, 3].includes(Math.floor(day / weekDays)) ? 3 : 0);
const dayMs = 86_400_000;

interface Tally {
  incidents: number;
  hidden: number;
  found: number;
  delays: number[];
}
interface RuleTally {
  right: number;
  symptoms: number;
  wrong: number;
}
const kinds = new Map<string, Tally>();
const rules = new Map<string, RuleTally>();
const costs: number[] = [];
let quietFalse = 0;
let quietWorkflowDays = 0;

const stretches = Math.ceil(Number(options.weeks) / weeksOfStretch);
for (let at = 0; at < stretches; at++) {
  const seed = Number(options.seed) + at;
  const stretch = simulateStretch({ seed, days: weeksOfStretch * weekDays, incidentsPerDay });
  scoreStretch(stretch, tellAlerts(stretch));
  console.log(`weeks ${at * weeksOfStretch + 1} to ${(at + 1) * weeksOfStretch}, seed ${seed}: ${summarise()}`);
}
finishBench('alerts', describe(), makeBars());

function tellAlerts({ windows }: SimulatedStretch): ToldAlert[] {
  const book = new RuleBook();
  const judge = new Judge({ bookOf: () => book });
  const machine = new AlertMachine();
  const startedMs = performance.now();
  const changes = windows.flatMap((window) => machine.play({ roundMs: window.endMs, judgements: judge.judge(window) }));
  costs.push((performance.now() - startedMs) / windows.length);
  const learnedMs = stretchStartMs + weekDays * dayMs;
  const told = collectAlerts(changes, windows.at(-1)?.endMs ?? 0);
  return told.filter(({ firedMs, isMerged }) => firedMs >= learnedMs && !isMerged);
}

function scoreStretch({ windows, truths }: SimulatedStretch, told: readonly ToldAlert[]): void {
  // The last day of a stretch has no windows, because runs of it may still be under way.
  const lastMs = (windows.at(-1)?.endMs ?? 0) - 3_600_000;
  for (const truth of truths.filter(({ endMs }) => endMs < lastMs)) {
    const tally = kinds.get(truth.kind) ?? { incidents: 0, hidden: 0, found: 0, delays: [] };
    kinds.set(truth.kind, tally);
    tally.incidents++;
    const visibleMs = firstVisibleMs(truth, windows);
    const firedMs = told.filter((alert) => namesCause(alert, truth)).map((alert) => alert.firedMs);
    if (visibleMs === null) tally.hidden++;
    else if (firedMs.length > 0) {
      tally.found++;
      // When a run is stuck is decided by how long runs of its kind take; there is no first window of it.
      if (truth.kind !== 'stuck_run') tally.delays.push(windowsBetween(visibleMs, Math.min(...firedMs)));
    }
  }
  for (const alert of told) scoreAlert(alert, truths);
  const quietFromMs = stretchStartMs + 2 * weekDays * dayMs;
  const workflows = new Set(windows.flatMap(({ runs }) => runs.map(({ workflowId }) => workflowId)));
  quietWorkflowDays += workflows.size * weekDays;
  quietFalse += told.filter(
    ({ firedMs }) => firedMs >= quietFromMs + dayMs / 4 && firedMs < quietFromMs + weekDays * dayMs,
  ).length;
}

function scoreAlert(alert: ToldAlert, truths: readonly TruthRecord[]): void {
  const tally = rules.get(alert.ruleId) ?? { right: 0, symptoms: 0, wrong: 0 };
  rules.set(alert.ruleId, tally);
  if (truths.some((truth) => namesCause(alert, truth))) tally.right++;
  else if (truths.some((truth) => isSymptom(alert, truth))) tally.symptoms++;
  else tally.wrong++;
}

function totals() {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
  const byKind = [...kinds.values()];
  const byRule = [...rules.values()];
  const right = sum(byRule.map((rule) => rule.right));
  return {
    precision: right / sum(byRule.map((rule) => rule.right + rule.symptoms + rule.wrong)),
    recall: sum(byKind.map(({ found }) => found)) / sum(byKind.map(({ incidents, hidden }) => incidents - hidden)),
    delayWindows: median(byKind.flatMap(({ delays }) => delays)),
    falsePerQuietThousand: (quietFalse / quietWorkflowDays) * 1000,
  };
}

function summarise(): string {
  const { precision, recall, falsePerQuietThousand } = totals();
  return `precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}, ${falsePerQuietThousand.toFixed(1)} false in 1 000 quiet workflow-days`;
}

const shareOf = (part: number, whole: number): number | string => (whole === 0 ? '' : round(part / whole));

function describe(): Record<string, string | number>[] {
  const incidents = [...kinds].map(([kind, { incidents: n, hidden, found, delays }]) => ({
    what: kind,
    n,
    'left no mark': hidden,
    'found or right': found,
    'recall or precision': shareOf(found, n - hidden),
    'delay windows': delays.length === 0 ? '' : median(delays),
  }));
  const told = [...rules].map(([rule, { right, symptoms, wrong }]) => ({
    what: rule,
    n: right + symptoms + wrong,
    'found or right': right,
    'recall or precision': shareOf(right, right + symptoms + wrong),
    symptoms,
    wrong,
  }));
  return [...incidents, ...told, { what: 'ms to judge a window', n: round(median(costs)) }];
}

function makeBars(): Bar[] {
  const { precision, recall, delayWindows, falsePerQuietThousand } = totals();
  return [
    { name: 'alert-precision', value: precision, unit: 'of alerts', direction: 'at least', bound: 0.95 },
    { name: 'alert-recall', value: recall, unit: 'of incidents', direction: 'at least', bound: 0.8 },
    { name: 'alert-delay', value: delayWindows, unit: 'windows', direction: 'at most', bound: 2 },
    {
      name: 'alert-quiet',
      value: falsePerQuietThousand,
      unit: 'in 1 000 quiet workflow-days',
      direction: 'at most',
      bound: 1,
    },
  ];
}
