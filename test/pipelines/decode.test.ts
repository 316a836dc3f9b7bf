import { expect, test } from 'vitest';
import { createDecoder, type TopicKind } from '../../pipelines/decode.ts';
import { Rejection, rejections } from '../../pipelines/rejections.ts';
import { SchemaRegistry } from '../../pipelines/schema-registry.ts';
import { parseAvroType } from '../../schemas/avro-reader.ts';
import { executionStates, type TelemetryEvent, taskStates } from '../../schemas/events.ts';
import {
  confluentEncoder,
  encodeExecutionEvent,
  encodeOrchestratorEvent,
  encodeTaskEvent,
  executionType,
  olderExecutionTypes,
  olderTaskTypes,
  singleObjectEncoder,
  taskType,
} from '../../schemas/wire.ts';
import {
  logRecord,
  nowMs,
  randomBySeed,
  randomRun,
  sampleExecution,
  sampleTask,
  sampleWorker,
} from './sample-records.ts';

const decoderOf = (kind: TopicKind, registry: SchemaRegistry | null = null) =>
  createDecoder({ kind, registry, maxValueBytes: 1_000_000 });
const tasks = decoderOf('tasks');
const executions = decoderOf('executions');
const orchestrators = decoderOf('orchestrators');

function accepted(outcome: TelemetryEvent | Rejection): TelemetryEvent {
  if (outcome instanceof Rejection) throw new Error(`${outcome.reason}: ${outcome.detail}`);
  return outcome;
}
const reasonOf = (outcome: TelemetryEvent | Rejection) => (outcome instanceof Rejection ? outcome.reason : 'accepted');
const json = (value: unknown) => logRecord(JSON.stringify(value));
const decodeTask = (over: object) => tasks.decode(logRecord(encodeTaskEvent({ ...sampleTask, ...over })));
const decodeTaskJson = (over: object) => tasks.decode(json({ ...sampleTask, ...over }));

test('one record means the same in all three encodings', async () => {
  const schema = JSON.stringify(taskType.schema({ exportAttrs: true }));
  const registry = new SchemaRegistry({ url: 'http://schemas', fetch: async () => Response.json({ schema }) });
  const decoder = decoderOf('tasks', registry);
  const confluent = logRecord(confluentEncoder(taskType, 1)(sampleTask));
  await decoder.prepare([confluent]);
  const event = accepted(decoder.decode(logRecord(encodeTaskEvent(sampleTask))));
  expect(decoder.decode(confluent)).toEqual(event);
  expect(decoder.decode(json(sampleTask))).toEqual(event);
  expect(decoder.decode(logRecord(`\ufeff \n\t${JSON.stringify(sampleTask)}`))).toEqual(event);
  expect(event).toMatchObject({
    kind: 'task',
    durationUs: 5_000_000,
    queueUs: 2_000_000,
    costMicros: 250_000,
    cpuUs: 3_200_500,
  });
});

test('random records mean the same in Avro and JSON, and come back the same from our own older schemas', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const execution = randomRun(executionType, executionStates, randomBySeed(seed));
    const avro = executions.decode(logRecord(singleObjectEncoder(executionType)(execution)));
    expect(executions.decode(json(execution)), `seed ${seed}`).toEqual(avro);
    accepted(avro);
    const task = randomRun(taskType, taskStates, randomBySeed(seed));
    expect(tasks.decode(json(task)), `seed ${seed}`).toEqual(
      tasks.decode(logRecord(singleObjectEncoder(taskType)(task))),
    );
  }
});

test('an older writer is read in single-object form: what it does not know is absent', () => {
  const older = singleObjectEncoder(olderTaskTypes[0]);
  const event = accepted(tasks.decode(logRecord(older({ ...sampleTask, cpu_allocated_cores: 2 }))));
  expect(event).toEqual(accepted(decodeTask({ cpu_allocated_cores: 2 })));
  expect(event).toMatchObject({ cpuAllocatedCores: 2, readyAtMs: null, cacheStatus: '', taskGroup: '' });
  const execution = singleObjectEncoder(olderExecutionTypes[0])(sampleExecution);
  expect(executions.decode(logRecord(execution))).toEqual(
    executions.decode(logRecord(encodeExecutionEvent(sampleExecution))),
  );
});

