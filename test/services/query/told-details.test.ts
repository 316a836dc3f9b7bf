import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { executionEventsQuestion, type RunAsk, taskEventsQuestion } from '../../../clickhouse/queries/run-events.ts';
import { readRunPlaces } from '../../../clickhouse/queries/run-places.ts';
import { oneExecutionTraceQuestion, oneTaskTraceQuestion } from '../../../clickhouse/queries/run-traces.ts';
import { WorkspaceReader } from '../../../clickhouse/question.ts';
import { bitsOfColumns, executionDetails, taskDetails } from '../../../clickhouse/tables/details.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { toMessages } from './sample-runs.ts';

/** Of an execution no more columns are read than its records fill, and that must not be seen. */
const stand = await QueryStand.create('told_details');
const { telemetry } = stand;
const endMs = Date.now() - 60_000;

type Fields = Record<string, unknown>;
const spent: Fields = {
  ...{ cost_micros: { cost: 0.25 }, cpu_us: { cpu_ms: 12 }, memory_peak_bytes: { memory_peak_bytes: 9e6 } },
  ...{ cpu_allocated_cores: { cpu_allocated_cores: 2 }, memory_allocated_bytes: { memory_allocated_bytes: 8e9 } },
  ...{ storage_bytes: { storage_bytes: 7e9 }, network_bytes: { network_bytes: 6e9 } },
};
const said: Fields = {
  ...{
    workflow_name: { workflow_name: 'Told' },
    workflow_version: { workflow_version: '7' },
    project: { project: 'p' },
  },
  ...{ queued_at: { queued_at: endMs - 900 }, queue_us: { queue_ms: 8 } },
  ...{ error_type: { error_type: 'Odd' }, error_message: { error_message: 'it was odd' } },
  ...{
    error_code: { error_code: 'E7' },
    error_stack: { error_stack: 'at line 7' },
    retry_reason: { retry_reason: 'again' },
  },
  ...{ input: { input: '{"a":1}' }, output: { output: '{"b":2}' } },
};
/** A record that fills the column alone. */
const executionFields: Record<string, Fields> = {
  ...spent,
  ...said,
  ...{ execution_number: { execution_number: 7 }, trigger_type: { trigger_type: 'manual' } },
  ...{ environment: { environment: 'production' }, region: { region: 'eu' } },
  ...{ progress_ratio: { progress_ratio: 0.5 }, phase: { phase: 'load' }, substatus: { substatus: 'slow' } },
  last_checkpoint: { last_checkpoint: 'c7' },
  health_indicators: { health_indicators: [{ name: 'lag', status: 'bad', value: 7, message: 'far behind' }] },
  ...{ trigger_source: { trigger_source: 'clock' }, triggered_by: { triggered_by: 'ada' } },
  ...{ trigger_time: { trigger_time: endMs - 9_000 }, trigger_parameters: { trigger_parameters: '{"day":1}' } },
  ...{ schedule_cron: { schedule_cron: '0 7 * * *' }, schedule_timezone: { schedule_timezone: 'Asia/Tokyo' } },
  ...{ trigger_event_type: { trigger_event_type: 'file' }, trigger_event_id: { trigger_event_id: 'f-7' } },
  ...{ tenant: { tenant: 'seven' }, correlation_id: { correlation_id: 'c-7' }, tags: { tags: ['night'] } },
  ...{ parent_execution_id: { parent_execution_id: 'p' }, root_execution_id: { root_execution_id: 'r' } },
  ...{ child_execution_ids: { child_execution_ids: ['k'] }, labels: { labels: { team: 'data' } } },
  ...{ quota_usage: { quota_usage: { slots: 3 } }, variables: { variables: '{"v":1}' } },
  artifacts: { artifacts: [{ name: 'report', type: 'file', uri: 's3://a/b', bytes: 7 }] },
  errors: { errors: [{ type: 'Odd', code: 'E1', message: 'it was odd', task_id: 'load', at: endMs - 5 }] },
};
const taskFields: Record<string, Fields> = {
  ...spent,
  ...said,
  ...{ task_name: { task_name: 'Load' }, task_type: { task_type: 'io' }, pool: { pool: 'p' }, queue: { queue: 'q' } },
  ...{ worker_id: { worker_id: 'w' } },
  ...{ cpu_ratio_mean: { cpu_ratio_mean: 0.5 }, io_wait_us: { io_wait_ms: 5 }, gc_pause_us: { gc_pause_ms: 6 } },
  ...{ concurrency: { concurrency: 4 }, cache_status: { cache_status: 'hit' } },
  ...{ input_truncated: { input_truncated: true }, output_truncated: { output_truncated: true } },
  ...{ step_order: { step_order: 3 }, dependents: { dependents: ['after'] } },
  dependencies: { dependencies: [{ task_id: 'before', type: 'data', optional: true, condition: '' }] },
  ...{ ready_at: { ready_at: endMs - 800 }, dispatched_at: { dispatched_at: endMs - 600 } },
};
const merged = (fields: Record<string, Fields>) => Object.assign({}, ...Object.values(fields)) as Fields;

