import type { Answer, Database } from './client.ts';
import type { Gathered, GatheredAsks } from './gathered-asks.ts';
import type { KeepMs, KeptAnswers } from './kept-answers.ts';
import type { KeptRows, RowMemory } from './kept-rows.ts';

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
  keepMs?: KeepMs<Row>;
  /** Never read: it gives rows their type. */
  row?: Row;
}

/** A question about one thing, which several who ask about different things at once are answered by one. */
export interface GatheredQuestion<Ask, Row> {
  name: string;
  /** How old an answer may be, as of other questions; it may be up to what is told. */
  keepMs?: number | ((ask: Ask, rows: readonly Row[], nowMs: number, tookMs: number) => number);
  /** About all that the parameters name; which columns and tables may be up to the asks. */
  sql: string | ((asks: readonly Ask[]) => string);
  params: (asks: readonly Ask[]) => Record<string, unknown>;
  /** Only what this says the same of is asked together. */
  alike: (ask: Ask) => unknown;
  keyOfAsk: (ask: Ask) => string;
  keyOfRow: (row: Row) => string;
  /** Tells all of this of the same ask, and more: where it has just been asked, nothing else is. */
  within?: GatheredQuestion<Ask, never>;
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
  /** When whoever waits for answers began to, by `performance.now()`. */
  sinceMs?: number;
  /** Says that nobody waits for answers any more. */
  signal?: AbortSignal;
  /** Where answers are shared with others who ask the same in the same workspace. */
  kept?: KeptAnswers;
  /** Where questions about one thing are put together with others of the same workspace. */
  gathered?: GatheredAsks;
  /** Where what was told of things that are over is found again. */
  keptRows?: KeptRows;
}

/** Answers questions whose text is put together where they are asked; the whole client, or one workspace of it. */
export interface RowReader {
  rows<Row>(
    question: string,
    params?: Record<string, unknown>,
    settings?: Record<string, string | number>,
  ): Promise<Row[]>;
  /** Of what is asked about; whoever has none asks anew each time. */
  memory?: RowMemory | undefined;
}

/** Asks in the name of one workspace. */
export class WorkspaceReader {
  readonly workspace: string;
  readonly #database: Database;
  readonly #requestId: string;
  readonly #sinceMs: number | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #kept: KeptAnswers | undefined;
  readonly #gathered: GatheredAsks | undefined;
  readonly #keptRows: KeptRows | undefined;
  readonly #observe: (asked: Asked) => void;

  constructor(database: Database, scope: AskScope, observe: (asked: Asked) => void) {
    const { workspace, requestId, sinceMs, signal, kept, gathered, keptRows } = scope;
    this.workspace = workspace;
    this.#database = database;
    this.#requestId = requestId;
    this.#sinceMs = sinceMs;
    this.#signal = signal;
    this.#kept = kept;
    this.#gathered = gathered;
    this.#keptRows = keptRows;
    this.#observe = observe;
  }

  /** Has everything of the workspace asked anew, after a change to it. */
  forgetKept(): void {
    this.#kept?.forget(this.workspace);
  }

  /** Takes down what was asked in the name of the same request elsewhere. */
  readonly note = (asked: Asked): void => this.#observe(asked);

  async ask<Params extends object, Row>(question: Question<Params, Row>, params: Params): Promise<Row[]> {
    const { name, keepMs = 0 } = question;
    const [sql, values] = [question.sql(params), { ...(params as Record<string, unknown>) }];
    const answer = async (signal: AbortSignal | undefined): Promise<Found<Row>> => ({
      answer: await this.#put<Row>(name, sql, values, {}, signal),
    });
    const key = () => JSON.stringify([name, sql, values]);
    return (await this.#observed(name, () => this.#keep(name, key, keepMs, answer))).rows;
  }

  /** Rows about one thing; who asks about another one at the same time may be answered by the same question. */
  async askAbout<Ask, Row>(question: GatheredQuestion<Ask, Row>, ask: Ask): Promise<Row[]> {
    const within = question.within as GatheredQuestion<Ask, Row> | undefined;
    const isTold = within !== undefined && this.#kept?.has(this.workspace, this.#keyOf(within, ask));
    return isTold ? await this.askAbout(within, ask) : await this.#askAbout(question, ask);
  }

  async #askAbout<Ask, Row>(question: GatheredQuestion<Ask, Row>, ask: Ask): Promise<Row[]> {
    const { name, sql, params, keyOfAsk, keyOfRow, keepMs = 0 } = question;
    const askAll = (asks: readonly Ask[], signal: AbortSignal | undefined) =>
      this.#put<Row>(name, typeof sql === 'string' ? sql : sql(asks), params(asks), {}, signal);
    const group = this.#groupOf(question, ask);
    const answer = async (signal: AbortSignal | undefined): Promise<Found<Row>> =>
      this.#gathered === undefined
        ? { answer: await askAll([ask], signal) }
        : await this.#gathered.ask(group, ask, { askAll, keyOfAsk, keyOfRow }, { sinceMs: this.#sinceMs, signal });
    const keep: KeepMs<Row> =
      typeof keepMs === 'number' ? keepMs : (rows, nowMs, tookMs) => keepMs(ask, rows, nowMs, tookMs);
    const key = () => this.#keyOf(question, ask);
    return (await this.#observed(name, () => this.#keep(name, key, keep, answer))).rows;
  }

  #groupOf<Ask, Row>({ name, alike }: GatheredQuestion<Ask, Row>, ask: Ask): string {
    return JSON.stringify([this.workspace, name, alike(ask)]);
  }

