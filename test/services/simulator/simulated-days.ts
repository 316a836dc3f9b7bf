import { encodeOutgoing, type Outgoing } from '../../../services/simulator/delivery.ts';
import type { PlannedIncident } from '../../../services/simulator/incident-stage.ts';
import { type ScenarioName, scenarios } from '../../../services/simulator/scenarios.ts';
import { Segment, type SegmentSpec } from '../../../services/simulator/segment.ts';
import type { TruthRecord } from '../../../services/simulator/truth.ts';
import { World, type WorldEvent, type WorldOptions } from '../../../services/simulator/world.ts';

export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
/** A Wednesday, no holiday. */
export const dayStartMs = Date.UTC(2026, 10, 4);

export interface Played {
  events: WorldEvent[];
  truths: TruthRecord[];
  world: World;
}

/** A world played to its end; the ordinary one for six hours of a morning unless said otherwise. */
export function playWorld(given: Partial<Omit<WorldOptions, 'sink'>> = {}): Played {
  const events: WorldEvent[] = [];
  const truths: TruthRecord[] = [];
  const world = new World({
    seed: 1,
    startMs: dayStartMs + 8 * hourMs,
    endMs: dayStartMs + 14 * hourMs,
    catalogue: scenarios.demo.catalogue(0, 1),
    ...given,
    sink: { event: (event) => void events.push(event), truth: (truth) => void truths.push(truth) },
  });
  world.runUntil(world.options.endMs + 7 * dayMs);
  return { events, truths, world };
}

function specOf(scenario: ScenarioName, given: Partial<SegmentSpec> = {}): SegmentSpec {
  const [startMs, endMs] = [dayStartMs, dayStartMs + dayMs];
  const place = { startMs, endMs, gridEndMs: endMs, firstMs: startMs };
  return { ...place, scenario, seed: 1, scale: 1, detailFromMs: Number.POSITIVE_INFINITY, ...given };
}

/** All of a segment as it is sent. */
export function* sendSegment(scenario: ScenarioName, given: Partial<SegmentSpec> = {}): Generator<Outgoing> {
  const segment = new Segment(specOf(scenario, given), scenarios[scenario]);
  while (!segment.isOver) yield* segment.takeUntil(segment.takenMs + 600_000);
}

/** What was planted in a segment. */
export function playSegment(scenario: ScenarioName, given: Partial<SegmentSpec> = {}): TruthRecord[] {
  const segment = new Segment(specOf(scenario, given), scenarios[scenario]);
  while (!segment.isOver) for (const _ of segment.takeUntil(segment.takenMs + 3_600_000));
  return segment.takeTruths();
}

export const bytesOf = (sent: Iterable<Outgoing>): Buffer[] =>
  Array.from(sent, (outgoing) =>
    Buffer.concat([Buffer.from(`${outgoing.key} ${outgoing.sendAtMs} `), encodeOutgoing(outgoing)]),
  );

/** One incident in the morning, with its truth and the same morning without it. */
export function playIncident(planned: Omit<PlannedIncident, 'id' | 'startMs' | 'endMs'> & { minutes?: number }): {
  planned: PlannedIncident;
  truth: TruthRecord;
  struck: Played;
  calm: Played;
} {
  const { minutes = 60, ...rest } = planned;
  const startMs = dayStartMs + 10 * hourMs;
  const incident = { ...rest, id: `${planned.kind}-here`, startMs, endMs: startMs + minutes * 60_000 };
  const struck = playWorld({ incidents: [incident] });
  return { planned: incident, truth: struck.truths[0], struck, calm: playWorld() };
}
