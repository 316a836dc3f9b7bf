import { describe, expect, it } from 'vitest';
import type { BaselineEstimate, BaselineMeasure } from '../../../clickhouse/tables/baselines.ts';
import { bucketOf, bucketValue } from '../../../pipelines/histogram.ts';
import {
  baselineDefaults,
  estimateBaselines,
  expectAt,
  type HourSample,
  slotOf,
} from '../../../pipelines/scoring/baselines.ts';
import { HourlyValues } from '../../../pipelines/scoring/season.ts';
import { WeightedColumns } from '../../../pipelines/scoring/weighted.ts';
import { createRandom, type Random } from '../../../services/simulator/random.ts';

const hourSeconds = 3600;
/** A Thursday in summer, at noon. */
const throughSeconds = Date.UTC(2026, 5, 18, 12) / 1000;
const range = { throughSeconds, recentSeconds: throughSeconds - 7 * 24 * hourSeconds };

interface Run {
  startSeconds: number;
  durationUs: number;
  isFailure?: boolean;
}

/** As the rollup gives them: by hour of the week, lately or before. */
function sampleRuns(runs: readonly Run[]): HourSample[] {
  const hourOf = ({ startSeconds }: Run) => startSeconds - (startSeconds % hourSeconds);
  const isRecent = (run: Run) => hourOf(run) >= range.recentSeconds;
  const groups = Map.groupBy(runs, (run) => `${slotOf(hourOf(run))} ${isRecent(run)}`);
  return [...groups.values()].map((some) => {
    const durations: Record<string, number> = {};
    for (const { durationUs } of some) durations[bucketOf(durationUs)] = (durations[bucketOf(durationUs)] ?? 0) + 1;
    const hours = [...Map.groupBy(some, hourOf)].map(([hour, inHour]) => {
      return [hour, inHour.length, inHour.filter((run) => run.isFailure).length] as const;
    });
    const [first] = some as [Run, ...Run[]];
    return { slot: slotOf(hourOf(first)), isRecent: isRecent(first), durations, queues: {}, windows: hours };
  });
}

function estimate(runs: readonly Run[], measure: BaselineMeasure): BaselineEstimate | undefined {
  return estimateBaselines(sampleRuns(runs), range).find((found) => found.measure === measure)?.estimate;
}

/** Runs of four weeks: so many an hour, taking what the hour says, more or less. */
function drawRuns(random: Random, perHour: number, medianUsAt: (seconds: number) => number, sigma = 0.2): Run[] {
  return Array.from({ length: 28 * 24 * perHour }, (_, index) => {
    const startSeconds = throughSeconds - hourSeconds * (1 + Math.floor(index / perHour));
    return { startSeconds, durationUs: Math.round(random.logNormal(medianUsAt(startSeconds), sigma)) };
  });
}

const nearestRank = (values: readonly number[], share: number) =>
  values.toSorted((left, right) => left - right)[Math.max(1, Math.ceil(share * values.length)) - 1] as number;

describe('a weighted quantile', () => {
  it('is the one of the values written out', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = createRandom(seed);
      const values = Array.from(
        { length: 1 + random.below(30) },
        () => [random.below(20), 1 + random.below(4)] as const,
      );
      const plain = values.flatMap(([value, weight]) => Array.from({ length: weight }, () => value));
      const shares = [0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 1];
      const columns = WeightedColumns.of(values);
      const found = shares.map((share) => columns.quantile(share));
      expect(found, `seed ${seed}`).toEqual(shares.map((share) => nearestRank(plain, share)));
      const center = columns.median();
      const deviations = plain.map((value) => Math.abs(value - center));
      expect(columns.spreadFrom(center), `seed ${seed}`).toBe(nearestRank(deviations, 0.5));
      // Finding them leaves all that was there, whatever is looked for next.
      expect(columns.median(), `seed ${seed}`).toBe(nearestRank(plain, 0.5));
      expect(columns.total).toBe(plain.length);
    }
  });
});

describe('an hour of the week', () => {
  it('is counted from Monday midnight, UTC', () => {
    for (let index = 0; index < 400; index++) {
      const instant = new Date(Date.UTC(2015, 0, 1, index * 7, 59));
      const day = (instant.getUTCDay() + 6) % 7;
      expect(slotOf(instant.getTime() / 1000)).toBe(day * 24 + instant.getUTCHours());
    }
  });
});

