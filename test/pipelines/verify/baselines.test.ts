import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BaselineJob } from '../../../pipelines/baseline-job.ts';
import { createBaselineMetrics } from '../../../pipelines/baseline-metrics.ts';
import { verifyBaselines } from '../../../pipelines/verify/baseline-check.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { dayMs, hourMs, kinds, Rollups } from '../rollup-rows.ts';

const stream = 'watched@1';
const days = 28;
const startMs = Math.floor(Date.now() / dayMs) * dayMs - (days + 1) * dayMs;
const endMs = startMs + days * dayMs;
const rollups = await Rollups.create('verify_baselines');
const { database, target } = rollups;

/** How long runs take by the hour: the same always, by the hour of the day, by the hour of the week. */
const workflows: Record<string, (hour: number) => number> = {
  steady: () => 1,
  daily: (hour) => (hour % 24 < 6 ? 8 : 1),
  weekly: (hour) => (hour % 168 < 48 ? 20 : 1),
};

beforeAll(async () => {
  const random = createRandom(4);
  for (const kind of kinds) {
    const cells = Object.entries(workflows).flatMap(([workflow, factorAt]) =>
      Array.from({ length: days * 24 }, (_, hour) => {
        const durations = Array.from({ length: 5 }, () => Math.round(random.logNormal(2e6 * factorAt(hour), 0.2)));
        const failed = random.below(2);
        const counts = { completed: durations.length, failed, contributions: durations.length + failed };
        const added = { completed_duration_us: durations, queue_us: durations.map((us) => us >> 4) };
        const cell = rollups.cell(kind, { workflow, windowStartMs: startMs + hour * hourMs }, { counts, added });
        const version = hour < 20 * 24 ? 'v1' : 'v2';
        return { ...cell, dims: cell.dims.map((dim) => (dim === 'some workflow_version' ? version : dim)) };
      }),
    );
    await rollups.insert(kind, cells);
    // The boundary of hours moves as far as there is something newer.
    await rollups.insert(kind, [rollups.cell(kind, { workflow: 'later', windowStartMs: endMs + 2 * hourMs }, {})]);
  }
  await rollups.job().runToEnd();
  for (const table of ['execution_hours', 'task_hours'])
    await alter(`ALTER TABLE ${table} UPDATE written_at = written_at - 600 WHERE 1`);
  await target.query(
    `INSERT INTO chunks (stream, partition, chunk, watermark, ver) VALUES ('${stream}', 0, 0, fromUnixTimestamp64Milli(${endMs + 120_000}), 1)`,
  );
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const streams = { executions: stream, tasks: stream };
  const metrics = createBaselineMetrics(new Registry());
  await new BaselineJob({ database, metrics, log, streams, limits: { backfillSeconds: 0 } }).runToEnd();
});
afterAll(() => database.close());

const alter = (statement: string) => target.query(`${statement} SETTINGS mutations_sync = 2`);
const linesOf = async (mostKeys?: number) =>
  (await verifyBaselines({ database, ...(mostKeys === undefined ? {} : { mostKeys }) })).flatMap((list) =>
    list.lines(),
  );
const etl = "workflow_id = 'daily' AND task_id = '' AND workflow_version = '' AND measure = 'duration'";

it('finds every number of the newest generation, seasons included', async () => {
  const seasons = await database.rows<{ workflow: string; hours: number }>(
    `SELECT workflow_id AS workflow, length(season) AS hours FROM baselines FINAL
     WHERE task_id = '' AND workflow_version = '' AND measure = 'duration' ORDER BY workflow`,
  );
  expect(seasons.map(({ workflow, hours }) => `${workflow} ${hours}`)).toEqual(['daily 24', 'steady 0', 'weekly 168']);
  // Four measures of three workflows, all versions together and two by themselves.
  expect(await linesOf()).toEqual([
    'executions baselines: rows 36, different 0',
    'tasks baselines: rows 36, different 0',
  ]);
});

it('computes some workflows again where there are many, and says so', async () => {
  const [first, note] = await linesOf(1);
  expect(first).toMatch(/^executions baselines: rows \d+, different 0$/);
  expect(note).toBe('  note: one of every 3 workflows or tasks is computed again');
});

const alterations = [
  {
    what: 'a centre',
    set: 'center = center + 0.001',
    undo: 'center = center - 0.001',
    named: /"daily".* duration center: expected/,
  },
  {
    what: 'one hour of a season',
    set: 'season = arrayMap((by, at) -> if(at = 4, by + 0.5, by), season, arrayEnumerate(season))',
    undo: 'season = arrayMap((by, at) -> if(at = 4, by - 0.5, by), season, arrayEnumerate(season))',
    named: /"daily".* duration season: expected/,
  },
  {
    what: 'a count of runs',
    set: 'n = n + 1',
    undo: 'n = n - 1',
    named: /"daily".* duration n: expected \d+, found \d+/,
  },
];

it.each(alterations)('names $what that was altered', async ({ set, undo, named }) => {
  await alter(`ALTER TABLE baselines UPDATE ${set} WHERE ${etl}`);
  const lines = await linesOf();
  await alter(`ALTER TABLE baselines UPDATE ${undo} WHERE ${etl}`);
  expect(lines.join('\n')).toMatch(named);
  expect(lines[0]).toBe('executions baselines: rows 36, different 1');
});

it('does not hold late telemetry against what was published before it', async () => {
  const hour = `workflow_id = 'steady' AND window_start = fromUnixTimestamp(${(startMs + 5 * dayMs) / 1000})`;
  await alter(`ALTER TABLE execution_hours UPDATE completed = completed + 100 WHERE ${hour}`);
  expect((await linesOf())[0]).not.toContain('different 0');
  await alter(`ALTER TABLE execution_hours UPDATE written_at = now() + 1 WHERE ${hour}`);
  expect((await linesOf()).slice(0, 2)).toEqual([
    'executions baselines: rows 24, different 0',
    '  note: 1 workflows or tasks have had hours computed again since, and are not compared',
  ]);
});

it('misses a row that is gone', async () => {
  await alter(`ALTER TABLE baselines DELETE WHERE ${etl}`);
  const lines = await linesOf();
  expect(lines.join('\n')).toMatch(/rows of the newest generation: expected 36, found 35/);
  expect(lines.join('\n')).toMatch(/"daily".* duration: expected a baseline, found none/);
});
