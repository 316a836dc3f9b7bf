import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  controlMessages,
  type LiveTopicKind,
  liveMessages,
  liveTopicKinds,
  telemetryEvents,
  wholeTopicKinds,
} from '../../../schemas/live.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { SocketClient, type SocketMessage } from '../../support/socket-client.ts';
import { reportEverything } from './live-records.ts';

/** Two workspaces that report the same things, in which every name bears the mark of its owner. */
const owners = [
  { workspace: 'Acme Ltd', mark: 'acme' },
  { workspace: 'rival', mark: 'rival' },
] as const;
type Owner = (typeof owners)[number];

const stand = await QueryStand.create('live-topics');
const keys = new Map<string, string>();
const clients: SocketClient[] = [];
const atMs = Date.now() - 60_000;

async function open(path: string, owner: Owner): Promise<SocketClient> {
  const client = await SocketClient.open(`${stand.address}${path}`, { key: keys.get(owner.mark) });
  clients.push(client);
  return client;
}

beforeAll(async () => {
  for (const { workspace, mark } of owners) keys.set(mark, await stand.makeKey('viewer', [workspace]));
  await stand.telemetry.startReady();
  for (const owner of owners) await reportEverything(stand, owner, atMs);
  await stand.telemetry.waitStored(60_000);
  // What the evaluator of alerts writes beside the topic.
  for (const { workspace, mark } of owners) {
    await stand.telemetry.database.query(
      `INSERT INTO alert_changes (workspace, alert_id, ver, notification_id, rule_id, severity, state, subject_id, title, event_time)
       VALUES ('${workspace}', '${mark}-alert', 1, '${mark}-1', 'EXECUTION_STUCK', 'warning', 'firing', '${mark}-run', '${mark}', fromUnixTimestamp64Milli(${atMs}))`,
    );
  }
  await stand.startService();
});
afterAll(() => {
  for (const client of clients) client.close();
});

/** How each kind is followed, and which messages tell of it. A kind that is missing here fails to compile. */
const cases: Record<LiveTopicKind, { id: (mark: string) => string; types: string[] }> = {
  execution: { id: (mark) => `${mark}-run`, types: ['execution_update', 'task_update'] },
  workflow: { id: (mark) => `${mark}-orders`, types: ['execution_update', 'task_update'] },
  task: { id: (mark) => `${mark}-load`, types: ['task_execution', 'task_failure'] },
  pattern: { id: (mark) => `${mark}-orders`, types: ['pattern_detected'] },
  orchestrator: {
    id: (mark) => `${mark}-airflow`,
    types: ['orchestrator_update', 'worker_update', 'scaling_event', 'coordination_event'],
  },
  'worker-pool': { id: (mark) => `${mark}-pool`, types: ['worker_update', 'scaling_event'] },
  coordination: { id: (mark) => `${mark}-airflow`, types: ['coordination_event'] },
  'scaling-events': { id: () => '', types: ['scaling_event'] },
  alerts: { id: () => '', types: ['alert'] },
};
const topicOf = (kind: LiveTopicKind, mark: string): string =>
  wholeTopicKinds.has(kind) ? kind : `${kind}:${cases[kind].id(mark)}`;
const kinds = Object.keys(liveTopicKinds) as LiveTopicKind[];

/** The sockets whose address says what they follow. */
const sockets: Record<string, { path: (mark: string) => string; events: string[] }> = {
  workflow: {
    path: (mark) => `/ws/workflows/${mark}-orders`,
    events: Object.keys(telemetryEvents),
  },
  step: {
    path: (mark) => `/ws/workflows/${mark}-orders/step/${mark}-load`,
    events: ['step_started', 'step_completed', 'step_failed'],
  },
  execution: {
    path: (mark) => `/api/v1/workflows/executions/${mark}-run/ws`,
    events: ['execution_update', 'task_update'],
  },
};

function checkForm(message: SocketMessage): void {
  const { type, event } = message;
  const known =
    event === undefined
      ? liveMessages[type as keyof typeof liveMessages]?.schema
      : telemetryEvents[event as keyof typeof telemetryEvents];
  expect(known, JSON.stringify(message)).toBeDefined();
  expect([...Value.Errors(known, message)], JSON.stringify(message)).toEqual([]);
}

const nameOf = ({ type, event }: SocketMessage): string => type ?? event ?? '';
/** Whether anything but the topic, which is the client's own, bears the mark. */
const mentions = ({ messages }: SocketClient, { mark }: Owner): boolean =>
  JSON.stringify(messages, (name, value) => (name === 'topic' ? undefined : value)).includes(mark);

describe('messages', () => {
  it('have a case here for each type', () => {
    const covered = new Set(Object.values(cases).flatMap(({ types }) => types));
    expect([...covered].sort()).toEqual(Object.keys(liveMessages).sort());
    for (const kind of kinds) {
      const told = Object.entries(liveMessages).filter(([, { topics }]) =>
        (topics as readonly string[]).includes(kind),
      );
      expect(told.map(([type]) => type).sort(), kind).toEqual([...cases[kind].types].sort());
    }
  });
});

describe('what is followed', () => {
  it('is told to its owner, and to nobody else', async () => {
    const followers: { client: SocketClient; owner: Owner; stranger: SocketClient; types: string[]; kind: string }[] =
      [];
    for (const owner of owners) {
      const other = owners.find((one) => one !== owner) as Owner;
      for (const kind of kinds) {
        const topic = topicOf(kind, owner.mark);
        const [client, stranger] = [await open('/ws', owner), await open('/ws', other)];
        const [own, strange] = [await client.follow(topic), await stranger.follow(topic)];
        expect([...Value.Errors(controlMessages.snapshot, own)]).toEqual([]);
        expect(own.complete).toBe(true);
        // The state is told by the same messages as changes.
        expect(JSON.stringify(own.messages), topic).toContain(owner.mark);
        for (const message of own.messages ?? []) checkForm(message);
        expect(JSON.stringify(strange.messages), topic).not.toContain(owner.mark);
        followers.push({ client, owner, stranger, types: cases[kind].types, kind });
      }
      for (const [kind, { path, events }] of Object.entries(sockets)) {
        const [client, stranger] = [await open(path(owner.mark), owner), await open(path(owner.mark), other)];
        followers.push({ client, owner, stranger, types: events, kind });
      }
    }
    for (const { client, stranger } of followers) {
      client.messages.length = 0;
      stranger.messages.length = 0;
    }
    for (const owner of owners) await reportEverything(stand, owner, atMs + 30_000);
    for (const { client, owner, types, kind } of followers) {
      await expect
        .poll(() => [...new Set(client.told.map(nameOf))].sort(), { message: `${kind} of ${owner.mark}` })
        .toEqual([...types].sort());
      expect(mentions(client, owner), kind).toBe(true);
      for (const message of client.told) checkForm(message);
    }
    // Everybody has been told by now, and what comes after it shows that nothing was on its way.
    for (const { client, stranger } of followers) for (const one of [client, stranger]) one.send({ action: 'ping' });
    for (const { stranger, owner, kind } of followers) {
      await stranger.find((message) => nameOf(message) === 'pong');
      expect(mentions(stranger, owner), `${kind}: ${stranger.describe()}`).toBe(false);
    }
  });
});
