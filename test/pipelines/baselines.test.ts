import path from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBaselineSamples } from '../../clickhouse/queries/baselines.ts';
import type { BaselineKey, BaselineKind } from '../../clickhouse/tables/baselines.ts';
import {
  BaselineJob,
  type BaselineLimits,
  baselineJobDefaults,
  planGenerations,
} from '../../pipelines/baseline-job.ts';
import { BaselineLookup, generationOf } from '../../pipelines/baseline-lookup.ts';
import { createBaselineMetrics } from '../../pipelines/baseline-metrics.ts';
import { bucketOf, bucketValue } from '../../pipelines/histogram.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { launch } from '../support/launched.ts';
import { dayMs, hourMs, Rollups } from './rollup-rows.ts';

const crasher = path.resolve(import.meta.dirname, '../support/baseline-crasher.ts');
const commandFile = path.resolve(import.meta.dirname, '../../pipelines/baseline-command.ts');
const stream = 'watched@1';
const periodMs = 6 * hourMs;
const leadMs = hourMs;
/** Midnight some weeks ago, so that nothing depends on the hour at which the tests run. */
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 12 * dayMs;
const days = 10;
/** From here on there is a second version. */
const versionMs = startMs + 8 * dayMs;

interface Run {
  atMs: number;
  version: string;
  durationUs: number;
  isFailure: boolean;
}

/** Two runs an hour; the second version takes twice as long, and comes late. */
function drawRuns(seed: number): Run[] {
  const random = createRandom(seed);
  return Array.from({ length: days * 24 * 2 }, (_, index) => {
    const atMs = startMs + Math.floor(index / 2) * hourMs + random.below(60) * 60_000;
    const version = atMs < versionMs ? 'v1' : 'v2';
    const durationUs = Math.round(random.logNormal(version === 'v1' ? 4_000_000 : 8_000_000, 0.4));
    return { atMs, version, durationUs, isFailure: random.chance(0.1) };
  });
}

const minuteOf = ({ atMs }: Pick<Run, 'atMs'>) => atMs - (atMs % 60_000);

async function insertRuns(rollups: Rollups, workflow: string, runs: readonly Run[], chunk = 0): Promise<void> {
  for (const kind of ['executions', 'tasks'] as const) {
    const cells = [...Map.groupBy(runs, (run) => `${minuteOf(run)} ${run.version}`).values()].map((some) => {
      const [first] = some as [Run, ...Run[]];
      const failed = some.filter(({ isFailure }) => isFailure).length;
      const completed = some.filter(({ isFailure }) => !isFailure).map(({ durationUs }) => durationUs);
      const content = {
        counts: { completed: completed.length, failed, contributions: some.length },
        added: {
          completed_duration_us: completed,
          queue_us: some.map(({ durationUs }) => Math.round(durationUs / 10)),
        },
      };
      const cell = rollups.cell(kind, { workflow, windowStartMs: minuteOf(first), chunk }, content);
      return { ...cell, dims: cell.dims.map((dim) => (dim === 'some workflow_version' ? first.version : dim)) };
    });
    await rollups.insert(kind, cells);
  }
}

/** Lets the partitions of the log say how far they have come. */
async function setWatermarks(rollups: Rollups, ...watermarksMs: number[]): Promise<void> {
  for (const [partition, watermarkMs] of watermarksMs.entries()) {
    await rollups.target.query(
      `INSERT INTO chunks (stream, partition, chunk, watermark, ver) VALUES ('${stream}', ${partition}, 0, fromUnixTimestamp64Milli(${watermarkMs}), ${watermarkMs})`,
    );
  }
}

function createJob(
  rollups: Rollups,
  limits: Partial<BaselineLimits> = {},
  metrics = createBaselineMetrics(new Registry()),
): BaselineJob {
  const silent = () => undefined;
  return new BaselineJob({
    database: rollups.database,
    metrics,
    log: { info: silent, warn: silent, error: silent },
    streams: { executions: stream, tasks: stream },
    // Two days of generations are enough to find each one in.
    limits: { sliceRows: 400, backfillSeconds: 2 * 86_400, ...limits },
  });
}

