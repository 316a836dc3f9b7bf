import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../../clickhouse/block.ts';
import { Database } from '../../../clickhouse/client.ts';
import { alertChangesTable } from '../../../clickhouse/tables/alerts.ts';
import { stateTable } from '../../../clickhouse/tables/state.ts';
import { findFreePort } from '../../../deploy/local/ports.ts';
import { createTopics } from '../../../pipelines/kafka.ts';
import { alertCollections, type WebhookSubscription } from '../../../schemas/alerts.ts';
import type { AlertRecord, CommandRecord } from '../../../schemas/records.ts';
import { parseSettings } from '../../../schemas/settings.ts';
import { decodeCommand, encodeAlert } from '../../../schemas/wire.ts';
import { Notifier } from '../../../services/alerts/notifier.ts';
import { makeWebhookSecret, sealWebhook } from '../../../services/alerts/webhook-secret.ts';
import { createTelemetry } from '../../support/pipeline-process.ts';
import { findTool } from '../../support/prometheus-tools.ts';
import { isSigned, Receiver } from './receiver.ts';
import { sampleAlert, toChangeRow } from './sample-alerts.ts';

const telemetry = await createTelemetry('notifier');
const topic = telemetry.topics.executions.replace('telemetry.executions', 'alerts');
const commandTopic = telemetry.topics.executions.replace('telemetry.executions', 'commands');
const database = new Database(telemetry.database);
const secretsKey = 'a key that only this test has, and nobody guesses';
const lines: string[] = [];
const log = {
  info: (_: object, text: string) => void lines.push(text),
  warn: (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`),
  error: (_: object, text: string) => void lines.push(text),
};
const running: Notifier[] = [];

beforeAll(async () => {
  await createTopics(telemetry.admin, [{ topic, partitions: 2, retentionMs: 86_400_000 }]);
});

/** Each test begins with nobody subscribed and nobody telling, however the one before has ended. */
afterEach(async () => {
  await Promise.all(running.splice(0).map((notifier) => notifier.stop()));
  await Promise.all(['state', 'alert_changes'].map((table) => telemetry.database.query(`TRUNCATE TABLE ${table}`)));
});

afterAll(() => database.close());

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

function runBeside(file: string, args: readonly string[]): void {
  children.push(spawn(file, [...args], { stdio: 'ignore' }));
}

async function start(
  env: Record<string, string> = {},
): Promise<{ notifier: Notifier; registry: Registry; metric: (name: string) => Promise<string> }> {
  const parsed = parseSettings({
    ...telemetry.env,
    WEIR_TOPIC_ALERTS: topic,
    WEIR_TOPIC_COMMANDS: commandTopic,
    WEIR_SECRETS_KEY: secretsKey,
    WEIR_WEBHOOK_PRIVATE_TARGETS: 'true',
    WEIR_WEBHOOK_RETRY_MS: '50',
    WEIR_WEBHOOK_TIMEOUT_MS: '1000',
    WEIR_WEBHOOK_ATTEMPTS: '3',
    WEIR_PUBLIC_URL: 'https://weir.example.com',
    ...env,
  });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  const registry = new Registry();
  const { kafka } = telemetry;
  const notifier = new Notifier({ settings: parsed.settings, kafka, database, registry, log });
  await notifier.start();
  running.push(notifier);
  return { notifier, registry, metric: (name) => registry.getSingleMetricAsString(name) };
}

async function stop(notifier: Notifier): Promise<void> {
  running.splice(running.indexOf(notifier), 1);
  await notifier.stop();
}

/** As the pipeline stores what the API's route publishes. */
async function writeEntry(key: string, value: object | null, workspace = 'default'): Promise<void> {
  const entry = {
    workspace,
    collection: alertCollections.webhooks,
    key,
    ver: ver++,
    valueVersion: 1,
    changedBy: 'test',
  };
  const text = value === null ? '' : JSON.stringify(value);
  const row = { ...entry, value: text, deleted: value === null, changedAtMs: Date.now() };
  await database.insert(new Block(stateTable, [row as never]));
}
let ver = 1;

async function subscribe(url: string, given: Partial<WebhookSubscription> = {}, workspace = 'default') {
  const id = randomUUID();
  const secret = makeWebhookSecret();
  const sealed = sealWebhook(secretsKey, { workspace, id }, { url, secret });
  const value = { target: url, sealed, events: ['alert.*'], enabled: true, created_at: Date.now(), ...given };
  await writeEntry(id, value, workspace);
  return { id, secret, value };
}

/** How many records the topic of alerts holds. */
async function countRecords(): Promise<number> {
  const ends = await telemetry.admin.fetchTopicOffsets(topic);
  return ends.reduce((sum, { high }) => sum + Number(high), 0);
}

async function publish(changes: readonly AlertRecord[]): Promise<void> {
  const messages = changes.map((change) => ({ key: change.alert_id, value: encodeAlert(change) }));
  // A request to the broker may be a megabyte.
  for (let from = 0; from < messages.length; from += 1000) {
    await telemetry.producer.send({ topic, acks: -1, messages: messages.slice(from, from + 1000) });
  }
}

interface Standing {
  notification_id: string;
  status: string;
  attempts: number;
  http_status: number;
  last_error: string;
}
const standings = (id: string) =>
  telemetry.rows<Standing>(
    `SELECT notification_id, status, attempts, http_status, last_error FROM webhook_deliveries FINAL WHERE subscription_id = '${id}' ORDER BY notification_id`,
  );

describe('webhooks', () => {
  it('are told of what they want to know, signed, and of nothing else', async () => {
    const [all, some, stranger] = [await Receiver.open(), await Receiver.open(), await Receiver.open()];
    const mine = await subscribe(all.url);
    await subscribe(some.url, { events: ['alert.resolved'], match: { rule_id: 'QUEUE_BACKLOG' } });
    await subscribe(stranger.url, {}, 'rival');
    const disabled = await Receiver.open();
    await subscribe(disabled.url, { enabled: false });
    const { metric } = await start();
    const change = sampleAlert();
    const resolved = sampleAlert({ rule_id: 'QUEUE_BACKLOG', state: 'resolved' });
    const silenced = sampleAlert({ silenced_by: 'silence-1' });
    await publish([change, resolved, silenced]);
    await expect.poll(() => all.ids.toSorted()).toEqual([change.notification_id, resolved.notification_id].toSorted());
    await expect.poll(() => some.ids).toEqual([resolved.notification_id]);
    expect(all.received.every((received) => isSigned(received, mine.secret))).toBe(true);
    const told = all.received.flatMap(({ body }) => body.events).find(({ id }) => id === change.notification_id);
    expect(told).toMatchObject({
      type: 'alert.firing',
      alert: {
        alert_id: change.alert_id,
        type: 'HIGH_FAILURE_RATE',
        value: 0.23,
        fired_at: new Date(change.event_time).toISOString(),
      },
    });
    await expect
      .poll(() => standings(mine.id))
      .toEqual([
        { notification_id: change.notification_id, status: 'delivered', attempts: 1, http_status: 200, last_error: '' },
        {
          notification_id: resolved.notification_id,
          status: 'delivered',
          attempts: 1,
          http_status: 200,
          last_error: '',
        },
      ]);
    expect([stranger, disabled].map(({ received }) => received)).toEqual([[], []]);
    expect(await metric('weir_notifications_total')).toContain('{channel="webhook",outcome="delivered"} 3');
  });

  it('that are away are tried again, then given up with the reason, and hold up nobody', async () => {
    const [good, bad, slow, gone] = [
      await Receiver.open(),
      await Receiver.open(),
      await Receiver.open(),
      await Receiver.open(),
    ];
    bad.answer = (response) => response.writeHead(500).end('DB password is hunter2');
    slow.answer = () => undefined;
    const subscriptions = [
      await subscribe(good.url),
      await subscribe(bad.url),
      await subscribe(slow.url),
      await subscribe(gone.url),
    ];
    await gone.close();
    const { metric } = await start();
    const change = sampleAlert();
    await publish([change]);
    const ends = () => Promise.all(subscriptions.map(async ({ id }) => (await standings(id))[0]));
    await expect
      .poll(async () => (await ends()).map((row) => row?.status))
      .toEqual(['delivered', 'dead', 'dead', 'dead']);
    const [, failed, late, refused] = await ends();
    expect(failed).toMatchObject({ attempts: 3, http_status: 500, last_error: 'it answered 500' });
    expect(late).toMatchObject({ attempts: 3, http_status: 0, last_error: 'it did not answer within 1000 ms' });
    expect(refused?.last_error).toContain('ECONNREFUSED');
    expect(bad.received).toHaveLength(3);
    expect(new Set(bad.received.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set([change.notification_id]),
    );
    expect(good.received).toHaveLength(1);
    expect(await metric('weir_notifications_total')).toContain('outcome="dead"} 3');
    // Later ones go on meanwhile, and a target that is back is told again.
    bad.answer = (response) => response.end();
    const next = sampleAlert();
    await publish([next]);
    await expect.poll(() => bad.ids.filter((id) => id === next.notification_id)).toHaveLength(1);
  });

  it('are told the rest by whoever goes on after a stop, and nothing twice', async () => {
    const [up, down] = [await Receiver.open(), await Receiver.open()];
    down.answer = (response) => response.writeHead(503).end();
    const [, late] = [await subscribe(up.url), await subscribe(down.url)];
    const slow = { WEIR_WEBHOOK_RETRY_MS: '300', WEIR_WEBHOOK_ATTEMPTS: '6' };
    const first = await start(slow);
    const change = sampleAlert();
    await publish([change]);
    await expect.poll(async () => (await standings(late.id))[0]?.status).toBe('retrying');
    await expect.poll(() => up.ids).toEqual([change.notification_id]);
    await stop(first.notifier);
    const before = down.received.length;
    down.answer = (response) => response.end();
    await start(slow);
    await expect.poll(async () => (await standings(late.id))[0]?.status).toBe('delivered');
    expect(down.received).toHaveLength(before + 1);
    expect((await standings(late.id))[0]?.attempts).toBeGreaterThan(1);
    // What stands on the topic twice, because its producer had to repeat itself, is told once.
    const after = sampleAlert();
    await publish([after]);
    await expect.poll(() => up.ids).toContain(after.notification_id);
    await publish([after, sampleAlert({ alert_id: 'last', notification_id: 'last' })]);
    await expect.poll(() => up.ids.at(-1)).toBe('last');
    expect(up.ids).toEqual([change.notification_id, after.notification_id, 'last']);
  });

  it('are told of a flood in a few requests, the most urgent in full and the rest in numbers', async () => {
    const receiver = await Receiver.open();
    const { id } = await subscribe(receiver.url);
    const { metric } = await start();
    const flood = Array.from({ length: 10_000 }, (_, at) =>
      sampleAlert({ severity: at % 100 === 7 ? 'critical' : 'warning' }),
    );
    await publish(flood);
    const sum = () => receiver.received.reduce((total, { body }) => total + body.changes, 0);
    await expect.poll(sum).toBe(10_000);
    expect(receiver.received.length).toBeLessThan(50);
    const largest = receiver.received.map(({ body }) => body).toSorted((one, other) => other.changes - one.changes)[0];
    expect(largest.events.length).toBeLessThanOrEqual(100);
    expect(largest.left_out).toBe(largest.changes - largest.events.length);
    expect(largest.summary?.by_event).toEqual({ 'alert.firing': largest.changes });
    const critical = largest.summary?.by_severity?.critical ?? 0;
    expect(largest.events.filter(({ alert }) => alert.severity === 'critical')).toHaveLength(Math.min(100, critical));
    const counted = () =>
      telemetry.rows(
        `SELECT status, toUInt32(count()) AS n FROM webhook_deliveries FINAL WHERE subscription_id = '${id}' GROUP BY status`,
      );
    await expect.poll(counted).toEqual([{ status: 'delivered', n: 10_000 }]);
    await expect.poll(() => metric('weir_notifications_waiting')).toContain('{channel="webhook"} 0');
  });

  it('that are removed, or led to the inside, or sealed with another key, are called no more', async () => {
    const receiver = await Receiver.open();
    receiver.answer = (response) => response.writeHead(500).end();
    const removed = await subscribe(receiver.url);
    const inside = await start({ WEIR_WEBHOOK_RETRY_MS: '5000', WEIR_WEBHOOK_ATTEMPTS: '9' });
    await publish([sampleAlert()]);
    await expect.poll(() => receiver.received.length).toBeGreaterThan(0);
    await writeEntry(removed.id, null);
    await expect.poll(async () => (await standings(removed.id)).map(({ status }) => status)).toEqual(['dropped']);
    await stop(inside.notifier);
    const refused = await subscribe(receiver.url);
    const foreign = await subscribe(receiver.url, {
      sealed: sealWebhook('x'.repeat(32), { workspace: 'default', id: 'x' }, { url: receiver.url, secret: 's' }),
    });
    const calls = receiver.received.length;
    await start({ WEIR_WEBHOOK_PRIVATE_TARGETS: 'false', WEIR_WEBHOOK_ATTEMPTS: '1' });
    await publish([sampleAlert()]);
    await expect
      .poll(async () => (await standings(refused.id))[0])
      .toMatchObject({ status: 'dead', last_error: expect.stringContaining('private or loopback') });
    await expect
      .poll(async () => (await standings(foreign.id))[0])
      .toMatchObject({ status: 'dead', last_error: expect.stringContaining('WEIR_SECRETS_KEY') });
    expect(receiver.received).toHaveLength(calls);
  });
});

describe('orchestrators', () => {
  const commands: CommandRecord[] = [];

  it('are asked for what the settings let happen by itself, once, with who approved; for nothing without them', async () => {
    await createTopics(telemetry.admin, [{ topic: commandTopic, partitions: 1, retentionMs: 86_400_000 }]);
    const consumer = telemetry.kafka.consumer({ groupId: `${commandTopic}.test` });
    await consumer.connect();
    await consumer.subscribe({ topic: commandTopic, fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => void commands.push(decodeCommand(message.value as Buffer)),
    });
    const stuck = (alert_id: string, given: Partial<AlertRecord> = {}) =>
      sampleAlert({ alert_id, rule_id: 'EXECUTION_STUCK', execution_id: `run-${alert_id}`, ...given });
    const { notifier } = await start();
    await publish([stuck('asked-for-nothing')]);
    await expect
      .poll(async () =>
        (
          await telemetry.admin.fetchOffsets({ groupId: `${telemetry.topics.group}-notifier`, topics: [topic] })
        )[0]?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0),
      )
      .toBe(await countRecords());
    await stop(notifier);
    await start({ WEIR_AUTO_REMEDIES: 'restart_task' });
    await publish([
      stuck('pending', { state: 'pending' }),
      stuck('silenced', { silenced_by: 's' }),
      stuck('rising', { previous_state: 'firing', notification_id: 'rising' }),
      sampleAlert({ alert_id: 'failing', rule_id: 'HIGH_FAILURE_RATE' }),
      stuck('helped'),
    ]);
    await expect.poll(() => commands.map(({ request }) => request?.execution_id)).toEqual(['run-helped']);
    expect(commands[0]).toMatchObject({
      workspace: 'default',
      source: 'airflow',
      request: {
        kind: 'restart_task',
        task_id: 'join_orders',
        approved_by: 'WEIR_AUTO_REMEDIES',
        requested_by: 'alert EXECUTION_STUCK',
      },
    });
    // The same change again is the same command again, which orchestrators carry out once.
    await publish([stuck('helped')]);
    await expect.poll(() => commands.length).toBe(2);
    expect(commands[1]?.request?.command_id).toBe(commands[0]?.request?.command_id);
    await consumer.disconnect();
  });
});

describe('an Alertmanager', () => {
  it('is told of changes at once, and of all that fire again and again', async () => {
    const receiver = await Receiver.open();
    const posted = () =>
      receiver.received.flatMap(
        ({ text }) => JSON.parse(text) as { labels: Record<string, string>; endsAt: string; startsAt: string }[],
      );
    const stored = sampleAlert({ labels: { team: 'data', effects: '3' } });
    const pending = sampleAlert({ state: 'pending' });
    const silenced = sampleAlert({ silenced_by: 'silence-1' });
    await database.insert(
      new Block(
        alertChangesTable,
        [stored, pending, silenced].map((change) => toChangeRow(change, 1)),
      ),
    );
    receiver.answer = (response) => response.writeHead(receiver.received.length === 1 ? 500 : 200).end();
    const { metric } = await start({
      WEIR_ALERTMANAGER_URLS: receiver.url,
      WEIR_ALERTMANAGER_RESEND_MS: '1000',
    });
    const times = (alert: AlertRecord) => posted().filter(({ labels }) => labels.alert_id === alert.alert_id);
    await expect.poll(() => times(stored).length).toBeGreaterThan(2);
    expect(receiver.received[0]?.path).toBe('/api/v2/alerts');
    expect(times(stored)[0]).toMatchObject({
      labels: {
        alertname: 'TASK_HIGH_FAILURE_RATE',
        severity: 'critical',
        workspace: 'default',
        team: 'data',
        task_id: 'join_orders',
      },
      annotations: { summary: stored.title, recommendations: 'Look at the errors of the task.', effects: '3' },
      startsAt: new Date(stored.fired_at ?? 0).toISOString(),
      generatorURL: `https://weir.example.com/api/v1/alerts/${stored.alert_id}`,
    });
    expect(Date.parse(times(stored).at(-1)?.endsAt ?? '')).toBeGreaterThan(Date.now());
    const ended = {
      ...stored,
      state: 'resolved',
      notification_id: 'ended',
      resolved_at: Date.now(),
      event_time: Date.now(),
    };
    await publish([ended]);
    await expect.poll(() => times(stored).at(-1)?.endsAt).toBe(new Date(ended.resolved_at).toISOString());
    expect([...times(pending), ...times(silenced)]).toEqual([]);
    const requests = await metric('weir_notification_requests_total');
    expect(requests).toMatch(/channel="alertmanager",outcome="failed"} 1/);
    expect(requests).toMatch(/channel="alertmanager",outcome="succeeded"} \d/);
  });
});

