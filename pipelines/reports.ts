import { reportIdentity } from '../clickhouse/tables/orchestrator-events.ts';
import { orchestratorMeasures } from '../clickhouse/tables/orchestrator-measures.ts';
import type { OrchestratorEvent, OrchestratorKind } from '../schemas/orchestrator-events.ts';
import type { Dims } from './cells.ts';
import { originText } from './facts.ts';
import type { Fact } from './fold.ts';
import type { ReportCells } from './report-cells.ts';

/**
 * Reports about orchestrators beside the events of runs: nothing is joined and nothing revised, so what the fold has to
 * know of the past is only whether the same report was there before. The *thing* of a report is what it speaks of in one
 * minute: a fleet that reports for weeks makes many small things, and a thing of a new minute is never asked for.
 */

/** A report as far as the fold reads it: an event, or the columns of its stored row under the names of the event. */
export interface Report {
  kind: OrchestratorKind;
  eventTimeMs: number;
  origin: OrchestratorEvent['origin'];
}
type Fields = Record<string, unknown>;

const minuteMs = 60_000;

export const fieldOf = (column: string): string =>
  column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const identityFields = reportIdentity.map(fieldOf);

/** Names what a report speaks of, and the minute. Names of pools and types may hold any character, so parts are quoted. */
export function reportKeyOf(report: Report): string {
  const fields = report as unknown as Fields;
  const parts: unknown[] = identityFields.map((field) => fields[field] ?? '');
  parts.push(Math.floor(report.eventTimeMs / minuteMs));
  return JSON.stringify(parts);
}

/** What a question for the history of a report's key can be narrowed by. */
export function readReportKey(key: string): {
  workspace: string;
  source: string;
  ownerId: string;
  kind: string;
  minuteStartMs: number;
} {
  const parts = JSON.parse(key) as (string | number)[];
  const [workspace, source, ownerId, kind] = parts as string[];
  return { workspace, source, ownerId, kind, minuteStartMs: (parts.at(-1) as number) * minuteMs };
}

const noDims: Dims = { key: '', values: [], lastTable: null, lastMinute: -1, lastCell: null };

/** What a report is to the history of things: an instant and an origin, and nothing that counts. */
export function reportFactOf(report: Report, offset: number): Fact {
  return {
    offset,
    state: 'pending',
    attempt: 1,
    eventTimeMs: report.eventTimeMs,
    selfContained: true,
    durationUs: null,
    queueUs: null,
    costMicros: null,
    cpuUs: null,
    memoryPeakBytes: null,
    origin: originText(report.origin),
    dims: noDims,
  };
}

/** What each kind is about, besides its orchestrator and pool; counters of two instances are not one counter. */
const subjectFields: Partial<Record<OrchestratorKind, string>> = {
  orchestrator_metrics: 'instanceId',
  worker: 'workerId',
  queue_metrics: 'queueId',
  coordination_event: 'instanceId',
};

/** Workspace, project, source, kind, orchestrator, pool and subject: what the measures of one report have in common. */
function dimsOfReport(fields: Fields): string[] {
  const { workspace, project, source, kind, orchestratorId, poolId, selectedPool } = fields as Record<string, string>;
  const subject = fields[subjectFields[kind as OrchestratorKind] ?? ''] as string | undefined;
  return [workspace, project, source, kind, orchestratorId, poolId ?? selectedPool ?? '', subject ?? ''];
}

const conditionCodes: Record<string, number> = {
  healthy: 1,
  degraded: 2,
  unhealthy: 3,
  critical: 4,
  active: 1,
  idle: 1,
  busy: 1,
  terminating: 2,
  failed: 3,
};

/** How well something is as a number, so that changes can be counted: 0 for what is in no list, null where nobody said. */
function healthStateOf(fields: Fields): number | null {
  const status = (fields.healthStatus ?? fields.status ?? '') as string;
  return status === '' ? null : (conditionCodes[status] ?? 0);
}

/** Clocks differ, so that what is to come may seem to be past; an age is never below zero. */
function ageUs(fields: Fields, instant: unknown): number | null {
  if (typeof instant !== 'number') return null;
  return Math.max(0, (fields.eventTimeMs as number) - instant) * 1000;
}

const derived: Record<string, (fields: Fields) => number | null> = {
  oldest_age_us: (fields) => ageUs(fields, fields.oldestMessageAtMs),
  heartbeat_age_us: (fields) => ageUs(fields, fields.heartbeatAtMs ?? fields.lastHeartbeatAtMs),
  health_state: healthStateOf,
};

const readers = Object.fromEntries(
  Object.entries(orchestratorMeasures).map(([kind, measures]) => [
    kind,
    measures.map(({ name }) => {
      const field = fieldOf(name);
      return derived[name] ?? ((fields: Fields) => (fields[field] as number | null | undefined) ?? null);
    }),
  ]),
) as Record<OrchestratorKind, ((fields: Fields) => number | null)[]>;

/** What reports are counted by: what happened or how it is, and what came of it. */
function countedAs(kind: OrchestratorKind, fields: Fields): [label: string, outcome: string] {
  const text = (field: string) => (fields[field] as string | undefined) ?? '';
  if (kind === 'orchestrator_metrics') return [text('healthStatus'), ''];
  if (kind === 'worker') return [text('status'), ''];
  if (kind === 'scheduling_decision') return [text('algorithm'), text('outcome')];
  if (kind === 'coordination_event') return [text('eventType'), text('outcome')];
  if (kind === 'load_balancing') return [text('algorithm'), ''];
  if (kind !== 'scaling_event') return ['', ''];
  const success = fields.success as boolean | null;
  return [text('action'), success === null ? 'unknown' : success ? 'succeeded' : 'failed'];
}

/** Adds what a report says to the cells of its minute. */
export function contributeReport(report: Report, offset: number, cells: ReportCells): void {
  const fields = report as unknown as Fields;
  const { kind, eventTimeMs } = report;
  const cell = cells.at(dimsOfReport(fields), kind, eventTimeMs);
  const [label, outcome] = countedAs(kind, fields);
  cell.count(label, outcome, eventTimeMs, offset);
  const ofKind = readers[kind];
  for (let index = 0; index < ofKind.length; index++) {
    const value = (ofKind[index] as (typeof ofKind)[number])(fields);
    if (value !== null) cell.measure(index, value, eventTimeMs, offset);
  }
}

/** Columns of a stored row that the fold reads again: with these a report contributes what it did at first. */
export const reportTexts: readonly string[] = [
  ...new Set([...reportIdentity, 'project', 'selected_pool', 'health_status', 'status', 'algorithm', 'success']),
];
export const reportInstants = ['event_time', 'oldest_message_at', 'heartbeat_at', 'last_heartbeat_at'] as const;
export const reportNumbers: readonly string[] = [
  ...new Set(
    Object.values(orchestratorMeasures)
      .flat()
      .map(({ name }) => name)
      .filter((name) => derived[name] === undefined),
  ),
];
