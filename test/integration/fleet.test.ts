import { beforeAll, expect, it } from 'vitest';
import {
  createTelemetry,
  type OutgoingRecord,
  type PipelineProcess,
  type Telemetry,
} from '../support/pipeline-process.ts';
import { awaitHour, report } from './report-records.ts';

/** One orchestrator with a pool of twenty thousand workers, each of which reports twice within an hour that is over. */

const workers = 20_000;
const hourMs = 3_600_000;
const hourStartMs = Math.floor(Date.now() / hourMs) * hourMs - 2 * hourMs;

let telemetry: Telemetry;
let pipeline: PipelineProcess;

/** The second report of every tenth worker comes after a restart, with less on its counter than before. */
function reportsOf(round: number): OutgoingRecord[] {
  return Array.from({ length: workers }, (_, worker) => {
    const hasRestarted = round === 1 && worker % 10 === 0;
    return report('worker', hourStartMs + round * 60_000 + (worker % 60) * 1000, {
      worker_id: `worker ${worker}`,
      pool_id: 'fleet',
      status: worker % 4 === 0 ? 'idle' : 'busy',
      tasks_completed: hasRestarted ? 3 : 10 + round * 5,
      cpu_load: (worker % 100) / 100,
      slots_total: 4,
    });
  });
}

beforeAll(async () => {
  telemetry = await createTelemetry('fleet', {
    partitions: 2,
    env: { WEIR_CHUNK_RECORDS: '16384', WEIR_ROLLUP_INTERVAL_MS: '1000' },
  });
  for (const round of [0, 1]) {
    const records = reportsOf(round);
    for (let from = 0; from < workers; from += 2_000) {
      await telemetry.send('orchestrators', records.slice(from, from + 2_000));
    }
  }
  // An hour is over for the roll-up job when later ones have begun.
  await telemetry.send('orchestrators', [report('queue_metrics', Date.now() - 1000, { queue_id: 'later' })]);
  pipeline = await telemetry.startReady();
  await telemetry.waitStored(180_000, ['orchestrators']);
}, 300_000);

it('has every worker in its minutes and its hour', async () => {
  const [minute] = await telemetry.rows(
    `SELECT count() AS workers, sum(reports_idle) AS idle, sum(reports_busy) AS busy, round(avg(cpu_load), 3) AS load, sum(slots_total) AS slots
     FROM workers_1m WHERE workspace = 'acme' AND pool_id = 'fleet' AND window_start = fromUnixTimestamp(${hourStartMs / 1000})`,
  );
  expect(minute).toEqual({ workers, idle: workers / 4, busy: (workers * 3) / 4, load: 0.495, slots: workers * 4 });
});

it('has every worker in its hour, from its minutes and from its row', async () => {
  const hour = async () => {
    const [row] = await telemetry.rows(
      `SELECT count() AS workers, sum(reports) AS reports, sum(tasks_completed_increase) AS increase FROM workers_1h WHERE workspace = 'acme' AND pool_id = 'fleet'`,
    );
    return row;
  };
  // Nine of ten went on by five, the others began anew and came to three.
  const expected = { workers, reports: workers * 2, increase: workers * 0.9 * 5 + workers * 0.1 * 3 };
  expect(await hour()).toEqual(expected);
  await awaitHour(telemetry, hourStartMs);
  expect(await hour()).toEqual(expected);
});

it('needs no question about what came before, because every minute is new', async () => {
  expect(await pipeline.metric('weir_history_questions_total', { topic: telemetry.topics.orchestrators })).toBeLessThan(
    workers / 10,
  );
});

it('equals its log, minute by minute and hour by hour', async () => {
  const verdict = await telemetry.verify(180);
  expect(verdict, verdict.output).toMatchObject({ exitCode: 0, different: 0 });
  expect(verdict.totals[telemetry.topics.orchestrators]).toMatchObject({
    stored: workers * 2 + 1,
    dead: 0,
    duplicate: 0,
  });
  expect(verdict.output).toMatch(/orchestrators 1h: rows \d{5,}, different 0/);
}, 300_000);
