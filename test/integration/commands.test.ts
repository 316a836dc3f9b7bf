import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouseUsers } from '../../deploy/local/clickhouse-users.ts';
import { type Consumer, createKafka, createProducer, type Kafka, type Producer } from '../../pipelines/kafka.ts';
import type {
  CommandOutcomeRecord,
  CommandRecord,
  CommandRequestRecord,
  ExecutionRecord,
} from '../../schemas/records.ts';
import { decodeCommand, encodeCommand, executionType, orchestratorType, unwrapBody } from '../../schemas/wire.ts';
import { findProcesses, type Launched, launch, waitUntil } from '../support/launched.ts';

/** All of `npm start` with its demo, as a user has it running, and commands as any client would publish them. */
const silent = { warn: () => undefined, debug: () => undefined };
const commandTopic = 'weir.commands';
/** New workers take a minute or two to come up, as real ones do. */
const patienceMs = 180_000;
/** Runs of it take minutes. With so many events a second one begins every few seconds in the evening, and by chance every three minutes at night. */
const workflowId = 'encode_video';
/** The one that it belongs to. */
const workspace = 'media';
const eventsPerSecond = '30';
/** Five times as long as it usually takes at night until one begins: longer is it once in two hundred times. */
const nextRunMs = 900_000;

let dataDir: string;
let weir: Launched;
let kafka: Kafka;
let producer: Producer;
let consumer: Consumer;
const outcomes: CommandOutcomeRecord[] = [];
/** Executions of the workflow that have begun, as they are told, the newest last. */
const begun: string[] = [];
const reports: { kind: string; body: Record<string, unknown> }[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'weir-commands-'));
  const servers = ['KAFKA', 'KAFKA_CONTROLLER', 'CLICKHOUSE_HTTP', 'CLICKHOUSE_TCP', 'API'];
  const ports = [...servers, 'METRICS', 'DEMO_METRICS', 'API_METRICS', 'ALERTS_METRICS', 'INSIGHT_METRICS'];
  const env = {
    ...Object.fromEntries(ports.map((name) => [`WEIR_${name}_PORT`, '0'])),
    WEIR_DEMO_HISTORY_DAYS: '0',
    WEIR_DEMO_RATE: eventsPerSecond,
  };
  const script = path.join(import.meta.dirname, '../../deploy/local/start.ts');
  weir = launch(script, { args: ['--data', dataDir], env });
  await weir.waitFor(/^ready$/m, 140_000);
  const brokers = [/Kafka +(\S+)/.exec(weir.output())?.[1] ?? ''];
  kafka = createKafka({ brokers, clientId: 'commands-test', tls: null, sasl: null }, silent);
  producer = createProducer(kafka);
  await producer.connect();
  await listen();
});

afterAll(async () => {
  await consumer?.disconnect();
  await producer?.disconnect();
  weir.child.kill('SIGKILL');
  await waitUntil(() => findProcesses(dataDir).length === 0, 8_000);
  await rm(dataDir, { recursive: true, force: true });
});

async function listen(): Promise<void> {
  consumer = kafka.consumer({ groupId: 'commands-test' });
  await consumer.connect();
  const topics = [commandTopic, 'telemetry.executions', 'telemetry.orchestrators'];
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, message: { value } }) => {
      if (value !== null) note(topic, value);
    },
  });
}

function note(topic: string, value: Buffer): void {
  if (topic === commandTopic) {
    const { outcome } = decodeCommand(value);
    if (outcome != null) outcomes.push(outcome);
    return;
  }
  // The demo writes single objects: a marker and a fingerprint, then the record.
  const bytes = value.subarray(10);
  if (topic === 'telemetry.orchestrators') {
    const report = unwrapBody((orchestratorType.fromBuffer(bytes) as { body: object }).body);
    if (report !== undefined) reports.push(report);
    return;
  }
  const record = executionType.fromBuffer(bytes) as ExecutionRecord;
  if (record.workflow_id === workflowId && record.state === 'running') begun.push(record.execution_id);
}

let commands = 0;

async function publish(request: Partial<CommandRequestRecord>): Promise<CommandRecord> {
  const now = Date.now();
  const command_id = `command-${commands++}`;
  const times = { requested_at: now, expires_at: now + 10 * 60_000 };
  const record: CommandRecord = {
    workspace: 'default',
    source: 'test',
    request: { command_id, kind: 'pause', requested_by: 'test', parameters: '{}', ...times, ...request },
    outcome: null,
  };
  await deliver(record);
  return record;
}

async function deliver(record: CommandRecord): Promise<void> {
  const key = record.request?.command_id ?? '';
  await producer.send({ topic: commandTopic, acks: -1, messages: [{ key, value: encodeCommand(record) }] });
}

