import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../../clickhouse/migrate.ts';
import { createScoreMetrics, planRange, Scorer } from '../../../services/alerts/scorer.ts';
import { defaultSettings } from '../../clickhouse/default-settings.ts';
import { createTestDatabase } from '../../support/stack.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
/** Half past eight, two days ago: rows of long ago would be removed. */
const nowMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs + 8.5 * hourMs;
const text = (ms: number) => new Date(ms).toISOString().replace('T', ' ').replace('Z', '');

const target = await createTestDatabase('scores');
const database = new Database(target);
afterAll(() => database.close());

const scorer = new Scorer({
  database,
  streams: ['tasks@1'],
  shard: 0,
  shards: 1,
  metrics: createScoreMetrics(new Registry()),
  nowMs: () => nowMs,
});

interface Told {
  execution: string;
  atMs: number;
  ms: number;
  state?: string;
  version?: string;
  queueMs?: number;
  cpuMs?: number;
  offset: number;
}

async function tellEnd({ execution, atMs, ms, state = 'completed', version = 'v1', queueMs, cpuMs, offset }: Told) {
  await target.query(
    `INSERT INTO task_events (workspace, source, workflow_id, workflow_version, execution_id, task_id, map_index, attempt, state,
       event_time, duration_us, queue_us, cpu_us, stream, partition, offset, worker_id)
     VALUES ('default', 'airflow', 'orders', '${version}', '${execution}', 'load', -1, 1, '${state}', '${text(atMs)}', ${ms * 1000},
       ${queueMs === undefined ? 'NULL' : queueMs * 1000}, ${cpuMs === undefined ? 'NULL' : cpuMs * 1000}, 'tasks@1', 0, ${offset}, 'worker-7')`,
  );
}

async function tellBaseline(id: string, validFromMs: number, ms: number, version = '', season = '[]') {
  await target.query(
    `INSERT INTO baselines (workspace, source, workflow_id, workflow_version, task_id, measure, valid_from, id, n, center, spread, p05, p25, p50, p75, p95, season)
     VALUES ('default', 'airflow', 'orders', '${version}', 'load', 'duration', '${text(validFromMs).slice(0, 19)}', '${id}', 200, ${Math.log(ms)}, 0.1,
       ${ms * 0.8}, ${ms * 0.9}, ${ms}, ${ms * 1.1}, ${ms * 1.2}, ${season})`,
  );
}

async function setWatermark(atMs: number): Promise<void> {
  await target.query(
    `INSERT INTO idle_partitions (stream, partition, log_end, idle_through) VALUES ('tasks@1', 0, ${atMs}, '${text(atMs + 2 * minuteMs)}')`,
  );
}

interface Row {
  execution_id: string;
  measure: string;
  value: number;
  expected: number;
  low: number;
  high: number;
  score: number;
  direction: string;
  baseline_id: string;
  facts: string[];
}

const readScores = (): Promise<Row[]> =>
  database.rows<Row>('SELECT * FROM scores FINAL ORDER BY execution_id, measure');

async function runToEnd(): Promise<void> {
  while (!(await scorer.run()));
}

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
  await target.query(
    `INSERT INTO execution_cells (window_start, partition, chunk, stream) VALUES ('${text(nowMs - 1.5 * hourMs).slice(0, 19)}', 0, 0, 'executions@1')`,
  );
  await tellBaseline('old', nowMs - 9 * hourMs, 99_000);
  await tellBaseline('usual', nowMs - 3 * hourMs, 10_000);
  // Too new for what ended before it.
  await tellBaseline('next', nowMs + hourMs, 500_000);
});

