import type { Database } from '../client.ts';
import type { Question } from '../question.ts';

/** How many workers a pool has and may have, by its newest report. */
export const poolSizeQuestion: Question<
  { poolId: string },
  { workers_total: number | null; workers_max: number | null }
> = {
  name: 'pool_size',
  sql: () => `SELECT toFloat64(workers_total) AS workers_total, toFloat64(workers_max) AS workers_max FROM (
  SELECT workers_total, workers_max FROM worker_pool_reports
  WHERE workspace = {workspace: String} AND pool_id = {poolId: String} AND event_time > now() - INTERVAL 1 DAY
  ORDER BY event_time DESC LIMIT 1)`,
};

/** The same for whoever acts on all workspaces. */
export async function readPoolSize(
  database: Database,
  workspace: string,
  poolId: string,
): Promise<{ workersTotal?: number; workersMax?: number }> {
  const params = { workspace, poolId };
  const [row] = await database.rows<{ workers_total: number | null; workers_max: number | null }>(
    poolSizeQuestion.sql(params),
    params,
  );
  const { workers_total: total = null, workers_max: max = null } = row ?? {};
  return { ...(total === null ? {} : { workersTotal: total }), ...(max === null ? {} : { workersMax: max }) };
}
