import type { Database } from '../../clickhouse/client.ts';
import { type EndState, endStates } from '../../schemas/events.ts';
import { DifferenceList } from './report.ts';

export interface OutcomeCheck {
  database: Database;
  kind: 'executions' | 'tasks';
  /** Entities whose last event is older than this may have expired. */
  entityRetentionDays: number;
  /** How long to wait until what is on its way has come. */
  waitMs: number;
}

const cells = { executions: 'execution_cells', tasks: 'task_cells' } as const;
/** How each execution or task ended last, and when; of a task the latest attempt that has ended. */
const lastEnds = {
  executions: "SELECT last_end_state AS state, last_ended_at AS at FROM executions_latest WHERE last_end_state != ''",
  tasks: `SELECT argMax(state, attempt) AS state, argMax(ended_at, attempt) AS at FROM task_attempts_latest WHERE NOT is_open
    GROUP BY workspace, source, execution_id, task_id, map_index`,
} as const;
const pollMs = 250;

type Outcomes = Record<EndState, number>;

/**
 * What rollups count as finished is what the entities' last ends say. An end more than a week after another leaves that one where
 * it was counted (`reopened`), and it is not known how that one had ended: then only the sums are compared.
 */
export async function verifyOutcomes(check: OutcomeCheck): Promise<DifferenceList> {
  const givenUpMs = performance.now() + check.waitMs;
  for (;;) {
    const list = await compareOnce(check);
    // A pipeline at work writes entities some moments before the cells that count them.
    if (list.different === 0 || performance.now() >= givenUpMs) return list;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

async function compareOnce({ database, kind, entityRetentionDays }: OutcomeCheck): Promise<DifferenceList> {
  const list = new DifferenceList(`${kind} by last end`);
  const since = `toStartOfDay(now('UTC') - toIntervalDay({days: UInt32} - 1))`;
  const params = { days: entityRetentionDays };
  const [counted] = await database.rows<Outcomes & { reopened: number }>(
    `SELECT ${endStates.map((state) => `sum(cells.${state}) AS ${state}`).join(', ')}, sum(cells.reopened) AS reopened
     FROM ${cells[kind]} AS cells FINAL WHERE window_start >= ${since}`,
    params,
  );
  const rows = await database.rows<{ state: EndState; n: number }>(
    `SELECT state, count() AS n FROM (${lastEnds[kind]}) WHERE at >= ${since} GROUP BY state`,
    params,
  );
  const shown = new Map(rows.map(({ state, n }) => [state, n]));
  list.rows = rows.reduce((sum, { n }) => sum + n, 0);
  if (counted === undefined) return list;
  if (counted.reopened === 0) {
    for (const state of endStates) {
      const found = shown.get(state) ?? 0;
      if (found !== counted[state]) list.differ(state, counted[state], found);
    }
    return list;
  }
  const finished = endStates.reduce((sum, state) => sum + counted[state], 0) - counted.reopened;
  if (finished !== list.rows) list.differ('finished', finished, list.rows);
  return list;
}
