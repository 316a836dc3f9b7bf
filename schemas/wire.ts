import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Type } from 'avsc';
import { parseAvroType } from './avro-reader.ts';
import { fingerprintBytes } from './fingerprint.ts';
import type { OrchestratorKind } from './orchestrator-events.ts';
import type { OrchestratorRecord } from './orchestrator-records.ts';
import type { AlertRecord, CommandRecord, ExecutionRecord, StateRecord, TaskRecord } from './records.ts';

/**
 * How records stand on Kafka. The first bytes of a value say which of three encodings it has:
 *
 *     00 <schema id, 4 bytes big endian> <Avro>          Confluent, schema from a registry
 *     C3 01 <fingerprint, 8 bytes little endian> <Avro>  Avro single object, needs no registry; ours
 *     {  (after a byte order mark or white space)        JSON
 */

function readType(file: string): Type {
  return parseAvroType(JSON.parse(readFileSync(join(import.meta.dirname, 'avro', file), 'utf8')));
}

export const executionType = readType('execution-event.avsc');
export const taskType = readType('task-event.avsc');
export const orchestratorType = readType('orchestrator-event.avsc');
export const commandType = readType('command.avsc');
export const alertType = readType('alert.avsc');
export const stateRecordType = readType('state-record.avsc');

/** Schemas that producers in the field may still write with; a new version moves the present one here. */
export const olderExecutionTypes: readonly Type[] = [readType('older/execution-event.1.avsc')];
export const olderTaskTypes: readonly Type[] = [readType('older/task-event.1.avsc')];

/** Headers of republished records (adapters, replayed dead letters): where they first came from. */
export const originHeaders = {
  topic: 'weir-origin-topic',
  partition: 'weir-origin-partition',
  offset: 'weir-origin-offset',
  /** Position within the original record, where one foreign record became several events. */
  item: 'weir-origin-item',
  /** Record time in epoch milliseconds by which a replayed record is judged late or not. */
  timestamp: 'weir-origin-timestamp',
} as const;

const bodyNames: Record<OrchestratorKind, string> = {
  orchestrator_metrics: 'weir.telemetry.OrchestratorMetrics',
  worker_pool: 'weir.telemetry.WorkerPool',
  worker: 'weir.telemetry.Worker',
  scheduling_decision: 'weir.telemetry.SchedulingDecision',
  queue_metrics: 'weir.telemetry.QueueMetrics',
  coordination_event: 'weir.telemetry.CoordinationEvent',
  load_balancing: 'weir.telemetry.LoadBalancing',
  scaling_event: 'weir.telemetry.ScalingEvent',
};
/** The record type of each kind of report about an orchestrator. */
export const orchestratorBodyTypes = Object.fromEntries(
  Object.entries(bodyNames).map(([kind, name]) => [kind, bodyTypeNamed(name)]),
) as Record<OrchestratorKind, Type>;

function bodyTypeNamed(name: string): Type {
  const { fields } = orchestratorType as unknown as { fields: { name: string; type: { types: Type[] } }[] };
  const body = fields.find((field) => field.name === 'body');
  return body?.type.types.find((type) => type.name === name) as Type;
}

const kindsByBodyName = new Map(
  Object.entries(bodyNames).flatMap(([kind, name]) => [
    [name, kind as OrchestratorKind],
    // A producer may have put its own namespace on the schema.
    [name.slice(name.lastIndexOf('.') + 1), kind as OrchestratorKind],
  ]),
);

/** The library wraps a union of records in an object with the branch name as its only key. */
export function wrapBody({ kind, body, ...header }: OrchestratorRecord): Record<string, unknown> {
  return { ...header, body: { [bodyNames[kind]]: body } };
}

/** The inverse, for a record just decoded; undefined for a branch that is none of ours. */
export function unwrapBody(body: object): { kind: OrchestratorKind; body: Record<string, unknown> } | undefined {
  for (const name in body) {
    const kind = kindsByBodyName.get(name) ?? kindsByBodyName.get(name.slice(name.lastIndexOf('.') + 1));
    return kind && { kind, body: (body as Record<string, Record<string, unknown>>)[name] };
  }
  return undefined;
}

// One scratch buffer serves all encoders: encoding is synchronous and each result is copied out of it.
let scratch = Buffer.allocUnsafeSlow(65536);

/** Makes a fast encoder: `prefix`, then the Avro form of the record. */
function encoderOf(type: Type, prefix: Buffer): (record: object) => Buffer {
  return (record) => {
    const start = prefix.length;
    let end = type.encode(record, scratch, start);
    if (end < 0) {
      // The library answers with the number of bytes missing, negated.
      scratch = Buffer.allocUnsafeSlow(scratch.length - end + 65536);
      end = type.encode(record, scratch, start);
    }
    prefix.copy(scratch, 0);
    return Buffer.from(scratch.subarray(0, end));
  };
}

export function singleObjectEncoder(type: Type): (record: object) => Buffer {
  return encoderOf(type, Buffer.concat([Buffer.from([0xc3, 0x01]), fingerprintBytes(type)]));
}

export function confluentEncoder(type: Type, schemaId: number): (record: object) => Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeInt32BE(schemaId, 1);
  return encoderOf(type, prefix);
}

export const encodeExecutionEvent: (record: ExecutionRecord) => Buffer = singleObjectEncoder(executionType);
export const encodeTaskEvent: (record: TaskRecord) => Buffer = singleObjectEncoder(taskType);
const encodeWrappedOrchestratorEvent = singleObjectEncoder(orchestratorType);
export function encodeOrchestratorEvent(record: OrchestratorRecord): Buffer {
  return encodeWrappedOrchestratorEvent(wrapBody(record));
}
export const encodeCommand: (record: CommandRecord) => Buffer = singleObjectEncoder(commandType);
export const encodeAlert: (record: AlertRecord) => Buffer = singleObjectEncoder(alertType);
export const encodeStateRecord: (record: StateRecord) => Buffer = singleObjectEncoder(stateRecordType);

/** Reads one single-object record of a known type; throws where the bytes are of another or are damaged. */
function singleObjectReader<Value>(type: Type): (value: Buffer) => Value {
  const fingerprint = fingerprintBytes(type);
  return (value) => {
    if (!isSingleObject(value)) throw new Error('not a single-object Avro record');
    if (fingerprint.compare(value, 2, 10) !== 0) throw new Error(`not written with the schema ${type.name}`);
    return type.fromBuffer(value.subarray(10)) as Value;
  };
}

export const decodeCommand = singleObjectReader<CommandRecord>(commandType);
export const decodeAlert = singleObjectReader<AlertRecord>(alertType);
export const decodeStateRecord = singleObjectReader<StateRecord>(stateRecordType);

export function isSingleObject(value: Buffer): boolean {
  return value.length >= 10 && value[0] === 0xc3 && value[1] === 0x01;
}

export function isConfluent(value: Buffer): boolean {
  return value.length >= 5 && value[0] === 0x00;
}