describe('scores', () => {
  it('compare each end with the baseline that was valid then, and say what explains what is not usual', async () => {
    for (let day = 1; day <= 6; day++) {
      for (let run = 0; run < 5; run++)
        await tellEnd({
          execution: `before-${day}-${run}`,
          atMs: nowMs - day * dayMs,
          ms: 10_000,
          cpuMs: 4_000 + run * 100,
          offset: day * 10 + run,
        });
    }
    await tellEnd({ execution: 'usual', atMs: nowMs - 20 * minuteMs, ms: 10_500, cpuMs: 4_200, offset: 100 });
    await tellEnd({ execution: 'slow', atMs: nowMs - 20 * minuteMs, ms: 40_000, cpuMs: 4_200, offset: 101 });
    await tellEnd({ execution: 'failed', atMs: nowMs - 20 * minuteMs, ms: 90_000, state: 'failed', offset: 102 });
    await setWatermark(nowMs);
    await runToEnd();
    const scores = await readScores();
    expect(scores.map(({ execution_id, measure, direction }) => [execution_id, measure, direction])).toEqual([
      ['slow', 'cpu', 'usual'],
      ['slow', 'duration', 'high'],
      ['usual', 'cpu', 'usual'],
      ['usual', 'duration', 'usual'],
    ]);
    const slow = scores[1] as Row;
    expect(slow).toMatchObject({ value: 40_000, baseline_id: 'usual' });
    expect(slow.expected).toBeCloseTo(10_000, 0);
    expect(slow.low).toBeLessThan(10_000);
    expect(slow.high).toBeGreaterThan(10_000);
    expect(slow.high).toBeLessThan(40_000);
    expect(slow.score).toBeGreaterThan(3);
    expect(slow.facts).toEqual([
      'It took 40 s, 4 times the usual 10 s',
      'It used no more CPU than usual, so it waited for something',
      'It ran on worker worker-7',
    ]);
    expect(scores[3]?.facts).toEqual([]);
  });

  it('are the same when they are computed again, and what came late gets its own when its hour is over', async () => {
    const before = await readScores();
    await tellEnd({ execution: 'late', atMs: nowMs - 25 * minuteMs, ms: 10_000, offset: 103 });
    await setWatermark(nowMs + 20 * minuteMs);
    await runToEnd();
    expect(await readScores()).toHaveLength(before.length);
    await setWatermark(nowMs + 31 * minuteMs);
    await runToEnd();
    const after = await readScores();
    expect(after.filter(({ execution_id }) => execution_id === 'late')).toHaveLength(1);
    // What has its scores is not scored once more.
    const [last] = await database.rows<{ scores: number }>(
      'SELECT toFloat64(scores) AS scores FROM scored_ranges ORDER BY through DESC LIMIT 1',
    );
    expect(last?.scores).toBe(1);
    const withoutTime = (rows: Row[]) => rows.map((row) => ({ ...row, written_at: null }));
    expect(withoutTime(after.filter(({ execution_id }) => execution_id !== 'late'))).toEqual(withoutTime(before));
  });

  it('stand on the baseline of their version where there is one, at their hour', async () => {
    const laterMs = nowMs + 90 * minuteMs;
    const season = `[${Array.from({ length: 24 }, (_, hour) => (hour === 10 ? Math.log(2) : 0)).join(',')}]`;
    await tellBaseline('own', laterMs - hourMs, 20_000, 'v2', season);
    await tellEnd({ execution: 'new-version', atMs: laterMs + 5 * minuteMs, ms: 40_000, version: 'v2', offset: 104 });
    await setWatermark(laterMs + 10 * minuteMs);
    await runToEnd();
    const [row] = (await readScores()).filter(({ execution_id }) => execution_id === 'new-version');
    expect(row).toMatchObject({ baseline_id: 'own', direction: 'usual' });
    expect(row?.expected).toBeCloseTo(40_000, 0);
  });
});

describe('a range that is scored', () => {
  const shard = { shard: 0, shards: 1 };

  it('ends with its hour, and takes the whole of it when it is over', () => {
    expect(planRange(nowMs, nowMs + 5 * minuteMs, shard)).toMatchObject({ fromMs: nowMs, toMs: nowMs + 5 * minuteMs });
    expect(planRange(nowMs, nowMs + 2 * hourMs, shard)).toMatchObject({
      fromMs: nowMs - 30 * minuteMs,
      toMs: nowMs + 30 * minuteMs,
      isLate: true,
    });
    expect(planRange(nowMs + 30 * minuteMs, nowMs + 2 * hourMs, shard)).toMatchObject({
      fromMs: nowMs + 30 * minuteMs,
      toMs: nowMs + 90 * minuteMs,
      isLate: false,
    });
  });
});
