import { beforeAll, describe, expect, it } from 'vitest';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import {
  createTelemetry,
  type OutgoingRecord,
  type PipelineProcess,
  type Telemetry,
} from '../support/pipeline-process.ts';
import { awaitHour, drawReports, jsonReport, knownReports, oddNames, report } from './report-records.ts';

/** Reports about orchestrators through a real broker, a real pipeline process and a real ClickHouse. */

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** A whole hour that is long over, so that it has its row. */
const hourStartMs = Math.floor(Date.now() / hourMs) * hourMs - 2 * hourMs;
const at = (minutes: number, seconds = 0) => hourStartMs + minutes * minuteMs + seconds * 1000;
const drawn = drawReports(7, 800, Date.now() - minuteMs);

let telemetry: Telemetry;
let pipeline: PipelineProcess;

async function send(records: readonly OutgoingRecord[]): Promise<void> {
  // A broker takes a megabyte at once.
  for (let from = 0; from < records.length; from += 50) {
    await telemetry.send('orchestrators', records.slice(from, from + 50));
  }
}
const stored = () => telemetry.waitStored(90_000, ['orchestrators']);
const one = async <Row>(question: string): Promise<Row> => {
  const rows = await telemetry.rows<Row>(question);
  expect(rows, question).toHaveLength(1);
  return rows[0] as Row;
};

const rolledUp = () => awaitHour(telemetry, hourStartMs);

async function expectVerified(): Promise<Record<string, number>> {
  await rolledUp();
  const verdict = await telemetry.verify(90);
  expect(verdict, verdict.output).toMatchObject({ exitCode: 0, different: 0 });
  expect(verdict.output).toMatch(/orchestrators 1h: rows [1-9]\d*, different 0/);
  expect(verdict.output).toMatch(/orchestrators 1d: rows \d+, different 0/);
  return verdict.totals[telemetry.topics.orchestrators] as Record<string, number>;
}

beforeAll(async () => {
  telemetry = await createTelemetry('orchestrators', {
    env: { WEIR_CHUNK_RECORDS: '256', WEIR_ROLLUP_INTERVAL_MS: '1000' },
  });
  await send(knownReports(at));
  await send(drawn);
  pipeline = await telemetry.startReady();
  await stored();
});

describe('reports of all eight kinds', () => {
  it('are stored with every field, and equal a recomputation from the log', async () => {
    const totals = await expectVerified();
    expect(totals).toMatchObject({ records: 822, dead: 0, dropped: 0 });
    const kinds = await telemetry.rows<{ kind: string }>('SELECT DISTINCT kind FROM orchestrator_events ORDER BY kind');
    expect(kinds.map(({ kind }) => kind)).toEqual([...orchestratorKinds].sort());
    // A column that nothing is ever written to would pass every comparison with nothing.
    const columns = await telemetry.rows<{ name: string; type: string }>(
      `SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'orchestrator_events'
         AND name NOT IN ('project', 'source_version', 'cluster_name', 'environment', 'region', 'labels', 'redacted_fields', 'origin', 'orchestrator_type')`,
    );
    const filled = columns.map(({ name, type }) =>
      type.startsWith('Nullable')
        ? `count(${name}) AS ${name}`
        : `countIf(${name} != defaultValueOfTypeName('${type.replaceAll("'", "\\'")}')) AS ${name}`,
    );
    const counts = await one<Record<string, number>>(`SELECT ${filled.join(', ')} FROM orchestrator_events`);
    expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([]);
  });

  it('stand each in a view with columns of its own', async () => {
    const views = [
      'orchestrator_reports',
      'worker_pool_reports',
      'worker_reports',
      'scheduling_decisions',
      'queue_reports',
      'coordination_events',
      'load_balancing_reports',
      'scaling_events',
    ];
    const counted = await Promise.all(
      views.map((view) => one<{ n: number }>(`SELECT count() AS n FROM (SELECT * FROM ${view})`)),
    );
    const total = await one<{ n: number }>('SELECT count() AS n FROM orchestrator_events FINAL');
    expect(counted.reduce((sum, { n }) => sum + n, 0)).toBe(total.n);
    expect(counted.every(({ n }) => n > 0)).toBe(true);
    const { loads } = await one<{ loads: Record<string, number> }>(
      "SELECT worker_loads AS loads FROM load_balancing_reports WHERE orchestrator_id = 'airflow-1' AND notEmpty(worker_loads)",
    );
    expect(loads).toEqual({ 'w-1': 0.5 });
  });

  it('count for lag, readiness and outcomes like events of runs', async () => {
    const labels = { topic: telemetry.topics.orchestrators };
    await expect.poll(() => pipeline.metric('weir_true_lag_records', labels), { timeout: 60_000 }).toBe(0);
    expect(await pipeline.metric('weir_records_total', labels)).toBe(822);
    expect(await pipeline.whyNotReady()).toBe('');
  });
});

