import { HourlyValues, type SlotValues, seasonAt } from '../../pipelines/scoring/season.ts';
import { type Weighted, WeightedColumns } from '../../pipelines/scoring/weighted.ts';
import { FailureRate } from '../../services/alerts/detectors/failure-rate.ts';
import { Level } from '../../services/alerts/detectors/level.ts';
import { RecordExcess } from '../../services/alerts/detectors/record-excess.ts';
import { Throughput } from '../../services/alerts/detectors/throughput.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { finishBench, median, round } from './report.ts';

/**
 * Each detector on plain series of every kind by itself: half of the series carry one anomaly, half carry none. An anomaly is found when the
 * detector alarms within it; every alarm outside of one is false, an alarm that goes on counting once. Beside it stand a fixed bound and
 * mean plus k sigma, each with the bound that serves it best on other seeds of the same kind.
 */
const windowMs = 300_000;
const dayWindows = 288;
const windows = 14 * dayWindows;
/** What is usual is learned until then. */
const learned = 4 * dayWindows;
const startMs = Date.UTC(2026, 5, 1);
const seriesOfKind = 60;

/** Values of one window; a value is a duration in ms, a count, failures among ends or a gauge. */
type Window = readonly number[];
interface Series {
  windows: Window[];
  anomaly: { from: number; to: number } | null;
}
type Detect = (values: Window, endMs: number) => boolean;

interface Kind {
  name: string;
  detector: string;
  create: () => Detect;
  make: (random: Random, hasAnomaly: boolean) => Series;
  /** What simple methods look at. */
  measure: (values: Window) => number | null;
}

const mean = (values: Window): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
const hourOf = (at: number): number => ((at % dayWindows) / dayWindows) * 24;
const daily = (at: number, swing: number): number => 1 + swing * Math.sin(((hourOf(at) - 6) / 24) * 2 * Math.PI);

function series(
  random: Random,
  hasAnomaly: boolean,
  lasts: number,
  valuesAt: (at: number, isStrange: boolean) => Window,
): Series {
  const from = learned + 50 + random.below(windows - learned - lasts - 100);
  const anomaly = hasAnomaly ? { from, to: from + lasts } : null;
  const isIn = (at: number) => anomaly !== null && at >= anomaly.from && at < anomaly.to;
  return { windows: Array.from({ length: windows }, (_, at) => valuesAt(at, isIn(at))), anomaly };
}

const normal = (random: Random): number => Math.log(random.logNormal(1, 1));

const several = (n: number, draw: () => number): number[] => Array.from({ length: n }, draw);

/** Poisson by its exponential gaps; counts here are small. */
function poisson(random: Random, expected: number): number {
  let n = -1;
  for (let left = expected; left >= 0; left -= random.exponential(1)) n++;
  return n;
}

/** A week is what baselines call recent. */
const recentMs = 7 * 86_400_000;
const mondayMs = 4 * 86_400_000;
const slotOfWeek = (atMs: number): number => Math.floor((atMs - mondayMs) / 3_600_000) % 168;

/** What baselines find to recur, looked for anew every day, as the evaluator has it taken out before it judges. */
function createSeason(): (logs: readonly number[], endMs: number) => number {
  const hours = new Map<number, Weighted[]>();
  let season: number[] = [];
  let seasonDay = 0;
  return (logs, endMs) => {
    const atMs = endMs - windowMs;
    const day = Math.floor(atMs / 86_400_000);
    if (day !== seasonDay) {
      const slots = [...hours].map(([hour, values]): SlotValues => {
        const slot = slotOfWeek(hour * 3_600_000);
        return {
          slot,
          isRecent: hour * 3_600_000 >= atMs - recentMs,
          starts: [hour],
          values: WeightedColumns.of(values),
        };
      });
      [season, seasonDay] = [HourlyValues.of(slots).findSeason(), day];
    }
    const hour = Math.floor(atMs / 3_600_000);
    hours.set(hour, [...(hours.get(hour) ?? []), ...logs.map((log): Weighted => [log, 1])]);
    return seasonAt(season, slotOfWeek(atMs));
  };
}