const serverEnv = ({ target: { url, user, password, database } }: Rollups) => ({
  CLICKHOUSE_URL: url,
  CLICKHOUSE_USER: user,
  CLICKHOUSE_PASSWORD: password,
  CLICKHOUSE_DATABASE: database,
});

/** Everything that is published, as text; `FINAL` and not, because nothing may depend on merges. */
const readPublishedText = (rollups: Rollups, final = ' FINAL') =>
  rollups.target.query(
    `SELECT * EXCEPT (written_at, ver) FROM baselines${final} ORDER BY task_id, workflow_id, workflow_version, measure, valid_from`,
  );

/** Rows of one text that the other lacks; a few of them say enough. */
function findMissing(rows: string, others: string): string[] {
  const known = new Set(others.split('\n'));
  return rows
    .split('\n')
    .filter((row) => !known.has(row))
    .slice(0, 3);
}

/** Each row once, and no others. */
function expectSame(rows: string, expected: string): void {
  expect([findMissing(rows, expected), findMissing(expected, rows)]).toEqual([[], []]);
  expect(rows.split('\n').length).toBe(expected.split('\n').length);
}

const nearestRank = (values: readonly number[], share: number) =>
  values.toSorted((left, right) => left - right)[Math.max(1, Math.ceil(share * values.length)) - 1] as number;

const ofExecutions: BaselineKind = { kind: 'executions', source: 'execution_hours' };

const key: BaselineKey = {
  workspace: 'some workspace',
  source: 'some source',
  workflowId: 'etl',
  workflowVersion: '',
  taskId: '',
};

describe('generations', () => {
  const hour = 3600;
  const noon = Date.UTC(2026, 5, 18, 12) / 1000;
  const frontier = {
    hoursEndSeconds: noon,
    watermarkSeconds: noon + 120,
    oldestSeconds: noon - 20 * hour,
    validFromSeconds: null,
  };
  const plan = (changes: Partial<Parameters<typeof planGenerations>[0]>) =>
    planGenerations({ ...frontier, ...changes }, baselineJobDefaults).map((end) => (end - noon) / hour);

  it('are due when their hours are there and final', () => {
    expect(plan({})).toEqual([-18, -12, -6, 0]);
    expect(plan({ watermarkSeconds: noon + 119 })).toEqual([-18, -12, -6]);
    expect(plan({ hoursEndSeconds: noon - 1 })).toEqual([-18, -12, -6]);
    expect(plan({ watermarkSeconds: null })).toEqual([]);
    expect(plan({ oldestSeconds: null })).toEqual([]);
  });

  it('follow the newest one, and make up for two weeks at most', () => {
    expect(plan({ validFromSeconds: noon - 11 * hour })).toEqual([-6, 0]);
    expect(plan({ validFromSeconds: noon + hour })).toEqual([]);
    expect(plan({ oldestSeconds: noon - 9_000 * hour })).toHaveLength(14 * 4 + 1);
    expect(plan({ validFromSeconds: noon - 9_000 * hour })).toHaveLength(14 * 4 + 1);
  });

  it('are told by the time of an event', () => {
    const validMs = Date.UTC(2026, 5, 18, 13);
    expect(generationOf(validMs)).toBe(validMs);
    expect(generationOf(validMs - 1)).toBe(validMs - periodMs);
    expect(generationOf(validMs + periodMs - 1)).toBe(validMs);
  });
});