const about = (execution_id: string) => ({
  workspace: 'default',
  source: 'airflow',
  workflow_id: 'told',
  execution_id,
});
const started = { state: 'running', event_time: endMs - 500, started_at: endMs - 500 };
const ended = { state: 'completed', event_time: endMs, started_at: endMs - 500 };
const task = { task_id: 'load' };

/** Some tell one detail, in their first record or in their last; one tells all, one nothing, and one has tasks that tell. */
const runs: { id: string; execution?: Fields; task?: Fields; isLate?: boolean }[] = [
  { id: 'bare' },
  { id: 'full', execution: merged(executionFields), task: merged(taskFields), isLate: true },
  { id: 'full-tasks', task: merged(taskFields), isLate: true },
  { id: 'full-execution', execution: merged(executionFields) },
  ...Object.entries(executionFields).map(([column, fields], at) => {
    return { id: `execution-${column}`, execution: fields, isLate: at % 3 > 0 };
  }),
  ...Object.entries(taskFields).map(([column, fields], at) => {
    return { id: `task-${column}`, task: fields, isLate: at % 3 > 0 };
  }),
];

beforeAll(async () => {
  await telemetry.startReady();
  await stand.startService();
  const told = (own: Fields | undefined, id: string, isLate: boolean, more: Fields) => [
    { ...about(id), ...more, ...started, ...(isLate ? {} : own) },
    { ...about(id), ...more, ...ended, ...(isLate ? own : {}) },
  ];
  const records = runs.map(({ id, execution, task: own, isLate = false }) => ({
    executions: told(execution, id, isLate, {}),
    tasks: told(own, id, isLate, task),
  }));
  await telemetry.send('executions', toMessages(records.flatMap(({ executions }) => executions)));
  await telemetry.send('tasks', toMessages(records.flatMap(({ tasks }) => tasks)));
  await telemetry.waitStored(60_000);
}, 120_000);

it.each([
  ['executions', executionDetails, 'execution', executionFields],
  ['task_attempts', taskDetails, 'task', taskFields],
] as const)('is known of %s by groups of columns', async (table, details, kind, fields) => {
  const bitsOf = bitsOfColumns(details);
  expect([...bitsOf.keys()].toSorted()).toEqual(Object.keys(fields).toSorted());
  expect(new Set(details.map(({ bit }) => bit)).size).toBe(details.length);
  const rows = await telemetry.database.query(
    `SELECT execution_id, groupBitAnd(untold) FROM ${table} GROUP BY execution_id ORDER BY execution_id`,
  );
  const untold = new Map(rows.split('\n').map((line) => line.split('\t') as [string, string]));
  const all = details.reduce((sum, { bit }) => sum + bit, 0);
  expect(untold.get('bare')).toBe(String(all));
  expect(untold.get('full')).toBe('0');
  for (const [column, bits] of bitsOf) {
    // A run that is known to have been queued has waited for as long as until it began.
    const told = column === 'queued_at' ? bits | (bitsOf.get('queue_us') ?? 0) : bits;
    expect(untold.get(`${kind}-${column}`), column).toBe(String(all - told));
  }
  const comment = await telemetry.database.query(
    `SELECT comment FROM system.columns WHERE database = currentDatabase() AND table = '${table}' AND name = 'untold'`,
  );
  const words = comment.split(/[:,] /);
  for (const { bit, columns } of details) {
    const named = words.find((word) => word.startsWith(`${bit} `));
    if (bit > 64) expect(named).toBe(`${bit} ${columns.join('+')}`);
    else expect(named).toBeDefined();
  }
});

it('is all that is asked for', () => {
  const ask = (untold: number): RunAsk => {
    const place = { source: 'airflow', workflow_id: 'told', first_ms: 0, last_ms: 1, is_over: true };
    return { execution: 'x', place: { ...place, execution_untold: untold, tasks_untold: untold }, limit: 1 };
  };
  const sqlOf = (question: typeof executionEventsQuestion | typeof taskEventsQuestion, ...asks: RunAsk[]) =>
    typeof question.sql === 'string' ? question.sql : question.sql(asks);
  for (const [question, details] of [
    [executionEventsQuestion, executionDetails],
    [taskEventsQuestion, taskDetails],
  ] as const) {
    const bare = sqlOf(question, ask(-1));
    for (const [column, bits] of bitsOfColumns(details)) {
      const asked = new RegExp(`\\b${column}\\b`);
      expect(asked.test(bare), column).toBe(false);
      expect(asked.test(sqlOf(question, ask(-1), ask(~bits))), column).toBe(true);
      // One of several bits is all that rows of earlier releases have.
      for (const { bit, columns } of details) {
        if (columns.includes(column)) expect(asked.test(sqlOf(question, ask(bit))), column).toBe(false);
      }
    }
  }
});

