import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import {
  executionCellsTable,
  executionDimensions,
  taskCellsTable,
  taskDimensions,
} from '../../clickhouse/tables/cells.ts';
import type { Distribution } from '../../clickhouse/tables/measures.ts';
import { bucketOf, quantile } from '../../pipelines/histogram.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { createTestDatabase } from '../support/stack.ts';
import { type CellContent, insertCells, makeCell } from './cell-rows.ts';
import { defaultSettings } from './default-settings.ts';

const target = await createTestDatabase('minute_views');
const database = new Database(target);

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
});
afterAll(() => database.close());

type Minute = Record<string, number | string | null | Record<string, number>>;

const windowStartMs = Date.UTC(2026, 10, 20, 12, 30);
const shares = { p50: 50, p90: 90, p95: 95, p99: 99 };
/** Half a bucket's width, and the last bits of floating point. */
const relativeError = 0.01 + 1e-9;

/** Nearest rank over all values: the definition, without a histogram. */
function exactMs(valuesUs: readonly number[], percent: number): number {
  const sorted = valuesUs.toSorted((left, right) => left - right);
  return sorted[Math.floor((percent * sorted.length + 99) / 100) - 1] / 1000;
}

const views = [
  { view: 'executions_1m', table: executionCellsTable, dimensions: executionDimensions },
  { view: 'tasks_1m', table: taskCellsTable, dimensions: taskDimensions },
];

/** Values by the prefix of their columns in the view. */
const prefixes: Record<string, readonly Distribution[]> = {
  duration: ['completed_duration_us', 'other_duration_us'],
  completed_duration: ['completed_duration_us'],
  other_duration: ['other_duration_us'],
  queue: ['queue_us'],
  attempt_duration: ['attempt_duration_us'],
};

