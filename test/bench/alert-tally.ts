import { isSymptom, namesCause, type ToldAlert, windowsBetween } from './alert-matching.ts';
import { dayMs, type SimulatedStretch, stretchStartMs } from './alert-weeks.ts';
import { median } from './report.ts';

/** Each stretch: a week to learn what is usual, one with incidents, a quiet one, one with incidents. */
export const weekDays = 7;
export const weeksOfStretch = 4;
export const incidentsPerDay = (day: number): number => ([1, 3].includes(Math.floor(day / weekDays)) ? 3 : 0);

/** How right the alerts of one method were on one stretch, or on several. */
export interface Tally {
  kinds: Record<string, { incidents: number; hidden: number; found: number; delays: number[] }>;
  rules: Record<string, { right: number; symptoms: number; wrong: number }>;
  /** In the quiet week. */
  quietFalse: number;
}

const emptyTally = (): Tally => ({ kinds: {}, rules: {}, quietFalse: 0 });

function kindOf({ kinds }: Tally, kind: string) {
  kinds[kind] ??= { incidents: 0, hidden: 0, found: 0, delays: [] };
  return kinds[kind];
}

function ruleOf({ rules }: Tally, rule: string) {
  rules[rule] ??= { right: 0, symptoms: 0, wrong: 0 };
  return rules[rule];
}

/** Nobody is told of what is still being learned, nor of what another alert explains. */
export function isTold({ firedMs, causeAlertId }: ToldAlert): boolean {
  return firedMs >= stretchStartMs + weekDays * dayMs && causeAlertId === null;
}

export function tallyAlerts({ endMs: stretchEndMs, incidents }: SimulatedStretch, told: readonly ToldAlert[]): Tally {
  const tally = emptyTally();
  // The last day of a stretch has no windows, because runs of it may still be under way.
  const lastMs = stretchEndMs - 3_600_000;
  for (const { truth, visibleMs } of incidents.filter((incident) => incident.truth.endMs < lastMs)) {
    const kind = kindOf(tally, truth.kind);
    kind.incidents++;
    const firedMs = told.filter((alert) => namesCause(alert, truth)).map((alert) => alert.firedMs);
    if (visibleMs === null) kind.hidden++;
    else if (firedMs.length > 0) {
      kind.found++;
      // When a run is stuck is decided by how long runs of its kind take; there is no first window of it.
      if (truth.kind !== 'stuck_run') kind.delays.push(windowsBetween(visibleMs, Math.min(...firedMs)));
    }
  }
  for (const alert of told) {
    const rule = ruleOf(tally, alert.ruleId);
    if (incidents.some(({ truth }) => namesCause(alert, truth))) rule.right++;
    else if (incidents.some(({ truth }) => isSymptom(alert, truth))) rule.symptoms++;
    else rule.wrong++;
  }
  const quietFromMs = stretchStartMs + 2 * weekDays * dayMs;
  // What the last incident left behind may show in the first hours.
  tally.quietFalse = told.filter(
    ({ firedMs }) => firedMs >= quietFromMs + dayMs / 4 && firedMs < quietFromMs + weekDays * dayMs,
  ).length;
  return tally;
}

export function addTallies(tallies: readonly Tally[]): Tally {
  const sum = emptyTally();
  for (const { kinds, rules, quietFalse } of tallies) {
    for (const [name, { incidents, hidden, found, delays }] of Object.entries(kinds)) {
      const kind = kindOf(sum, name);
      kind.incidents += incidents;
      kind.hidden += hidden;
      kind.found += found;
      kind.delays.push(...delays);
    }
    for (const [name, { right, symptoms, wrong }] of Object.entries(rules)) {
      const rule = ruleOf(sum, name);
      rule.right += right;
      rule.symptoms += symptoms;
      rule.wrong += wrong;
    }
    sum.quietFalse += quietFalse;
  }
  return sum;
}

const add = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0);

export function summarise({ kinds, rules, quietFalse }: Tally, quietWorkflowDays: number) {
  const byKind = Object.values(kinds);
  const byRule = Object.values(rules);
  const told = add(byRule.map(({ right, symptoms, wrong }) => right + symptoms + wrong));
  return {
    told,
    precision: told === 0 ? 0 : add(byRule.map(({ right }) => right)) / told,
    recall: add(byKind.map(({ found }) => found)) / add(byKind.map(({ incidents, hidden }) => incidents - hidden)),
    delayWindows: median(byKind.flatMap(({ delays }) => delays)),
    falsePerQuietThousand: (quietFalse / quietWorkflowDays) * 1000,
  };
}
