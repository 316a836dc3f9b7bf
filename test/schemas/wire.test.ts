import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAvroType } from '../../schemas/avro-reader.ts';
import { computeRabinFingerprint, fingerprintBytes } from '../../schemas/fingerprint.ts';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import {
  alertType,
  commandType,
  confluentEncoder,
  decodeAlert,
  decodeCommand,
  decodeStateRecord,
  encodeAlert,
  encodeCommand,
  encodeStateRecord,
  encodeTaskEvent,
  executionType,
  isConfluent,
  isSingleObject,
  olderExecutionTypes,
  olderTaskTypes,
  orchestratorBodyTypes,
  orchestratorType,
  stateRecordType,
  taskType,
} from '../../schemas/wire.ts';
import { nodeOf, nowMs, type SchemaNode, sampleTask } from '../pipelines/sample-records.ts';

const types = { executionType, taskType, orchestratorType, commandType, alertType, stateRecordType };
const units =
  /^(?:texts?|records?|true or false|milliseconds|cumulative (?:count|bytes)|counts?|bytes|units of|ratio|cores|index|JSON text|IANA name|URI text|(?:operations|decisions|tasks|messages) a second|squared|numbers?|robust standard deviations|unit of)\b.*\.$/;

function* walk(
  node: SchemaNode,
  path: string,
): Generator<{ path: string; doc: string; node: SchemaNode; hasDefault: boolean }> {
  for (const field of node.fields ?? []) {
    const here = `${path}.${field.name}`;
    yield { path: here, doc: field.doc, node: field.type, hasDefault: field.defaultValue() !== undefined };
    for (const inner of [...(field.type.types ?? []), field.type, field.type.itemsType, field.type.valuesType]) {
      if (inner?.fields !== undefined) yield* walk(inner, here);
    }
  }
}

test('every field of every schema has a doc string that ends with its unit', () => {
  let fields = 0;
  for (const [name, type] of Object.entries(types)) {
    for (const { path, doc } of walk(nodeOf(type), name)) {
      fields++;
      expect(doc, path).toBeTypeOf('string');
      const unit = doc.slice(doc.lastIndexOf('; ') + 2);
      expect(unit, `${path}: ${doc}`).toMatch(units);
    }
  }
  expect(fields).toBeGreaterThan(400);
});

test('field names are snake_case, optional fields default to null and lists and maps to empty ones', () => {
  for (const [name, type] of Object.entries(types)) {
    for (const { path, node, hasDefault } of walk(nodeOf(type), name)) {
      expect(path.split('.').at(-1)).toMatch(/^[a-z][a-z0-9_]*$/);
      const isOptional = node.types?.[0].typeName === 'null';
      if (isOptional || node.typeName === 'array' || node.typeName === 'map') expect(hasDefault, path).toBe(true);
    }
  }
});

test('no schema has a place for the secrets of a context', () => {
  for (const [name, type] of Object.entries(types)) {
    for (const { path } of walk(nodeOf(type), name)) expect(path).not.toMatch(/secret/);
  }
});

test('there is a record for each kind of report about an orchestrator', () => {
  expect(Object.keys(orchestratorBodyTypes)).toEqual([...orchestratorKinds]);
  for (const kind of orchestratorKinds) expect(orchestratorBodyTypes[kind].typeName).toBe('record');
});

test('fingerprints are those that the Avro specification gives', () => {
  const known: Record<string, bigint> = {
    '"null"': 0x63dd24e7cc258f8an,
    '"boolean"': 0x9f42fc78a4d4f764n,
    '"int"': 0x7275d51a3f395c8fn,
    '"long"': 0xd054e14493f41db7n,
    '"float"': 0x4d7c02cb3ea8d790n,
    '"double"': 0x8e7535c032ab957en,
    '"bytes"': 0x4fc016dac3201965n,
    '"string"': 0x8f014872634503c7n,
  };
  for (const [form, fingerprint] of Object.entries(known))
    expect(computeRabinFingerprint(form), form).toBe(fingerprint);
});

test('a fingerprint does not depend on documentation, defaults or logical types', () => {
  const plain = { type: 'record', name: 'a.B', fields: [{ name: 'c', type: 'long' }] };
  const rich = {
    type: 'record',
    name: 'B',
    namespace: 'a',
    doc: 'x',
    fields: [{ name: 'c', type: { type: 'long', logicalType: 'timestamp-millis' }, default: 1, doc: 'y' }],
  };
  expect(fingerprintBytes(parseAvroType(rich))).toEqual(fingerprintBytes(parseAvroType(plain)));
});

