import type { Question, WorkspaceReader } from '../question.ts';

/** Where the records of an execution lie: raw tables are cut into days, and each that is looked into takes its time. */
export interface RunPlace {
  source: string;
  workflow_id: string;
  /** Least and greatest of all event times of its own records and of its tasks'. */
  first_ms: number;
  last_ms: number;
}

interface RunAsk {
  execution: string;
}

const span =
  'toUnixTimestamp64Milli(min(first_seen_at)) AS first_ms, toUnixTimestamp64Milli(max(last_event_at)) AS last_ms';
const ofRun = 'workspace = {workspace: String} AND execution_id = {execution: String}';

/** The latest of its workflows is the greatest, whether its rows were merged or not. */
const executionPlacesQuestion: Question<RunAsk, RunPlace> = {
  name: 'execution_places',
  sql: () => `SELECT source, tupleElement(max(workflow), 'workflow_id') AS workflow_id, ${span}
FROM executions WHERE ${ofRun} GROUP BY source ORDER BY source SETTINGS final = 0`,
};

const taskPlacesQuestion: Question<RunAsk, RunPlace> = {
  name: 'task_places',
  sql: () => `SELECT source, toString(max(t.workflow_id)) AS workflow_id, ${span}
FROM task_attempts AS t WHERE ${ofRun} GROUP BY source ORDER BY source SETTINGS final = 0`,
};

/** By source, for an id may be used by several. Of some executions the tasks alone were heard of. */
export async function readRunPlaces(reader: WorkspaceReader, execution: string): Promise<RunPlace[]> {
  const [own, ofTasks] = await Promise.all([
    reader.ask(executionPlacesQuestion, { execution }),
    reader.ask(taskPlacesQuestion, { execution }),
  ]);
  const places = new Map(own.map((place) => [place.source, place]));
  for (const place of ofTasks) {
    const known = places.get(place.source);
    const first_ms = Math.min(place.first_ms, known?.first_ms ?? place.first_ms);
    const last_ms = Math.max(place.last_ms, known?.last_ms ?? place.last_ms);
    places.set(place.source, { ...(known ?? place), first_ms, last_ms });
  }
  return [...places.values()].sort((one, other) => (one.source < other.source ? -1 : 1));
}
