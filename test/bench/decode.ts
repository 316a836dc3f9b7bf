import { createDecoder, type LogRecord, type TopicKind } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import {
  encodeExecutionEvent,
  encodeOrchestratorEvent,
  encodeTaskEvent,
  executionType,
  orchestratorType,
  taskType,
} from '../../schemas/wire.ts';

/**
 * How many records a second decoding and normalising carries, and how that compares to the bare decoders
 * (avsc alone, JSON.parse alone) on the same bytes. Every contestant runs in both orders; the table
 * shows the median and the spread.
 */

const count = 20_000;
const rounds = 9;
const baseMs = Date.UTC(2026, 10, 20);

function taskRecord(index: number): TaskRecord {
  const startedAt = baseMs + index * 7;
  return {
    workspace: 'default',
    source: 'airflow-main',
    source_version: '3.3.0',
    workflow_id: `workflow_${index % 40}`,
    workflow_name: `Workflow ${index % 40}`,
    workflow_version: String(index % 5),
    execution_id: `scheduled__2026-11-20T00:${String(Math.floor(index / 12) % 60).padStart(2, '0')}:00+00:00/${Math.floor(index / 12)}`,
    task_id: `stage_${index % 12}.load_orders`,
    task_name: `Load orders ${index % 12}`,
    task_type: 'io',
    attempt: 1 + (index % 50 === 0 ? 1 : 0),
    state: index % 30 === 0 ? 'failed' : 'completed',
    event_time: startedAt + 5000,
    queued_at: startedAt - 800,
    started_at: startedAt,
    duration_ms: 5000.25,
    cost: 0.0123,
    cpu_ms: 3200.5,
    memory_peak_bytes: 256e6 + index,
    environment: 'production',
    region: 'eu-west-1',
    operator: 'PythonOperator',
    orchestrator_id: 'airflow-1',
    pool: 'default_pool',
    queue: 'default',
    worker_id: `worker-${index % 16}`,
    host: `worker-${index % 16}.internal`,
    error_type: index % 30 === 0 ? 'TimeoutError' : null,
    error_message: index % 30 === 0 ? 'upstream did not answer within 30 s while loading orders' : null,
  };
}

function executionRecord(index: number): ExecutionRecord {
  const { task_id, task_name, task_type, operator, orchestrator_id, pool, queue, worker_id, host, ...run } =
    taskRecord(index);
  return { ...run, trigger_type: 'scheduled', execution_number: index, tags: ['nightly'], labels: { team: 'orders' } };
}

function workerRecord(index: number): OrchestratorRecord {
  return {
    orchestrator_id: 'airflow-1',
    event_time: baseMs + index,
    kind: 'worker',
    body: {
      worker_id: `worker-${index % 16}`,
      pool_id: 'default_pool',
      status: 'busy',
      cpu_load: 0.5,
      tasks_completed: index,
    },
  };
}

interface Contestant {
  name: string;
  run(): void;
}

function decoding(name: string, kind: TopicKind, values: Buffer[]): Contestant {
  const decoder = createDecoder({ kind, registry: null, maxValueBytes: 1 << 20 });
  const records: LogRecord[] = values.map((value, offset) => {
    return {
      topic: 'bench',
      partition: 0,
      offset,
      timestampMs: baseMs + 3_600_000,
      key: null,
      value,
      headers: undefined,
    };
  });
  return {
    name,
    run() {
      for (const record of records) {
        const event = decoder.decode(record);
        if (event instanceof Rejection) throw new Error(`${name}: ${event.reason} ${event.detail}`);
      }
    },
  };
}

const indexes = Array.from({ length: count }, (_, index) => index);
const taskAvro = indexes.map((index) => encodeTaskEvent(taskRecord(index)));
const executionAvro = indexes.map((index) => encodeExecutionEvent(executionRecord(index)));
const workerAvro = indexes.map((index) => encodeOrchestratorEvent(workerRecord(index)));
const taskJson = indexes.map((index) => Buffer.from(JSON.stringify(taskRecord(index))));
const executionJson = indexes.map((index) => Buffer.from(JSON.stringify(executionRecord(index))));

const bare = (name: string, values: Buffer[], read: (value: Buffer) => unknown): Contestant => ({
  name,
  run() {
    for (const value of values) read(value);
  },
});

const contestants: Contestant[] = [
  bare('task avro, avsc alone', taskAvro, (value) => taskType.decode(value, 10)),
  decoding('task avro, whole', 'tasks', taskAvro),
  bare('execution avro, avsc alone', executionAvro, (value) => executionType.decode(value, 10)),
  decoding('execution avro, whole', 'executions', executionAvro),
  bare('worker avro, avsc alone', workerAvro, (value) => orchestratorType.decode(value, 10)),
  decoding('worker avro, whole', 'orchestrators', workerAvro),
  bare('task json, JSON.parse alone', taskJson, (value) => JSON.parse(value.toString('latin1'))),
  decoding('task json, whole', 'tasks', taskJson),
  bare('execution json, JSON.parse alone', executionJson, (value) => JSON.parse(value.toString('latin1'))),
  decoding('execution json, whole', 'executions', executionJson),
];

const timesUs = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
for (let round = 0; round < rounds; round++) {
  const order = round % 2 === 0 ? contestants : contestants.toReversed();
  for (const { name, run } of order) {
    const begin = process.hrtime.bigint();
    run();
    const elapsedUs = Number(process.hrtime.bigint() - begin) / 1000 / count;
    // The first two rounds only warm the compiler up.
    if (round >= 2) timesUs.get(name)?.push(elapsedUs);
  }
}

const medians = new Map<string, number>();
console.log(
  `${taskAvro[0].length} bytes a task in Avro, ${taskJson[0].length} in JSON; ${count} records, ${rounds - 2} rounds`,
);
for (const [name, times] of timesUs) {
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  medians.set(name, median);
  const spread = `${times[0].toFixed(2)} to ${(times.at(-1) as number).toFixed(2)}`;
  console.log(
    `${name.padEnd(36)} ${median.toFixed(2).padStart(6)} us  (${spread})  ${Math.round(1e6 / median)} records/s`,
  );
}
for (const subject of ['task avro', 'execution avro', 'worker avro', 'task json', 'execution json']) {
  const alone = [...medians].find(([name]) => name.startsWith(subject) && name.endsWith('alone'))?.[1] as number;
  console.log(`${subject}: whole / decoder alone ${((medians.get(`${subject}, whole`) as number) / alone).toFixed(2)}`);
}
// A lone absolute number says more about the machine than about the code, so the bar is a ratio.
const ratio = (medians.get('task avro, whole') as number) / (medians.get('task avro, avsc alone') as number);
console.log(`bar decode-task-avro: ${ratio.toFixed(2)} times avsc alone at most 2: ${ratio <= 2 ? 'met' : 'missed'}`);
if (ratio > 2) process.exitCode = 1;
