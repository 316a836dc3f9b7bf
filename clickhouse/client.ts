import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseError, createClient } from '@clickhouse/client';
import type { Block } from './block.ts';

export interface DatabaseOptions {
  url: string;
  user: string;
  password: string;
  database: string;
  tlsCaFile?: string;
  /** How long one request may take before it counts as failed and is repeated. */
  requestTimeoutMs?: number;
  /** Sent with every request. */
  settings?: Record<string, string | number>;
}

/** Errors that repeating cannot cure: somebody has to change a schema, a grant or a setting first. */
const incurableCodes = new Set([
  '6', // cannot parse text
  '10', // no such column in block
  '16', // no such column in table
  '20', // number of columns does not match
  '27', // cannot parse input
  '33', // cannot read all data
  '36', // bad arguments
  '46', // unknown function
  '47', // unknown identifier
  '50', // unknown type
  '53', // type mismatch
  '60', // unknown table
  '62', // syntax error
  '81', // unknown database
  '115', // unknown setting
  '117', // incorrect data
  '164', // the user may only read
  '192', // unknown user
  '193', // wrong password
  '349', // no value for a column that needs one
  '452', // a setting the user may not change
  '497', // access denied
  '516', // authentication failed
]);

/** Rows of an answer, how large they are as text, and what ClickHouse read to find them. */
export interface Answer<Row> {
  rows: Row[];
  bytes: number;
  readRows: number;
  readBytes: number;
}

export class DatabaseError extends Error {
  readonly code: string;
  /** False where the same statement would fail the same way for ever. */
  readonly retryable: boolean;

  constructor(message: string, code: string, retryable: boolean, cause: unknown) {
    super(message, { cause });
    this.name = 'DatabaseError';
    this.code = code;
    this.retryable = retryable;
  }
}

function toDatabaseError(error: unknown): DatabaseError {
  if (error instanceof DatabaseError) return error;
  if (error instanceof ClickHouseError) {
    const summary = error.message.split('\n')[0] ?? '';
    return new DatabaseError(summary.slice(0, 500), error.code, !incurableCodes.has(error.code), error);
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return new DatabaseError(`ClickHouse cannot be reached: ${message}`, 'connection', true, error);
}

/**
 * Idempotence comes from the rows' own keys, so the server's own deduplication stays off: its log can outlive the
 * part it speaks of after a crash, and the repeated insert would then be dropped for good.
 */
const insertSettings = {
  async_insert: 0,
  deduplicate_insert: 'disable',
  insert_deduplicate: 0,
  wait_end_of_query: 1,
  // Rows of one insert hardly ever share a key, so merging them on the way in would only cost.
  optimize_on_insert: 0,
  max_execution_time: 60,
} as const;

/** The only door to ClickHouse. */
export class Database {
  readonly name: string;
  readonly #client: ClickHouseClient;

  constructor(options: DatabaseOptions) {
    this.name = options.database;
    this.#client = createClient({
      url: options.url,
      username: options.user,
      password: options.password,
      database: options.database,
      request_timeout: options.requestTimeoutMs ?? 90_000,
      application: 'weir',
      log: { level: 127 },
      max_open_connections: 16,
      keep_alive: { enabled: true, idle_socket_ttl: 1500 },
      clickhouse_settings: {
        date_time_output_format: 'iso',
        output_format_json_quote_64bit_integers: 0,
        ...options.settings,
      },
      ...(options.tlsCaFile === undefined || options.tlsCaFile === ''
        ? {}
        : { tls: { ca_cert: readFileSync(options.tlsCaFile) } }),
    });
  }

  /** Runs a statement that answers nothing. */
  async command(statement: string, settings: Record<string, string | number> = {}): Promise<void> {
    try {
      await this.#client.command({ query: statement, clickhouse_settings: { ...settings, wait_end_of_query: 1 } });
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  /** Rows of a question, one object each; 64-bit integers as numbers where they are safe to be. */
  async rows<Row>(
    question: string,
    params: Record<string, unknown> = {},
    settings: Record<string, string | number> = {},
  ): Promise<Row[]> {
    try {
      const answer = await this.#client.query({
        query: question,
        format: 'JSONEachRow',
        query_params: params,
        clickhouse_settings: settings,
      });
      return await answer.json<Row>();
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  /**
   * Rows of a question whose answer is small enough to be held by the server until it is complete: so a question
   * that fails half way fails as a whole. When the signal says that nobody waits for it, the connection is closed, and with
   * it the server ends the question.
   */
  async ask<Row>(
    question: string,
    params: Record<string, unknown>,
    settings: Record<string, string | number>,
    signal?: AbortSignal,
  ): Promise<Answer<Row>> {
    try {
      const answer = await this.#client.query({
        query: question,
        format: 'JSONEachRow',
        query_params: params,
        clickhouse_settings: { ...settings, wait_end_of_query: 1 },
        ...(signal === undefined ? {} : { abort_signal: signal }),
      });
      const text = await answer.text();
      // Line breaks of values are escaped, so each of the text ends a row.
      const rows = JSON.parse(`[${text.trimEnd().replaceAll('\n', ',')}]`) as Row[];
      const header = answer.response_headers['x-clickhouse-summary'];
      const summary = JSON.parse(typeof header === 'string' ? header : '{}') as Record<string, string>;
      const { read_rows: readRows = 0, read_bytes: readBytes = 0 } = summary;
      return { rows, bytes: text.length, readRows: Number(readRows), readBytes: Number(readBytes) };
    } catch (error) {
      if (signal?.aborted) throw new DatabaseError('nobody waits for the answer any more', 'aborted', false, error);
      throw toDatabaseError(error);
    }
  }

  /** The answer as raw bytes in the format the question names. */
  async stream(question: string, params: Record<string, unknown> = {}): Promise<Readable> {
    try {
      const answer = await this.#client.exec({ query: question, query_params: params });
      return answer.stream;
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  async insert<Row>(block: Block<Row>): Promise<void> {
    if (block.rows === 0) return;
    const { columns, body } = block.encode();
    try {
      const answer = await this.#client.exec({
        query: `INSERT INTO ${block.table.name} (${columns.map((name) => `\`${name}\``).join(', ')}) FORMAT Native`,
        values: Readable.from(body, { objectMode: false }),
        clickhouse_settings: insertSettings,
      });
      for await (const _ of answer.stream);
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  /** Runs an INSERT … SELECT, which the server does alone; answers how many rows it wrote. */
  async insertSelect(
    statement: string,
    params: Record<string, unknown> = {},
    settings: Record<string, string | number> = {},
  ): Promise<number> {
    try {
      const { summary } = await this.#client.command({
        query: statement,
        query_params: params,
        clickhouse_settings: { ...settings, ...insertSettings },
      });
      return Number(summary?.written_rows ?? 0);
    } catch (error) {
      throw toDatabaseError(error);
    }
  }

  async ping(): Promise<boolean> {
    return (await this.#client.ping()).success;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
