import { describe, expect, it, test } from 'vitest';
import { Cusum } from '../../../services/alerts/detectors/cusum.ts';
import { FailureRate } from '../../../services/alerts/detectors/failure-rate.ts';
import { FalseDiscovery } from '../../../services/alerts/detectors/false-discovery.ts';
import { Level } from '../../../services/alerts/detectors/level.ts';
import { RecordExcess } from '../../../services/alerts/detectors/record-excess.ts';
import { betaBinomialTail, negativeBinomialTails, normalTail } from '../../../services/alerts/detectors/tails.ts';
import { Throughput } from '../../../services/alerts/detectors/throughput.ts';
import { createRandom } from '../../../services/simulator/random.ts';

const windowMs = 300_000;

/** Ends of windows, one after the other. */
function createClock(fromMs = 0): () => number {
  let nowMs = fromMs;
  return () => {
    nowMs += windowMs;
    return nowMs;
  };
}
const dayMs = 86_400_000;

describe('tails', () => {
  it('of the beta-binomial add up what is at least as bad, and are near the binomial without over-dispersion', () => {
    expect(betaBinomialTail(0, 10, 0.03, 0.02)).toBe(1);
    expect(betaBinomialTail(2, 2, 0.03, 0.02)).toBeCloseTo(0.00148, 4);
    expect(betaBinomialTail(2, 2, 0.03, 1e-9)).toBeCloseTo(0.0009, 5);
    // At least one of ten: one less none of ten.
    expect(betaBinomialTail(1, 10, 0.1, 1e-9)).toBeCloseTo(1 - 0.9 ** 10, 5);
  });

  it('of the negative binomial are near Poisson for a large size, and keep meaning far out', () => {
    const { low, high } = negativeBinomialTails(0, 3, 1e9);
    expect(low).toBeCloseTo(Math.exp(-3), 5);
    expect(high).toBe(1);
    const far = negativeBinomialTails(40, 3, 1e9).high;
    expect(far).toBeGreaterThan(0);
    expect(far).toBeLessThan(1e-25);
  });

  it('of the normal are those of the books', () => {
    expect(normalTail(1.96)).toBeCloseTo(0.025, 4);
    expect(normalTail(-1.96)).toBeCloseTo(0.975, 4);
    expect(normalTail(6) / 9.87e-10).toBeCloseTo(1, 1);
  });
});

describe('failure rate', () => {
  it('finds an outage, does not learn from it, and lets single failures pass', () => {
    const rate = new FailureRate();
    const next = createClock();
    const judge = (n: number, failures: number) => rate.judge(n, failures, next(), dayMs);
    for (let window = 0; window < 300; window++) judge(6, window % 50 === 0 ? 1 : 0);
    const usual = rate.expected;
    expect(judge(5, 1).p).toBe(1);
    expect(judge(5, 4).p).toBeLessThan(1e-4);
    for (let window = 0; window < 20; window++) judge(5, 4);
    expect(rate.expected).toBeCloseTo(usual, 2);
  });

  it('adds up windows that hold little', () => {
    const rate = new FailureRate();
    const next = createClock();
    const judge = (n: number, failures: number) => rate.judge(n, failures, next(), dayMs).p;
    for (let window = 0; window < 300; window++) judge(1, 0);
    const chances = Array.from({ length: 4 }, () => judge(1, 1));
    expect(chances[0]).toBe(1);
    expect(chances[3]).toBeLessThan(1e-3);
  });
});

const logs = (random: ReturnType<typeof createRandom>, n: number, medianMs: number) =>
  Array.from({ length: n }, () => [Math.log(random.logNormal(medianMs, 0.3)), 1] as const);

describe('level', () => {
  it('tells slow windows from usual ones, and one slow run is none', () => {
    const random = createRandom(7);
    const level = new Level();
    const next = createClock();
    const judge = (values: readonly (readonly [number, number])[]) => level.judge(values, next());
    let alarms = 0;
    for (let window = 0; window < 2_000; window++) if ((judge(logs(random, 5, 1_000))?.pHigh ?? 1) < 1e-5) alarms++;
    expect(alarms).toBe(0);
    const outlier = judge([...logs(random, 4, 1_000), [Math.log(1e6), 1]]);
    expect(outlier?.pHigh).toBeGreaterThan(5e-3);
    const slow = judge(logs(random, 8, 3_000));
    expect(slow?.pHigh).toBeLessThan(1e-5);
    expect(slow?.effect).toBeGreaterThan(2);
    expect(slow?.expected).toBeGreaterThan(800);
  });

  it('takes a level that lasts for the new usual, and says so once', () => {
    const random = createRandom(8);
    const level = new Level();
    const next = createClock();
    const judge = (medianMs: number) => level.judge(logs(random, 5, medianMs), next());
    for (let window = 0; window < 300; window++) judge(1_000);
    const after = Array.from({ length: 120 }, () => judge(2_000));
    const shifts = after.flatMap((found) => found?.shift ?? []);
    expect(shifts).toHaveLength(1);
    expect((shifts[0]?.to ?? 0) / (shifts[0]?.from ?? 1)).toBeCloseTo(2, 0);
    expect(after.at(-1)?.pHigh).toBeGreaterThan(5e-3);
  });
});

