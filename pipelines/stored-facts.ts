import { executionDimensions, taskDimensions } from '../clickhouse/tables/cells.ts';
import { reportIdentity } from '../clickhouse/tables/orchestrator-events.ts';
import type { Origin, TaskState } from '../schemas/events.ts';
import { type FoldableKind, isSelfContained, originText } from './facts.ts';
import {
  fieldOf,
  type Report,
  readReportKey,
  reportFactOf,
  reportInstants,
  reportKeyOf,
  reportNumbers,
  reportTexts,
} from './reports.ts';
import type { StoredFact, Wanted } from './store.ts';
import { keyOf } from './thing-table.ts';

/** How stored rows of one kind of stream give back what the fold needs of them. */
export interface StoredKind {
  table: string;
  /** Column of what the things of a key belong to: an execution, or an orchestrator. */
  owner: string;
  /** Columns that tell what a record was about, and those that tell what it contributed besides. */
  historyColumns: string;
  factColumns: string;
  toFact(record: unknown): StoredFact;
  /** What else is known of the rows of these things. */
  narrow(wanted: readonly Wanted[]): { condition: string; params: Record<string, unknown> };
}

interface RunRecord {
  workspace: string;
  source: string;
  execution_id: string;
  task_id?: string;
  map_index?: number;
  offset: number;
  state: TaskState;
  attempt: number;
  eventTimeMs: number;
  startedAtMs: number | null;
  duration_us: number | null;
  queue_us: number | null;
  cost_micros: number | null;
  cpu_us: number | null;
  memory_peak_bytes: number | null;
  origin: Origin[];
  dims: string[];
}

function toRunFact(stored: unknown): StoredFact {
  const record = stored as RunRecord;
  const { workspace, source, execution_id: ownerId, task_id: taskId = null, map_index: mapIndex = -1 } = record;
  return {
    key: keyOf({ workspace, source, ownerId, taskId, mapIndex }),
    offset: record.offset,
    state: record.state,
    attempt: record.attempt,
    eventTimeMs: record.eventTimeMs,
    selfContained: isSelfContained(record.state, record.startedAtMs, record.duration_us),
    durationUs: record.duration_us,
    queueUs: record.queue_us,
    costMicros: record.cost_micros,
    cpuUs: record.cpu_us,
    memoryPeakBytes: record.memory_peak_bytes,
    origin: originText(record.origin[0] ?? null),
    dims: record.dims,
  };
}

function runs(table: string, dimensions: readonly string[], taskColumns = ''): StoredKind {
  const columns = `workspace, source, execution_id, ${taskColumns} offset, state, attempt,
    toUnixTimestamp64Milli(event_time) AS eventTimeMs, toUnixTimestamp64Milli(started_at) AS startedAtMs,
    duration_us, queue_us, cost_micros, cpu_us, memory_peak_bytes, origin,
    [${dimensions.map((dimension) => `toString(${dimension})`).join(', ')}] AS dims`;
  return {
    table,
    owner: 'execution_id',
    historyColumns: columns,
    factColumns: columns,
    toFact: toRunFact,
    narrow: () => ({ condition: 'true', params: {} }),
  };
}

const named = (columns: readonly string[]): string =>
  columns.map((column) => (fieldOf(column) === column ? column : `${column} AS ${fieldOf(column)}`)).join(', ');

function toReportFact(stored: unknown): StoredFact {
  const { origin, offset, ...fields } = stored as Omit<Report, 'origin'> & { origin: Origin[]; offset: number };
  const report: Report = { ...fields, origin: origin[0] ?? null };
  return { ...reportFactOf(report, offset), key: reportKeyOf(report), dims: [], report };
}

/** Rows are sorted by time within what they are about, and things are minutes. */
function narrowToMinutes(wanted: readonly Wanted[]): { condition: string; params: Record<string, unknown> } {
  let [fromMs, toMs] = [Number.POSITIVE_INFINITY, 0];
  const kinds = new Set<string>();
  for (const { key } of wanted) {
    const { kind, minuteStartMs } = readReportKey(key);
    kinds.add(kind);
    fromMs = Math.min(fromMs, minuteStartMs);
    toMs = Math.max(toMs, minuteStartMs + 60_000);
  }
  return {
    condition:
      'kind IN {kinds: Array(String)} AND event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) AND event_time < fromUnixTimestamp64Milli({toMs: Int64})',
    params: { kinds: [...kinds], fromMs, toMs },
  };
}

const reportPlace = 'offset, origin, toUnixTimestamp64Milli(event_time) AS eventTimeMs';
const otherInstants = reportInstants
  .filter((instant) => instant !== 'event_time')
  .map((instant) => `toUnixTimestamp64Milli(${instant}) AS ${fieldOf(instant)}Ms`);

const reports: StoredKind = {
  table: 'orchestrator_events',
  owner: 'orchestrator_id',
  historyColumns: `${reportPlace}, ${named(reportIdentity)}`,
  factColumns: `${[reportPlace, ...otherInstants].join(', ')}, ${named([...reportTexts, ...reportNumbers])}`,
  toFact: toReportFact,
  narrow: narrowToMinutes,
};

export const storedKinds: Record<FoldableKind, StoredKind> = {
  executions: runs('execution_events', executionDimensions),
  tasks: runs('task_events', taskDimensions, 'task_id, map_index,'),
  orchestrators: reports,
};
