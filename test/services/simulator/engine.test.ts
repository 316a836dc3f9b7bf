import { describe, expect, it } from 'vitest';
import { Engine } from '../../../services/simulator/engine.ts';
import { createRandom } from '../../../services/simulator/random.ts';

describe('the engine', () => {
  it('processes events by time, and those of equal times in the order in which they were scheduled', () => {
    const engine = new Engine(1000);
    const told: string[] = [];
    engine.at(1020, () => told.push('c'));
    engine.at(1010, () => told.push('a'));
    engine.at(1010, () => told.push('b'));
    engine.after(0, () => told.push('first'));
    engine.runUntil(1020);
    expect(told).toEqual(['first', 'a', 'b', 'c']);
    expect(engine.processed).toBe(4);
  });

  it('keeps that order for a hundred thousand events, some of them cancelled', () => {
    const engine = new Engine(0);
    const random = createRandom(7);
    const told: [timeMs: number, turn: number][] = [];
    const cancelled = new Set<number>();
    for (let turn = 0; turn < 100_000; turn++) {
      const timeMs = random.below(500);
      const event = engine.at(timeMs, () => told.push([timeMs, turn]));
      if (!random.chance(0.7)) continue;
      engine.cancel(event);
      cancelled.add(turn);
    }
    engine.runUntil(Number.POSITIVE_INFINITY);
    const sorted = told.toSorted(([oneMs, one], [otherMs, other]) => oneMs - otherMs || one - other);
    expect(told).toEqual(sorted);
    expect(told).toHaveLength(100_000 - cancelled.size);
    expect(told.filter(([, turn]) => cancelled.has(turn))).toEqual([]);
  });

  it('stops at the time it is given, and includes it', () => {
    const engine = new Engine(0);
    const told: number[] = [];
    for (const timeMs of [5, 10, 11]) engine.at(timeMs, () => told.push(timeMs));
    engine.runUntil(10);
    expect([told, engine.nowMs, engine.nextMs]).toEqual([[5, 10], 10, 11]);
    engine.runUntil(10.5);
    expect(engine.nowMs).toBe(10.5);
  });

  it('lets what happens schedule more, also for the same instant', () => {
    const engine = new Engine(0);
    const told: number[] = [];
    const tick = () => {
      told.push(engine.nowMs);
      if (told.length < 4) engine.after(told.length === 2 ? 0 : 10, tick);
    };
    engine.after(10, tick);
    while (engine.step());
    expect(told).toEqual([10, 20, 20, 30]);
    expect(engine.nextMs).toBeNull();
  });

  it('cancels once, and not what has happened', () => {
    const engine = new Engine(0);
    const past = engine.at(1, () => {});
    const coming = engine.at(2, () => expect.unreachable());
    engine.runUntil(1);
    engine.cancel(past);
    engine.cancel(coming);
    engine.cancel(coming);
    expect([past.cancelled, coming.cancelled, engine.nextMs]).toEqual([false, true, null]);
    expect(engine.step()).toBe(false);
    expect(engine.processed).toBe(1);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a time that cannot come: %s', (timeMs) => {
    expect(() => new Engine(0).at(timeMs, () => {})).toThrow('cannot schedule');
  });
});
