import {
  alertWindowMs,
  readScheduledStarts,
  readWindows,
  type ScheduledWorkflow,
  type WindowInput,
} from '../../clickhouse/queries/alert-inputs.ts';
import type { RowReader } from '../../clickhouse/question.ts';
import type { SeasonOf } from './judge-runs.ts';
import { Seasons } from './seasons.ts';

/** Windows that are read at once. */
export const windowsPerRead = 24;
/** Workflows by the clock begin once a month at least, or nobody misses them. */
const scheduleMs = 35 * 86_400_000;

export const floorWindow = (ms: number): number => ms - (ms % alertWindowMs);

/** Stored windows in their order, with what was known before them of workflows that run by the clock, and of the hours they lie in. */
export class WindowReader {
  readonly #reader: RowReader;
  readonly #shard: { shard: number; shards: number };
  readonly #seasons: Seasons;
  #scheduled: readonly ScheduledWorkflow[] = [];

  constructor(reader: RowReader, { shard, shards } = { shard: 0, shards: 1 }) {
    this.#reader = reader;
    this.#shard = { shard, shards };
    this.#seasons = new Seasons(reader);
  }

  /** What recurs, for windows of the part that was read last. */
  get seasonOf(): SeasonOf {
    return this.#seasons.of;
  }

  /** Begins anew with the windows from `fromMs` on, and gives them in parts, so that weeks of them need not be held at once. */
  async *readFrom(
    fromMs: number,
    toMs: number,
    most: number = windowsPerRead,
  ): AsyncGenerator<WindowInput[], void, void> {
    this.#scheduled = await readScheduledStarts(this.#reader, fromMs - scheduleMs, fromMs, this.#shard);
    for (let atMs = fromMs; atMs < toMs; atMs += most * alertWindowMs) {
      yield await this.read(atMs, Math.min(toMs, atMs + most * alertWindowMs));
    }
  }

  /** The windows that follow those read before. */
  async read(fromMs: number, toMs: number): Promise<WindowInput[]> {
    const range = { fromMs, toMs, ...this.#shard };
    const [windows] = await Promise.all([
      readWindows(this.#reader, range, this.#scheduled),
      this.#seasons.prepare(range),
    ]);
    this.#scheduled = windows.at(-1)?.scheduled ?? this.#scheduled;
    return windows;
  }
}
