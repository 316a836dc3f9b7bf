import { prefixOf } from './kept-answers.ts';

/**
 * How long what was told of something that is over may be told again: a hundredth of the time for which nothing was heard of it, at
 * least a second and at most half a minute. What comes late is so seen a little later, and never by much of how late it was.
 */
export const keepMsSince = (lastMs: number, nowMs: number): number =>
  Math.min(mostKeptMs, Math.max(leastKeptMs, (nowMs - lastMs) / 100));

const leastKeptMs = 1_000;
const mostKeptMs = 30_000;
const leastKeptRowMs = 3_000;
const mostRows = 10_000;

/**
 * Single rows that questions about many things find again and again, for those who look up some of them. Pages of what has just ended are asked for
 * anew each second or so, mostly for the same rows: these are told again for three.
 */
export class KeptRows {
  readonly #nowMs: () => number;
  /** The oldest first. */
  readonly #rows = new Map<string, { row: unknown; untilMs: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Of one workspace. */
  of(workspace: string): RowMemory {
    const prefix = prefixOf(workspace);
    return {
      find: (name) => this.#find(prefix + name),
      keep: (name, row, lastMs) => this.#keep(prefix + name, row, lastMs),
    };
  }

  #find(key: string): unknown {
    const known = this.#rows.get(key);
    if (known === undefined || known.untilMs > this.#nowMs()) return known?.row;
    this.#rows.delete(key);
    return undefined;
  }

  #keep(key: string, row: unknown, lastMs: number): void {
    const nowMs = this.#nowMs();
    this.#rows.delete(key);
    this.#rows.set(key, { row, untilMs: nowMs + Math.max(leastKeptRowMs, keepMsSince(lastMs, nowMs)) });
    const [oldest] = this.#rows.keys();
    if (oldest !== undefined && this.#rows.size > mostRows) this.#rows.delete(oldest);
  }
}

/** What was found a moment ago of something that is over. */
export interface RowMemory {
  find(name: string): unknown;
  /** The last of it happened then. */
  keep(name: string, row: unknown, lastMs: number): void;
}
