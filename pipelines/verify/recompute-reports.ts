import { reportIdentity } from '../../clickhouse/tables/orchestrator-events.ts';
import {
  type MeasureType,
  orchestratorMeasures,
  reportsMeasure,
} from '../../clickhouse/tables/orchestrator-measures.ts';
import type { OrchestratorEvent } from '../../schemas/orchestrator-events.ts';
import { type CellValues, cellKey, type Recomputation, type RecomputeOptions } from './recompute.ts';

/**
 * What the minute cells of reports about orchestrators must hold, computed the plain way: all values of a cell are laid
 * side by side, put in the order of time, and summed up at the end. The names of measures are those of the contract of
 * the tables; how a value is read, counted and summed is written here once more.
 */

/** What one report says that matters to the cells. */
export interface AcceptedReport {
  offset: number;
  /** What it speaks of in which minute, and what tells it from other reports of the same. */
  identity: string;
  eventTimeMs: number;
  /** Dimensions but for measure, label and outcome. */
  about: readonly string[];
  label: string;
  outcome: string;
  values: readonly [measure: string, type: MeasureType, value: number][];
}

type Fields = Record<string, unknown>;

const camelCase = (column: string): string =>
  column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const textOf = (fields: Fields, column: string): string => (fields[camelCase(column)] as string | undefined) ?? '';

const subjects: Partial<Record<OrchestratorEvent['kind'], string>> = {
  orchestrator_metrics: 'instance_id',
  coordination_event: 'instance_id',
  worker: 'worker_id',
  queue_metrics: 'queue_id',
};
const labels: Partial<Record<OrchestratorEvent['kind'], string>> = {
  orchestrator_metrics: 'health_status',
  worker: 'status',
  scheduling_decision: 'algorithm',
  load_balancing: 'algorithm',
  coordination_event: 'event_type',
  scaling_event: 'action',
};

export function acceptedReport(event: OrchestratorEvent, offset: number): AcceptedReport {
  const fields = event as unknown as Fields;
  const { kind, eventTimeMs, origin } = event;
  const pool = kind === 'scheduling_decision' ? event.selectedPool : textOf(fields, 'pool_id');
  const subject = textOf(fields, subjects[kind] ?? '');
  return {
    offset,
    identity: identityOf(
      reportIdentity.map((column) => textOf(fields, column)),
      eventTimeMs,
      origin === null ? [] : [origin.topic, origin.partition, origin.offset, origin.item],
    ),
    eventTimeMs,
    about: [event.workspace, event.project, event.source, kind, event.orchestratorId, pool, subject],
    label: textOf(fields, labels[kind] ?? ''),
    outcome: outcomeOf(event),
    values: orchestratorMeasures[kind].flatMap(({ name, type }): [string, MeasureType, number][] => {
      const value = measuredValue(event, name);
      return value === null ? [] : [[name, type, value]];
    }),
  };
}

/** Of a record that was published again, its first place; of others, what they speak of and when. */
export function identityOf(names: readonly string[], eventTimeMs: number, origin: readonly unknown[]): string {
  const told = origin.length === 0 ? [eventTimeMs] : origin;
  return JSON.stringify([names, Math.floor(eventTimeMs / minuteMs), ...told]);
}

function outcomeOf(event: OrchestratorEvent): string {
  if (event.kind === 'scheduling_decision' || event.kind === 'coordination_event') return event.outcome;
  if (event.kind !== 'scaling_event') return '';
  return event.success === true ? 'succeeded' : event.success === false ? 'failed' : 'unknown';
}

function measuredValue(event: OrchestratorEvent, measure: string): number | null {
  const sinceUs = (atMs: number | null) => (atMs === null ? null : Math.max(event.eventTimeMs - atMs, 0) * 1000);
  if (measure === 'health_state') return stateOf(event);
  if (measure === 'oldest_age_us' && event.kind === 'queue_metrics') return sinceUs(event.oldestMessageAtMs);
  if (measure === 'heartbeat_age_us' && event.kind === 'worker') return sinceUs(event.lastHeartbeatAtMs);
  if (measure === 'heartbeat_age_us' && event.kind === 'orchestrator_metrics') return sinceUs(event.heartbeatAtMs);
  return ((event as unknown as Fields)[camelCase(measure)] as number | null | undefined) ?? null;
}

