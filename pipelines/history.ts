import { Thing } from './fold.ts';
import { ForgottenThings } from './forgotten.ts';
import { hashText } from './hash.ts';

export interface HistoryOptions {
  /** Records whose things are remembered; asked each time, because partitions of a process share what it may use. */
  records(): number;
  /** Bound of the filter that knows which things have been forgotten. */
  filterBytes?: number;
}

/**
 * The things of one partition that recent records spoke of, each with its whole history. A thing is either here, or in
 * the filter of forgotten things, or nothing was ever said of it. What was touched least recently goes first, in
 * two generations, and never before its rows are durable: ClickHouse must be able to give back what is forgotten.
 */
export class History {
  #young = new Map<string, Thing>();
  #old = new Map<string, Thing>();
  #youngWeight = 0;
  readonly #records: () => number;
  readonly forgotten: ForgottenThings;

  constructor(options: HistoryOptions) {
    this.#records = options.records;
    this.forgotten = new ForgottenThings(options.filterBytes);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  find(key: string): Thing | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#young.set(key, old);
    this.#youngWeight += old.weight;
    return old;
  }

  /** Begins a thing; the caller has made sure that its stored history, if any, follows. */
  begin(key: string, hash: Uint32Array): Thing {
    const thing = new Thing(key, hash);
    this.#young.set(key, thing);
    return thing;
  }

  /** Counts records taken in since the last slice, so that the generations know when to turn. */
  grew(records: number): void {
    this.#youngWeight += records;
  }

  /** Only to be called between slices. */
  evict(durableOffset: number): void {
    if (this.#youngWeight < this.#records() / 2) return;
    const kept = new Map<string, Thing>();
    let keptWeight = 0;
    for (const [key, thing] of this.#old) {
      if (thing.lastOffset > durableOffset) {
        kept.set(key, thing);
        keptWeight += thing.weight;
      } else {
        this.forgotten.add(thing.hash[0] as number, thing.hash[1] as number);
      }
    }
    this.#old = this.#young;
    this.#young = kept;
    this.#youngWeight = keptWeight;
  }
}

const scratch = new Uint32Array(4);

/** Hash of a thing's key in words of its own. */
export function hashKey(key: string): Uint32Array {
  hashText(key, scratch);
  return scratch.slice();
}