describe('windows', () => {
  const where = (window: string, id = "orchestrator_id = 'airflow-1'") =>
    `${id} AND window_start = '${window.slice(0, 19).replace('T', ' ')}'`;
  const minute = (minutes: number) => where(new Date(at(minutes)).toISOString());

  it('of workers keep a counter through its reset, in whatever order its readings come', async () => {
    expect(
      await one(`SELECT worker_id, reports, reports_busy, reports_idle, reports_failed, health_changes, tasks_completed, tasks_completed_increase,
        cpu_load_greatest, cpu_load_last, round(cpu_load, 9) AS cpu_load, round(cpu_load_p99, 2) AS p99 FROM workers_1m WHERE ${minute(1)}`),
    ).toEqual({
      worker_id: 'w-1',
      reports: 4,
      reports_busy: 2,
      reports_idle: 1,
      reports_failed: 1,
      health_changes: 2,
      tasks_completed: 4,
      tasks_completed_increase: 8,
      cpu_load_greatest: 0.9,
      cpu_load_last: 0.1,
      cpu_load: 0.375,
      p99: 0.9,
    });
  });

  it.each(['workers_1h', 'workers_1d'])(
    'of an hour and a day count what happened between their minutes too: %s',
    async (view) => {
      await rolledUp();
      const sum = await one(
        `SELECT sum(reports) AS reports, sum(tasks_completed_increase) AS increase, max(tasks_completed) AS last FROM ${view} WHERE orchestrator_id = 'airflow-1' AND worker_id = 'w-1'`,
      );
      expect(sum).toEqual({ reports: 5, increase: 14, last: 10 });
    },
    120_000,
  );

  it('of queues tell depth, age of the oldest message and growth, whatever the queue is called', async () => {
    expect(
      await one(`SELECT queue_id, size, size_greatest, size_last, wait_ms_mean, oldest_age_ms_greatest, oldest_age_ms_last, enqueued_increase, dead_letters
        FROM queues_1m WHERE ${minute(2)}`),
    ).toEqual({
      queue_id: oddNames[0],
      size: 25,
      size_greatest: 40,
      size_last: 10,
      wait_ms_mean: 1000,
      oldest_age_ms_greatest: 120_000,
      oldest_age_ms_last: 0,
      enqueued_increase: 60,
      dead_letters: 2,
    });
  });

  it('of orchestrators tell health, slots, backlog and scheduling latency', async () => {
    expect(
      await one(`SELECT reports_healthy, reports_degraded, health_changes, health_score, slots_total, slots_used, task_backlog_last,
        scheduling_latency_ms_mean FROM orchestrators_1m WHERE ${minute(3)}`),
    ).toEqual({
      reports_healthy: 1,
      reports_degraded: 1,
      health_changes: 1,
      health_score: 0.7,
      slots_total: 16,
      slots_used: 10,
      task_backlog_last: 9,
      scheduling_latency_ms_mean: 30,
    });
    const hour = await one<{ changes: number }>(
      `SELECT sum(health_changes) AS changes FROM orchestrators_1h WHERE orchestrator_id = 'airflow-1'`,
    );
    expect(hour.changes).toBe(2);
  });

  it('of pools, decisions, coordination, balancing and scaling have plain columns', async () => {
    expect(
      await one(
        `SELECT workers_total, workers_busy, tasks_queued, cost_per_hour FROM worker_pools_1m WHERE ${minute(5)}`,
      ),
    ).toEqual({ workers_total: 12, workers_busy: 3, tasks_queued: 2, cost_per_hour: 1.5 });
    expect(
      await one(
        `SELECT pool_id, decisions, placed, rejected, scheduling_latency_ms, queue_ms_greatest FROM scheduling_1m WHERE ${minute(6)}`,
      ),
    ).toEqual({
      pool_id: 'p-1',
      decisions: 3,
      placed: 2,
      rejected: 1,
      scheduling_latency_ms: 20,
      queue_ms_greatest: 300,
    });
    expect(
      await one(`SELECT events, leader_changes, lock_waits, lock_waits_timed_out, lock_contentions_increase, election_count_increase,
        locks_active_greatest, consensus_ms_last, lock_timeouts FROM coordination_1m WHERE ${minute(7)}`),
    ).toEqual({
      events: 3,
      leader_changes: 1,
      lock_waits: 2,
      lock_waits_timed_out: 1,
      lock_contentions_increase: 1,
      election_count_increase: 0,
      locks_active_greatest: 5,
      consensus_ms_last: 900,
      lock_timeouts: 1,
    });
    expect(
      await one(`SELECT fairness_index, failovers, failovers_increase FROM load_balancing_1m WHERE ${minute(8)}`),
    ).toEqual({
      fairness_index: 0.5,
      failovers: 5,
      failovers_increase: 2,
    });
    expect(
      await one(`SELECT events, scale_ups, scale_ups_failed, scale_downs, succeeded, failed, workers_to_greatest, duration_ms_p95 > 3960 AS slow,
        cost_impact_sum FROM scaling_1m WHERE ${minute(9)}`),
    ).toEqual({
      events: 3,
      scale_ups: 2,
      scale_ups_failed: 1,
      scale_downs: 1,
      succeeded: 2,
      failed: 1,
      workers_to_greatest: 9,
      slow: 1,
      cost_impact_sum: 0.84,
    });
  });

  it('say nothing of what nobody measured, rather than zero', async () => {
    expect(
      await one(`SELECT slots_total, tasks_completed, tasks_completed_increase FROM workers_1m WHERE ${minute(31)}`),
    ).toEqual({
      slots_total: null,
      tasks_completed: 10,
      tasks_completed_increase: 0,
    });
    expect(await one(`SELECT error_ratio, consumers_last FROM queues_1m WHERE ${minute(2)}`)).toEqual({
      error_ratio: null,
      consumers_last: null,
    });
  });

  it.each(['1m', '1h', '1d'])('of queues read only what was asked for: %s', async (window) => {
    const plan = await telemetry.database.query(
      `EXPLAIN indexes = 1 SELECT size FROM queues_${window} WHERE workspace = 'acme' AND orchestrator_id = 'airflow-1' AND queue_id = 'q' AND window_start >= now() - INTERVAL 3 HOUR`,
    );
    const reads = plan
      .split(/ReadFromMergeTree/)
      .slice(1)
      .filter((part) => part.includes('orchestrator_'));
    expect(reads.length).toBeGreaterThan(0);
    for (const read of reads) {
      const key = /PrimaryKey[\s\S]*?Condition: (.*)/.exec(read)?.[1] ?? '';
      for (const column of ['workspace', 'kind', 'orchestrator_id', 'subject']) expect(key, plan).toContain(column);
      expect(read, plan).toContain('window_start');
    }
  });
});

