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