const outcomesOf = ({ request }: CommandRecord) =>
  outcomes.filter(({ command_id }) => command_id === request?.command_id);

/** What became of a command, when that many answers have been read. */
async function answersTo(record: CommandRecord, count: number): Promise<CommandOutcomeRecord[]> {
  const isThere = await waitUntil(() => outcomesOf(record).length >= count, patienceMs);
  expect(isThere, `answers to ${JSON.stringify(record.request)}: ${JSON.stringify(outcomesOf(record))}`).toBe(true);
  return outcomesOf(record);
}

async function obeyed(request: Partial<CommandRequestRecord>): Promise<CommandOutcomeRecord> {
  const record = await publish(request);
  const answers = await answersTo(record, 2);
  expect(answers.map(({ outcome }) => outcome)[0]).toBe('accepted');
  return answers[1] as CommandOutcomeRecord;
}

async function ask(sql: string): Promise<string> {
  const users = JSON.parse(await readFile(path.join(dataDir, 'clickhouse/users.json'), 'utf8')) as ClickHouseUsers;
  const url = /ClickHouse +(http:\S+),/.exec(weir.output())?.[1];
  const { name, password } = users.writer;
  const headers = { 'X-ClickHouse-User': name, 'X-ClickHouse-Key': password };
  const answer = await fetch(`${url}/?database=weir`, { method: 'POST', body: sql, headers });
  return (await answer.text()).trim();
}

it('pauses, resumes, cancels and retries a run and restarts a task of it, and its rows say so', async () => {
  const steps = ['pause', 'resume', 'cancel', 'retry', 'restart_task'] as const;
  const reason = (kind: string) => `asked to ${kind}`;
  const tried = new Set<string>();
  let executionId = '';
  let isDone = false;
  // A run may be over before its turn comes; then it is the next one's.
  while (!isDone) {
    expect(await waitUntil(() => begun.some((id) => !tried.has(id)), nextRunMs)).toBe(true);
    executionId = begun.findLast((id) => !tried.has(id)) ?? '';
    tried.add(executionId);
    isDone = true;
    for (const kind of steps) {
      const request = { kind, execution_id: executionId, reason: reason(kind), task_id: 'probe' };
      const { outcome, message, result } = await obeyed(request);
      isDone &&= outcome === 'done';
      if (!isDone) break;
      expect(message).toContain(executionId);
      expect(JSON.parse(result ?? '')).toMatchObject({ execution_id: executionId });
    }
  }
  const states = () =>
    ask(
      `SELECT arrayStringConcat(arraySort(groupUniqArray(concat(state, ' ', toString(attempt)))), ', ') FROM execution_events FINAL WHERE execution_id = '${executionId}' AND state IN ('suspended', 'cancelled', 'running')`,
    );
  const expected = 'cancelled 1, running 1, running 2, suspended 1';
  await waitUntil(async () => (await states()) === expected, patienceMs);
  expect(await states()).toBe(expected);
  const cancelled = `SELECT count() FROM execution_events FINAL WHERE execution_id = '${executionId}' AND cancel_reason = '${reason('cancel')}'`;
  expect(await ask(cancelled)).toBe('1');
}, 2_700_000);

interface ApiCommand {
  id: string;
  state: string;
  outcome: { outcome: string; message: string } | null;
}

