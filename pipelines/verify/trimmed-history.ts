import type { Database } from '../../clickhouse/client.ts';
import { executionDimensions, taskDimensions } from '../../clickhouse/tables/cells.ts';
import { reportIdentity } from '../../clickhouse/tables/orchestrator-events.ts';
import type { AcceptedRecord } from './recompute.ts';
import { identityOf } from './recompute-reports.ts';
import { readJsonLines, type StreamPartition } from './stored.ts';

const jsonOf = (columns: readonly string[]): string => columns.map((column) => `toString(${column})`).join(', ');

const kinds = {
  executions: { table: 'execution_events', thing: [] as string[], map: '', dimensions: executionDimensions },
  tasks: { table: 'task_events', thing: ['task_id'], map: ', map_index', dimensions: taskDimensions },
} as const;

/**
 * Records that the log no longer holds, as their raw rows tell of them, in offset order. What the log still holds may
 * repeat, join or revise them, so they have to be known, though nothing that they alone are in is checked any more.
 */
export async function readTrimmedHistory(
  database: Database,
  kind: keyof typeof kinds,
  { stream, partition }: StreamPartition,
  firstOffset: number,
): Promise<AcceptedRecord[]> {
  const { table, thing, map, dimensions } = kinds[kind];
  const answer = await database.stream(
    `SELECT offset, tuple(${jsonOf(['workspace', 'source', 'execution_id', ...thing])}${map}), [${jsonOf(dimensions)}], attempt, state,
       toUnixTimestamp64Milli(event_time), toUnixTimestamp64Milli(started_at), duration_us, queue_us, cost_micros, cpu_us,
       memory_peak_bytes, origin
     FROM ${table} FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset < {firstOffset: UInt64}
     ORDER BY offset FORMAT JSONCompactEachRow SETTINGS output_format_json_named_tuples_as_objects = 0`,
    { stream, partition, firstOffset },
  );
  const records: AcceptedRecord[] = [];
  for await (const row of readJsonLines(answer)) records.push(toRecord(row));
  return records;
}

function toRecord(row: readonly unknown[]): AcceptedRecord {
  const [offset, thing, dims, attempt, state, eventTimeMs, startedAtMs, ...rest] = row;
  const [durationUs, queueUs, costMicros, cpuUs, memoryPeakBytes, origins] = rest;
  const [origin] = origins as unknown[][];
  return {
    offset: Number(offset),
    thing: JSON.stringify(thing),
    dims: JSON.stringify(dims),
    attempt: Number(attempt),
    state: String(state),
    eventTimeMs: Number(eventTimeMs),
    startedAtMs: startedAtMs as number | null,
    durationUs: durationUs as number | null,
    queueUs: queueUs as number | null,
    costMicros: costMicros as number | null,
    cpuUs: cpuUs as number | null,
    memoryPeakBytes: memoryPeakBytes as number | null,
    origin: origin === undefined ? null : JSON.stringify(origin),
  };
}

/** Identities of reports that the log no longer holds, as their raw rows tell of them: later ones may repeat them. */
export async function readTrimmedReports(
  database: Database,
  { stream, partition }: StreamPartition,
  firstOffset: number,
): Promise<string[]> {
  const answer = await database.stream(
    `SELECT [${jsonOf(reportIdentity)}], toUnixTimestamp64Milli(event_time), origin
     FROM orchestrator_events FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset < {firstOffset: UInt64}
     FORMAT JSONCompactEachRow SETTINGS output_format_json_named_tuples_as_objects = 0`,
    { stream, partition, firstOffset },
  );
  const identities: string[] = [];
  for await (const [names, eventTimeMs, origins] of readJsonLines(answer)) {
    const [origin = []] = origins as unknown[][];
    identities.push(identityOf(names as string[], Number(eventTimeMs), origin.map(placeOf)));
  }
  return identities;
}

/** Whole numbers of 64 bits come as text. */
const placeOf = (part: unknown, index: number): unknown => (index === 0 ? part : Number(part));
