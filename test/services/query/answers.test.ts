import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { keepMsSince } from '../../../clickhouse/kept-rows.ts';
import { waitUntil } from '../../support/launched.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { exactPercentile, executionRecords, makeRuns, type SampleRun, taskRecords, toMessages } from './sample-runs.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const stand = await QueryStand.create('answers');
const untilMs = Math.floor(Date.now() / minuteMs) * minuteMs;
const runs = makeRuns({ workspace: 'default', mark: 'own', runs: 60, seed: 7, untilMs, everyMs: 3 * minuteMs });
const [{ workflow }] = runs;

beforeAll(async () => {
  const others = makeRuns({ workspace: 'rival', mark: 'rival', runs: 9, seed: 8, untilMs, everyMs: 3 * minuteMs });
  const all = [...runs, ...others];
  await stand.telemetry.send('executions', toMessages(all.flatMap(executionRecords)));
  await stand.telemetry.send('tasks', toMessages(all.flatMap(taskRecords)));
  await stand.telemetry.startReady();
  await stand.telemetry.waitStored(60_000);
  // From here on hours are there, and the newest of them still have to be read from minutes.
  const hours =
    "SELECT uniq(target) FROM rollup_cursors WHERE target LIKE '%hours' AND boundary > toDateTime('2026-01-01')";
  const isRolledUp = async () => (await stand.telemetry.database.query(hours)) === '2';
  expect(await waitUntil(isRolledUp, 90_000)).toBe(true);
  await stand.startService();
});

const durationOf = (run: SampleRun) => run.endedMs - run.startedMs;
const ended = (fromMs: number, toMs: number) => runs.filter((run) => run.endedMs >= fromMs && run.endedMs < toMs);
/** Of a task of all runs, by the attempt that counts. */
const taskDurations = (taskId: string) =>
  runs.flatMap(({ tasks }) =>
    tasks
      .filter(({ id }) => id === taskId)
      .map(({ attempts }) => attempts[attempts.length - 1])
      .map(({ startedMs, endedMs }) => endedMs - startedMs),
  );
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function expectWithin(value: number | null, exact: number): void {
  expect(value).not.toBeNull();
  expect(Math.abs((value ?? 0) - exact)).toBeLessThanOrEqual(exact * 0.01 + 0.001);
}

const iso = (ms: number) => encodeURIComponent(new Date(ms).toISOString());

describe('performance of a workflow', () => {
  interface Performance {
    metrics: Record<string, number | null>;
    executions: Record<string, number>;
    reasons: Record<string, string>;
    percentiles: { method: string; resolution: string; relative_error: number };
    series: { time: string; executions: number | null; avgDuration: number | null }[];
  }
  const fromMs = Math.floor(untilMs / hourMs) * hourMs - 6 * hourMs;
  const toMs = fromMs + 8 * hourMs;
  const path = `/api/v1/workflow-analytics/workflows/${workflow}/performance?from=${iso(fromMs)}&to=${iso(toMs)}`;

  it('is what the events say', async () => {
    const answer = await stand.get<Performance>(`${path}&step=1h`);
    const all = ended(fromMs, toMs);
    expect(answer.executions).toMatchObject({
      finished: all.length,
      completed: all.filter(({ state }) => state === 'completed').length,
      failed: all.filter(({ state }) => state === 'failed').length,
    });
    expect(answer.metrics.avgDuration).toBeCloseTo(mean(all.map(durationOf)), 6);
    expect(answer.metrics.successRate).toBeCloseTo(
      all.filter(({ state }) => state === 'completed').length / all.length,
      9,
    );
    const costs = all.map(({ cost }) => cost).filter((cost) => cost !== null);
    expect(answer.metrics.avgCost).toBeCloseTo(mean(costs), 9);
    expectWithin(answer.metrics.p50Duration, exactPercentile(all.map(durationOf), 50));
    expectWithin(answer.metrics.p95Duration, exactPercentile(all.map(durationOf), 95));
    expect(answer.percentiles).toEqual({ method: 'histogram', resolution: '1h', relative_error: 0.01 });
    expect(answer.metrics.resourceEfficiency).toBeNull();
    expect(answer.reasons.resourceEfficiency).toContain('allocated');
  });

  it.each(['5m', '1h'])('comes step by step, a gap as a gap: %s', async (step) => {
    const stepMs = step === '1h' ? hourMs : 5 * minuteMs;
    const { series } = await stand.get<Performance>(`${path}&step=${step}`);
    expect(series).toHaveLength((toMs - fromMs) / stepMs);
    for (const point of series) {
      const startMs = Date.parse(point.time);
      const inStep = ended(startMs, startMs + stepMs);
      expect(point.executions ?? 0, point.time).toBe(inStep.length);
      if (inStep.length > 0) expect(point.avgDuration).toBeCloseTo(mean(inStep.map(durationOf)), 6);
      else expect(point.avgDuration).toBeNull();
    }
    expect(series.some(({ executions }) => executions === null)).toBe(true);
  });
});

