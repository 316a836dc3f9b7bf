import { describe, expect, it } from 'vitest';
import { createTopics } from '../../../pipelines/kafka.ts';
import type { AlertRecord, CommandRecord } from '../../../schemas/records.ts';
import { decodeCommand, encodeAlert } from '../../../schemas/wire.ts';
import { sealWebhook } from '../../../services/alerts/webhook-secret.ts';
import { NotifierStand, secretsKey } from './notifier-stand.ts';
import { isSigned, Receiver } from './receiver.ts';
import { sampleAlert } from './sample-alerts.ts';

const stand = await NotifierStand.create('notifier');
const { telemetry, topic, commandTopic, lines } = stand;

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
    const mine = await stand.subscribe(all.url);
    await stand.subscribe(some.url, { events: ['alert.resolved'], match: { rule_id: 'QUEUE_BACKLOG' } });
    await stand.subscribe(stranger.url, {}, 'rival');
    const disabled = await Receiver.open();
    await stand.subscribe(disabled.url, { enabled: false });
    const { metric } = await stand.start();
    const change = sampleAlert();
    const resolved = sampleAlert({ rule_id: 'QUEUE_BACKLOG', state: 'resolved' });
    const silenced = sampleAlert({ silenced_by: 'silence-1' });
    await stand.publish([change, resolved, silenced]);
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
    // What is written down is counted after.
    await expect.poll(() => metric('weir_notifications_total')).toContain('{channel="webhook",outcome="delivered"} 3');
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
      await stand.subscribe(good.url),
      await stand.subscribe(bad.url),
      await stand.subscribe(slow.url),
      await stand.subscribe(gone.url),
    ];
    await gone.close();
    const { metric } = await stand.start();
    const change = sampleAlert();
    await stand.publish([change]);
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
    await stand.publish([next]);
    await expect.poll(() => bad.ids.filter((id) => id === next.notification_id)).toHaveLength(1);
  });

  it('are told the rest by whoever goes on after a stop, and nothing twice', async () => {
    const [up, down] = [await Receiver.open(), await Receiver.open()];
    down.answer = (response) => response.writeHead(503).end();
    const [, late] = [await stand.subscribe(up.url), await stand.subscribe(down.url)];
    const slow = { WEIR_WEBHOOK_RETRY_MS: '300', WEIR_WEBHOOK_ATTEMPTS: '6' };
    const first = await stand.start(slow);
    const change = sampleAlert();
    await stand.publish([change]);
    await expect.poll(async () => (await standings(late.id))[0]?.status).toBe('retrying');
    await expect.poll(() => up.ids).toEqual([change.notification_id]);
    await stand.stop(first.notifier);
    const before = down.received.length;
    down.answer = (response) => response.end();
    await stand.start(slow);
    await expect.poll(async () => (await standings(late.id))[0]?.status).toBe('delivered');
    expect(down.received).toHaveLength(before + 1);
    expect((await standings(late.id))[0]?.attempts).toBeGreaterThan(1);
    // What stands on the topic twice, because its producer had to repeat itself, is told once.
    const after = sampleAlert();
    await stand.publish([after]);
    await expect.poll(() => up.ids).toContain(after.notification_id);
    await stand.publish([after, sampleAlert({ alert_id: 'last', notification_id: 'last' })]);
    await expect.poll(() => up.ids.at(-1)).toBe('last');
    expect(up.ids).toEqual([change.notification_id, after.notification_id, 'last']);
  });

  it('are told of a flood in a few requests, the most urgent in full and the rest in numbers', async () => {
    const receiver = await Receiver.open();
    const { id } = await stand.subscribe(receiver.url);
    const { metric } = await stand.start();
    const flood = Array.from({ length: 10_000 }, (_, at) =>
      sampleAlert({ severity: at % 100 === 7 ? 'critical' : 'warning' }),
    );
    await stand.publish(flood);
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
    const removed = await stand.subscribe(receiver.url);
    const inside = await stand.start({ WEIR_WEBHOOK_RETRY_MS: '5000', WEIR_WEBHOOK_ATTEMPTS: '9' });
    await stand.publish([sampleAlert()]);
    await expect.poll(() => receiver.received.length).toBeGreaterThan(0);
    await stand.writeEntry(removed.id, null);
    await expect.poll(async () => (await standings(removed.id)).map(({ status }) => status)).toEqual(['dropped']);
    await stand.stop(inside.notifier);
    const refused = await stand.subscribe(receiver.url);
    const foreign = await stand.subscribe(receiver.url, {
      sealed: sealWebhook('x'.repeat(32), { workspace: 'default', id: 'x' }, { url: receiver.url, secret: 's' }),
    });
    const calls = receiver.received.length;
    await stand.start({ WEIR_WEBHOOK_PRIVATE_TARGETS: 'false', WEIR_WEBHOOK_ATTEMPTS: '1' });
    await stand.publish([sampleAlert()]);
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
    const { notifier } = await stand.start();
    await stand.publish([stuck('asked-for-nothing')]);
    await expect
      .poll(async () =>
        (
          await telemetry.admin.fetchOffsets({ groupId: `${telemetry.topics.group}-notifier`, topics: [topic] })
        )[0]?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0),
      )
      .toBe(await stand.countRecords());
    await stand.stop(notifier);
    await stand.start({ WEIR_AUTO_REMEDIES: 'restart_task' });
    await stand.publish([
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
    await stand.publish([stuck('helped')]);
    await expect.poll(() => commands.length).toBe(2);
    expect(commands[1]?.request?.command_id).toBe(commands[0]?.request?.command_id);
    await consumer.disconnect();
  });
});

it('what cannot be read is said and passed over', async () => {
  const receiver = await Receiver.open();
  await stand.subscribe(receiver.url);
  const { metric } = await stand.start();
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
