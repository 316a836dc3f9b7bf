import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../../clickhouse/migrate.ts';
import { alertWindowMs, readJudgements, readWindows } from '../../../clickhouse/queries/alert-inputs.ts';
import type { AlertChangeRow } from '../../../clickhouse/tables/alerts.ts';
import { executionCellsTable, taskCellsTable } from '../../../clickhouse/tables/cells.ts';
import { decodeAlert, encodeAlert } from '../../../schemas/wire.ts';
import { createAlertMetrics } from '../../../services/alerts/alert-metrics.ts';
import { toAlertRecord } from '../../../services/alerts/announcer.ts';
import { backTest, playRounds } from '../../../services/alerts/back-test.ts';
import { Evaluator } from '../../../services/alerts/evaluator.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { insertCells, makeCell } from '../../clickhouse/cell-rows.ts';
import { defaultSettings } from '../../clickhouse/default-settings.ts';
import { createTestDatabase } from '../../support/stack.ts';

const hourMs = 3_600_000;
const windows = 36 * 12;
const endMs = Math.floor(Date.now() / hourMs) * hourMs - hourMs;
const startMs = endMs - windows * alertWindowMs;
/** Both tasks of the workflow fail from here on, because the service they call is away. */
const outage = { from: windows - 12, to: windows - 6 };
const stream = 'telemetry.executions@1';
const acts = { acknowledgements: new Map(), silences: new Map() };

const target = await createTestDatabase('evaluator');
const database = new Database(target);
afterAll(() => database.close());

const dims = ['default', '', 'airflow', 'orders', 'v1'];
const isOut = (window: number) => window >= outage.from && window < outage.to;

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
  const places = Array.from({ length: windows }, (_, window) => ({
    window,
    place: { windowStartMs: startMs + window * alertWindowMs, partition: 0, chunk: window, ver: 1n },
  }));
  await insertCells(
    database,
    executionCellsTable,
    places.map(({ window, place }) =>
      makeCell(
        { ...place, dims: [...dims, 'api'] },
        { counts: { started: 5, completed: isOut(window) ? 1 : 5, failed: isOut(window) ? 4 : 0, contributions: 10 } },
      ),
    ),
  );
  const cells = ['extract', 'load'].flatMap((task) =>
    places.map(({ window, place }) =>
      makeCell(
        { ...place, dims: [...dims, task, 'network', 'airflow/default'] },
        {
          counts: {
            started: 5,
            attempt_completed: isOut(window) ? 1 : 5,
            attempt_failed: isOut(window) ? 4 : 0,
            contributions: 10,
          },
          added: { completed_duration_us: [900_000, 1_000_000, 1_100_000] },
        },
      ),
    ),
  );
  await insertCells(database, taskCellsTable, cells);
  await setWatermark(startMs + outage.from * alertWindowMs + 3 * alertWindowMs);
});

async function setWatermark(atMs: number): Promise<void> {
  const [at] = [new Date(atMs + 120_000).toISOString().replace('T', ' ').replace('Z', '')];
  await target.query(
    `INSERT INTO idle_partitions (stream, partition, log_end, idle_through) VALUES ('${stream}', 0, ${atMs}, '${at}')`,
  );
}

function createEvaluator(
  published: AlertChangeRow[],
  isDown: () => boolean = () => false,
  streams: readonly string[] = [stream],
  limits: object = { behindMs: Number.POSITIVE_INFINITY },
): Evaluator {
  return new Evaluator({
    database,
    streams,
    shard: 0,
    shards: 1,
    bookOf: () => new RuleBook(),
    actsOf: () => acts,
    publish: async (changes) => {
      if (isDown()) throw new Error('the brokers are away');
      published.push(...changes);
    },
    metrics: createAlertMetrics(new Registry()),
    nowMs: () => endMs,
    // The cells of this test have just been written, and are history all the same.
    limits: { mostBackfilled: 1e9, ...limits },
  });
}

const readAlerts = () =>
  database.rows<{ rule_id: string; state: string; subject_id: string; alert_id: string; effects: string }>(
    `SELECT rule_id, state, subject_id, alert_id, labels['effects'] AS effects FROM alerts ORDER BY fired_at`,
  );

async function runToEnd(evaluator: Evaluator): Promise<void> {
  while (!(await evaluator.run()));
}