const good = new Set(['healthy', 'active', 'idle', 'busy']);
const impaired = new Set(['degraded', 'terminating']);
const bad = new Set(['unhealthy', 'failed']);

function stateOf(event: OrchestratorEvent): number | null {
  const status =
    event.kind === 'worker' ? event.status : event.kind === 'orchestrator_metrics' ? event.healthStatus : '';
  if (status === '') return null;
  if (good.has(status)) return 1;
  if (impaired.has(status)) return 2;
  if (bad.has(status)) return 3;
  return status === 'critical' ? 4 : 0;
}

interface Value {
  atMs: number;
  offset: number;
  value: number;
}
interface OpenCell {
  type: MeasureType | 'count';
  values: Value[];
}

const minuteMs = 60_000;

/** Reports of one partition, in offset order, to the cells they must have made; of earlier ones only what they repeat. */
export function recomputeReports(
  reports: readonly AcceptedReport[],
  { chunkRecords, limitOf, trace }: RecomputeOptions,
  earlier: readonly string[] = [],
): Recomputation {
  const duplicates = new Set<number>();
  const seen = new Set(earlier);
  const open = new Map<string, OpenCell>();
  const put = ({ offset, eventTimeMs }: AcceptedReport, dims: string[], type: OpenCell['type'], value: number) => {
    const windowMs = Math.floor(eventTimeMs / minuteMs) * minuteMs;
    const key = cellKey(JSON.stringify(dims), windowMs, Math.floor(offset / chunkRecords));
    if (offset > limitOf(key)) return;
    trace?.(key, 'n', offset);
    const cell = open.get(key) ?? { type, values: [] };
    open.set(key, cell);
    cell.values.push({ atMs: eventTimeMs, offset, value });
  };
  for (const report of reports) {
    if (seen.has(report.identity)) {
      duplicates.add(report.offset);
      continue;
    }
    seen.add(report.identity);
    put(report, [...report.about, reportsMeasure, report.label, report.outcome], 'count', 0);
    for (const [measure, type, value] of report.values) put(report, [...report.about, measure, '', ''], type, value);
  }
  return { duplicates, cells: new Map([...open].map(([key, cell]) => [key, sumUp(cell)])) };
}

function sumUp({ type, values }: OpenCell): CellValues {
  const cell: CellValues = new Map([['n', BigInt(values.length)]]);
  const inOrder = values.toSorted((left, right) => left.atMs - right.atMs || left.offset - right.offset);
  const last = inOrder.at(-1);
  if (last !== undefined) {
    cell.set('last_at', BigInt(last.atMs));
    cell.set('last_offset', BigInt(last.offset));
    cell.set('last_value', inMillionths(last.value));
  }
  if (type === 'counter' || type === 'state') {
    for (const { atMs, offset, value } of values) cell.set(`readings[${atMs} ${offset}]`, inMillionths(value));
  }
  if (type !== 'gauge' && type !== 'spread') return cell;
  const numbers = values.map(({ value }) => value);
  const add = (field: string, by: bigint) => cell.set(field, (cell.get(field) ?? 0n) + by);
  for (const number of numbers) add('value_sum', inMillionths(number));
  cell.set('value_min', inMillionths(numbers.reduce((least, number) => Math.min(least, number))));
  cell.set('value_max', inMillionths(numbers.reduce((greatest, number) => Math.max(greatest, number))));
  if (type === 'spread') for (const number of numbers) add(`value_hist[${bucketOf(number)}]`, 1n);
  return cell;
}

/** A whole number keeps its digits, any other one is rounded as a number. */
function inMillionths(value: number): bigint {
  return value % 1 === 0 ? BigInt(value) * 10n ** 6n : BigInt(Math.round(value * 1e6));
}

function bucketOf(value: number): number {
  return value <= 0 ? -32768 : Math.ceil(Math.log(value) / Math.log(1.01 / 0.99));
}
