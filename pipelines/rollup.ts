import type { Database } from '../clickhouse/client.ts';
import {
  countSomeWindows,
  countWindows,
  type DirtyMark,
  readCursors,
  readDirtyMarks,
  readFrontier,
  rollUpSlice,
  storeCursors,
  sweepCells,
} from '../clickhouse/queries/rollups.ts';
import { type CursorRow, type Rollup, rollupPairs } from '../clickhouse/tables/rollups.ts';
import { type JobLog, JobTurns } from './job-turns.ts';
import type { RollupMetrics } from './rollup-metrics.ts';
import { findHoursEnd, floorTo, planSlices, planStep, type RollupLimits, rollupDefaults } from './rollup-plan.ts';

/**
 * Raise it when the same cells have to become other rows: everything that still has its cells is then computed
 * again, and the new rows win over the old ones. Code of a lower version stops.
 */
const codeVersion = 1;

/** Named points between the steps, where a test may let the process die. */
export type RollupPoint = 'swept' | 'planned' | 'rows' | 'boundary' | 'cursors';

export interface RollupOptions {
  database: Database;
  metrics: RollupMetrics;
  log: JobLog;
  intervalMs: number;
  jobVersion?: number;
  limits?: Partial<RollupLimits>;
  reached?(point: RollupPoint): void;
}

const dayMs = 24 * 3600 * 1000;
const alarmEveryMs = 3600 * 1000;

const markKey = ({ startSeconds, writtenSlot }: DirtyMark): string => `${startSeconds} ${writtenSlot}`;

/**
 * Makes hours out of minute cells and days out of hours, exactly: each window is computed as a whole from all its finer
 * rows, inside ClickHouse. A run does, for executions, tasks and orchestrators,
 *
 * 1. cells that an older fold left behind are swept to zero;
 * 2. windows before the boundary of which finer rows were written since the cursor are computed again;
 * 3. the boundary moves on, over windows that have settled: their rows first, then the boundary, slice by slice;
 * 4. the cursor moves to when the run began.
 *
 * Rows are keyed by window and their version grows with their content, so dying anywhere leaves work to be done again,
 * and several jobs at once do no harm. Views read windows from the boundary on from the finer table, so
 * an hour that has never been computed is never looked for among the hours.
 */
export class RollupJob {
  readonly #options: RollupOptions;
  readonly #limits: RollupLimits;
  readonly #jobVersion: number;
  readonly #startedMs = Date.now();
  #cursors = new Map<string, CursorRow>();
  #completeAtMs = 0;
  /** Marks of what was written lately and is in the rows, by table, and since when they have been kept. */
  readonly #seen = new Map<string, Map<string, string>>();
  #seenSinceSeconds = 0;
  readonly #turns: JobTurns;
  #alarmedMs = 0;

