import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quantile } from '../../pipelines/histogram.ts';
import { findHoursEnd, planSlices, planStep } from '../../pipelines/rollup-plan.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { launch, waitUntil } from '../support/launched.ts';
import {
  allRollups,
  chunkRecords,
  dayMs,
  drawContent,
  hourMs,
  type Kind,
  kinds,
  minuteMs,
  openChunks,
  Rollups,
  stream,
} from './rollup-rows.ts';

const crasher = path.resolve(import.meta.dirname, '../support/rollup-crasher.ts');
/** Midnight some weeks ago, so that nothing depends on the hour at which the tests run. */
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 20 * dayMs;
const workflows = ['etl', 'billing', 'ml-training', 'reports'];

/** Cells of several chunks in random minutes of these days; some come again in a newer version. */
function drawCells(rollups: Rollups, kind: Kind, random: Random, n: number, days = 19) {
  return Array.from({ length: n }, () => {
    const place = {
      workflow: workflows[random.below(workflows.length)] as string,
      windowStartMs: startMs + random.below(days) * dayMs + random.below(3) * hourMs + random.below(60) * minuteMs,
      partition: random.below(3),
      chunk: random.below(3),
      position: random.below(chunkRecords),
    };
    return rollups.cell(kind, place, drawContent(random));
  });
}

async function expectExact(rollups: Rollups, leastRows = 1): Promise<void> {
  for (const rollup of allRollups) {
    const { stored, expected } = await rollups.compare(rollup);
    const known = new Set(expected);
    const wrong = stored.filter((row) => !known.has(row));
    expect({ rows: stored.length, wrong: wrong.slice(0, 3) }, rollup.target).toEqual({
      rows: expected.length,
      wrong: [],
    });
    expect(stored.length, rollup.target).toBeGreaterThanOrEqual(leastRows);
  }
}

describe('the plan', () => {
  const limits = { sliceRows: 100, sliceWindows: 3 };
  const startsOf = (windows: [number, number][]) =>
    planSlices(
      windows.map(([startSeconds, rows]) => ({ startSeconds, rows })),
      limits,
    ).map(({ startsSeconds, part, parts }) => [startsSeconds, part, parts]);

  it('cuts windows into statements of bounded rows and windows, in order', () => {
    expect(startsOf([])).toEqual([]);
    expect(
      startsOf([
        [1, 60],
        [2, 40],
        [3, 1],
      ]),
    ).toEqual([
      [[1, 2], 0, 1],
      [[3], 0, 1],
    ]);
    expect(
      startsOf([
        [1, 1],
        [2, 1],
        [3, 1],
        [4, 1],
      ]),
    ).toEqual([
      [[1, 2, 3], 0, 1],
      [[4], 0, 1],
    ]);
  });

  it('cuts one window that is too much by its workflows', () => {
    const parts = [0, 1, 2].map((part) => [[2], part, 3]);
    expect(
      startsOf([
        [1, 5],
        [2, 201],
        [3, 5],
      ]),
    ).toEqual([[[1], 0, 1], ...parts, [[3], 0, 1]]);
  });

  it('leaves an hour to its minutes until it has settled, by the clock or by the log that is caught up with', () => {
    const noon = Date.UTC(2026, 5, 1, 12) / 1000;
    const settle = { settleSeconds: 300 };
    const end = (nowSeconds: number, newestSeconds: number | null) =>
      findHoursEnd({ nowSeconds, newestSeconds }, settle);
    expect(end(noon + 299, null)).toBe(noon - 3600);
    expect(end(noon + 300, null)).toBe(noon);
    expect(end(noon + 300, noon + 600)).toBe(noon);
    expect(end(noon + 86_400, noon + 300)).toBe(noon);
  });

  it('reads the overlap again, in steps, and never takes the cursor back', () => {
    const steps = { overlapSeconds: 120, stepSeconds: 600 };
    expect(planStep(10_000, 10_005, steps)).toEqual({ afterSeconds: 9_880, throughSeconds: 10_005 });
    expect(planStep(10_000, 99_000, steps)).toEqual({ afterSeconds: 9_880, throughSeconds: 10_600 });
    expect(planStep(10_000, 9_990, steps)).toEqual({ afterSeconds: 9_880, throughSeconds: 10_000 });
  });
});

