import { createHash } from 'node:crypto';
import { ApiError } from './errors.ts';

interface Remembered {
  bodyHash: string;
  expiresAtMs: number;
  outcome: Promise<unknown>;
}

const rememberedMs = 24 * 3_600_000;
const mostRemembered = 50_000;

/**
 * Answers a request that is repeated under the same key as it was answered the first time. It is a courtesy of one
 * instance and no guarantee: that an event counts once, whoever it is sent to and however often, rests on its identity.
 */
export class IdempotencyKeys {
  readonly #known = new Map<string, Remembered>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `scope` tells callers apart; requests that fail are forgotten, so that they can be repeated. */
  async run<Outcome>(scope: readonly string[], body: unknown, action: () => Promise<Outcome>): Promise<Outcome> {
    const name = JSON.stringify(scope);
    const bodyHash = createHash('sha256').update(JSON.stringify(body)).digest('base64');
    const known = this.#known.get(name);
    if (known !== undefined && known.expiresAtMs > this.#nowMs()) {
      if (known.bodyHash === bodyHash) return known.outcome as Promise<Outcome>;
      throw new ApiError('idempotency_conflict', 'The Idempotency-Key was used for another request.');
    }
    const outcome = action();
    this.#remember(name, { bodyHash, expiresAtMs: this.#nowMs() + rememberedMs, outcome });
    outcome.catch(() => this.#known.delete(name));
    return outcome;
  }

  #remember(name: string, entry: Remembered): void {
    this.#known.delete(name);
    this.#known.set(name, entry);
    // The oldest stand first.
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= mostRemembered) return;
      this.#known.delete(oldest);
    }
  }
}
