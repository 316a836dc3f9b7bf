import { predictDuration } from '../../services/analysis/duration-prediction.ts';
import type { ExecutionTrace } from '../../services/analysis/execution-trace.ts';
import { median } from './report.ts';

/** One prediction beside what happened, and beside what simpler ways would have said. */
export interface Forecast {
  actualMs: number;
  predictedMs: number;
  rollingMs: number;
  lastMs: number;
  isHeld: boolean;
}

const rollingLength = 20;

/** Predicts executions of a history from those before, `count` of them from the place `from` on. */
export function replayForecasts(history: readonly ExecutionTrace[], from: number, count: number): Forecast[] {
  const completed = history.filter(({ state, tasks }) => state === 'completed' && tasks.length > 0);
  const forecasts: Forecast[] = [];
  const step = Math.max(1, Math.floor((completed.length - from) / count));
  for (let place = from; place < completed.length; place += step) {
    const answer = predictDuration(completed.slice(0, place), completed[place]);
    if ('refused' in answer) continue;
    const [low, high] = answer.confidence_interval;
    if (low === null || high === null) continue;
    const before = completed.slice(Math.max(0, place - rollingLength), place).map(durationOf);
    const actualMs = durationOf(completed[place]);
    forecasts.push({
      actualMs,
      predictedMs: answer.predicted_duration,
      rollingMs: median(before),
      lastMs: before[before.length - 1],
      isHeld: actualMs >= low - 0.01 && actualMs <= high + 0.01,
    });
  }
  return forecasts;
}

const durationOf = ({ startedAtMs, endedAtMs }: ExecutionTrace): number => (endedAtMs ?? 0) - (startedAtMs ?? 0);

/** Errors as shares of what happened, so that long workflows do not count for more. */
export function judgeForecasts(forecasts: readonly Forecast[]): {
  coverage: number;
  toRolling: number;
  toLast: number;
} {
  const meanError = (of: (forecast: Forecast) => number) =>
    forecasts.reduce((sum, own) => sum + Math.abs(Math.log(of(own) / own.actualMs)), 0) / forecasts.length;
  const own = meanError(({ predictedMs }) => predictedMs);
  return {
    coverage: forecasts.filter(({ isHeld }) => isHeld).length / forecasts.length,
    toRolling: own / meanError(({ rollingMs }) => rollingMs),
    toLast: own / meanError(({ lastMs }) => lastMs),
  };
}
