import { expect, it } from 'vitest';
import { createRandom } from '../../../services/simulator/random.ts';

it('gives the same numbers for the same seed, and unrelated ones for the next', () => {
  const draw = (seed: number) => {
    const random = createRandom(seed);
    return Array.from({ length: 5 }, () => random.next());
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
});

it('draws from the distributions that it promises', () => {
  const random = createRandom(42);
  const count = 50_000;
  const values = Array.from({ length: count }, () => random.logNormal(1_000, 0.5)).sort((left, right) => left - right);
  expect(values[count / 2]).toBeGreaterThan(980);
  expect(values[count / 2]).toBeLessThan(1_020);
  let sum = 0;
  for (let drawn = 0; drawn < count; drawn++) sum += random.exponential(10);
  expect(sum / count).toBeGreaterThan(9.8);
  expect(sum / count).toBeLessThan(10.2);
});
