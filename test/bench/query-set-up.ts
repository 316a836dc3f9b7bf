import { Block } from '../../clickhouse/block.ts';
import type { Database } from '../../clickhouse/client.ts';
import { alertChangesTable } from '../../clickhouse/tables/alerts.ts';
import { webhookDeliveriesTable } from '../../clickhouse/tables/webhook-deliveries.ts';
import { exampleWorkflows } from '../../services/simulator/workflow-catalogue.ts';
import { sampleAlert, toChangeRow } from '../services/alerts/sample-alerts.ts';
import type { BenchServers } from './servers.ts';
import type { Subject } from './store-questions.ts';

/** What stands beside telemetry in every workspace: alerts, what people set up and asked for, and refused records. */

export interface SetUpSizes {
  alerts: number;
  commands: number;
  deadLetters: number;
}

/** Posts or puts in the name of a workspace; fails where it is refused. */
export type Change = (workspace: string, method: string, path: string, body: unknown) => Promise<{ id?: string }>;

/** Gives, by workspace, the names that addresses of routes need. */
export async function setUpWorkspaces(
  { database, change, subjects }: { database: Database; change: Change; subjects: readonly Subject[] },
  sizes: SetUpSizes,
): Promise<Map<string, Record<string, string>>> {
  const places = new Map<string, Record<string, string>>();
  for (const [workspace, [subject]] of Map.groupBy(subjects, (one) => one.workspace)) {
    if (subject === undefined) continue;
    await plantAlerts(database, subject, sizes.alerts);
    const commandId = await setUpByPeople(change, subject, sizes.commands);
    places.set(workspace, {
      alert_id: alertId(subject, 0),
      command_id: commandId,
      rule_id: 'QUEUE_BACKLOG',
      declared_workflow: declaredWorkflow,
    });
  }
  return places;
}

const declaredWorkflow = 'declared';
const alertId = ({ workspace }: Subject, at: number) => `${workspace}-alert-${at}`;
const states = ['pending', 'firing', 'acknowledged', 'resolved'] as const;

/** Most alerts of the last weeks are over; each changed a few times, and webhooks were told of it. */
async function plantAlerts(database: Database, subject: Subject, alerts: number): Promise<void> {
  const { workspace, workflow, task } = subject;
  const everyMs = (28 * 86_400_000) / alerts;
  const changes = Array.from({ length: alerts }, (_, at) => {
    const begunMs = Date.now() - 3_600_000 - Math.floor(at * everyMs);
    const last = at % 20 === 0 ? 2 : 4;
    return states.slice(0, last).map((state, change) => {
      const series = `task airflow/${workflow}/${task}/${at}`;
      const event_time = begunMs + change * 60_000;
      const named = { workspace, alert_id: alertId(subject, at), notification_id: `${alertId(subject, at)}-${change}` };
      return sampleAlert({ ...named, state, series, event_time, workflow_id: workflow, task_id: task });
    });
  });
  const rows = changes.flatMap((own) => own.map((alert, change) => toChangeRow(alert, change + 1)));
  await database.insert(new Block(alertChangesTable, rows));
  const deliveries = rows.map((row) => ({
    workspace,
    subscriptionId: `${workspace}-hook`,
    notificationId: row.notificationId,
    deliveryId: `${row.notificationId}-delivery`,
    event: `alert.${row.state}`,
    alertId: row.alertId,
    ruleId: row.ruleId,
    severity: row.severity,
    status: 'delivered' as const,
    attempts: 1,
    httpStatus: 204,
    lastError: '',
    changedAtMs: row.eventTimeMs,
    firstTriedAtMs: row.eventTimeMs + 500,
    lastTriedAtMs: row.eventTimeMs + 700,
  }));
  await database.insert(new Block(webhookDeliveriesTable, deliveries));
}

/** Over the API, as people do. Gives the id of a command. */
async function setUpByPeople(change: Change, { workspace, workflow, execution }: Subject, commands: number) {
  for (const version of ['1', '2', '3']) {
    const definition = { ...exampleWorkflows[0], id: declaredWorkflow, version };
    await change(workspace, 'PUT', `/api/v1/workflows/${declaredWorkflow}`, definition);
  }
  await change(workspace, 'PUT', '/api/v1/alerts/rules/QUEUE_BACKLOG', { severity: 'critical' });
  const silence = { match: { workflow_id: workflow }, duration_minutes: 60, comment: 'planned work' };
  await change(workspace, 'POST', '/api/v1/alerts/silences', silence);
  await change(workspace, 'POST', '/api/v1/webhooks/subscriptions', { url: 'https://example.com/hook' });
  let id = '';
  for (let at = 0; at < commands; at++) {
    const asked = { kind: 'pause', execution_id: execution, reason: `maintenance ${at}` };
    id = (await change(workspace, 'POST', '/api/v1/commands', asked)).id ?? '';
  }
  return id;
}

/** Records that have to be refused, in the name of each workspace; gives where one of each stands, by workspace. */
export async function sendRefused(
  { producer }: BenchServers,
  topic: string,
  workspaces: readonly string[],
  deadLetters: number,
): Promise<Map<string, Record<string, string>>> {
  const places = new Map<string, Record<string, string>>();
  for (const workspace of workspaces) {
    // Far enough to be read that it tells whose it is.
    const value = JSON.stringify({ workspace, workflow_id: 'without-a-time' });
    const messages = Array.from({ length: deadLetters }, () => ({ value }));
    const [written] = await producer.send({
      topic,
      acks: -1,
      messages: messages.map((one) => ({ ...one, partition: 0 })),
    });
    places.set(workspace, { topic, partition: '0', offset: written?.baseOffset ?? '' });
  }
  return places;
}
