import type { Database } from './client.ts';

/**
 * One question that the API asks, in SQL with typed parameters. It names the workspace itself, which lets the
 * sorting key be used; that no other workspace is ever seen is up to the row filters of the user that asks.
 */
export interface Question<Params, Row> {
  /** Says in query logs, in metrics and among slow queries what was asked. */
  name: string;
  /** Text of a question depends on its parameters only where no value can stand: which view, which columns. */
  sql: (params: Params) => string;
  /** Never read: it gives rows their type. */
  row?: Row;
}

/** What one question cost. */
export interface Asked {
  name: string;
  durationMs: number;
  readRows: number;
  readBytes: number;
  rows: number;
}

export interface AskScope {
  workspace: string;
  requestId: string;
  /** Says that nobody waits for answers any more. */
  signal?: AbortSignal;
}

/** Answers questions whose text is put together where they are asked; the whole client, or one workspace of it. */
export interface RowReader {
  rows<Row>(
    question: string,
    params?: Record<string, unknown>,
    settings?: Record<string, string | number>,
  ): Promise<Row[]>;
}

/** Asks in the name of one workspace. */
export class WorkspaceReader {
  readonly workspace: string;
  readonly #database: Database;
  readonly #requestId: string;
  readonly #signal: AbortSignal | undefined;
  readonly #observe: (asked: Asked) => void;

  constructor(database: Database, { workspace, requestId, signal }: AskScope, observe: (asked: Asked) => void) {
    this.workspace = workspace;
    this.#database = database;
    this.#requestId = requestId;
    this.#signal = signal;
    this.#observe = observe;
  }

  /** Takes down what was asked in the name of the same request elsewhere. */
  readonly note = (asked: Asked): void => this.#observe(asked);

  async ask<Params extends object, Row>(question: Question<Params, Row>, params: Params): Promise<Row[]> {
    return await this.#ask<Row>(question.name, question.sql(params), { ...(params as Record<string, unknown>) });
  }

  /** For questions of several steps, which all bear one name. */
  named(name: string): RowReader {
    return { rows: (sql, params = {}, settings = {}) => this.#ask(name, sql, params, settings) };
  }

  async #ask<Row>(
    name: string,
    sql: string,
    params: Record<string, unknown>,
    settings: Record<string, string | number> = {},
  ): Promise<Row[]> {
    const { workspace } = this;
    const comment = JSON.stringify({ workspace, query: name, request: this.#requestId });
    const startedAtMs = performance.now();
    const all = { ...settings, log_comment: comment };
    const answer = await this.#database.ask<Row>(sql, { ...params, workspace }, all, this.#signal);
    const { rows, readRows, readBytes } = answer;
    const durationMs = performance.now() - startedAtMs;
    this.#observe({ name, durationMs, readRows, readBytes, rows: rows.length });
    return rows;
  }
}
