import { createHash, randomInt } from 'node:crypto';
import { setImmediate as breathe } from 'node:timers/promises';
import type { Database } from '../clickhouse/client.ts';
import {
  type BaselineFrontier,
  type BaselineSample,
  countHourRows,
  countPublished,
  publishBaselines,
  readBaselineFrontier,
  readBaselineSamples,
  readPublished,
  storeGeneration,
} from '../clickhouse/queries/baselines.ts';
import {
  type BaselineKey,
  type BaselineKind,
  type BaselineRow,
  baselineKinds,
} from '../clickhouse/tables/baselines.ts';
import type { BaselineMetrics } from './baseline-metrics.ts';
import { type JobLog, JobTurns } from './job-turns.ts';
import { baselineMethodVersion, estimateBaselines } from './scoring/baselines.ts';

export interface BaselineLimits {
  /** A generation is made of so many hours before its end, and a new one begins as often as the period says. */
  rangeSeconds: number;
  periodSeconds: number;
  /** Time between the newest hour of a generation and the first event that is compared with it: it is published by then. */
  leadSeconds: number;
  /** The newest part of the range, which judges whether what recurred before does so still. */
  recentSeconds: number;
  /** How far the watermark has to be past a window, so that it counts as final. */
  latenessSeconds: number;
  /** History that is made up for; what lies before has no baselines. */
  backfillSeconds: number;
  /** Hours that one question reads, so that memory does not depend on how many workflows there are; what jobs share the work by. */
  sliceRows: number;
}

const hourSeconds = 3600;
const daySeconds = 24 * hourSeconds;

/** Four weeks, so that each hour of the week is there four times. */
export const baselineJobDefaults: BaselineLimits = {
  rangeSeconds: 28 * daySeconds,
  periodSeconds: 6 * hourSeconds,
  leadSeconds: hourSeconds,
  recentSeconds: 7 * daySeconds,
  latenessSeconds: 120,
  backfillSeconds: 14 * daySeconds,
  sliceRows: 10_000,
};

/** Named points between the steps, where a test may let the process die. */
export type BaselinePoint = 'read' | 'rows' | 'generation';

export interface BaselineJobOptions {
  database: Database;
  metrics: BaselineMetrics;
  log: JobLog;
  /** Streams that pipelines read now, as topic@epoch. */
  streams: Record<BaselineKind['kind'], string>;
  limits?: Partial<BaselineLimits>;
  reached?(point: BaselinePoint): void;
}

/** Generations are hours apart, and looking whether one is due costs next to nothing. */
const intervalMs = 60_000;

const floorTo = (seconds: number, step: number): number => seconds - (seconds % step);

/** Ends of the generations that are due, oldest first. */
export function planGenerations(frontier: BaselineFrontier, limits: BaselineLimits): number[] {
  const { hoursEndSeconds, watermarkSeconds, oldestSeconds, validFromSeconds } = frontier;
  const { periodSeconds, leadSeconds, latenessSeconds, backfillSeconds } = limits;
  if (watermarkSeconds === null || oldestSeconds === null) return [];
  const last = floorTo(Math.max(0, Math.min(hoursEndSeconds, watermarkSeconds - latenessSeconds)), periodSeconds);
  const next =
    validFromSeconds === null
      ? floorTo(oldestSeconds, periodSeconds) + periodSeconds
      : validFromSeconds - leadSeconds + periodSeconds;
  const first = Math.max(next, last - floorTo(backfillSeconds, periodSeconds));
  const ends: number[] = [];
  for (let end = first; end <= last; end += periodSeconds) ends.push(end);
  return ends;
}

/**
 * Publishes what was usual, generation after generation: every six hours, from the four weeks before, as soon as these
 * hours are final. Estimates depend on the stored hours alone, so whoever computes a generation again, after a crash or
 * at the same time, finds the same. Where late telemetry has changed an hour since, what is published stays: rows that
 * are there are left alone, and of two that were written at once the first one counts. Every pipeline has such a job and all find
 * the same to be due at the same time: each begins somewhere else, and leaves out what is there already.
 *
 * The mark of a generation is written behind its rows, so dying anywhere leaves work to be done again.
 */
export class BaselineJob {
  readonly #options: BaselineJobOptions;
  readonly #limits: BaselineLimits;
  readonly #turns: JobTurns;

