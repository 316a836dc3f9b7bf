import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../../clickhouse/block.ts';
import { Database } from '../../../clickhouse/client.ts';
import { alertChangesTable } from '../../../clickhouse/tables/alerts.ts';
import { encodeAlert } from '../../../schemas/wire.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import type { OutgoingRecord } from '../../support/pipeline-process.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { SocketClient, type SocketMessage } from '../../support/socket-client.ts';
import { sampleAlert, toChangeRow } from '../alerts/sample-alerts.ts';

const stand = await QueryStand.create('live-snapshots');
const database = new Database(stand.telemetry.database);
const clients: SocketClient[] = [];

beforeAll(async () => {
  await stand.telemetry.startReady();
  await stand.startService();
});
afterAll(async () => {
  for (const client of clients) client.close();
  await database.close();
});

async function open(): Promise<SocketClient> {
  const client = await SocketClient.open(`${stand.address}/ws`);
  clients.push(client);
  return client;
}

const startedMs = Date.now() - 600_000;
const textOf = (value: object): string => JSON.stringify(value);

/** Things that happen one after the other, each once, and what they are followed by. */
interface Stream {
  topic: string;
  kind: 'executions' | 'tasks' | 'orchestrators' | 'alerts';
  record: (at: number) => OutgoingRecord;
  /** What is done before a record is sent. */
  store?: (at: number) => Promise<void>;
  /** Which of them a message tells; undefined for others. */
  told: (message: SocketMessage) => number | undefined;
}

const numberIn = (text: unknown): number | undefined => {
  const [, at] = /^n-\d+-(\d+)$/.exec(String(text)) ?? [];
  return at === undefined ? undefined : Number(at);
};

const alertOf = (round: number, at: number) =>
  sampleAlert({ alert_id: `n-${round}-${at}`, event_time: startedMs + at });

function makeStreams(round: number): Stream[] {
  const workflow_id = `flow-${round}`;
  const execution_id = `run-${round}`;
  const task = (at: number) => ({ workflow_id, state: 'completed', started_at: startedMs, event_time: startedMs + at });
  return [
    {
      topic: `execution:${execution_id}`,
      kind: 'tasks',
      record: (at) => ({
        key: execution_id,
        value: textOf({ ...task(at), execution_id, task_id: `n-${round}-${at}` }),
      }),
      told: ({ payload }) => numberIn(payload?.id),
    },
    {
      topic: `task:load-${round}`,
      kind: 'tasks',
      record: (at) => ({
        key: `n-${round}-${at}`,
        value: textOf({ ...task(at), execution_id: `n-${round}-${at}`, task_id: `load-${round}` }),
      }),
      told: ({ type, payload }) => (type === 'task_execution' ? numberIn(payload?.executionId) : undefined),
    },
    {
      topic: `workflow:wide-${round}`,
      kind: 'executions',
      record: (at) => ({
        key: `n-${round}-${at}`,
        value: textOf({ ...task(at), workflow_id: `wide-${round}`, execution_id: `n-${round}-${at}` }),
      }),
      told: ({ payload }) => numberIn(payload?.id),
    },
    {
      topic: `worker-pool:pool-${round}`,
      kind: 'orchestrators',
      record: (at) => ({
        key: `airflow-${round}`,
        value: textOf({
          kind: 'worker',
          orchestrator_id: `airflow-${round}`,
          event_time: startedMs + at,
          body: { worker_id: `n-${round}-${at}`, pool_id: `pool-${round}`, status: 'busy' },
        }),
      }),
      told: ({ payload }) => numberIn(payload?.id),
    },
    {
      topic: `coordination:peer-${round}`,
      kind: 'orchestrators',
      record: (at) => ({
        key: `peer-${round}`,
        value: textOf({
          kind: 'coordination_event',
          orchestrator_id: `peer-${round}`,
          event_time: startedMs + at,
          body: { event_id: `n-${round}-${at}`, event_type: 'lock' },
        }),
      }),
      told: ({ payload }) => numberIn(payload?.eventId),
    },
    {
      topic: 'alerts',
      kind: 'alerts',
      // The evaluator stores changes before it tells them.
      store: (at) => database.insert(new Block(alertChangesTable, [toChangeRow(alertOf(round, at), 1)])),
      record: (at) => ({ key: `n-${round}-${at}`, value: encodeAlert(alertOf(round, at)) }),
      told: ({ payload }) =>
        String(payload?.alert_id).startsWith(`n-${round}-`) ? numberIn(payload?.alert_id) : undefined,
    },
  ];
}

const rounds = 2;
const events = 40;
const followersOfEach = 3;
/** Of these. */
const lastEvents = 8;

