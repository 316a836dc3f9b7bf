import type { Type } from 'avsc';
import { parseAvroType } from '../schemas/avro-reader.ts';

/** Thrown when the registry cannot be asked now. Retry: the records are good, only their schema is not at hand. */
export class RegistryUnavailable extends Error {
  readonly retryable = true;
}

/** Why an id has no usable schema; the records that name it become dead letters. */
export interface MissingSchema {
  reason: 'unknown_schema' | 'unreadable_schema';
  detail: string;
}

export interface SchemaRegistryOptions {
  /** Base address, for example http://schemas.internal:8081 or with a path in front of /schemas. */
  url: string;
  username?: string;
  password?: string;
  requestTimeoutMs?: number;
  /** How long an id the registry did not know is not asked for again. */
  missingForMs?: number;
  /** Injected in tests. */
  fetch?: typeof fetch;
  nowMs?: () => number;
}

const schemaRegistryDefaults = { requestTimeoutMs: 5000, missingForMs: 30_000 } as const;

/**
 * Client of a schema registry with the Confluent REST interface. A schema never changes under its id, so
 * what was found is kept for good; what was not found is asked again after a while, because a replica
 * of the registry may lag behind the producer.
 */
export class SchemaRegistry {
  readonly #options: SchemaRegistryOptions;
  readonly #types = new Map<number, Type>();
  readonly #missing = new Map<number, MissingSchema & { untilMs: number }>();
  readonly #pending = new Map<number, Promise<void>>();

  constructor(options: SchemaRegistryOptions) {
    this.#options = options;
  }

  /** The writer schema of an id once `resolve` has answered for it; undefined where it has not been asked. */
  lookUp(id: number): Type | MissingSchema | undefined {
    return this.#types.get(id) ?? this.#missing.get(id);
  }

  isResolved(id: number): boolean {
    if (this.#types.has(id)) return true;
    const missing = this.#missing.get(id);
    return missing !== undefined && missing.untilMs > this.#now();
  }

  /** Asks for an id once however many wait for it; rejects with RegistryUnavailable when there is no answer. */
  resolve(id: number): Promise<void> {
    let pending = this.#pending.get(id);
    if (pending === undefined) {
      pending = this.#ask(id).finally(() => this.#pending.delete(id));
      this.#pending.set(id, pending);
    }
    return pending;
  }

  async #ask(id: number): Promise<void> {
    const response = await this.#request(id);
    if (response.status === 404) {
      this.#markMissing(id, 'unknown_schema', `the registry has no schema ${id}`);
      return;
    }
    if (response.status !== 200) {
      // Also 401 and 403: the setting can be mended, while dead letters would have to be replayed.
      throw new RegistryUnavailable(`schema registry answered ${response.status} for schema ${id}`);
    }
    let answer: { schema?: unknown; schemaType?: unknown };
    try {
      answer = JSON.parse(response.body);
    } catch {
      // A proxy or a half-started server answers with a page of its own.
      throw new RegistryUnavailable(`schema registry sent no JSON for schema ${id}`);
    }
    if (typeof answer?.schema !== 'string') throw new RegistryUnavailable(`schema registry sent no schema for ${id}`);
    if (answer.schemaType !== undefined && answer.schemaType !== 'AVRO') {
      this.#markMissing(id, 'unreadable_schema', `schema ${id} is ${String(answer.schemaType).slice(0, 20)}, not Avro`);
      return;
    }
    try {
      this.#types.set(id, parseAvroType(JSON.parse(answer.schema)));
      this.#missing.delete(id);
    } catch (error) {
      this.#markMissing(id, 'unreadable_schema', `schema ${id} cannot be parsed: ${String(error).slice(0, 200)}`);
    }
  }

  async #request(id: number): Promise<{ status: number; body: string }> {
    const { url, username, password, requestTimeoutMs = schemaRegistryDefaults.requestTimeoutMs } = this.#options;
    const headers: Record<string, string> = { accept: 'application/vnd.schemaregistry.v1+json, application/json' };
    if (username !== undefined) {
      headers.authorization = `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
    }
    try {
      const send = this.#options.fetch ?? fetch;
      const signal = AbortSignal.timeout(requestTimeoutMs);
      const response = await send(`${url.replace(/\/+$/, '')}/schemas/ids/${id}`, { headers, signal });
      return { status: response.status, body: await response.text() };
    } catch (error) {
      throw new RegistryUnavailable(`schema registry does not answer for schema ${id}: ${causeOf(error)}`);
    }
  }

  #markMissing(id: number, reason: MissingSchema['reason'], detail: string): void {
    const untilMs = this.#now() + (this.#options.missingForMs ?? schemaRegistryDefaults.missingForMs);
    // Noise may name any id; the oldest answer makes room.
    if (this.#missing.size >= 10_000) this.#missing.delete(this.#missing.keys().next().value as number);
    this.#missing.set(id, { reason, detail, untilMs });
  }

  #now(): number {
    return (this.#options.nowMs ?? Date.now)();
  }
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? `${(cause as NodeJS.ErrnoException).code ?? cause.name}` : 'unknown';
}