/** What the API answers in JSON. */
async function callApi<Answer>(route: string, init: RequestInit = {}): Promise<{ status: number; body: Answer }> {
  const address = /API +(http:\/\/[^/\s]+)/.exec(weir.output())?.[1];
  const headers = {
    'x-workspace-id': workspace,
    ...init.headers,
    ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const answer = await fetch(`${address}/api/v1${route}`, { ...init, headers });
  return { status: answer.status, body: (await answer.json()) as Answer };
}

const executionRoute = (id: string) => `/workflow-analytics/executions/${encodeURIComponent(id)}`;

it('cancels a run when it is asked over the API, once for a key, and the API tells of the end and the outcome', async () => {
  const reason = 'the source is broken';
  const cancel = (id: string) =>
    callApi<ApiCommand>(`${executionRoute(id)}/cancel`, {
      method: 'POST',
      headers: { 'idempotency-key': `cancel ${id}` },
      body: JSON.stringify({ reason }),
    });
  const tried = new Set<string>(begun);
  let executionId = '';
  let command: ApiCommand | undefined;
  // A run may be over before it is cancelled; then it is the next one's turn.
  while (command?.state !== 'done') {
    expect(await waitUntil(() => begun.some((id) => !tried.has(id)), nextRunMs)).toBe(true);
    executionId = begun.findLast((id) => !tried.has(id)) ?? '';
    tried.add(executionId);
    const isStored = () =>
      callApi(executionRoute(executionId)).then(
        ({ status }) => status === 200,
        // The API comes up beside what else was waited for.
        () => false,
      );
    expect(await waitUntil(isStored, patienceMs)).toBe(true);
    const asked = await cancel(executionId);
    if (asked.status === 409) continue;
    expect(asked.status, JSON.stringify(asked.body)).toBe(202);
    const { id } = asked.body;
    const isSettled = async () => {
      command = (await callApi<ApiCommand>(`/commands/${id}`)).body;
      return ['done', 'failed', 'rejected'].includes(command.state);
    };
    expect(await waitUntil(isSettled, patienceMs), JSON.stringify(command)).toBe(true);
  }
  expect(command.outcome?.message).toContain(executionId);
  interface Execution {
    status: { state: string };
  }
  const stateOf = async () => (await callApi<Execution>(executionRoute(executionId))).body.status.state;
  await waitUntil(async () => (await stateOf()) === 'cancelled', patienceMs);
  expect(await stateOf()).toBe('cancelled');
  const again = await cancel(executionId);
  expect(again).toMatchObject({ status: 202, body: { id: command.id } });
  // A later command has been answered, so a second request of this one would have been too.
  await obeyed({ kind: 'change_concurrency', workflow_id: workflowId, parameters: '{"concurrency":40}' });
  expect(outcomes.filter(({ command_id }) => command_id === command?.id).map(({ outcome }) => outcome)).toEqual([
    'accepted',
    'done',
  ]);
  const said = `SELECT count() FROM execution_events FINAL WHERE execution_id = '${executionId}' AND state = 'cancelled' AND cancel_reason = '${reason}'`;
  expect(await ask(said)).toBe('1');
}, 2_700_000);

it('scales a pool once, however often it is told to', async () => {
  const reason = 'more shops have opened';
  const command = await publish({
    kind: 'scale_pool',
    pool_id: 'temporal-shop/default',
    parameters: '{"target_workers":7}',
    reason,
  });
  await answersTo(command, 2);
  await deliver(command);
  await deliver(command);
  const answers = await answersTo(command, 4);
  expect(answers.map(({ outcome }) => outcome)).toEqual(['accepted', 'done', 'done', 'done']);
  expect(answers[1]?.message).toContain('to 7 workers');
  for (const again of answers.slice(2)) {
    expect(again.message).toContain('nothing more was done');
    expect(JSON.parse(again.result ?? '')).toEqual({ reason: 'repeated' });
  }
  const scalings = () => reports.filter(({ kind, body }) => kind === 'scaling_event' && body.reason === reason);
  expect(await waitUntil(() => scalings().length > 0, patienceMs)).toBe(true);
  // A report of the pool that is younger than the repetitions, so that what they might have done would have been told.
  const seen = reports.length;
  const isLater = () =>
    reports.slice(seen).some(({ kind, body }) => kind === 'worker_pool' && body.pool_id === 'temporal-shop/default');
  expect(await waitUntil(isLater, patienceMs)).toBe(true);
  expect(scalings().map(({ body }) => [body.workers_to, body.success])).toEqual([[7, true]]);
}, 600_000);

it('changes the concurrency of a pool, which its next report shows', async () => {
  const pool_id = 'prefect-ml/default';
  const done = await obeyed({ kind: 'change_concurrency', pool_id, parameters: '{"concurrency":3}' });
  expect(done).toMatchObject({ outcome: 'done', message: expect.stringContaining('3 slots') });
  const isTold = () =>
    reports.some(({ kind, body }) => kind === 'worker_pool' && body.pool_id === pool_id && body.slots_total === 3);
  expect(await waitUntil(isTold, patienceMs)).toBe(true);
  const workflow = { kind: 'change_concurrency', workflow_id: workflowId, parameters: '{"concurrency":50}' };
  expect(await obeyed(workflow)).toMatchObject({ outcome: 'done' });
}, 600_000);

it('does nothing when a command comes after its expiry, and says so', async () => {
  const late = await publish({
    kind: 'scale_pool',
    pool_id: 'argo-ci/default',
    parameters: '{"target_workers":9}',
    reason: 'too late',
    expires_at: Date.now() - 1,
  });
  const [answer] = await answersTo(late, 1);
  expect(answer).toMatchObject({ outcome: 'expired', message: expect.stringContaining('nothing was done') });
  // Commands are carried out one after another: once a later one is done, an earlier one would be too.
  await obeyed({ kind: 'change_concurrency', workflow_id: workflowId, parameters: '{"concurrency":60}' });
  expect(outcomesOf(late)).toHaveLength(1);
  expect(reports.some(({ body }) => body.reason === 'too late')).toBe(false);
}, 600_000);
