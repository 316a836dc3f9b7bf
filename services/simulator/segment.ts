import { Delivery, type Outgoing } from './delivery.ts';
import { reportRhythms } from './housekeeping.ts';
import { planIncidents } from './incident-plan.ts';
import { type AcceptedCommand, type Deed, obey } from './obey.ts';
import type { Scenario } from './scenarios.ts';
import { randomFor } from './seeds.ts';
import type { TruthRecord } from './truth.ts';
import { World } from './world.ts';

/**
 * Time is cut into segments, each with a world of its own that is a function of the scenario, the seed and the place
 * of the segment. So history can be made a day at a time, and what was interrupted is made again and goes on where it
 * was, to the byte. Runs begin in their segment and are played to their end, however far into the next.
 */
export interface SegmentSpec {
  startMs: number;
  endMs: number;
  /** Where the segment ends by the grid; plans go by this, also where it was cut short. */
  gridEndMs: number;
  scenario: string;
  seed: number;
  /** Runs compared with the ordinary, for those that begin by chance. */
  scale: number;
  detailFromMs: number;
  /** Before this, only ends of attempts are told. */
  beginningsFromMs?: number;
  /** When the first segment of the scenario began; some scenarios change from day to day. */
  firstMs: number;
}

export class Segment {
  readonly spec: SegmentSpec;
  readonly world: World;
  readonly #delivery: Delivery;
  readonly #truths: TruthRecord[] = [];
  readonly #commands: AcceptedCommand[] = [];
  readonly #onDeed: (command: AcceptedCommand, deed: Deed) => void;
  /** Everything up to here was taken. */
  takenMs: number;

  constructor(
    spec: SegmentSpec,
    scenario: Scenario,
    onDeed: (command: AcceptedCommand, deed: Deed) => void = () => {},
  ) {
    this.#onDeed = onDeed;
    const { seed, startMs, endMs, gridEndMs, scale, beginningsFromMs = 0 } = spec;
    this.spec = spec;
    this.takenMs = startMs;
    const catalogue = scenario.catalogue(Math.floor((startMs - spec.firstMs) / 86_400_000), scale);
    this.#delivery = new Delivery(scenario.oddities, randomFor(seed, 'delivery', startMs));
    this.world = new World({
      seed,
      startMs,
      endMs,
      catalogue,
      load: scenario.load,
      incidents: planIncidents({ ...scenario, catalogue, seed, startMs, endMs: gridEndMs }),
      clockSkewMsMost: scenario.clockSkewMsMost,
      slotFactor: Math.max(1, Math.round(scale)),
      rhythm: { ...reportRhythms, detailFromMs: spec.detailFromMs },
      beginningsFromMs,
      sink: {
        event: (event) => this.#delivery.add(event),
        truth: (record) => this.#truths.push(record),
      },
    });
  }

  /** Nothing more comes. */
  get isOver(): boolean {
    return this.world.isOver && this.#delivery.size === 0;
  }

  /** When something is to be sent at the earliest. */
  get nextMs(): number {
    return Math.min(this.#delivery.nextMs, this.world.nextMs ?? Number.POSITIVE_INFINITY);
  }

  /** What is to be sent up to and including `toMs`, in order; nothing is sent before it happened, so none is missed. */
  *takeUntil(toMs: number): Generator<Outgoing, void, void> {
    this.#runUntil(toMs);
    while (this.#delivery.nextMs <= toMs) yield this.#delivery.take();
    this.takenMs = Math.max(this.takenMs, toMs);
  }

  /** A command that is to be carried out at its instant, which may not lie before what was taken. */
  command(accepted: AcceptedCommand): void {
    this.#commands.push(accepted);
  }

  #runUntil(toMs: number): void {
    while (this.#commands.length > 0 && this.#commands[0].atMs <= toMs) {
      const command = this.#commands.shift() as AcceptedCommand;
      // Everything of that instant first: so it is the same now and when it is played again.
      this.world.runUntil(command.atMs);
      this.#onDeed(command, obey(this.world, command.request));
    }
    this.world.runUntil(toMs);
  }

  /** Goes on as if everything up to `toMs` had been taken. */
  skipUntil(toMs: number): void {
    for (const _ of this.takeUntil(toMs));
    this.#truths.length = 0;
  }

  /** What was planted and is over, once. */
  takeTruths(): TruthRecord[] {
    return this.#truths.splice(0);
  }
}