describe('hours and days', async () => {
  const rollups = await Rollups.create('rollup');
  afterAll(() => rollups.database.close());
  const random = createRandom(11);
  const slices = { limits: { sliceRows: 1_000 } };

  it('are the sums of their minutes, over chunks and weeks', async () => {
    for (const kind of kinds) await rollups.insert(kind, drawCells(rollups, kind, random, 1_500));
    await rollups.job({ limits: { sliceRows: 300 } }).runToEnd();
    await expectExact(rollups, 60);
  });

  it('that nothing was written of are not written again', async () => {
    const before = await Promise.all(allRollups.map(({ target }) => rollups.count(target)));
    await rollups.job().runToEnd();
    expect(await Promise.all(allRollups.map(({ target }) => rollups.count(target)))).toEqual(before);
  });

  it('take in what comes late, weeks late and in newer versions', async () => {
    for (const seed of [1, 2, 3]) {
      const late = createRandom(seed);
      for (const kind of kinds) await rollups.insert(kind, drawCells(rollups, kind, late, 40));
      await rollups.job(slices).runToEnd();
      await expectExact(rollups);
    }
  });

  it('take in what one job has not seen of the seconds that it has read already', async () => {
    const job = rollups.job(slices);
    await job.runToEnd();
    const place = { workflow: 'slow insert', windowStartMs: startMs + 9 * hourMs };
    for (const chunk of [1, 2]) {
      await rollups.insert('tasks', [rollups.cell('tasks', { ...place, chunk }, { counts: { completed: chunk } })]);
      // As if the insert had begun a minute ago.
      await rollups.target.query(
        "INSERT INTO task_cells SELECT * REPLACE ('slower insert' AS workflow_id, now() - 60 AS written_at) FROM task_cells AS cell WHERE cell.workflow_id = 'slow insert'",
      );
      await job.runToEnd();
      await expectExact(rollups);
    }
    const rows = await rollups.target.query(
      "SELECT sum(completed) FROM task_hours FINAL WHERE workflow_id = 'slower insert'",
    );
    expect(rows).toBe('3');
  });

  it('are right when several jobs run at once while cells arrive', async () => {
    const writing = (async () => {
      for (let round = 0; round < 6; round++) {
        for (const kind of kinds) await rollups.insert(kind, drawCells(rollups, kind, random, 60));
      }
    })();
    const job = () => rollups.job(slices);
    await Promise.all([...[1, 2, 3].map(() => job().runToEnd()), writing]);
    await Promise.all([job().runToEnd(), job().runToEnd()]);
    await expectExact(rollups);
  });

  it('are right when one window is too much for one statement', async () => {
    const windowStartMs = startMs + 2 * dayMs;
    const cells = Array.from({ length: 200 }, (_, index) =>
      rollups.cell('tasks', { workflow: `crowd ${index % 30}`, windowStartMs, chunk: index % 7 }, drawContent(random)),
    );
    await rollups.insert('tasks', cells);
    await rollups.job({ limits: { sliceRows: 90 } }).runToEnd();
    await expectExact(rollups);
  });

  it('follow cells that an upgrade of the fold left behind, which count as nothing', async () => {
    const windowStartMs = startMs + 4 * dayMs;
    const place = { workflow: 'renamed', windowStartMs, chunk: 40, position: 5 };
    const cell = rollups.cell('executions', place, { counts: { completed: 7, contributions: 7 } });
    await openChunks(rollups.database, 1, 40);
    await rollups.insert('executions', [cell]);
    await rollups.job().runToEnd();
    await openChunks(rollups.database, 2, 40);
    const newer = { ...place, workflow: 'new name', foldVersion: 2, position: 3 };
    await rollups.insert('executions', [rollups.cell('executions', newer, { counts: { completed: 7 } })]);
    const read = async (workflow: string) =>
      await rollups.target.query(
        `SELECT sum(completed) FROM execution_hours FINAL WHERE workflow_id = '${workflow}' AND window_start = ${windowStartMs / 1000}`,
      );
    // The zero cells are written by one run and seen by the next.
    const isSwept = async () => {
      await rollups.job().runToEnd();
      return (await read('renamed')) === '0';
    };
    expect(await waitUntil(isSwept, 5_000)).toBe(true);
    expect(await read('new name')).toBe('7');
    await expectExact(rollups);
    // A late old writer is swept as well.
    await rollups.insert('executions', [
      rollups.cell('executions', { ...place, position: 9 }, { counts: { completed: 9 } }),
    ]);
    await rollups.job().runToEnd();
    expect(await read('renamed')).toBe('0');
    const versions = await rollups.target.query(
      `SELECT DISTINCT fold_version FROM execution_cells FINAL WHERE stream = '${stream}' AND chunk = 40`,
    );
    expect(versions).toBe('2');
  });

  describe('of a new version of the job', () => {
    it('are computed again and win, whatever the old one still writes', async () => {
      await rollups.target.query(
        'ALTER TABLE execution_hours UPDATE completed = completed + 1000 WHERE 1 SETTINGS mutations_sync = 2',
      );
      const older = rollups.job();
      await Promise.all([rollups.job({ jobVersion: 2 }).runToEnd(), older.run().catch(() => undefined)]);
      await expectExact(rollups);
      await expect(rollups.job().run()).rejects.toThrow('release the older code under a higher version');
    });

    it('never replace a row by one from fewer cells', async () => {
      const [hours] = allRollups;
      const { expected } = await rollups.compare(hours);
      await rollups.target.query(
        "ALTER TABLE execution_cells DELETE WHERE workflow_id = 'etl' AND cityHash64(window_start, chunk) % 2 = 0 SETTINGS mutations_sync = 2",
      );
      await rollups.job({ jobVersion: 3 }).runToEnd();
      const { stored, expected: fewer } = await rollups.compare(hours);
      expect(stored).toEqual(expected);
      expect(fewer).not.toEqual(expected);
    });
  });
});