type SchemaJson = { fields: { name: string; type: unknown; default?: unknown }[] };
const schemaOf = () => taskType.schema({ exportAttrs: true }) as unknown as SchemaJson;

test('an older and a newer writer of a registry are read: fields may be missing, new, wider or in another order', async () => {
  const older = schemaOf();
  older.fields = older.fields.filter(({ name }) => !['labels', 'cpu_ms', 'dependencies', 'workspace'].includes(name));
  for (const field of older.fields) if (field.name === 'cost') Object.assign(field, { type: 'int', default: 0 });
  const newer = schemaOf();
  newer.fields.push(
    { name: 'new_text', type: 'string', default: '' },
    { name: 'new_list', type: { type: 'array', items: 'string' }, default: [] },
    { name: 'new_map', type: { type: 'map', values: 'long' }, default: {} },
  );
  newer.fields.reverse();
  const schemas: Record<string, SchemaJson> = { 11: older, 12: newer };
  const registry = new SchemaRegistry({
    url: 'http://schemas',
    fetch: async (url) => Response.json({ schema: JSON.stringify(schemas[String(url).split('/').at(-1) as string]) }),
  });
  const decoder = decoderOf('tasks', registry);
  const extra = { cost: 3, new_text: 'x', new_list: ['a', 'b'], new_map: { a: 1 } };
  for (const id of [11, 12]) {
    const writer = parseAvroType(structuredClone(schemas[id]));
    const record = logRecord(confluentEncoder(writer, id)({ ...sampleTask, ...extra }));
    await decoder.prepare([record]);
    const expected =
      id === 11 ? { ...sampleTask, cost: 3, cpu_ms: null, workspace: 'default' } : { ...sampleTask, cost: 3 };
    expect(decoder.decode(record), `schema ${id}`).toEqual(decoder.decode(logRecord(encodeTaskEvent(expected))));
  }
});

test('older readers are served too: what we write today is read with the older schema', () => {
  const resolver = olderTaskTypes[0].createResolver(taskType);
  const value = encodeTaskEvent({ ...sampleTask, task_group: 'g', cache_status: 'hit' });
  expect(resolver).toBeDefined();
  expect(olderTaskTypes[0].fromBuffer(value.subarray(10), resolver)).toMatchObject({ task_id: 'load.orders' });
});

test('an older and a newer JSON writer are read: missing fields are absent, new ones are labels', () => {
  const event = accepted(decodeTaskJson({ shiny_new_field: 7, nested: { a: 1 } }));
  expect(event).toMatchObject({ labels: { shiny_new_field: '7', nested: '{"a":1}' } });
  const { cost, cpu_ms, ...older } = sampleTask;
  expect(accepted(tasks.decode(json(older)))).toMatchObject({ costMicros: null, cpuUs: null });
});

const value = encodeTaskEvent(sampleTask);
const withByte = (at: number, byte: number) => {
  const copy = Buffer.from(value);
  copy[at] = byte;
  return copy;
};

test.each<[string, Buffer | string | null, string]>([
  ['a tombstone', null, 'tombstone'],
  ['an empty value', '', 'empty_value'],
  ['a value above the bound', Buffer.alloc(1_000_001, 0x20), 'too_large'],
  ['a wrong magic byte', Buffer.from([0x01, 2, 3, 4, 5, 6]), 'wrong_magic'],
  ['gzip', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0]), 'wrong_magic'],
  ['half a magic number', withByte(1, 0x02), 'wrong_magic'],
  ['plain text', 'hello there', 'wrong_magic'],
  ['white space', '  \n ', 'wrong_magic'],
  ['an unknown fingerprint', withByte(5, value[5] ^ 0xff), 'unknown_fingerprint'],
  ['a fingerprint cut off', value.subarray(0, 6), 'truncated'],
  ['a schema id cut off', Buffer.from([0, 0, 1]), 'truncated'],
  ['a schema id without a registry', Buffer.from([0, 0, 0, 0, 1, 2]), 'registry_missing'],
  ['Avro cut off', value.subarray(0, 40), 'truncated'],
  ['Avro with bytes left over', Buffer.concat([value, Buffer.from([0])]), 'trailing_bytes'],
  ['invalid JSON', '{"workflow_id": ', 'invalid_json'],
  ['a JSON list', '[{"workflow_id":"a"}]', 'not_an_object'],
  ['a JSON number', '42', 'not_an_object'],
  ['a JSON null', 'null', 'not_an_object'],
  ['a bare NaN in JSON', '{"duration_ms": NaN}', 'not_finite'],
  ['JSON that is not UTF-8', Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'invalid_utf8'],
  ['JSON in UTF-16', Buffer.from('{"a":1}', 'utf16le'), 'invalid_json'],
])('%s is refused', (_, bytes, reason) => {
  const outcome = tasks.decode(logRecord(bytes));
  expect(reasonOf(outcome)).toBe(reason);
  expect((outcome as Rejection).outcome).toBe(reason === 'tombstone' ? 'drop' : 'dead');
  expect((outcome as Rejection).excerpt.length).toBeLessThanOrEqual(500);
});

