import { describe, expect, it } from 'vitest';
import { isRefusal, type Refusal } from '../../../services/analysis/basis.ts';
import { causeDefaults } from '../../../services/analysis/bottleneck-causes.ts';
import { type Bottleneck, bottleneckDefaults, findBottlenecks } from '../../../services/analysis/bottlenecks.ts';
import { predictDuration, predictionDefaults } from '../../../services/analysis/duration-prediction.ts';
import { gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import { opportunityDefaults } from '../../../services/analysis/parallel-opportunities.ts';
import { findWorkflowCriticalPath, workflowPathDefaults } from '../../../services/analysis/workflow-critical-path.ts';
import { timeWorkflow } from '../../../services/analysis/workflow-runs.ts';
import { createRandom, type Random } from '../../../services/simulator/random.ts';
import { noNoise, type PlantedCause, type PlayedRun, playRuns, type RunPlan } from '../../support/planted-runs.ts';
import { type Block, type PlantedWorkflow, plantWorkflow } from '../../support/planted-workflow.ts';
import {
  correlateRanks,
  durationOf,
  gainOf,
  lagOf,
  makespanOf,
  mean,
  median,
  type PlainChange,
  type PlainInstance,
  type PlainRun,
  playAgain,
  ranOf,
  readPlainRuns,
  retryLossOf,
  slackOf,
  walkPlainPath,
} from './plain-runs.ts';
import { gatherRuns } from './told-runs.ts';

/** What explanations say is counted again from the plain events, by code that does not know how they were found. */

function answered<Answer extends object>(answer: Answer | Refusal): Answer {
  if (isRefusal(answer)) throw new Error(answer.refused);
  return answer as Answer;
}

const eventsOf = (runs: readonly PlayedRun[]) => runs.flatMap(({ events }) => events);
const plainOf = (runs: readonly PlayedRun[]) => readPlainRuns(eventsOf(runs));
const timedOf = (runs: readonly PlayedRun[]) => timeWorkflow(gatherExecutions(eventsOf(runs)));

const everyMs = 3_600_000;
const executions = 30;

function plan(seed: number, blocks: readonly Block[], change: (workflow: PlantedWorkflow, random: Random) => object) {
  const random = createRandom(seed);
  const workflow = plantWorkflow(`told-${seed}`, blocks, random);
  const place = { seed, firstMs: Date.UTC(2026, 0, 5), everyMs, executions, cause: null, causeFrom: 0 };
  const whole: RunPlan = { workflow, ...place, noise: noNoise, sizeSpread: 0.15 };
  return { ...whole, ...change(workflow, random) };
}

const blocks: Block[] = ['chain', 'parallel', 'map', 'switch', 'scatter', 'task'];
const tasksOf = (runs: readonly PlainRun[]) => [
  ...new Set(runs.flatMap(({ instances }) => instances.map(({ task }) => task))),
];
const near = (ms: number) => expect.closeTo(ms, 2);
const nearRatio = (ratio: number) => expect.closeTo(ratio, 3);

describe('a critical path and its what-ifs', () => {
  it.each([1, 2, 3, 4, 5, 6])('say what the events say: seed %i', (seed) => {
    const noise = { ...noNoise, retryRatio: 0.1 };
    const played = playRuns(plan(seed, blocks, () => ({ noise })));
    const answer = answered(findWorkflowCriticalPath(timedOf(played)));
    const runs = plainOf(played);
    const makespans = runs.map(makespanOf);
    const paths = runs.map(walkPlainPath);
    const names = paths.map((path) => path.map(({ task }) => task).join());
    const counts = names.map((path) => names.filter((other) => other === path).length);
    const usual = answer.path.join();
    expect(names.filter((path) => path === usual).length).toBe(Math.max(...counts));
    expect(answer.path_share).toBe(nearRatioOf(Math.max(...counts) / runs.length));
    expect(answer.duration).toEqual(near(mean(makespans.filter((_, index) => names[index] === usual))));
    expect(answer.median_makespan_ms).toBe(median(makespans));
    expect(answer.by_kind).toEqual(kindsOf(runs, paths));
    for (const told of answer.tasks) checkTask(told, runs, paths);
    expect(answer.tasks.map(({ task }) => task).sort()).toEqual(
      tasksOf(runs)
        .filter((task) => runs.some((run) => ranOf(run, task).length > 0))
        .sort(),
    );
    expect(answer.tasks.filter(({ gains }) => gains !== null)).toHaveLength(workflowPathDefaults.gainTasksMost);
    checkPotential(answer.optimization_potential, runs);
    expect(answer.parallel_opportunities.map(({ tasks, gain_ms }) => ({ tasks, gain_ms }))).toEqual(
      opportunitiesOf(runs, answer.path),
    );
  });

  const nearRatioOf = (ratio: number) => Math.round(ratio * 1e4) / 1e4;

  function kindsOf(runs: readonly PlainRun[], paths: readonly PlainInstance[][]) {
    const sums: Record<string, number> = {};
    const add = (kind: string, ms: number) => {
      if (ms > 0) sums[kind] = (sums[kind] ?? 0) + ms / runs.length;
    };
    for (const path of paths) {
      for (const { attempts, readyMs } of path.filter(({ isSkipped }) => !isSkipped)) {
        add('slot_wait', attempts[0].startMs - readyMs);
        attempts.forEach(({ startMs, endMs, isFailed }, place) => {
          add(isFailed ? 'failed_attempt' : 'run', endMs - startMs);
          if (place > 0) add('retry_delay', startMs - attempts[place - 1].endMs);
        });
      }
    }
    return Object.fromEntries(Object.entries(sums).map(([kind, ms]) => [kind, near(ms)]));
  }

  type ToldTask = ReturnType<typeof answeredPath>['tasks'][number];
  const answeredPath = (answer: ReturnType<typeof findWorkflowCriticalPath>) => answered(answer);

  function checkTask(told: ToldTask, runs: readonly PlainRun[], paths: readonly PlainInstance[][]): void {
    const { task } = told;
    const isOn = (path: readonly PlainInstance[]) => path.some((instance) => instance.task === task);
    const pathMs = runs.map((run, index) => {
      const on = paths[index].findIndex((instance) => instance.task === task);
      return on < 0 ? 0 : paths[index][on].endMs - (paths[index][on - 1]?.endMs ?? run.startMs);
    });
    const ran = runs.filter((run) => ranOf(run, task).length > 0);
    const spans = ran.map((run) => {
      const own = ranOf(run, task);
      return Math.max(...own.map(({ endMs }) => endMs)) - Math.min(...own.map(({ startMs }) => startMs));
    });
    expect(told, task).toEqual({
      task,
      criticality_index: nearRatio(paths.filter(isOn).length / runs.length),
      path_ms: near(mean(pathMs)),
      path_ratio: nearRatio(mean(pathMs) / mean(runs.map(makespanOf))),
      slack_ms: near(mean(ran.map((run) => Math.min(...ranOf(run, task).map((instance) => slackOf(run, instance)))))),
      cruciality: nearRatio(ran.length < 3 ? 0 : correlateRanks(spans, ran.map(makespanOf))),
      gains: told.gains === null ? null : workflowPathDefaults.fasterRatios.map((ratio) => gainIfFaster(ratio)),
    });

    function gainIfFaster(ratio: number) {
      const duration = (instance: PlainInstance) => durationOf(instance) * (instance.task === task ? 1 - ratio : 1);
      const gainMs = gainOf(runs, { duration });
      const gain_ratio = nearRatio(gainMs / mean(runs.map(makespanOf)));
      return { faster_ratio: ratio, gain_ms: near(gainMs), gain_ratio };
    }
  }

  function checkPotential(told: object, runs: readonly PlainRun[]): void {
    const lag = (instance: PlainInstance, run: PlainRun) => Math.min(0, lagOf(run, instance));
    const duration = (instance: PlainInstance) => durationOf(instance) - retryLossOf(instance);
    const meanOf = (change: PlainChange) => mean(runs.map((run) => playAgain(run, change)));
    expect(told).toEqual({
      replayed: runs.length,
      without_waiting_ms: near(meanOf({ lag })),
      without_retries_ms: near(meanOf({ duration })),
      least_makespan_ms: near(meanOf({ lag, duration })),
      reducible_ratio: nearRatio(1 - meanOf({ lag, duration }) / mean(runs.map(makespanOf))),
    });
  }

  /** One after the other on the path: what if the later one waited for what the earlier one waits for? */
  function opportunitiesOf(runs: readonly PlainRun[], path: readonly string[]) {
    const afterOf = (task: string) =>
      runs.flatMap(({ instances }) => instances).find((own) => own.task === task)?.after ?? [];
    const edges = path.slice(1).slice(0, opportunityDefaults.edgesMost);
    const found = edges.map((to, place) => {
      const from = path[place];
      const loosened = [...afterOf(to).filter((task) => task !== from), ...afterOf(from)];
      const after = (instance: PlainInstance) => (instance.task === to ? loosened : instance.after);
      // The delay before it stays as it was.
      const lag = (instance: PlainInstance, run: PlainRun) => lagOf(run, instance);
      return { tasks: [from, to], gain_ms: gainOf(runs, { after, lag }) };
    });
    return found
      .filter(({ gain_ms }) => gain_ms / mean(runs.map(makespanOf)) >= opportunityDefaults.gainRatioLeast)
      .sort((one, other) => other.gain_ms - one.gain_ms)
      .slice(0, opportunityDefaults.listedMost)
      .map(({ tasks, gain_ms }) => ({ tasks, gain_ms: near(gain_ms) }));
  }
});

describe('a bottleneck', () => {
  const kinds: PlantedCause['kind'][] = ['slow', 'retries', 'skewed', 'slot_wait', 'starved'];
  const cases = kinds.flatMap((kind) => [true, false].map((hasPast) => [kind, hasPast] as const));

  it.each(cases)('is explained by what the events say: %s, with a past: %s', (kind, hasPast) => {
    const whole = plan(kinds.indexOf(kind) + 11, ['chain', 'map', 'parallel'], (workflow) => ({
      executions: 2 * executions,
      causeFrom: executions,
      cause: causeOf(kind, workflow),
    })) as RunPlan;
    const played = playRuns(whole);
    const [past, now] = [played.slice(0, executions), played.slice(executions)];
    const report = answered(findBottlenecks(timedOf(now), hasPast ? timedOf(past) : null));
    const told = report.bottlenecks.find(({ task }) => task === whole.cause?.taskId) as Bottleneck;
    const runs = plainOf(now);
    expect(report.mean_makespan_ms).toEqual(near(mean(runs.map(makespanOf))));
    const history = new PlainHistory(runs, hasPast ? plainOf(past) : null);
    for (const [place, reason] of told.reasons.entries()) {
      const values = history.valuesOf(told.task)[reason.reason];
      expect(reason.evidence, reason.reason).toEqual(values.evidence);
      checkWords(reason.detail, values.words);
      const [advised, gainMs] = [told.recommendations[place], values.gainMs];
      if (gainMs === null) continue;
      expect(advised.expected_gain_ms, reason.reason).toEqual(near(gainMs));
      expect(advised.expected_gain_ratio).toEqual(nearRatio(gainMs / report.mean_makespan_ms));
    }
    expect(told.reasons[0].reason).toBe(kind === 'skewed' ? 'skewed_work' : namedAs(kind, told));
    const healthy = playRuns({ ...whole, cause: null }).slice(executions);
    checkImpact(told, { runs, report, truthMs: history.meanMakespanMs - mean(plainOf(healthy).map(makespanOf)) });
  });

  /** Waiting for a slot while others of the execution hold them all is both. */
  const namedAs = (kind: string, { reasons }: Bottleneck) =>
    kind === 'starved' && reasons.some(({ reason }) => reason === 'starved_resource') ? reasons[0].reason : named[kind];
  const named: Record<string, string> = {
    slow: 'slow',
    retries: 'retries',
    slot_wait: 'slot_wait',
    starved: 'slot_wait',
  };

  function causeOf(kind: PlantedCause['kind'], { tasks }: PlantedWorkflow): PlantedCause {
    const target = tasks.find(({ instances, id }) =>
      kind === 'skewed' || kind === 'starved' ? instances !== null : id.startsWith('step'),
    );
    const taskId = target?.id ?? '';
    if (kind === 'slow') return { kind, taskId, factor: 8 };
    if (kind === 'retries') return { kind, taskId, failures: 3 };
    if (kind === 'skewed') return { kind, taskId, factor: 8 };
    if (kind === 'slot_wait') return { kind, taskId, waitMs: 120_000 };
    return { kind, taskId, slots: 1 };
  }

  function checkImpact(
    told: Bottleneck,
    { runs, report, truthMs }: { runs: PlainRun[]; report: { bottlenecks: Bottleneck[] }; truthMs: number },
  ): void {
    const meanMs = mean(runs.map(makespanOf));
    expect(told.impact.gain_ratio).toEqual(nearRatio(told.impact.gain_ms / meanMs));
    expect(told.score).toEqual(nearRatio(told.impact.gain_ms / report.bottlenecks[0].impact.gain_ms));
    expect(told.score).toBeGreaterThan(bottleneckDefaults.scoreAbove);
    // What is said to be gained is what the cause really cost; without a past what is usual is an estimate.
    expect(told.impact.gain_ms / truthMs).toBeGreaterThan(0.6);
    expect(told.impact.gain_ms / truthMs).toBeLessThan(1.1);
    const half = (isOwn: boolean) => (isOwn ? 0.5 : 1);
    const halvedMs = gainOf(runs, {
      duration: (instance) => durationOf(instance) * half(instance.task === told.task),
      lag: (instance, run) => lagOf(run, instance) * half(instance.task === told.task),
    });
    if (!told.reasons.some(({ reason }) => reason === 'starved_resource')) {
      expect(told.halved_gain_ms).toEqual(near(halvedMs));
    }
  }

  /** Numbers of a sentence are those of the evidence, rounded. */
  function checkWords(detail: string, words: readonly number[]): void {
    const numbers = [...detail.matchAll(/(?<![\w.])\d+(\.\d+)?/g)].map(([number]) => number);
    expect(numbers.length, detail).toBe(words.length);
    numbers.forEach((number, place) => {
      const digits = number.split('.')[1]?.length ?? 0;
      expect(Math.abs(Number(number) - words[place]), detail).toBeLessThanOrEqual(0.51 * 10 ** -digits);
    });
  }
});

interface PlainReason {
  evidence: Record<string, unknown>;
  words: number[];
  /** Null where it takes more than this plain replay to tell. */
  gainMs: number | null;
}

/** Everything that reasons name, for one task. */
class PlainHistory {
  readonly #runs: PlainRun[];
  readonly #past: PlainRun[] | null;

  constructor(runs: PlainRun[], past: PlainRun[] | null) {
    this.#runs = runs;
    this.#past = past;
  }

  get meanMakespanMs(): number {
    return mean(this.#runs.map(makespanOf));
  }

  valuesOf(task: string): Record<string, PlainReason> {
    return {
      slow: this.#past === null ? this.#slowBesideOthers(task) : this.#slowerThanBefore(task, this.#past),
      retries: this.#retries(task),
      skewed_work: this.#skew(task),
      slot_wait: this.#slotWait(task),
      starved_resource: this.#starvation(task),
    };
  }

  #gain(task: string, change: PlainChange): number {
    const own = (instance: PlainInstance) => instance.task === task && !instance.isSkipped;
    return gainOf(this.#runs, {
      duration: (instance, run) =>
        own(instance) && change.duration ? change.duration(instance, run) : durationOf(instance),
      lag: (instance, run) => (own(instance) && change.lag ? change.lag(instance, run) : lagOf(run, instance)),
    });
  }

  #gainIfScaled(task: string, factor: number): number {
    const duration = (instance: PlainInstance) =>
      retryLossOf(instance) + (durationOf(instance) - retryLossOf(instance)) * factor;
    return this.#gain(task, { duration });
  }

  #slowerThanBefore(task: string, past: PlainRun[]): PlainReason {
    const [ownMs, beforeMs] = [usualRun(this.#runs, task), usualRun(past, task)];
    const ratios = tasksOf(this.#runs).map((name) => usualRun(this.#runs, name) / usualRun(past, name));
    const commonRatio = Math.max(1, median(ratios));
    return {
      evidence: { median_run_ms: near(ownMs), median_run_ms_before: near(beforeMs) },
      words: [ownMs / 1000, beforeMs / 1000],
      gainMs: this.#gainIfScaled(task, (beforeMs * commonRatio) / ownMs),
    };
  }

  #slowBesideOthers(task: string): PlainReason {
    const ownMs = usualRun(this.#runs, task);
    const others = tasksOf(this.#runs).filter((name) => name !== task);
    const logs = others.map((name) => Math.log(usualRun(this.#runs, name)));
    const othersMs = Math.exp(median(logs));
    const spread = 1.4826 * median(logs.map((log) => Math.abs(log - median(logs))));
    const usualMs = othersMs * Math.exp(Math.max(spread, causeDefaults.peerSpreadFloor));
    return {
      evidence: { median_run_ms: near(ownMs), median_run_ms_of_others: near(othersMs) },
      words: [ownMs / 1000, othersMs / 1000],
      gainMs: this.#gainIfScaled(task, usualMs / ownMs),
    };
  }

  #retries(task: string): PlainReason {
    const lossOf = (runs: readonly PlainRun[] | null) => meanOfTask(runs ?? [], task, retryLossOf);
    const [lostMs, beforeMs] = [lossOf(this.#runs), lossOf(this.#past)];
    const retries = meanOfTask(this.#runs, task, ({ attempts }) => attempts.length - 1);
    const duration = (instance: PlainInstance) =>
      durationOf(instance) - retryLossOf(instance) * (1 - beforeMs / lostMs);
    return {
      evidence: {
        retries_mean: nearRatio(retries),
        retry_ms_mean: near(lostMs),
        retry_ms_mean_before: near(beforeMs),
      },
      words: [retries, lostMs / 1000],
      gainMs: this.#gain(task, { duration }),
    };
  }

  #skew(task: string): PlainReason {
    const skewOf = (runs: readonly PlainRun[]) =>
      median(runs.map((run) => longestByMedian(ranOf(run, task).map(({ attempts }) => lengthOf(attempts.at(-1))))));
    const allowed = this.#past === null ? 1.5 : Math.max(1.5, skewOf(this.#past));
    const duration = (instance: PlainInstance, run: PlainRun) =>
      Math.min(durationOf(instance), allowed * median(ranOf(run, task).map(durationOf)));
    return {
      evidence: {
        longest_by_median: nearRatio(skewOf(this.#runs)),
        longest_by_median_allowed: nearRatio(allowed),
      },
      words: [skewOf(this.#runs)],
      gainMs: this.#gain(task, { duration }),
    };
  }

  #waits(task: string): { waitMs: number; usualMs: number } {
    const others = tasksOf(this.#runs).filter((name) => name !== task);
    const usualMs =
      this.#past === null ? median(others.map((name) => usualWait(this.#runs, name))) : usualWait(this.#past, task);
    return { waitMs: usualWait(this.#runs, task), usualMs };
  }

  #slotWait(task: string): PlainReason {
    const { waitMs, usualMs } = this.#waits(task);
    const lag = (instance: PlainInstance, run: PlainRun) => {
      const lagMs = lagOf(run, instance);
      return lagMs - Math.min(Math.max(0, lagMs), Math.max(0, waitOf(instance) - usualMs));
    };
    return {
      evidence: { slot_wait_ms_median: near(waitMs), slot_wait_ms_usual: near(usualMs), pool: 'main' },
      words: [waitMs / 1000, usualMs / 1000],
      gainMs: this.#runs.some((run) => ranOf(run, task).length > 1) ? null : this.#gain(task, { lag }),
    };
  }

  #starvation(task: string): PlainReason {
    const { waitMs } = this.#waits(task);
    const instances = median(this.#runs.map((run) => ranOf(run, task).length));
    return {
      evidence: { instances_median: instances, slot_wait_ms_median: near(waitMs), pool: 'main' },
      words: [instances, waitMs / 1000],
      gainMs: null,
    };
  }
}

const lengthOf = (attempt: { startMs: number; endMs: number } | undefined): number =>
  attempt === undefined ? 0 : attempt.endMs - attempt.startMs;
const longestByMedian = (durations: readonly number[]): number => Math.max(...durations) / median(durations);
const waitOf = ({ attempts, readyMs }: PlainInstance): number => attempts[0].startMs - readyMs;
const runsWith = (runs: readonly PlainRun[], task: string) =>
  runs.map((run) => ranOf(run, task)).filter((instances) => instances.length > 0);

/** The last attempt alone; of several instances their mean. */
const usualRun = (runs: readonly PlainRun[], task: string): number =>
  median(runsWith(runs, task).map((own) => mean(own.map(({ attempts }) => lengthOf(attempts.at(-1))))));

/** The instance that waits longest. */
const usualWait = (runs: readonly PlainRun[], task: string): number =>
  median(runsWith(runs, task).map((own) => Math.max(...own.map(waitOf))));

const meanOfTask = (runs: readonly PlainRun[], task: string, read: (instance: PlainInstance) => number): number =>
  mean(runsWith(runs, task).map((own) => own.reduce((sum, instance) => sum + read(instance), 0)));

describe('a prediction', () => {
  /** Durations in seconds, an hour apart. */
  const historyOf = (seconds: readonly number[]) =>
    gatherRuns(
      ...seconds.map((end, index) => ({
        id: `run-${index}`,
        start: index * 3600,
        end,
        tasks: [{ id: 'a', start: 0, end }],
      })),
    );
  const steady = (random: Random) => Array.from({ length: 150 }, () => Math.round(random.logNormal(100, 0.3)));
  const drifting = (random: Random) =>
    Array.from({ length: 150 }, (_, index) => Math.round(random.logNormal(60 * Math.exp(index / 40), 0.05)));
  const few = (random: Random) => Array.from({ length: 12 }, () => Math.round(random.logNormal(100, 0.3)));

  const rollingMedian = (before: readonly number[]) => median(before.slice(-predictionDefaults.rollingMost));
  const recentLevel = (before: readonly number[]) =>
    before.reduce((level, log) => level + predictionDefaults.recentWeight * (log - level), before[0]);

  it.each([
    ['steady', steady],
    ['drifting', drifting],
    ['few', few],
  ] as const)('says what durations say, where these are %s', (_, draw) => {
    for (let seed = 1; seed <= 12; seed++) checkPrediction(draw(createRandom(seed)), `seed ${seed}`);
  });

  it('is made in every way that there is', () => {
    const methodOf = (seconds: readonly number[]) => answered(predictDuration(historyOf(seconds))).method;
    const seeds = Array.from({ length: 12 }, (_, index) => createRandom(index + 1));
    const used = seeds.flatMap((random) => [steady, drifting, few].map((draw) => methodOf(draw(random))));
    expect([...new Set(used)].sort()).toEqual(['recent_level', 'regression', 'rolling_median']);
  });

  function checkPrediction(seconds: readonly number[], name: string): void {
    const logs = seconds.map((value) => Math.log(value * 1000));
    const answer = answered(predictDuration(historyOf(seconds)));
    expect(answer.usual_duration, name).toEqual(near(Math.exp(rollingMedian(logs))));
    const product = answer.factors.reduce((value, { factor }) => value * factor, answer.usual_duration);
    expect(product / answer.predicted_duration, name).toBeCloseTo(1, 3);
    // What is learned of input and hour has tests of its own.
    if (answer.method === 'regression' || answer.method === 'baseline_estimation') return;
    const predict = answer.method === 'rolling_median' ? rollingMedian : recentLevel;
    const tried = logs.slice(2).map((log, place) => log - predict(logs.slice(0, place + 2)));
    const { low, high, coverage } = spanOf(tried);
    const logPredicted = predict(logs);
    expect(answer.predicted_duration, name).toEqual(near(Math.exp(logPredicted)));
    const span = [near(Math.exp(logPredicted + low)), near(Math.exp(logPredicted + high))];
    expect(answer.confidence_interval, name).toEqual(span);
    expect(answer.interval_coverage, name).toEqual(coverage === null ? null : nearRatio(coverage));
    const misses = tried.map((error) => Math.abs(Math.exp(-error) - 1));
    expect(answer.mean_error_ratio, name).toEqual(nearRatio(mean(misses)));
  }

  /** The middle of the errors made before each one, as wide as it has to be to hold nine of ten. */
  function spanOf(errors: readonly number[]): { low: number; high: number; coverage: number | null } {
    const { level, adaptation, intervalErrorsLeast, intervalErrorsMost } = predictionDefaults;
    let missed = 1 - level;
    const isHeld: boolean[] = [];
    const spanBefore = (place: number) => {
      const sorted = errors.slice(Math.max(0, place - intervalErrorsMost), place).sort((one, other) => one - other);
      const leftOut = Math.max(0, Math.floor(((sorted.length + 1) * missed) / 2) - 1);
      return { low: sorted[leftOut], high: sorted[sorted.length - 1 - leftOut] };
    };
    errors.forEach((error, place) => {
      if (place < intervalErrorsLeast) return;
      const { low, high } = spanBefore(place);
      const holds = error >= low && error <= high;
      isHeld.push(holds);
      missed = Math.min(0.5, Math.max(0.005, missed + adaptation * (1 - level - (holds ? 0 : 1))));
    });
    const held = isHeld.filter((holds) => holds).length;
    return { ...spanBefore(errors.length), coverage: isHeld.length === 0 ? null : held / isHeld.length };
  }
});