describe('a job that is killed', async () => {
  const rollups = await Rollups.create('rollup_killed');
  afterAll(() => rollups.database.close());
  const { url, user, password, database } = rollups.target;
  const env = {
    CLICKHOUSE_URL: url,
    CLICKHOUSE_USER: user,
    CLICKHOUSE_PASSWORD: password,
    CLICKHOUSE_DATABASE: database,
  };

  it('at any step leaves work that the next one ends, with the same rows', async () => {
    const random = createRandom(5);
    for (const kind of kinds) await rollups.insert(kind, drawCells(rollups, kind, random, 150, 4));
    let deaths = 0;
    for (let step = 1; ; step += 1 + random.below(3)) {
      const killed = await launch(crasher, { args: [String(step)], env }).exited;
      await expectExact(rollups, 0);
      if (killed.signal !== 'SIGKILL') break;
      deaths++;
      if (step % 3 === 0) await rollups.insert('tasks', drawCells(rollups, 'tasks', random, 10, 4));
      // What was lately written is late: it may be in hours that this job has not come to again.
      if (step % 3 === 0) await rollups.job({ limits: { sliceRows: 60 } }).runToEnd();
      if (step > 12) break;
    }
    expect(deaths).toBeGreaterThan(3);
    await rollups.job().runToEnd();
    await expectExact(rollups, 4);
  });
});

describe('the views of hours and days', async () => {
  const rollups = await Rollups.create('rollup_views');
  afterAll(() => rollups.database.close());
  const sum = async (view: string) =>
    Number(await rollups.target.query(`SELECT sum(contributions) FROM ${view} WHERE workspace = 'some workspace'`));

  it.each(kinds)(
    'show %s as the minutes do at every moment, while cells arrive and hours are made',
    async (kind) => {
      let isWriting = true;
      const writing = (async () => {
        // Half an hour at a time, as when a log is caught up with.
        for (let minute = 0; minute < 3 * 24 * 60; minute += 30) {
          const windowStartMs = startMs + minute * minuteMs;
          const contents = [1, 2, 3].map((chunk) => ({ chunk, content: { counts: { contributions: chunk } } }));
          await rollups.insert(
            kind,
            contents.map(({ chunk, content }) =>
              rollups.cell(kind, { workflow: 'live', windowStartMs, chunk }, content),
            ),
          );
        }
        isWriting = false;
      })();
      const rolling = (async () => {
        while (isWriting) await rollups.job({ limits: { sliceRows: 50 } }).run();
      })();
      let looks = 0;
      for (; isWriting || looks < 10; looks++) {
        const least = await sum(`${kind}_1m`);
        const [hours, days] = await Promise.all([sum(`${kind}_1h`), sum(`${kind}_1d`)]);
        const most = await sum(`${kind}_1m`);
        for (const found of [hours, days]) {
          expect(found).toBeGreaterThanOrEqual(least);
          expect(found).toBeLessThanOrEqual(most);
        }
      }
      await Promise.all([writing, rolling]);
      const boundary = await rollups.target.query(
        `SELECT max(boundary) > toDateTime(${startMs / 1000 + 40 * 3600}) FROM rollup_cursors WHERE target = '${kind.slice(0, -1)}_hours'`,
      );
      expect(boundary).toBe('1');
      expect(await sum(`${kind}_1h`)).toBe(await sum(`${kind}_1m`));
    },
    60_000,
  );

  it('show the newest hour without the job, and have the columns of the minutes', async () => {
    const windowStartMs = Math.floor(Date.now() / minuteMs) * minuteMs;
    for (const kind of kinds) {
      await rollups.insert(kind, [
        rollups.cell(kind, { workflow: 'now', windowStartMs }, { counts: { completed: 3 } }),
      ]);
      const columns = async (view: string) =>
        await rollups.target.query(
          `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '${view}' ORDER BY position`,
        );
      for (const view of [`${kind}_1h`, `${kind}_1d`]) {
        expect(await rollups.target.query(`SELECT completed FROM ${view} WHERE workflow_id = 'now'`)).toBe('3');
        expect(await columns(view)).toBe(await columns(`${kind}_1m`));
      }
    }
  });

  it('show the percentiles of the merged minutes, before the boundary and after it', async () => {
    const random = createRandom(31);
    const windowStartMs = startMs + 5 * hourMs;
    const cells = Array.from({ length: 90 }, (_, index) =>
      rollups.cell(
        'executions',
        { workflow: 'spread', windowStartMs: windowStartMs + (index % 60) * minuteMs, chunk: index },
        drawContent(random),
      ),
    );
    await rollups.insert('executions', cells);
    interface Row {
      histogram: Record<string, number>;
      p50: number;
      p95: number;
    }
    const [minutes] = await rollups.database.rows<Row>(
      "SELECT sumMap(duration_histogram) AS histogram FROM executions_1m WHERE workflow_id = 'spread'",
    );
    await rollups.job().runToEnd();
    const histogram = new Map(Object.entries(minutes.histogram).map(([bucket, n]) => [Number(bucket), n]));
    for (const view of ['executions_1h', 'executions_1d']) {
      const [row] = await rollups.database.rows<Row>(
        `SELECT duration_histogram AS histogram, duration_ms_p50 AS p50, duration_ms_p95 AS p95 FROM ${view} WHERE workflow_id = 'spread'`,
      );
      expect(row.histogram).toEqual(minutes.histogram);
      expect(row.p50).toBeCloseTo((quantile(histogram, 0.5) as number) / 1000, 6);
      expect(row.p95).toBeCloseTo((quantile(histogram, 0.95) as number) / 1000, 6);
    }
  });
});

