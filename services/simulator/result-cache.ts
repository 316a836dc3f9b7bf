import type { ResultCache } from './play.ts';

interface CachedResult {
  output: unknown;
  durationMs: number;
}

/** Results by key until they expire. Entries that nobody asks for again would pile up, so the oldest give way. */
export class TimedResultCache implements ResultCache {
  readonly #entries = new Map<string, { result: CachedResult; expiresAtMs: number }>();
  readonly #entriesMax: number;

  constructor(entriesMax = 10_000) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, nowMs: number): CachedResult | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs < entry.expiresAtMs) return entry.result;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, result: CachedResult, expiresAtMs: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { result, expiresAtMs });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#entriesMax) return;
      this.#entries.delete(oldest);
    }
  }
}
