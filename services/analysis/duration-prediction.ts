import { type Basis, describeBasis, isUsable, type Refusal, refuse, roundMs, roundRatio } from './basis.ts';
import { chooseFeatures, describeStart, type Features } from './duration-features.ts';
import { type ExecutionTrace, startOf } from './execution-trace.ts';
import { fitRidge, partOf, predictRidge, type RidgeModel } from './ridge-regression.ts';
import { countUpTo, meanOf, medianOf } from './robust-statistics.ts';

/**
 * How long the next execution will take. Three ways of predicting are tried on the past, always from what was known at
 * the time, and the one that would have been nearest is used. The interval is conformal: as wide as the errors that
 * were really made, with its level adapted whenever it held too much or too little (Gibbs and Candès, 2021). All is
 * done on logarithms, so that no bound is ever negative and factors multiply.
 */
export interface DurationPrediction {
  workflow_id: string;
  predicted_duration: number;
  /** Both null where there were too few errors to learn from. */
  confidence_interval: [number | null, number | null];
  /** The share of executions that the interval is meant to hold. */
  interval_level: number;
  /** The share of past ones that it did hold. */
  interval_coverage: number | null;
  confidence: 'low' | 'medium' | 'high';
  method: 'baseline_estimation' | 'rolling_median' | 'recent_level' | 'regression';
  /** They multiply to the prediction by the usual duration. */
  factors: { name: string; factor: number }[];
  usual_duration: number;
  /** Mean error over the past, as a share of the duration. */
  mean_error_ratio: number | null;
  thresholds: typeof predictionDefaults;
  basis: Basis;
}

export const predictionDefaults = {
  /** Below so many completed executions there is only a baseline. */
  executionsLeast: 5,
  level: 0.9,
  /** How fast the level adapts. */
  adaptation: 0.005,
  rollingMost: 60,
  recentWeight: 0.15,
  trainedMost: 400,
  /** Executions that are predicted afterwards to compare the ways. */
  triedMost: 300,
  regressionLeast: 20,
  penalty: 2,
  /** A way that takes more from the data has to be better by so much. */
  advantageLeast: 0.02,
  intervalErrorsLeast: 8,
  /** Older errors were made by a predictor that knew less, or in other times. */
  intervalErrorsMost: 100,
};

export function predictDuration(
  history: readonly ExecutionTrace[],
  next: ExecutionTrace | null = null,
): DurationPrediction | Refusal {
  const past = history.filter((execution) => isUsable(execution) && execution.state === 'completed');
  past.sort((left, right) => startOf(left) - startOf(right));
  if (past.length === 0) return refuse('a prediction', 1, 0, history);
  const logs = past.map(logDuration);
  const about = { workflow_id: past[0].workflowId, thresholds: predictionDefaults, basis: describeBasis(history) };
  const usualMs = Math.exp(medianOf(logs.slice(-predictionDefaults.rollingMost)));
  const common = { ...about, usual_duration: roundMs(usualMs), interval_level: predictionDefaults.level };
  if (past.length < predictionDefaults.executionsLeast) {
    const nothing = { interval_coverage: null, mean_error_ratio: null, factors: [] };
    const predicted = { predicted_duration: roundMs(usualMs), confidence_interval: [null, null] as [null, null] };
    return { ...common, ...predicted, ...nothing, confidence: 'low', method: 'baseline_estimation' };
  }
  return { ...common, ...predictFromPast(past, logs, next, usualMs) };
}

const logDuration = ({ startedAtMs, endedAtMs }: ExecutionTrace): number =>
  Math.log(Math.max(1, (endedAtMs ?? 0) - (startedAtMs ?? 0)));

type Predicted = Omit<DurationPrediction, 'workflow_id' | 'thresholds' | 'basis' | 'usual_duration' | 'interval_level'>;

function predictFromPast(
  past: readonly ExecutionTrace[],
  logs: readonly number[],
  next: ExecutionTrace | null,
  usualMs: number,
): Predicted {
  const rows = past.map(describeStart);
  const trial = tryMethods(rows, logs);
  const method = chooseMethod(trial);
  const target = next === null ? rows[rows.length - 1] : describeStart(next);
  const predictor = new Predictor(rows, logs, rows.length);
  const log = predictor.predict(method, target);
  const interval = adaptInterval(trial[method]);
  const errors = trial[method].map(({ error }) => Math.abs(Math.expm1(-error)));
  const hasInterval = interval.errors >= predictionDefaults.intervalErrorsLeast;
  return {
    predicted_duration: roundMs(Math.exp(log)),
    confidence_interval: hasInterval
      ? [roundMs(Math.exp(log + interval.low)), roundMs(Math.exp(log + interval.high))]
      : [null, null],
    interval_coverage: interval.coverage === null ? null : roundRatio(interval.coverage),
    confidence: judge(interval.errors, interval.high - interval.low),
    method,
    factors: predictor.explain(method, target, log, Math.log(usualMs)),
    mean_error_ratio: errors.length === 0 ? null : roundRatio(meanOf(errors)),
  };
}

const methods = ['rolling_median', 'recent_level', 'regression'] as const;
type Method = (typeof methods)[number];
/** Error of the logarithm: what happened less what was predicted. */
type Trial = Record<Method, { error: number }[]>;

function tryMethods(rows: readonly Features[], logs: readonly number[]): Trial {
  const trial: Trial = { rolling_median: [], recent_level: [], regression: [] };
  const first = Math.max(2, rows.length - predictionDefaults.triedMost);
  const predictor = new Predictor(rows, logs, first);
  for (let index = first; index < rows.length; index++) {
    predictor.advance(index);
    for (const method of methods) {
      trial[method].push({ error: logs[index] - predictor.predict(method, rows[index]) });
    }
  }
  return trial;
}