describe('the baseline of durations', () => {
  it('is the naive one of the runs, where nothing recurs', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const runs = drawRuns(createRandom(seed), 2, () => 4_000_000, 0.8);
      const found = estimate(runs, 'duration');
      const logs = runs.map(({ durationUs }) => Math.log(bucketValue(bucketOf(durationUs)) / 1000));
      const center = nearestRank(logs, 0.5);
      expect(found, `seed ${seed}`).toMatchObject({ n: runs.length, windows: 28 * 24, season: [], center });
      expect(found?.spread).toBe(
        nearestRank(
          logs.map((log) => Math.abs(log - center)),
          0.5,
        ),
      );
      expect(found?.p95).toBeCloseTo(Math.exp(nearestRank(logs, 0.95)), 9);
      // Within the 1 % of the buckets it is the one of the true durations.
      const exact = nearestRank(
        runs.map(({ durationUs }) => durationUs / 1000),
        0.5,
      );
      expect(Math.abs((found?.p50 ?? 0) / exact - 1)).toBeLessThan(0.011);
    }
  });

  it('does not depend on the order of the hours', () => {
    const samples = sampleRuns(drawRuns(createRandom(9), 3, () => 1_000_000));
    expect(estimateBaselines(samples.toReversed(), range)).toEqual(estimateBaselines(samples, range));
  });

  it('is hardly moved by the very runs that are to be found', () => {
    const random = createRandom(3);
    const runs = drawRuns(random, 2, () => 1_000_000);
    const usual = estimate(runs, 'duration');
    const disturbed = estimate(
      runs.map((run) => (random.chance(0.1) ? { ...run, durationUs: 1e9 } : run)),
      'duration',
    );
    expect(Math.abs((disturbed?.center ?? 0) - (usual?.center ?? 0))).toBeLessThan(0.1);
    expect((disturbed?.spread ?? 0) / (usual?.spread ?? 1)).toBeLessThan(1.5);
  });

  it('needs twenty runs', () => {
    expect(baselineDefaults.leastRuns).toBe(20);
    const runs = drawRuns(createRandom(1), 1, () => 1_000_000);
    expect(estimate(runs.slice(0, 19), 'duration')).toBeUndefined();
    expect(estimate(runs.slice(0, 20), 'duration')).toMatchObject({ n: 20 });
    expect(estimateBaselines([], range)).toEqual([]);
  });

  it('takes runs that took no time at all', () => {
    const runs = drawRuns(createRandom(1), 1, () => 1_000_000).map((run) => ({ ...run, durationUs: 0 }));
    const found = estimate(runs, 'duration');
    expect(found).toMatchObject({ spread: 0, season: [] });
    expect(found?.p50).toBeCloseTo(0.001, 9);
  });
});

describe('a season', () => {
  /** Nights take three times as long, and weekends half. */
  const night = (seconds: number) => (slotOf(seconds) % 24 < 6 ? 3 : 1);
  const weekend = (seconds: number) => (slotOf(seconds) >= 5 * 24 ? 0.5 : 1);

  it('of the day is found, and makes what is usual narrower', () => {
    const runs = drawRuns(createRandom(5), 3, (seconds) => 1_000_000 * night(seconds));
    const found = estimate(runs, 'duration');
    expect(found?.season).toHaveLength(24);
    const logs = runs.map(({ durationUs }) => Math.log(durationUs / 1000));
    const center = nearestRank(logs, 0.5);
    expect(found?.spread).toBeLessThan(
      0.75 *
        nearestRank(
          logs.map((log) => Math.abs(log - center)),
          0.5,
        ),
    );
    // Runs of another week, of which it knows nothing, are foretold better too.
    const later = drawRuns(createRandom(6), 3, (seconds) => 1_000_000 * night(seconds));
    const errorOf = (expected: (atMs: number) => number) =>
      later.reduce(
        (sum, run) => sum + Math.abs(Math.log(run.durationUs / 1000) - expected(run.startSeconds * 1000)),
        0,
      );
    const withSeason = errorOf((atMs) => expectAt(found as BaselineEstimate, atMs));
    expect(withSeason).toBeLessThan(0.6 * errorOf(() => center));
  });

  it('of the week is found where days differ', () => {
    const runs = drawRuns(createRandom(7), 5, (seconds) => 1_000_000 * night(seconds) * weekend(seconds) ** 2);
    const found = estimate(runs, 'duration') as BaselineEstimate;
    expect(found.season).toHaveLength(168);
    const at = (day: number, hour: number) => Math.exp(expectAt(found, Date.UTC(2026, 5, 15 + day, hour)));
    for (const [day, hour, expected] of [
      [0, 12, 1000],
      [0, 3, 3000],
      [6, 12, 250],
      [6, 3, 750],
    ] as const) {
      expect(Math.abs(at(day, hour) / expected - 1), `day ${day}, hour ${hour}`).toBeLessThan(0.2);
    }
  });

  it('is not found in noise', () => {
    for (let seed = 1; seed <= 20; seed++) {
      expect(
        estimate(
          drawRuns(createRandom(seed), 2, () => 1_000_000),
          'duration',
        )?.season,
        `seed ${seed}`,
      ).toEqual([]);
    }
  });

  it('is not claimed from a few days, nor from recent ones alone', () => {
    const runs = drawRuns(createRandom(5), 3, (seconds) => 1_000_000 * night(seconds));
    const since = (seconds: number) => runs.filter(({ startSeconds }) => startSeconds >= seconds);
    expect(estimate(since(range.recentSeconds), 'duration')?.season).toEqual([]);
    expect(estimate(since(range.recentSeconds - 2 * 24 * hourSeconds), 'duration')?.season).toEqual([]);
    expect(HourlyValues.of([]).findSeason()).toEqual([]);
  });

  it('that has ended is not believed', () => {
    const runs = drawRuns(createRandom(5), 3, (seconds) => {
      return 1_000_000 * (seconds >= range.recentSeconds ? 1 : night(seconds));
    });
    expect(estimate(runs, 'duration')?.season).toEqual([]);
  });
});

