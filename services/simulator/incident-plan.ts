import { type LoadFactor, type Rhythm, rhythmFactor } from './arrivals.ts';
import { type CatalogueEntry, workTasksOf } from './catalogue.ts';
import { nextDue, parseCron } from './cron.ts';
import type { PlannedIncident } from './incident-stage.ts';
import type { Random } from './random.ts';
import { randomFor } from './seeds.ts';
import { type IncidentKind, incidentKinds } from './truth.ts';

interface PlanOptions {
  catalogue: readonly CatalogueEntry[];
  seed: number;
  startMs: number;
  endMs: number;
  incidentsPerDay: number;
  load: LoadFactor;
}

const dayMs = 86_400_000;
const minuteMs = 60_000;

/** How long each kind lasts, in minutes: long enough to leave a mark in five-minute windows. */
const minutesOf: Record<IncidentKind, [least: number, most: number]> = {
  slow_task: [60, 120],
  failing_dependency: [30, 60],
  stuck_run: [150, 210],
  starved_pool: [30, 60],
  retry_storm: [30, 60],
  backlog: [60, 90],
  lost_worker: [30, 60],
  hot_worker: [60, 120],
  version_regression: [90, 150],
  missing_run: [75, 130],
  memory_leak: [90, 150],
  noisy_neighbour: [40, 80],
  split_brain: [15, 30],
  slow_scheduler: [30, 60],
  bad_input: [40, 80],
};

/**
 * Where incidents happen in a stretch of time. Days are planned whole and each for itself, and what does not lie
 * within the stretch is left out, so that the plan of a day does not depend on how time was cut.
 */
export function planIncidents(options: PlanOptions): PlannedIncident[] {
  const { startMs, endMs, incidentsPerDay } = options;
  if (incidentsPerDay === 0) return [];
  const planned: PlannedIncident[] = [];
  for (let day = Math.floor(startMs / dayMs); day * dayMs < endMs; day++) planned.push(...planDay(options, day));
  return planned.filter((incident) => incident.startMs >= startMs && incident.endMs <= endMs);
}

function planDay(options: PlanOptions, day: number): PlannedIncident[] {
  const { seed, incidentsPerDay } = options;
  const kinds = shuffle(incidentKinds, randomFor(seed, 'kinds'));
  const used = new Set<string>();
  const planned: PlannedIncident[] = [];
  // The first hour is left alone, and the last three, in which the longest would not end.
  const slotMs = (20 * 60 * minuteMs) / incidentsPerDay;
  for (let turn = 0; turn < incidentsPerDay; turn++) {
    const random = randomFor(seed, 'incident', day, turn);
    const kind = kinds[(day * incidentsPerDay + turn) % kinds.length];
    const durationMs = Math.round(random.between(...minutesOf[kind])) * minuteMs;
    const slack = Math.max(0, slotMs - durationMs);
    const startMs = day * dayMs + 3_600_000 + Math.round(turn * slotMs + random.next() * slack);
    const window = { startMs, endMs: startMs + durationMs };
    const workflowId = pickWorkflow(kind, options, used, random, window);
    if (workflowId === null) continue;
    used.add(workflowId);
    planned.push({ id: `${kind}-${day}-${turn}`, kind, ...window, workflowId });
  }
  return planned;
}

function shuffle<Item>(items: readonly Item[], random: Random): Item[] {
  const shuffled = [...items];
  for (let at = shuffled.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [shuffled[at], shuffled[other]] = [shuffled[other], shuffled[at]];
  }
  return shuffled;
}

/** Runs that are to be expected to begin within a stretch of time, by the schedule, or by the load at that time of that day. */
function expectedRuns(entry: CatalogueEntry, options: PlanOptions, window: Window): number {
  const { pattern, definition } = entry;
  const { catalogue, load } = options;
  switch (pattern.kind) {
    case 'schedule':
      return countDue(pattern.cron, window);
    case 'poisson':
      return pattern.perDay * loadWithin(pattern.rhythm, load, window);
    case 'bursts':
      return ((pattern.perDay * (1 + pattern.runsMost)) / 2) * loadWithin(pattern.rhythm, load, window);
    case 'chain': {
      const before = catalogue.find((other) => other.definition.id === pattern.afterWorkflowId);
      const share = pattern.on === 'failed' ? 0.03 : 1;
      return before === undefined || before.definition.id === definition.id
        ? 0
        : pattern.ratio * share * expectedRuns(before, options, window);
    }
  }
}

interface Window {
  startMs: number;
  endMs: number;
}

const quarterMs = 15 * minuteMs;

/** The share of an ordinary day's load that falls into a stretch of time. */
function loadWithin(rhythm: Rhythm, load: LoadFactor, { startMs, endMs }: Window): number {
  let sum = 0;
  for (let atMs = startMs; atMs < endMs; atMs += quarterMs) {
    sum += rhythmFactor(rhythm, atMs) * load(atMs) * Math.min(quarterMs, endMs - atMs);
  }
  return sum / dayMs;
}

function countDue(cron: string, { startMs, endMs }: Window): number {
  const schedule = parseCron(cron);
  let due = 0;
  for (let atMs = nextDue(schedule, startMs); atMs < endMs; atMs = nextDue(schedule, atMs)) due++;
  return due;
}

/** With fewer runs than this an incident would pass unnoticed, so it strikes a workflow that was struck already. */
const expectedRunsLeast = 4;

/** What few runs meet leaves no mark, so an incident strikes one of those that are busy just then. */
function pickWorkflow(
  kind: IncidentKind,
  options: PlanOptions,
  used: ReadonlySet<string>,
  random: Random,
  window: Window,
): string | null {
  const candidates = options.catalogue
    .filter((entry) => canStrike(kind, entry, window.startMs))
    .map((entry) => ({ id: entry.definition.id, runs: expectedRuns(entry, options, window) }))
    .toSorted((one, other) => other.runs - one.runs || (one.id < other.id ? -1 : 1));
  const fresh = candidates.filter(({ id, runs }) => !used.has(id) && runs >= expectedRunsLeast);
  const among = fresh.length > 0 ? fresh : candidates.filter(({ runs }) => runs > 0);
  const busy = among.slice(0, Math.min(12, Math.max(3, Math.ceil(among.length / 3))));
  return busy.length === 0 ? null : random.pick(busy).id;
}

function canStrike(kind: IncidentKind, entry: CatalogueEntry, startMs: number): boolean {
  const tasks = workTasksOf(entry);
  if (tasks.length === 0) return false;
  if (kind === 'missing_run') {
    if (entry.pattern.kind !== 'schedule') return false;
    // A run has to be due within an hour, or there would be nothing to miss.
    return nextDue(parseCron(entry.pattern.cron), startMs) <= startMs + 3_600_000;
  }
  if (kind === 'stuck_run') return tasks.some(({ hasTimeout }) => !hasTimeout);
  if (kind === 'failing_dependency') return tasks.some(({ type }) => type === 'network');
  return true;
}
