import { createRandom, type Random } from '../../services/simulator/random.ts';
import type { Fault, Lane, Params } from './faults.ts';
import { logFaults } from './log-faults.ts';
import { pipelineFaults } from './pipeline-faults.ts';
import { serverFaults } from './server-faults.ts';

export const allFaults: readonly Fault[] = [...pipelineFaults, ...serverFaults, ...logFaults];

export interface PlannedFault {
  atMs: number;
  fault: Fault;
  params: Params;
}

const lanes: readonly Exclude<Lane, 'all'>[] = ['pipelines', 'clickhouse', 'kafka'];
/** Telemetry has to be flowing before anything is worth being broken. */
const firstMs = 4_000;

export const lanesOf = ({ lane }: Fault): readonly string[] => (lane === 'all' ? lanes : [lane]);

/** Which faults when, as the seed will have it: every kind has its turn before any comes again. */
export function planFaults(seed: number, seconds: number, faults: readonly Fault[]): PlannedFault[] {
  const random = createRandom(seed);
  const freeAtMs = new Map<string, number>(lanes.map((lane) => [lane, firstMs]));
  const used = new Map<Fault, number>();
  const plan: PlannedFault[] = [];
  const endMs = Math.max(seconds * 1_000, firstMs + 1);
  for (let deck = shuffle(faults, random), idle = 0; idle < 2; deck = shuffle(faults, random)) {
    const before = plan.length;
    for (const fault of deck) {
      const atMs = Math.round(
        Math.max(...lanesOf(fault).map((lane) => freeAtMs.get(lane) ?? 0)) + random.between(200, 2_500),
      );
      const params = fault.draw(random);
      if (atMs + fault.seconds * 1_000 > endMs || (used.get(fault) ?? 0) >= (fault.most ?? Number.MAX_SAFE_INTEGER))
        continue;
      used.set(fault, (used.get(fault) ?? 0) + 1);
      plan.push({ atMs, fault, params });
      for (const lane of lanesOf(fault)) freeAtMs.set(lane, atMs + fault.seconds * 1_000);
    }
    idle = plan.length === before ? idle + 1 : 0;
  }
  return plan.sort((left, right) => left.atMs - right.atMs);
}

function shuffle<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, at: random.next() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item);
}

export function describePlan(plan: readonly PlannedFault[]): string[] {
  return plan.map(({ atMs, fault, params }) => {
    const details = Object.entries(params).map(([name, value]) => `${name} ${value}`);
    return `  ${(atMs / 1_000).toFixed(1).padStart(6)} s  ${[fault.name, ...details].join(', ')}`;
  });
}