test('text in Avro that is not UTF-8 is refused, the replacement character itself is text', () => {
  expect(accepted(decodeTask({ task_name: 'odd \ufffd name' }))).toMatchObject({ taskName: 'odd \ufffd name' });
  const bytes = encodeTaskEvent({ ...sampleTask, task_name: 'MARK' });
  bytes[bytes.indexOf('MARK')] = 0xff;
  expect(reasonOf(tasks.decode(logRecord(bytes)))).toBe('invalid_utf8');
  const long = encodeTaskEvent({ ...sampleTask, task_name: `MARK${'y'.repeat(100)}` });
  long[long.indexOf('MARK')] = 0xc0;
  expect(reasonOf(tasks.decode(logRecord(long)))).toBe('invalid_utf8');
});

test.each<[string, object, string]>([
  ['no workflow id', { workflow_id: '' }, 'missing_id'],
  ['no execution id', { execution_id: '' }, 'missing_id'],
  ['no task id', { task_id: '' }, 'missing_id'],
  ['an id of 10 kB', { execution_id: 'x'.repeat(10_240) }, 'id_too_long'],
  ['an id of 513 bytes in few characters', { task_id: '✓'.repeat(171) }, 'id_too_long'],
  ['an id with NUL', { execution_id: 'a\u0000b' }, 'id_malformed'],
  ['an id with a line break', { workflow_id: 'a\nb' }, 'id_malformed'],
  ['an unknown state', { state: 'exploded' }, 'unknown_state'],
  ['no state', { state: '' }, 'missing_state'],
  ['attempt 0', { attempt: 0 }, 'attempt_out_of_range'],
  ['attempt 1 000 001', { attempt: 1_000_001 }, 'attempt_out_of_range'],
  ['a NaN duration', { duration_ms: Number.NaN }, 'not_finite'],
  ['an infinite cost', { cost: Number.POSITIVE_INFINITY }, 'not_finite'],
  ['a negative duration', { duration_ms: -1 }, 'negative'],
  ['a negative cost', { cost: -0.01 }, 'negative'],
  ['negative memory', { memory_peak_bytes: -5 }, 'negative'],
  ['minus infinity', { cpu_ms: Number.NEGATIVE_INFINITY }, 'not_finite'],
  ['a duration over ten years', { duration_ms: 11 * 365.25 * 86_400_000 }, 'out_of_range'],
  ['a cost above 1e9', { cost: 1.1e9 }, 'out_of_range'],
  ['memory above 2^52', { memory_peak_bytes: 2 ** 53 }, 'out_of_range'],
  ['cpu time above 2^52 us', { cpu_ms: 2 ** 50 }, 'out_of_range'],
  ['an event in 1970', { event_time: 1000 }, 'too_old'],
  ['an event in 2014', { event_time: Date.UTC(2014, 11, 31, 23, 59) }, 'too_old'],
  ['an event in 2200', { event_time: Date.UTC(2200, 0) }, 'future'],
  ['an event 5 min and 1 ms ahead', { event_time: nowMs + 300_001 }, 'future'],
  ['an event 8 days late', { event_time: nowMs - 8 * 86_400_000, started_at: null, queued_at: null }, 'too_late'],
  ['a finish before its start', { started_at: nowMs }, 'finish_before_start'],
  ['a start in 1980', { started_at: Date.UTC(1980, 0) }, 'time_out_of_range'],
  ['a start twelve years ago', { started_at: Date.UTC(2012, 0) }, 'out_of_range'],
  ['a running task that starts tomorrow', { state: 'running', started_at: nowMs + 86_400_000 }, 'future'],
])('%s is refused, in Avro and in JSON', (_, over, reason) => {
  expect(reasonOf(decodeTask(over))).toBe(reason);
  const text = (_key: string, item: unknown) =>
    typeof item === 'number' && !Number.isFinite(item) ? String(item) : item;
  expect(reasonOf(tasks.decode(logRecord(JSON.stringify({ ...sampleTask, ...over }, text))))).toBe(reason);
});

