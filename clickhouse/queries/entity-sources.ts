import type { ErrorInfo, ExecutionEvent, TaskDependency, TaskEvent } from '../../schemas/events.ts';
import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import { type BackfillCursorRow, backfillCursorsTable } from '../tables/backfills.ts';

/** Raw rows as what entities are made of, a page at a time in the order of their key, and how far they have been read. */

const sharedFields = [
  'workspace',
  'project',
  'source',
  'workflowId',
  'workflowVersion',
  'executionId',
  'attempt',
  'state',
  'eventTimeMs',
  'queuedAtMs',
  'startedAtMs',
  'durationUs',
  'queueUs',
  'costMicros',
  'cpuUs',
  'memoryPeakBytes',
  'tags',
] as const;
const executionFields = [
  ...sharedFields,
  'workflowName',
  'sourceVersion',
  'executionNumber',
  'progressRatio',
  'phase',
  'substatus',
  'triggerType',
  'triggerSource',
  'triggeredBy',
  'parentExecutionId',
  'parentTaskId',
  'rootExecutionId',
  'tenant',
  'environment',
  'region',
  'correlationId',
  'retryReason',
  'cancelReason',
  'scheduledAtMs',
] as const;
const taskFields = [
  ...sharedFields,
  'taskId',
  'taskName',
  'taskType',
  'mapIndex',
  'orchestratorId',
  'pool',
  'queue',
  'workerId',
  'childExecutionId',
  'stepOrder',
  'readyAtMs',
  'dispatchedAtMs',
  'maxAttempts',
  'retryDelayUs',
  'nextRetryAtMs',
] as const;

interface WithError {
  error: Pick<ErrorInfo, 'type' | 'code' | 'message'>;
}

/** What the entity of an execution, or of an attempt, takes from an event. */
export type ExecutionTold = Pick<ExecutionEvent, 'kind' | (typeof executionFields)[number]> & WithError;
export type TaskTold = Pick<TaskEvent, 'kind' | (typeof taskFields)[number]> &
  WithError & { dependencies: TaskDependency[] };

export interface SourceRow<Told> {
  stream: string;
  partition: number;
  offset: number;
  event: Told;
}

export type SourceKind = 'executions' | 'tasks';
interface Told {
  executions: ExecutionTold;
  tasks: TaskTold;
}

const keyShared = ['workspace', 'source', 'execution_id'];
const coordinates = ['stream', 'partition', 'offset'];
const sources = {
  executions: { table: 'execution_events', fields: executionFields, key: [...keyShared, ...coordinates], more: '' },
  tasks: {
    table: 'task_events',
    fields: taskFields,
    key: [...keyShared, 'task_id', 'map_index', ...coordinates],
    more: ", CAST(arrayMap(d -> (d.1, d.2, d.3, d.4), task_events.dependencies), 'Array(Tuple(taskId String, type String, optional Bool, condition String))') AS dependencies",
  },
} as const;

const keyTypes: Record<string, string> = { map_index: 'Int32', partition: 'UInt32', offset: 'UInt64' };

const columnOf = (field: string): string =>
  field.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const selectOf = (field: string): string =>
  field.endsWith('Ms') ? `toUnixTimestamp64Milli(${columnOf(field)}) AS ${field}` : `${columnOf(field)} AS ${field}`;

/** A key as it stands in a cursor; its parts in the order of the table's sorting key. */
export type SourceKey = readonly (string | number)[];

/** Days that hold rows, the newest first. */
export async function listSourceDays(database: Database, kind: SourceKind): Promise<string[]> {
  const rows = await database.rows<{ day: string }>(
    `SELECT toString(toDate(event_time)) AS day FROM ${sources[kind].table} GROUP BY day ORDER BY day DESC`,
  );
  return rows.map(({ day }) => day);
}

export interface SourcePage<Row> {
  rows: SourceRow<Row>[];
  /** Key of the last row; null where there is none. */
  last: SourceKey | null;
}

