import { keepMsSince } from '../kept-rows.ts';
import type { GatheredQuestion, WorkspaceReader } from '../question.ts';
import { endBit } from '../tables/entities.ts';

/** Where the records of an execution lie: raw tables are cut into days, and each that is looked into takes its time. */
export interface RunPlace {
  source: string;
  workflow_id: string;
  /** Least and greatest of all event times of its own records and of its tasks'. */
  first_ms: number;
  last_ms: number;
  /** By its latest state; an execution of which its tasks alone were heard of goes on. */
  is_over: boolean;
  /** Bits of the details that none of its own records tells, and none of its tasks'. */
  execution_untold: number;
  tasks_untold: number;
}

/** What was told of it may be told again for so long. */
export const keepMsOf = ({ is_over, last_ms }: Pick<RunPlace, 'is_over' | 'last_ms'>, nowMs: number): number =>
  is_over ? keepMsSince(last_ms, nowMs) : openKeptMs;

const openKeptMs = 1_000;

interface PlacedRow extends RunPlace {
  execution_id: string;
}

/** Of what has no records. */
const allUntold = 'toUInt32(4294967295)';

const ofRuns = 'workspace = {workspace: String} AND execution_id IN {executions: Array(String)}';

/**
 * By source, for an id may be used by several. Of some executions the tasks alone were heard of; otherwise the workflow is the
 * execution's own, the latest of which is the greatest, whether its rows were merged or not. One question, because two
 * take longer than what is found by them.
 */
const runPlacesQuestion: GatheredQuestion<string, PlacedRow> = {
  name: 'run_places',
  keepMs: (_execution, places, nowMs) => Math.min(...places.map((place) => keepMsOf(place, nowMs))),
  sql: `SELECT source, execution_id, argMax(told_workflow, (rank, told_workflow)) AS workflow_id,
  toUnixTimestamp64Milli(min(first_at)) AS first_ms, toUnixTimestamp64Milli(max(last_at)) AS last_ms,
  CAST(bitAnd(max(now_rank), ${endBit}) != 0, 'Bool') AS is_over,
  groupBitAnd(of_execution) AS execution_untold, groupBitAnd(of_tasks) AS tasks_untold
FROM (
  SELECT source, execution_id, tupleElement(workflow, 'workflow_id') AS told_workflow,
    (1, tupleElement(workflow, 'rank'), tupleElement(workflow, 'place')) AS rank, first_seen_at AS first_at, last_event_at AS last_at,
    tupleElement(now, 'rank') AS now_rank, toUInt32(untold) AS of_execution, ${allUntold} AS of_tasks
  FROM executions WHERE ${ofRuns}
  UNION ALL
  SELECT source, execution_id, toString(t.workflow_id), (0, toUInt64(0), toUInt64(0)), first_seen_at, last_event_at,
    toUInt64(0), ${allUntold}, toUInt32(untold) FROM task_attempts AS t WHERE ${ofRuns}
)
GROUP BY source, execution_id ORDER BY source SETTINGS final = 0`,
  params: (executions) => ({ executions }),
  alike: () => null,
  keyOfAsk: (execution) => execution,
  keyOfRow: (row) => row.execution_id,
};

export const readRunPlaces = (reader: WorkspaceReader, execution: string): Promise<RunPlace[]> =>
  reader.askAbout(runPlacesQuestion, execution);
