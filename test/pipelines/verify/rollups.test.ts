import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyRollups } from '../../../pipelines/verify/rollup-check.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { dayMs, drawContent, hourMs, kinds, minuteMs, Rollups } from '../rollup-rows.ts';

const rollups = await Rollups.create('verify_rollups');
const { database, target } = rollups;
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 6 * dayMs;

beforeAll(async () => {
  const random = createRandom(8);
  for (const kind of kinds) {
    const cells = Array.from({ length: 400 }, () =>
      rollups.cell(
        kind,
        {
          workflow: ['etl', 'billing'][random.below(2)] as string,
          windowStartMs: startMs + random.below(5) * dayMs + random.below(24) * hourMs + random.below(60) * minuteMs,
          chunk: random.below(3),
          position: random.below(1024),
        },
        drawContent(random),
      ),
    );
    await rollups.insert(kind, cells);
  }
  await rollups.job().runToEnd();
});
afterAll(() => database.close());

const verify = (kind: (typeof kinds)[number], waitMs = 0, cellsRetentionDays = 90) =>
  verifyRollups({ database, kind, waitMs, cellsRetentionDays });
const alter = (statement: string) => target.query(`${statement} SETTINGS mutations_sync = 2`);

it.each(kinds)('finds hours and days of %s equal to their minutes', async (kind) => {
  const [hours, days] = await verify(kind);
  expect(hours.lines()).toEqual([
    `${kind} 1h: rows ${await rollups.count(`${kind.slice(0, -1)}_hours FINAL`)}, different 0`,
  ]);
  expect(days.lines()).toEqual([
    `${kind} 1d: rows ${await rollups.count(`${kind.slice(0, -1)}_days FINAL`)}, different 0`,
  ]);
});

it('names a bucket of an hour, a count of a day and a row that is missing', async () => {
  await alter(
    'ALTER TABLE execution_hours UPDATE queue_us_hist = mapAdd(queue_us_hist, map(toInt16(77), toInt64(1))) WHERE (workflow_id, window_start) IN (SELECT workflow_id, window_start FROM execution_hours ORDER BY window_start, workflow_id LIMIT 1)',
  );
  await alter(
    "ALTER TABLE execution_days UPDATE failed = failed + 5 WHERE workflow_id = 'etl' AND window_start = (SELECT min(window_start) FROM execution_days)",
  );
  await alter(
    "ALTER TABLE execution_days DELETE WHERE workflow_id = 'billing' AND window_start = (SELECT max(window_start) FROM execution_days)",
  );
  const [hours, days] = await verify('executions');
  expect(hours.different).toBe(1);
  expect(hours.lines()[1]).toMatch(/queue_us_hist\[77\]: expected (nothing|0), found 1/);
  expect(days.different).toBe(2);
  expect(days.lines().join('\n')).toMatch(/"etl".* failed: expected (-?\d+|nothing), found -?\d+/);
  expect(days.lines().join('\n')).toMatch(/"billing".*: expected a row, found none/);
});

it('waits for the job where cells came late', async () => {
  const late = { workflow: 'etl', windowStartMs: startMs + 5 * hourMs, chunk: 9 };
  await rollups.insert('tasks', [rollups.cell('tasks', late, { counts: { completed: 3 } })]);
  expect((await verify('tasks')).map(({ different }) => different > 0)).toEqual([true, true]);
  const waiting = verify('tasks', 20_000);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await rollups.job().runToEnd();
  expect((await waiting).map(({ different }) => different)).toEqual([0, 0]);
});

it('leaves out days that may have outlived their cells, and says so', async () => {
  const [hours] = await verify('tasks', 0, 3);
  expect(hours.different).toBe(0);
  expect(hours.lines()[1]).toContain('older than the retention of their cells');
});