/**
 * The next rows of a day. They come in the order in which they lie on disk, so neither side holds more than a page. FINAL
 * would read the whole day for each; of a record that was folded by several versions the newest is taken here.
 */
export async function readSourcePage<Kind extends SourceKind>(
  database: Database,
  kind: Kind,
  { day, after, limit }: { day: string; after: SourceKey | null; limit: number },
): Promise<SourcePage<Told[Kind]>> {
  const { table, fields, key, more } = sources[kind];
  const names = key.map((column) => `key_${column}`);
  const position =
    after === null ? {} : Object.fromEntries(key.map((column, place) => [`after_${column}`, after[place]]));
  const found = await database.rows<Record<string, unknown>>(
    `SELECT ${fields.map(selectOf).join(', ')}${more}, error_type, error_code, error_message, ${key.map((column) => `${column} AS key_${column}`).join(', ')}
     FROM ${table}
     WHERE toDate(event_time) = {day: Date} ${after === null ? '' : `AND ${behind(key)}`}
     ORDER BY ${key.map((column) => `${table}.${column}`).join(', ')}, fold_version DESC
     LIMIT 1 BY ${key.map((column) => `${table}.${column}`).join(', ')}
     LIMIT {limit: UInt32}`,
    { day, limit, ...position },
    { final: 0, optimize_read_in_order: 1, max_threads: 2 },
  );
  const rows = found.map((row) => toSourceRow(row, kind) as SourceRow<Told[Kind]>);
  const last = found.at(-1);
  return { rows, last: last === undefined ? null : names.map((name) => last[name] as string | number) };
}

/** Behind a key. The first part says once more in plain ranges what the sorting key can be searched by. */
function behind(key: readonly string[]): string {
  const after = (column: string) => `{after_${column}: ${keyTypes[column] ?? 'String'}}`;
  const [workspace, source, execution] = keyShared;
  const range = `(${workspace} > ${after(workspace)} OR (${workspace} = ${after(workspace)} AND (${source} > ${after(source)}
    OR (${source} = ${after(source)} AND ${execution} >= ${after(execution)}))))`;
  return `${range} AND (${key.join(', ')}) > (${key.map(after).join(', ')})`;
}

function toSourceRow(row: Record<string, unknown>, kind: SourceKind): SourceRow<ExecutionTold | TaskTold> {
  const { error_type: type, error_code: code, error_message: message, ...fields } = row;
  const event = { kind: kind === 'tasks' ? 'task' : 'execution', ...fields, error: { type, code, message } };
  return {
    stream: row.key_stream as string,
    partition: row.key_partition as number,
    offset: row.key_offset as number,
    event: event as unknown as ExecutionTold | TaskTold,
  };
}

export async function readLatestCursor(database: Database, backfill: string): Promise<BackfillCursorRow | null> {
  const [row] = await database.rows<BackfillCursorRow>(
    `SELECT backfill, toUnixTimestamp64Milli(began_at) AS beganAtMs, kind, day, last_key AS lastKey, rows_read AS rowsRead, finished
     FROM backfill_cursors WHERE backfill = {backfill: String} ORDER BY began_at DESC, rows_read DESC, finished DESC LIMIT 1`,
    { backfill },
  );
  return row ?? null;
}

export async function storeCursor(database: Database, cursor: BackfillCursorRow): Promise<void> {
  await database.insert(new Block(backfillCursorsTable, [cursor]));
}

/** Whether an entity is there: where one that was made is gone, the tables were emptied. */
export async function hasEntity(
  database: Database,
  kind: SourceKind,
  [workspace, source, execution]: SourceKey,
): Promise<boolean> {
  const [found] = await database.rows<{ n: number }>(
    `SELECT count() AS n FROM ${kind === 'tasks' ? 'task_attempts' : 'executions'}
     WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id = {execution: String}`,
    { workspace, source, execution },
  );
  return (found?.n ?? 0) > 0;
}
