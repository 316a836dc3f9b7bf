import { endStates } from '../../schemas/events.ts';
import type { Kind } from '../support/pipeline-process.ts';
import { rawTables } from './accounts.ts';
import type { Stand } from './stand.ts';

/** Words of the verification that name a cell and the offsets of the records that lead there. */
const differing = /of partition (\d+) chunk .* \(from offsets? ([\d, ]+)\)$/;

/** The records that feed the first cell that differs, as they are stored. */
export async function traceDifferences(stand: Stand, kind: Kind, details: readonly string[]): Promise<string[]> {
  const first = details.map((detail) => differing.exec(detail)).find((match) => match !== null);
  if (first === undefined) return [];
  const [, partition, offsets = ''] = first;
  const what = kind === 'orchestrators' ? 'kind, orchestrator_id' : 'execution_id, state, attempt, started_at';
  const rows = await stand.database.rows<Record<string, unknown>>(
    `SELECT offset, event_time, ${what} FROM ${rawTables[kind]} FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset IN {offsets: Array(UInt64)} ORDER BY offset`,
    { stream: stand.streamOf(kind), partition: Number(partition), offsets: offsets.split(', ').map(Number) },
  );
  return rows.map((row) => `${kind}/${partition} ${JSON.stringify(row)}`);
}

/** How executions, or tasks by their latest attempt, ended last. */
const lastEnds = {
  executions: `SELECT workflow_id, execution_id, '' AS thing, last_end_state AS state, last_ended_at AS at
    FROM executions_latest WHERE last_end_state != ''`,
  tasks: `SELECT any(workflow_id) AS workflow_id, execution_id, concat(task_id, ' ', toString(map_index)) AS thing,
      argMax(state, attempt) AS state, argMax(ended_at, attempt) AS at
    FROM task_attempts_latest WHERE NOT is_open GROUP BY workspace, source, execution_id, task_id, map_index`,
} as const;
const cellTables = { executions: 'execution_cells', tasks: 'task_cells' } as const;

/** The first window in which cells count other ends than entities show, with what ended there and its records. */
export async function traceOutcomes({ database }: Stand, kind: 'executions' | 'tasks'): Promise<string[]> {
  const counted = endStates.map(
    (state) => `SELECT workflow_id, window_start, '${state}' AS state, ${state} AS n
    FROM ${cellTables[kind]} FINAL WHERE ${state} != 0`,
  );
  const [window] = await database.rows<{
    workflow: string;
    start: string;
    state: string;
    inCells: number;
    shown: number;
  }>(
    `SELECT workflow_id AS workflow, toString(window_start) AS start, state, toFloat64(sumIf(n, of_cells)) AS inCells,
       toFloat64(sumIf(n, NOT of_cells)) AS shown
     FROM (SELECT *, true AS of_cells FROM (${counted.join(' UNION ALL ')})
       UNION ALL SELECT workflow_id, toStartOfMinute(at) AS window_start, state, 1 AS n, false AS of_cells FROM (${lastEnds[kind]}))
     GROUP BY ALL HAVING inCells != shown ORDER BY start LIMIT 1`,
  );
  if (window === undefined) return [`${kind}: no window of a workflow differs by itself`];
  const rows = await database.rows<Record<string, unknown>>(
    `SELECT stream, partition, offset, execution_id, ${kind === 'tasks' ? 'task_id, map_index,' : ''} state, attempt, event_time
     FROM ${rawTables[kind]} FINAL WHERE execution_id IN (
       SELECT execution_id FROM (${lastEnds[kind]}) WHERE workflow_id = {workflow: String}
         AND toStartOfMinute(at) = toDateTime({start: String}, 'UTC')) ORDER BY execution_id, stream, partition, offset LIMIT 60`,
    window,
  );
  return [`${kind} ${JSON.stringify(window)}`, ...rows.map((row) => JSON.stringify(row))];
}
