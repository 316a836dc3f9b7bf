import { describe, expect, it } from 'vitest';
import { type Activity, activities, type Stretch, splitWallClock } from '../../../services/analysis/wall-clock.ts';
import { createRandom } from '../../../services/simulator/random.ts';

describe('the wall clock', () => {
  it('is split as the example in the comment says', () => {
    const stretches: Stretch[] = [
      { activity: 'queueWait', fromMs: 0, toMs: 10 },
      { activity: 'run', fromMs: 10, toMs: 21 },
      { activity: 'run', fromMs: 5, toMs: 17 },
      { activity: 'retryBackoff', fromMs: 17, toMs: 25 },
    ];
    expect(splitWallClock(stretches, 0, 30)).toEqual({
      totalMs: 30,
      queueWaitMs: 5,
      runMs: 16,
      retryBackoffMs: 4,
      idleMs: 5,
      dependencyWaitMs: 0,
      schedulingDelayMs: 0,
      startUpMs: 0,
    });
  });

  it.each([1, 2, 3, 4, 5])('gives every millisecond to one part, the first of those that go on: seed %i', (seed) => {
    const random = createRandom(seed);
    const stretches = Array.from({ length: random.below(30) }, (): Stretch => {
      const fromMs = random.below(300) - 50;
      return { activity: activities[random.below(activities.length)], fromMs, toMs: fromMs + random.below(80) - 10 };
    });
    const counts = new Map<Activity | 'idle', number>();
    for (let ms = 0; ms < 200; ms++) {
      const open = stretches.filter(({ fromMs, toMs }) => fromMs <= ms && ms < toMs).map(({ activity }) => activity);
      const name = activities.find((activity) => open.includes(activity)) ?? 'idle';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    const { totalMs, ...parts } = splitWallClock(stretches, 0, 200);
    expect(totalMs).toBe(200);
    for (const [name, ms] of Object.entries(parts)) {
      expect(ms, name).toBe(counts.get(name.replace(/Ms$/, '') as Activity) ?? 0);
    }
  });

  it('of a range that ends before it begins is empty', () => {
    expect(splitWallClock([{ activity: 'run', fromMs: 0, toMs: 9 }], 5, 3)).toMatchObject({
      totalMs: 0,
      runMs: 0,
      idleMs: 0,
    });
  });
});