describe('baselines', async () => {
  const rollups = await Rollups.create('baselines');
  afterAll(() => rollups.database.close());
  const runs = drawRuns(1);
  let published = '';

  /** Time goes on: another workflow runs, hours get their rows, and what is due is published. */
  async function reach(untilMs: number): Promise<void> {
    await insertRuns(rollups, 'later', [
      { atMs: untilMs + hourMs / 2, version: 'v1', durationUs: 1, isFailure: false },
    ]);
    await rollups.job().runToEnd();
    await setWatermarks(rollups, untilMs + 120_000, untilMs + 120_000);
    await createJob(rollups).runToEnd();
  }

  beforeAll(async () => {
    await insertRuns(rollups, 'etl', runs);
    await insertRuns(rollups, 'other', drawRuns(2));
    await rollups.job().runToEnd();
  });

  it('are published from hours that are final in every partition, and from no others', async () => {
    const newest = async () =>
      rollups.target.query(
        'SELECT kind, toUnixTimestamp(max(windows_through)) FROM baseline_generations GROUP BY kind ORDER BY kind',
      );
    const at = (ms: number) => `executions\t${ms / 1000}\ntasks\t${ms / 1000}`;
    await createJob(rollups).runToEnd();
    expect(await newest()).toBe('');
    const behindMs = startMs + 3 * dayMs;
    await setWatermarks(rollups, startMs + 9 * dayMs, behindMs + 119_000);
    await createJob(rollups).runToEnd();
    expect(await newest()).toBe(at(behindMs - periodMs));
    await setWatermarks(rollups, startMs + 9 * dayMs, behindMs + 120_000);
    await createJob(rollups).runToEnd();
    expect(await newest()).toBe(at(behindMs));
    // A partition that holds nothing unread does not hold the others back.
    await rollups.target.query(
      `INSERT INTO idle_partitions (stream, partition, log_end, idle_through) VALUES ('${stream}', 1, 5, now64(3))`,
    );
    await createJob(rollups).runToEnd();
    expect(await newest()).toBe(at(startMs + 9 * dayMs - periodMs));
    await setWatermarks(rollups, startMs + days * dayMs + 120_000);
    await createJob(rollups).runToEnd();
    expect(await newest()).toBe(at(startMs + days * dayMs - periodMs));
  });

  it('are the same whether they are published as time goes on or all at once', async () => {
    const onTheWay = await readPublishedText(rollups);
    await rollups.target.query('TRUNCATE TABLE baselines');
    await rollups.target.query('TRUNCATE TABLE baseline_generations');
    await createJob(rollups).runToEnd();
    published = await readPublishedText(rollups);
    expect(findMissing(published, onTheWay)).toEqual([]);
    expect(published.split('\n').length).toBeGreaterThan(100);
  });

  it('are what the runs come to by plain recomputation', async () => {
    const throughMs = startMs + 9 * dayMs;
    for (const [version, taskId] of [
      ['', ''],
      ['v1', ''],
      ['v2', 'some task_id'],
      ['', 'some task_id'],
    ] as const) {
      const mine = runs.filter((run) => run.atMs < throughMs && (version === '' || run.version === version));
      const logs = mine
        .filter(({ isFailure }) => !isFailure)
        .map(({ durationUs }) => Math.log(bucketValue(bucketOf(durationUs)) / 1000));
      const center = nearestRank(logs, 0.5);
      const [row] = await rollups.database.rows<Record<string, number>>(
        `SELECT center, spread, p05, p95, n, length(season) AS seasons FROM baselines
         WHERE workflow_id = 'etl' AND measure = 'duration' AND workflow_version = '${version}' AND task_id = '${taskId}'
           AND valid_from = fromUnixTimestamp(${(throughMs + leadMs) / 1000})`,
      );
      expect(row, version).toMatchObject({ center, n: logs.length, seasons: 0 });
      expect(row?.spread).toBe(
        nearestRank(
          logs.map((log) => Math.abs(log - center)),
          0.5,
        ),
      );
      expect(row?.p05).toBeCloseTo(Math.exp(nearestRank(logs, 0.05)), 6);
      expect(row?.p95).toBeCloseTo(Math.exp(nearestRank(logs, 0.95)), 6);
      const failures = mine.filter(({ isFailure }) => isFailure).length;
      const [ratio] = await rollups.database.rows<Record<string, number>>(
        `SELECT center, n FROM baselines WHERE workflow_id = 'etl' AND measure = 'failure_ratio' AND workflow_version = '${version}'
           AND task_id = '${taskId}' AND valid_from = fromUnixTimestamp(${(throughMs + leadMs) / 1000})`,
      );
      expect(ratio).toEqual({ center: (1 + failures) / (31 + mine.length), n: mine.length });
    }
  });

  it('are the same again after kill -9 at any point', async () => {
    await rollups.target.query('TRUNCATE TABLE baselines');
    await rollups.target.query('TRUNCATE TABLE baseline_generations');
    for (const step of [1, 2, 3, 5, 8, 13]) {
      const { signal } = await launch(crasher, { args: [String(step), stream], env: serverEnv(rollups) }).exited;
      expect(signal, `step ${step}`).toBe('SIGKILL');
    }
    await createJob(rollups).runToEnd();
    expectSame(await readPublishedText(rollups), published);
    expectSame(await readPublishedText(rollups, ''), published);
  });

  it('are the same from several jobs at once, each row once', async () => {
    await rollups.target.query('TRUNCATE TABLE baselines');
    await rollups.target.query('TRUNCATE TABLE baseline_generations');
    await Promise.all([createJob(rollups), createJob(rollups), createJob(rollups)].map((job) => job.runToEnd()));
    expectSame(await readPublishedText(rollups), published);
  });

  it('that are there are left alone by who computes their generation again', async () => {
    const marks = () => rollups.target.query('SELECT * EXCEPT written_at FROM baseline_generations FINAL ORDER BY ALL');
    const before = await marks();
    await rollups.target.query('TRUNCATE TABLE baseline_generations');
    const metrics = createBaselineMetrics(new Registry());
    await createJob(rollups, {}, metrics).runToEnd();
    const { values } = await metrics.published.get();
    expect(values.map(({ value }) => value)).toEqual([0, 0]);
    expect(await marks()).toBe(before);
    const throughSeconds = startMs / 1000 + days * 86_400 - periodMs / 1000;
    const readFor = async (validFromSeconds: number) => {
      const hours = { fromSeconds: startMs / 1000, throughSeconds, recentSeconds: throughSeconds, part: 0, parts: 1 };
      const samples = await readBaselineSamples(rollups.database, ofExecutions, { ...hours, validFromSeconds });
      return new Set(samples.map(({ workflowId }) => workflowId));
    };
    const validFromSeconds = throughSeconds + leadMs / 1000;
    expect(await readFor(validFromSeconds + 1)).toEqual(new Set(['etl', 'other']));
    expect(await readFor(validFromSeconds)).toEqual(new Set());
  });

  it('are published by the command too', async () => {
    const newest = `valid_from = fromUnixTimestamp(${(startMs + days * dayMs - periodMs + leadMs) / 1000})`;
    for (const table of ['baselines', 'baseline_generations']) {
      await rollups.target.query(`ALTER TABLE ${table} DELETE WHERE ${newest} SETTINGS mutations_sync = 1`);
    }
    expect(findMissing(published, await readPublishedText(rollups))).not.toEqual([]);
    const [topic] = stream.split('@');
    const topics = { WEIR_TOPIC_EXECUTIONS: topic ?? '', WEIR_TOPIC_TASKS: topic ?? '', WEIR_METRICS_PORT: '0' };
    const command = launch(commandFile, { args: ['--once'], env: { ...serverEnv(rollups), ...topics } });
    expect(await command.exited, command.output()).toMatchObject({ code: 0 });
    expectSame(await readPublishedText(rollups), published);
  });

  it('are never rewritten, whatever comes late and whoever computes them again', async () => {
    for (const chunk of [1, 2]) {
      const late = drawRuns(2 + chunk).map((run) => ({ ...run, durationUs: run.durationUs * 50 }));
      await insertRuns(rollups, 'etl', late, chunk);
    }
    await rollups.job().runToEnd();
    await createJob(rollups).runToEnd();
    expectSame(await readPublishedText(rollups), published);
    // Even without the marks that say what is complete: only what was too little before is added.
    await rollups.target.query('TRUNCATE TABLE baseline_generations');
    await createJob(rollups).runToEnd();
    const again = await readPublishedText(rollups);
    expect(findMissing(published, again)).toEqual([]);
    // Written without looking at what is there, by a job that was overtaken: the first row of two stays.
    await rollups.target.query(
      `INSERT INTO baselines (workspace, source, workflow_id, workflow_version, task_id, measure, valid_from, id)
       SELECT workspace, source, workflow_id, workflow_version, task_id, measure, valid_from, 'later' FROM baselines`,
    );
    expectSame(await readPublishedText(rollups), again);
    await rollups.target.query('OPTIMIZE TABLE baselines FINAL');
    expectSame(await readPublishedText(rollups, ''), again);
  });

  it('take in late hours from the next generation on', async () => {
    await reach(startMs + (days + 1) * dayMs);
    const [centers] = await rollups.database.rows<{ before: number; after: number }>(
      `SELECT argMaxIf(center, valid_from, valid_from <= fromUnixTimestamp(${(startMs + days * dayMs - periodMs + leadMs) / 1000})) AS before,
         argMax(center, valid_from) AS after
       FROM baselines FINAL WHERE workflow_id = 'etl' AND measure = 'duration' AND workflow_version = '' AND task_id = ''`,
    );
    expect(centers?.after).toBeGreaterThan((centers?.before ?? 0) + 1);
  });

  describe('looked up', () => {
    const firstValidMs = async (version: string) => {
      const [row] = await rollups.database.rows<{ firstMs: number }>(
        `SELECT toUnixTimestamp(min(valid_from)) * 1000 AS firstMs FROM baselines
         WHERE workflow_id = 'etl' AND measure = 'duration' AND workflow_version = '${version}' AND task_id = ''`,
      );
      return row?.firstMs ?? 0;
    };

    it('are those that were valid at the time of the event', async () => {
      const lookup = new BaselineLookup({ database: rollups.database });
      const firstMs = await firstValidMs('');
      const times = [firstMs - 1, firstMs, firstMs + periodMs - 1, firstMs + periodMs, startMs + 20 * dayMs];
      await lookup.prepare(times.map((eventTimeMs) => ({ ...key, eventTimeMs })));
      const found = times.map((atMs) => lookup.find(key, 'duration', atMs));
      expect(found.map((row) => row?.validFromMs ?? null).slice(0, 4)).toEqual([
        null,
        firstMs,
        firstMs,
        firstMs + periodMs,
      ]);
      for (const row of found) if (row !== null) expect(row.windowsThroughMs + leadMs).toBe(row.validFromMs);
      // Long after the newest generation that one still holds.
      const [newest] = await rollups.database.rows<{ ms: number }>(
        `SELECT toUnixTimestamp(max(valid_from)) * 1000 AS ms FROM baselines WHERE workflow_id = 'etl'`,
      );
      expect(found.at(-1)?.validFromMs).toBe(newest?.ms);
      expect(lookup.find({ ...key, workflowId: 'unknown' }, 'duration', firstMs)).toBeNull();
    });

    it('are those of the version, or of all versions while it is new', async () => {
      const lookup = new BaselineLookup({ database: rollups.database });
      const secondMs = await firstValidMs('v2');
      expect(secondMs).toBeGreaterThan(versionMs);
      const second = { ...key, workflowVersion: 'v2' };
      const third = { ...key, workflowVersion: 'v3' };
      const wishes = [second, third, key].flatMap((wanted) => [
        { ...wanted, eventTimeMs: secondMs },
        { ...wanted, eventTimeMs: secondMs - 1 },
      ]);
      await lookup.prepare(wishes);
      expect(lookup.find(second, 'duration', secondMs)?.workflowVersion).toBe('v2');
      expect(lookup.find(second, 'duration', secondMs - 1)?.workflowVersion).toBe('');
      expect(lookup.find(third, 'duration', secondMs)).toEqual(lookup.find(key, 'duration', secondMs));
      expect(lookup.find(second, 'duration', secondMs)?.center).toBeGreaterThan(
        lookup.find(key, 'duration', secondMs)?.center ?? Number.POSITIVE_INFINITY,
      );
    });

    it('of tasks and executions are apart', async () => {
      const lookup = new BaselineLookup({ database: rollups.database });
      const eventTimeMs = startMs + 9 * dayMs;
      const task = { ...key, taskId: 'some task_id' };
      await lookup.prepare([
        { ...key, eventTimeMs },
        { ...task, eventTimeMs },
      ]);
      expect(lookup.find(task, 'queue', eventTimeMs)?.taskId).toBe('some task_id');
      expect(lookup.find(key, 'queue', eventTimeMs)?.taskId).toBe('');
    });

    it('are remembered while they are in use, and no more than those', async () => {
      const lookup = new BaselineLookup({ database: rollups.database, mostKeys: 3 });
      const eventTimeMs = startMs + 9 * dayMs;
      for (let index = 0; index < 10; index++) {
        await lookup.prepare([
          { ...key, eventTimeMs },
          { ...key, workflowId: `w${index}`, eventTimeMs },
        ]);
        expect(lookup.find(key, 'duration', eventTimeMs)).not.toBeNull();
        expect(lookup.size).toBeLessThanOrEqual(3);
      }
      const batch = Array.from({ length: 8 }, (_, index) => ({ ...key, workflowVersion: `v${index}`, eventTimeMs }));
      await lookup.prepare(batch);
      for (const wish of batch) expect(lookup.find(wish, 'duration', eventTimeMs)).not.toBeNull();
    });

    it('are asked for again while their generation may still come', async () => {
      let nowMs = 0;
      const lookup = new BaselineLookup({ database: rollups.database, nowMs: () => nowMs });
      const newestMs = startMs + (days + 1) * dayMs + leadMs;
      const eventTimeMs = newestMs + periodMs;
      const look = async () => {
        await lookup.prepare([{ ...key, eventTimeMs }]);
        return lookup.find(key, 'duration', eventTimeMs)?.validFromMs;
      };
      expect(await look()).toBe(newestMs);
      await reach(newestMs - leadMs + periodMs);
      expect(await look()).toBe(newestMs);
      nowMs += 60_000;
      expect(await look()).toBe(eventTimeMs);
    });
  });
});

describe('a baseline at another instance', () => {
  it('is told by its id', async () => {
    const [one, other] = await Promise.all([Rollups.create('baselines_one'), Rollups.create('baselines_other')]);
    const ids: string[] = [];
    for (const [rollups, extra] of [
      [one, 0],
      [other, 0],
      [other, 1],
    ] as const) {
      if (extra === 0) await insertRuns(rollups, 'etl', drawRuns(1));
      else await insertRuns(rollups, 'etl', drawRuns(1).slice(0, 1), 1);
      await rollups.target.query('TRUNCATE TABLE baselines');
      await rollups.target.query('TRUNCATE TABLE baseline_generations');
      await rollups.job().runToEnd();
      await setWatermarks(rollups, startMs + days * dayMs + 120_000);
      await createJob(rollups, { backfillSeconds: 43_200 }).runToEnd();
      ids.push(
        await rollups.target.query(
          "SELECT id FROM baselines WHERE task_id = '' ORDER BY workflow_version, measure, valid_from",
        ),
      );
    }
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    await Promise.all([one, other].map((rollups) => rollups.database.close()));
  });
});
