import { describe, expect, it } from 'vitest';
import { compareCounts, compareMeans, compareShares } from '../../../services/analysis/change.ts';
import { createRandom } from '../../../services/simulator/random.ts';

describe('a change', () => {
  it('is one when it is sure and large', () => {
    const before = { n: 100, mean: 1000, variance: 100 ** 2 };
    const now = { n: 100, mean: 1200, variance: 100 ** 2 };
    // Two hundred over the root of 2 * 100^2 / 100, which is 14.14: fourteen standard errors.
    expect(compareMeans(before, now, 'less')).toMatchObject({
      direction: 'degrading',
      change_ratio: 0.2,
      confidence: 1,
    });
    expect(compareMeans(now, before, 'less').direction).toBe('improving');
    expect(compareMeans(before, { ...now, mean: 1020 }, 'less').direction).toBe('stable');
    expect(compareMeans(before, now, 'neither').direction).toBe('stable');
  });

  it('has the confidence of the normal distribution', () => {
    const one = { n: 50, mean: 0, variance: 50 };
    // The standard error is the root of 2; 1.96 of it leave five per cent.
    const { confidence } = compareMeans(one, { ...one, mean: 1.959964 * Math.SQRT2 }, 'less');
    expect(confidence).toBeCloseTo(0.95, 3);
    expect(compareShares({ hits: 10, of: 100 }, { hits: 20, of: 100 }, 'less').confidence).toBeCloseTo(0.9522, 2);
  });

  it('is not told from too little', () => {
    expect(compareShares({ hits: 0, of: 4 }, { hits: 4, of: 4 }, 'less')).toMatchObject({
      direction: 'stable',
      confidence: null,
    });
    expect(compareMeans({ n: 0, mean: 0, variance: 0 }, { n: 9, mean: 5, variance: 1 }, 'less')).toMatchObject({
      before: null,
      now: 5,
      change_ratio: null,
      direction: 'stable',
    });
    expect(compareCounts(0, 0, 'less')).toMatchObject({ direction: 'stable', change_ratio: null });
  });

  it.each([1, 2])('is rarely seen where there is none: seed %i', (seed) => {
    const random = createRandom(seed);
    const draw = () => {
      const values = Array.from({ length: 60 }, () => random.logNormal(1000, 0.5));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return { n: 60, mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length };
    };
    let seen = 0;
    for (let at = 0; at < 400; at++) if (compareMeans(draw(), draw(), 'less').direction !== 'stable') seen++;
    expect(seen).toBeLessThan(400 * 0.1);
  });
});
