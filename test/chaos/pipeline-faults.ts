import { pause, waitUntil } from '../support/launched.ts';
import { effectMs, expectEffect, type Fault } from './faults.ts';

/** How long a guest that came after the storm waits to be let in. */
const lateGuestMs = 30_000;

/** Points of a flush, and of the roll-up job, between or amid which a process may die. */
const deadlyPoints = [
  'taken',
  'amid-after-taken',
  'opened',
  'amid-after-opened',
  'entities',
  'amid-after-entities',
  'rows',
  'amid-after-rows',
  'cells',
  'amid-after-cells',
  'ledger',
  'committed',
  'rollup-swept',
  'rollup-planned',
  'rollup-rows',
  'rollup-boundary',
  'rollup-cursors',
] as const;

const kill: Fault = {
  name: 'kill',
  lane: 'pipelines',
  seconds: 2,
  draw: (random) => ({ slot: random.below(8), afterMs: random.below(1_500) }),
  async inject({ fleet }, { slot, afterMs }) {
    await pause(Number(afterMs));
    const victim = await fleet.alive(Number(slot), effectMs);
    await fleet.replace(Number(slot));
    expectEffect(victim.launched.child.signalCode === 'SIGKILL', 'the process did not die by the signal');
  },
};

/** The victim is armed from its start, so that it dies at the n-th time it comes there. */
const dieAt: Fault = {
  name: 'die-at',
  lane: 'pipelines',
  seconds: 6,
  draw: (random) => {
    const point = random.pick(deadlyPoints);
    // Turns of the roll-up job are few and far between on a busy machine.
    return { slot: random.below(8), point, times: point.startsWith('rollup') ? 1 : 1 + random.below(3) };
  },
  async inject({ fleet }, { slot, point, times }) {
    // Rare steps are met sooner or later by everybody, so everybody is armed, and one death is enough.
    const env = { CHAOS_DIE_AT: `${point}:${times}` };
    const armed = String(point).startsWith('rollup') ? fleet.size : 1;
    const arm = (index: number) => fleet.replace(Number(slot) + index, env);
    const victims = await Promise.all(Array.from({ length: armed }, (_, index) => arm(index)));
    const hasDied = async () => {
      // One that gave up by itself has a successor, which is not armed.
      for (const [index, { launched }] of victims.entries())
        if (launched.child.exitCode !== null) victims[index] = await arm(index);
      return victims.some(({ launched }) => launched.child.signalCode === 'SIGKILL');
    };
    expectEffect(await waitUntil(hasDied, effectMs), `nobody died at ${point}`);
    const said = victims.some((victim) => victim.output().includes(`dies at ${point}`));
    expectEffect(said, `the process died elsewhere than at ${point}`);
    for (const [index, { launched }] of victims.entries()) {
      if (launched.child.signalCode === null) await fleet.replace(Number(slot) + index);
    }
  },
};

/** Stands still until others have its partitions, then goes on writing. */
const zombie: Fault = {
  name: 'zombie',
  lane: 'pipelines',
  seconds: 11,
  draw: (random) => ({ slot: random.below(8), beyondMs: random.below(3_000) }),
  async inject({ fleet }, { slot, beyondMs }) {
    const victim = await fleet.reading(Number(slot), effectMs);
    const stopped = victim.launched.child.kill('SIGSTOP');
    const taken = await fleet.waitForOtherOwner(victim, effectMs);
    await pause(Number(beyondMs));
    victim.launched.child.kill('SIGCONT');
    expectEffect(stopped, 'the process was gone before it could be stopped');
    expectEffect(taken, 'nobody took over from the stopped process');
  },
};

/** A second group, whose member is given the partitions that the first one owns. */
const twoOwners: Fault = {
  name: 'two-owners',
  lane: 'pipelines',
  seconds: 6,
  draw: (random) => ({ lastsMs: 2_000 + random.below(4_000), suffix: random.below(1_000_000) }),
  async inject({ stand, fleet }, { lastsMs, suffix }) {
    const other = fleet.launch({ WEIR_GROUP_ID: `${stand.group}.${suffix}` });
    const folds = async () => (await other.metric('weir_records_total').catch(() => 0)) > 0;
    expectEffect(await waitUntil(folds, effectMs), 'the second owner folded nothing');
    await pause(Number(lastsMs));
    await other.kill();
  },
};

const rebalanceStorm: Fault = {
  name: 'rebalance-storm',
  lane: 'pipelines',
  seconds: 12,
  draw: (random) => ({ guests: 3 + random.below(3), everyMs: 1_500 + random.below(1_500), killed: random.below(3) }),
  async inject({ fleet }, { guests, everyMs, killed }) {
    const before = fleet.assignments;
    const hasMoved = () => fleet.assignments >= before + 2;
    const untilMs = Date.now() + effectMs;
    // Nobody can join while Kafka is away, nor so soon on a busy machine: guests go on coming, and stay, until somebody has.
    for (let guest = 0; guest < Number(guests) || (!hasMoved() && Date.now() < untilMs); guest++) {
      const process = fleet.launch();
      await (guest < Number(guests) ? pause(Number(everyMs)) : waitUntil(hasMoved, lateGuestMs));
      if (guest < Number(killed)) await process.kill();
      else await process.stop();
    }
    expectEffect(hasMoved(), 'partitions did not move');
  },
};

/** The instants of its log lines show what its clock says. */
const clock: Fault = {
  name: 'clock',
  lane: 'pipelines',
  seconds: 6,
  draw: (random) => ({
    slot: random.below(8),
    hours: random.pick([-30, -5, -1, 1, 5, 30]),
    lastsMs: 3_000 + random.below(4_000),
  }),
  async inject({ fleet }, { slot, hours, lastsMs }) {
    const jumpMs = Number(hours) * 3_600_000;
    const process = await fleet.replace(Number(slot), { CHAOS_CLOCK_JUMP_MS: String(jumpMs) });
    await process.ready(effectMs).catch(() => undefined);
    process.launched.child.kill('SIGUSR2');
    expectEffect(await waitUntil(() => process.output().includes(`clock jumped to ${jumpMs} ms`), effectMs), 'no jump');
    await pause(Number(lastsMs));
    process.launched.child.kill('SIGUSR2');
  },
};

export const pipelineFaults: readonly Fault[] = [kill, dieAt, zombie, twoOwners, rebalanceStorm, clock];