describe('a snapshot and the changes after it', () => {
  it('tell everything once, whenever the client subscribes while producers write and repeat themselves', async () => {
    const seed = 20_261_128;
    const random = createRandom(seed);
    const streams = Array.from({ length: rounds }, (_, round) => makeStreams(round)).flat();
    const sent = new Map<Stream, number>();
    const { producer, topics } = stand.telemetry;
    const produce = async (stream: Stream, followed: Promise<unknown>) => {
      for (let at = 0; at < events; at++) {
        // The last ones come when everybody has the state, so that there are changes however fast this machine is.
        if (at === events - lastEvents) await followed;
        const record = stream.record(at);
        await stream.store?.(at);
        // Some are sent twice, in one batch.
        const messages = random.below(4) === 0 ? [record, record] : [record];
        await producer.send({ topic: topics[stream.kind], acks: -1, messages });
        sent.set(stream, at + 1);
        if (random.below(3) === 0) await sleep(random.below(60));
      }
    };
    const follow = async (stream: Stream) => {
      const client = await open();
      const begun = random.below(events - lastEvents);
      while ((sent.get(stream) ?? 0) < begun) await sleep(5);
      await client.follow(stream.topic);
      return { stream, client };
    };
    const following = streams.map((stream) =>
      Promise.all(Array.from({ length: followersOfEach }, () => follow(stream))),
    );
    await Promise.all(streams.map((stream, at) => produce(stream, following[at] as Promise<unknown>)));
    const followers = (await Promise.all(following)).flat();
    const all = Array.from({ length: events }, (_, at) => at);
    let changes = 0;
    let states = 0;
    for (const { stream, client } of followers) {
      const snapshots = client.messages.filter(({ type }) => type === 'snapshot');
      expect(snapshots).toHaveLength(1);
      expect(snapshots[0]).toMatchObject({ complete: true, truncated: false });
      const state = (snapshots[0]?.messages ?? []).map(stream.told).filter((at) => at !== undefined);
      const told = () => [...state, ...client.told.map(stream.told).filter((at) => at !== undefined)];
      await expect.poll(() => new Set(told()).size, { message: `${stream.topic}, seed ${seed}` }).toBe(events);
      expect(
        told().sort((left, right) => left - right),
        `${stream.topic}, seed ${seed}`,
      ).toEqual(all);
      states += state.length;
      changes += told().length - state.length;
    }
    // Both happened, so that the seam was looked at.
    expect(Math.min(states, changes)).toBeGreaterThan(50);
  });

  it('tell once what was stored and read before the log brought it', async () => {
    const stored = sampleAlert({ alert_id: 'early', event_time: startedMs });
    const next = sampleAlert({ alert_id: 'early', event_time: startedMs + 1, state: 'acknowledged' });
    await database.insert(new Block(alertChangesTable, [toChangeRow(stored, 1)]));
    const client = await open();
    const { messages = [] } = await client.follow('alerts');
    const isIt = ({ payload }: SocketMessage) => payload?.alert_id === 'early';
    expect(messages.filter(isIt)).toHaveLength(1);
    for (const alert of [stored, next]) {
      await stand.telemetry.producer.send({
        topic: stand.telemetry.topics.alerts,
        acks: -1,
        messages: [{ key: alert.alert_id, value: encodeAlert(alert) }],
      });
    }
    await client.find((message) => isIt(message) && message.payload?.state === 'acknowledged');
    expect(client.told.filter(isIt).map(({ payload }) => payload?.state)).toEqual(['acknowledged']);
  });

  it('leave out nothing although something else is listed many times', async () => {
    const about = (id: string) => ({
      key: id,
      value: textOf({ workflow_id: 'crowd', execution_id: id, state: 'running', event_time: startedMs }),
    });
    await stand.telemetry.send('executions', [about('crowd-often'), about('crowd-once')]);
    await stand.telemetry.waitStored(60_000);
    await database.command(
      `INSERT INTO execution_list (workspace, workflow_id, state, at, source, execution_id)
       SELECT 'default', 'crowd', '', now64(3) - number, 'default', 'crowd-often' FROM numbers(400)`,
    );
    const client = await open();
    const { messages = [], truncated } = await client.follow('workflow:crowd');
    expect(messages.map(({ payload }) => payload?.id).sort()).toEqual(['crowd-often', 'crowd-once']);
    expect(truncated).toBe(false);
  });

  it('say so where the pipelines have not stored what was on Kafka before', async () => {
    const [pipeline] = stand.telemetry.processes;
    await pipeline?.stop();
    const witness = await open();
    expect(await witness.follow('execution:late')).toMatchObject({ complete: true, messages: [] });
    await stand.telemetry.send('executions', [
      {
        key: 'late',
        value: textOf({ workflow_id: 'late', execution_id: 'late', state: 'running', event_time: startedMs }),
      },
    ]);
    // Whoever asks before the service has read it is told of it as a change, to a state that is complete.
    await witness.find(({ payload }) => JSON.stringify(payload ?? {}).includes('"running"'));
    const client = await open();
    const early = client.follow('execution:late');
    await sleep(500);
    await stand.telemetry.send('executions', [
      {
        key: 'late',
        value: textOf({ workflow_id: 'late', execution_id: 'late', state: 'completed', event_time: startedMs + 5 }),
      },
    ]);
    expect(await early).toMatchObject({ complete: false, messages: [] });
    await client.find(({ payload }) => JSON.stringify(payload ?? {}).includes('"completed"'));
  });
});
