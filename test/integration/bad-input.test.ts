import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import {
  confluentEncoder,
  encodeExecutionEvent,
  encodeTaskEvent,
  executionType,
  taskType,
} from '../../schemas/wire.ts';
import { canRunJavaSource, sendFromJava } from '../support/java-producer.ts';
import {
  createTelemetry,
  type RunKind as Kind,
  type PipelineProcess,
  type Telemetry,
} from '../support/pipeline-process.ts';

const hasJavaCompiler = await canRunJavaSource();

/**
 * Everything that telemetry should not be, through a real broker and a real pipeline process. Good records are sent
 * between the bad ones: they must all be stored, whatever stands beside them.
 */

const startMs = Date.now() - 60_000;
const dayMs = 86_400_000;
const knownSchema = { executions: 7, tasks: 8 } as const;

let telemetry: Telemetry;
let pipeline: PipelineProcess;
let registry: Server;
let serial = 0;
const good = { executions: 0, tasks: 0 };

function execution(changes: Record<string, unknown> = {}): ExecutionRecord {
  const id = `run-${++serial}`;
  return {
    workspace: 'acme',
    workflow_id: 'orders',
    execution_id: id,
    state: 'completed',
    event_time: startMs,
    duration_ms: 1200,
    ...changes,
  };
}

function task(changes: Record<string, unknown> = {}): TaskRecord {
  return { ...execution(), task_id: 'load', task_type: 'io', ...changes };
}

const json = (record: object) => Buffer.from(JSON.stringify(record));
const avro = { executions: encodeExecutionEvent, tasks: encodeTaskEvent } as const;
const samples = { executions: execution, tasks: task } as const;

interface BadCase {
  name: string;
  make: (kind: Kind) => Buffer | null;
  reason: string;
  detail: RegExp;
  timestampMs?: number;
  isDrop?: boolean;
}

const avroWith = (changes: Record<string, unknown>) => (kind: Kind) => avro[kind](samples[kind](changes) as never);
const jsonWith = (changes: Record<string, unknown>) => (kind: Kind) => json(samples[kind](changes));

const cases: BadCase[] = [
  {
    name: 'a wrong magic byte',
    make: (kind) => Buffer.concat([Buffer.from([0x7f]), avroWith({})(kind)]),
    reason: 'wrong_magic',
    detail: /begins with 7fc301/,
  },
  {
    name: 'noise',
    make: () => Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'),
    reason: 'wrong_magic',
    detail: /89504e47/,
  },
  {
    name: 'an unknown schema id',
    make: () => Buffer.from([0, 0, 0, 0x30, 0x39, 2, 2]),
    reason: 'unknown_schema',
    detail: /no schema 12345/,
  },
  {
    name: 'a schema id cut off',
    make: () => Buffer.from([0, 0, 0]),
    reason: 'truncated',
    detail: /ends within its schema id/,
  },
  {
    name: 'a schema that is no Avro',
    make: () => Buffer.from([0, 0, 0, 0, 9, 2]),
    reason: 'unreadable_schema',
    detail: /PROTOBUF/,
  },
  {
    name: 'an unknown fingerprint',
    make: (kind) => Buffer.from(avroWith({})(kind).fill(0xa5, 2, 10)),
    reason: 'unknown_fingerprint',
    detail: /a5a5/,
  },
  { name: 'truncated Avro', make: (kind) => avroWith({})(kind).subarray(0, 24), reason: 'truncated', detail: /./ },
  {
    name: 'bytes left over',
    make: (kind) => Buffer.concat([avroWith({})(kind), Buffer.from('more')]),
    reason: 'trailing_bytes',
    detail: /4/,
  },
  {
    name: 'invalid JSON',
    make: (kind) => jsonWith({})(kind).subarray(0, -2),
    reason: 'invalid_json',
    detail: /JSON text/,
  },
  { name: 'JSON that is no object', make: () => Buffer.from('[1, 2]'), reason: 'not_an_object', detail: /a list/ },
  {
    name: 'invalid UTF-8',
    make: (kind) =>
      Buffer.concat([Buffer.from('{"workflow_name":"caf\xe9",', 'latin1'), jsonWith({})(kind).subarray(1)]),
    reason: 'invalid_utf8',
    detail: /not UTF-8/,
  },
  {
    name: 'a value of 20 MB',
    make: (kind) => jsonWith({ error_message: 'x'.repeat(20_000_000) })(kind),
    reason: 'too_large',
    detail: /2000\d{4} bytes, at most 5000000/,
  },
  {
    name: 'an event time in 1970',
    make: jsonWith({ event_time: 86_400_000 }),
    reason: 'too_old',
    detail: /19\d\d-.* before 2015/,
  },
  {
    name: 'an event time in 2200',
    make: avroWith({ event_time: Date.UTC(2200, 0) }),
    reason: 'future',
    detail: /2200-01-01.* ahead of the record time/,
  },
  {
    name: 'an event 8 days late',
    make: avroWith({ event_time: startMs - 8 * dayMs }),
    reason: 'too_late',
    detail: /behind the record time/,
    timestampMs: startMs,
  },
  {
    name: 'a duration that is no number, in Avro',
    make: avroWith({ duration_ms: Number.NaN }),
    reason: 'not_finite',
    detail: /duration_ms is NaN/,
  },
  {
    name: 'NaN in JSON',
    make: (kind) => Buffer.from(String(jsonWith({})(kind)).replace('1200', 'NaN')),
    reason: 'not_finite',
    detail: /NaN or Infinity/,
  },
  { name: 'a negative duration', make: jsonWith({ duration_ms: -5 }), reason: 'negative', detail: /duration_ms is -5/ },
  {
    name: 'an end before its start',
    make: jsonWith({ started_at: startMs + 1000, duration_ms: null }),
    reason: 'finish_before_start',
    detail: /1000 ms after the end/,
  },
  { name: 'an unknown state', make: avroWith({ state: 'exploded' }), reason: 'unknown_state', detail: /"exploded"/ },
  { name: 'no state', make: jsonWith({ state: undefined }), reason: 'missing_state', detail: /state is absent/ },
  {
    name: 'no execution id',
    make: jsonWith({ execution_id: undefined }),
    reason: 'missing_id',
    detail: /execution_id is absent/,
  },
  { name: 'an empty workflow id', make: avroWith({ workflow_id: '' }), reason: 'missing_id', detail: /workflow_id/ },
  {
    name: 'an id of 10 kB',
    make: avroWith({ execution_id: 'x'.repeat(10_240) }),
    reason: 'id_too_long',
    detail: /10240 bytes, at most 512/,
  },
  { name: 'a tombstone', make: () => null, reason: 'tombstone', detail: /null value/, isDrop: true },
  { name: 'an empty value', make: () => Buffer.alloc(0), reason: 'empty_value', detail: /no bytes/ },
];