describe.each(views)('$view', ({ view, table, dimensions }) => {
  const dimsOf = (workflow: string) =>
    dimensions.map((dimension) => (dimension === 'workflow_id' ? workflow : `some ${dimension}`));

  interface Contribution {
    content: CellContent;
    partition?: number;
    chunk?: number;
    ver?: bigint;
  }

  const cellOf = (workflow: string, { content, partition = 0, chunk = 0, ver = 1n }: Contribution) =>
    makeCell({ dims: dimsOf(workflow), windowStartMs, partition, chunk, ver }, content);

  async function readMinutes(workflow: string): Promise<Minute[]> {
    return database.rows<Minute>(
      `SELECT * FROM ${view} WHERE workspace = {workspace: String} AND workflow_id = {workflow: String}`,
      { workspace: 'some workspace', workflow },
    );
  }

  async function readMinute(workflow: string): Promise<Minute> {
    const minutes = await readMinutes(workflow);
    expect(minutes).toHaveLength(1);
    return minutes[0];
  }

  async function store(workflow: string, contributions: readonly Contribution[]): Promise<Minute> {
    await insertCells(
      database,
      table,
      contributions.map((contribution) => cellOf(workflow, contribution)),
    );
    return readMinute(workflow);
  }

  const drawDurations = (random: Random, n: number, medianUs: number) =>
    Array.from({ length: n }, () => Math.round(random.logNormal(medianUs, 1.5)));

  const drawContent = (random: Random): CellContent => ({
    counts: { completed: 1, contributions: 2 },
    added: {
      completed_duration_us: drawDurations(random, random.below(60), 4_000_000),
      other_duration_us: drawDurations(random, random.below(20), 300),
      queue_us: drawDurations(random, random.below(60), 90_000_000),
      attempt_duration_us: drawDurations(random, 1 + random.below(80), 20_000),
    },
  });

  const collect = (contents: readonly CellContent[], distributions: readonly Distribution[]) =>
    contents.flatMap((content) => distributions.flatMap((distribution) => content.added?.[distribution] ?? []));

  describe('percentiles', () => {
    it.each([1, 2, 3, 4])('are within one hundredth of the exact nearest rank: seed %i', async (seed) => {
      const random = createRandom(seed);
      const contents = Array.from({ length: 40 }, () => drawContent(random));
      const contributions = contents.map((content, index) => ({ content, partition: index % 3, chunk: index }));
      const minute = await store(`percentiles ${seed}`, contributions);
      for (const [prefix, distributions] of Object.entries(prefixes)) {
        const values = collect(contents, distributions);
        expect(minute[`${prefix}_n`], prefix).toBe(values.length);
        expect(minute[`${prefix}_ms_min`], prefix).toBe(Math.min(...values) / 1000);
        expect(minute[`${prefix}_ms_max`], prefix).toBe(Math.max(...values) / 1000);
        expect(minute[`${prefix}_ms_sum`], prefix).toBe(values.reduce((sum, value) => sum + value, 0) / 1000);
        for (const [name, percent] of Object.entries(shares)) {
          const exact = exactMs(values, percent);
          const found = minute[`${prefix}_ms_${name}`] as number;
          expect(Math.abs(found - exact), `${prefix} ${name}, seed ${seed}`).toBeLessThanOrEqual(exact * relativeError);
        }
      }
    });

    it('are those that the pipelines read from the same histogram', async () => {
      const values = drawDurations(createRandom(9), 1_000, 7_000);
      const minute = await store('histogram', [{ content: { added: { queue_us: values } } }]);
      const histogram = new Map<number, number>();
      for (const value of values) histogram.set(bucketOf(value), (histogram.get(bucketOf(value)) ?? 0) + 1);
      expect(minute.queue_histogram).toEqual(Object.fromEntries(histogram));
      for (const [name, percent] of Object.entries(shares)) {
        expect(minute[`queue_ms_${name}`]).toBeCloseTo((quantile(histogram, percent / 100) as number) / 1000, 6);
      }
    });

    it.each([1, 2, 3, 10, 11, 20, 100, 101])('take the nearest rank of %i values', async (n) => {
      // Each value has a bucket of its own, so one rank too far would be off by more than the bucket.
      const values = Array.from({ length: n }, (_, index) => Math.round(1_000 * 1.1 ** index));
      const minute = await store(`ranks ${n}`, [{ content: { added: { completed_duration_us: values } } }]);
      for (const [name, percent] of Object.entries(shares)) {
        const exact = exactMs(values, percent);
        expect(Math.abs((minute[`duration_ms_${name}`] as number) - exact)).toBeLessThanOrEqual(exact * relativeError);
      }
    });

    it('of one microsecond and of ten years are what they say', async () => {
      const tenYearsUs = 10 * 365 * 24 * 3600 * 1_000_000;
      for (const [workflow, value] of Object.entries({ shortest: 1, longest: tenYearsUs })) {
        const minute = await store(workflow, [{ content: { added: { completed_duration_us: [value] } } }]);
        expect(minute.duration_ms_p50).toBeGreaterThanOrEqual((value / 1000) * (1 - relativeError));
        expect(minute.duration_ms_p50).toBeLessThanOrEqual((value / 1000) * (1 + relativeError));
      }
    });
  });

  describe('a minute does not depend', () => {
    const random = createRandom(77);
    const contents = Array.from({ length: 24 }, () => drawContent(random));
    const withoutName = ({ workflow_id: _, ...rest }: Minute) => rest;
    const shuffled = <Item>(items: readonly Item[], chance: Random) =>
      items
        .map((item) => ({ item, at: chance.next() }))
        .sort((left, right) => left.at - right.at)
        .map(({ item }) => item);

    let expected: Minute;
    beforeAll(async () => {
      const merged: CellContent = {
        counts: { completed: contents.length, contributions: 2 * contents.length },
        added: Object.fromEntries(
          ['completed_duration_us', 'other_duration_us', 'queue_us', 'attempt_duration_us'].map((distribution) => [
            distribution,
            collect(contents, [distribution as Distribution]),
          ]),
        ),
      };
      expected = withoutName(await store('one chunk', [{ content: merged }]));
    });

    it('on how the log is cut into chunks and partitions', async () => {
      const minute = await store(
        'many chunks',
        contents.map((content, index) => ({ content, partition: index % 4, chunk: index })),
      );
      expect(withoutName(minute)).toEqual(expected);
    });

    it.each([1, 2, 3])('on the order and the grouping of inserts: seed %i', async (seed) => {
      const chance = createRandom(seed);
      const workflow = `shuffled ${seed}`;
      let waiting = shuffled(
        contents.map((content, index) => ({ content, partition: index % 2, chunk: index })),
        chance,
      );
      while (waiting.length > 0) {
        const some = 1 + chance.below(6);
        await store(workflow, waiting.slice(0, some));
        waiting = waiting.slice(some);
        if (chance.chance(0.3)) await target.query(`OPTIMIZE TABLE ${table.name} FINAL`);
      }
      expect(withoutName(await readMinute(workflow))).toEqual(expected);
    });

    it('on repeats, nor on the order of the versions of a cell', async () => {
      const chance = createRandom(5);
      const versions = contents.flatMap((content, chunk) => {
        const early: CellContent = {
          counts: { completed: 1 },
          added: { queue_us: content.added?.queue_us?.slice(0, 1) },
        };
        return [
          { content: early, chunk, ver: 1n },
          { content, chunk, ver: 2n ** 48n + 7n },
          { content, chunk, ver: 2n ** 48n + 7n },
        ];
      });
      const waiting = shuffled(versions, chance);
      for (let from = 0; from < waiting.length; from += 9) await store('versions', waiting.slice(from, from + 9));
      expect(withoutName(await readMinute('versions'))).toEqual(expected);
    });
  });

  describe('what was taken out again', () => {
    it('leaves a minute as if it had never been, but for the extremes and the contributions', async () => {
      const values = [5_000_000, 1_000, 0, 70_000_000];
      const minute = await store('cancelled out', [
        { content: { counts: { failed: 4, contributions: 4 }, added: { other_duration_us: values } }, chunk: 0 },
        { content: { counts: { failed: -4, contributions: 4 }, removed: { other_duration_us: values } }, chunk: 9 },
      ]);
      expect(minute).toMatchObject({
        failed: 0,
        finished: 0,
        failure_ratio: null,
        success_pct: null,
        contributions: 8,
        duration_n: 0,
        duration_ms_sum: 0,
        duration_ms_mean: null,
        duration_ms_p50: null,
        duration_ms_p99: null,
        other_duration_n: 0,
        other_duration_ms_p95: null,
        other_duration_ms_min: 0,
        other_duration_ms_max: 70_000,
      });
      expect(minute.other_duration_histogram).toEqual({});
      expect(minute.duration_histogram).toEqual({});
    });

    it('moves an outcome: failed, then retried with success, is one success', async () => {
      const minute = await store('revised', [
        { content: { counts: { failed: 1 }, added: { other_duration_us: [9_000] } }, chunk: 3 },
        {
          content: {
            counts: { failed: -1, completed: 1, retries: 1 },
            removed: { other_duration_us: [9_000] },
            added: { completed_duration_us: [4_000] },
          },
          chunk: 4,
        },
      ]);
      expect(minute).toMatchObject({ failed: 0, completed: 1, finished: 1, success_pct: 100, failure_pct: 0 });
      expect(minute).toMatchObject({ duration_n: 1, duration_ms_sum: 4, duration_ms_mean: 4, other_duration_n: 0 });
      expect(minute.duration_ms_p99).toBeCloseTo(4, 1);
    });
  });

  it('shows no percentile, mean or extreme where nothing was measured', async () => {
    const minute = await store('nothing measured', [{ content: { counts: { started: 3, contributions: 3 } } }]);
    for (const prefix of Object.keys(prefixes)) {
      expect(minute[`${prefix}_n`], prefix).toBe(0);
      for (const part of ['mean', 'min', 'max', ...Object.keys(shares)]) {
        expect(minute[`${prefix}_ms_${part}`], `${prefix} ${part}`).toBeNull();
      }
    }
    expect(minute).toMatchObject({ started: 3, finished: 0, cost_n: 0, cost_sum: null, cpu_ms_mean: null });
  });

  it('counts durations of zero as zero', async () => {
    const minute = await store('zeros', [
      { content: { added: { completed_duration_us: [0, 0, 0, 0, 0, 0, 0, 0, 0, 2_000] } } },
    ]);
    expect(minute).toMatchObject({ duration_n: 10, duration_ms_p50: 0, duration_ms_p90: 0, duration_ms_min: 0 });
    expect(minute.duration_ms_p99).toBeCloseTo(2, 1);
  });

  it('adds quantities up over chunks, and keeps what nobody reported apart from zero', async () => {
    const minute = await store('quantities', [
      { content: { quantities: { cost_micros: [1_500_000, 0], memory_peak_bytes: [2 ** 40] } }, chunk: 1 },
      { content: { quantities: { cost_micros: [500_000], attempt_cpu_us: [3_000] } }, chunk: 2 },
    ]);
    expect(minute).toMatchObject({
      cost_n: 3,
      cost_sum: 2,
      cost_max: 1.5,
      memory_n: 1,
      memory_peak_bytes_max: 2 ** 40,
    });
    expect(minute.cost_mean).toBeCloseTo(2 / 3, 12);
    expect(minute).toMatchObject({ attempt_cpu_ms_sum: 3, cpu_n: 0, cpu_ms_sum: null, attempt_cost_sum: null });
  });

  it('keeps sums exact beyond what a float can hold', async () => {
    const hour = 3_600_000_000;
    const values = Array.from({ length: 3_000 }, (_, index) => 20_000 * hour + index);
    await store(
      'large sums',
      [0, 1, 2].map((chunk) => ({ content: { added: { queue_us: values } }, chunk })),
    );
    const sum = await target.query(
      `SELECT sum(queue_us_sum) FROM ${table.name} FINAL WHERE workflow_id = 'large sums'`,
    );
    expect(sum).toBe(String(3n * values.reduce((total, value) => total + BigInt(value), 0n)));
  });

  it('tells windows, versions of a workflow and workspaces apart', async () => {
    const content: CellContent = { counts: { completed: 1 } };
    const dims = dimsOf('apart');
    const other = dims.map((value, index) => (dimensions[index] === 'workflow_version' ? 'other' : value));
    const place = { dims, windowStartMs, partition: 0, chunk: 0, ver: 1n };
    await insertCells(database, table, [
      makeCell(place, content),
      makeCell({ ...place, windowStartMs: windowStartMs + 60_000 }, content),
      makeCell({ ...place, dims: other }, content),
      makeCell({ ...place, dims: dims.with(0, 'another workspace') }, content),
    ]);
    const minutes = await readMinutes('apart');
    expect(minutes.map((minute) => minute.completed)).toEqual([1, 1, 1]);
  });
});