describe('percentiles', () => {
  interface Percentiles {
    groups: { key: string | null; count: number; values: Record<string, number> }[];
  }

  it('are within one hundredth of the exact nearest rank, for any share', async () => {
    const shares = [0, 1, 12.5, 50, 90, 99.9, 100];
    const path = `/api/v1/percentiles?subject=execution&workflow_id=${workflow}&percentiles=${shares.join(',')}`;
    const { groups } = await stand.get<Percentiles>(path);
    const values = ended(0, Number.MAX_SAFE_INTEGER).map(durationOf);
    expect(groups).toHaveLength(1);
    expect(groups[0].count).toBe(values.length);
    for (const share of shares) expectWithin(groups[0].values[`p${share}`], exactPercentile(values, share));
  });

  it('of a workflow or task of which little ended are exact, and say so', async () => {
    interface Exact extends Percentiles {
      percentiles: { method: string; relative_error: number };
    }
    const shares = [0, 1, 12.5, 33.33, 50, 90, 99.9, 100];
    const ask = (about: string) =>
      stand.get<Exact>(`/api/v1/percentiles?${about}&time_range=24h&percentiles=${shares.join(',')}`);
    const ofRuns = await ask(`subject=execution&workflow_id=${workflow}`);
    expect(ofRuns.percentiles).toEqual({ method: 'exact', resolution: 'rows', relative_error: 0 });
    for (const share of shares)
      expect(ofRuns.groups[0].values[`p${share}`]).toBe(exactPercentile(runs.map(durationOf), share));
    const durations = taskDurations('own-check');
    const ofTask = await ask('subject=task&task_id=own-check');
    expect(ofTask.percentiles.method).toBe('exact');
    for (const share of shares) expect(ofTask.groups[0].values[`p${share}`]).toBe(exactPercentile(durations, share));
    const split = await ask('subject=task&task_id=own-check&group_by=source');
    expect(split.percentiles).toMatchObject({ method: 'histogram', relative_error: 0.01 });
  });

  it.each([
    ['6h', '1m'],
    ['24h', '1h'],
    ['60d', '1d'],
  ])('over %s come from windows of %s, each counted once', async (range, resolution) => {
    interface Answer extends Percentiles {
      range: { resolution: string };
    }
    const answer = await stand.get<Answer>(`/api/v1/percentiles?subject=execution&time_range=${range}`);
    expect(answer.range.resolution).toBe(resolution);
    expect(answer.groups[0].count).toBe(runs.length);
    expectWithin(answer.groups[0].values.p90, exactPercentile(runs.map(durationOf), 90));
  });

  it('of tasks are split by task', async () => {
    const { groups } = await stand.get<Percentiles>('/api/v1/percentiles?subject=task&group_by=task_id');
    const names = runs[0].tasks.map(({ id }) => id).sort();
    expect(groups.map(({ key }) => key)).toEqual(names);
    for (const { key, count, values } of groups) {
      const durations = taskDurations(key ?? '');
      expect(count).toBe(durations.length);
      expectWithin(values.p95, exactPercentile(durations, 95));
    }
  });

  it('of attempts count every attempt', async () => {
    const path = '/api/v1/percentiles?subject=task&metric=attempt_duration_ms';
    const { groups } = await stand.get<Percentiles>(path);
    expect(groups[0].count).toBe(runs.flatMap(({ tasks }) => tasks.flatMap(({ attempts }) => attempts)).length);
  });
});

