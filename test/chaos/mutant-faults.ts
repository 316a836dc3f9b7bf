import { pause, waitUntil } from '../support/launched.ts';
import { effectMs, expectEffect, type Fault } from './faults.ts';
import { kinds } from './stand.ts';

/** Faults that only mutants need: each brings about exactly what the mutant gets wrong. */

const hasDied = ({ launched }: { launched: { child: { signalCode: string | null } } }): boolean =>
  launched.child.signalCode === 'SIGKILL';

/** Nobody is there for longer than the roll-up job reads back. */
export const allKilled: Fault = {
  name: 'all-killed',
  lane: 'all',
  seconds: 12,
  draw: () => ({ lastsMs: 10_000 }),
  async inject({ fleet }, { lastsMs }) {
    await fleet.stopAll('kill');
    expectEffect(fleet.living.length === 0, 'somebody lives');
    await pause(Number(lastsMs));
    fleet.startAll();
  },
};

/** The only process dies at a step, and what it had read is gone from the log before anybody can read it again. */
export const deathBeforeRetention: Fault = {
  name: 'death-before-retention',
  lane: 'all',
  seconds: 15,
  draw: () => ({ point: 'cells', times: 4 }),
  async inject({ stand, fleet, producers }, { point, times }) {
    const victim = await fleet.replace(0, { CHAOS_DIE_AT: `${point}:${times}` });
    expectEffect(await waitUntil(() => hasDied(victim), effectMs), `it did not die at ${point}`);
    await fleet.stopAll('kill');
    await producers.pause();
    for (const kind of kinds) {
      const topic = stand.telemetry.topics[kind];
      const ends = await stand.telemetry.admin.fetchTopicOffsets(topic);
      const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }));
      await stand.telemetry.admin.deleteTopicRecords({ topic, partitions });
    }
    producers.resume();
    fleet.startAll();
  },
};

/**
 * The new release dies amid a chunk before it has told how far it is, the old one is brought back for a while, and the new one comes
 * again. From its second flush on the old one would be kept from its partitions by any row of the ledger.
 */
export const upgradeBrokenOff: Fault = {
  name: 'upgrade-broken-off',
  lane: 'all',
  seconds: 25,
  draw: () => ({ point: 'cells', times: 1, oldAgainMs: 8_000 }),
  async inject({ fleet, trees }, { point, times, oldAgainMs }) {
    if (trees === null) throw new Error('the run has one release only');
    await fleet.stopAll();
    const pioneer = fleet.launch({ CHAOS_DIE_AT: `${point}:${times}` }, trees.new);
    expectEffect(await waitUntil(() => hasDied(pioneer), effectMs), `the new release did not die at ${point}`);
    fleet.startAll();
    await pause(Number(oldAgainMs));
    await fleet.stopAll();
    fleet.startAll(trees.new);
  },
};
