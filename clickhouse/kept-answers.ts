import type { Answer } from './client.ts';

interface Entry {
  answer: Promise<Answer<unknown>>;
  /** Ends the question when nobody waits for it any more. */
  asking: AbortController;
  waiting: number;
  /** Null while it is being asked. */
  answeredAtMs: number | null;
  isEmpty: boolean;
  bytes: number;
  keepMs: number;
  tookMs: number;
  /** The one that will take its place, where that is being asked for already. */
  next: Entry | null;
}

/** How old an answer may be, where that is up to what it says or how long it took. */
export type KeepMs<Row> = number | ((rows: readonly Row[], nowMs: number, tookMs: number) => number);

/**
 * A second, which telemetry takes to come anyway. Where ClickHouse is so busy that asking takes long, ten times as long as it took:
 * what many look at must not keep it busy alone. Three seconds at most.
 */
export const aMoment = (_rows: readonly unknown[], _nowMs: number, tookMs: number): number =>
  Math.min(3_000, Math.max(1_000, 10 * tookMs));

/** Asking anew ahead of time begins so many times as long before an answer is too old as asking took the last time. */
const aheadTimes = 2;

const mostKept = 5_000;
/** Of an answer that is kept; larger ones are only shared by those who wait for them at once. */
const mostKeptBytes = 2_000_000;
const mostBytesOfAll = 20_000_000;
const sweptEveryMs = 1_000;
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
  #bytes = 0;
  #sweptAtMs = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * The answer under the key in a workspace, unless it is older; `isAsked` says whether ClickHouse was asked for it in the name of
   * this call. Where somebody comes just before it is too old, it is asked for anew while he is told what is there: so nobody waits for
   * what many look at. `ask` is then told that it is ahead of time.
   */
  async ask<Row>(
    workspace: string,
    name: string,
    { keepMs, signal }: { keepMs: KeepMs<Row>; signal: AbortSignal | undefined },
    ask: (signal: AbortSignal, isAhead: boolean) => Promise<Answer<Row>>,
  ): Promise<{ answer: Answer<Row>; isAsked: boolean }> {
    const key = prefixOf(workspace) + name;
    const known = this.#findFresh(key);
    if (known === undefined) {
      const entry = this.#begin(keepMs, (own) => ask(own, false));
      this.#entries.set(key, entry);
      this.#settle(key, entry, entry);
      this.#makeRoom();
      return { answer: (await this.#wait(key, entry, signal)) as Answer<Row>, isAsked: true };
    }
    if (known.next === null && this.#isNearlyOld(known)) {
      known.next = this.#begin(keepMs, (own) => ask(own, true));
      this.#settle(key, known.next, known);
    }
    return { answer: (await this.#wait(key, known, signal)) as Answer<Row>, isAsked: false };
  }

  /** Whether asking for it would ask nothing of ClickHouse that somebody waits for. */
  has(workspace: string, name: string): boolean {
    return this.#findFresh(prefixOf(workspace) + name) !== undefined;
  }

  /** After a change, whoever made it is to see it at once. */
  forget(workspace: string): void {
    const prefix = prefixOf(workspace);
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) this.#forget(key, entry);
  }

  /** Of what is too old, what is to take its place; where nothing is, it is forgotten. */
  #findFresh(key: string): Entry | undefined {
    const known = this.#entries.get(key);
    if (known === undefined || freshUntilMs(known) > this.#nowMs()) return known;
    this.#forget(key, known);
    if (known.next !== null) this.#entries.set(key, known.next);
    return known.next ?? undefined;
  }

  #begin<Row>(keepMs: KeepMs<Row>, ask: (signal: AbortSignal) => Promise<Answer<Row>>): Entry {
    const askedAtMs = this.#nowMs();
    const asking = new AbortController();
    const about = { answeredAtMs: null, isEmpty: false, bytes: 0, keepMs: 0, tookMs: 0, next: null };
    const answer = ask(asking.signal).then((found) => {
      const nowMs = this.#nowMs();
      entry.answeredAtMs = nowMs;
      entry.tookMs = nowMs - askedAtMs;
      entry.keepMs = typeof keepMs === 'number' ? keepMs : keepMs(found.rows, nowMs, entry.tookMs);
      entry.isEmpty = found.rows.length === 0;
      return found;
    });
    const entry: Entry = { answer, asking, waiting: 0, ...about };
    return entry;
  }

  /** Once it is answered the entry is counted, in its own place or in that of the one before it; unless that was forgotten meanwhile. */
  #settle(key: string, entry: Entry, before: Entry): void {
    entry.answer.then(
      ({ bytes }) => {
        const current = this.#entries.get(key);
        if (current !== entry && current !== before) return;
        this.#forget(key, current);
        if (bytes > mostKeptBytes) return;
        entry.bytes = bytes;
        this.#bytes += bytes;
        this.#entries.set(key, entry);
        this.#makeRoom();
      },
      () => {
        before.next = null;
        this.#forget(key, entry);
      },
    );
  }

  /** Forgets what is too old for anybody, and the oldest of what is too much. */
  #makeRoom(): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#sweptAtMs >= sweptEveryMs) {
      this.#sweptAtMs = nowMs;
      for (const key of this.#entries.keys()) this.#findFresh(key);
    }
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= mostKept && this.#bytes <= mostBytesOfAll) break;
      this.#forget(key, entry);
    }
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

  #isNearlyOld(entry: Entry): boolean {
    return freshUntilMs(entry) - aheadTimes * entry.tookMs <= this.#nowMs();
  }

  #forget(key: string, entry: Entry | undefined): void {
    if (entry === undefined || this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}

/** No name of a workspace is the beginning of another's prefix. */
export const prefixOf = (workspace: string): string => `${JSON.stringify(workspace)} `;

const freshUntilMs = ({ answeredAtMs, isEmpty, keepMs }: Entry): number =>
  (answeredAtMs ?? Number.POSITIVE_INFINITY) + (isEmpty ? Math.min(keepMs, emptyKeptMs) : keepMs);