describe.each(views)('a filter on $view', ({ view, table }) => {
  beforeAll(async () => {
    await target.query(
      `INSERT INTO ${table.name} (workspace, workflow_id, window_start, stream, chunk)
       SELECT concat('workspace ', toString(number % 10)), concat('workflow ', toString(number % 100)),
              toDateTime('2026-11-19 00:00:00', 'UTC') + 60 * (number % 1000), 'plan@1', number
       FROM numbers(200000)`,
    );
    await target.query(`OPTIMIZE TABLE ${table.name} FINAL`);
  });

  /** How many granules the primary key leaves to be read, and of how many. */
  async function readGranules(filter: string): Promise<{ keys: string[]; read: number; of: number }> {
    const plan = await target.query(
      `EXPLAIN indexes = 1 SELECT finished, duration_ms_p95 FROM ${view} WHERE ${filter}`,
    );
    const [, keys = '', read, of] =
      /PrimaryKey\s+Keys:\s+([\s\S]*?)\s+Condition:[\s\S]*?Granules: (\d+)\/(\d+)/.exec(plan) ?? [];
    return { keys: keys.split(/\s+/), read: Number(read), of: Number(of) };
  }

  it('reaches the sorting key, so that a workflow costs its own rows', async () => {
    const plan = await readGranules("workspace = 'workspace 3' AND workflow_id = 'workflow 43'");
    expect(plan.keys).toEqual(['workspace', 'workflow_id']);
    expect(plan.of).toBeGreaterThan(20);
    expect(plan.read).toBeLessThanOrEqual(3);
  });

  it('reaches it for a workspace alone', async () => {
    const plan = await readGranules("workspace = 'workspace 3'");
    expect(plan.keys).toContain('workspace');
    expect(plan.read).toBeLessThan(plan.of / 5);
  });

  it('reaches the partitions for a range of time', async () => {
    const plan = await target.query(
      `EXPLAIN indexes = 1 SELECT finished FROM ${view} WHERE window_start >= toDateTime('2026-11-20 00:00:00', 'UTC')`,
    );
    expect(plan).toMatch(/MinMax|Partition/);
    expect(plan).toMatch(/Keys:\s+(window_start|toDate\(window_start\))/);
  });
});
