import type { Random } from '../../services/simulator/random.ts';
import type { Fleet } from './fleet.ts';
import type { Producers } from './producers.ts';
import type { Stand } from './stand.ts';
import type { Watch } from './watch.ts';

/** Everything that a fault may lay its hands on. */
export interface Scene {
  stand: Stand;
  fleet: Fleet;
  producers: Producers;
  watch: Watch;
  /** Code of the release before, where the run upgrades from it, and of the release that it upgrades to. */
  trees: { old: string; new: string } | null;
}

/** What the fault does exactly, drawn from the seed. */
export type Params = Record<string, string | number>;

/** Faults of one lane follow one another; lanes go on at the same time. One that takes all of them is alone. */
export type Lane = 'pipelines' | 'clickhouse' | 'kafka' | 'all';

export interface Fault {
  name: string;
  lane: Lane;
  /** About how long it takes, for the plan. */
  seconds: number;
  /** How often a run may have it. */
  most?: number;
  draw(random: Random): Params;
  /** Ends when the fault is over; throws when it did not take effect. */
  inject(scene: Scene, params: Params): Promise<void>;
}

/** How long an effect may take to show while other faults get in its way. */
export const effectMs = 300_000;

export function expectEffect(isThere: boolean, what: string): void {
  if (!isThere) throw new Error(`the fault took no effect: ${what}`);
}
