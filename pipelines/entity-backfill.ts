import type { Database } from '../clickhouse/client.ts';
import {
  type ExecutionTold,
  hasEntity,
  listSourceDays,
  readLatestCursor,
  readSourcePage,
  type SourceKey,
  type SourceKind,
  type SourceRow,
  storeCursor,
  type TaskTold,
} from '../clickhouse/queries/entity-sources.ts';
import { ClickHouseStore } from './clickhouse-store.ts';
import { type Subject, WaitingEntities } from './waiting-entities.ts';

/**
 * Makes the entity tables anew from raw rows, by the code that the pipelines make them with. Each column of an entity is
 * the greatest, or the least, of all that was ever written, so rows of the past may be written again at any time, by
 * anyone, beside pipelines that write newer ones: what comes of it is the same. How far it has come is stored after
 * each page, so that it goes on there after any death.
 */
export interface EntityBackfillOptions {
  database: Database;
  nowMs: () => number;
  /** Not where an earlier run was stopped. */
  fromStart?: boolean;
  pageRows?: number;
  /** Told after each page; false stops the run there. */
  report(progress: BackfillProgress): boolean;
}

export interface BackfillProgress {
  kind: SourceKind;
  day: string;
  /** Of the whole run, what was done before it was stopped included. */
  rowsRead: number;
  isFinished: boolean;
}

interface Position {
  beganAtMs: number;
  kind: SourceKind;
  /** '' before the first. */
  day: string;
  after: SourceKey | null;
  rowsRead: number;
}

const backfill = 'entities';
const kinds: readonly SourceKind[] = ['executions', 'tasks'];
const defaultPageRows = 20_000;

/** Answers whether it came to its end. */
export async function backfillEntities(options: EntityBackfillOptions): Promise<boolean> {
  const { database, nowMs } = options;
  const start = options.fromStart === true ? null : await findStart(database);
  const position = start ?? { beganAtMs: nowMs(), kind: kinds[0], day: '', after: null, rowsRead: 0 };
  for (const kind of kinds.slice(kinds.indexOf(position.kind))) {
    const isGoingOn = kind === position.kind && position.day !== '';
    const days = await listSourceDays(database, kind);
    // Days that are new since the run was stopped are the pipelines' own doing.
    const left = isGoingOn ? days.filter((day) => day <= position.day) : days;
    for (const day of left) {
      if (day !== position.day || kind !== position.kind) Object.assign(position, { kind, day, after: null });
      if (!(await fillDay(position, options))) return false;
    }
  }
  await save(database, position, true);
  options.report({ kind: position.kind, day: position.day, rowsRead: position.rowsRead, isFinished: true });
  return true;
}

/** Where a run was stopped that did not come to its end, unless the tables were emptied since. */
async function findStart(database: Database): Promise<Position | null> {
  const cursor = await readLatestCursor(database, backfill);
  if (cursor === null || cursor.finished) return null;
  const { beganAtMs, day, rowsRead } = cursor;
  const kind = cursor.kind as SourceKind;
  const after = cursor.lastKey === '' ? null : (JSON.parse(cursor.lastKey) as SourceKey);
  if (after === null || !(await hasEntity(database, kind, after))) return null;
  return { beganAtMs, kind, day, after, rowsRead };
}

/** Reads a day to its end, page by page; false where it was told to stop. */
async function fillDay(position: Position, { database, pageRows, report }: EntityBackfillOptions): Promise<boolean> {
  const { kind, day } = position;
  const limit = pageRows ?? defaultPageRows;
  for (;;) {
    const { rows, last } = await readSourcePage(database, kind, { day, after: position.after, limit });
    await writeEntities(database, kind, rows);
    position.rowsRead += rows.length;
    position.after = last ?? position.after;
    // Not before the rows are acknowledged.
    await save(database, position, false);
    if (!report({ kind, day, rowsRead: position.rowsRead, isFinished: false })) return false;
    if (rows.length < limit) return true;
  }
}

async function writeEntities(
  database: Database,
  kind: SourceKind,
  rows: readonly SourceRow<ExecutionTold | TaskTold>[],
): Promise<void> {
  const store = new ClickHouseStore(database);
  const waiting = new WaitingEntities(store);
  let subject: Subject = { waiting: null };
  let name = '';
  for (const { event, partition, offset } of rows) {
    const own = nameOf(event);
    // Rows of one thing follow each other.
    if (own !== name) subject = { waiting: null };
    name = own;
    if (kind === 'tasks') waiting.addTask({ event: event as TaskTold, partition, offset, thingHash: subject });
    else waiting.addExecution({ event: event as ExecutionTold, partition, offset, thingHash: subject });
  }
  for (const batch of waiting.take()) await store.insert(batch);
}

function nameOf(event: ExecutionTold | TaskTold): string {
  const { workspace, source, executionId } = event;
  return JSON.stringify(
    'taskId' in event
      ? [workspace, source, executionId, event.taskId, event.mapIndex]
      : [workspace, source, executionId],
  );
}

async function save(
  database: Database,
  { beganAtMs, kind, day, after, rowsRead }: Position,
  finished: boolean,
): Promise<void> {
  const place = { beganAtMs, kind, day, lastKey: after === null ? '' : JSON.stringify(after) };
  await storeCursor(database, { backfill, ...place, rowsRead, finished });
}
