import { expect, it } from 'vitest';
import { estimateBaselines, type HourSample, slotOf } from '../../../pipelines/scoring/baselines.ts';
import { expectBaselines, type StoredHour } from '../../../pipelines/verify/expected-baselines.ts';
import { createRandom, type Random } from '../../../services/simulator/random.ts';

const hourSeconds = 3600;
const throughSeconds = Date.UTC(2026, 5, 18, 6) / 1000;
const range = { throughSeconds, recentSeconds: throughSeconds - 7 * 24 * hourSeconds };

/** Hours of any density and shape; corrections have left some buckets at zero or below. */
function drawHours(random: Random): StoredHour[] {
  const hours: StoredHour[] = [];
  const density = random.pick([0.05, 0.3, 1]);
  const period = random.pick([1, 24, 168]);
  const most = random.pick([2, 6, 15]);
  const histogram = (n: number, base: number) => {
    const buckets: Record<string, number> = {};
    for (let run = 0; run < n; run++) {
      const bucket = random.chance(0.02) ? -32768 : base + random.below(30);
      buckets[bucket] = (buckets[bucket] ?? 0) + (random.chance(0.05) ? -1 : 1);
    }
    return buckets;
  };
  for (let startSeconds = throughSeconds - 28 * 86_400; startSeconds < throughSeconds; startSeconds += hourSeconds) {
    if (!random.chance(density)) continue;
    const isBusy = slotOf(startSeconds) % period < period / 4;
    for (const version of random.chance(0.2) ? ['1', '2'] : ['1']) {
      const finished = random.below(most) * (isBusy ? 3 : 1);
      const failures = Math.min(finished, random.below(3));
      const durations = histogram(finished - failures, isBusy ? 800 : 600);
      hours.push({ version, startSeconds, durations, queues: histogram(finished, 100), finished, failures });
    }
  }
  return hours;
}

/** As the hours are handed to the estimates: of each version, by hour of the week, before and lately. */
function toSamples(hours: readonly StoredHour[]): HourSample[] {
  const groups = Map.groupBy(hours, ({ version, startSeconds }) =>
    JSON.stringify([version, slotOf(startSeconds), startSeconds >= range.recentSeconds]),
  );
  const merge = (some: readonly Record<string, number>[]) => {
    const sums: Record<string, number> = {};
    for (const one of some) for (const [bucket, n] of Object.entries(one)) sums[bucket] = (sums[bucket] ?? 0) + n;
    return Object.fromEntries(Object.entries(sums).filter(([, n]) => n > 0));
  };
  return [...groups.values()].map((some) => {
    const { startSeconds } = some[0] as StoredHour;
    return {
      slot: slotOf(startSeconds),
      isRecent: startSeconds >= range.recentSeconds,
      durations: merge(some.map(({ durations }) => durations)),
      queues: merge(some.map(({ queues }) => queues)),
      windows: some.map(({ startSeconds: start, finished, failures }) => [start, finished, failures] as const),
    };
  });
}

it('comes to what is published, whatever the hours are', () => {
  const seasons = new Set<number>();
  let measures = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const hours = drawHours(createRandom(seed));
    for (const [version, expected] of expectBaselines(hours, range)) {
      const own = hours.filter((hour) => version === '' || hour.version === version);
      const published = estimateBaselines(toSamples(own), range);
      const where = `seed ${seed}, version ${version}`;
      expect([...expected.keys()].sort(), where).toEqual(published.map(({ measure }) => measure).sort());
      for (const { measure, estimate } of published) {
        const { season, ...numbers } = estimate;
        const wanted = expected.get(measure);
        for (const [field, value] of Object.entries(numbers)) {
          expect(wanted?.[field as 'center'], `${where}, ${measure} ${field}`).toBeCloseTo(value, 7);
        }
        expect(wanted?.season.length, `${where}, ${measure}`).toBe(season.length);
        season.forEach((offset, hour) => {
          expect(wanted?.season[hour], `${where}, ${measure} hour ${hour}`).toBeCloseTo(offset, 9);
        });
        seasons.add(season.length);
        measures++;
      }
    }
  }
  // Of every kind of season there was some, or this would say little.
  expect([...seasons].sort((left, right) => left - right)).toEqual([0, 24, 168]);
  expect(measures).toBeGreaterThan(300);
});