const ofLevel = (): Detect => {
  const level = new Level();
  const seasonOf = createSeason();
  return (values, endMs) => {
    const logs = values.map(Math.log);
    const recurs = seasonOf(logs, endMs);
    if (values.length === 0) return false;
    const found = level.judge(
      logs.map((log) => [log - recurs, 1] as const),
      endMs,
    );
    return found !== null && found.pHigh < 1e-7 && Math.min(found.effect, found.latest) >= 1.3;
  };
};
const ofFailures = (): Detect => {
  const rate = new FailureRate();
  return ([n = 0, failures = 0], endMs) => {
    if (n === 0) return false;
    const found = rate.judge(n, failures, endMs, 6 * 3_600_000);
    return found.p < 1e-6 && found.effect >= 2 && found.failures / found.n > 0.1;
  };
};
const ofCounts = (): Detect => {
  const throughput = new Throughput();
  return ([count = 0], endMs) => {
    const found = throughput.judge(count, endMs);
    if (found === null) return false;
    const isSurge = found.pHigh < 1e-7 && found.count >= 10 && found.count >= 3 * found.expected;
    return isSurge || (found.pLow < 1e-7 && found.pooledCount <= 0.25 * found.pooledExpected);
  };
};
const ofGauge = (): Detect => {
  const record = new RecordExcess(1e-3);
  return ([value], endMs) => {
    if (value === undefined) return false;
    const found = record.judge(value, endMs);
    return found !== null && found.score > 0.56 && found.above > 0.25;
  };
};

const first = ([value]: Window): number | null => value ?? null;
const ratio = ([n = 0, failures = 0]: Window): number | null => (n === 0 ? null : failures / n);

const kinds: Kind[] = [
  {
    name: 'spikes of a gauge',
    detector: 'record excess',
    create: ofGauge,
    measure: first,
    make: (random, has) => series(random, has, 3, (_, strange) => [100 + 10 * normal(random) + (strange ? 120 : 0)]),
  },
  {
    name: 'season of a gauge, spike at night',
    detector: 'record excess',
    create: ofGauge,
    measure: first,
    make: (random, has) =>
      series(random, has, 6, (at, strange) => [100 * daily(at, 0.6) + 5 * normal(random) + (strange ? 160 : 0)]),
  },
  {
    name: 'trend of a gauge, spike on it',
    detector: 'record excess',
    create: ofGauge,
    measure: first,
    make: (random, has) =>
      series(random, has, 6, (at, strange) => [100 + at / 100 + 5 * normal(random) + (strange ? 80 : 0)]),
  },
  {
    name: 'level shift of durations',
    detector: 'level',
    create: ofLevel,
    measure: mean,
    make: (random, has) =>
      series(random, has, 12, (_, strange) => several(4, () => random.logNormal(strange ? 20_000 : 10_000, 0.3))),
  },
  {
    name: 'season of durations, twice as long at noon',
    detector: 'level',
    create: ofLevel,
    measure: mean,
    make: (random, has) =>
      series(random, has, 12, (at, strange) =>
        several(4, () => random.logNormal(10_000 * daily(at, 0.33) * (strange ? 3 : 1), 0.3)),
      ),
  },
  {
    name: 'missing data: three windows in four empty',
    detector: 'level',
    create: ofLevel,
    measure: mean,
    make: (random, has) =>
      series(random, has, 48, (_, strange) =>
        random.chance(0.25) ? [random.logNormal(strange ? 30_000 : 10_000, 0.3)] : [],
      ),
  },
  {
    name: 'heavy tails: Pareto durations',
    detector: 'level',
    create: ofLevel,
    measure: mean,
    make: (random, has) =>
      series(random, has, 12, (_, strange) =>
        several(5, () => Math.min(1e7, (strange ? 30_000 : 10_000) * (1 - random.next()) ** (-1 / 1.5))),
      ),
  },
  {
    name: 'failures near zero',
    detector: 'failure rate',
    create: ofFailures,
    measure: ratio,
    make: (random, has) =>
      series(random, has, 8, (_, strange) => {
        const n = poisson(random, 3);
        return [n, several(n, () => (random.chance(strange ? 0.7 : 0.02) ? 1 : 0)).reduce((sum, one) => sum + one, 0)];
      }),
  },
  {
    name: 'counts near zero, a surge',
    detector: 'throughput',
    create: ofCounts,
    measure: first,
    make: (random, has) => series(random, has, 6, (_, strange) => [poisson(random, strange ? 15 : 0.5)]),
  },
  {
    name: 'season of counts, starts cease',
    detector: 'throughput',
    create: ofCounts,
    // Less is what is wrong here.
    measure: ([count = 0]) => -count,
    make: (random, has) =>
      series(random, has, 30, (at, strange) => [strange ? 0 : poisson(random, 4 * daily(at, 0.7))]),
  },
];