const alertmanagerFile = findTool('prometheus-alertmanager');
const prometheusFile = findTool('prometheus');

describe.skipIf(alertmanagerFile === '' || prometheusFile === '')(
  'with a real Alertmanager and a real Prometheus',
  () => {
    it('an alert is active there from its fire to its end, and is counted', async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'weir-prometheus-'));
      const [alertsPort, prometheusPort, metricsPort] = [
        await findFreePort(),
        await findFreePort(),
        await findFreePort(),
      ];
      const alertsUrl = `http://127.0.0.1:${alertsPort}`;
      runBeside(alertmanagerFile, [
        `--config.file=${path.join(import.meta.dirname, '../../../deploy/prometheus/alertmanager.yml')}`,
        `--storage.path=${folder}/alertmanager`,
        `--web.listen-address=127.0.0.1:${alertsPort}`,
        '--cluster.listen-address=',
      ]);
      await expect.poll(async () => (await fetch(`${alertsUrl}/-/ready`).catch(() => null))?.ok).toBe(true);
      const alert = sampleAlert({ rule_id: 'QUEUE_BACKLOG', title: 'Queue orders backlog: 4200 messages' });
      await database.insert(new Block(alertChangesTable, [toChangeRow(alert, 1)]));
      const { registry } = await start({
        WEIR_ALERTMANAGER_URLS: alertsUrl,
        WEIR_ALERTMANAGER_RESEND_MS: '1000',
      });
      const active = async () =>
        (await (await fetch(`${alertsUrl}/api/v2/alerts?active=true`)).json()) as {
          labels: object;
          annotations: object;
        }[];
      await expect.poll(active).toMatchObject([
        {
          labels: { alertname: 'QUEUE_BACKLOG', severity: 'critical', workspace: 'default' },
          annotations: { summary: alert.title },
          receivers: [{ name: 'on-call' }],
        },
      ]);

      const metrics = createServer(async (_, response) => void response.end(await registry.metrics()));
      await new Promise<void>((resolve) => metrics.listen(metricsPort, '127.0.0.1', resolve));
      const scrape = `scrape_configs: [{ job_name: weir-alerts, scrape_interval: 1s, static_configs: [{ targets: ['127.0.0.1:${metricsPort}'] }] }]`;
      await writeFile(path.join(folder, 'prometheus.yml'), scrape);
      runBeside(prometheusFile, [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/prometheus`,
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
      ]);
      const ask = async () => {
        const query = encodeURIComponent('sum(weir_alert_firing{rule="QUEUE_BACKLOG"})');
        const answer = await fetch(`http://127.0.0.1:${prometheusPort}/api/v1/query?query=${query}`).catch(() => null);
        return (await answer?.json()) as unknown;
      };
      await expect
        .poll(ask, { timeout: 60_000 })
        .toMatchObject({ data: { result: [{ value: [expect.anything(), '1'] }] } });
      metrics.close();
      metrics.closeAllConnections();

      await publish([
        { ...alert, state: 'resolved', notification_id: 'end', resolved_at: Date.now(), event_time: Date.now() },
      ]);
      await expect.poll(active).toEqual([]);
    }, 120_000);
  },
);