  #keyOf<Ask, Row>(question: GatheredQuestion<Ask, Row>, ask: Ask): string {
    return JSON.stringify([this.#groupOf(question, ask), ask]);
  }

  /** For questions of several steps, which all bear one name. */
  named(name: string): RowReader {
    return this.#readerOf(name, this.#signal);
  }

  /** Rows, and what is told with them, that take several questions: found once for all who ask for the same within a moment. */
  async find<Found extends { rows: readonly unknown[] }>(
    name: string,
    about: object,
    keepMs: KeepMs<unknown>,
    find: (reader: RowReader) => Promise<Found>,
  ): Promise<Found> {
    if (this.#kept === undefined) return await find(this.named(name));
    const ask = async (signal: AbortSignal): Promise<Answer<unknown>> => {
      const found = await find(this.#readerOf(name, signal));
      // What was read for it is taken down with each of its questions.
      return { ...found, rows: [...found.rows], bytes: JSON.stringify(found).length, readRows: 0, readBytes: 0 };
    };
    const key = JSON.stringify([name, about]);
    const { answer } = await this.#kept.ask<unknown>(this.workspace, key, { keepMs, signal: this.#signal }, ask);
    return answer as Answer<unknown> & Found;
  }

  #readerOf(name: string, signal: AbortSignal | undefined): RowReader {
    return {
      rows: async <Row>(sql: string, params = {}, settings = {}) => {
        const ask = async () => ({ answer: await this.#put<Row>(name, sql, params, settings, signal) });
        return (await this.#observed(name, ask)).rows;
      },
      memory: this.#keptRows?.of(this.workspace),
    };
  }

  /** From what was answered a moment ago, where that is as good. */
  async #keep<Row>(
    name: string,
    key: () => string,
    keepMs: KeepMs<Row>,
    answer: (signal: AbortSignal | undefined) => Promise<Found<Row>>,
  ): Promise<Found<Row>> {
    if (keepMs === 0 || this.#kept === undefined) return await answer(this.#signal);
    let found: Found<Row> | undefined;
    const ask = async (signal: AbortSignal, isAhead: boolean): Promise<Answer<Row>> => {
      // Nobody waits for it, so it is taken down by itself.
      if (isAhead) return await this.#observed(name, () => answer(signal));
      found = await answer(signal);
      return found.answer;
    };
    const kept = await this.#kept.ask<Row>(this.workspace, key(), { keepMs, signal: this.#signal }, ask);
    return { ...found, answer: kept.answer, isAsked: kept.isAsked && found?.isAsked !== false };
  }

  /** The only place where ClickHouse is asked: the comment is what its row filters know the workspace by. */
  #put<Row>(
    name: string,
    sql: string,
    params: Record<string, unknown>,
    settings: Record<string, string | number>,
    signal: AbortSignal | undefined,
  ): Promise<Answer<Row>> {
    const { workspace } = this;
    const comment = JSON.stringify({ workspace, query: name, request: this.#requestId });
    return this.#database.ask<Row>(sql, { ...params, workspace }, { ...settings, log_comment: comment }, signal);
  }

  /** Whoever is answered by what another asked has asked nothing. */
  async #observed<Row>(name: string, ask: () => Promise<Found<Row>>): Promise<Answer<Row>> {
    const startedAtMs = performance.now();
    const { answer, isAsked = true, durationMs = performance.now() - startedAtMs } = await ask();
    const { rows, readRows, readBytes } = answer;
    if (isAsked) this.#observe({ name, durationMs, readRows, readBytes, rows: rows.length });
    return answer;
  }
}

type Found<Row> = { answer: Answer<Row> } & Partial<Omit<Gathered<Row>, 'answer'>>;
