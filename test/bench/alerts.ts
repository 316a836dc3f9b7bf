import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { AlertDrive, collectAlerts, rulesOf, type ToldAlert } from './alert-matching.ts';
import { type Bounds, measureStretch, type NaiveMethod, naiveMethods, tellNaively, tuneBounds } from './alert-naive.ts';
import {
  addTallies,
  incidentsPerDay,
  isTold,
  summarise,
  type Tally,
  tallyAlerts,
  weekDays,
  weeksOfStretch,
} from './alert-tally.ts';
import { keepStretch, type SimulatedStretch } from './alert-weeks.ts';
import { type Bar, finishBench, median, round } from './report.ts';

/**
 * How right alerts are, on simulated weeks with incidents planted at known places: judge and alert machine are driven as the
 * evaluator drives them. An alert is right where its rule, subject and time are those of an incident; one that tells of something that
 * an incident brought about, without naming it, is a symptom, and counts as wrong like one that tells of nothing. Beside it, on the same
 * weeks, stand two methods without statistics, tuned on the seeds that Weir was tuned on.
 */
const { values: options } = parseArgs({
  options: {
    weeks: { type: 'string', default: '32' },
    seed: { type: 'string', default: '5001' },
    'tuned-on': { type: 'string', default: '101,201' },
    /** Simulated stretches are kept there, and taken from there. */
    stretches: { type: 'string' },
    /** What came of each seed is kept there, so that several processes may share the seeds. */
    results: { type: 'string' },
  },
});

interface StretchResult {
  weir: Tally;
  naive: Record<NaiveMethod, Tally>;
  quietWorkflowDays: number;
  judgeMs: number;
}

const stretchOf = (seed: number): SimulatedStretch =>
  keepStretch({ seed, days: weeksOfStretch * weekDays, incidentsPerDay }, options.stretches);

let tuned: Map<NaiveMethod, Bounds> | null = null;
const results: StretchResult[] = [];
const stretches = Math.ceil(Number(options.weeks) / weeksOfStretch);
for (let at = 0; at < stretches; at++) {
  const seed = Number(options.seed) + at;
  results.push(keepResult(seed));
  const { told, precision, recall, falsePerQuietThousand } = sum((result) => result.weir);
  console.log(
    `weeks ${at * weeksOfStretch + 1} to ${(at + 1) * weeksOfStretch}, seed ${seed}: of ${told} alerts ${precision.toFixed(3)} right, ${recall.toFixed(3)} of incidents found, ${falsePerQuietThousand.toFixed(1)} false in 1 000 quiet workflow-days`,
  );
}
finishBench('alerts', describe(), makeBars());

function keepResult(seed: number): StretchResult {
  if (options.results === undefined) return judgeStretch(seed);
  const file = path.join(options.results, `result-${seed}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8'));
  const result = judgeStretch(seed);
  mkdirSync(options.results, { recursive: true });
  writeFileSync(file, JSON.stringify(result));
  return result;
}

function judgeStretch(seed: number): StretchResult {
  tuned ??= tuneAll();
  const bounds = tuned;
  const stretch = stretchOf(seed);
  const { told, judgeMs } = tellAlerts(stretch);
  const measured = measureStretch(stretch);
  const naive = naiveMethods.map((method) => [
    method,
    tallyAlerts(stretch, tellNaively(measured, method, bounds.get(method) as Bounds)),
  ]);
  return {
    weir: tallyAlerts(stretch, told),
    naive: Object.fromEntries(naive),
    quietWorkflowDays: stretch.workflows * weekDays,
    judgeMs,
  };
}

function tuneAll(): Map<NaiveMethod, Bounds> {
  const training = (options['tuned-on'] as string).split(',').map((seed) => stretchOf(Number(seed)));
  return new Map(
    naiveMethods.map((method) => {
      const bounds = tuneBounds(training, method);
      console.log(`${method}: ${[...bounds].map(([measure, bound]) => `${measure} > ${bound}`).join(', ')}`);
      return [method, bounds];
    }),
  );
}

function tellAlerts({ windows, endMs }: SimulatedStretch): { told: ToldAlert[]; judgeMs: number } {
  const drive = new AlertDrive();
  for (const window of windows) drive.take(window);
  return { told: collectAlerts(drive.changes, endMs).filter(isTold), judgeMs: median(drive.costs) };
}

function sum(take: (result: StretchResult) => Tally) {
  const quietWorkflowDays = results.reduce((days, result) => days + result.quietWorkflowDays, 0);
  return summarise(addTallies(results.map(take)), quietWorkflowDays);
}

function describe(): Record<string, string | number>[] {
  const { kinds, rules } = addTallies(results.map(({ weir }) => weir));
  const shareOf = (part: number, whole: number) => (whole === 0 ? '' : round(part / whole));
  const incidents = Object.entries(kinds).map(([kind, { incidents: n, hidden, found, delays }]) => ({
    what: kind,
    n,
    'left no mark': hidden,
    'found or right': found,
    'recall or precision': shareOf(found, n - hidden),
    'delay windows': delays.length === 0 ? '' : median(delays),
  }));
  const told = Object.entries(rules).map(([rule, { right, symptoms, wrong }]) => ({
    what: rule,
    n: right + symptoms + wrong,
    'of incidents': Object.entries(kinds)
      .filter(([kind]) => (rulesOf[kind as keyof typeof rulesOf] as readonly string[]).includes(rule))
      .reduce((all, [, { incidents: n }]) => all + n, 0),
    'found or right': right,
    'recall or precision': shareOf(right, right + symptoms + wrong),
    symptoms,
    wrong,
  }));
  const methods: [string, ReturnType<typeof summarise>][] = [
    ['Weir', sum(({ weir }) => weir)],
    ...naiveMethods.map((method) => [method, sum(({ naive }) => naive[method])] as [string, ReturnType<typeof sum>]),
  ];
  console.table(
    methods.map(([method, { told: n, precision, recall, delayWindows, falsePerQuietThousand }]) => ({
      method,
      alerts: n,
      precision: round(precision),
      recall: round(recall),
      'delay windows': delayWindows,
      'false in 1 000 quiet workflow-days': round(falsePerQuietThousand),
    })),
  );
  return [
    ...incidents,
    ...told,
    { what: 'ms to judge a window', n: round(median(results.map(({ judgeMs }) => judgeMs))) },
  ];
}

function makeBars(): Bar[] {
  const { precision, recall, delayWindows, falsePerQuietThousand } = sum(({ weir }) => weir);
  return [
    { name: 'alert-precision', value: precision, unit: 'of alerts', direction: 'at least', bound: 0.95 },
    { name: 'alert-recall', value: recall, unit: 'of incidents', direction: 'at least', bound: 0.8 },
    { name: 'alert-delay', value: delayWindows, unit: 'windows', direction: 'at most', bound: 2 },
    {
      name: 'alert-quiet',
      value: falsePerQuietThousand,
      unit: 'in 1 000 quiet workflow-days',
      direction: 'at most',
      bound: 1,
    },
  ];
}
