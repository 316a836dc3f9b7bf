import { describe, expect, it } from 'vitest';
import { olderRelease, patched, raiseFoldVersion } from './code-tree.ts';
import { mutants } from './mutants.ts';
import { allFaults, describePlan, lanesOf, planFaults } from './plan.ts';

describe('a schedule of faults', () => {
  it('follows from its seed alone', () => {
    expect(describePlan(planFaults(7, 300, allFaults))).toEqual(describePlan(planFaults(7, 300, allFaults)));
    expect(describePlan(planFaults(8, 300, allFaults))).not.toEqual(describePlan(planFaults(7, 300, allFaults)));
  });

  it('has every fault once before any comes again, and ends in time', () => {
    for (const chosen of [1, 2, 3]) {
      const plan = planFaults(chosen, 900, allFaults);
      expect(new Set(plan.map(({ fault }) => fault))).toEqual(new Set(allFaults));
      expect(plan.every(({ atMs, fault }) => atMs + fault.seconds * 1_000 <= 900_000)).toBe(true);
    }
  });

  it('never has two faults of one lane at a time', () => {
    const freeAtMs = new Map<string, number>();
    for (const { atMs, fault } of planFaults(5, 900, allFaults)) {
      for (const lane of lanesOf(fault)) {
        expect(atMs).toBeGreaterThanOrEqual(freeAtMs.get(lane) ?? 0);
        freeAtMs.set(lane, atMs + fault.seconds * 1_000);
      }
    }
  });
});

describe('code that is changed for a run', () => {
  it('still has everything that the changes ask for', async () => {
    for (const patch of [...olderRelease, ...raiseFoldVersion, ...mutants.flatMap(({ patches }) => patches)]) {
      expect(await patched(patch)).toContain(patch.replace);
    }
  });
});