test('an event time in seconds is wrong in Avro, where the unit is fixed, and understood in JSON', () => {
  expect(reasonOf(decodeTask({ event_time: Math.round(nowMs / 1000), started_at: null }))).toBe('too_old');
  expect(reasonOf(decodeTaskJson({ event_time: Math.round(nowMs / 1000), started_at: null }))).toBe('accepted');
});

test('events at the very bounds are accepted', () => {
  for (const over of [
    { event_time: nowMs + 300_000 },
    { event_time: nowMs - 7 * 86_400_000, started_at: null, queued_at: null },
    { started_at: sampleTask.event_time },
    { attempt: 1_000_000 },
    { execution_id: '✓'.repeat(170) },
    { cost: 1e9 },
    { duration_ms: 0 },
  ]) {
    expect(reasonOf(decodeTask(over)), JSON.stringify(over)).toBe('accepted');
  }
});

test('JSON that lacks what is needed says which', () => {
  const { task_id, ...noTask } = sampleTask;
  expect(tasks.decode(json(noTask))).toMatchObject({ reason: 'missing_id', detail: 'task_id is absent or empty' });
  const { event_time, ...noTime } = sampleTask;
  expect(tasks.decode(json({ ...noTime, state: 'queued', queued_at: null }))).toMatchObject({ reason: 'missing_time' });
  const { state, ...noState } = sampleTask;
  expect(tasks.decode(json(noState))).toMatchObject({ reason: 'missing_state' });
  expect(tasks.decode(json({}))).toMatchObject({ reason: 'missing_time' });
  expect(decodeTaskJson({ event_time: 'yesterday' })).toMatchObject({ reason: 'malformed_time' });
  expect(decodeTaskJson({ event_time: '2026-02-30T00:00:00Z' })).toMatchObject({ reason: 'malformed_time' });
  expect(decodeTaskJson({ duration_ms: 'soon' })).toMatchObject({ reason: 'wrong_type' });
  expect(decodeTaskJson({ cost: {} })).toMatchObject({ reason: 'wrong_type' });
  expect(decodeTaskJson({ execution_id: {} })).toMatchObject({ reason: 'wrong_type' });
  expect(decodeTaskJson({ labels: [1] })).toMatchObject({ reason: 'wrong_type' });
  expect(reasonOf(tasks.decode(logRecord('{"workflow_id":"a","execution_id":12345678901234567890}')))).toBe(
    'id_malformed',
  );
});

test('workspace and source default, numeric ids are text', () => {
  const event = accepted(tasks.decode(json({ ...sampleTask, workspace: undefined, source: '', execution_id: 12 })));
  expect(event).toMatchObject({ workspace: 'default', source: 'default', executionId: '12' });
});

test('orchestrator reports need an orchestrator, a kind and the id of their subject', () => {
  const { orchestrator_id, body, ...rest } = sampleWorker;
  const report = { ...rest, ...body, orchestrator_id };
  expect(accepted(orchestrators.decode(json(report)))).toMatchObject({ kind: 'worker', workerId: 'w-1', cpuLoad: 0.5 });
  expect(orchestrators.decode(json({ ...report, orchestrator_id: undefined }))).toMatchObject({ reason: 'missing_id' });
  expect(orchestrators.decode(json({ ...report, kind: 'toaster' }))).toMatchObject({ reason: 'unknown_kind' });
  expect(orchestrators.decode(json({ ...report, kind: undefined }))).toMatchObject({ reason: 'unknown_kind' });
  expect(orchestrators.decode(json({ ...report, worker_id: undefined }))).toMatchObject({ reason: 'missing_id' });
  const avro = accepted(orchestrators.decode(logRecord(encodeOrchestratorEvent(sampleWorker))));
  expect(orchestrators.decode(json(report))).toEqual(avro);
  expect(orchestrators.decode(json({ ...rest, orchestrator_id, body }))).toEqual(avro);
});

