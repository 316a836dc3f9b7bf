import type { LogRecord } from './decode.ts';
import type { Batch, KafkaMessage } from './kafka.ts';
import { FetchedRecord, noHeaders } from './kafka-fetch.ts';
import type { PipelineMetrics } from './metrics.ts';
import type { Rejection } from './rejections.ts';

/** What readers of a log share, whatever they make of its records. */

export function logRecordOf({ topic, partition }: Batch, message: KafkaMessage): LogRecord {
  const { key, value } = message;
  // Not so from a broker that keeps a format of records from before version 2.
  if (!(message instanceof FetchedRecord)) {
    const { offset, timestamp, headers } = message;
    return { topic, partition, offset: Number(offset), timestampMs: Number(timestamp), key, value, headers };
  }
  const { position: offset, timestampMs } = message;
  const headers = message.headers === noHeaders ? undefined : message.headers;
  return { topic, partition, offset, timestampMs, key, value, headers };
}

/** A record of a small log that cannot be read. */
export interface RejectedRecord {
  record: LogRecord;
  rejection: Rejection;
}

export function countRecords(
  metrics: Pick<PipelineMetrics, 'records' | 'rejected'>,
  topic: string,
  stored: number,
  rejected: readonly RejectedRecord[],
): void {
  metrics.records.inc({ topic, outcome: 'stored' }, stored);
  for (const { rejection } of rejected) {
    metrics.records.inc({ topic, outcome: 'dead_letter' });
    metrics.rejected.inc({ topic, reason: rejection.reason });
  }
}

interface PerseveranceOptions {
  topic: string;
  /** Before the step in the metric of retries. */
  label: string;
  isStopped(): boolean;
  /** True where an error is no matter of trying again; whoever says so has dealt with it. */
  isFinal?(error: unknown): boolean;
  metrics: Pick<PipelineMetrics, 'retries'>;
  log: { warn(fields: object, message: string): void };
}

const firstRetryMs = 100;
const longestRetryMs = 5_000;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Repeats what fails until it succeeds, since dropping a record is never the answer, and says each trouble once. */
export class Perseverance {
  readonly #options: PerseveranceOptions;
  /** What stands in the way now, '' where nothing does. */
  trouble = 'has not joined its consumer group yet';

  constructor(options: PerseveranceOptions) {
    this.#options = options;
  }

  async repeat(
    step: string,
    work: () => Promise<void>,
    { isOver, heartbeat }: { isOver(): boolean; heartbeat(): Promise<void> } = {
      isOver: () => this.#options.isStopped(),
      heartbeat: async () => undefined,
    },
  ): Promise<void> {
    for (let attempts = 1; !isOver(); attempts++) {
      try {
        await work();
        if (attempts > 1) this.trouble = '';
        return;
      } catch (error) {
        if (this.#options.isFinal?.(error) === true) return;
        this.#say(step, error as Error);
      }
      await sleep(Math.min(longestRetryMs, firstRetryMs * 2 ** (attempts - 1)));
      await heartbeat();
    }
  }

  #say(step: string, error: Error): void {
    const { topic, label, isStopped, log, metrics } = this.#options;
    if (isStopped()) return;
    const trouble = `${step} failed: ${error.message}`;
    metrics.retries.inc({ step: `${label} ${step}` });
    if (trouble !== this.trouble) log.warn({ topic }, `${topic}: ${trouble}; trying again`);
    this.trouble = trouble;
  }
}
