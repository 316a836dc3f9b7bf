import { setTimeout as sleep } from 'node:timers/promises';

/** How far a partition of a stream is durable and visible: the last such offset. */
export interface Durable {
  stream: string;
  partition: number;
  last_offset: number;
}

/** Next offsets by partition, of one stream. */
export interface Mark {
  stream: string;
  positions: ReadonlyMap<number, number>;
}

const pollMs = 50;

/** Waits until the pipelines have stored what was on Kafka at some instant; one question serves all who wait. */
export class LedgerWatch {
  readonly #ask: () => Promise<Durable[]>;
  readonly #nowMs: () => number;
  #asking: Promise<Map<string, number>> | null = null;

  constructor(ask: () => Promise<Durable[]>, nowMs: () => number) {
    this.#ask = ask;
    this.#nowMs = nowMs;
  }

  /** False where it took longer than that. */
  async waitFor(marks: readonly Mark[], timeoutMs: number): Promise<boolean> {
    const untilMs = this.#nowMs() + timeoutMs;
    for (;;) {
      const durable = await this.#read();
      const isReached = marks.every(({ stream, positions }) =>
        [...positions].every(
          ([partition, next]) => next === 0 || (durable.get(`${stream}/${partition}`) ?? -1) >= next - 1,
        ),
      );
      if (isReached) return true;
      if (this.#nowMs() >= untilMs) return false;
      await sleep(pollMs);
    }
  }

  /** An answer that somebody else waits for will do: at worst it is asked once more. */
  #read(): Promise<Map<string, number>> {
    this.#asking ??= this.#askOnce();
    return this.#asking;
  }

  async #askOnce(): Promise<Map<string, number>> {
    try {
      const rows = await this.#ask();
      return new Map(rows.map(({ stream, partition, last_offset }) => [`${stream}/${partition}`, last_offset]));
    } finally {
      this.#asking = null;
    }
  }
}
