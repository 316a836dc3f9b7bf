import { alertWindowMs, type InputRange, type RunWindow } from '../../clickhouse/queries/alert-inputs.ts';
import { readSeasons, type SeasonRow } from '../../clickhouse/queries/baselines.ts';
import type { RowReader } from '../../clickhouse/question.ts';
import { runSeries, type SeasonOf } from './judge-runs.ts';

const hourMs = 3_600_000;
const mondayMs = 4 * 24 * hourMs;

/**
 * What the published baselines know of hours of the day and of the week: it is taken out before durations are judged. Which one
 * holds depends on the window alone, and baselines are never rewritten, so windows judged again are judged alike.
 */
export class Seasons {
  readonly #database: RowReader;
  #bySeries = new Map<string, SeasonRow[]>();

  constructor(database: RowReader) {
    this.#database = database;
  }

  /** Reads what windows of a range will be asked for; what was read before is forgotten. */
  async prepare(range: InputRange): Promise<void> {
    const rows = await readSeasons(this.#database, range);
    this.#bySeries = Map.groupBy(rows, (row) => `${row.workspace} ${runSeries(row)}`);
  }

  readonly of: SeasonOf = (run: RunWindow, endMs: number) => {
    const rows = this.#bySeries.get(`${run.workspace} ${runSeries(run)}`);
    const held = rows?.findLast(({ validFromMs }) => validFromMs <= endMs - alertWindowMs);
    return held === undefined
      ? { log: 0, baselineId: '' }
      : { log: seasonAt(held.season, endMs - alertWindowMs), baselineId: held.id };
  };
}

/** Of 24 hours of the day or 168 of the week, from Monday 0:00 UTC; nothing where nothing recurs. */
function seasonAt(season: readonly number[], atMs: number): number {
  if (season.length === 0) return 0;
  return season[Math.floor((atMs - mondayMs) / hourMs) % season.length] ?? 0;
}
