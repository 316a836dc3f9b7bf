import { describe, expect, it } from 'vitest';
import { playToEnd, startMs, work, workflow } from './play-stage.ts';
import {
  type Estimate,
  erlangC,
  estimateMean,
  meanLongestMs,
  meanWaitFixedMs,
  meanWaitMs,
  simulateWaits,
} from './queue-theory.ts';

/** The interval has to hold the truth, and to be narrow enough to mean something. */
function expectAround({ mean, halfWidth }: Estimate, truth: number, widthRatioMax: number): void {
  const told = `${mean.toFixed(4)} +- ${halfWidth.toFixed(4)}, in theory ${truth.toFixed(4)}`;
  expect(Math.abs(mean - truth), told).toBeLessThan(halfWidth);
  expect(halfWidth / truth, told).toBeLessThan(widthRatioMax);
}

describe('waiting times agree with theory', () => {
  it.each([
    [1, 0.5],
    [1, 0.8],
    [2, 0.8],
    [5, 0.7],
    [20, 0.8],
  ])('of M/M/%i at a load of %f', (servers, busyRatio) => {
    const serviceMs = 10;
    const arrivalRate = (servers * busyRatio) / serviceMs;
    const waits = simulateWaits({ servers, arrivalRate, serviceMs, requests: 300_000, seed: 11 });
    expectAround(estimateMean(waits), meanWaitMs(servers, arrivalRate, serviceMs), 0.2);
  });

  it('of M/D/1, which are half of those of M/M/1', () => {
    const queue = { servers: 1, arrivalRate: 0.07, serviceMs: 10 };
    const waits = simulateWaits({ ...queue, isServiceFixed: true, requests: 300_000, seed: 5 });
    expectAround(estimateMean(waits), meanWaitFixedMs(0.07, 10), 0.1);
    expect(meanWaitFixedMs(0.07, 10)).toBeCloseTo(meanWaitMs(1, 0.07, 10) / 2, 10);
  });

  it('in how many have to wait at all', () => {
    const waits = simulateWaits({ servers: 3, arrivalRate: 0.24, serviceMs: 10, requests: 300_000, seed: 3 });
    const hasWaited = waits.map((waitMs) => (waitMs > 0 ? 1 : 0));
    expectAround(estimateMean(hasWaited), erlangC(3, 2.4), 0.1);
  });

  it('by formulas that give the numbers of the textbooks', () => {
    // One server at half load keeps one waiting for as long as it serves; two servers of load 1 make a third wait.
    expect(meanWaitMs(1, 0.05, 10)).toBeCloseTo(10, 10);
    expect(erlangC(2, 1)).toBeCloseTo(1 / 3, 10);
    expect(meanLongestMs(4, 12)).toBeCloseTo(25, 10);
  });
});

const durationMs = { distribution: 'exponential', meanMs: 60_000 } as const;

/** Makespans of many executions, each with its own seed. */
function makespans(definition: ReturnType<typeof workflow>, count: number, slots?: number): Float64Array {
  return Float64Array.from({ length: count }, (_, seed) => {
    const { last } = playToEnd(definition, { seed, ...(slots === undefined ? {} : { slots }) });
    return last.atMs - startMs;
  });
}

describe('makespans agree with theory', () => {
  const forks = Array.from({ length: 8 }, (_, index) => work(`fork${index}`, { durationMs, after: ['begin'] }));
  const fork = workflow([work('begin', { durationMs: 1000 }), ...forks]);

  it('of a chain: the sum', () => {
    const ids = ['a', 'b', 'c', 'd', 'e'];
    const chain = ids.map((id, index) => work(id, { durationMs, ...(index === 0 ? {} : { after: [ids[index - 1]] }) }));
    expectAround(estimateMean(makespans(workflow(chain), 4000)), 5 * 60_000, 0.06);
  });

  it('of a fork with a slot for each branch: the longest of them', () => {
    expectAround(estimateMean(makespans(fork, 4000)), 1000 + meanLongestMs(8, 60_000), 0.06);
  });

  it('of a fork with one slot: the sum of all branches', () => {
    expectAround(estimateMean(makespans(fork, 4000, 1)), 1000 + 8 * 60_000, 0.06);
  });

  it('of a fork with three slots: what is left is done by all three, then by two, then by one', () => {
    // Of 8 exponential tasks on 3 slots, 6 end at the rate of three, the seventh at that of two, the last alone.
    const truth = 1000 + (6 / 3) * 60_000 + 60_000 / 2 + 60_000;
    expectAround(estimateMean(makespans(fork, 4000, 3)), truth, 0.06);
  });
});
