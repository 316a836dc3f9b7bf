import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { alertWindowMs } from '../../../clickhouse/queries/alert-inputs.ts';
import { executionCellsTable } from '../../../clickhouse/tables/cells.ts';
import { insertCells, makeCell } from '../../clickhouse/cell-rows.ts';
import { QueryStand } from '../../support/query-stand.ts';

const stand = await QueryStand.create('back-tests');
const hourMs = 3_600_000;
const windows = 36 * 12;
const endMs = Math.floor(Date.now() / hourMs) * hourMs - hourMs;
const startMs = endMs - windows * alertWindowMs;
/** Two workspaces whose executions fail at different times. */
const outages = {
  default: { workflow: 'own_orders', from: windows - 30, to: windows - 24 },
  rival: { workflow: 'rival_orders', from: windows - 12, to: windows - 6 },
};
const instant = (window: number) => new Date(startMs + window * alertWindowMs).toISOString();
const range = `from=${instant(0)}&to=${instant(windows)}`;
const keys = { operator: '', viewer: '', rival: '' };
const script = path.join(import.meta.dirname, '../../../services/alerts/back-test-command.ts');

beforeAll(async () => {
  const database = new Database(stand.telemetry.database);
  for (const [workspace, { workflow, from, to }] of Object.entries(outages)) {
    const cells = Array.from({ length: windows }, (_, window) => {
      const isOut = window >= from && window < to;
      const place = { windowStartMs: startMs + window * alertWindowMs, partition: 0, chunk: window, ver: 1n };
      const counts = { started: 5, completed: isOut ? 1 : 5, failed: isOut ? 4 : 0, contributions: 10 };
      return makeCell({ ...place, dims: [workspace, '', 'airflow', workflow, 'v1', 'api'] }, { counts });
    });
    await insertCells(database, executionCellsTable, cells);
  }
  await database.close();
  keys.operator = await stand.makeKey('operator', ['default']);
  keys.viewer = await stand.makeKey('viewer', ['default']);
  keys.rival = await stand.makeKey('operator', ['rival']);
  await stand.startService();
});

interface Answer {
  windows: number;
  alerts: { alert_id: string; workflow_id: string; fired_at: string; resolved_at: string; is_right: boolean | null }[];
  pages_per_week: number;
  precision: number | null;
  recall: number | null;
  suggested_threshold: number | null;
}

async function ask(body: unknown, { key = keys.operator, rule = 'HIGH_FAILURE_RATE', query = range } = {}) {
  const response = await stand.call(`/api/v1/alerts/rules/${rule}/backtest?${query}`, {
    method: 'POST',
    key,
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: (await response.json()) as Answer & { error?: { message: string } } };
}

const { workflow, from, to } = outages.default;
const incident = { from: instant(from), to: instant(to), workflow_id: workflow };

describe('a back-test', () => {
  it('tells what would have fired, how right that is, and that a threshold would have missed it', async () => {
    const { status, answer } = await ask({ incidents: [incident] });
    expect(status).toBe(200);
    expect(answer).toMatchObject({ windows, precision: 1, recall: 1, suggested_threshold: null });
    expect(answer.alerts).toMatchObject([{ workflow_id: workflow, is_right: true }]);
    expect(answer.alerts[0]?.fired_at).toBe(instant(from + 2));
    const deaf = await ask({ threshold: 0.9, incidents: [incident] });
    expect(deaf.answer).toMatchObject({ alerts: [], precision: null, recall: 0 });
  });

  it('answers what the command answers, by the same functions', async () => {
    const { answer } = await ask({ threshold: 0.3 });
    const args = [script, '--rule', 'HIGH_FAILURE_RATE', '--threshold', '0.3', '--days', '1.5', '--json'];
    const { url, user, password, database } = stand.telemetry.database;
    const env = {
      ...process.env,
      ...{ CLICKHOUSE_URL: url, CLICKHOUSE_USER: user, CLICKHOUSE_PASSWORD: password, CLICKHOUSE_DATABASE: database },
    };
    const { stdout } = await promisify(execFile)(process.execPath, [...args, '--to', instant(windows)], { env });
    const told = JSON.parse(stdout);
    expect(answer.alerts.length).toBe(1);
    expect(
      told.alerts.map((alert: { alertId: string; firedAtMs: number; resolvedAtMs: number }) => ({
        alert_id: alert.alertId,
        fired_at: new Date(alert.firedAtMs).toISOString(),
        resolved_at: new Date(alert.resolvedAtMs).toISOString(),
      })),
    ).toEqual(answer.alerts.map(({ alert_id, fired_at, resolved_at }) => ({ alert_id, fired_at, resolved_at })));
    expect([told.windows, told.pagesPerWeek]).toEqual([answer.windows, answer.pages_per_week]);
  });

  it('sees the workspace of its caller alone', async () => {
    const own = JSON.stringify((await ask({})).answer);
    const rival = JSON.stringify((await ask({}, { key: keys.rival })).answer);
    expect(own).toContain(workflow);
    expect(own).not.toContain('rival');
    expect(rival).toContain('rival_orders');
    expect(rival).not.toContain(workflow);
  });

  it('of what cannot work is refused with the reason, and so are those who may only look', async () => {
    expect((await ask({}, { key: keys.viewer })).status).toBe(403);
    expect((await ask({}, { rule: 'NO_SUCH' })).status).toBe(404);
    const mistaken = await ask({ threshold: 20, unit: 'ms' });
    expect(mistaken.status).toBe(400);
    expect(mistaken.answer.error?.message).toMatch(/unit is ms.*threshold is 20/);
    expect((await ask({ incidents: [{ from: incident.to, to: incident.from }] })).status).toBe(400);
    expect((await ask({}, { query: 'time_range=60d' })).status).toBe(422);
  });
});