describe('the baseline of throughput', () => {
  it('counts hours without a run, from the first one with any', () => {
    const daily = Array.from({ length: 20 }, (_, day) => ({
      startSeconds: Date.UTC(2026, 5, 17 - day, 4, 30) / 1000,
      durationUs: 1,
    }));
    const found = estimate(daily, 'finished_per_hour') as BaselineEstimate;
    const first = daily.at(-1)?.startSeconds ?? 0;
    const hours = Math.ceil((throughSeconds - first) / hourSeconds);
    expect(found).toMatchObject({ n: hours, windows: 20, p50: 0, p75: 0, spread: 0 });
    expect(found.season).toHaveLength(24);
    expect(expectAt(found, Date.UTC(2026, 6, 1, 4))).toBe(1);
    expect(expectAt(found, Date.UTC(2026, 6, 1, 5))).toBe(0);
  });

  it('needs a day', () => {
    const runs = drawRuns(createRandom(1), 1, () => 1_000_000);
    expect(estimate(runs.slice(0, 23), 'finished_per_hour')).toBeUndefined();
    expect(estimate(runs.slice(0, 24), 'finished_per_hour')).toMatchObject({ n: 24, center: 1, spread: 0 });
  });
});

describe('the baseline of failures', () => {
  const drawFailures = (random: Random, ratioOfHour: () => number) => {
    let ratio = 0;
    return drawRuns(random, 20, () => 1_000_000).map((run, index): Run => {
      if (index % 20 === 0) ratio = ratioOfHour();
      return { ...run, isFailure: random.chance(ratio) };
    });
  };

  it('is the share of failures, with what is usual before anything is known', () => {
    const runs = drawRuns(createRandom(1), 1, () => 1_000_000).slice(0, 40);
    const failed = runs.map((run, index) => ({ ...run, isFailure: index % 4 === 0 }));
    expect(estimate(failed, 'failure_ratio')).toMatchObject({ n: 40, center: 11 / 71, season: [] });
    expect(estimate(runs, 'failure_ratio')).toMatchObject({ n: 40, center: 1 / 71, p95: 0 });
    expect(estimate(failed.slice(0, 19), 'failure_ratio')).toBeUndefined();
  });

  it('tells hours that differ from hours that chance alone made differ', () => {
    const random = createRandom(2);
    const even = estimate(
      drawFailures(random, () => 0.1),
      'failure_ratio',
    ) as BaselineEstimate;
    const uneven = estimate(
      drawFailures(random, () => (random.chance(0.5) ? 0.02 : 0.18)),
      'failure_ratio',
    ) as BaselineEstimate;
    expect(even.spread).toBeLessThan(0.015);
    // (0.08 / 0.3)²: the variance between hours over that of a single run.
    expect(Math.abs(uneven.spread - 0.071)).toBeLessThan(0.02);
  });
});