describe('the evaluator', () => {
  const first: AlertChangeRow[] = [];
  const second: AlertChangeRow[] = [];

  it('waits while a partition has been opened and nothing of it is durable', async () => {
    await target.query(`INSERT INTO chunks (stream, partition, chunk, chunk_records) VALUES ('opened@1', 0, 0, 16384)`);
    const evaluator = createEvaluator([], undefined, [stream, 'opened@1']);
    expect(await evaluator.run()).toBe(true);
    expect(evaluator.roundMs).toBeNull();
  });

  it('waits at its first start while what is read is far behind', async () => {
    const evaluator = createEvaluator([], undefined, [stream], {});
    expect(await evaluator.run()).toBe(true);
    expect([evaluator.roundMs, evaluator.waitingFor]).toEqual([null, 'history is being loaded']);
  });

  it('tells of an outage once, with what it brought about', async () => {
    let isDown = true;
    const evaluator = createEvaluator(first, () => isDown);
    await expect(runToEnd(evaluator)).rejects.toThrow('brokers are away');
    isDown = false;
    await runToEnd(evaluator);
    expect(evaluator.roundMs).toBe(startMs + (outage.from + 3) * alertWindowMs);
    const alerts = await readAlerts();
    expect(alerts.map(({ state }) => state)).toEqual(alerts.map(() => 'firing'));
    expect(alerts.map(({ rule_id }) => rule_id)).toContain('TASK_HIGH_FAILURE_RATE');
    expect(alerts.map(({ rule_id }) => rule_id)).not.toContain('HIGH_FAILURE_RATE');
    expect(first.map(({ state }) => state)).toContain('firing');
    const [change] = first as [AlertChangeRow];
    expect(decodeAlert(encodeAlert(toAlertRecord(change)))).toMatchObject({
      alert_id: change.alertId,
      state: 'firing',
    });
  });

  it('goes on in another process where it stopped, with the alerts that were open, and ends them', async () => {
    await setWatermark(endMs);
    await runToEnd(createEvaluator(second));
    const alerts = await readAlerts();
    expect(alerts.map(({ state }) => state)).toEqual(alerts.map(() => 'resolved'));
    expect(new Set(second.map(({ alertId }) => alertId))).toEqual(new Set(first.map(({ alertId }) => alertId)));
    const rounds = await database.rows<{ n: number; distinct: number }>(
      'SELECT toFloat64(count()) AS n, toFloat64(uniqExact(round)) AS distinct FROM alert_rounds FINAL',
    );
    expect(rounds[0]?.n).toBe(rounds[0]?.distinct);
  });

  it('leaves judgements from which the same alerts come, with the same ids', async () => {
    const judgements = await readJudgements(database, { fromMs: startMs, toMs: endMs, shard: 0, shards: 1 });
    const byRound = Map.groupBy(judgements, ({ roundMs }) => roundMs);
    const replayed = playRounds(
      Array.from({ length: windows }, (_, window) => {
        const roundMs = startMs + (window + 1) * alertWindowMs;
        return { roundMs, judgements: byRound.get(roundMs) ?? [] };
      }),
    );
    const stored = await database.rows<{ notification_id: string }>(
      'SELECT notification_id FROM alert_changes FINAL ORDER BY alert_id, ver',
    );
    const ids = replayed.toSorted((one, other) => (one.alertId < other.alertId ? -1 : 1) || one.ver - other.ver);
    expect(new Set(ids.map(({ notificationId }) => notificationId))).toEqual(
      new Set(stored.map(({ notification_id }) => notification_id)),
    );
  });

  it('finds in a back-test what it told live, and what another threshold would have told', async () => {
    const history = await readWindows(database, { fromMs: startMs, toMs: endMs, shard: 0, shards: 1 }, []);
    expect(history).toHaveLength(windows);
    const draft = { workspace: 'default', ruleId: 'TASK_HIGH_FAILURE_RATE' as const, setting: {} };
    const incidents = [
      {
        fromMs: startMs + outage.from * alertWindowMs,
        toMs: startMs + outage.to * alertWindowMs,
        workflowId: 'orders',
      },
    ];
    const result = backTest(history, draft, incidents);
    expect(result).toMatchObject({ precision: 1, recall: 1 });
    const live = new Set(first.map(({ alertId }) => alertId));
    expect(result.alerts.every(({ alertId }) => live.has(alertId))).toBe(true);
    const deaf = backTest(history, { ...draft, setting: { threshold: 0.9 } }, incidents);
    expect(deaf).toMatchObject({ alerts: [], recall: 0, precision: null });
  });
});
