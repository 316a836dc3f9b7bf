import { describe, expect, it } from 'vitest';
import { ForgottenThings } from '../../pipelines/forgotten.ts';
import { hashText } from '../../pipelines/hash.ts';
import { History } from '../../pipelines/history.ts';

function hashOf(key: string): { low: number; high: number } {
  const hash = { low: 0, high: 0 };
  hashText(key, hash);
  return hash;
}

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
    expect(wrong / added).toBeLessThan(0.03);
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
    const { low, high } = hashOf(key);
    history.begin(key, low, high);
    history.grew(offset);
  };

  it('forgets what was touched least recently, and keeps what is touched', () => {
    const history = new History({ records: () => 20 });
    for (let index = 0; index < 200; index++) {
      history.find('often');
      if (index === 0) remember(history, 'often', index);
      remember(history, `run-${index}`, index);
      history.evict(index);
    }
    expect(history.size).toBeLessThan(60);
    expect(history.find('often')).toBeDefined();
    expect(history.find('run-3')).toBeUndefined();
    const { low, high } = hashOf('run-3');
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