const places = new Map<string, { partition: number; offset: number; value: Buffer | null }>();

async function sendBad(kind: Kind, { name, make, timestampMs = startMs }: BadCase): Promise<void> {
  const value = make(kind);
  const [sent] = await telemetry.producer.send({
    topic: telemetry.topics[kind],
    acks: -1,
    messages: [{ key: `key of ${name}`, value, timestamp: String(timestampMs) }],
  });
  places.set(`${kind} ${name}`, { partition: sent?.partition ?? -1, offset: Number(sent?.baseOffset), value });
}

async function sendGood(
  kind: Kind,
  records: readonly object[] = [samples[kind]()],
  compression?: number,
): Promise<void> {
  good[kind] += records.length;
  await telemetry.send(
    kind,
    records.map((record, index) => ({
      key: String((record as ExecutionRecord).execution_id),
      value: index % 2 === 0 ? json(record) : avro[kind](record as never),
      timestampMs: (record as ExecutionRecord).event_time,
    })),
    compression,
  );
}

/** A registry that knows our two schemas, one that is no Avro, and nothing else. */
async function startRegistry(): Promise<Server> {
  const schemas: Record<string, object> = {
    [knownSchema.executions]: { schema: JSON.stringify(executionType.schema({ exportAttrs: true })) },
    [knownSchema.tasks]: { schema: JSON.stringify(taskType.schema({ exportAttrs: true })) },
    9: { schema: 'syntax = "proto3";', schemaType: 'PROTOBUF' },
  };
  const server = createServer((request, response) => {
    const found = schemas[request.url?.split('/').at(-1) ?? ''];
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(found ?? { error_code: 40403, message: 'Schema not found' }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function sendTransactions(kind: Kind): Promise<void> {
  const producer = (name: string) =>
    telemetry.kafka.producer({
      transactionalId: `${telemetry.topics.group}.${kind}.${name}`,
      idempotent: true,
      maxInFlightRequests: 1,
    });
  const [first, second] = [producer('first'), producer('second')];
  await Promise.all([first.connect(), second.connect()]);
  const topic = telemetry.topics[kind];
  const message = (record: object) => ({
    partition: 0,
    key: 'transaction',
    value: json(record),
    timestamp: String(startMs),
  });
  const committed = await first.transaction();
  await committed.send({ topic, messages: [message(samples[kind]()), message(samples[kind]())] });
  await committed.commit();
  good[kind] += 2;
  // Two that overlap: the one that began later is aborted first.
  const outer = await first.transaction();
  await outer.send({ topic, messages: [message(samples[kind]({ workflow_id: 'aborted' }))] });
  const inner = await second.transaction();
  await inner.send({ topic, messages: [message(samples[kind]({ workflow_id: 'aborted' }))] });
  await inner.abort();
  await outer.send({ topic, messages: [message(samples[kind]({ workflow_id: 'aborted' }))] });
  await outer.abort();
  // An aborted transaction after a committed one ends the log: two batches without a record that anybody may see.
  const last = await second.transaction();
  await last.send({ topic, messages: [message(samples[kind]())] });
  await last.commit();
  good[kind] += 1;
  const trailing = await second.transaction();
  await trailing.send({ topic, messages: [message(samples[kind]({ workflow_id: 'aborted' }))] });
  await trailing.abort();
  await Promise.all([first.disconnect(), second.disconnect()]);
}

const kinds = ['executions', 'tasks'] as const;
const codecs = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
/** What our own client can write, by the numbers of the protocol; the others come from the Java client only. */
const codecNumbers = { gzip: 1, snappy: 2, zstd: 4 };

beforeAll(async () => {
  registry = await startRegistry();
  telemetry = await createTelemetry('bad_input', {
    partitions: 2,
    env: {
      SCHEMA_REGISTRY_URL: `http://127.0.0.1:${(registry.address() as AddressInfo).port}`,
      WEIR_CHUNK_RECORDS: '256',
      WEIR_LOG_LEVEL: 'debug',
    },
    topicSettings: { 'max.message.bytes': '31000000', 'retention.ms': '-1' },
    // History of a hundred days is loaded below.
    retention: { rawDays: 400, cellDays: 400, deadLetterDays: 400 },
  });
  pipeline = await telemetry.startReady();
  for (const kind of kinds) {
    await sendGood(kind);
    for (const bad of cases) {
      await sendBad(kind, bad);
      await sendGood(kind);
    }
    const days = Array.from({ length: 100 }, (_, day) =>
      samples[kind]({ event_time: startMs - day * dayMs, workflow_id: 'history' }),
    );
    await sendGood(kind, days);
    for (const [codec, number] of Object.entries(codecNumbers)) {
      const records = Array.from({ length: 60 }, (_, index) =>
        samples[kind]({ workflow_id: codec, labels: { note: `${codec} ${index} `.repeat(20) } }),
      );
      await sendGood(kind, records, number);
    }
  }
  await sendRegistered();
  await sendJava();
  await telemetry.waitStored(40_000);
  // Last, so that the log of partition 0 ends with markers of transactions.
  for (const kind of kinds) await sendTransactions(kind);
});

afterAll(() => registry.close());

async function sendRegistered(): Promise<void> {
  const encoders = {
    executions: confluentEncoder(executionType, knownSchema.executions),
    tasks: confluentEncoder(taskType, knownSchema.tasks),
  };
  for (const kind of kinds) {
    good[kind]++;
    await telemetry.send(kind, [
      { key: 'registered', value: encoders[kind](samples[kind]({ workflow_id: 'registered' })), timestampMs: startMs },
    ]);
  }
}

/** Enough text for several blocks of each codec, some of it too random to be compressed. */
async function sendJava(): Promise<void> {
  if (!hasJavaCompiler) {
    console.warn('batches of the Java client are not tested: this Java is a JRE, and running its source takes a JDK');
    return;
  }
  const topic = telemetry.topics.tasks;
  const records = codecs.flatMap((codec) =>
    Array.from({ length: 300 }, (_, index) => {
      const note = index % 10 === 0 ? noise(index) : `${codec} ${index} `.repeat(60);
      const record = task({ workflow_id: `java ${codec}`, event_time: startMs, error_message: note });
      return {
        codec,
        topic,
        key: record.execution_id,
        value: index % 2 === 0 ? json(record) : encodeTaskEvent(record),
      };
    }),
  );
  good.tasks += records.length;
  await sendFromJava(telemetry.brokers, records);
}

function noise(seed: number): string {
  let state = seed + 1;
  return Array.from({ length: 3000 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + ((state >>> 16) % 90));
  })
    .join('')
    .replaceAll(/[:=@"'\\]/g, '.');
}

describe.each(kinds)('the topic of %s', (kind) => {
  it.each(cases)('keeps $name out, says why, and goes on', async ({ name, reason, detail, isDrop = false }) => {
    const place = places.get(`${kind} ${name}`);
    const where = `stream = '${telemetry.topics[kind]}@1' AND partition = ${place?.partition} AND offset = ${place?.offset}`;
    const table = isDrop ? 'drops' : 'dead_letters';
    const rows = await telemetry.rows<{ reason: string; detail: string }>(
      `SELECT reason, detail FROM ${table} FINAL WHERE ${where}`,
    );
    expect(rows).toEqual([{ reason, detail: expect.stringMatching(detail) }]);
    if (isDrop) return;
    const bytes = await telemetry.rows<{ key: string; size: number; hash: string }>(
      `SELECT key, length(value) AS size, hex(MD5(assumeNotNull(value))) AS hash FROM dead_letter_bytes FINAL WHERE ${where}`,
    );
    const hash = createHash('md5')
      .update(place?.value ?? '')
      .digest('hex')
      .toUpperCase();
    expect(bytes).toEqual([{ key: `key of ${name}`, size: place?.value?.length, hash }]);
  });

  it('stores every good record that stood between bad ones', async () => {
    const [row] = await telemetry.rows<{ stored: number; days: number; aborted: number }>(
      `SELECT count() AS stored, uniqExactIf(toDate(event_time), workflow_id = 'history') AS days, countIf(workflow_id = 'aborted') AS aborted
       FROM ${kind === 'tasks' ? 'task_events' : 'execution_events'} FINAL`,
    );
    expect(row).toEqual({ stored: good[kind], days: 100, aborted: 0 });
  });

  it.each(codecs)('reads batches compressed with %s', async (codec) => {
    const counts = await telemetry.rows<{ workflow: string; n: number }>(
      `SELECT workflow_id AS workflow, count() AS n FROM ${kind === 'tasks' ? 'task_events' : 'execution_events'} FINAL
       WHERE workflow_id IN ('${codec}', 'java ${codec}') GROUP BY workflow ORDER BY workflow`,
    );
    const ours = !(codec in codecNumbers) ? [] : [{ workflow: codec, n: 60 }];
    expect(counts).toEqual(
      kind === 'tasks'
        ? [...ours, ...(hasJavaCompiler ? [{ workflow: `java ${codec}`, n: 300 }] : [])].toSorted((one, other) =>
            one.workflow < other.workflow ? -1 : 1,
          )
        : ours,
    );
  });
});

describe('the pipeline afterwards', () => {
  it('has no lag left, though the log ends with markers of transactions', async () => {
    await telemetry.waitStored(15_000);
    await expect.poll(() => pipeline.metric('weir_true_lag_records'), { timeout: 10_000 }).toBe(0);
    expect(await pipeline.whyNotReady()).toBe('');
  });

  it('counts each reason', async () => {
    for (const { name, reason } of cases) {
      const labels = { topic: telemetry.topics.tasks, reason };
      expect(await pipeline.metric('weir_rejected_total', labels), name).toBeGreaterThan(0);
    }
    expect(await pipeline.metric('weir_records_total', { outcome: 'dead_letter' })).toBe((cases.length - 1) * 2);
    expect(await pipeline.metric('weir_records_total', { outcome: 'dropped' })).toBe(2);
  });

  it('agrees with a recomputation from the log', async () => {
    const verdict = await telemetry.verify(30);
    expect(verdict.output).toMatch(/different 0/);
    expect(verdict).toMatchObject({ exitCode: 0, different: 0 });
    expect(verdict.totals[telemetry.topics.executions]).toMatchObject({
      stored: good.executions,
      dead: cases.length - 1,
      dropped: 1,
    });
    expect(verdict.totals[telemetry.topics.tasks]).toMatchObject({
      stored: good.tasks,
      dead: cases.length - 1,
      dropped: 1,
    });
  });

  it('reaches the same after everything is read again', async () => {
    const before = await telemetry.rows(`SELECT * EXCEPT (written_at, ver) FROM task_cells FINAL ORDER BY ALL`);
    await pipeline.stop();
    for (const table of ['chunks', 'task_cells', 'execution_cells'])
      await telemetry.database.query(`TRUNCATE TABLE ${table}`);
    await telemetry.startReady({ WEIR_GROUP_ID: `${telemetry.topics.group}.again` });
    await telemetry.waitStored(30_000);
    expect(await telemetry.rows(`SELECT * EXCEPT (written_at, ver) FROM task_cells FINAL ORDER BY ALL`)).toEqual(
      before,
    );
  });
});
