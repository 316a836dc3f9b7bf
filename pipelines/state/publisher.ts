import { randomUUID } from 'node:crypto';
import type { Database } from '../../clickhouse/client.ts';
import { readStateRejection, readStateVerdict } from '../../clickhouse/queries/state.ts';
import type { StateEntryName } from '../../clickhouse/tables/state.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { checkStateRecord, stateRecordKey, stateRevision } from '../../schemas/state.ts';
import { encodeStateRecord } from '../../schemas/wire.ts';
import { createProducer, type Kafka, type Producer } from '../kafka.ts';

export interface StatePublisherOptions {
  kafka: Kafka;
  /** Reads back what was published; needs no right to write. */
  database: Database;
  topic: string;
  epoch: number;
  /** How long a change may take until it can be read back. */
  timeoutMs?: number;
  nowMs?(): number;
}

export interface StateChange extends StateEntryName {
  changedBy: string;
  /** Anything JSON can say; a change of an entry replaces its whole value. */
  value: unknown;
  valueVersion?: number;
  /** Revision that the author has seen, 0 for none. Left out, the change overwrites whatever is there. */
  expectedRevision?: number;
  reason?: string;
  /** Sent again with the same id, a change of an entry counts once. */
  requestId?: string;
}

export interface StateReceipt {
  /** What the entry now is at; the next change names it as expected. */
  revision: number;
  previousRevision: number;
  /** The same request had been here before, and this is what it came to. */
  isRepeated: boolean;
}

export type StateFailureCode =
  /** The change itself is wrong; nothing was published. */
  | 'invalid'
  /** Somebody else has changed the entry since; it stays as it is. */
  | 'conflict'
  /** Kafka did not answer in time: the change may come in later, or never. */
  | 'unconfirmed'
  /** Kafka has it, and it will count in its turn, but it could not be read back in time. */
  | 'not_visible'
  /** The pipelines could not read the record. */
  | 'rejected';

export class StateFailure extends Error {
  readonly code: StateFailureCode;
  /** Of a conflict: what the entry is at, 0 where it was removed or has never been. */
  readonly currentRevision: number | null;

  constructor(code: StateFailureCode, message: string, currentRevision: number | null = null) {
    super(message);
    this.name = 'StateFailure';
    this.code = code;
    this.currentRevision = currentRevision;
  }
}

const defaultTimeoutMs = 10_000;
/** Each look costs the server that is to store the change, so they come further apart the longer it takes. */
const shortestLookMs = 15;
const longestLookMs = 50;
const lookShare = 0.2;
/** Hardly any change is rejected, so that is asked about once in so many looks. */
const looksForRejection = 5;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Puts changes on the state topic, and answers when they can be read back: who has made a change sees it. */
export class StatePublisher {
  readonly #options: StatePublisherOptions;
  readonly #producer: Producer;
  readonly #timeoutMs: number;

  constructor(options: StatePublisherOptions) {
    this.#options = options;
    this.#producer = createProducer(options.kafka);
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  }

  async connect(): Promise<void> {
    await this.#producer.connect();
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }

  /** Gives an entry a value. */
  async put(change: StateChange): Promise<StateReceipt> {
    return await this.#publish(change, encodeValue(change.value));
  }

  async remove(change: Omit<StateChange, 'value' | 'valueVersion'>): Promise<StateReceipt> {
    return await this.#publish(change, null);
  }

  async #publish(change: Omit<StateChange, 'value'>, value: string | null): Promise<StateReceipt> {
    const requestId = change.requestId ?? randomUUID();
    const record: StateRecord = {
      workspace: change.workspace,
      collection: change.collection,
      key: change.key,
      value,
      value_version: change.valueVersion ?? 1,
      revision: change.expectedRevision ?? null,
      deleted: value === null,
      changed_by: change.changedBy,
      reason: change.reason ?? null,
      request_id: requestId,
      changed_at: (this.#options.nowMs ?? Date.now)(),
    };
    const problem = checkStateRecord(record);
    if (problem !== null) throw new StateFailure('invalid', problem.wrong);
    const deadlineMs = performance.now() + this.#timeoutMs;
    const offset = await this.#send(record);
    return await this.#readBack(change, offset, requestId, deadlineMs);
  }

  /** Answers the offset. The client goes on trying for ever, a person does not wait so long. */
  async #send(record: StateRecord): Promise<number> {
    const { topic } = this.#options;
    const message = { key: stateRecordKey(record), value: encodeStateRecord(record), partition: 0 };
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<never>((_, reject) => {
      const text = `Kafka has not confirmed the change of ${record.collection} ${record.key} within ${this.#timeoutMs} ms; it may still come in. Send it again with the same request id: it counts once`;
      timer = setTimeout(() => reject(new StateFailure('unconfirmed', text)), this.#timeoutMs);
    });
    try {
      const sending = this.#producer.send({ topic, acks: -1, messages: [message] });
      const [metadata] = await Promise.race([sending, overdue]);
      return Number(metadata?.baseOffset);
    } catch (error) {
      if (error instanceof StateFailure) throw error;
      throw new StateFailure('unconfirmed', `Kafka did not take the change: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readBack(entry: StateEntryName, offset: number, requestId: string, deadlineMs: number): Promise<StateReceipt> {
    let trouble = '';
    const startedMs = performance.now();
    for (let looks = 1; ; looks++) {
      const waitedMs = performance.now() - startedMs;
      await sleep(Math.min(longestLookMs, Math.max(shortestLookMs, waitedMs * lookShare)));
      try {
        const receipt = await this.#look(entry, offset, requestId, looks % looksForRejection === 0);
        if (receipt !== null) return receipt;
        trouble = '';
      } catch (error) {
        if (error instanceof StateFailure) throw error;
        trouble = `: ${(error as Error).message}`;
      }
      if (performance.now() >= deadlineMs) break;
    }
    const text = `the change of ${entry.collection} ${entry.key} is at offset ${offset} of ${this.#options.topic}, but could not be read back within ${this.#timeoutMs} ms${trouble}; it will count in its turn. Look whether the pipelines run`;
    throw new StateFailure('not_visible', text);
  }

  async #look(
    entry: StateEntryName,
    offset: number,
    requestId: string,
    asksForRejection: boolean,
  ): Promise<StateReceipt | null> {
    const { database, topic, epoch } = this.#options;
    const revision = stateRevision(epoch, offset);
    const verdict = await readStateVerdict(database, entry, revision, requestId);
    if (verdict === null) {
      if (!asksForRejection) return null;
      const rejection = await readStateRejection(database, `${topic}@${epoch}`, offset);
      if (rejection === null) return null;
      throw new StateFailure('rejected', `the pipelines could not read the change: ${rejection.detail}`);
    }
    const { outcome, previousVer, requestVer } = verdict;
    if (outcome === 'applied') return { revision, previousRevision: previousVer, isRepeated: false };
    if (outcome === 'repeated') return { revision: requestVer, previousRevision: previousVer, isRepeated: true };
    const text = `somebody else has changed ${entry.collection} ${entry.key} since; read it again and repeat the change on what it is now`;
    throw new StateFailure('conflict', text, previousVer);
  }
}

function encodeValue(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new StateFailure('invalid', `value cannot be written as JSON: ${(error as Error).message}`);
  }
  if (text === undefined) throw new StateFailure('invalid', 'value is missing; remove() takes an entry away');
  return text;
}