/** Later trials tell more than early ones, which had little to learn from. */
function chooseMethod(trial: Trial): Method {
  const scoreOf = (method: Method) => {
    const errors = trial[method].slice(-Math.max(10, Math.ceil(trial[method].length / 2)));
    return meanOf(errors.map(({ error }) => Math.abs(error)));
  };
  let best: Method = 'rolling_median';
  for (const method of methods) {
    if (scoreOf(method) < scoreOf(best) * (1 - predictionDefaults.advantageLeast)) best = method;
  }
  return best;
}

/** Predicts from the executions before one place of the history. */
class Predictor {
  readonly #rows: readonly Features[];
  readonly #logs: readonly number[];
  #until: number;
  #recent = 0;
  #recentUntil = 0;
  #model: RidgeModel | null = null;
  #fittedUntil = -1;
  #residual = 0;

  constructor(rows: readonly Features[], logs: readonly number[], until: number) {
    this.#rows = rows;
    this.#logs = logs;
    this.#until = until;
    this.advance(until);
  }

  advance(until: number): void {
    this.#until = until;
    const { recentWeight, regressionLeast } = predictionDefaults;
    for (; this.#recentUntil < until; this.#recentUntil++) {
      const log = this.#logs[this.#recentUntil];
      this.#recent = this.#recentUntil === 0 ? log : this.#recent + recentWeight * (log - this.#recent);
      if (this.#model !== null) {
        const error = log - this.#evaluate(this.#rows[this.#recentUntil]);
        this.#residual += recentWeight * (error - this.#residual);
      }
    }
    // Fitting costs more than predicting, and one execution changes little.
    const isDue = until - this.#fittedUntil >= Math.max(1, until / 20);
    if (until >= regressionLeast && (this.#model === null || isDue)) this.#fit();
  }

  #fit(): void {
    const from = Math.max(0, this.#until - predictionDefaults.trainedMost);
    const rows = this.#rows.slice(from, this.#until);
    const names = chooseFeatures(rows);
    const values = this.#logs.slice(from, this.#until);
    this.#model = fitRidge(
      names,
      rows.map((row) => columnsOf(names, row)),
      values,
      predictionDefaults.penalty,
    );
    this.#fittedUntil = this.#until;
    this.#residual =
      medianOf(
        rows.slice(-10).map((row, index) => values[Math.max(0, rows.length - 10) + index] - this.#evaluate(row)),
      ) / 2;
  }

  #evaluate(row: Features): number {
    const model = this.#model as RidgeModel;
    return predictRidge(model, columnsOf(model.names, row));
  }

  predict(method: Method, row: Features): number {
    if (method === 'recent_level') return this.#recent;
    if (method === 'regression' && this.#model !== null) return this.#evaluate(row) + this.#residual;
    return medianOf(this.#logs.slice(Math.max(0, this.#until - predictionDefaults.rollingMost), this.#until));
  }

  explain(method: Method, row: Features, log: number, usualLog: number): DurationPrediction['factors'] {
    const model = this.#model;
    if (method === 'rolling_median') return [];
    if (method === 'recent_level' || model === null)
      return [{ name: 'recent executions', factor: roundRatio(Math.exp(log - usualLog)) }];
    const parts = columnsOf(model.names, row).map((value, column) => ({
      name: model.names[column],
      part: partOf(model, column, value),
    }));
    parts.sort((left, right) => Math.abs(right.part) - Math.abs(left.part));
    const told = parts.slice(0, 6).filter(({ part }) => Math.abs(part) >= 0.005);
    const rest = log - usualLog - told.reduce((sum, { part }) => sum + part, 0);
    return [...told, { name: 'all else', part: rest }].map(({ name, part }) => ({
      name,
      factor: roundRatio(Math.exp(part)),
    }));
  }
}

const columnsOf = (names: readonly string[], row: Features): number[] => names.map((name) => row.get(name) ?? 0);

interface Interval {
  low: number;
  high: number;
  coverage: number | null;
  errors: number;
}

/** Walks through the trials as they happened: each is held or not by the interval of those before it. */
export function adaptInterval(trial: readonly { error: number }[]): Interval {
  const { level, adaptation, intervalErrorsLeast, intervalErrorsMost } = predictionDefaults;
  const errors: number[] = [];
  let miss = 1 - level;
  let held = 0;
  let judged = 0;
  trial.forEach(({ error }, place) => {
    if (errors.length >= intervalErrorsLeast) {
      const { low, high } = spanErrors(errors, miss);
      const isHeld = error >= low && error <= high;
      judged++;
      if (isHeld) held++;
      miss = Math.min(0.5, Math.max(0.005, miss + adaptation * (1 - level - (isHeld ? 0 : 1))));
    }
    errors.splice(countUpTo(errors, error), 0, error);
    if (place >= intervalErrorsMost) errors.splice(countUpTo(errors, trial[place - intervalErrorsMost].error) - 1, 1);
  });
  return { ...spanErrors(errors, miss), coverage: judged === 0 ? null : held / judged, errors: errors.length };
}

/** Each side leaves out half of the misses, counted as if one more error were to come. */
function spanErrors(sorted: readonly number[], miss: number): { low: number; high: number } {
  const n = sorted.length;
  if (n === 0) return { low: 0, high: 0 };
  const cut = Math.max(0, Math.floor((n + 1) * (miss / 2)) - 1);
  return { low: sorted[cut], high: sorted[n - 1 - cut] };
}

/** From the number of errors that were learned from and the width of the interval: a factor of 2 is ln 2 wide. */
function judge(errors: number, width: number): DurationPrediction['confidence'] {
  if (errors < 20 || width > 2 * Math.LN2) return 'low';
  return errors >= 50 && width <= Math.LN2 ? 'high' : 'medium';
}