test('a level with a long tail takes its tail for usual', () => {
  const random = createRandom(12);
  const level = new Level();
  const next = createClock();
  const draw = (leastMs: number) =>
    Array.from({ length: 5 }, () => [Math.log(leastMs * (1 - random.next()) ** -0.8), 1] as const);
  let least = 1;
  for (let window = 0; window < 3_000; window++) least = Math.min(least, level.judge(draw(1_000), next())?.pHigh ?? 1);
  expect(least).toBeGreaterThan(1e-6);
  const slow = Array.from({ length: 3 }, () => level.judge(draw(30_000), next())?.pHigh ?? 1);
  expect(Math.min(...slow)).toBeLessThan(1e-6);
});

describe('throughput', () => {
  const dayWindows = 288;

  /** Two weeks of one start in every other window, with what a window of the given days holds instead. */
  function watch(days: number, countAt: (day: number, hour: number, window: number) => number) {
    const throughput = new Throughput();
    const next = createClock(4 * dayMs);
    const found = [];
    for (let window = 0; window < days * dayWindows; window++) {
      const day = Math.floor(window / dayWindows);
      const hour = Math.floor((window % dayWindows) / 12);
      found.push({ day, hour, ...throughput.judge(countAt(day, hour, window), next()) });
    }
    return found;
  }
  const usual = (window: number) => window % 2;

  it('does not miss what came in one busy hour of a week before', () => {
    const found = watch(14, (day, hour, window) => (day === 6 && hour === 4 ? 8 : usual(window)));
    const again = found.find(({ day, hour }) => day === 13 && hour === 4);
    const last = found.findLast(({ day, hour }) => day === 13 && hour === 4);
    expect(again?.pLow).toBeGreaterThan(1e-3);
    expect(last?.pooledLeast).toBeLessThan(8);
    expect(last?.pLow).toBeGreaterThan(1e-3);
  });

  it('sees a surge in how long it goes on, where no more may run at once', () => {
    const found = watch(8, (day, hour, window) => (day === 7 && hour >= 10 && hour < 12 ? 8 : usual(window)));
    const [before] = found.filter(({ day, hour }) => day === 7 && hour === 9);
    const during = found.findLast(({ day, hour }) => day === 7 && hour === 10);
    expect(before?.pPooledHigh).toBeGreaterThan(0.01);
    expect(during?.pPooledHigh).toBeLessThan(1e-7);
    expect(during?.pooledCount).toBe(96);
    expect(during?.pooledHighest).toBeLessThan(64);
  });
});

describe('record excess', () => {
  const random = createRandom(3);
  const feed = (record: RecordExcess, values: Iterable<number>) => {
    const next = createClock();
    const scores: number[] = [];
    for (const value of values) scores.push(record.judge(value, next())?.score ?? 0);
    return scores;
  };
  const noise = (n: number) => Array.from({ length: n }, () => 100 + random.between(-10, 10));

  it('is silent in the beginning and on what was seen before, and finds what goes beyond', () => {
    const scores = feed(new RecordExcess(1), [...noise(50), 400, ...noise(500), 300, ...noise(3), 900]);
    expect(scores.slice(0, 100).every((score) => score === 0)).toBe(true);
    // Less than the record of the beginning.
    expect(scores[551]).toBeLessThan(0.56);
    expect(scores.at(-1)).toBeGreaterThan(0.56);
  });

  it('does not make a record of what goes on, and makes one of a burst', () => {
    const long = new RecordExcess(1);
    feed(long, [...noise(400), ...Array.from({ length: 12 }, () => 500), ...noise(100)]);
    expect(long.judge(500, 1e9)?.above).toBeGreaterThan(1);
    const burst = new RecordExcess(1);
    feed(burst, [...noise(400), 500, ...noise(100)]);
    expect(burst.judge(500, 1e9)?.above).toBe(0);
  });
});

test('cumulated small deviations are a change, chance is none', () => {
  const cusum = new Cusum();
  const random = createRandom(5);
  for (let window = 0; window < 500; window++) cusum.add(random.between(-1.5, 1.5));
  expect(cusum.hasChanged).toBe(false);
  for (let window = 0; window < 12; window++) cusum.add(1.6);
  expect(cusum.hasChanged).toBe(true);
});

test('throughput knows the hours, and finds a surge and a drop', () => {
  const throughput = new Throughput();
  const random = createRandom(9);
  let nowMs = Date.UTC(2026, 0, 5);
  const next = createClock(nowMs);
  const usual = (atMs: number) => (new Date(atMs).getUTCHours() < 12 ? 2 : 12);
  const judge = (count: number) => {
    nowMs = next();
    return throughput.judge(count, nowMs);
  };
  let least = 1;
  for (let window = 0; window < 14 * 288; window++) {
    const mean = usual(nowMs);
    const found = judge(Math.max(0, Math.round(mean + Math.sqrt(mean) * random.between(-1.7, 1.7))));
    if (window > 8 * 288) least = Math.min(least, found?.pHigh ?? 1, found?.pLow ?? 1);
  }
  expect(least).toBeGreaterThan(1e-6);
  // Midnight: a busy noon is a surge.
  expect(judge(40)?.pHigh).toBeLessThan(1e-7);
  while (new Date(nowMs).getUTCHours() < 14) judge(usual(nowMs));
  for (let window = 0; window < 11; window++) judge(0);
  expect(judge(0)?.pLow).toBeLessThan(1e-7);
});

test('of many that are no discoveries hardly any is admitted, and plain ones are', () => {
  const discovery = new FalseDiscovery();
  const random = createRandom(11);
  let admitted = 0;
  for (let test = 0; test < 2_000; test++) if (discovery.admits(1e-4 * random.next())) admitted++;
  expect(admitted).toBeLessThan(5);
  expect(discovery.admits(1e-12)).toBe(true);
});