interface Outcome {
  anomalies: number;
  found: number;
  false: number;
  delays: number[];
}

function tryAll(many: readonly Series[], createDetect: () => Detect): Outcome {
  const outcome: Outcome = { anomalies: 0, found: 0, false: 0, delays: [] };
  for (const { windows: all, anomaly } of many) {
    const detect = createDetect();
    let [isFound, sinceAlarm] = [false, Number.POSITIVE_INFINITY];
    for (const [at, values] of all.entries()) {
      const alarms = detect(values, startMs + (at + 1) * windowMs);
      sinceAlarm++;
      if (!alarms) continue;
      const isNew = sinceAlarm > 12;
      sinceAlarm = 0;
      if (at < learned) continue;
      // What an anomaly leaves in means of two hours is still of it.
      if (anomaly !== null && at >= anomaly.from && at < anomaly.to + 24) {
        if (!isFound && at < anomaly.to) outcome.delays.push(at - anomaly.from);
        isFound ||= at < anomaly.to;
      } else if (isNew) outcome.false++;
    }
    if (anomaly !== null) outcome.anomalies++;
    if (isFound) outcome.found++;
  }
  return outcome;
}

const byBound =
  (measure: Kind['measure'], bound: number): Detect =>
  (values) =>
    (measure(values) ?? -Infinity) > bound;

function bySigmas(measure: Kind['measure'], sigmas: number): Detect {
  let [n, average, squares] = [0, 0, 0];
  return (values) => {
    const value = measure(values);
    if (value === null) return false;
    const isBeyond = n > 50 && value > average + sigmas * Math.sqrt(squares / n);
    n++;
    const before = average;
    average += (value - before) / n;
    squares += (value - before) * (value - average);
    return isBeyond;
  };
}

const goodness = ({ anomalies, found, false: wrong }: Outcome): number =>
  found === 0 ? 0 : (2 * found) / (found + wrong + anomalies);

function best(many: readonly Series[], candidates: readonly number[], create: (bound: number) => Detect): number {
  const tried = candidates.map((bound) => ({ bound, good: goodness(tryAll(many, () => create(bound))) }));
  return tried.toSorted((one, other) => other.good - one.good)[0]?.bound ?? 0;
}

const makeMany = ({ make }: Kind, seed: number, n: number): Series[] =>
  Array.from({ length: n }, (_, index) => make(createRandom(seed + index), index % 2 === 0));

const rows = kinds.flatMap((kind) => {
  const training = makeMany(kind, 100_000, 20);
  const judged = makeMany(kind, 700_000, seriesOfKind);
  const values = training
    .flatMap((one) => one.windows.flatMap((window) => kind.measure(window) ?? []))
    .toSorted((one, other) => one - other);
  const candidates = [0.9, 0.99, 0.999, 0.9995, 0.9999, 0.99999].map(
    (share) => values[Math.floor(share * (values.length - 1))] as number,
  );
  const bound = best(training, candidates, (value) => byBound(kind.measure, value));
  const sigmas = best(training, [3, 4, 5, 6, 8, 12], (value) => bySigmas(kind.measure, value));
  return [
    describe(kind.name, kind.detector, tryAll(judged, kind.create)),
    describe(
      kind.name,
      `fixed ${round(bound)}`,
      tryAll(judged, () => byBound(kind.measure, bound)),
    ),
    describe(
      kind.name,
      `mean + ${sigmas} sigma`,
      tryAll(judged, () => bySigmas(kind.measure, sigmas)),
    ),
  ];
});

function describe(kind: string, method: string, { anomalies, found, false: wrong, delays }: Outcome) {
  return {
    series: kind,
    method,
    recall: round(found / anomalies),
    precision: found + wrong === 0 ? '' : round(found / (found + wrong)),
    'false in 1 000 series-days': round((wrong / (seriesOfKind * ((windows - learned) / dayWindows))) * 1000),
    'delay windows': delays.length === 0 ? '' : median(delays),
  };
}

finishBench('alert-detectors', rows, []);