test('no two schemas, older ones included, share a fingerprint', () => {
  const all = [...Object.values(types), ...olderExecutionTypes, ...olderTaskTypes];
  expect(new Set(all.map((type) => fingerprintBytes(type).toString('hex'))).size).toBe(all.length);
});

test('a single object begins with C3 01 and the fingerprint, a Confluent value with 00 and the id', () => {
  const single = encodeTaskEvent(sampleTask);
  expect(isSingleObject(single)).toBe(true);
  expect(single.subarray(2, 10)).toEqual(fingerprintBytes(taskType));
  const framed = confluentEncoder(taskType, 258)(sampleTask);
  expect(isConfluent(framed)).toBe(true);
  expect([...framed.subarray(0, 5)]).toEqual([0, 0, 0, 1, 2]);
  expect(framed.subarray(5)).toEqual(single.subarray(10));
});

test('a record larger than the scratch buffer is encoded whole, and the next small one too', () => {
  const large = encodeTaskEvent({ ...sampleTask, output: 'x'.repeat(300_000) });
  expect((taskType.fromBuffer(large.subarray(10)) as { output: string }).output.length).toBe(300_000);
  expect(taskType.fromBuffer(encodeTaskEvent(sampleTask).subarray(10))).toMatchObject(sampleTask);
});

test('commands, alerts and state records come back as they were sent, with their defaults', () => {
  const request = {
    command_id: 'c-1',
    kind: 'cancel',
    execution_id: 'run-1',
    requested_by: 'ann',
    requested_at: nowMs,
    expires_at: nowMs + 60_000,
  };
  const command = decodeCommand(encodeCommand({ workspace: 'acme', request }));
  expect(command).toMatchObject({ workspace: 'acme', source: 'default', outcome: null });
  expect(command.request).toMatchObject({ ...request, map_index: -1, parameters: '{}', approval_required: false });
  const outcome = { command_id: 'c-1', outcome: 'done', at: nowMs };
  expect(decodeCommand(encodeCommand({ outcome })).outcome).toMatchObject(outcome);
  const alert = {
    alert_id: 'a',
    notification_id: 'n',
    rule_id: 'EXECUTION_STUCK',
    severity: 'warning',
    state: 'firing',
    series: 'orders',
    subject_kind: 'workflow',
    subject_id: 'orders',
    title: 'Stuck',
    event_time: nowMs,
  };
  expect(decodeAlert(encodeAlert(alert))).toMatchObject({ ...alert, rule_version: 1, recommendations: [] });
  const state = { collection: 'silences', key: 's-1', value: '{"a":1}', changed_by: 'ann', changed_at: nowMs };
  expect(decodeStateRecord(encodeStateRecord(state))).toMatchObject({ ...state, deleted: false, workspace: 'default' });
  expect(() => decodeAlert(encodeStateRecord(state))).toThrow('not written with');
  expect(() => decodeAlert(Buffer.from('{}'))).toThrow('not a single-object');
});

test('the records in TypeScript have the fields of the Avro records, optional where those have a default', () => {
  const files = ['records.ts', 'orchestrator-records.ts'];
  const source = files.map((file) => readFileSync(join(import.meta.dirname, '../../schemas', file), 'utf8')).join('\n');
  const special: Record<string, string> = {
    ExecutionEvent: 'ExecutionRecord',
    TaskEvent: 'TaskRecord',
    OrchestratorEvent: 'OrchestratorHeader',
    StateRecord: 'StateRecord',
  };
  const seen = new Set<string>();
  const check = (node: SchemaNode): void => {
    for (const inner of [...(node.types ?? []), node.itemsType, node.valuesType]) if (inner !== undefined) check(inner);
    if (node.fields === undefined || seen.has(node.name as string)) return;
    seen.add(node.name as string);
    const name = (node.name as string).split('.').at(-1) as string;
    const body = new RegExp(`interface ${special[name] ?? `${name}Record`} \\{\\n([^}]*)\\}`).exec(source)?.[1] ?? '';
    const declared = body.match(/^ {2}\w+\??(?=:)/gm)?.map((line) => line.trim()) ?? [];
    const fields = node.fields.filter((field) => field.name !== 'body');
    expect(declared, name).toEqual(
      fields.map((field) => `${field.name}${field.defaultValue() === undefined ? '' : '?'}`),
    );
    for (const field of node.fields) check(field.type);
  };
  for (const type of Object.values(types)) check(nodeOf(type));
  expect(seen.size).toBe(24);
});
