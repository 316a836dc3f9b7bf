import type { Answer } from './client.ts';

interface Entry {
  answer: Promise<Answer<unknown>>;
  /** Ends the question when nobody waits for it any more. */
  asking: AbortController;
  waiting: number;
  /** Null while it is being asked. */
  answeredAtMs: number | null;
  isEmpty: boolean;
}

/** Rows of an answer that is kept; larger ones are only shared by those who wait for them at once. */
const mostKeptRows = 2_000;
const mostKept = 500;
/** That there is nothing yet is soon untrue. */
const emptyKeptMs = 1_000;

/**
 * Answers that serve everybody who asks the same within a moment. A page that many have open asks the same of ClickHouse for each of
 * them, and planning a question about rollups takes longer than reading what it is about.
 */
export class KeptAnswers {
  readonly #nowMs: () => number;
  /** The oldest first. */
  readonly #entries = new Map<string, Entry>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The answer under the key, unless it is older; `isAsked` says whether ClickHouse was asked for it in the name of this call. */
  async ask<Row>(
    key: string,
    { keepMs, signal }: { keepMs: number; signal: AbortSignal | undefined },
    ask: (signal: AbortSignal) => Promise<Answer<Row>>,
  ): Promise<{ answer: Answer<Row>; isAsked: boolean }> {
    const known = this.#entries.get(key);
    const isFresh = known !== undefined && freshUntilMs(known, keepMs) > this.#nowMs();
    const entry = isFresh ? known : this.#begin(key, ask);
    const answer = (await this.#wait(key, entry, signal)) as Answer<Row>;
    return { answer, isAsked: !isFresh };
  }

  #begin<Row>(key: string, ask: (signal: AbortSignal) => Promise<Answer<Row>>): Entry {
    const asking = new AbortController();
    const entry: Entry = { answer: ask(asking.signal), asking, waiting: 0, answeredAtMs: null, isEmpty: false };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.answer.then(
      ({ rows }) => {
        entry.answeredAtMs = this.#nowMs();
        entry.isEmpty = rows.length === 0;
        if (rows.length > mostKeptRows) this.#forget(key, entry);
      },
      () => this.#forget(key, entry),
    );
    if (this.#entries.size > mostKept) this.#entries.delete(this.#entries.keys().next().value ?? '');
    return entry;
  }

  async #wait(key: string, entry: Entry, signal: AbortSignal | undefined): Promise<Answer<unknown>> {
    if (entry.answeredAtMs !== null) return entry.answer;
    const leave = () => {
      if (--entry.waiting > 0) return;
      // Whoever comes now must not be given what is ended.
      this.#forget(key, entry);
      entry.asking.abort();
    };
    entry.waiting++;
    signal?.addEventListener('abort', leave, { once: true });
    try {
      return await entry.answer;
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
  }
}

const freshUntilMs = ({ answeredAtMs, isEmpty }: Entry, keepMs: number): number =>
  (answeredAtMs ?? Number.POSITIVE_INFINITY) + (isEmpty ? Math.min(keepMs, emptyKeptMs) : keepMs);
