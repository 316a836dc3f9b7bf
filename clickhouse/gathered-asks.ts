import { type Answer, DatabaseError } from './client.ts';

/** One who waits: what it asks about, and whether it still does. */
interface Waiting<Ask, Row> {
  ask: Ask;
  gathering: Gathering<Ask, Row>;
  sinceMs: number;
  signal: AbortSignal | undefined;
  resolve: (found: Gathered<Row>) => void;
  reject: (error: unknown) => void;
}

export interface Gathered<Row> {
  /** Rows are this one's; what was read is that of all. */
  answer: Answer<Row>;
  /** In the name of this one, which is one of all. */
  isAsked: boolean;
  /** From asking to the answer, without having waited for others. */
  durationMs: number;
}

/** How many that are alike are answered at once, and by what their rows are told apart. */
export interface Gathering<Ask, Row> {
  askAll: (asks: readonly Ask[], signal: AbortSignal) => Promise<Answer<Row>>;
  keyOfAsk: (ask: Ask) => string;
  keyOfRow: (row: Row) => string;
}

/** Keys travel in the address of a question. */
const mostAtOnce = 100;
/** More that run side by side are answered later each, and by more questions altogether. */
const mostAsking = 2;
/** Whoever is held up by a long answer to others does not wait for it longer than a short one takes. */
const heldMs = 150;

/**
 * Puts questions together that ask the same about different things. Most of what a small question takes is its planning, which is
 * the same for one thing and for twenty: who comes while others are answered waits for them, and goes with all who came meanwhile and
 * ask the same. Whoever comes when hardly anybody is asking goes at once.
 */
export class GatheredAsks {
  /** Those who wait, by what is alike. */
  readonly #waiting = new Map<string, Waiting<unknown, unknown>[]>();
  /** Questions that have been asked a moment ago and are not answered yet, by their groups. */
  readonly #asking = new Set<{ key: string }>();

  /**
   * The answer to one of those that the group's key says are alike. Those that are asked for what has waited longest go first, not
   * those that were asked first: an answer that takes several questions would be last each time.
   */
  ask<Ask, Row>(
    key: string,
    ask: Ask,
    gathering: Gathering<Ask, Row>,
    { sinceMs = performance.now(), signal }: { sinceMs?: number | undefined; signal: AbortSignal | undefined },
  ): Promise<Gathered<Row>> {
    return new Promise((resolve, reject) => {
      const one = { ask, gathering, sinceMs, signal, resolve, reject } as Waiting<unknown, unknown>;
      const group = this.#waiting.get(key) ?? [];
      group.push(one);
      this.#waiting.set(key, group);
      if (group.length >= mostAtOnce) this.#go(key, group);
      else this.#goOn();
    });
  }

  #goOn(): void {
    if (this.#asking.size >= mostAsking) return;
    const isAsked = (key: string) => [...this.#asking].some((asked) => asked.key === key);
    const byAge = [...this.#waiting].sort(([, one], [, other]) => oldestOf(one) - oldestOf(other));
    for (const [key, group] of byAge) {
      if (this.#asking.size >= mostAsking) return;
      if (!isAsked(key)) this.#go(key, group);
    }
  }

  #go(key: string, group: readonly Waiting<unknown, unknown>[]): void {
    this.#waiting.delete(key);
    const staying = group.filter(({ signal }) => !signal?.aborted);
    for (const { signal, reject } of group) if (signal?.aborted) reject(nobodyWaits(signal.reason));
    if (staying.length === 0) return;
    const asked = { key };
    this.#asking.add(asked);
    const letOthersGo = () => {
      clearTimeout(patience);
      if (this.#asking.delete(asked)) this.#goOn();
    };
    const patience = setTimeout(letOthersGo, heldMs);
    void answerAll(staying).finally(letOthersGo);
  }
}

const oldestOf = (group: readonly Waiting<unknown, unknown>[]): number =>
  Math.min(...group.map(({ sinceMs }) => sinceMs));

async function answerAll<Ask, Row>(all: readonly Waiting<Ask, Row>[]): Promise<void> {
  const [first] = all;
  if (first === undefined) return;
  const { askAll, keyOfAsk, keyOfRow } = first.gathering;
  const startedAtMs = performance.now();
  try {
    const { rows, bytes, ...read } = await whileSomeWait(all, (signal) =>
      askAll(
        all.map(({ ask }) => ask),
        signal,
      ),
    );
    const durationMs = performance.now() - startedAtMs;
    const byKey = Map.groupBy(rows, keyOfRow);
    for (const [at, { ask, resolve }] of all.entries()) {
      const own = byKey.get(keyOfAsk(ask)) ?? [];
      const ownBytes = Math.ceil((bytes * own.length) / Math.max(1, rows.length));
      resolve({ answer: { rows: own, bytes: ownBytes, ...read }, isAsked: at === 0, durationMs });
    }
  } catch (error) {
    const staying = all.filter(({ signal }) => !signal?.aborted);
    if (all.length === 1 || staying.length === 0) {
      for (const { reject } of all) reject(error);
      return;
    }
    for (const { signal, reject } of all) if (signal?.aborted) reject(error);
    // What is too much of all of them need not be too much of each.
    await Promise.all(staying.map((one) => answerAll([one])));
  }
}

/** Ends what is asked when the last of those who wait for it has left. */
async function whileSomeWait<Ask, Row>(
  all: readonly Waiting<Ask, Row>[],
  ask: (signal: AbortSignal) => Promise<Answer<Row>>,
): Promise<Answer<Row>> {
  const asking = new AbortController();
  let waiting = all.length;
  const leave = () => {
    if (--waiting === 0) asking.abort();
  };
  for (const { signal } of all) signal?.addEventListener('abort', leave, { once: true });
  try {
    return await ask(asking.signal);
  } finally {
    for (const { signal } of all) signal?.removeEventListener('abort', leave);
  }
}

const nobodyWaits = (cause: unknown): DatabaseError =>
  new DatabaseError('nobody waits for the answer any more', 'aborted', false, cause);
