import type { Frontier, Slice, WindowCount, Written } from '../clickhouse/queries/rollups.ts';

/** What the roll-up job goes by. Instants are seconds, as ClickHouse dates the rows. */
export interface RollupLimits {
  /**
   * Rows are dated when their insert begins and seen when it ends, so what was written a while before the cursor is
   * read again: longer than an insert may take (60 s), with as much again for clocks of several servers.
   */
  overlapSeconds: number;
  /** How long after its end an hour is read from its minutes: most late events are in by then. */
  settleSeconds: number;
  /** Finer rows that one statement reads, so that its memory does not depend on how long the history is. */
  sliceRows: number;
  /** Windows of one statement. Each may be a partition of its own, of which an insert may touch a hundred. */
  sliceWindows: number;
  /** How much writing time is read before the cursor is stored: a job that was away for long moves on in steps. */
  stepSeconds: number;
  /** After this long the late windows have their turn again, whatever is left of the history. */
  turnMs: number;
}

export const rollupDefaults: RollupLimits = {
  overlapSeconds: 120,
  settleSeconds: 300,
  sliceRows: 500_000,
  sliceWindows: 96,
  stepSeconds: 600,
  turnMs: 20_000,
};

export const floorTo = (seconds: number, windowSeconds: number): number => seconds - (seconds % windowSeconds);

/**
 * Up to where hours may get their rows. While a log is caught up with, its own time counts rather than the clock:
 * the hours that it is passing through are still read from their minutes, fresh to the second.
 */
export function findHoursEnd(
  { nowSeconds, newestSeconds }: Pick<Frontier, 'nowSeconds' | 'newestSeconds'>,
  { settleSeconds }: Pick<RollupLimits, 'settleSeconds'>,
): number {
  return floorTo(Math.max(0, Math.min(nowSeconds, newestSeconds ?? nowSeconds) - settleSeconds), 3600);
}

/** What to look for next among the rows written since the cursor; the cursor never goes back. */
export function planStep(
  readThroughSeconds: number,
  nowSeconds: number,
  { overlapSeconds, stepSeconds }: Pick<RollupLimits, 'overlapSeconds' | 'stepSeconds'>,
): Written {
  return {
    afterSeconds: Math.max(0, readThroughSeconds - overlapSeconds),
    throughSeconds: Math.max(readThroughSeconds, Math.min(nowSeconds, readThroughSeconds + stepSeconds)),
  };
}

/** Cuts windows into statements of bounded work, in order. One window that is too much is cut by what leads the key. */
export function planSlices(
  windows: readonly WindowCount[],
  { sliceRows, sliceWindows }: Pick<RollupLimits, 'sliceRows' | 'sliceWindows'>,
): Slice[] {
  const slices: Slice[] = [];
  let open: { startsSeconds: number[]; rows: number } = { startsSeconds: [], rows: 0 };
  const close = () => {
    if (open.startsSeconds.length > 0) slices.push({ startsSeconds: open.startsSeconds, part: 0, parts: 1 });
    open = { startsSeconds: [], rows: 0 };
  };
  for (const { startSeconds, rows } of windows) {
    if (open.rows + rows > sliceRows || open.startsSeconds.length >= sliceWindows) close();
    if (rows <= sliceRows) {
      open.startsSeconds.push(startSeconds);
      open.rows += rows;
      continue;
    }
    const parts = Math.ceil(rows / sliceRows);
    for (let part = 0; part < parts; part++) slices.push({ startsSeconds: [startSeconds], part, parts });
  }
  close();
  return slices;
}
