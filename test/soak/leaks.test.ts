import { expect, it } from 'vitest';
import { createRandom } from '../../services/simulator/random.ts';
import { findLeaks } from './leaks.ts';

const noise = createRandom(7);
const series = (shape: (at: number) => number) =>
  Array.from({ length: 120 }, (_, at) => shape(at) * (1 + 0.02 * (noise.next() - 0.5)));
const leaking = (name: string, values: (number | null)[]) =>
  findLeaks(new Map([[name, values]])).filter(({ leaks }) => leaks);

it('finds memory that grows slowly and without end', () => {
  expect(
    leaking(
      'pipelines memory MB',
      series((at) => 300 + at),
    ),
  ).toHaveLength(1);
});

it('is content with what grows at first and then stays', () => {
  expect(
    leaking(
      'ClickHouse memory MB',
      series((at) => 300 + 400 * (1 - Math.exp(-at / 8))),
    ),
  ).toEqual([]);
});

it('is content with a saw tooth, as garbage and merges make it', () => {
  expect(
    leaking(
      'task_cells parts',
      series((at) => 20 + (at % 9) * 6),
    ),
  ).toEqual([]);
});

it('is content with long teeth, of which the half that is judged holds little more than one', () => {
  // It rises from the sixty-fourth reading to the last but two.
  const values = series((at) => 300 + 3 * ((at + 44) % 54));
  expect(findLeaks(new Map([['ClickHouse memory MB', values]]))).toMatchObject([{ leaks: false }]);
});

it('finds a saw tooth whose feet rise', () => {
  expect(
    leaking(
      'query memory MB',
      series((at) => 200 + (at % 9) * 10 + at),
    ),
  ).toHaveLength(1);
});

it('says nothing about a few open files more, nor about what was read too seldom', () => {
  expect(
    leaking(
      'demo open files',
      series((at) => 12 + at / 200),
    ),
  ).toEqual([]);
  expect(findLeaks(new Map([['short memory MB', [1, 2, 3, 4]]]))).toEqual([]);
});

it('leaves readings out that were not to be had', () => {
  const values = series((at) => 300 + at).map((value, at) => (at % 3 === 0 ? null : value));
  expect(leaking('pipelines memory MB', values)).toHaveLength(1);
});
