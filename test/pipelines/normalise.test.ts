import { expect, test } from 'vitest';
import { createDecoder } from '../../pipelines/decode.ts';
import { parseInstantMs } from '../../pipelines/instants.ts';
import { normaliseExecution, normaliseTask } from '../../pipelines/normalise.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { type ExecutionEvent, executionStates, type TaskEvent, taskStates } from '../../schemas/events.ts';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import {
  encodeOrchestratorEvent,
  executionType,
  orchestratorBodyTypes,
  orchestratorType,
  taskType,
} from '../../schemas/wire.ts';
import {
  logRecord,
  nodeOf,
  nowMs,
  randomBySeed,
  randomRun,
  randomValue,
  sampleExecution,
  sampleTask,
  toWire,
} from './sample-records.ts';

const context = { recordTimeMs: nowMs, pastBoundMs: 7 * 86_400_000, futureBoundMs: 300_000, origin: null };
const options = { registry: null, maxValueBytes: 1e6 };
const tasks = createDecoder({ kind: 'tasks', ...options });
const executions = createDecoder({ kind: 'executions', ...options });
const orchestrators = createDecoder({ kind: 'orchestrators', ...options });
const task = (over: object) => tasks.decode(logRecord(JSON.stringify({ ...sampleTask, ...over }))) as TaskEvent;
const execution = (value: object) => executions.decode(logRecord(JSON.stringify(value))) as ExecutionEvent;

test('normalising what was normalised changes nothing', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = randomBySeed(seed);
    const first = normaliseTask(randomRun(taskType, taskStates, random) as unknown as TaskRecord, context);
    expect(normaliseTask(toWire(taskType, first) as unknown as TaskRecord, context), `seed ${seed}`).toEqual(first);
    const run = normaliseExecution(
      randomRun(executionType, executionStates, random) as unknown as ExecutionRecord,
      context,
    );
    expect(
      normaliseExecution(toWire(executionType, run) as unknown as ExecutionRecord, context),
      `seed ${seed}`,
    ).toEqual(run);
  }
});

test('normalising reports about orchestrators twice changes nothing, for every kind', () => {
  for (let seed = 1; seed <= 40; seed++) {
    for (const kind of orchestratorKinds) {
      const random = randomBySeed(seed);
      const type = orchestratorBodyTypes[kind];
      const body = { ...(randomValue(nodeOf(type), '', random) as object) } as Record<string, unknown>;
      for (const id of ['pool_id', 'worker_id', 'queue_id']) if (id in body) body[id] = `${id}-1`;
      const record = { orchestrator_id: 'o', event_time: nowMs, kind, body, labels: { a: 'b' } };
      const first = orchestrators.decode(logRecord(encodeOrchestratorEvent(record as unknown as OrchestratorRecord)));
      if (first instanceof Rejection) throw new Error(`seed ${seed} ${kind}: ${first.reason} ${first.detail}`);
      const { body: _, ...header } = toWire(orchestratorType, first) as { body: unknown };
      const again = { ...header, kind, body: toWire(type, first) };
      expect(
        orchestrators.decode(logRecord(encodeOrchestratorEvent(again as unknown as OrchestratorRecord))),
        `seed ${seed} ${kind}`,
      ).toEqual(first);
      expect(orchestrators.decode(logRecord(JSON.stringify(again))), `seed ${seed} ${kind} json`).toEqual(first);
    }
  }
});

test('instants are read in every form that was seen', () => {
  const expected = Date.UTC(2026, 10, 20, 12, 34, 56, 789);
  for (const form of [
    expected,
    String(expected),
    expected / 1000,
    expected * 1000,
    String(BigInt(expected) * 1_000_000n),
    '2026-11-20T12:34:56.789Z',
    '2026-11-20 12:34:56.789+00:00',
    '2026-11-20 12:34:56.789',
    '2026-11-20T14:34:56.789123+02:00',
    '2026-11-20T05:04:56.789999999-0730',
    ' 2026-11-20t12:34:56,789 UTC ',
  ]) {
    expect(parseInstantMs(form), String(form)).toBe(expected);
  }
  expect(parseInstantMs('2024-02-29')).toBe(Date.UTC(2024, 1, 29));
  expect(parseInstantMs('2026-11-20T12:34Z')).toBe(Date.UTC(2026, 10, 20, 12, 34));
  expect(parseInstantMs('0001-01-01T00:00:00Z')).toBe(0);
  for (const wrong of [
    '',
    'soon',
    '2026-13-01',
    '2026-02-30',
    '2026-11-20T25:00:00Z',
    '2026-11-20T12:34:56.Z',
    '20.11.2026',
    {},
    '2026-11-20T12:34:56 CEST',
    '1e400',
  ]) {
    expect(parseInstantMs(wrong), String(wrong)).toBeUndefined();
  }
});