  constructor(options: RollupOptions) {
    this.#options = options;
    this.#limits = { ...rollupDefaults, ...options.limits };
    this.#jobVersion = options.jobVersion ?? codeVersion;
    const { intervalMs, log, metrics } = options;
    this.#turns = new JobTurns({
      name: 'the roll-up job',
      intervalMs,
      log,
      // Instances share the work by looking at when one of them was last done.
      turn: async () => !(await this.#isDue()) || (await this.run()),
      ended: () => this.#reportLag(),
      failed: () => metrics.failures.inc(),
    });
  }

  start(): void {
    this.#turns.start();
  }

  async stop(): Promise<void> {
    await this.#turns.stop();
  }

  /** Runs until nothing is left to do; for a run by hand. */
  async runToEnd(): Promise<void> {
    while (!(await this.run()));
  }

  /** One run; true when it left nothing to do. */
  async run(): Promise<boolean> {
    const { database } = this.#options;
    const startedMs = performance.now();
    await this.#readCursors();
    const cursors: CursorRow[] = [];
    let isDone = true;
    for (const { hours, days } of rollupPairs) {
      await this.#sweep(hours);
      const frontier = await readFrontier(database, hours);
      await this.#computeLate(hours, frontier.nowSeconds);
      const hoursDone = await this.#moveBoundary(hours, frontier.oldestSeconds, findHoursEnd(frontier, this.#limits));
      // Days follow the hours as far as these have come by now, whatever is left of the history.
      const daysFrontier = await readFrontier(database, days);
      await this.#computeLate(days, daysFrontier.nowSeconds);
      const daysEnd = floorTo(this.#cursorOf(hours).boundaryMs / 1000, days.windowSeconds);
      const daysDone = await this.#moveBoundary(days, daysFrontier.oldestSeconds, daysEnd);
      isDone &&= hoursDone && daysDone;
      const complete = hoursDone && daysDone ? { completeAtMs: frontier.nowSeconds * 1000 } : {};
      for (const rollup of [hours, days]) cursors.push({ ...this.#cursorOf(rollup), ...complete });
    }
    await this.#store(cursors);
    this.#reach('cursors');
    this.#completeAtMs = Math.min(...cursors.map((cursor) => cursor.completeAtMs));
    this.#options.metrics.durationSeconds.observe((performance.now() - startedMs) / 1000);
    return isDone;
  }

  async #isDue(): Promise<boolean> {
    await this.#readCursors();
    const mine = [...this.#cursors.values()];
    const [clock] = await this.#options.database.rows<{ nowMs: number }>(
      'SELECT toUnixTimestamp(now()) * 1000 AS nowMs',
    );
    this.#completeAtMs = mine.length === 0 ? 0 : Math.min(...mine.map(({ completeAtMs }) => completeAtMs));
    return (clock?.nowMs ?? 0) - this.#completeAtMs >= this.#options.intervalMs - 1000;
  }

  #reportLag(): void {
    const { log, metrics } = this.#options;
    const lagMs = Math.max(0, Date.now() - (this.#completeAtMs === 0 ? this.#startedMs : this.#completeAtMs));
    metrics.lagSeconds.set(lagMs / 1000);
    if (lagMs < dayMs || Date.now() - this.#alarmedMs < alarmEveryMs) return;
    this.#alarmedMs = Date.now();
    const lagHours = Math.floor(lagMs / 3_600_000);
    log.error({ lagHours, failure: this.#turns.failure }, 'hours and days have not been complete for a day or more');
  }

  /** Refuses older code: its rows would lose against those of the newer, and windows would stand still without a word. */
  async #readCursors(): Promise<void> {
    const all = await readCursors(this.#options.database);
    const mine = all.filter(({ jobVersion }) => jobVersion === this.#jobVersion);
    this.#cursors = new Map(mine.map((cursor) => [cursor.target, cursor]));
    const newest = Math.max(0, ...all.map(({ jobVersion }) => jobVersion));
    if (newest <= this.#jobVersion) return;
    throw new Error(
      `hours were computed by version ${newest} of this job, which is version ${this.#jobVersion}: release the older code under a higher version`,
    );
  }

  #cursorOf({ target }: Rollup): CursorRow {
    const known = this.#cursors.get(target);
    const none = { target, jobVersion: this.#jobVersion, boundaryMs: 0, readThroughMs: 0, completeAtMs: 0 };
    return known ?? none;
  }

  async #store(cursors: readonly CursorRow[]): Promise<void> {
    for (const cursor of cursors) this.#cursors.set(cursor.target, cursor);
    await storeCursors(this.#options.database, cursors);
  }

  #reach(point: RollupPoint): void {
    this.#options.reached?.(point);
    if (this.#turns.isStopped) throw new Error('stopped');
  }

  async #sweep(hours: Rollup): Promise<void> {
    const afterSeconds = this.#cursorOf(hours).readThroughMs / 1000 - this.#limits.overlapSeconds;
    const cells = await sweepCells(this.#options.database, hours, Math.max(0, afterSeconds));
    this.#options.metrics.swept.inc({ table: hours.source }, cells);
    this.#reach('swept');
  }

  /** Step 2. Before the first boundary there is nothing to compute again, and reading begins now. */
  async #computeLate(rollup: Rollup, nowSeconds: number): Promise<void> {
    const { database } = this.#options;
    for (let isDone = false; !isDone; ) {
      const cursor = this.#cursorOf(rollup);
      if (cursor.boundaryMs === 0) {
        this.#cursors.set(rollup.target, { ...cursor, readThroughMs: nowSeconds * 1000 });
        return;
      }
      const written = planStep(cursor.readThroughMs / 1000, nowSeconds, this.#limits);
      this.#forgetSeen(nowSeconds);
      const marks = await readDirtyMarks(database, rollup, cursor.boundaryMs / 1000, written);
      const windows = await countSomeWindows(database, rollup, this.#findNew(rollup, marks));
      this.#reach('planned');
      for (const slice of planSlices(windows, this.#limits)) {
        const rows = await rollUpSlice(database, rollup, this.#jobVersion, slice, written);
        this.#count(rollup, slice.part === 0 ? slice.startsSeconds.length : 0, rows);
        this.#reach('rows');
      }
      this.#seen.set(rollup.target, new Map(marks.map((mark) => [markKey(mark), mark.mark])));
      const moved = { ...cursor, readThroughMs: written.throughSeconds * 1000 };
      isDone = written.throughSeconds >= nowSeconds;
      if (isDone) this.#cursors.set(rollup.target, moved);
      else await this.#store([moved]);
    }
  }

  /**
   * Windows of which rows were written that this job has not seen yet. The overlap is read a few dozen times; a row that
   * shows up late in it changes the mark of the seconds in which its insert began.
   */
  #findNew({ target }: Rollup, marks: readonly DirtyMark[]): number[] {
    const seen = this.#seen.get(target);
    const unseen = marks.filter((mark) => seen?.get(markKey(mark)) !== mark.mark);
    return [...new Set(unseen.map(({ startSeconds }) => startSeconds))];
  }

  /** Twice in the overlap everything is looked at anew: the marks may have come from a replica that was ahead. */
  #forgetSeen(nowSeconds: number): void {
    if (nowSeconds - this.#seenSinceSeconds < this.#limits.overlapSeconds / 2) return;
    this.#seenSinceSeconds = nowSeconds;
    this.#seen.clear();
  }

  /** Step 3; true when the boundary has come to the end. */
  async #moveBoundary(rollup: Rollup, oldestSeconds: number | null, endSeconds: number): Promise<boolean> {
    const { database } = this.#options;
    const deadlineMs = performance.now() + this.#limits.turnMs;
    const oldest = floorTo(oldestSeconds ?? endSeconds, rollup.windowSeconds);
    const from = Math.max(this.#cursorOf(rollup).boundaryMs / 1000, oldest);
    if (oldestSeconds === null || from >= endSeconds) return true;
    const slices = planSlices(await countWindows(database, rollup, from, endSeconds), this.#limits);
    this.#reach('planned');
    for (const slice of slices) {
      const rows = await rollUpSlice(database, rollup, this.#jobVersion, slice);
      this.#count(rollup, slice.part === 0 ? slice.startsSeconds.length : 0, rows);
      this.#reach('rows');
      if (slice.part < slice.parts - 1) continue;
      const isLast = slice === slices.at(-1);
      const reached = isLast ? endSeconds : (slice.startsSeconds.at(-1) as number) + rollup.windowSeconds;
      await this.#store([{ ...this.#cursorOf(rollup), boundaryMs: reached * 1000 }]);
      this.#reach('boundary');
      if (!isLast && performance.now() > deadlineMs) return false;
    }
    return true;
  }

  #count({ target: table }: Rollup, windows: number, rows: number): void {
    this.#options.metrics.windows.inc({ table }, windows);
    this.#options.metrics.rows.inc({ table }, rows);
  }
}
