import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { Block } from '../../../clickhouse/block.ts';
import { Database } from '../../../clickhouse/client.ts';
import { alertChangesTable } from '../../../clickhouse/tables/alerts.ts';
import { stateTable } from '../../../clickhouse/tables/state.ts';
import { createTopics } from '../../../pipelines/kafka.ts';
import { alertCollections, type WebhookSubscription } from '../../../schemas/alerts.ts';
import type { AlertRecord } from '../../../schemas/records.ts';
import { parseSettings } from '../../../schemas/settings.ts';
import { encodeAlert } from '../../../schemas/wire.ts';
import { Notifier } from '../../../services/alerts/notifier.ts';
import { makeWebhookSecret, sealWebhook } from '../../../services/alerts/webhook-secret.ts';
import { createTelemetry, type Telemetry } from '../../support/pipeline-process.ts';
import { toChangeRow } from './sample-alerts.ts';

export const secretsKey = 'a key that only this test has, and nobody guesses';

interface Started {
  notifier: Notifier;
  registry: Registry;
  metric: (name: string) => Promise<string>;
}

/** Topics and tables of a test file's own, and notifiers that tell of what changes there. */
export class NotifierStand {
  readonly telemetry: Telemetry;
  readonly topic: string;
  readonly commandTopic: string;
  readonly database: Database;
  /** What notifiers logged. */
  readonly lines: string[] = [];
  readonly #running: Notifier[] = [];
  #version = 1;

  private constructor(telemetry: Telemetry) {
    this.telemetry = telemetry;
    this.topic = telemetry.topics.executions.replace('telemetry.executions', 'alerts');
    this.commandTopic = telemetry.topics.executions.replace('telemetry.executions', 'commands');
    this.database = new Database(telemetry.database);
  }

  /** Each test begins with nobody subscribed and nobody telling, however the one before has ended. */
  static async create(name: string): Promise<NotifierStand> {
    const stand = new NotifierStand(await createTelemetry(name));
    const { telemetry, topic } = stand;
    beforeAll(() => createTopics(telemetry.admin, [{ topic, partitions: 2, retentionMs: 86_400_000 }]));
    afterEach(async () => {
      await Promise.all(stand.#running.splice(0).map((notifier) => notifier.stop()));
      await Promise.all(['state', 'alert_changes'].map((table) => telemetry.database.query(`TRUNCATE TABLE ${table}`)));
    });
    afterAll(() => stand.database.close());
    return stand;
  }

  async start(env: Record<string, string> = {}): Promise<Started> {
    const parsed = parseSettings({
      ...this.telemetry.env,
      WEIR_TOPIC_ALERTS: this.topic,
      WEIR_TOPIC_COMMANDS: this.commandTopic,
      WEIR_SECRETS_KEY: secretsKey,
      WEIR_WEBHOOK_PRIVATE_TARGETS: 'true',
      WEIR_WEBHOOK_RETRY_MS: '50',
      WEIR_WEBHOOK_TIMEOUT_MS: '1000',
      WEIR_WEBHOOK_ATTEMPTS: '3',
      WEIR_PUBLIC_URL: 'https://weir.example.com',
      ...env,
    });
    if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
    const { lines, database } = this;
    const log = {
      info: (_: object, text: string) => void lines.push(text),
      warn: (fields: object, text: string) => void lines.push(`${text} ${JSON.stringify(fields)}`),
      error: (_: object, text: string) => void lines.push(text),
    };
    const registry = new Registry();
    const { kafka } = this.telemetry;
    const notifier = new Notifier({ settings: parsed.settings, kafka, database, registry, log });
    await notifier.start();
    this.#running.push(notifier);
    return { notifier, registry, metric: (name) => registry.getSingleMetricAsString(name) };
  }

  async stop(notifier: Notifier): Promise<void> {
    this.#running.splice(this.#running.indexOf(notifier), 1);
    await notifier.stop();
  }

  /** As the pipeline stores what the API's route publishes. */
  async writeEntry(key: string, value: object | null, workspace = 'default'): Promise<void> {
    const { webhooks: collection } = alertCollections;
    const entry = { workspace, collection, key, ver: this.#version++, valueVersion: 1, changedBy: 'test' };
    const text = value === null ? '' : JSON.stringify(value);
    const row = { ...entry, value: text, deleted: value === null, changedAtMs: Date.now() };
    await this.database.insert(new Block(stateTable, [row as never]));
  }

  async subscribe(url: string, given: Partial<WebhookSubscription> = {}, workspace = 'default') {
    const id = randomUUID();
    const secret = makeWebhookSecret();
    const sealed = sealWebhook(secretsKey, { workspace, id }, { url, secret });
    const value = { target: url, sealed, events: ['alert.*'], enabled: true, created_at: Date.now(), ...given };
    await this.writeEntry(id, value, workspace);
    return { id, secret, value };
  }

  /** What alerts were before anybody began to tell of them. */
  async storeChanges(changes: readonly AlertRecord[], version = 1): Promise<void> {
    const rows = changes.map((change) => toChangeRow(change, version));
    await this.database.insert(new Block(alertChangesTable, rows));
  }

  /** How many records the topic of alerts holds. */
  async countRecords(): Promise<number> {
    const ends = await this.telemetry.admin.fetchTopicOffsets(this.topic);
    return ends.reduce((sum, { high }) => sum + Number(high), 0);
  }

  async publish(changes: readonly AlertRecord[]): Promise<void> {
    const messages = changes.map((change) => ({ key: change.alert_id, value: encodeAlert(change) }));
    // A request to the broker may be a megabyte.
    for (let from = 0; from < messages.length; from += 1000) {
      await this.telemetry.producer.send({ topic: this.topic, acks: -1, messages: messages.slice(from, from + 1000) });
    }
  }
}