test('dates of random years agree with the calendar of the platform', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const ms = Math.floor(randomBySeed(seed)() * 7e12) - 2e12;
    expect(parseInstantMs(new Date(ms).toISOString()), `seed ${seed}`).toBe(ms);
  }
});

test('what follows from other fields is filled in', () => {
  expect(task({ duration_ms: 1234.5678 })).toMatchObject({ durationUs: 1_234_568, startedAtMs: sampleTask.started_at });
  expect(task({ duration_ms: 1500.4, started_at: null, queued_at: nowMs - 3000 })).toMatchObject({
    startedAtMs: nowMs - 2500,
    queueUs: 500_000,
  });
  expect(task({ started_at: null, queued_at: null })).toMatchObject({
    startedAtMs: null,
    durationUs: null,
    queueUs: null,
  });
  expect(task({ state: 'running', started_at: null })).toMatchObject({
    startedAtMs: nowMs - 1000,
    queueUs: 7_000_000,
    durationUs: null,
  });
  expect(task({ queued_at: nowMs - 100 })).toMatchObject({ queueUs: null });
  expect(task({ queue_ms: 12.5 })).toMatchObject({ queueUs: 12_500 });
  expect(task({ attempt: undefined, map_index: undefined })).toMatchObject({ attempt: 1, mapIndex: -1, project: '' });
  expect(task({ queued_at: 0, scheduled_at: '0001-01-01T00:00:00Z' })).toMatchObject({
    queuedAtMs: null,
    scheduledAtMs: null,
  });
});

test('JSON is read as real systems write it', () => {
  expect(
    task({
      state: 'TaskInstanceState.FAILED',
      attempt: '3',
      duration_ms: ' 1500.5 ',
      cost: 'None',
      cpu_ms: '',
      queued_at: 'null',
      started_at: '2026-11-20 11:59:50.000000+00:00',
      dependencies: "['a', 'b.c']",
      dependents: '["d"]',
      tags: 'single',
      task_type: 'TaskType.IO',
      optional_note: null,
    }),
  ).toMatchObject({
    state: 'failed',
    attempt: 3,
    durationUs: 1_500_500,
    costMicros: null,
    cpuUs: null,
    queuedAtMs: null,
    startedAtMs: nowMs - 10_000,
    dependencies: [{ taskId: 'a' }, { taskId: 'b.c' }],
    dependents: ['d'],
    tags: ['single'],
    taskType: 'tasktype.io',
    labels: {},
  });
  expect(task({ state: 'Canceled' })).toMatchObject({ state: 'cancelled' });
});

test('camelCase and the names of the source documents are understood, the canonical name wins', () => {
  const event = execution({
    id: 'ignored-for-executionId',
    executionId: 'run-9',
    workflowId: 'orders',
    workflowName: 'Orders',
    executionNumber: 12,
    status: { state: 'completed', progress: 1, phase: 'load', healthIndicators: [{ name: 'lag', value: 3 }], odd: 'x' },
    trigger: { type: 'SCHEDULED', source: 'cron', triggerTime: nowMs - 9000, parameters: { day: 1 } },
    startTime: new Date(nowMs - 5000).toISOString(),
    endTime: new Date(nowMs - 1000).toISOString(),
    context: {
      environment: 'prod',
      region: 'eu',
      correlationId: 'c-1',
      childExecutionIds: ['k'],
      tags: ['t'],
      variables: { a: 1 },
    },
    resources: { cpuSeconds: 2.5, memoryMB: 64, storageGB: 1, networkGB: 0.5, cost: 0.75, quotaUsage: { cpu: 0.5 } },
    artifacts: [{ name: 'report', url: 's3://b/r', sizeBytes: 10 }],
    errors: [{ errorType: 'E', message: 'm' }],
    metadata: { owner: 'ann' },
    duration: 4,
  });
  expect(event).toMatchObject({
    executionId: 'run-9',
    workflowName: 'Orders',
    executionNumber: 12,
    state: 'completed',
    progressRatio: 1,
    phase: 'load',
    healthIndicators: [{ name: 'lag', value: 3 }],
    triggerType: 'scheduled',
    triggerSource: 'cron',
    triggerTimeMs: nowMs - 9000,
    triggerParameters: '{"day":1}',
    eventTimeMs: nowMs - 1000,
    startedAtMs: nowMs - 5000,
    durationUs: 4_000_000,
    environment: 'prod',
    correlationId: 'c-1',
    childExecutionIds: ['k'],
    tags: ['t'],
    variables: '{"a":1}',
    cpuUs: 2_500_000,
    memoryPeakBytes: 64_000_000,
    storageBytes: 1e9,
    networkBytes: 5e8,
    costMicros: 750_000,
    quotaUsage: { cpu: 0.5 },
    artifacts: [{ name: 'report', uri: 's3://b/r', bytes: 10 }],
    errors: [{ type: 'E', message: 'm' }],
    labels: { 'status.odd': 'x', owner: 'ann', duration: '4' },
  });
  expect(execution({ ...sampleExecution, executionId: 'other', id: 'third' })).toMatchObject({ executionId: 'run-1' });
  expect(execution({ ...sampleExecution, execution_id: undefined, id: 'only' })).toMatchObject({ executionId: 'only' });
});

