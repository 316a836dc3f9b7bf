import type { Type } from 'avsc';
import type { OrchestratorEvent, OrchestratorKind } from '../schemas/orchestrator-events.ts';
import { orchestratorBodyTypes } from '../schemas/wire.ts';
import {
  beginFindings,
  bounds,
  endFindings,
  readCostMicros,
  readCount,
  readCpuUs,
  readId,
  readIdOr,
  readInstant,
  readLabels,
  readMeasure,
  readName,
  readNumbers,
  readRatio,
  readSigned,
  readText,
  readTexts,
  readType,
} from './bounded.ts';
import { type RecordContext, readEventTime } from './normalise.ts';

/**
 * Reports about orchestrators come by the second where executions come by the thousand, so the fields of
 * the eight kinds are not written out: each is read by the rule of the type and the unit that the Avro
 * contract states for it (a test holds every field to stating one).
 */

type Read = (value: never, field: string) => unknown;
interface FieldRule {
  wire: string;
  canonical: string;
  read: Read;
}
interface Field {
  name: string;
  type: Type;
  doc: string;
}

/** `queue_wait_ms_max` is kept as `queueWaitUsMax`, `heartbeat_at` as `heartbeatAtMs`, cost in millionths. */
export function canonicalName(field: string, isInstant: boolean): string {
  let name = field.replace(/_ms(?=_|$)/, '_us');
  if (isInstant) name = `${field}_ms`;
  if (/^cost(_|$)/.test(field) && field !== 'cost_optimization') name = name.replace(/^cost/, 'cost_micros');
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

const requiredIds = new Set(['pool_id', 'worker_id', 'queue_id']);
const typeFields = new Set([
  'status',
  'type',
  'health_status',
  'worker_type',
  'queue_type',
  'algorithm',
  'action',
  'event_type',
  'outcome',
  'scheduling_algorithm',
  'severity',
  'consensus_protocol',
]);
const longTexts = new Set(['message', 'reason']);

function branchOf(type: Type): { type: Type; optional: boolean } {
  const branches = (type as unknown as { types?: Type[] }).types;
  return branches === undefined ? { type, optional: false } : { type: branches[1], optional: true };
}

function numberRule(field: Field): Read {
  const unit = field.doc.slice(field.doc.lastIndexOf('; ') + 2);
  if (unit.startsWith('ratio from 0 to 1')) return readRatio;
  // Time here may be a sum over years of running, so it has the bound of CPU time.
  if (unit === 'milliseconds.') return readCpuUs;
  if (field.name === 'cost_impact') return (value, name) => readChange(value, name);
  if (unit.includes('currency')) return readCostMicros;
  if (unit === 'count.' || unit === 'cumulative count.' || unit === 'bytes.' || unit === 'cumulative bytes.')
    return readCount;
  if (field.name === 'priority') return readSigned;
  return readMeasure;
}

/** A change of cost may be a saving. */
function readChange(value: number | null | undefined, field: string): number | null {
  const change = readSigned(value, field);
  if (change === null) return null;
  const micros = readCostMicros(Math.abs(change), field) as number;
  return change < 0 ? -micros : micros;
}

function textRule(field: Field, optional: boolean): Read {
  if (!optional && requiredIds.has(field.name)) return readId;
  if (typeFields.has(field.name)) return readType;
  if (longTexts.has(field.name)) return (value, name) => readText(value, name, bounds.errorMessageCharacters);
  return readName;
}

function ruleOf(field: Field): FieldRule {
  const { type, optional } = branchOf(field.type);
  const nested = type as unknown as { typeName: string; itemsType: Type; valuesType: Type };
  const isInstant = nested.typeName === 'long' && /(^|_)at$/.test(field.name);
  const maxItems = Number(/at most (\d+)/.exec(field.doc)?.[1] ?? bounds.dependencies);
  let read: Read;
  if (nested.typeName === 'string') read = textRule(field, optional);
  else if (isInstant) read = readInstant;
  else if (nested.typeName === 'boolean') read = (value: boolean | null | undefined) => value ?? null;
  else if (nested.typeName === 'map' && nested.valuesType.typeName === 'string') read = readLabels;
  else if (nested.typeName === 'map') read = (value, name) => readNumbers(value, name, bounds.dependencies, true);
  else if (nested.typeName === 'array' && nested.itemsType.typeName === 'string') {
    read = (value, name) => readTexts(value, name, maxItems);
  } else if (nested.typeName === 'array') {
    const rules = rulesOf(nested.itemsType);
    read = (value: Record<string, unknown>[] | undefined) =>
      (value ?? []).slice(0, maxItems).map((item) => applyRules(rules, item, {}));
  } else read = numberRule(field);
  return { wire: field.name, canonical: canonicalName(field.name, isInstant), read };
}

function rulesOf(type: Type): FieldRule[] {
  return (type as unknown as { fields: Field[] }).fields.map(ruleOf);
}

function applyRules(rules: FieldRule[], record: Record<string, unknown>, event: Record<string, unknown>): object {
  for (const { wire, canonical, read } of rules) event[canonical] = read(record[wire] as never, wire);
  return event;
}

const rulesByKind = new Map<OrchestratorKind, FieldRule[]>();
for (const [kind, type] of Object.entries(orchestratorBodyTypes)) {
  rulesByKind.set(kind as OrchestratorKind, rulesOf(type));
}

/** The header of a report as decoded from any encoding. */
export interface DecodedReport {
  kind: OrchestratorKind;
  body: Record<string, unknown>;
  header: Record<string, unknown>;
}

export function normaliseOrchestrator(
  { kind, body, header }: DecodedReport,
  context: RecordContext,
): OrchestratorEvent {
  beginFindings();
  const text = (name: string): string => readName(header[name] as string | null, name);
  const event: Record<string, unknown> = {
    kind,
    workspace: readIdOr(header.workspace, 'workspace', 'default'),
    project: text('project'),
    source: readIdOr(header.source, 'source', 'default'),
    sourceVersion: text('source_version'),
    orchestratorId: readId(header.orchestrator_id, 'orchestrator_id'),
    orchestratorType: readType(header.orchestrator_type as string | null, 'orchestrator_type'),
    instanceId: text('instance_id'),
    clusterName: text('cluster_name'),
    eventTimeMs: readEventTime(header.event_time as number | null, context),
    environment: text('environment'),
    region: text('region'),
    labels: readLabels(header.labels as Record<string, string> | null, 'labels'),
    origin: context.origin,
  };
  applyRules(rulesByKind.get(kind) as FieldRule[], body, event);
  event.redactedFields = endFindings(header.redacted_fields as string[] | null);
  return event as unknown as OrchestratorEvent;
}