  constructor(options: BaselineJobOptions) {
    this.#options = options;
    this.#limits = { ...baselineJobDefaults, ...options.limits };
    const { log, metrics } = options;
    const turn = () => this.run();
    this.#turns = new JobTurns({
      name: 'the baseline job',
      intervalMs,
      log,
      turn,
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

  /** Publishes the oldest generation of each kind that is due; true when none is left. */
  async run(): Promise<boolean> {
    let isDone = true;
    for (const kind of baselineKinds) {
      const frontier = await readBaselineFrontier(this.#options.database, kind, this.#options.streams[kind.kind]);
      const [end, ...later] = planGenerations(frontier, this.#limits);
      if (end !== undefined) await this.#publishGeneration(kind, end);
      isDone &&= later.length === 0;
      const validFrom = end === undefined ? frontier.validFromSeconds : end + this.#limits.leadSeconds;
      if (validFrom !== null) this.#options.metrics.validFromSeconds.set({ kind: kind.kind }, validFrom);
    }
    return isDone;
  }

  async #publishGeneration(kind: BaselineKind, endSeconds: number): Promise<void> {
    const { database, metrics } = this.#options;
    const { rangeSeconds, recentSeconds, leadSeconds, sliceRows } = this.#limits;
    const range = {
      fromSeconds: endSeconds - rangeSeconds,
      throughSeconds: endSeconds,
      recentSeconds: endSeconds - recentSeconds,
    };
    const validFromSeconds = endSeconds + leadSeconds;
    const parts = Math.max(1, Math.ceil((await countHourRows(database, kind, range)) / sliceRows));
    const first = randomInt(parts);
    for (let done = 0; done < parts; done++) {
      const slice = { ...range, validFromSeconds, part: (first + done) % parts, parts };
      const samples = await readBaselineSamples(database, kind, slice);
      this.#reach('read');
      const rows = await estimateAll(samples, range, validFromSeconds);
      const known = new Set((await readPublished(database, kind, slice)).map(rowKey));
      const missing = rows.filter((row) => !known.has(rowKey(row)));
      await publishBaselines(database, missing);
      metrics.published.inc({ kind: kind.kind }, missing.length);
      this.#reach('rows');
    }
    await storeGeneration(database, {
      kind: kind.kind,
      validFromMs: validFromSeconds * 1000,
      methodVersion: baselineMethodVersion,
      windowsFromMs: range.fromSeconds * 1000,
      windowsThroughMs: endSeconds * 1000,
      baselines: await countPublished(database, kind, validFromSeconds),
    });
    this.#reach('generation');
  }

  #reach(point: BaselinePoint): void {
    this.#options.reached?.(point);
    if (this.#turns.isStopped) throw new Error('stopped');
  }
}

const rowKey = (row: BaselineKey & { measure: string }): string =>
  JSON.stringify([row.workspace, row.source, row.workflowId, row.workflowVersion, row.taskId, row.measure]);

/** Samples of one workflow or task, all its versions. */
function groupSamples(samples: readonly BaselineSample[]): BaselineSample[][] {
  return [
    ...Map.groupBy(samples, ({ workspace, source, workflowId, taskId }) =>
      JSON.stringify([workspace, source, workflowId, taskId]),
    ).values(),
  ];
}

/** All versions together, and each by itself where there are several: a single one would only say the same again. */
function splitVersions(samples: readonly BaselineSample[]): Map<string, readonly BaselineSample[]> {
  const versions = Map.groupBy(samples, ({ workflowVersion }) => workflowVersion);
  const several = versions.size > 1 ? [...versions].filter(([version]) => version !== '') : [];
  return new Map<string, readonly BaselineSample[]>([['', samples], ...several]);
}

async function estimateAll(
  samples: readonly BaselineSample[],
  range: { fromSeconds: number; throughSeconds: number; recentSeconds: number },
  validFromSeconds: number,
): Promise<BaselineRow[]> {
  const rows: BaselineRow[] = [];
  for (const group of groupSamples(samples)) {
    for (const [workflowVersion, some] of splitVersions(group)) {
      const { workspace, source, workflowId, taskId } = group[0] as BaselineSample;
      const key = { workspace, source, workflowId, workflowVersion, taskId };
      // Of all that is made of them: it is long.
      const told = JSON.stringify(some);
      for (const { measure, estimate } of estimateBaselines(some, range)) {
        rows.push({
          ...key,
          ...estimate,
          measure,
          validFromMs: validFromSeconds * 1000,
          id: hashOf([baselineMethodVersion, key, measure, range], told),
          methodVersion: baselineMethodVersion,
          windowsFromMs: range.fromSeconds * 1000,
          windowsThroughMs: range.throughSeconds * 1000,
        });
      }
    }
    // The process has records to read meanwhile.
    await breathe();
  }
  return rows;
}

/** Tells what a baseline was computed from: the same hours give the same id. */
const hashOf = (names: readonly unknown[], told: string): string =>
  createHash('sha256')
    .update(`${JSON.stringify(names).slice(0, -1)},${told}]`)
    .digest('hex')
    .slice(0, 32);
