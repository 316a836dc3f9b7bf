import type { LoadFactor } from './arrivals.ts';
import { type CatalogueEntry, catalogueOf } from './catalogue.ts';
import { demoOddities, noOddities } from './delivery.ts';
import { type OddityRatios, oddityDefaults } from './oddities.ts';
import { randomFor } from './seeds.ts';
import { allWorkflows } from './workflow-catalogue.ts';

/** A world worth looking at: what runs in it, how much, what goes wrong, and how well its clocks go. */
export interface Scenario {
  meaning: string;
  /** What runs on a day, counted from the first, with `scale` times the ordinary number of runs. */
  catalogue(day: number, scale: number): CatalogueEntry[];
  load: LoadFactor;
  incidentsPerDay: number;
  clockSkewMsMost: number;
  oddities: OddityRatios;
}

export const scenarioNames = [
  'demo',
  'quiet-fleet',
  'incidents',
  'black-friday',
  'migration',
  'chaos-of-clocks',
  'big-fleet',
] as const;
export type ScenarioName = (typeof scenarioNames)[number];

const hourMs = 3_600_000;
const ordinary: Scenario = {
  meaning: 'two weeks like any other, with three incidents a day',
  catalogue: (_day, scale) => scaled(catalogueOf(allWorkflows), scale),
  load: () => 1,
  incidentsPerDay: 3,
  clockSkewMsMost: 40,
  oddities: demoOddities,
};

export const scenarios: Record<ScenarioName, Scenario> = {
  demo: ordinary,
  'quiet-fleet': {
    ...ordinary,
    meaning: 'nothing goes wrong, and every record arrives once and in order',
    incidentsPerDay: 0,
    clockSkewMsMost: 0,
    oddities: noOddities,
  },
  incidents: { ...ordinary, meaning: 'an incident of each kind every day', incidentsPerDay: 15 },
  'black-friday': {
    ...ordinary,
    meaning: 'on Fridays from six in the morning on, shops see six times their load, and twice that for two hours',
    load: fridayLoad,
    incidentsPerDay: 1,
  },
  migration: {
    ...ordinary,
    meaning: 'day by day another workflow moves from airflow-prod to prefect-ml, and is slower to begin with',
    catalogue: (day, scale) => moveSome(ordinary.catalogue(day, scale), day),
    incidentsPerDay: 1,
  },
  'chaos-of-clocks': {
    ...ordinary,
    meaning: 'clocks of workers are off by up to a minute and a half, and records come late, twice or not at all',
    clockSkewMsMost: 90_000,
    // Everything that goes wrong on the way; fields are still all there, because they do not depend on clocks.
    oddities: { ...oddityDefaults, sparse: 0, loose: 0 },
  },
  'big-fleet': {
    ...ordinary,
    meaning: '5 000 workflows of many teams, each of which runs now and then',
    catalogue: (_day, scale) => scaled(multiply(catalogueOf(allWorkflows), 5_000), scale),
  },
};

/** More runs of whatever begins by chance; what begins by the clock stays as it is. */
function scaled(entries: CatalogueEntry[], scale: number): CatalogueEntry[] {
  if (scale === 1) return entries;
  return entries.map((entry) => {
    const { pattern } = entry;
    if (pattern.kind !== 'poisson' && pattern.kind !== 'bursts') return entry;
    return { ...entry, pattern: { ...pattern, perDay: pattern.perDay * scale } };
  });
}

function fridayLoad(atMs: number): number {
  const date = new Date(atMs);
  const hour = date.getUTCHours();
  if (date.getUTCDay() !== 5 || hour < 6) return 1;
  return hour >= 18 && hour < 20 ? 12 : 6;
}

function moveSome(entries: CatalogueEntry[], day: number): CatalogueEntry[] {
  const leaving = entries.filter(({ orchestratorId }) => orchestratorId === 'airflow-prod').slice(0, Math.max(0, day));
  return entries.map((entry) => (leaving.includes(entry) ? { ...entry, orchestratorId: 'prefect-ml' } : entry));
}

/** Copies of the workflows under other names, by many teams, each begun by chance a few times a day at most. */
function multiply(entries: CatalogueEntry[], count: number): CatalogueEntry[] {
  const sources = entries.filter(({ pattern }) => pattern.kind !== 'chain');
  return Array.from({ length: count }, (_, index) => {
    const source = sources[index % sources.length];
    const copy = Math.floor(index / sources.length);
    const id = `${source.definition.id}-${copy}`;
    const random = randomFor(1, id);
    const definition = {
      ...source.definition,
      id,
      name: `${source.definition.name} ${copy}`,
      project: `team-${copy % 40}`,
    };
    // Few workflows run often and most run rarely.
    const perDay = Math.min(24, random.logNormal(0.5, 1.2));
    const pattern = { kind: 'poisson', perDay, rhythm: random.pick(['flat', 'office', 'shop'] as const) } as const;
    return { ...source, definition, pattern };
  });
}

/** The lengths into which time is cut; the more runs, the shorter, so that making a segment again never takes long. */
export function segmentMsOf(scale: number): number {
  for (const hours of [24, 12, 6, 3, 1]) if (hours * scale <= 24) return hours * hourMs;
  return hourMs / 2;
}

/** Events of executions and tasks a second, of an ordinary week: of runs by the clock, and of those by chance. */
const ordinaryRate = { byClock: 0.2, byChance: 1.03 };

/** How many times the ordinary runs by chance make a rate; 0 stands for the ordinary rate. */
export function scaleOf(eventsPerSecond: number): number {
  if (eventsPerSecond === 0) return 1;
  return Math.max(0.1, (eventsPerSecond - ordinaryRate.byClock) / ordinaryRate.byChance);
}
