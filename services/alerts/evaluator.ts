import type { Database } from '../../clickhouse/client.ts';
import {
  alertWindowMs,
  countBackfilledCells,
  readAlertWatermark,
  readJudgements,
  readLastRound,
  readOldestOpenAlert,
  readOldestWindow,
  storeChanges,
  storeJudgements,
  storeRound,
  type WindowInput,
} from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertChangeRow, JudgementRow } from '../../clickhouse/tables/alerts.ts';
import type { AlertMetrics } from './alert-metrics.ts';
import { Judge } from './judge.ts';
import type { RuleBook } from './rules.ts';
import { type ActsOf, AlertMachine } from './state.ts';
import { floorWindow, WindowReader, windowsPerRead } from './window-reader.ts';

export const evaluatorDefaults = {
  /** Late telemetry is waited for this long beyond the watermark. */
  latenessMs: 120_000,
  /** History that is judged before the first window, so that what is usual is known. */
  warmUpMs: 7 * 86_400_000,
  /** Windows that are read at once. */
  windowsPerRead,
  /** Changes of windows that ended longer ago are told only as far as they still hold. */
  freshMs: 15 * 60_000,
  intervalMs: 5_000,
  /** Cells older than this that were written so lately: history is being loaded, and is waited for at the start. */
  historyMs: 3 * 3_600_000,
  settledSeconds: 30,
  /** A first start whose newest closed window is older is still behind: partitions that nobody has read yet hold nothing back. */
  behindMs: 30 * 60_000,
  mostBackfilled: 500,
} as const;

export interface EvaluatorOptions {
  database: Database;
  streams: readonly string[];
  shard: number;
  shards: number;
  /** Rules as people have set them, asked before each round. */
  bookOf: () => RuleBook;
  actsOf: ActsOf;
  /** Tells of changes; resolves when the brokers have them. Repeats are harmless: receivers know the notification. */
  publish: (changes: readonly AlertChangeRow[]) => Promise<void>;
  metrics: AlertMetrics;
  nowMs: () => number;
  limits?: Partial<{ [Name in keyof typeof evaluatorDefaults]: number }>;
}

/**
 * Judges window after window, as they close. Of each round the judgements are written first, then the changes of alerts
 * that follow from them; then these are told, and only then is the round written down as done. Dying anywhere in between
 * leaves a round to be done again, which writes the same rows and tells the same notifications.
 */
export class Evaluator {
  readonly #options: EvaluatorOptions;
  readonly #limits: { [Name in keyof typeof evaluatorDefaults]: number };
  readonly #windows: WindowReader;
  #judge: Judge;
  #machine: AlertMachine;
  /** End of the newest window that was judged; null before the start. */
  #roundMs: number | null = null;
  #waitingFor = '';
  /** Changes that nobody has been told of yet. */
  #held: AlertChangeRow[] = [];
  /** Alerts that were there at the start: people may have been told of them. */
  #known = new Set<string>();

  constructor(options: EvaluatorOptions) {
    this.#options = options;
    this.#limits = { ...evaluatorDefaults, ...options.limits };
    this.#windows = new WindowReader(options.database, options);
    this.#judge = this.#createJudge();
    this.#machine = new AlertMachine(options.actsOf);
  }

