import { Counter, Gauge, type Registry } from 'prom-client';
import type { Database } from '../../clickhouse/client.ts';
import { readAlertWatermark, readOldestWindow } from '../../clickhouse/queries/alert-inputs.ts';
import {
  publishResourceBaselines,
  readScoredThrough,
  type ScoreRange,
  scoreDefaults,
  scoreEnds,
  storeScoredThrough,
} from '../../clickhouse/queries/scores.ts';
import { evaluatorDefaults } from './evaluator.ts';
import { floorWindow } from './window-reader.ts';

export const scorerDefaults = {
  latenessMs: evaluatorDefaults.latenessMs,
  intervalMs: 10_000,
  /** Scored in one statement: baselines do not change within an hour. */
  mostMs: 3_600_000,
  /** How far back a first start goes. */
  firstMs: 86_400_000,
} as const;

export interface ScoreMetrics {
  scores: Counter;
  lagSeconds: Gauge;
}

export function createScoreMetrics(registry: Registry): ScoreMetrics {
  const registers = [registry];
  return {
    scores: new Counter({
      name: 'weir_scores_total',
      help: 'Scores of finished executions and attempts that were written.',
      registers,
    }),
    lagSeconds: new Gauge({
      name: 'weir_score_lag_seconds',
      help: 'Age of the newest instant up to which what has ended is scored. Alarm at half an hour.',
      registers,
    }),
  };
}

export interface ScorerOptions {
  database: Database;
  streams: readonly string[];
  shard: number;
  shards: number;
  metrics: ScoreMetrics;
  nowMs: () => number;
}

/**
 * Scores what has ended, once nothing more is expected of that time. Dying anywhere leaves a stretch to be scored again, which
 * writes the same rows. What came late is scored when its hour is over.
 */
export class Scorer {
  readonly #options: ScorerOptions;

  constructor(options: ScorerOptions) {
    this.#options = options;
  }

  /** Scores up to an hour of what is due; true when nothing more is due now. */
  async run(): Promise<boolean> {
    const { database, streams, shard, shards, metrics, nowMs } = this.#options;
    const watermarkMs = await readAlertWatermark(database, streams);
    if (watermarkMs === null) return true;
    const closedMs = floorWindow(watermarkMs - scorerDefaults.latenessMs);
    const { throughMs, resourcesFromMs } = await readScoredThrough(database, { shard, shards });
    const fromMs = throughMs ?? (await this.#findFirst(closedMs));
    if (fromMs === null || closedMs <= fromMs) {
      if (throughMs !== null) metrics.lagSeconds.set(Math.max(0, (nowMs() - throughMs) / 1000));
      return true;
    }
    const range = planRange(fromMs, closedMs, { shard, shards });
    const generationMs = floorTo(range.fromMs, scoreDefaults.resourceHours * hourMs);
    if ((resourcesFromMs ?? 0) < generationMs)
      await publishResourceBaselines(database, generationMs, { shard, shards });
    const scores = await scoreEnds(database, range);
    await storeScoredThrough(database, range, scores);
    metrics.scores.inc(scores);
    metrics.lagSeconds.set(Math.max(0, (nowMs() - range.toMs) / 1000));
    return range.toMs === closedMs;
  }

  async #findFirst(closedMs: number): Promise<number | null> {
    const oldestMs = await readOldestWindow(this.#options.database, closedMs - scorerDefaults.firstMs);
    return oldestMs === null ? null : floorWindow(oldestMs);
  }
}

const hourMs = 3_600_000;
const floorTo = (ms: number, stepMs: number): number => ms - (ms % stepMs);

/** Up to the end of the hour at most; of an hour that is over what came late is scored too. */
export function planRange(
  fromMs: number,
  closedMs: number,
  { shard, shards }: Pick<ScoreRange, 'shard' | 'shards'>,
): ScoreRange {
  const hourFromMs = floorTo(fromMs, scorerDefaults.mostMs);
  const hourToMs = hourFromMs + scorerDefaults.mostMs;
  const isOver = closedMs >= hourToMs;
  const isLate = isOver && fromMs > hourFromMs;
  return { fromMs: isOver ? hourFromMs : fromMs, toMs: isOver ? hourToMs : closedMs, shard, shards, isLate };
}