test('a republished record carries where it came from, and is judged by the time of its origin', () => {
  const late = encodeTaskEvent(sampleTask);
  const headers = {
    'weir-origin-topic': Buffer.from('airflow.events'),
    'weir-origin-partition': Buffer.from('3'),
    'weir-origin-offset': ['1', '42'],
    'weir-origin-item': '2',
    'weir-origin-timestamp': String(nowMs),
  };
  const replayed = { timestampMs: nowMs + 30 * 86_400_000 };
  expect(reasonOf(tasks.decode(logRecord(late, replayed)))).toBe('too_late');
  const event = accepted(tasks.decode(logRecord(late, { ...replayed, headers })));
  expect(event.origin).toEqual({ topic: 'airflow.events', partition: 3, offset: 42, item: 2 });
  const broken = { ...headers, 'weir-origin-offset': 'x' };
  expect(accepted(tasks.decode(logRecord(late, { headers: broken }))).origin).toBeNull();
  expect(accepted(tasks.decode(logRecord(late))).origin).toBeNull();
});

test('noise of any kind is refused quickly, never thrown', () => {
  const good = encodeTaskEvent({ ...sampleTask, labels: { a: 'b' }, tags: ['x'], dependencies: [{ task_id: 'p' }] });
  const text = Buffer.from(JSON.stringify({ ...sampleTask, labels: { a: 'b' }, dependencies: ['p'] }));
  const begin = performance.now();
  for (let seed = 1; seed <= 3000; seed++) {
    const random = randomBySeed(seed);
    const bytes = Buffer.from(seed % 2 === 0 ? good : text);
    const from = seed % 2 === 0 ? 10 : 0;
    for (let change = 0; change < 1 + random() * 6; change++) {
      bytes[from + Math.floor(random() * (bytes.length - from))] = Math.floor(random() * 256);
    }
    expect(() => tasks.decode(logRecord(bytes)), `seed ${seed}`).not.toThrow();
  }
  expect(performance.now() - begin).toBeLessThan(10_000);
});

test('a list that announces 2^40 items in ten bytes is refused at once', () => {
  const head = good10();
  const huge = Buffer.concat([head, Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])]);
  const type = parseAvroType({ type: 'array', items: 'string' });
  expect(() => type.fromBuffer(huge.subarray(head.length))).toThrow('more items');
  function good10(): Buffer {
    return encodeTaskEvent(sampleTask).subarray(0, 10);
  }
});

test('JSON nested a hundred thousand deep is no stack overflow', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  for (const name of ['input', 'labels', 'unknown', 'dependencies', 'error_message']) {
    const outcome = tasks.decode(logRecord(`{"${name}":${deep},${JSON.stringify(sampleTask).slice(1)}`));
    if (outcome instanceof Rejection) expect(outcome.reason, name).toBe('wrong_type');
  }
  const inner = JSON.stringify({ ...sampleTask, input: deep, output: `{"password":${deep}}` });
  accepted(tasks.decode(logRecord(inner)));
});

test('names like __proto__ change nothing but the label count', () => {
  const text = JSON.stringify(sampleTask).slice(0, -1);
  const event = accepted(
    tasks.decode(logRecord(`${text},"__proto__":{"a":1},"labels":{"__proto__":"x","constructor":"y"}}`)),
  );
  expect(({} as Record<string, unknown>).a).toBeUndefined();
  expect((event as { labels: object }).labels).toEqual({ constructor: 'y' });
});

test('every reason has a meaning and a remedy that a person understands', () => {
  for (const [reason, { meaning, remedy, outcome }] of Object.entries(rejections)) {
    expect(reason).toMatch(/^[a-z0-9_]+$/);
    expect(meaning).toMatch(/^[A-Z].*\.$/);
    expect(remedy).toMatch(/^[A-Z].*\.$/);
    expect(['drop', 'dead']).toContain(outcome);
  }
});
