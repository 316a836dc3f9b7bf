import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GatheredAsks, type Gathering } from '../../clickhouse/gathered-asks.ts';

type Row = [key: string, value: number];

/** Questions that are answered by hand: each row bears the name of what it is about. */
function makeStage() {
  const asked: {
    about: readonly string[];
    signal: AbortSignal;
    answer: (...rows: Row[]) => Promise<void>;
    fail: (message: string) => Promise<void>;
  }[] = [];
  const gathering: Gathering<string, Row> = {
    askAll: (about, signal) =>
      new Promise((resolve, reject) => {
        const answer = async (...rows: Row[]) => {
          resolve({ rows, bytes: 700, readRows: 7, readBytes: 70 });
          await turn();
        };
        const fail = async (message: string) => {
          reject(new Error(message));
          await turn();
        };
        asked.push({ about, signal, answer, fail });
        signal.addEventListener('abort', () => reject(new Error('aborted')));
      }),
    keyOfAsk: (ask) => ask,
    keyOfRow: ([key]) => key,
  };
  const gathered = new GatheredAsks();
  const ask = (about: string, signal?: AbortSignal, group = 'alike', sinceMs?: number) =>
    gathered.ask(group, about, gathering, { signal, sinceMs });
  return { asked, ask };
}

describe('gathered asks', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('go at once while nobody asks, and wait for each other while somebody does', async () => {
    const { asked, ask } = makeStage();
    const first = ask('a');
    expect(asked.map(({ about }) => about)).toEqual([['a']]);
    const later = [ask('b'), ask('c'), ask('b')];
    expect(asked).toHaveLength(1);
    await asked[0].answer(['a', 1], ['a', 2]);
    expect((await first).answer.rows).toEqual([
      ['a', 1],
      ['a', 2],
    ]);
    expect(asked[1].about).toEqual(['b', 'c', 'b']);
    await asked[1].answer(['c', 5], ['b', 3], ['b', 4]);
    const found = await Promise.all(later);
    const ofB = [
      ['b', 3],
      ['b', 4],
    ];
    expect(found.map(({ answer }) => answer.rows)).toEqual([ofB, [['c', 5]], ofB]);
    // Each is as large as its own rows are.
    expect(found.map(({ answer }) => answer.bytes)).toEqual([467, 234, 467]);
    // One of them bears what was read, so that sums are right.
    expect(found.map(({ isAsked }) => isAsked)).toEqual([true, false, false]);
    const after = ask('d');
    expect(asked[2].about).toEqual(['d']);
    await asked[2].answer();
    expect((await after).answer.rows).toEqual([]);
  });

  it('that are not alike do not wait for each other', async () => {
    const { asked, ask } = makeStage();
    const both = [ask('a', undefined, 'one'), ask('a', undefined, 'other')];
    expect(asked).toHaveLength(2);
    await asked[0].answer(['a', 1]);
    await asked[1].answer(['a', 2]);
    expect((await Promise.all(both)).map(({ answer }) => answer.rows)).toEqual([[['a', 1]], [['a', 2]]]);
  });

  it('of too many groups wait for those that came before them, the longest waiting first', async () => {
    const { asked, ask } = makeStage();
    const first = [ask('a', undefined, 'one'), ask('b', undefined, 'other')];
    const later = [ask('c', undefined, 'third'), ask('d', undefined, 'fourth'), ask('e', undefined, 'third')];
    expect(asked.map(({ about }) => about)).toEqual([['a'], ['b']]);
    await asked[1].answer();
    expect(asked.slice(2).map(({ about }) => about)).toEqual([['c', 'e']]);
    vi.advanceTimersByTime(150);
    expect(asked.slice(3).map(({ about }) => about)).toEqual([['d']]);
    // Long answers that come at last let nobody else go who may not.
    await asked[0].answer();
    await asked[2].answer();
    const next = [ask('f', undefined, 'one'), ask('g', undefined, 'other')];
    expect(asked.slice(4).map(({ about }) => about)).toEqual([['f']]);
    await asked[3].answer();
    await asked[4].answer();
    await asked[5].answer();
    await Promise.all([...first, ...later, ...next]);
  });

  it('go before others where somebody has waited longer, though not for this one', async () => {
    const { asked, ask } = makeStage();
    const since = (group: string, sinceMs: number) => ask(group, undefined, group, sinceMs);
    const all = [since('one', 10), since('other', 20), since('young', 40), since('old', 30), since('young', 50)];
    await asked[0].answer();
    expect(asked.slice(2).map(({ about }) => about)).toEqual([['old']]);
    all.push(since('young', 25), since('second', 15));
    await asked[1].answer();
    expect(asked.slice(3).map(({ about }) => about)).toEqual([['second']]);
    await asked[2].answer();
    expect(asked.slice(4).map(({ about }) => about)).toEqual([['young', 'young', 'young']]);
    await asked[3].answer();
    await asked[4].answer();
    await Promise.all(all);
  });

  it('wait for a long answer to another only for a moment', async () => {
    const { asked, ask } = makeStage();
    const long = ask('long');
    const [b, c] = [ask('b'), ask('c')];
    vi.advanceTimersByTime(149);
    expect(asked).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(asked[1].about).toEqual(['b', 'c']);
    await asked[1].answer(['b', 1], ['c', 2]);
    expect((await b).answer.rows).toEqual([['b', 1]]);
    expect((await c).answer.rows).toEqual([['c', 2]]);
    await asked[0].answer(['long', 3]);
    expect((await long).answer.rows).toEqual([['long', 3]]);
  });

  it('are bounded in how many go at once', () => {
    const { asked, ask } = makeStage();
    void ask('first');
    for (let at = 0; at < 150; at++) void ask(String(at));
    expect(asked.map(({ about }) => about.length)).toEqual([1, 100]);
  });

  it('are asked one by one where all at once failed', async () => {
    const { asked, ask } = makeStage();
    const first = ask('a');
    const later = [ask('small'), ask('huge')];
    await asked[0].answer();
    await first;
    await asked[1].fail('too much');
    expect(asked.slice(2).map(({ about }) => about)).toEqual([['small'], ['huge']]);
    const settled = Promise.allSettled(later);
    await asked[2].answer(['small', 1]);
    await asked[3].fail('too much of one');
    const [small, huge] = await settled;
    expect(small).toMatchObject({ status: 'fulfilled', value: { answer: { rows: [['small', 1]] }, isAsked: true } });
    expect(huge).toMatchObject({ status: 'rejected', reason: new Error('too much of one') });
  });

  it('end with the last who waits, and ask no more for who has left', async () => {
    const { asked, ask } = makeStage();
    const leaving = [new AbortController(), new AbortController(), new AbortController()];
    const first = ask('a');
    const settled = Promise.allSettled([
      ask('b', leaving[0].signal),
      ask('c', leaving[1].signal),
      ask('d', leaving[2].signal),
    ]);
    leaving[0].abort();
    await asked[0].answer();
    await first;
    expect(asked[1].about).toEqual(['c', 'd']);
    leaving[1].abort();
    expect(asked[1].signal.aborted).toBe(false);
    leaving[2].abort();
    expect(asked[1].signal.aborted).toBe(true);
    const [b, c, d] = await settled;
    expect(b).toMatchObject({ status: 'rejected', reason: { code: 'aborted' } });
    expect([c.status, d.status]).toEqual(['rejected', 'rejected']);
    // Nobody is left of whom it could be asked alone.
    expect(asked).toHaveLength(2);
    const after = ask('e');
    expect(asked[2].about).toEqual(['e']);
    await asked[2].answer(['e', 1]);
    expect((await after).answer.rows).toEqual([['e', 1]]);
  });
});