it('has times that are told as they would be if everything were asked for', async () => {
  const database = new Database(telemetry.database);
  const reader = new WorkspaceReader(database, { workspace: 'default', requestId: 'told' }, () => undefined);
  const wholly = { execution_untold: 0, tasks_untold: 0 };
  for (const { id } of runs) {
    const [place] = await readRunPlaces(reader, id);
    if (place === undefined) throw new Error(`nothing is known of ${id}`);
    for (const question of [oneExecutionTraceQuestion, oneTaskTraceQuestion]) {
      const ask = { execution: id, place, limit: 10 };
      const told = await reader.askAbout(question, ask);
      expect(told, id).toHaveLength(2);
      expect(told, id).toEqual(await reader.askAbout(question, { ...ask, place: { ...place, ...wholly } }));
    }
  }
  await database.close();
});

it('is told as it would be if everything were asked for', async () => {
  const paths = runs.flatMap(({ id }) => [
    ...['', '/tasks', '/timeline'].map((part) => `/api/v1/workflow-analytics/executions/${id}${part}`),
    ...['', '/timeline'].map((part) => `/api/workflows/executions/${id}${part}`),
  ]);
  paths.push('/api/workflows/told/executions?limit=100');
  const askAll = () => Promise.all(paths.map((path) => stand.get<Fields>(path)));
  const together = await askAll();
  await sleep(2_000);
  // Each by itself, so that none is told what was asked for another.
  for (const [at, path] of paths.entries()) {
    if (path.includes('/full') || path.includes('/bare')) expect(await stand.get(path), path).toEqual(together[at]);
  }
  for (const table of ['executions', 'task_attempts']) {
    await telemetry.database.query(`ALTER TABLE ${table} UPDATE untold = 0 WHERE 1 SETTINGS mutations_sync = 2`);
    expect(await telemetry.database.query(`SELECT max(untold) FROM ${table}`)).toBe('0');
  }
  await sleep(3_500);
  const all = await askAll();
  for (const [at, path] of paths.entries()) expect(together[at], path).toEqual(all[at]);
  const full = together[paths.indexOf('/api/v1/workflow-analytics/executions/full')];
  const bare = together[paths.indexOf('/api/v1/workflow-analytics/executions/bare')];
  for (const [key, value] of Object.entries({ artifacts: 1, errors: 1 })) expect(full[key]).toHaveLength(value);
  expect(bare).toMatchObject({ artifacts: [], errors: [], metadata: {}, input: null, output: null });
  expect(full).toMatchObject({
    metadata: { team: 'data' },
    input: { a: 1 },
    output: { b: 2 },
    status: { phase: 'load', healthIndicators: [{ name: 'lag' }] },
    context: { tags: ['night'], variables: { v: 1 } },
    resources: { cpuSeconds: 0.012, quotaUsage: { slots: 3 } },
    tasks: [{ dependencies: ['before'], dependents: ['after'], attemptHistory: [{ error: { code: 'E7' } }] }],
  });
}, 120_000);

it('is told of what executions of a page were given and gave, who tell nothing of it not being asked for it', async () => {
  const of = (workflow_id: string, execution_id: string) => ({ ...about(execution_id), workflow_id });
  const ends = [
    { ...of('silent', 'silent-1'), ...ended },
    { ...of('silent', 'silent-2'), ...ended, ...executionFields.phase },
    { ...of('talking', 'talking-1'), ...ended, ...executionFields.variables },
    { ...of('talking', 'talking-2'), ...ended, ...executionFields.output },
    { ...of('talking', 'talking-3'), ...ended, ...executionFields.input },
    { ...of('talking', 'talking-4'), ...ended },
  ];
  await telemetry.send('executions', toMessages(ends));
  await telemetry.waitStored(60_000);
  const countAsked = async () =>
    (await stand.service.metric('weir_question_duration_seconds_count', { question: 'execution_payloads' })) || 0;
  const readPage = async (workflow: string) => {
    const before = await countAsked();
    const { items } = await stand.get<{ items: Fields[] }>(`/api/workflows/${workflow}/executions`);
    const told = items.map(({ id, input_variables, results }) => [id, input_variables, results]).toSorted();
    return { told, asked: (await countAsked()) - before };
  };
  expect(await readPage('silent')).toEqual({
    told: [
      ['silent-1', null, null],
      ['silent-2', null, null],
    ],
    asked: 0,
  });
  expect(await readPage('talking')).toEqual({
    told: [
      ['talking-1', { v: 1 }, null],
      ['talking-2', null, { b: 2 }],
      ['talking-3', { a: 1 }, null],
      ['talking-4', null, null],
    ],
    asked: 1,
  });
});