describe('reports that should not be', () => {
  it('become dead letters when a value is NaN or infinite, in Avro and in JSON', async () => {
    const { value, ...plain } = jsonReport('worker', at(10), { worker_id: 'w-1', cpu_load: 7 });
    const beyondAllNumbers = { ...plain, value: (value as string).replace(':7', ':1e400') };
    await send([
      report('worker', at(10), { worker_id: 'w-1', cpu_load: Number.NaN }),
      report('queue_metrics', at(10), { queue_id: 'q', size: Number.POSITIVE_INFINITY }),
      report('load_balancing', at(10), { algorithm: 'random', worker_loads: { w: Number.NEGATIVE_INFINITY } }),
      {
        key: 'airflow-1',
        value: `{"kind":"worker","orchestrator_id":"o","worker_id":"w","event_time":${at(10)},"cpu_load":NaN}`,
      },
      beyondAllNumbers,
      report('worker', at(10), { worker_id: 'w-1', tasks_completed: -1 }),
      jsonReport('toaster', at(10), {}),
      jsonReport('queue_metrics', at(10), { size: 1 }),
      report('worker', at(10), { worker_id: 'tab\tbed' }),
      report('worker', Date.now() - 8 * 24 * hourMs, { worker_id: 'w-1' }),
      jsonReport('worker', at(10), { worker_id: 'w-1', cpu_load: 0.25 }),
    ]);
    await stored();
    const letters = await telemetry.rows<{ reason: string; n: number }>(
      `SELECT reason, count() AS n FROM dead_letters FINAL WHERE topic = '${telemetry.topics.orchestrators}' GROUP BY reason ORDER BY reason`,
    );
    expect(letters).toEqual([
      { reason: 'id_malformed', n: 1 },
      { reason: 'missing_id', n: 1 },
      { reason: 'negative', n: 1 },
      { reason: 'not_finite', n: 5 },
      { reason: 'too_late', n: 1 },
      { reason: 'unknown_kind', n: 1 },
    ]);
    expect(
      await pipeline.metric('weir_rejected_total', { topic: telemetry.topics.orchestrators, reason: 'not_finite' }),
    ).toBe(5);
  });

  it('count once when they come again, and again when only something else is told of the same instant', async () => {
    const again = report('worker', at(11), { worker_id: 'w-2', pool_id: 'p-1', tasks_completed: 1 });
    const other = report('worker', at(11), { worker_id: 'w-3', pool_id: 'p-1', tasks_completed: 1 });
    await send([again, other, again]);
    await stored();
    await send([again]);
    await stored();
    const counted = await telemetry.rows(
      `SELECT worker_id, reports FROM workers_1m WHERE window_start = fromUnixTimestamp(${at(11) / 1000}) AND pool_id = 'p-1' ORDER BY worker_id`,
    );
    expect(counted).toEqual([
      { worker_id: 'w-2', reports: 1 },
      { worker_id: 'w-3', reports: 1 },
    ]);
    const { n } = await one<{ n: number }>(
      `SELECT count() AS n FROM drops FINAL WHERE stream = '${telemetry.topics.orchestrators}@1' AND reason = 'duplicate' AND record_time > now() - INTERVAL 1 DAY`,
    );
    expect(n).toBeGreaterThanOrEqual(2);
  });

  it('change an hour that has its row when they come late', async () => {
    await rolledUp();
    const question = `SELECT events, leader_changes, election_count_increase FROM coordination_1h WHERE orchestrator_id = 'airflow-1' AND window_start = fromUnixTimestamp(${hourStartMs / 1000})`;
    expect(await one(question)).toEqual({ events: 3, leader_changes: 1, election_count_increase: 0 });
    await send([
      report('coordination_event', at(7, 1) - 500, {
        event_id: 'late',
        event_type: 'leader_election',
        outcome: 'elected',
        election_count: 3,
      }),
    ]);
    await stored();
    await expect
      .poll(() => one(question), { timeout: 90_000, interval: 500 })
      .toEqual({ events: 4, leader_changes: 2, election_count_increase: 1 });
  });
});

describe('a log of reports that is read again', () => {
  it('from the beginning changes nothing', async () => {
    const sums = () =>
      one(
        `SELECT sum(n) AS n, sum(value_sum) AS value_sum, sum(cityHash64(* EXCEPT (written_at))) AS cells FROM orchestrator_cells FINAL`,
      );
    const before = await sums();
    await pipeline.kill();
    const again = await telemetry.startReady({ WEIR_GROUP_ID: `${telemetry.topics.group}.again` });
    await expect
      .poll(() => again.metric('weir_true_lag_records', { topic: telemetry.topics.orchestrators }), { timeout: 90_000 })
      .toBe(0);
    expect(await sums()).toEqual(before);
    const totals = await expectVerified();
    expect(totals).toMatchObject({ dead: 10 });
    expect(totals.duplicate).toBeGreaterThanOrEqual(2);
  });
});