describe('trends', () => {
  interface Trends {
    groups: {
      value: number | null;
      change: { before: number; now: number; direction: string; confidence: number } | null;
      points: { time: string; value: number | null; count: number }[];
    }[];
  }

  it('follow the events and compare with the range before', async () => {
    const fromMs = Math.floor(untilMs / hourMs) * hourMs - hourMs;
    const toMs = fromMs + hourMs;
    const path = `/api/v1/trends?subject=execution&metric=finished&step=15m&compare=previous&from=${iso(fromMs)}&to=${iso(toMs)}`;
    const { groups } = await stand.get<Trends>(path);
    const [{ value, change, points }] = groups;
    expect(value).toBe(ended(fromMs, toMs).length);
    expect(change).toMatchObject({ before: ended(fromMs - hourMs, fromMs).length, now: ended(fromMs, toMs).length });
    expect(points.map(({ count }) => count)).toEqual(
      [0, 1, 2, 3].map((at) => ended(fromMs + at * 15 * minuteMs, fromMs + (at + 1) * 15 * minuteMs).length),
    );
  });

  it('count what their metric is made of', async () => {
    const readValue = async (metric: string) =>
      (await stand.get<Trends>(`/api/v1/trends?subject=execution&metric=${metric}`)).groups[0].value;
    expect(await readValue('started')).toBe(runs.length);
    expect(await readValue('retries')).toBe(0);
    const tasks = await stand.get<Trends>('/api/v1/trends?subject=task&metric=retries');
    const attempts = runs.flatMap((run) => run.tasks.map((task) => task.attempts.length));
    expect(tasks.groups[0].value).toBe(attempts.reduce((sum, count) => sum + count - 1, 0));
    expect(tasks.groups[0].value).toBeGreaterThan(0);
  });

  it('of several tasks that are asked for at once are as those of each alone', async () => {
    const names = [...new Set(runs.flatMap(({ tasks }) => tasks.map(({ id }) => id)))];
    expect(names.length).toBeGreaterThan(2);
    const toMs = Math.ceil(untilMs / hourMs) * hourMs;
    const range = `from=${iso(toMs - 6 * hourMs)}&to=${iso(toMs)}&step=1h&compare=previous`;
    const paths = [...names, 'never'].map(
      (id) => `/api/v1/trends?subject=task&workflow_id=${workflow}&task_id=${id}&${range}`,
    );
    const countAsked = async () =>
      (await stand.service.metric('weir_question_duration_seconds_count', { question: 'named_windows' })) || 0;
    const before = await countAsked();
    const together = await Promise.all(paths.map((path) => stand.get<Trends>(path)));
    expect((await countAsked()) - before).toBeLessThan(paths.length);
    const told = together.map(({ groups }) => groups[0]?.value ?? null);
    for (const [at, id] of names.entries()) expect(told[at], id).toBeCloseTo(mean(taskDurations(id)), 3);
    expect(told.at(-1)).toBeNull();
    // What was told a moment ago is told again.
    await sleep(3_500);
    for (const [at, path] of paths.entries()) expect(await stand.get<Trends>(path), path).toEqual(together[at]);
    expect((await countAsked()) - before).toBeGreaterThanOrEqual(paths.length);
  });

  it('know days of a zone whose days begin at half past an hour of UTC', async () => {
    const path = '/api/v1/trends?subject=execution&metric=finished&step=1d&time_range=2d&time_zone=Asia/Kolkata';
    const { groups } = await stand.get<Trends>(path);
    for (const { time, count } of groups[0].points) {
      expect(time).toMatch(/T18:30:00/);
      expect(count).toBe(ended(Date.parse(time), Date.parse(time) + 24 * hourMs).length);
    }
  });
});

