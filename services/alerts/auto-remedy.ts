import { createHash } from 'node:crypto';
import type { Database } from '../../clickhouse/client.ts';
import { readPoolSize } from '../../clickhouse/queries/pool-size.ts';
import { createProducer, type Kafka, type Producer } from '../../pipelines/kafka.ts';
import type { AlertRecord, CommandRecord } from '../../schemas/records.ts';
import { encodeCommand } from '../../schemas/wire.ts';
import { adviseOn, commandOf, poolOf, type RemedyFacts } from './advice.ts';

interface AutoRemedyOptions {
  kafka: Kafka;
  database: Database;
  topic: string;
  /** Actions that need nobody; none of them by default. */
  automatic: readonly string[];
  log: { info(fields: object, message: string): void };
}

/** What has not been carried out by then is no answer to the alert any more. */
const expiryMs = 10 * 60_000;
/** Who is on record for the approval. */
const approver = 'WEIR_AUTO_REMEDIES';

/**
 * Asks orchestrators for what may be done without anybody, once for each alert that begins to fire. Whoever reads the
 * change again asks again for the same command, which is carried out once.
 */
export class AutoRemedy {
  readonly #options: AutoRemedyOptions;
  readonly #producer: Producer;

  constructor(options: AutoRemedyOptions) {
    this.#options = options;
    this.#producer = createProducer(options.kafka);
  }

  async start(): Promise<void> {
    if (this.#options.automatic.length > 0) await this.#producer.connect();
  }

  async stop(): Promise<void> {
    await this.#producer.disconnect();
  }

  async apply(change: AlertRecord): Promise<void> {
    const { automatic, topic, log } = this.#options;
    if (automatic.length === 0 || !beginsToFire(change)) return;
    const commands = planCommands(change, { ...(await this.#readFacts(change)), automatic });
    if (commands.length === 0) return;
    const messages = commands.map((command) => ({
      key: command.request?.command_id ?? '',
      value: encodeCommand(command),
    }));
    await this.#producer.send({ topic, acks: -1, messages });
    const kinds = commands.map(({ request }) => request?.kind);
    log.info(
      { alert: change.alert_id, workspace: change.workspace, kinds },
      'asked for what may be done without approval',
    );
  }

  async #readFacts(change: AlertRecord): Promise<RemedyFacts> {
    const pool = poolOf(change);
    return pool === null ? {} : await readPoolSize(this.#options.database, change.workspace ?? 'default', pool);
  }
}

const beginsToFire = ({ state, previous_state, silenced_by }: AlertRecord): boolean =>
  state === 'firing' && previous_state !== 'firing' && previous_state !== 'acknowledged' && (silenced_by ?? '') === '';

/** The same commands of the same change, whoever plans them and when. */
function planCommands(change: AlertRecord, facts: RemedyFacts): CommandRecord[] {
  const remedies = adviseOn(change, facts).filter(
    ({ approval_required, is_command }) => is_command && !approval_required,
  );
  return remedies.flatMap((remedy) => {
    const command = commandOf(change, remedy);
    if (command === null) return [];
    const { workspace = 'default', event_time: atMs } = change;
    const { source = 'default', kind, parameters, reason, ...about } = command;
    const key = `${change.alert_id} ${remedy.action}`;
    const request = {
      command_id: `cmd_${createHash('sha256')
        .update(JSON.stringify([workspace, key]))
        .digest('hex')
        .slice(0, 32)}`,
      idempotency_key: key,
      kind,
      orchestrator_id: null,
      workflow_id: about.workflow_id ?? null,
      execution_id: about.execution_id ?? null,
      task_id: about.task_id ?? null,
      pool_id: about.pool_id ?? null,
      queue_id: null,
      optimization_id: null,
      parameters: JSON.stringify(parameters),
      requested_by: `alert ${change.rule_id}`,
      reason,
      requested_at: atMs,
      expires_at: atMs + expiryMs,
      approval_required: true,
      approved_by: approver,
      approved_at: atMs,
    };
    return [{ workspace, source, request, outcome: null }];
  });
}
