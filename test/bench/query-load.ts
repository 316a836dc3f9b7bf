import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchServers } from './servers.ts';
import { createFleetRecords } from './store-records.ts';

/** Clients that ask one after another without a pause, and telemetry that goes on coming in meanwhile. */

export interface Asking {
  address: string;
  headers: Record<string, string>;
}

export interface Answered {
  status: number;
  text: string;
}

export function ask({ address, headers }: Asking, agent?: Agent): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const sent = request(address, { headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
      );
    });
    sent.once('error', reject);
    sent.end();
  });
}

/** Milliseconds of each answer. A time of refusals is worth nothing. */
export async function measureAnswers(next: () => Asking, clients: number, seconds: number): Promise<number[]> {
  const times: number[] = [];
  // Connections of its own: those that nobody used for a while are closed by the service just when somebody does.
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const untilMs = performance.now() + seconds * 1000;
  const client = async () => {
    do {
      const asking = next();
      const startedMs = performance.now();
      const { status, text } = await ask(asking, agent);
      times.push(performance.now() - startedMs);
      if (status !== 200) throw new Error(`${asking.address} answered ${status}: ${text.slice(0, 500)}`);
    } while (performance.now() < untilMs);
  };
  try {
    await Promise.all(Array.from({ length: clients }, client));
  } finally {
    agent.destroy();
  }
  return times;
}

const tickMs = 50;
/** As much telemetry of the time before is sent first, so that as many runs end as begin. */
const leadMs = 60_000;

/** Sends so many task events a second as they fall due, with those of their executions, until it is stopped. */
export class SteadyIngest {
  readonly #servers: BenchServers;
  readonly #topics: Readonly<Record<'executions' | 'tasks', string>>;
  readonly #telemetry: ReturnType<typeof createFleetRecords>;
  #isOver = false;
  #sending: Promise<void> | null = null;
  #onCaughtUp: () => void = () => undefined;
  sent = 0;

  constructor(servers: BenchServers, topics: Readonly<Record<'executions' | 'tasks', string>>, rate: number) {
    this.#servers = servers;
    this.#topics = topics;
    const spanMs = 3_600_000;
    const taskRecords = Math.round((rate * spanMs) / 1000);
    this.#telemetry = createFleetRecords({ taskRecords, startMs: Date.now() - leadMs, spanMs, seed: Date.now() });
  }

  /** Resolves when the time before has been sent. */
  async start(): Promise<void> {
    const caughtUp = new Promise<void>((resolve) => {
      this.#onCaughtUp = resolve;
    });
    this.#sending = this.#send();
    await Promise.race([caughtUp, this.#sending]);
  }

  async #send(): Promise<void> {
    let waiting = this.#telemetry.next().value;
    while (!this.#isOver) {
      const byTopic = new Map<string, { key: string; value: Buffer; timestamp: string }[]>();
      let bytes = 0;
      // The broker refuses batches of more than a megabyte.
      while (waiting && waiting.timestampMs <= Date.now() && bytes < 700_000) {
        const { topic: kind, key, value, timestampMs } = waiting;
        const topic = this.#topics[kind];
        (byTopic.get(topic) ?? byTopic.set(topic, []).get(topic))?.push({ key, value, timestamp: String(timestampMs) });
        bytes += value.length + 80;
        this.sent++;
        waiting = this.#telemetry.next().value;
      }
      const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
      if (topicMessages.length > 0) await this.#servers.producer.sendBatch({ acks: -1, topicMessages });
      if (bytes >= 700_000) continue;
      this.#onCaughtUp();
      await sleep(tickMs);
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#sending;
  }
}