describe('one execution', () => {
  interface Timeline {
    duration: number;
    wallClock: Record<string, number>;
    criticalPath: string[];
    tasks: { id: string; wallClock: Record<string, number>; attemptHistory: unknown[]; dependencies: string[] }[];
  }

  const sumOf = ({ totalMs, ...parts }: Record<string, number>) => {
    const sum = Object.values(parts).reduce((total, part) => total + part, 0);
    expect(sum).toBe(totalMs);
    return totalMs;
  };

  it.each(runs.slice(0, 12).map(({ id }) => id))('has a timeline whose parts add up: %s', async (id) => {
    const run = runs.find((one) => one.id === id) as SampleRun;
    const timeline = await stand.get<Timeline>(`/api/v1/workflow-analytics/executions/${id}/timeline`);
    expect(sumOf(timeline.wallClock)).toBe(run.endedMs - run.queuedMs);
    expect(timeline.duration).toBe(run.endedMs - run.queuedMs);
    expect(timeline.wallClock.runMs).toBe(countRunning(run));
    expect(timeline.tasks.map((task) => task.id).sort()).toEqual(run.tasks.map((task) => task.id).sort());
    for (const { id: taskId, wallClock, attemptHistory } of timeline.tasks) {
      const task = run.tasks.find((one) => one.id === taskId);
      sumOf(wallClock);
      expect(attemptHistory).toHaveLength(task?.attempts.length ?? 0);
      const ran = task?.attempts.reduce((sum, { startedMs, endedMs }) => sum + endedMs - startedMs, 0);
      expect(wallClock.runMs, taskId).toBe(ran);
      if (attemptHistory.length > 1) expect(wallClock.retryBackoffMs).toBe(500);
    }
    expect(timeline.criticalPath.at(0)).toBe('own-extract');
    expect(timeline.criticalPath.at(-1)).toBe('own-load');
  });

  /** Every millisecond looked at by itself. */
  function countRunning({ tasks, queuedMs, endedMs }: SampleRun): number {
    const attempts = tasks.flatMap((task) => task.attempts);
    let count = 0;
    for (let ms = queuedMs; ms < endedMs; ms++) {
      if (attempts.some((attempt) => attempt.startedMs <= ms && ms < attempt.endedMs)) count++;
    }
    return count;
  }

  it('is told in the documented shape, in seconds', async () => {
    const run = runs[3];
    const timeline = await stand.get<Record<string, unknown>>(`/api/workflows/executions/${run.id}/timeline`);
    expect(timeline).toMatchObject({
      execution_id: run.id,
      workflow_id: run.workflow,
      status: 'failed',
      started_at: new Date(run.startedMs).toISOString(),
      completed_at: new Date(run.endedMs).toISOString(),
      total_duration_seconds: durationOf(run) / 1000,
      step_count: 4,
      completed_step_count: 3,
      failed_step_count: 1,
      skipped_step_count: 0,
      error_message: `${run.id} broke`,
    });
  });

  it('has its tasks and its state', async () => {
    const run = runs[1];
    const answer = await stand.get<{
      status: { state: string };
      tasks: { id: string; attempts: number }[];
      input: unknown;
    }>(`/api/v1/workflow-analytics/executions/${run.id}`);
    expect(answer.status.state).toBe(run.state);
    expect(answer.input).toEqual({ batch: run.id });
    expect(answer.tasks.find(({ id }) => id === 'own-check')?.attempts).toBe(2);
  });

  it('that nobody knows, or that is of another workspace, is not found', async () => {
    for (const id of ['nobody', 'rival-run-1']) {
      const response = await stand.call(`/api/v1/workflow-analytics/executions/${id}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'not_found', request_id: expect.any(String) } });
    }
  });
});

describe('records that were written again', () => {
  it('are told once, as they were written last', async () => {
    interface Told {
      workflowName: string;
      tasks: { id: string; taskName: string; attemptHistory: unknown[] }[];
    }
    const run = runs.at(-1) as SampleRun;
    const path = `/api/v1/workflow-analytics/executions/${run.id}`;
    const before = await stand.get<Told>(path);
    const { database } = stand.telemetry;
    // As a later version of the pipelines would, which knows better what a record says.
    const again = (table: string, better: string) =>
      database.query(
        `INSERT INTO ${table} SELECT * REPLACE (${better}) FROM ${table} FINAL WHERE workspace = 'default' AND execution_id = '${run.id}'`,
      );
    await again('execution_events', "fold_version + 1 AS fold_version, 'known better' AS workflow_name");
    await again('task_events', "fold_version + 1 AS fold_version, 'known better' AS task_name");
    for (const table of ['executions', 'task_attempts']) await again(table, '0 AS untold');
    // What was told before is told to others for a while.
    await sleep(keepMsSince(run.endedMs, Date.now()) + 100);
    const after = await stand.get<Told>(path);
    const attemptsOf = ({ tasks }: Told) => tasks.map(({ id, attemptHistory }) => [id, attemptHistory.length]);
    expect(attemptsOf(after)).toEqual(attemptsOf(before));
    const names = [after.workflowName, ...after.tasks.map(({ taskName }) => taskName)];
    expect(new Set(names)).toEqual(new Set(['known better']));
  });
});

describe('executions of a workflow', () => {
  interface Page {
    items: { id: string; status: { state: string }; duration: number; startTime: string; endTime: string }[];
    nextCursor: string | null;
  }
  interface Listed {
    items: Record<string, unknown>[];
    total: number;
  }
  const list = `/api/v1/workflow-analytics/workflows/${workflow}/executions`;
  const newestFirst = (at: (run: SampleRun) => number) => runs.toSorted((one, other) => at(other) - at(one));
  const bySeen = newestFirst((run) => run.queuedMs);

  async function turnPages(path: string): Promise<Page['items']> {
    const items: Page['items'] = [];
    for (let cursor = ''; ; ) {
      const page = await stand.get<Page>(`${path}${cursor}`);
      items.push(...page.items);
      if (page.nextCursor === null) return items;
      cursor = `&cursor=${page.nextCursor}`;
    }
  }

  it('stand page after page in the order in which they were seen, each once', async () => {
    const items = await turnPages(`${list}?limit=7`);
    expect(items.map(({ id }) => id)).toEqual(bySeen.map(({ id }) => id));
    for (const item of items) {
      const run = runs.find(({ id }) => id === item.id) as SampleRun;
      expect(item).toMatchObject({
        status: { state: run.state },
        startTime: new Date(run.startedMs).toISOString(),
        endTime: new Date(run.endedMs).toISOString(),
        duration: durationOf(run),
        cost: run.cost,
        error: run.state === 'failed' ? { type: 'LoadError', message: `${run.id} broke` } : null,
      });
    }
  });

  it('are sifted by their state, those that ended by when they did', async () => {
    const byEnd = newestFirst((run) => run.endedMs);
    for (const [state, limit] of [
      ['failed', 2],
      ['completed', 9],
    ] as const) {
      const items = await turnPages(`${list}?limit=${limit}&status=${state}`);
      expect(items.map(({ id }) => id)).toEqual(byEnd.filter((run) => run.state === state).map(({ id }) => id));
    }
    expect(await turnPages(`${list}?limit=9&status=running`)).toEqual([]);
  });

  it('are those of the range that is asked for', async () => {
    const [fromMs, toMs] = [bySeen[40].queuedMs, bySeen[9].queuedMs];
    const items = await turnPages(`${list}?limit=200&from=${iso(fromMs)}&to=${iso(toMs)}`);
    expect(items.map(({ id }) => id)).toEqual(bySeen.slice(10, 41).map(({ id }) => id));
  });

  it.each([
    ['', (run: SampleRun) => run.state !== ''],
    ['&status=completed', (run: SampleRun) => run.state === 'completed'],
    ['&status=failed', (run: SampleRun) => run.state === 'failed'],
    ['&status=running', () => false],
  ])('are counted, and shown behind those that are skipped, in the documented shape: %s', async (filter, keep) => {
    const path = `/api/workflows/${workflow}/executions?limit=4${filter}`;
    const kept = (filter === '' ? bySeen : newestFirst((run) => run.endedMs)).filter(keep);
    for (const skip of [0, 3, kept.length - 2, kept.length]) {
      const { items, total } = await stand.get<Listed>(`${path}&skip=${Math.max(0, skip)}`);
      expect(total).toBe(kept.length);
      const expected = kept.slice(Math.max(0, skip), Math.max(0, skip) + 4);
      expect(items).toEqual(
        expected.map((run) => ({
          id: run.id,
          workflow_id: workflow,
          execution_number: null,
          status: run.state,
          started_at: new Date(run.startedMs).toISOString(),
          completed_at: new Date(run.endedMs).toISOString(),
          duration: durationOf(run) / 1000,
          input_variables: { batch: run.id },
          results: null,
          created_at: new Date(run.queuedMs).toISOString(),
          updated_at: new Date(run.endedMs).toISOString(),
        })),
      );
    }
  });

  it('stay where they were on the pages to come while new ones arrive', async () => {
    const headers = { 'x-workspace-id': 'rival' };
    const path = '/api/v1/workflow-analytics/workflows/rival-orders/executions?limit=4';
    const ask = async (cursor = '') => (await (await stand.call(`${path}${cursor}`, { headers })).json()) as Page;
    const first = await ask();
    const [added] = makeRuns({ workspace: 'rival', mark: 'rival', runs: 1, seed: 9, untilMs, everyMs: 1 });
    await stand.telemetry.send('executions', toMessages(executionRecords({ ...added, id: 'rival-run-new' })));
    await expect.poll(async () => (await ask()).items[0]?.id, { timeout: 30_000 }).toBe('rival-run-new');
    const second = await ask(`&cursor=${first.nextCursor}`);
    const ids = [...first.items, ...second.items].map(({ id }) => id);
    expect(ids).toEqual([8, 7, 6, 5, 4, 3, 2, 1].map((at) => `rival-run-${at}`));
  });
});

describe('metrics over everything', () => {
  it('have the documented shape, in seconds and per cent', async () => {
    const metrics = await stand.get<Record<string, number>>(`/api/workflows/${workflow}/metrics`);
    const durations = runs.map((run) => durationOf(run) / 1000);
    const completed = runs.filter(({ state }) => state === 'completed').length;
    expect(metrics.total_executions).toBe(runs.length);
    expect(metrics.successful_executions).toBe(completed);
    expect(metrics.failed_executions).toBe(runs.length - completed);
    expect(metrics.success_rate).toBeCloseTo((100 * completed) / runs.length, 9);
    expect(metrics.average_duration_seconds).toBeCloseTo(mean(durations), 6);
    expect(metrics.min_duration_seconds).toBeCloseTo(Math.min(...durations), 6);
    expect(metrics.max_duration_seconds).toBeCloseTo(Math.max(...durations), 6);
  });

  it('add up over workflows, days and costs', async () => {
    const stats = await stand.get<Record<string, unknown>>('/api/v1/workflows/analytics/stats');
    expect(stats).toMatchObject({ total_executions: runs.length, workflows: [{ workflow_id: workflow }] });
    const { days } = await stand.get<{ days: { total_executions: number | null }[] }>(
      '/api/v1/workflows/analytics/trends',
    );
    expect(days.reduce((sum, day) => sum + (day.total_executions ?? 0), 0)).toBe(runs.length);
    const cost = await stand.get<{ total_cost: number }>('/api/v1/workflows/analytics/cost');
    expect(cost.total_cost).toBeCloseTo(
      runs.reduce((sum, run) => sum + (run.cost ?? 0), 0),
      6,
    );
    const performance = await stand.get<{ tasks: { count: number } }>('/api/v1/workflows/analytics/performance');
    expect(performance.tasks.count).toBe(4 * runs.length);
    const monitoring = await stand.get<{ total_executions: number; task_error_count: number }>(
      '/api/v1/workflows/monitoring/metrics',
    );
    expect(monitoring.total_executions).toBe(runs.length);
    const attempts = runs.flatMap(({ tasks }) => tasks.flatMap((task) => task.attempts));
    expect(monitoring.task_error_count).toBe(attempts.filter(({ state }) => state === 'failed').length);
  });
});

describe('completeness', () => {
  it('accounts for every record and finds the rollups equal to the rows', async () => {
    interface Completeness {
      is_complete: boolean;
      ledger: { stored: number; unaccounted: number }[];
      rollups: { kind: string; state: string; from_rows: number; different: number }[];
      hours: { kind: string; stored: number }[];
    }
    const answer = await stand.get<Completeness>('/api/v1/completeness');
    expect(answer.is_complete).toBe(true);
    expect(answer.ledger.every(({ unaccounted }) => unaccounted === 0)).toBe(true);
    const stored = (kind: string) =>
      answer.hours.filter((hour) => hour.kind === kind).reduce((sum, hour) => sum + hour.stored, 0);
    expect(stored('executions')).toBe(runs.length * 3);
    expect(stored('tasks')).toBe(runs.flatMap(taskRecords).length);
    expect(answer.rollups).toContainEqual({
      kind: 'executions',
      state: 'failed',
      from_rows: runs.filter(({ state }) => state === 'failed').length,
      from_rollups: runs.filter(({ state }) => state === 'failed').length,
      different: 0,
    });
  });
});
