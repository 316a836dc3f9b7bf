import type { Database } from './client.ts';
import type { KeptAnswers } from './kept-answers.ts';

/**
 * One question that the API asks, in SQL with typed parameters. It names the workspace itself, which lets the
 * sorting key be used; that no other workspace is ever seen is up to the row filters of the user that asks.
 */
export interface Question<Params, Row> {
  /** Says in query logs, in metrics and among slow queries what was asked. */
  name: string;
  /** Text of a question depends on its parameters only where no value can stand: which view, which columns. */
  sql: (params: Params) => string;
  /** How old an answer may be. Only what comes about a second after the telemetry anyway may be told a moment later. */
  keepMs?: number;
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
  /** Where answers are shared with others who ask the same in the same workspace. */
  kept?: KeptAnswers;
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
  readonly #kept: KeptAnswers | undefined;
  readonly #observe: (asked: Asked) => void;

  constructor(database: Database, { workspace, requestId, signal, kept }: AskScope, observe: (asked: Asked) => void) {
    this.workspace = workspace;
    this.#database = database;
    this.#requestId = requestId;
    this.#signal = signal;
    this.#kept = kept;
    this.#observe = observe;
  }

  /** Takes down what was asked in the name of the same request elsewhere. */
  readonly note = (asked: Asked): void => this.#observe(asked);

  async ask<Params extends object, Row>(question: Question<Params, Row>, params: Params): Promise<Row[]> {
    const { name, keepMs = 0 } = question;
    return await this.#ask<Row>(name, question.sql(params), { ...(params as Record<string, unknown>) }, { keepMs });
  }

  /** For questions of several steps, which all bear one name. */
  named(name: string): RowReader {
    return { rows: (sql, params = {}, settings = {}) => this.#ask(name, sql, params, { settings }) };
  }

  async #ask<Row>(
    name: string,
    sql: string,
    params: Record<string, unknown>,
    { settings = {}, keepMs = 0 }: { settings?: Record<string, string | number>; keepMs?: number },
  ): Promise<Row[]> {
    const { workspace } = this;
    const comment = JSON.stringify({ workspace, query: name, request: this.#requestId });
    const startedAtMs = performance.now();
    const all = { ...settings, log_comment: comment };
    const ask = (signal?: AbortSignal) => this.#database.ask<Row>(sql, { ...params, workspace }, all, signal);
    const { answer, isAsked } =
      keepMs === 0 || this.#kept === undefined
        ? { answer: await ask(this.#signal), isAsked: true }
        : await this.#kept.ask(JSON.stringify([workspace, sql, params]), { keepMs, signal: this.#signal }, ask);
    const { rows, readRows, readBytes } = answer;
    const durationMs = performance.now() - startedAtMs;
    if (isAsked) this.#observe({ name, durationMs, readRows, readBytes, rows: rows.length });
    return rows;
  }
}