test('a report about an orchestrator may be nested as the source document draws it', () => {
  const event = orchestrators.decode(
    logRecord(
      JSON.stringify({
        kind: 'OrchestratorMetrics',
        orchestratorId: 'o',
        orchestratorType: 'airflow',
        collectedAt: nowMs,
        health: { status: 'healthy', healthScore: 0.9, components: [{ name: 'db', latency: 12.5, errorRate: 0.1 }] },
        capacity: { totalSlots: 32, usedSlots: 8, capacityUtilization: 0.25 },
        scheduling: { p95SchedulingLatency: 120, priorityDistribution: { high: 3 } },
        queuing: { backlogSize: 7, queues: [{ name: 'default', size: 7, avgProcessingTime: 30 }] },
        mystery: 'kept',
      }),
    ),
  );
  expect(event).toMatchObject({
    kind: 'orchestrator_metrics',
    healthStatus: 'healthy',
    healthScore: 0.9,
    components: [{ name: 'db', latencyUs: 12_500, errorRatio: 0.1 }],
    slotsTotal: 32,
    slotsUsed: 8,
    capacityLoad: 0.25,
    schedulingLatencyUsP95: 120_000,
    priorityDistribution: { high: 3 },
    backlogSize: 7,
    queues: [{ name: 'default', size: 7, processingUsMean: 30_000 }],
    labels: { mystery: 'kept' },
  });
});

test('labels, lists and long text are bounded', () => {
  const labels = Object.fromEntries(
    Array.from({ length: 40 }, (_, at) => [`${'n'.repeat(80)}${at}`.slice(at), 'v'.repeat(300)]),
  );
  const event = task({
    labels,
    tags: Array.from({ length: 100 }, (_, at) => `t${at}`),
    dependencies: Array.from({ length: 300 }, (_, at) => `d${at}`),
    task_name: 'n'.repeat(600),
    error_message: 'm'.repeat(5000),
    error_stack: 's'.repeat(9000),
    task_type: 'T'.repeat(100),
  });
  const names = Object.keys(event.labels);
  expect(event.labels['weir.labels_dropped']).toBe('8');
  expect(Math.max(...names.map((name) => name.length))).toBeLessThanOrEqual(64);
  expect(Math.max(...Object.values(event.labels).map((text) => text.length))).toBe(256);
  expect(event.tags.length).toBe(64);
  expect(event.dependencies.length).toBe(256);
  expect([event.taskName.length, event.error.message.length, event.error.stack.length]).toEqual([512, 4000, 8000]);
  expect(event.taskType).toBe('t'.repeat(64));
});

test('large JSON is cut to a summary that is still JSON and keeps the keys of the top level', () => {
  const input = {
    a: 1,
    text: 'x'.repeat(10_000),
    list: Array.from({ length: 500 }, (_, at) => at),
    small: { b: true },
  };
  const event = task({ input });
  expect(event).toMatchObject({ inputTruncated: true, inputBytes: Buffer.byteLength(JSON.stringify(input)) });
  expect(Buffer.byteLength(event.input)).toBeLessThanOrEqual(4096);
  expect(JSON.parse(event.input)).toMatchObject({ a: 1, list: '[500 items]', small: { b: true } });
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`key ${at}`, `välue ${at}`]));
  for (const value of [many, Object.values(many), 'y'.repeat(9000), [[input]]]) {
    const cut = task({ output: value });
    expect(Buffer.byteLength(cut.output)).toBeLessThanOrEqual(4096);
    expect(cut.outputTruncated).toBe(true);
  }
  expect(task({ input: { a: 1 } })).toMatchObject({ input: '{"a":1}', inputTruncated: false, inputBytes: 7 });
  expect(task({ input: { a: 1 }, input_bytes: 99, input_truncated: true })).toMatchObject({
    inputTruncated: true,
    inputBytes: 99,
  });
});

test('an unknown task type is kept in lower case', () => {
  expect(task({ task_type: 'Compute' })).toMatchObject({ taskType: 'compute' });
  expect(task({ task_type: 'GPU-Batch' })).toMatchObject({ taskType: 'gpu-batch' });
});
