import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findFreePort } from '../../../deploy/local/ports.ts';
import type { AlertRecord } from '../../../schemas/records.ts';
import { findTool } from '../../support/prometheus-tools.ts';
import { NotifierStand } from './notifier-stand.ts';
import { Receiver } from './receiver.ts';
import { sampleAlert } from './sample-alerts.ts';

const stand = await NotifierStand.create('alertmanager');

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

function runBeside(file: string, args: readonly string[]): void {
  children.push(spawn(file, [...args], { stdio: 'ignore' }));
}

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
    await stand.storeChanges([stored, pending, silenced]);
    receiver.answer = (response) => response.writeHead(receiver.received.length === 1 ? 500 : 200).end();
    const { metric } = await stand.start({
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
    await stand.publish([ended]);
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
      await stand.storeChanges([alert]);
      const { registry } = await stand.start({
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

      await stand.publish([
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
    await stand.storeChanges(changes);
    const ended = { ...changes[0], state: 'resolved', notification_id: 'ended' } as AlertRecord;
    await stand.storeChanges([ended], 2);
    const { metric } = await stand.start();
    const rule = 'rule="TASK_HIGH_FAILURE_RATE"';
    expect(await metric('weir_alert_firing')).toContain(`{${rule},severity="critical"} 2`);
    const states = await metric('weir_alerts');
    for (const [state, count] of Object.entries({ firing: 1, acknowledged: 1, pending: 1, silenced: 1 })) {
      expect(states).toContain(`{${rule},state="${state}"} ${count}`);
    }
    expect(states).not.toContain('state="resolved"');
  });
});