  #createJudge(): Judge {
    return new Judge({ bookOf: this.#options.bookOf, seasonOf: this.#windows.seasonOf });
  }

  /** '' when windows are judged as they close, and otherwise why not yet. */
  get waitingFor(): string {
    return this.#waitingFor;
  }

  get roundMs(): number | null {
    return this.#roundMs;
  }

  /** Judges what has closed since the last call; true when nothing more is due now. */
  async run(): Promise<boolean> {
    const { database, streams, metrics, nowMs } = this.#options;
    const watermarkMs = await readAlertWatermark(database, streams);
    if (watermarkMs === null) return true;
    const closedMs = floorWindow(watermarkMs - this.#limits.latenessMs);
    if (this.#roundMs === null && (await this.#isLoading(closedMs))) return true;
    this.#roundMs ??= await this.#start(closedMs);
    if (this.#roundMs === null || closedMs <= this.#roundMs) {
      if (this.#roundMs !== null) metrics.lagSeconds.set(Math.max(0, (nowMs() - this.#roundMs) / 1000));
      return true;
    }
    const toMs = Math.min(closedMs, this.#roundMs + this.#limits.windowsPerRead * alertWindowMs);
    const windows = await this.#windows.read(this.#roundMs, toMs);
    try {
      for (const window of windows) await this.#judgeRound(window, closedMs);
    } catch (error) {
      this.#forget();
      throw error;
    }
    metrics.lagSeconds.set(Math.max(0, (nowMs() - toMs) / 1000));
    metrics.show(this.#judge);
    return toMs === closedMs;
  }

  /**
   * A round that failed midway was judged and played, but is not written down. Who judged it again would count it twice: everything
   * begins anew from what is stored, as in another process.
   */
  #forget(): void {
    this.#judge = this.#createJudge();
    this.#machine = new AlertMachine(this.#options.actsOf);
    this.#roundMs = null;
    this.#held = [];
  }

  async #isLoading(closedMs: number): Promise<boolean> {
    const { database, shards, shard, nowMs } = this.#options;
    const { historyMs, settledSeconds, mostBackfilled, behindMs } = this.#limits;
    const cells = await countBackfilledCells(database, closedMs - historyMs, settledSeconds);
    const isBehind = nowMs() - closedMs > behindMs && (await readLastRound(database, shards, shard)) === null;
    const isLoading = cells > mostBackfilled || isBehind;
    this.#waitingFor = isLoading ? 'history is being loaded' : '';
    return isLoading;
  }

  /** Goes on where the last evaluator of this shard came to, knowing what it knew: what is usual, and what is open. */
  async #start(closedMs: number): Promise<number | null> {
    const { database, shards, shard } = this.#options;
    const { warmUpMs } = this.#limits;
    const oldestMs = await readOldestWindow(database, closedMs - warmUpMs);
    if (oldestMs === null) return null;
    const lastMs = await readLastRound(database, shards, shard);
    // A first start judges what has come up to now, without calling anybody for what is over.
    const goOnMs = Math.max(lastMs ?? 0, floorWindow(oldestMs) + Math.min(86_400_000, (closedMs - oldestMs) / 2));
    const fromMs = floorWindow(Math.max(oldestMs, goOnMs - warmUpMs));
    const roundMs = floorWindow(goOnMs);
    for await (const windows of this.#windows.readFrom(fromMs, roundMs, this.#limits.windowsPerRead)) {
      for (const window of windows) this.#judge.judge(window);
    }
    await this.#replay(roundMs);
    return roundMs;
  }

  /**
   * Alerts that were open, from the judgements that they came from. Whoever stopped may have stored a change without telling
   * anybody: what is open, and what ended lately, is told again, and receivers drop what they know.
   */
  async #replay(roundMs: number): Promise<void> {
    const { database, shard, shards } = this.#options;
    const sinceMs = await readOldestOpenAlert(database);
    const fromMs = floorWindow(Math.min(sinceMs ?? roundMs, roundMs) - 2 * 3_600_000);
    const judgements = await readJudgements(database, { fromMs, toMs: roundMs, shard, shards });
    const byRound = Map.groupBy(judgements, (row) => row.roundMs);
    const newest = new Map<string, AlertChangeRow>();
    for (let atMs = fromMs + alertWindowMs; atMs <= roundMs; atMs += alertWindowMs) {
      const changes = this.#machine.play({ roundMs: atMs, judgements: byRound.get(atMs) ?? [] });
      for (const change of changes) newest.set(change.alertId, change);
    }
    this.#known = new Set(newest.keys());
    this.#held = [...newest.values()].filter(
      ({ state, eventTimeMs }) => state !== 'resolved' || eventTimeMs > roundMs - this.#limits.freshMs,
    );
  }

  async #judgeRound(window: WindowInput, closedMs: number): Promise<void> {
    const { database, shard, shards, metrics } = this.#options;
    const startedMs = performance.now();
    const judgements = this.#judge.judge(window);
    const durationMs = performance.now() - startedMs;
    const changes = this.#machine.play({ roundMs: window.endMs, judgements });
    await storeJudgements(database, judgements);
    await storeChanges(database, changes);
    await this.#tell(changes, window.endMs, closedMs);
    await storeRound(database, {
      shards,
      shard,
      roundMs: window.endMs,
      series: this.#judge.series,
      breaches: countBreaches(judgements),
      changes: changes.length,
      durationMs: Math.round(durationMs),
    });
    this.#roundMs = window.endMs;
    metrics.observe(judgements, changes, durationMs);
  }

  /**
   * While windows of long ago are caught up with, nobody is called for what has ended meanwhile: changes are held back, and of each
   * alert the newest is told when a window is reached that is fresh, or all that are due are judged.
   */
  async #tell(changes: readonly AlertChangeRow[], endMs: number, closedMs: number): Promise<void> {
    const held = this.#held;
    held.push(...changes);
    if (closedMs - endMs > this.#limits.freshMs) return;
    const newest = new Map(held.map((change) => [change.alertId, change]));
    const began = new Set(
      held.filter(({ ver, alertId }) => ver === 1 && !this.#known.has(alertId)).map(({ alertId }) => alertId),
    );
    const told = [...newest.values()].filter(
      ({ alertId, state, eventTimeMs }) => eventTimeMs === endMs || state !== 'resolved' || !began.has(alertId),
    );
    if (told.length > 0) await this.#options.publish(told);
    this.#held = [];
  }
}

const countBreaches = (judgements: readonly JudgementRow[]): number =>
  judgements.filter(({ verdict }) => verdict === 'breach').length;
