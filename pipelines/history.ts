import { Thing } from './fold.ts';
import { ForgottenThings } from './forgotten.ts';
import { type Name, ThingTable } from './thing-table.ts';

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
  #young = new ThingTable();
  #old = new ThingTable();
  #youngWeight = 0;
  /** The newest record that things of the older generation, and of both, speak of. */
  #oldOffset = -1;
  #newestOffset = -1;
  readonly #records: () => number;
  readonly forgotten: ForgottenThings;

  constructor(options: HistoryOptions) {
    this.#records = options.records;
    this.forgotten = new ForgottenThings(options.filterBytes);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  find(name: Name): Thing | undefined {
    const young = this.#young.find(name);
    if (young !== undefined) return young;
    const old = this.#old.find(name);
    if (old === undefined) return undefined;
    this.#old.delete(old);
    this.#young.add(old);
    this.#youngWeight += old.weight;
    return old;
  }

  /** Begins a thing; the caller has made sure that its stored history, if any, follows. */
  begin(name: Name): Thing {
    const thing = new Thing(name);
    this.#young.add(thing);
    return thing;
  }

  /** Counts a record taken in, so that the generations know when to turn and what has to be durable then. */
  grew(offset: number): void {
    this.#youngWeight++;
    if (offset > this.#newestOffset) this.#newestOffset = offset;
  }

  /** Only to be called between slices. Waits with the whole older generation until all of it is durable. */
  evict(durableOffset: number): void {
    if (this.#youngWeight < this.#records() / 2 || this.#oldOffset > durableOffset) return;
    for (const thing of this.#old) this.forgotten.add(thing.low, thing.high);
    this.#old = this.#young;
    this.#oldOffset = this.#newestOffset;
    this.#young = new ThingTable();
    this.#youngWeight = 0;
  }
}