describe('a filter on the views of hours and days', async () => {
  const rollups = await Rollups.create('rollup_plan');
  afterAll(() => rollups.database.close());

  beforeAll(async () => {
    const day = `toDateTime(${startMs / 1000}, 'UTC')`;
    const names = "concat('workspace ', toString(number % 10)), concat('workflow ', toString(number % 100))";
    for (const [table, seconds] of [
      ['execution_cells', 60],
      ['execution_hours', 3600],
      ['execution_days', 86_400],
    ] as const) {
      const windows = Math.floor((10 * 86_400) / seconds);
      await rollups.target.query(
        `INSERT INTO ${table} (workspace, workflow_id, workflow_version, window_start) SELECT ${names}, toString(number), ${day} + ${seconds} * (number % ${windows}) FROM numbers(200000)`,
      );
      await rollups.target.query(`OPTIMIZE TABLE ${table} FINAL`);
    }
    await rollups.target.query(
      `INSERT INTO rollup_cursors (target, boundary) VALUES ('execution_hours', ${day} + 5 * 86400), ('execution_days', ${day} + 2 * 86400)`,
    );
  });

  /** Without the lines that draw the plan's tree. */
  const explain = async (query: string) =>
    (await rollups.target.query(`EXPLAIN indexes = 1 ${query}`)).replaceAll(/[│├└─]/g, ' ');

  it.each(['executions_1h', 'executions_1d'])('reach the sorting keys through %s', async (view) => {
    const plan = await explain(
      `SELECT finished, duration_ms_p95 FROM ${view} WHERE workspace = 'workspace 3' AND workflow_id = 'workflow 43'`,
    );
    const keys = [...plan.matchAll(/PrimaryKey\s+Keys:\s+([\s\S]*?)\s+Condition:[\s\S]*?Granules: (\d+)\/(\d+)/g)];
    expect(keys).toHaveLength(view === 'executions_1h' ? 2 : 3);
    for (const [, names = '', read, of] of keys) {
      expect(names.split(/\s+/)).toEqual(expect.arrayContaining(['workspace', 'workflow_id']));
      expect(Number(read)).toBeLessThanOrEqual(Math.max(10, Number(of) / 5));
    }
  });

  it.each(['executions_1h', 'executions_1d'])('read nothing finer than the boundary needs through %s', async (view) => {
    const plan = await explain(
      `SELECT finished FROM ${view} WHERE window_start < toDateTime(${startMs / 1000 + 86_400}, 'UTC')`,
    );
    const reads = plan.split(/ReadFromMergeTree/).slice(1);
    for (const read of reads.filter((text) => text.includes('execution_cells'))) expect(read).toMatch(/Parts: 0\//);
    expect(plan).toContain(view === 'executions_1h' ? 'execution_hours' : 'execution_days');
  });
});
