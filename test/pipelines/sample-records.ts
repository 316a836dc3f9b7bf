import type { Type } from 'avsc';
import { createDecoder, type LogRecord } from '../../pipelines/decode.ts';
import { canonicalName } from '../../pipelines/orchestrator-normalise.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';

/** Records and tools that the tests of decoding share. */

export const nowMs = Date.UTC(2026, 10, 20, 12);

export const sampleTask: TaskRecord = {
  workspace: 'acme',
  source: 'airflow',
  workflow_id: 'orders',
  execution_id: 'scheduled__2026-11-20T00:00:00+00:00',
  task_id: 'load.orders',
  task_name: 'Load orders',
  task_type: 'io',
  state: 'completed',
  attempt: 2,
  event_time: nowMs - 1000,
  queued_at: nowMs - 8000,
  started_at: nowMs - 6000,
  cost: 0.25,
  cpu_ms: 3200.5,
  memory_peak_bytes: 1024,
};

export const sampleExecution: ExecutionRecord = {
  workspace: 'acme',
  source: 'airflow',
  workflow_id: 'orders',
  execution_id: 'run-1',
  state: 'failed',
  event_time: nowMs - 1000,
  duration_ms: 2500.4,
  error_type: 'TimeoutError',
};

export const sampleWorker: OrchestratorRecord = {
  orchestrator_id: 'airflow-1',
  event_time: nowMs,
  kind: 'worker',
  body: { worker_id: 'w-1', status: 'busy', cpu_load: 0.5 },
};

export function logRecord(value: Buffer | string | null, over: Partial<LogRecord> = {}): LogRecord {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return {
    topic: 't',
    partition: 0,
    offset: 7,
    timestampMs: nowMs,
    key: null,
    value: bytes,
    headers: undefined,
    ...over,
  };
}

/** Mulberry32: chance by seed, so that a failure can be run again. */
export function randomBySeed(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface SchemaNode {
  typeName: string;
  name?: string;
  types?: SchemaNode[];
  itemsType?: SchemaNode;
  valuesType?: SchemaNode;
  fields?: { name: string; doc: string; type: SchemaNode; defaultValue(): unknown }[];
}
export const nodeOf = (type: Type): SchemaNode => type as unknown as SchemaNode;

const isInstant = (node: SchemaNode, name: string): boolean =>
  node.typeName === 'long' && /(?:^|_)(?:at|time)$/.test(name);

/** Any plausible value of a field; every optional one is there half of the time. */
export function randomValue(node: SchemaNode, name: string, random: () => number): unknown {
  if (node.types !== undefined) return random() < 0.5 ? null : randomValue(node.types[1], name, random);
  if (isInstant(node, name)) return nowMs - Math.floor(random() * 3_600_000);
  switch (node.typeName) {
    case 'string':
      return ['plain', 'Größe ✓', 'a/b~c:d.e+f', 'x'.repeat(Math.floor(random() * 900))][Math.floor(random() * 4)];
    case 'boolean':
      return random() < 0.5;
    case 'double':
      if (/_ratio|score|mean$|efficiency|balance|fairness|optimization/.test(name) && !/_ms|cpu_ratio/.test(name))
        return random();
      return Math.round(random() * 1e6) / 8;
    case 'int':
    case 'long':
      return 1 + Math.floor(random() * 1000);
    case 'array':
      return Array.from({ length: Math.floor(random() * 4) }, () =>
        randomValue(node.itemsType as SchemaNode, name, random),
      );
    case 'map': {
      const values = node.valuesType as SchemaNode;
      const length = Math.floor(random() * 50);
      return Object.fromEntries(Array.from({ length }, (_, at) => [`name ${at}`, randomValue(values, name, random)]));
    }
    case 'record':
      return Object.fromEntries(
        (node.fields ?? []).map((field) => [field.name, randomValue(field.type, field.name, random)]),
      );
    default:
      throw new Error(`no random value for ${node.typeName}`);
  }
}

export function randomRun(type: Type, states: readonly string[], random: () => number): Record<string, unknown> {
  const record = randomValue(nodeOf(type), '', random) as Record<string, unknown>;
  record.state = states[Math.floor(random() * states.length)];
  record.event_time = nowMs - Math.floor(random() * 1000);
  for (const id of ['workspace', 'source', 'workflow_id', 'execution_id', 'task_id']) {
    if (id in record) record[id] = `${id}-${Math.floor(random() * 1e9)}`;
  }
  if (typeof record.started_at === 'number') record.started_at = nowMs - 2000 - Math.floor(random() * 1e6);
  for (const json of ['input', 'output', 'variables', 'trigger_parameters']) {
    if (typeof record[json] === 'string') record[json] = JSON.stringify(randomJson(random));
  }
  return record;
}

function randomJson(random: () => number): unknown {
  const values = Array.from({ length: 1 + Math.floor(random() * 40) }, (_, at) => {
    const value = [at, 'text '.repeat(Math.floor(random() * 100)), [1, 2, { a: 'b' }], { password: 'hunter2' }, null];
    return [`key ${at}`, value[Math.floor(random() * value.length)]];
  });
  return Object.fromEntries(values);
}

/** The wire record that says what a canonical event says: the inverse of normalising. */
export function toWire(type: Type, event: object): Record<string, unknown> {
  const values = event as Record<string, unknown> & { error?: Record<string, unknown> };
  const record: Record<string, unknown> = {};
  for (const field of nodeOf(type).fields ?? []) {
    const node = field.type.types?.[1] ?? field.type;
    const canonical = canonicalName(field.name, isInstant(node, field.name));
    const error = /^error_(type|code|message|stack)$/.exec(field.name);
    const value = error !== null && values.error !== undefined ? values.error[error[1]] : values[canonical];
    record[field.name] = wireValue(node, canonical, value);
  }
  return record;
}

function wireValue(node: SchemaNode, canonical: string, value: unknown): unknown {
  if (typeof value === 'number' && /Micros/.test(canonical)) return value / 1e6;
  if (typeof value === 'number' && /Us(?=[A-Z]|$)/.test(canonical)) return value / 1000;
  if (Array.isArray(value) && node.itemsType?.typeName === 'record') {
    return value.map((item) => toWire(node.itemsType as unknown as Type, item as object));
  }
  return value;
}

/** The canonical event that a JSON record of a run comes to. */
export function decodeEvent(kind: 'executions' | 'tasks', record: Record<string, unknown>): ExecutionEvent | TaskEvent {
  const decoder = createDecoder({ kind, registry: null, maxValueBytes: 100_000 });
  const event = decoder.decode(logRecord(JSON.stringify(record)));
  if (event instanceof Rejection) throw new Error(`${event.reason}: ${event.detail}`);
  if (event.kind !== 'execution' && event.kind !== 'task') throw new Error(`no run but a ${event.kind}`);
  return event;
}
