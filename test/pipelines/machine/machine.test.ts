import { describe, expect, it } from 'vitest';
import type { ModelKind } from './model-log.ts';
import { runSchedule, type ScheduleResult } from './schedule.ts';

const firstSeed = Number(process.env.SEED ?? 1);

/** Runs many schedules; a failure names the seed that shows it, to be run again with SEED=n. */
async function runMany(
  kind: ModelKind,
  schedules: number,
  trimming: boolean,
): Promise<Omit<ScheduleResult, 'problems'>> {
  const total = { crashes: 0, zombies: 0, trims: 0, asked: 0, refused: 0 };
  for (let seed = firstSeed; seed < firstSeed + schedules; seed++) {
    const { problems, ...counted } = await runSchedule({ kind, seed, trimming });
    expect(problems, `seed ${seed}`).toEqual([]);
    total.crashes += counted.crashes;
    total.zombies += counted.zombies;
    total.trims += counted.trims;
    total.asked += counted.asked;
    total.refused += counted.refused;
  }
  return total;
}

describe('the machine that folds, flushes and commits', () => {
  it('ends with exactly the recomputed rows, executions, cells and ledger after any schedule of crashes, zombies, upgrades and lost acknowledgements', async () => {
    const total = await runMany('executions', 1500, false);
    expect(total.crashes).toBeGreaterThan(3000);
    expect(total.zombies).toBeGreaterThan(1500);
    expect(total.asked).toBeGreaterThan(5_000);
    expect(total.refused).toBeGreaterThan(20);
  });

  it('keeps every contribution of records that retention removed after they were stored', async () => {
    const total = await runMany('executions', 800, true);
    expect(total.trims).toBeGreaterThan(500);
  });

  it('does the same with reports about orchestrators, whose cells have readings and latest values', async () => {
    const total = await runMany('orchestrators', 200, false);
    expect(total.crashes).toBeGreaterThan(400);
    expect(total.asked).toBeGreaterThan(300);
  });

  it('keeps what reports contributed that retention removed after they were stored', async () => {
    const total = await runMany('orchestrators', 150, true);
    expect(total.trims).toBeGreaterThan(80);
  });
});
