import { describe, expect, it } from 'vitest';
import { Thing } from '../../pipelines/fold.ts';
import { ForgottenThings } from '../../pipelines/forgotten.ts';
import { hashText } from '../../pipelines/hash.ts';
import { History } from '../../pipelines/history.ts';
import { keyOf, ScratchName, ThingTable } from '../../pipelines/thing-table.ts';
import { createRandom } from '../../services/simulator/random.ts';

function hashOf(key: string): { low: number; high: number } {
  const hash = { low: 0, high: 0 };
  hashText(key, hash);
  return hash;
}

const nameOf = (executionId: string) => new ScratchName().setExecution('w', 's', executionId);

describe('the filter of forgotten things', () => {
  it('never denies what was added, and seldom affirms what was not, while it grows', () => {
    const filter = new ForgottenThings();
    const added = 400_000;
    for (let index = 0; index < added; index++) {
      const { low, high } = hashOf(`run-${index}`);
      filter.add(low, high);
    }
    let missed = 0;
    let wrong = 0;
    for (let index = 0; index < added; index++) {
      const known = hashOf(`run-${index}`);
      const unknown = hashOf(`other-${index}`);
      if (!filter.mayHold(known.low, known.high)) missed++;
      if (filter.mayHold(unknown.low, unknown.high)) wrong++;
    }
    expect(missed).toBe(0);
    expect(wrong / added).toBeLessThan(0.0001);
  });

  it('stays within its bound and only becomes less sharp', () => {
    const filter = new ForgottenThings(200_000);
    for (let index = 0; index < 300_000; index++) {
      const { low, high } = hashOf(`run-${index}`);
      filter.add(low, high);
    }
    expect(filter.bytes).toBeLessThanOrEqual(200_000);
    const { low, high } = hashOf('run-7');
    expect(filter.mayHold(low, high)).toBe(true);
  });
});

describe('the history of a partition', () => {
  const remember = (history: History, key: string, offset: number) => {
    history.begin(nameOf(key));
    history.grew(offset);
  };

  it('forgets what was touched least recently, and keeps what is touched', () => {
    const history = new History({ records: () => 20 });
    for (let index = 0; index < 200; index++) {
      history.find(nameOf('often'));
      if (index === 0) remember(history, 'often', index);
      remember(history, `run-${index}`, index);
      history.evict(index);
    }
    expect(history.size).toBeLessThan(60);
    expect(history.find(nameOf('often'))).toBeDefined();
    expect(history.find(nameOf('run-3'))).toBeUndefined();
    const { low, high } = nameOf('run-3');
    expect(history.forgotten.mayHold(low, high)).toBe(true);
  });

  it('forgets nothing whose rows are not durable yet', () => {
    const history = new History({ records: () => 4 });
    for (let index = 0; index < 100; index++) {
      remember(history, `run-${index}`, index);
      history.evict(-1);
    }
    expect(history.size).toBe(100);
  });
});

describe('the table of things', () => {
  const parts = ['a', 'b', 'ab', '', 'ä', '工', 'a-1'];

  it('finds exactly what a map of whole names finds', () => {
    const random = createRandom(5);
    const table = new ThingTable();
    const map = new Map<string, Thing>();
    const name = new ScratchName();
    for (let step = 0; step < 15_000; step++) {
      const owner = `${random.pick(parts)}${random.below(400)}`;
      if (random.chance(0.5)) name.setExecution(random.pick(parts), 's', owner);
      else name.setTask(random.pick(parts), 's', owner, random.pick(parts), random.below(3) - 1);
      const key = keyOf(name);
      expect(hashOf(key)).toEqual({ low: name.low, high: name.high });
      expect(new ScratchName().setKey(key)).toEqual(name);
      const known = map.get(key);
      expect(table.find(name)).toBe(known);
      if (known === undefined) {
        const thing = new Thing(name);
        table.add(thing);
        map.set(key, thing);
      } else if (random.chance(0.3)) {
        table.delete(known);
        map.delete(key);
      }
    }
    expect(table.size).toBe(map.size);
    expect(new Set(table)).toEqual(new Set(map.values()));
  });

  it('tells things apart whose hashes are the same', () => {
    const table = new ThingTable();
    const names = ['one', 'two', 'three'].map((id) => Object.assign(nameOf(id), { low: 7, high: 9 }));
    const things = names.map((name) => new Thing(name));
    for (const thing of things) table.add(thing);
    table.delete(things[1] as Thing);
    expect(names.map((name) => table.find(name))).toEqual([things[0], undefined, things[2]]);
  });
});