describe('Prometheus', () => {
  it('is told how many alerts there are, by rule and by severity or state', async () => {
    const changes = [
      sampleAlert(),
      sampleAlert(),
      sampleAlert({ state: 'pending' }),
      sampleAlert({ silenced_by: 's' }),
      sampleAlert({ state: 'acknowledged' }),
    ];
    await database.insert(
      new Block(
        alertChangesTable,
        changes.map((change) => toChangeRow(change, 1)),
      ),
    );
    const ended = { ...changes[0], state: 'resolved', notification_id: 'ended' } as AlertRecord;
    await database.insert(new Block(alertChangesTable, [toChangeRow(ended, 2)]));
    const { metric } = await start();
    const rule = 'rule="TASK_HIGH_FAILURE_RATE"';
    expect(await metric('weir_alert_firing')).toContain(`{${rule},severity="critical"} 2`);
    const states = await metric('weir_alerts');
    for (const [state, count] of Object.entries({ firing: 1, acknowledged: 1, pending: 1, silenced: 1 })) {
      expect(states).toContain(`{${rule},state="${state}"} ${count}`);
    }
    expect(states).not.toContain('state="resolved"');
  });
});

it('what cannot be read is said and passed over', async () => {
  const receiver = await Receiver.open();
  await subscribe(receiver.url);
  const { metric } = await start();
  const change = sampleAlert();
  await telemetry.producer.send({
    topic,
    acks: -1,
    messages: [
      { key: 'x', value: 'no alert' },
      { key: change.alert_id, value: encodeAlert(change) },
      { key: 'y', value: null },
    ],
  });
  await expect.poll(() => receiver.ids).toContain(change.notification_id);
  expect(await metric('weir_alert_changes_total')).toContain('{outcome="unreadable"} 1');
  expect(lines.join('\n')).not.toContain(secretsKey);
});
